"""What must hold for disk images after anything that was done to them, found out without the code under test.

The reader of qcow2 is our own (QEMU ``docs/interop/qcow2.txt``); tests hold it against ``qemu-img convert``.
"""

from __future__ import annotations

import hashlib
import os
import struct
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_OFFSET = 0x00FF_FFFF_FFFF_FE00
_COMPRESSED = 1 << 62
_ZERO = 1
_BACKING_FORMAT = 0xE2792ACA


@dataclass(frozen=True, slots=True)
class Qcow2:
    """The header, as far as needed. ``backing`` is as written; empty: none."""

    path: Path
    cluster: int
    size: int
    l1: tuple[int, ...]
    backing: str
    backing_format: str

    @classmethod
    def read(cls, path: Path) -> Qcow2:
        with path.open("rb") as stream:
            header = stream.read(104)
            magic, version, backing_at, backing_len, bits, size, crypt, entries, l1_at = struct.unpack_from(
                ">4sIQIIQIIQ", header
            )
            assert (magic, version in (2, 3), crypt) == (b"QFI\xfb", True, 0), path
            stream.seek(backing_at)
            backing = stream.read(backing_len).decode() if backing_at else ""
            stream.seek(l1_at)
            l1 = struct.unpack(f">{entries}Q", stream.read(8 * entries))
            stream.seek(struct.unpack_from(">I", header, 100)[0] if version == 3 else 72)
            form = ""
            while True:
                kind, length = struct.unpack(">II", stream.read(8))
                data = stream.read((length + 7) // 8 * 8)[:length]
                if kind == 0:
                    break
                if kind == _BACKING_FORMAT:
                    form = data.decode()
        return cls(path, 1 << bits, size, l1, backing, form)

    def clusters(self, first: int, last: int) -> Iterator[bytes | None]:
        """The bytes of each cluster from ``first`` to before ``last``; None: read the image below."""
        with self.path.open("rb") as stream:
            for number in range(first, last):
                table = self.l1[number // (self.cluster // 8)] & _OFFSET
                entry = 0
                if table:
                    stream.seek(table + 8 * (number % (self.cluster // 8)))
                    (entry,) = struct.unpack(">Q", stream.read(8))
                assert not entry & _COMPRESSED, "compressed clusters are not needed here"
                if entry & _ZERO:
                    yield bytes(self.cluster)
                elif entry & _OFFSET:
                    stream.seek(entry & _OFFSET)
                    yield stream.read(self.cluster).ljust(self.cluster, b"\0")
                else:
                    yield None


def contents(path: str | Path, form: str, at: int = 0, length: int | None = None) -> bytes:
    """What a guest reads from byte ``at`` on, all of it or ``length`` bytes; zeros beyond its end."""
    plain = Path(path)
    if form == "raw":
        with plain.open("rb") as stream:
            stream.seek(at)
            found = stream.read(-1 if length is None else length)
        return found if length is None else found.ljust(length, b"\0")
    image = Qcow2.read(plain)
    length = image.size - at if length is None else length
    below = b""
    if image.backing:
        assert Path(image.backing).is_absolute(), f"{path} is on {image.backing!r}"
        assert image.backing_format, f"{path} does not say of which format {image.backing} is"
        below = contents(image.backing, image.backing_format, at, length)
    whole = bytearray(below.ljust(length, b"\0"))
    first, last = at // image.cluster, -(-min(at + length, image.size) // image.cluster)
    for number, cluster in enumerate(image.clusters(first, last), first):
        if cluster is not None:
            begin, end = max(at, number * image.cluster), min(at + length, (number + 1) * image.cluster)
            whole[begin - at : end - at] = cluster[begin - number * image.cluster : end - number * image.cluster]
    return bytes(whole)


def digest(path: str | Path, form: str) -> str:
    """Of all that a guest reads."""
    return hashlib.sha256(contents(path, form)).hexdigest()


def chain(path: str | Path, form: str) -> list[tuple[Path, str]]:
    """The image and all below it, with their formats. Fails for one that is missing or of no explicit format."""
    found = [(Path(path), form)]
    while found[-1][1] == "qcow2":
        image = Qcow2.read(found[-1][0])
        if not image.backing:
            break
        assert image.backing_format, f"{image.path} does not say of which format {image.backing} is"
        assert Path(image.backing).exists(), f"{image.path} needs {image.backing}"
        assert len(found) < 100
        found.append((Path(image.backing), image.backing_format))
    return found


def check_images(paths: Iterable[Path], known: set[bytes] | None = None) -> None:
    """``qemu-img check``: neither damage nor leaks. Fails with its words. ``known``: hashes of files that are sound."""
    for path in paths:
        mark = hashlib.sha256(path.read_bytes()).digest() if known is not None else b""
        if known is not None and mark in known:
            continue
        done = subprocess.run(
            ["qemu-img", "check", "-f", "qcow2", "--", os.fspath(path)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{path}: {done.stdout}{done.stderr}"
        if known is not None:
            known.add(mark)


def make_image(path: Path, form: str = "qcow2", size: int = 1 << 20) -> Path:
    """An empty one."""
    _run("qemu-img", "create", "-q", "-f", form, "--", path, str(size))
    return path


def write_pattern(path: Path, value: int, at: int, length: int, form: str = "qcow2") -> None:
    """As a guest would."""
    _run("qemu-io", "-f", form, "-c", f"write -q -P {value} {at} {length}", path)


def _run(*arguments: str | Path) -> None:
    done = subprocess.run([os.fspath(a) for a in arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
