"""Servers that mean harm: streams that lie, floods that never end, recorded streams to cut and to change.

Floods are finite pieces that may be sent again and again: each leaves the session where it found it.
"""

from __future__ import annotations

import contextlib
import io
import socket
import struct
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import TracebackType

from PIL import Image

from guivm.console.rfb.wire import Clip, Encoding
from tests.helpers import rfb_encoders as enc
from tests.helpers import rfb_server as srv
from tests.helpers.rfb_goldens_pixels import SCENES

CAPS = srv.clipboard(Clip.CAPS | Clip.REQUEST | Clip.PEEK | Clip.NOTIFY | Clip.PROVIDE | Clip.TEXT, bytes(4))
MIB = 1 << 20


def sized(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def packed(data: bytes) -> bytes:
    """A finished zlib stream behind its length."""
    return sized(zlib.compress(data))


def tight(control: int, head: bytes, data: bytes) -> bytes:
    """A basic Tight rectangle: control byte, what follows it, and compressed data with its length."""
    found = zlib.compress(data)
    return bytes([control]) + head + enc.compact_length(len(found)) + found


def saved(image: Image.Image, kind: str) -> bytes:
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


def cut_text(data: bytes) -> bytes:
    return b"\x03\0\0\0" + sized(data)


def provided(data: bytes, length: int | None = None) -> bytes:
    """A text of the extended clipboard, which claims to be ``length`` bytes long."""
    text = struct.pack(">I", len(data) if length is None else length) + data
    return srv.clipboard(Clip.PROVIDE | Clip.TEXT, zlib.compress(text))


def sound(samples: bytes) -> bytes:
    return b"\xff\x01\0\x02" + sized(samples)


SOUND_BEGIN, SOUND_END = b"\xff\x01\0\x01", b"\xff\x01\0\0"


def name(data: bytes) -> bytes:
    return srv.rect(0, 0, 0, 0, srv.DESKTOP_NAME, sized(data))


def fill(width: int, height: int, colour: bytes = b"abc") -> bytes:
    """So many pixels in 16 bytes."""
    return srv.rect(0, 0, width, height, Encoding.TIGHT, b"\x80" + colour)


def cursor(side: int, seed: int = 0) -> bytes:
    return srv.rect(0, 0, side, side, srv.ALPHA_CURSOR, bytes(4) + bytes([seed, 0, 255 - seed, 255]) * side * side)


# --- recorded streams -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recorded:
    """``greeting`` up to ServerInit and ``messages`` of a server for a screen of this size."""

    name: str
    width: int
    height: int
    messages: tuple[bytes, ...]

    @property
    def greeting(self) -> bytes:
        return srv.greeting_38(self.width, self.height)

    @property
    def stream(self) -> bytes:
        return self.greeting + b"".join(self.messages)


def everything(width: int = 100, height: int = 50) -> tuple[bytes, ...]:
    """A message of every kind beside the pixels, on a screen of at least this size, which it is afterwards."""
    wide = srv.picture(width, height)
    return (
        srv.update(srv.rect(1, 0, 0, 0, srv.POINTER_TYPE), srv.rect(0, 0, 0, 0, srv.EXTENDED_KEY)),
        srv.update(srv.rect(0, 0, 0, 0, srv.EXTENDED_BUTTONS), srv.rect(0, 0, 0, 0, srv.SOUND)),
        srv.update(srv.extended_size(width, height)),
        srv.update(srv.raw(0, 0, wide[:20, :30]), srv.raw(40, 30, wide[:8, :8])),
        srv.update(*(srv.raw(x, 3, srv.picture(4, 4, x)) for x in range(0, 44, 3))),
        srv.update(srv.rect(2, 2, 10, 10, srv.COPY_RECT, struct.pack(">HH", 5, 5))),
        srv.update(srv.rect(1, 1, 3, 3, srv.CURSOR, bytes(36) + b"\xa0\x40\xa0"), cursor(5)),
        srv.update(srv.rect(0, 0, 3, 2, srv.X_CURSOR, bytes(6) + bytes(4))),
        srv.update(srv.rect(0, 0, 0, 0, srv.LED_STATE, b"\x04"), name("QEMU (nëu)".encode())),
        srv.update(srv.raw(0, 0, wide[:1]), srv.rect(0, 0, 0, 0, srv.LAST_RECT), count=900),
        srv.update(srv.extended_size(width, height, reason=1, status=3)),
        b"\x02",
        cut_text(b"cut"),
        struct.pack(">BxHH", 1, 254, 2) + bytes(12),
        CAPS,
        srv.clipboard(Clip.NOTIFY | Clip.TEXT),
        srv.clipboard(Clip.PEEK),
        srv.clipboard(Clip.REQUEST | Clip.TEXT),
        provided(b"text\0"),
        b"\xfa\0\x01\x01",
        b"\xfa\0\x01\0",
        SOUND_BEGIN + sound(bytes(64)) + SOUND_END,
        srv.update(srv.extended_size(60, 40), srv.raw(0, 0, srv.picture(60, 40, 3))),
        srv.update(srv.rect(0, 0, width, height, srv.DESKTOP_SIZE), srv.raw(0, 0, wide)),
    )


@cache
def recorded(limit: int = 60_000) -> tuple[Recorded, ...]:
    """What real servers sent in each encoding (updates of at most ``limit`` bytes), and :func:`everything`."""
    found = [Recorded("everything", 100, 50, everything())]
    for scene in SCENES:
        found += [
            Recorded(f"{scene.name}: {golden.name}", scene.width, scene.height, (golden.stream,))
            for golden in scene.goldens
            if len(golden.stream) <= limit
        ]
    return tuple(found)


# --- floods -----------------------------------------------------------------------------------------------


def storm_of_news(width: int, height: int) -> bytes:
    """Bells, texts, cursors, LEDs, names, pointer modes, features and refusals, each different from the one before.

    The screen is at least 68 pixels wide and high.
    """
    parts: list[bytes] = [CAPS]
    for i in range(64):
        parts += [
            b"\x02",
            cut_text(b"\xe9\r\n" * 1000 + bytes([65 + i % 26])),
            provided(b"text %d " % i * 50),
            srv.clipboard(Clip.NOTIFY | Clip.TEXT),
            srv.clipboard(Clip.REQUEST | Clip.TEXT),
            srv.clipboard(Clip.PEEK),
            b"\xfa\0\x01\0",
            srv.update(
                cursor(1 + i, i),
                srv.rect(0, 0, 8, 8, srv.X_CURSOR, bytes([i] * 6) + bytes(16)),
                srv.rect(i & 1, 0, 0, 0, srv.POINTER_TYPE),
                srv.rect(0, 0, 0, 0, srv.LED_STATE, bytes([i & 7])),
                name(b"\xe2\x80\xae<b>QEMU (%d)" % i),
                srv.extended_size(width, height, reason=1, status=1 + i),
                srv.extended_size(width, height, screens=[(n, i, 0, 5, 5, 0) for n in range(1 + i)]),
                srv.raw(i, i, srv.picture(4, 4, i)),
            ),
        ]
    parts.append(cut_text(b"\xe9\r\n" * 300_000))
    return b"".join(parts)


def storm_of_sizes(width: int, height: int, large: int = 8192) -> bytes:
    """A new size with each update, some of them as large as can be, each of them filled."""
    sizes = [(large, large), (1, 1), (large, 7), (3, large), (640, 480), (large - 1, large), (width, height)]
    parts: list[bytes] = []
    for i, (w, h) in enumerate(sizes * 4):
        change = srv.rect(0, 0, w, h, srv.DESKTOP_SIZE) if i % 2 else srv.extended_size(w, h)
        parts.append(srv.update(change, fill(w, h, bytes([i, i, 99]))))
    return b"".join(parts)


def storm_of_rectangles(width: int, height: int) -> bytes:
    """65,535 rectangles in each update: dots, and copies of everything."""
    dots = b"".join(srv.rect(i * 37 % width, i * 53 % height, 1, 1, srv.RAW, bytes([i & 255] * 4)) for i in range(4096))
    copies = srv.rect(0, 0, width, height, srv.COPY_RECT, bytes(4)) * 64
    return srv.update(count=4096 * 15 + 64) + dots * 15 + copies


def storm_of_work(width: int, height: int) -> bytes:
    """Rectangles that take as much work as their bytes can ask for."""
    area, band = width * height, width * min(height, 64)
    tile = b"\x0a\0\0\0\0\xff" + b"\0\xff" * 255
    hextile = b"".join(
        tile if min(16, height - y) == min(16, width - x) == 16 else b"\x02abcd"
        for y in range(0, height, 16)
        for x in range(0, width, 16)
    )
    count = min(4000, area * 15 // 512)
    subrects = struct.pack(">I4x", count) + b"".join(
        struct.pack(">IHHHH", i, i % (width - 32), i % (height - 16), 32, 16) for i in range(count)
    )
    return b"".join(
        [
            srv.update(srv.rect(0, 0, width, height, Encoding.HEXTILE, hextile)),
            srv.update(srv.rect(0, 0, width, height, Encoding.RRE, subrects)),
            srv.update(*[fill(width, height)] * 500),
            # Each stream begins anew, so that the flood can be sent again.
            srv.update(srv.rect(0, 0, width, height, Encoding.TIGHT, tight(0x01, b"", bytes(area * 3)))),
            srv.update(srv.rect(0, 0, width, band // width, Encoding.TIGHT, tight(0x41, b"\x02", b"\1\2\xff" * band))),
        ]
    )


def storm_of_nothing(width: int, height: int) -> bytes:
    """Updates without rectangles, rectangles without pixels, updates that only say that they are the last."""
    empty = srv.rect(0, 0, 0, 0, srv.RAW) + srv.rect(width, height, 0, 0, srv.COPY_RECT, bytes(4))
    return srv.update() * 20_000 + srv.update(empty * 10_000, count=20_000) + srv.update(
        srv.rect(0, 0, 0, 0, srv.LAST_RECT), count=0xFFFF
    ) * 5_000  # fmt: skip


STORMS: dict[str, Callable[[int, int], bytes]] = {
    "news": storm_of_news,
    "sizes": storm_of_sizes,
    "rectangles": storm_of_rectangles,
    "work": storm_of_work,
    "nothing": storm_of_nothing,
}


class Peer:
    """One side of a socket, on a thread of its own: sends ``first``, then ``again`` for ever, and reads all the while.

    Ends when the other side does. ``reads``: False leaves what the other side says where it is.
    """

    def __init__(self, sock: socket.socket, first: bytes, again: bytes = b"", *, reads: bool = True) -> None:
        self.sock = sock
        self.floods = 0  # how often ``again`` was sent
        self._again = again
        self._threads = [threading.Thread(target=self._send, args=(first,), name="hostile-sender")]
        if reads:
            self._threads.append(threading.Thread(target=self._read, name="hostile-reader"))
        for thread in self._threads:
            thread.start()

    def _send(self, first: bytes) -> None:
        with contextlib.suppress(OSError):
            self.sock.sendall(first)
            while self._again:
                self.sock.sendall(self._again)
                self.floods += 1

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while self.sock.recv(1 << 20):
                pass

    def ends(self, timeout_s: float = 20.0) -> bool:
        """Whether the other side has gone, or goes in time."""
        for thread in self._threads:
            thread.join(timeout_s)
        return not any(thread.is_alive() for thread in self._threads)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        self.sock.close()

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


# --- bombs ------------------------------------------------------------------------------------------------


def _png_of_nothing(side: int) -> bytes:
    return enc.tight_picture("PNG", saved(Image.new("1", (side, side)), "PNG"))


BOMB_SIZE = (2048, 2048)
BOMBS: dict[str, Callable[[], bytes]] = {
    # For a client on a screen of BOMB_SIZE, that shares its clipboard and has asked for a text.
    "zlib": lambda: srv.update(srv.rect(0, 0, 64, 64, Encoding.ZLIB, packed(bytes(32 * MIB)))),
    "zlib, large": lambda: srv.update(srv.rect(0, 0, 2048, 2048, Encoding.ZLIB, packed(bytes(32 * MIB)))),
    "zrle": lambda: srv.update(srv.rect(0, 0, 2048, 2048, Encoding.ZRLE, packed(b"\x01abc" * 1024 + bytes(32 * MIB)))),
    "zrle, runs": lambda: srv.update(
        srv.rect(0, 0, 2048, 2048, Encoding.ZRLE, packed(b"\x80abc" + b"\xff" * 32 * MIB))
    ),
    "tight": lambda: srv.update(srv.rect(0, 0, 2048, 2048, Encoding.TIGHT, tight(0, b"", bytes(32 * MIB)))),
    "tight, gradient": lambda: srv.update(
        srv.rect(0, 0, 20, 2048, Encoding.TIGHT, tight(0x40, b"\x02", b"\1\2\xff" * (20 * 2048)))
    ),
    "png": lambda: srv.update(srv.rect(0, 0, 2048, 2048, Encoding.TIGHT_PNG, _png_of_nothing(2048))),
    "png, larger": lambda: srv.update(srv.rect(0, 0, 2048, 2048, Encoding.TIGHT_PNG, _png_of_nothing(5000))),
    "hextile": lambda: srv.update(
        srv.rect(0, 0, 2048, 2048, Encoding.HEXTILE, (b"\x0a\0\0\0\0\xff" + b"\0\xff" * 255) * 16384)
    ),
    "copies": lambda: srv.update(*[srv.rect(0, 1, 2048, 2047, srv.COPY_RECT, bytes(4))] * 20),
    "cursors": lambda: srv.update(*[cursor(256)] * 200),
    "sizes": lambda: b"".join(
        srv.update(srv.rect(0, 0, 2048 - i % 2, 2048, srv.DESKTOP_SIZE), fill(2047, 2048)) for i in range(101)
    ),
    "texts": lambda: cut_text(b"\xe9" * MIB) * 20,
    "text, packed": lambda: provided(bytes(32 * MIB)),
    "questions": lambda: srv.clipboard(Clip.REQUEST | Clip.TEXT) * 100_000,
    "names": lambda: srv.update(*[name(b"\xff" * 65536)] * 300),
    "sounds": lambda: (SOUND_BEGIN + sound(bytes(MIB)) + SOUND_END) * 20,
    "screens": lambda: srv.update(
        *(srv.extended_size(2048, 2048, screens=[(n, i, n, 9, 9, 9) for n in range(255)]) for i in range(200))
    ),
    "nothing": lambda: srv.update() * 300_000,
    "largest": lambda: srv.update(srv.rect(0, 0, 16384, 16384, srv.DESKTOP_SIZE)),
}
