"""Records ``rfb_goldens_pixels.py`` anew: ``python -m tests.helpers.record_rfb_goldens``.

Starts QEMU and TigerVNC's Xvnc on UNIX sockets, brings a picture onto their screens and asks for it in one encoding
after the other. What counts as right is the same still screen in Raw, from the same server, before and after; for
QEMU it is also compared with QMP's screendump. Nothing of our decoders is used. Needs qemu-system-x86, binutils,
tigervnc-standalone-server, imagemagick and ruff.
"""

from __future__ import annotations

import base64
import contextlib
import json
import lzma
import os
import re
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.guests import boot_sector_image

OUT = Path(__file__).with_name("rfb_goldens_pixels.py")
_GUEST = Path(__file__).parent / "guests" / "slope.S"
_QUIET_S = 0.5  # a server that was silent for so long has said all
_LAST_RECT = -224

RAW, RRE, HEXTILE, ZLIB, TIGHT, ZRLE, TIGHT_PNG = 0, 2, 5, 6, 7, 16, -260


@dataclass(frozen=True)
class Wish:
    """What is asked for: the name it gets, the encodings, whether pixels may differ a little, the size if not all."""

    name: str
    encodings: tuple[int, ...]
    lossy: bool = False
    size: tuple[int, int] | None = None


def quality(level: int) -> int:
    return -32 + level


def compress(level: int) -> int:
    return -256 + level


TEXT_WISHES = (
    Wish("hextile", (HEXTILE,)),
    Wish("zlib", (ZLIB,)),
    Wish("tight", (TIGHT, compress(1))),
    Wish("tight at level 9", (TIGHT, compress(9))),
    Wish("tight png", (TIGHT_PNG, compress(9))),
    Wish("zrle", (ZRLE,)),
)
SLOPE_WISHES = (
    Wish("hextile", (HEXTILE,)),
    Wish("tight", (TIGHT, compress(9))),
    Wish("tight png", (TIGHT_PNG, compress(9))),
    Wish("zrle", (ZRLE,)),
)
LOSSY_WISHES = (
    Wish("tight gradient", (TIGHT, compress(9)), size=(128, 64)),
    Wish("tight jpeg", (TIGHT, compress(9), quality(5)), lossy=True, size=(128, 64)),
    Wish("tight png and jpeg", (TIGHT_PNG, compress(9), quality(5)), lossy=True, size=(128, 64)),
)
XVNC_WISHES = (
    Wish("rre", (RRE,), size=(128, 56)),  # with many colours it sends Raw instead
    Wish("hextile", (HEXTILE,)),
    Wish("tight", (TIGHT, compress(6))),
    Wish("tight palette", (TIGHT, compress(6)), size=(128, 56)),
    Wish("tight two colours", (TIGHT, compress(6)), size=(128, 19)),
    Wish("tight with the last rectangle marked", (TIGHT, compress(1), _LAST_RECT)),
    Wish("tight jpeg", (TIGHT, compress(2), quality(6)), lossy=True),
    Wish("zrle", (ZRLE, compress(6))),
    Wish("zrle of few colours", (ZRLE, compress(6)), size=(128, 56)),
)


