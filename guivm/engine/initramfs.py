"""Parts a small Linux is put together from: a cpio archive, a kernel image, a set of kernel modules.

Pure functions over bytes and paths; nothing here runs a program or needs root.
"""

from __future__ import annotations

import lzma
import posixpath
import re
import stat
import struct
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

_MODULE_SUFFIXES = (".ko", ".ko.xz", ".ko.gz", ".ko.zst")
Unpack = Callable[[bytes], bytes]
"""Unpacks; raises ValueError when it cannot."""

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class Cpio:
    """A cpio archive in the "newc" format, the same bytes for the same content.

    Format: Linux, ``Documentation/driver-api/early-userspace/buffer-format.rst``. Owners are root, times are zero;
    missing parent directories are made. Paths are relative with ``/`` between names.
    """

    def __init__(self) -> None:
        self._entries: dict[str, tuple[int, bytes, tuple[int, int]]] = {}

    def add_directory(self, path: str, mode: int = 0o755) -> None:
        self._add(path, stat.S_IFDIR | mode, b"")

    def add_file(self, path: str, data: bytes, mode: int = 0o644) -> None:
        self._add(path, stat.S_IFREG | mode, data)

    def add_symlink(self, path: str, target: str) -> None:
        self._add(path, stat.S_IFLNK | 0o777, target.encode())

    def add_character_device(self, path: str, major: int, minor: int, mode: int = 0o600) -> None:
        self._add(path, stat.S_IFCHR | mode, b"", (major, minor))

    def _add(self, path: str, mode: int, data: bytes, device: tuple[int, int] = (0, 0)) -> None:
        if path.startswith("/") or posixpath.normpath(path) != path or path.startswith(".."):
            raise ValueError(f"not a plain relative path: {path!r}")
        parent = posixpath.dirname(path)
        if parent and parent not in self._entries:
            self.add_directory(parent)
        self._entries[path] = (mode, data, device)

    def to_bytes(self) -> bytes:
        """Return the archive; directories come before what is in them."""
        parts: list[bytes] = []
        for inode, path in enumerate(sorted(self._entries), start=1):
            mode, data, device = self._entries[path]
            parts += _newc(inode, path, mode, data, device, links=2 if stat.S_ISDIR(mode) else 1)
        parts += _newc(0, "TRAILER!!!", 0, b"", (0, 0), links=1)
        return b"".join(parts)


