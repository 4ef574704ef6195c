"""Every encoding of pixels we can read, by its number."""

from __future__ import annotations

from guivm.console.rfb.decoders import Decoder
from guivm.console.rfb.decoders.copyrect import CopyRectDecoder
from guivm.console.rfb.decoders.raw import RawDecoder
from guivm.console.rfb.wire import Encoding


def make_decoders() -> dict[int, Decoder]:
    """Fresh decoders for one connection; some keep zlib streams for as long as it lasts."""
    return {Encoding.RAW: RawDecoder(), Encoding.COPY_RECT: CopyRectDecoder()}