class Client:
    """Just enough of RFB 3.8 to ask for pictures. Raises OSError when the server does not answer."""

    def __init__(self, path: Path) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(str(path))
        self.read(12)
        self.sock.sendall(b"RFB 003.008\n")
        self.read(self.read(1)[0])
        self.sock.sendall(b"\x01")
        self.read(4)
        self.sock.sendall(b"\x01")
        head = self.read(24)
        self.width, self.height = struct.unpack(">HH", head[:4])
        self.read(struct.unpack(">I", head[20:])[0])
        self.sock.sendall(b"\0\0\0\0" + struct.pack(">BBBBHHHBBBxxx", 32, 24, 0, 1, 255, 255, 255, 16, 8, 0))

    def read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self.sock.recv(count - len(data))
            if not part:
                raise ConnectionError("the server closed the connection")
            data += part
        return data

    def picture(self, encodings: Sequence[int], size: tuple[int, int] | None = None) -> bytes:
        """All the server says to a request of the screen's upper left, else of all of it."""
        width, height = size or (self.width, self.height)
        self.sock.sendall(struct.pack(f">BxH{len(encodings)}i", 2, len(encodings), *encodings))
        self.sock.sendall(struct.pack(">BBHHHH", 3, 0, 0, 0, width, height))
        return self.listen()

    def listen(self) -> bytes:
        """All the server says until it falls silent."""
        data = self.read(1)
        self.sock.settimeout(_QUIET_S)
        with contextlib.suppress(TimeoutError):
            while part := self.sock.recv(1 << 20):
                data += part
        self.sock.settimeout(10)
        return data

    def raw(self) -> bytes:
        """The screen's pixels B, G, R, 0."""
        data = self.picture((RAW,))
        kind, count = struct.unpack_from(">BxH", data)
        assert kind == 0
        rows = [bytearray(self.width * 4) for _ in range(self.height)]
        at = 4
        for _ in range(count):
            x, y, width, height, encoding = struct.unpack_from(">HHHHi", data, at)
            assert encoding == RAW
            at += 12
            for row in range(y, y + height):
                rows[row][x * 4 : (x + width) * 4] = data[at : at + width * 4]
                at += width * 4
        assert at == len(data)
        pixels = bytearray(b"".join(rows))
        pixels[3::4] = bytes(len(pixels) // 4)
        return bytes(pixels)


@dataclass(frozen=True)
class Scene:
    name: str
    server: str  # what it was
    width: int
    height: int
    picture: bytes
    streams: tuple[tuple[Wish, bytes], ...]


def record(path: Path, name: str, server: str, wishes: Sequence[Wish]) -> Scene:
    """Each stream from a connection of its own, so that it begins with fresh zlib streams."""
    with contextlib.closing(Client(path).sock):
        pass
    first = Client(path)
    before = first.raw()
    first.sock.close()
    streams = []
    for wish in wishes:
        client = Client(path)
        streams.append((wish, client.picture(wish.encodings, wish.size)))
        client.sock.close()
    last = Client(path)
    if last.raw() != before:
        raise RuntimeError(f"the screen of {name} was not still")
    last.sock.close()
    return Scene(name, server, last.width, last.height, before, tuple(streams))


def _wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        if path.exists():
            return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} did not open {path}")


