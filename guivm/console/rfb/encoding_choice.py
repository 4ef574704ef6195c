"""Which encodings to ask a server for, and when to ask for others. Pure.

A display that does not leave the computer comes raw: no processor beats the kernel's copy. Over a network the link's
throughput is the smaller thing; it is measured while updates arrive. QEMU's Tight is cheap at compression 0 to 1 and
dear at 9 (its default), and it sends JPEG only to a client that names a quality (and with ``lossy=on``).
"""

from __future__ import annotations

import enum
from collections.abc import Collection
from dataclasses import dataclass

from guivm.console.frame import Quality
from guivm.console.rfb.wire import Encoding

PSEUDO_ENCODINGS = (
    Encoding.CURSOR_WITH_ALPHA,
    Encoding.CURSOR,
    Encoding.X_CURSOR,
    Encoding.EXTENDED_DESKTOP_SIZE,
    Encoding.DESKTOP_SIZE,
    Encoding.LAST_RECT,
    Encoding.POINTER_TYPE,
    Encoding.EXTENDED_KEY,
    Encoding.LED_STATE,
    Encoding.DESKTOP_NAME,
    Encoding.EXTENDED_MOUSE_BUTTONS,
    Encoding.XVP,
    Encoding.SOUND,
    Encoding.EXTENDED_CLIPBOARD,
)


@dataclass(frozen=True, slots=True)
class EncodingChoice:
    """``preferred``: best first. ``jpeg``: 0 to 9, None: every pixel exact. ``compression``: 0 to 9, None: any."""

    preferred: tuple[Encoding, ...]
    jpeg: int | None = None
    compression: int | None = None

    def encodings(self, available: Collection[int]) -> list[int]:
        """The list for SetEncodings: of ``preferred`` what can be decoded; Raw always, a copy before all."""
        pixels = [Encoding.COPY_RECT, *self.preferred, Encoding.RAW]
        wanted: list[int] = [encoding for encoding in dict.fromkeys(pixels) if encoding in available]
        if self.compression is not None:
            wanted.append(Encoding.COMPRESS_0 + self.compression)
        if self.jpeg is not None:
            wanted.append(Encoding.QUALITY_0 + self.jpeg)
        return [*wanted, *PSEUDO_ENCODINGS]


LOCAL = EncodingChoice((Encoding.RAW,))

_TIGHT = (Encoding.TIGHT, Encoding.ZRLE, Encoding.HEXTILE, Encoding.ZLIB, Encoding.RRE)
_ZRLE = (Encoding.ZRLE, Encoding.TIGHT, Encoding.ZLIB, Encoding.HEXTILE, Encoding.RRE)
_EXACT = (Encoding.ZRLE, Encoding.ZLIB, Encoding.HEXTILE, Encoding.RRE)


class Pace(enum.IntEnum):
    """How fast the network is, as far as a display is concerned."""

    SLOW = 0  # below 4 Mbit/s
    MEDIUM = 1
    FAST = 2  # above 24 Mbit/s


_CHOICES: dict[Quality, tuple[EncodingChoice, EncodingChoice, EncodingChoice]] = {
    # by Pace: SLOW, MEDIUM, FAST
    Quality.AUTO: (
        EncodingChoice(_TIGHT, jpeg=6, compression=6),
        EncodingChoice(_ZRLE, compression=4),
        EncodingChoice(_TIGHT, compression=1),
    ),
    Quality.BEST: (
        # Not Tight: QEMU (seen in 7.2) gets one colour wrong in each of its rectangles with exactly 256 colours.
        EncodingChoice(_EXACT, compression=6),
        EncodingChoice(_EXACT, compression=4),
        EncodingChoice(_EXACT, compression=1),
    ),
    Quality.BALANCED: (
        EncodingChoice(_TIGHT, jpeg=6, compression=6),
        EncodingChoice(_TIGHT, jpeg=8, compression=4),
        EncodingChoice(_TIGHT, jpeg=8, compression=1),
    ),
    Quality.FAST: (
        EncodingChoice(_TIGHT, jpeg=2, compression=6),
        EncodingChoice(_TIGHT, jpeg=3, compression=5),
        EncodingChoice(_TIGHT, jpeg=5, compression=1),
    ),
}
_BOUNDS = (500_000.0, 3_000_000.0)  # bytes/s, between SLOW, MEDIUM and FAST
_MARGIN = 1.25  # how far beyond a bound before it counts
_DISTANT_S = 0.15  # a round trip that long is never FAST
_SAMPLE_BYTES = 32 << 10
_SAMPLE_S = 0.02
_WINDOW = 12  # samples: the best of them is what the network can do, the others what there was to send
_SETTLED = 3  # samples in a row that say the same before it is believed


class EncodingChooser:
    """Starts in the middle and follows what is measured, slowly. One for each connection over a network."""

    def __init__(self, quality: Quality = Quality.AUTO) -> None:
        self.quality = quality
        self.pace = Pace.MEDIUM
        self._round_trip = 0.0
        self._bytes = 0
        self._seconds = 0.0
        self._samples: list[float] = []
        self._wanting = Pace.MEDIUM
        self._agreed = 0

    @property
    def choice(self) -> EncodingChoice:
        return _CHOICES[self.quality][self.pace]

    @property
    def throughput(self) -> float | None:
        """Bytes/s, or None before anything was measured."""
        return max(self._samples, default=None)

    def round_trip(self, seconds: float) -> None:
        """A question was answered after so long; the shortest counts."""
        self._round_trip = min(self._round_trip, seconds) if self._round_trip else seconds

    def received(self, count: int, seconds: float) -> None:
        """So many bytes came within so long, without waiting for anything to send."""
        self._bytes += count
        self._seconds += seconds
        enough = self._bytes >= _SAMPLE_BYTES and self._seconds >= _SAMPLE_S
        if not enough and self._bytes < 32 * _SAMPLE_BYTES:  # so many in no time at all are a sample, too
            return
        self._samples.append(self._bytes / max(self._seconds, 1e-6))
        del self._samples[:-_WINDOW]
        self._bytes, self._seconds = 0, 0.0
        self._follow(max(self._samples))

    def _follow(self, rate: float) -> None:
        wanting = self._judged(rate)
        self._agreed = self._agreed + 1 if wanting is self._wanting else 1
        self._wanting = wanting
        if wanting is not self.pace and self._agreed >= _SETTLED:
            self.pace = wanting
            self._agreed = 0

    def _judged(self, rate: float) -> Pace:
        low, high = _BOUNDS
        # Leaving the present pace takes more than coming to it: two neighbours never alternate.
        low *= 1 / _MARGIN if self.pace > Pace.SLOW else _MARGIN
        high *= 1 / _MARGIN if self.pace > Pace.MEDIUM else _MARGIN
        if rate < low:
            return Pace.SLOW
        if rate < high or self._round_trip > _DISTANT_S:
            return Pace.MEDIUM
        return Pace.FAST
