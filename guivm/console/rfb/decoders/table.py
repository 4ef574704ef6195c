"""Every encoding of pixels we can read, by its number."""

from __future__ import annotations

from guivm.console.rfb.decoders import Decoder
from guivm.console.rfb.decoders.copyrect import CopyRectDecoder
from guivm.console.rfb.decoders.hextile import HextileDecoder
from guivm.console.rfb.decoders.raw import RawDecoder
from guivm.console.rfb.decoders.rre import RreDecoder
from guivm.console.rfb.decoders.tight import TightDecoder
from guivm.console.rfb.decoders.zlibrect import ZlibDecoder
from guivm.console.rfb.decoders.zrle import ZrleDecoder
from guivm.console.rfb.wire import Encoding


def make_decoders() -> dict[int, Decoder]:
    """Fresh decoders for one connection; some keep zlib streams for as long as it lasts."""
    return {
        Encoding.RAW: RawDecoder(),
        Encoding.COPY_RECT: CopyRectDecoder(),
        Encoding.RRE: RreDecoder(),
        Encoding.HEXTILE: HextileDecoder(),
        Encoding.ZLIB: ZlibDecoder(),
        Encoding.TIGHT: TightDecoder(),
        Encoding.ZRLE: ZrleDecoder(),
        Encoding.TIGHT_PNG: TightDecoder(png=True),
    }