def _newc(inode: int, path: str, mode: int, data: bytes, device: tuple[int, int], *, links: int) -> list[bytes]:
    name = path.encode() + b"\0"
    fields = (inode, mode, 0, 0, links, 0, len(data), 0, 0, *device, len(name), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return [header + name, bytes(-(len(header) + len(name)) % 4), data, bytes(-len(data) % 4)]


def unpacked_kernel(bzimage: bytes, *, zstd: Unpack | None = None) -> bytes | None:
    """Return the ELF kernel inside an x86 ``bzImage``, or None where it is not packed in a way we can undo.

    QEMU starts such an ELF through its PVH entry: under software translation that saves the seconds a guest
    needs to unpack itself. Header fields: Linux, ``Documentation/arch/x86/boot.rst`` (setup_sects 0x1F1,
    "HdrS" 0x202, version 0x206, payload_offset 0x248, payload_length 0x24C).
    """
    if len(bzimage) < 0x250 or bzimage[0x202:0x206] != b"HdrS":
        return None
    (version,) = struct.unpack_from("<H", bzimage, 0x206)
    if version < 0x208:
        return None
    offset, length = struct.unpack_from("<II", bzimage, 0x248)
    start = ((bzimage[0x1F1] or 4) + 1) * 512 + offset
    payload = bzimage[start : start + length]
    if payload.startswith(_ZSTD_MAGIC):
        payload = payload[:-4]  # the kernel's build appends the unpacked size, which the zstd program refuses
    try:
        kernel = decompressed(payload, zstd=zstd)
    except ValueError:
        return None
    return kernel if kernel.startswith(b"\x7fELF") and has_pvh_entry(kernel) else None


def has_pvh_entry(kernel: bytes) -> bool:
    """Say whether an ELF kernel carries the note XEN_ELFNOTE_PHYS32_ENTRY (18), the PVH entry QEMU looks for."""
    return struct.pack("<III", 4, 4, 18) + b"Xen\0" in kernel or struct.pack("<III", 4, 8, 18) + b"Xen\0" in kernel


def decompressed(data: bytes, *, zstd: Unpack | None = None) -> bytes:
    """Return ``data`` unpacked from xz, gzip, or zstd (where ``zstd`` can); plain data as it is.

    What follows the packed stream is ignored. Raises ValueError when the data are broken or packed in another way.
    """
    try:
        if data.startswith(b"\xfd7zXZ\0"):
            xz = lzma.LZMADecompressor()
            return _whole(xz.decompress(data), ended=xz.eof)
        if data.startswith(b"\x1f\x8b"):
            gzip = zlib.decompressobj(wbits=31)
            return _whole(gzip.decompress(data), ended=gzip.eof)
    except (lzma.LZMAError, zlib.error) as error:
        raise ValueError(str(error)) from error
    if data.startswith(_ZSTD_MAGIC) and zstd is not None:
        return zstd(data)
    if data.startswith(b"\x7fELF"):
        return data
    raise ValueError("packed in an unknown way")


def _whole(data: bytes, *, ended: bool) -> bytes:
    if not ended:
        raise ValueError("the packed data are cut short")
    return data


# --- kernel modules ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class KernelModule:
    """One unpacked module: its name with underscores, what it needs, which devices it serves."""

    name: str
    data: bytes
    needs: tuple[str, ...]
    aliases: tuple[str, ...]


def module_name(path: str) -> str | None:
    """Return the kernel's name of a module file, ``xhci_hcd`` of ``…/xhci-hcd.ko.xz``; None for other files."""
    base = posixpath.basename(path)
    for suffix in _MODULE_SUFFIXES:
        if base.endswith(suffix):
            return base.removesuffix(suffix).replace("-", "_")
    return None


def read_module(name: str, data: bytes) -> KernelModule:
    """Read what ``modinfo`` would say. The ``.modinfo`` section holds ``key=value`` strings ended by NUL."""
    depends = re.search(rb"\0depends=([^\0]*)\0", data)
    needs = depends.group(1).decode("ascii").split(",") if depends and depends.group(1) else []
    for soft in re.findall(rb"\0softdep=pre: ([^\0:]*)\0", data):
        needs += soft.decode("ascii").split()
    aliases = re.findall(rb"(?<=\0)alias=([\x20-\x7e]+)\0", data)
    return KernelModule(
        name,
        data,
        tuple(need.replace("-", "_") for need in needs),
        tuple(alias.decode("ascii") for alias in aliases),
    )


def missing_needs(modules: Mapping[str, KernelModule]) -> set[str]:
    """Return the names that ``modules`` need and that are not among them."""
    return {need for module in modules.values() for need in module.needs} - set(modules)


def add_modules(archive: Cpio, release: str, modules: Iterable[KernelModule]) -> None:
    """Put modules, ``modules.dep`` and ``modules.alias`` where ``modprobe`` of kernel ``release`` looks for them."""
    known = {module.name: module for module in modules}
    base = f"lib/modules/{release}"
    dep_lines: list[str] = []
    alias_lines: list[str] = []
    for name, module in sorted(known.items()):
        archive.add_file(f"{base}/{name}.ko", module.data)
        dep_lines.append(f"{name}.ko:" + "".join(f" {need}.ko" for need in _closure(known, name)))
        alias_lines += [f"alias {alias} {name}" for alias in module.aliases]
    archive.add_file(f"{base}/modules.dep", ("\n".join(dep_lines) + "\n").encode())
    archive.add_file(f"{base}/modules.alias", ("\n".join(alias_lines) + "\n").encode())


def _closure(known: Mapping[str, KernelModule], name: str) -> list[str]:
    """All modules ``name`` needs, those needed last at the end, as depmod writes them."""
    order: list[str] = []

    def visit(current: str, above: tuple[str, ...]) -> None:
        for need in known[current].needs:
            if need in known and need not in above:
                visit(need, (*above, need))
                if need not in order:
                    order.append(need)

    visit(name, (name,))
    return order[::-1]
