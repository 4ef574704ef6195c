"""Compressed pixels: zlib streams that live as long as the connection, never inflated beyond what was announced."""

from __future__ import annotations

from collections.abc import Callable

# zlib's interface, with twice its speed; zlib's share of a compressed rectangle is about half.
from zlib_ng import zlib_ng as zlib

from guivm.console.rfb.errors import RfbError
from guivm.console.rfb.inbox import Inbox, Steps
from guivm.console.rfb.limits import DIRECT_BYTES, check_length
from guivm.console.rfb.wire import U32

PIECE_BYTES = 256 << 10
"""Inflated at once, so that memory is bounded whatever the rectangle's size; rows may be longer."""
_SLICE_BYTES = 16 << 10
"""Compressed bytes given to zlib at once: it copies what it leaves over at every piece."""

Sink = Callable[[int, bytes], None]
"""Takes the number of its first row, and whole rows."""


class Inflater:
    """One zlib stream, which goes on over many rectangles."""

    __slots__ = ("_remaining", "_stream", "_tail")

    def __init__(self) -> None:
        self._stream = zlib.decompressobj()
        self._remaining = 0  # compressed bytes of this rectangle that are still in the inbox or on their way
        self._tail = b""  # taken from the inbox, not yet inflated

    def reset(self) -> None:
        """Begin anew, as the server does."""
        self._stream = zlib.decompressobj()

    def exactly(self, data: bytes | memoryview, size: int) -> bytes:
        """Inflate all of ``data`` to ``size`` bytes, no more and no less."""
        # One byte more, so that zlib goes on to the end of the data, which is often an empty block.
        out = self._inflate(data, size + 1)
        if len(out) != size:
            raise self._wrong_size(len(out), size)
        return out

    def begin(self, length: int) -> None:
        """The next ``length`` bytes of the inbox are compressed; :meth:`piece` inflates them."""
        self._remaining = length
        self._tail = b""

    def piece(self, inbox: Inbox, limit: int) -> Steps[bytes]:
        """The next 1 to ``limit`` inflated bytes, or none: all is inflated."""
        while True:
            data: bytes | memoryview = self._tail
            last = False
            if not data:
                last = not self._remaining
                if self._remaining:
                    if inbox.end == inbox.pos:
                        yield 1
                    count = min(inbox.end - inbox.pos, self._remaining, _SLICE_BYTES)
                    data = inbox.view[inbox.pos : inbox.pos + count]
                    inbox.pos += count
                    self._remaining -= count
            out = self._inflate(data, limit)
            self._tail = self._stream.unconsumed_tail
            if out or last:
                return out

    def rows(self, inbox: Inbox, length: int, row_bytes: int, count: int, sink: Sink) -> Steps[None]:
        """Inflate ``length`` bytes of the inbox to ``count`` rows of ``row_bytes`` and hand them on, in order."""
        size = row_bytes * count
        if size <= PIECE_BYTES and length <= DIRECT_BYTES:
            start = yield from inbox.take(length)
            sink(0, self.exactly(inbox.view[start : start + length], size))
            return
        self.begin(length)
        limit = max(PIECE_BYTES, row_bytes)
        held = b""
        row = 0
        while True:
            data = yield from self.piece(inbox, limit)
            if not data:
                break
            held = held + data if held else data
            whole = len(held) // row_bytes
            if row + whole > count or (row + whole == count and len(held) % row_bytes):
                raise self._wrong_size(row * row_bytes + len(held), size)
            if whole:
                sink(row, held[: whole * row_bytes])
                row += whole
                held = held[whole * row_bytes :]
        if row != count:
            raise self._wrong_size(row * row_bytes + len(held), size)

    def _inflate(self, data: bytes | memoryview, limit: int) -> bytes:
        try:
            out = self._stream.decompress(data, limit)
        except zlib.error as error:  # type: ignore[misc]  # its stub has it as a value, not as a class
            raise RfbError(f"compressed pixels that cannot be read ({error})") from None
        if self._stream.unused_data:
            raise RfbError("compressed pixels that go on behind their end")
        return out

    @staticmethod
    def _wrong_size(found: int, expected: int) -> RfbError:
        if found > expected:
            return RfbError(f"compressed pixels that are more than the {expected} bytes of their rectangle")
        return RfbError(f"compressed pixels of {found} bytes where their rectangle has {expected}")


def take_length(inbox: Inbox, inflated: int) -> Steps[int]:
    """A length of 32 bits, refused when even the worst of compressors needs less for ``inflated`` bytes."""
    start = yield from inbox.take(U32.size)
    length: int = U32.unpack_from(inbox.data, start)[0]
    check_length(length, inflated + inflated // 4 + 1024, "compressed pixels")
    return length