@contextlib.contextmanager
def _running(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.terminate()


class Qmp:
    def __init__(self, path: Path) -> None:
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.settimeout(10)
        self._sock.connect(str(path))
        self._file = self._sock.makefile("rwb")
        self._file.readline()
        self.run("qmp_capabilities")

    def run(self, command: str, **arguments: object) -> None:
        self._file.write(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        self._file.flush()
        while True:
            answer = json.loads(self._file.readline())
            if "error" in answer:
                raise RuntimeError(f"{command}: {answer['error']}")
            if "return" in answer:
                return

    def close(self) -> None:
        self._file.close()
        self._sock.close()


def _ppm(path: Path) -> tuple[int, int, bytes]:
    data = path.read_bytes()
    match = re.match(rb"P6\n(\d+) (\d+)\n255\n", data)
    assert match is not None
    return int(match[1]), int(match[2]), data[match.end() :]


def qemu(work: Path, name: str, disk: Path, size: tuple[int, int], wishes: Sequence[Wish], *, lossy: bool) -> Scene:
    """The picture of a guest that was let run until its screen had ``size``, and then stopped."""
    vnc, qmp_path, dump = work / "vnc", work / "qmp", work / "dump.ppm"
    for path in (vnc, qmp_path, dump):
        path.unlink(missing_ok=True)
    # Adaptive, QEMU sends JPEG only for what changes often.
    more = ",lossy=on,non-adaptive=on" if lossy else ""
    arguments = ("-M", "q35", "-accel", "tcg", "-m", "32", "-nodefaults", "-device", "VGA", "-display", "none")
    with _running(
        *("qemu-system-x86_64", *arguments, "-name", "golden", "-vnc", f"unix:{vnc}{more}"),
        *("-drive", f"file={disk},format=raw,snapshot=on", "-qmp", f"unix:{qmp_path},server=on,wait=off"),
    ) as process:
        _wait_for(qmp_path, process)
        qmp = Qmp(qmp_path)
        for _ in range(200):
            qmp.run("screendump", filename=str(dump))
            if _ppm(dump)[:2] == size:
                break
            time.sleep(0.1)
        time.sleep(2)  # until it is drawn
        qmp.run("stop")
        scene = record(vnc, name, f"{_version('qemu-system-x86_64')}, -vnc unix:...{more}", wishes)
        qmp.run("screendump", filename=str(dump))
        width, height, pixels = _ppm(dump)
        bgr = bytearray(width * height * 3)
        for channel in range(3):
            bgr[channel::3] = scene.picture[2 - channel :: 4]
        if (width, height, bytes(bgr)) != (scene.width, scene.height, pixels):
            raise RuntimeError(f"{name}: Raw and the screendump are not the same")
        qmp.close()
    return scene


def _moved(vnc: Path, display: str, server: str) -> Scene:
    """A window that was moved: the picture in Raw, and the copy that followed."""
    env = {**os.environ, "DISPLAY": display}
    _do("xdotool", "search", "--sync", "--onlyvisible", "--class", "xterm", env=env)
    time.sleep(1)  # until it is drawn
    client = Client(vnc)
    stream = client.picture((1, RAW))
    client.sock.sendall(struct.pack(">BBHHHH", 3, 1, 0, 0, client.width, client.height))
    _do("xdotool", "search", "--class", "xterm", "windowmove", "41", "37", env=env)
    stream += client.listen()
    picture = client.raw()
    client.sock.close()
    return Scene("Xvnc, window moved", server, client.width, client.height, picture, ((Wish("copy", (1,)), stream),))


def xvnc(work: Path, name: str, wishes: Sequence[Wish]) -> tuple[Scene, Scene]:
    """Lines, text, two and few colours, a slope and something like a photograph on the root window."""
    picture, vnc = work / "picture.png", work / "xvnc"
    _do(
        *("convert", "-size", "128x96", "xc:#3a5f7d", "-seed", "7"),
        *("(", "-size", "32x28", "plasma:fractal", ")", "-geometry", "+8+62", "-composite"),
        *("(", "-size", "32x28", "gradient:red-blue", ")", "-geometry", "+46+62", "-composite"),
        *("(", "-size", "34x28", "pattern:checkerboard", "-auto-level", ")", "-geometry", "+84+62", "-composite"),
        *("+antialias", "-fill", "white", "-stroke", "none", "-pointsize", "12", "-annotate", "+8+16", "Goldens of 16"),
        *("-stroke", "yellow", "-draw", "line 4,22 123,52", "-stroke", "black", "-draw", "line 4,52 123,22"),
        *("-fill", "#c03020", "-draw", "rectangle 60,26 74,48", str(picture)),
    )
    read, write = os.pipe()
    command = ("Xvnc", "-displayfd", str(write), "-geometry", "128x96", "-depth", "24", "-SecurityTypes", "None")
    with subprocess.Popen(
        (*command, "-rfbport", "-1", "-rfbunixpath", str(vnc), "-nolisten", "tcp", "-br"), pass_fds=(write,)
    ) as process:
        try:
            os.close(write)
            with os.fdopen(read) as numbers:
                display = f":{numbers.readline().strip()}"
            _wait_for(vnc, process)
            # It answers 1 although it paints.
            subprocess.run(("display", "-display", display, "-window", "root", str(picture)), check=False)
            _do("xdotool", "mousemove", "127", "95", env={**os.environ, "DISPLAY": display})
            scene = record(vnc, name, _version("Xvnc", "-version"), wishes)
            if len(set(scene.picture)) < 100:
                raise RuntimeError("the picture did not come onto the screen")
            with _running("xterm", "-display", display, "-geometry", "8x2+0+0", "-e", "sleep", "60"):
                return scene, _moved(vnc, display, scene.server)
        finally:
            process.terminate()


def _do(*command: str, env: dict[str, str] | None = None) -> None:
    subprocess.run(command, stdin=subprocess.DEVNULL, check=True, env=env)


def _version(program: str, option: str = "--version") -> str:
    done = subprocess.run((program, option), capture_output=True, text=True, check=False)
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return re.sub(r" - built .*", "", lines[0])


def slope_image(work: Path) -> Path:
    disk = work / "slope.img"
    _do("as", "--32", "-o", str(work / "slope.o"), str(_GUEST))
    _do(
        *("ld", "-m", "elf_i386", "--oformat", "binary", "-Ttext", "0x7c00", "-e", "start"),
        *("-o", str(disk), str(work / "slope.o")),
    )
    disk.write_bytes(disk.read_bytes().ljust(1 << 20, b"\0"))
    return disk


_HEAD = '''"""Pictures from real servers, in every encoding they have. Made by ``record_rfb_goldens.py``: do not edit.

``stream`` is one whole answer to a request of the whole screen: the update with its header. ``picture`` is the same
still screen in Raw, B, G, R, 0; QEMU's was also compared with QMP's screendump. Pixels: 32 bits, little-endian, BGRX.
"""

from __future__ import annotations

import base64
import lzma
from dataclasses import dataclass


@dataclass(frozen=True)
class Golden:
    name: str
    encoding: int
    lossy: bool
    size: tuple[int, int]  # the part of the screen that was asked for, from the upper left on
    stream: bytes


@dataclass(frozen=True)
class Scene:
    name: str
    server: str
    width: int
    height: int
    picture: bytes
    goldens: tuple[Golden, ...]


def _unpack(text: str) -> bytes:
    return lzma.decompress(base64.b85decode(text))


'''


def _packed(data: bytes) -> str:
    text = base64.b85encode(lzma.compress(data, lzma.FORMAT_ALONE)).decode()
    lines = [text[at : at + 100] for at in range(0, len(text), 100)]
    return "_unpack(" + "\n".join(repr(line) for line in lines) + ")"


def write(scenes: Sequence[Scene]) -> None:
    text = _HEAD + "SCENES = ("
    for scene in scenes:
        text += f"Scene({scene.name!r}, {scene.server!r}, {scene.width}, {scene.height}, {_packed(scene.picture)}, ("
        for wish, stream in scene.streams:
            size = wish.size or (scene.width, scene.height)
            text += f"Golden({wish.name!r}, {wish.encodings[0]}, {wish.lossy}, {size}, {_packed(stream)}),"
        text += ")),"
    OUT.write_text(text + ")\n", encoding="ascii", errors="strict")
    _do("ruff", "format", "--quiet", str(OUT))


def main() -> None:
    scenes = []
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        text, slope = boot_sector_image(work / "text.img"), slope_image(work)
        scenes.append(qemu(work, "QEMU, text", text, (720, 400), TEXT_WISHES, lossy=False))
        scenes.append(qemu(work, "QEMU, slope", slope, (640, 400), SLOPE_WISHES, lossy=False))
        scenes.append(qemu(work, "QEMU, lossy slope", slope, (640, 400), LOSSY_WISHES, lossy=True))
        scenes.extend(xvnc(work, "Xvnc", XVNC_WISHES))
    write(scenes)
    for scene in scenes:
        print(scene.name, scene.server, scene.width, scene.height, len(_packed(scene.picture)))
        for wish, stream in scene.streams:
            print("  ", wish.name, len(stream), len(_packed(stream)))


if __name__ == "__main__":
    main()
