"""What one side of a connection knows between two messages, to go on from there as if all before had been read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from guivm.console.frame import PointerMode
from guivm.console.rfb.decoders import Decoder
from guivm.console.rfb.wire import Screen

_STATE_BYTES = 256 << 10  # besides the pixels, roughly: up to six zlib windows


@dataclass(frozen=True, slots=True)
class SessionSnapshot:
    """Of :meth:`guivm.console.rfb.session.RfbSession.snapshot`. Several sessions can go on from the same one.

    ``pixels``: zlib, the framebuffer's rows. ``decoders``: with the state of their streams; never used themselves.
    """

    width: int
    height: int
    pixels: bytes = field(repr=False)
    decoders: Mapping[int, Decoder] = field(repr=False)
    name: str
    screens: tuple[Screen, ...]
    pointer_mode: PointerMode

    @property
    def cost(self) -> int:
        """Bytes of memory, about."""
        return len(self.pixels) + _STATE_BYTES
