"""What a disk image says of itself: our own reading of image headers, before any tool opens the file.

Pure functions over a bounded reader. No length or offset of the file is trusted; nothing beyond a few hundred
KiB is ever read. Formats: QEMU ``docs/interop/qcow2.txt`` and ``qed_spec.txt``, VMware "Virtual Disk Format 5.0",
VirtualBox ``VDICore.h``, Microsoft "Virtual Hard Disk Image Format Specification" and [MS-VHDX], ECMA-119 (ISO 9660),
ECMA-167 (UDF), "El Torito" 1.0.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Protocol

SECTOR = 512
_ISO_SECTOR = 2048
MAX_BACKING_NAME = 1023  # qcow2.txt: "must not be longer than 1023 bytes"


class Reader(Protocol):
    """Random access to the file: at most ``length`` bytes from ``offset``, fewer only at the end."""

    @property
    def size(self) -> int: ...

    def read(self, offset: int, length: int) -> bytes: ...


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What the header of an image says.

    ``problems`` are sentences that forbid using the image; ``warnings`` do not. ``backing`` is the raw name of the
    image below, ``data_file`` of an external data file; both are the file's own words: hostile until judged.
    """

    format: str  # QEMU's driver name: "raw", "qcow2", "vmdk", …; "iso" for optical media
    virtual_bytes: int
    backing: str | None = None
    backing_format: str | None = None
    data_file: str | None = None
    encrypted: bool = False
    bootable: bool = True  # optical media: has an El Torito catalogue; disks: has a boot sector or partition table
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=())
    internal_snapshots: int = 0  # held inside the image (qcow2)


def read_header(reader: Reader) -> ImageHeader:
    """Say what the file is. Anything that is no known format is "raw"."""
    start = reader.read(0, 4096)
    for matches, parse in _FORMATS:
        if matches(start):
            header = parse(reader, start)
            if is_optical(reader):
                return _with_problem(header, "The file claims to be two formats at once, which is unsafe.")
            return header
    if is_optical(reader):
        return _optical(reader)
    return _raw(reader, start)


def _with_problem(header: ImageHeader, problem: str) -> ImageHeader:
    return replace(header, problems=(*header.problems, problem))


def _broken(format_name: str, what: str = "Its header is damaged.") -> ImageHeader:
    return ImageHeader(format_name, 0, problems=(what,))


def _text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


# --- qcow2 ------------------------------------------------------------------------------------------------

_QCOW2_EXTERNAL_DATA = 1 << 2
_QCOW2_CORRUPT = 1 << 1
_QCOW2_KNOWN_INCOMPATIBLE = 0b11111  # dirty, corrupt, external data, compression type, extended L2
_QCOW2_EXT_BACKING_FORMAT = 0xE2792ACA
_QCOW2_EXT_DATA_FILE = 0x44415441


def _qcow2(reader: Reader, start: bytes) -> ImageHeader:
    if len(start) < 72:
        return _broken("qcow2")
    version, backing_at, backing_len, cluster_bits, size, crypt = struct.unpack_from(">IQIIQI", start, 4)
    (snapshots,) = struct.unpack_from(">I", start, 60)
    if version not in (2, 3):
        return _broken("qcow", f"It is in version {version} of the qcow format, which is not supported.")
    problems: list[str] = []
    if not 9 <= cluster_bits <= 21:
        problems.append("Its cluster size is not one that QEMU allows.")
    features, header_length = 0, 72
    if version == 3:
        if len(start) < 104:
            return _broken("qcow2")
        (features,) = struct.unpack_from(">Q", start, 72)
        (header_length,) = struct.unpack_from(">I", start, 100)
        if not 104 <= header_length <= 2048:
            return _broken("qcow2")
    if features & ~_QCOW2_KNOWN_INCOMPATIBLE:
        problems.append("It uses features of a newer qcow2 format that this version does not know.")
    if features & _QCOW2_CORRUPT:
        problems.append("It is marked as damaged; repair a copy of it with “qemu-img check -r”.")
    extensions = _qcow2_extensions(reader, header_length)
    data_file = None
    if features & _QCOW2_EXTERNAL_DATA or _QCOW2_EXT_DATA_FILE in extensions:
        data_file = _text(extensions.get(_QCOW2_EXT_DATA_FILE, b""))
        problems.append("It keeps its data in another file, which is refused because it could name any file.")
    backing = None
    if backing_at:
        if backing_len > MAX_BACKING_NAME:
            problems.append("The name of its backing file is too long.")
        else:
            backing = reader.read(backing_at, backing_len).decode("utf-8", "surrogateescape") or None
    backing_format = extensions.get(_QCOW2_EXT_BACKING_FORMAT)
    if crypt:
        problems.append("It is encrypted, which is not supported yet.")
    return ImageHeader(
        "qcow2",
        size,
        backing=backing,
        backing_format=_text(backing_format) if backing_format else None,
        data_file=data_file,
        encrypted=bool(crypt),
        problems=tuple(problems),
        internal_snapshots=min(snapshots, 65536),  # QEMU's own limit (QCOW_MAX_SNAPSHOTS)
    )


def _qcow2_extensions(reader: Reader, offset: int) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    for _ in range(64):
        head = reader.read(offset, 8)
        if len(head) < 8:
            break
        kind, length = struct.unpack(">II", head)
        if kind == 0 or length > 65536:
            break
        found.setdefault(kind, reader.read(offset + 8, min(length, 4096)))
        offset += 8 + (length + 7) // 8 * 8
    return found


# --- QED --------------------------------------------------------------------------------------------------


def _qed(reader: Reader, start: bytes) -> ImageHeader:
    if len(start) < 64:
        return _broken("qed")
    features, size, backing_at, backing_len = struct.unpack_from("<16xQ24xQII", start, 0)
    backing = None
    if features & 1:
        if backing_len > MAX_BACKING_NAME:
            return _broken("qed")
        backing = reader.read(backing_at, backing_len).decode("utf-8", "surrogateescape") or None
    return ImageHeader("qed", size, backing=backing)


# --- VMDK -------------------------------------------------------------------------------------------------

_VMDK_TYPES = frozenset({"monolithicsparse", "streamoptimized"})


def _vmdk_sparse(reader: Reader, start: bytes) -> ImageHeader:
    if len(start) < SECTOR:
        return _broken("vmdk")
    capacity, _grain, descriptor_at, descriptor_len = struct.unpack_from("<QQQQ", start, 12)
    if capacity == 0 or not descriptor_at or descriptor_len > 2048:
        return _broken("vmdk", "It is a VMDK of a kind that refers to other files, which is refused.")
    raw = reader.read(descriptor_at * SECTOR, min(descriptor_len * SECTOR, 65536))
    descriptor = _text(raw)
    match = re.search(r'^\s*createType\s*=\s*"([^"\n]*)"', descriptor, re.MULTILINE | re.IGNORECASE)
    kind = match.group(1) if match else ""
    if kind.lower() not in _VMDK_TYPES:
        return _broken("vmdk", "It is a VMDK of a kind that refers to other files, which is refused.")
    problems: list[str] = []
    backing = None
    parent = re.search(r"^\s*parentCID\s*=\s*([0-9a-f]+)", descriptor, re.MULTILINE | re.IGNORECASE)
    hint = re.search(r'^\s*parentFileNameHint\s*=\s*"([^"\n]*)"', descriptor, re.MULTILINE | re.IGNORECASE)
    if (parent and int(parent.group(1)[:16], 16) != 0xFFFFFFFF) or hint:
        backing = hint.group(1) if hint else "?"
    if kind.lower() == "streamoptimized":
        problems.append("It is a compressed VMDK that cannot be written; convert it to qcow2 with “qemu-img convert”.")
    if capacity > (1 << 63) // SECTOR:
        problems.append("It claims an absurd size.")
    return ImageHeader("vmdk", capacity * SECTOR, backing=backing, problems=tuple(problems), warnings=(_FOREIGN,))


def _vmdk_other(reader: Reader, start: bytes) -> ImageHeader:
    return _broken("vmdk", "It is a VMDK of a kind that refers to other files, which is refused.")


_FOREIGN = "Disks of this format work, but qcow2 is faster and safer: convert it with “qemu-img convert -O qcow2”."


# --- VDI, VHD, VHDX ---------------------------------------------------------------------------------------


def _vdi(reader: Reader, start: bytes) -> ImageHeader:
    if len(start) < 512:
        return _broken("vdi")
    (kind,) = struct.unpack_from("<I", start, 0x4C)
    (size,) = struct.unpack_from("<Q", start, 0x170)
    if kind not in (1, 2):
        return _broken("vdi", "It depends on another disk (a differencing VDI); clone it into one disk first.")
    if start[0x1A8:0x1B8] != bytes(16):
        return _broken("vdi", "It depends on another disk (a differencing VDI); clone it into one disk first.")
    return ImageHeader("vdi", size, warnings=(_FOREIGN,))


def _vhd(reader: Reader, start: bytes) -> ImageHeader:
    if len(start) < SECTOR:
        return _broken("vpc")
    (size,) = struct.unpack_from(">Q", start, 48)
    (kind,) = struct.unpack_from(">I", start, 60)
    if kind != 3:
        return _broken("vpc", "It depends on another disk (a differencing VHD) or is damaged; merge it first.")
    return ImageHeader("vpc", size, warnings=(_FOREIGN,))


_VHDX_METADATA_REGION = bytes.fromhex("06a27c8b90479a4bb8fe575f050f886e")
_VHDX_DISK_SIZE = bytes.fromhex("2442a52f1bcd7648b2115dbed83bf4b8")
_VHDX_PARAMETERS = bytes.fromhex("3767a1ca36fa434db3b633f0aa44e76b")


def _vhdx(reader: Reader, start: bytes) -> ImageHeader:
    table = reader.read(192 * 1024, 65536)
    if table[:4] != b"regi" or len(table) < 16:
        return _broken("vhdx")
    (count,) = struct.unpack_from("<I", table, 8)
    region_at = None
    for index in range(min(count, 2047)):
        entry = table[16 + index * 32 : 48 + index * 32]
        if len(entry) == 32 and entry[:16] == _VHDX_METADATA_REGION:
            (region_at,) = struct.unpack_from("<Q", entry, 16)
    if region_at is None or region_at > reader.size:
        return _broken("vhdx")
    metadata = reader.read(region_at, 65536)
    if metadata[:8] != b"metadata" or len(metadata) < 32:
        return _broken("vhdx")
    (count,) = struct.unpack_from("<H", metadata, 10)
    size, has_parent = None, False
    for index in range(min(count, 2047)):
        entry = metadata[32 + index * 32 : 64 + index * 32]
        if len(entry) < 32:
            break
        offset, length = struct.unpack_from("<II", entry, 16)
        item = reader.read(region_at + offset, min(length, 8))
        if entry[:16] == _VHDX_DISK_SIZE and len(item) == 8:
            (size,) = struct.unpack("<Q", item)
        elif entry[:16] == _VHDX_PARAMETERS and len(item) == 8:
            has_parent = bool(struct.unpack("<II", item)[1] & 2)
    if size is None:
        return _broken("vhdx")
    if has_parent:
        return _broken("vhdx", "It depends on another disk (a differencing VHDX); merge it first.")
    return ImageHeader("vhdx", size, warnings=(_FOREIGN,))


# --- things that are no disk ------------------------------------------------------------------------------


def _encrypted(reader: Reader, start: bytes) -> ImageHeader:
    return ImageHeader("luks", 0, encrypted=True, problems=("It is encrypted (LUKS), which is not supported yet.",))


def _archive(reader: Reader, start: bytes) -> ImageHeader:
    return _broken("archive", "It is a compressed file or an archive; unpack it first and choose what is inside.")


def _unsupported(reader: Reader, start: bytes) -> ImageHeader:
    return _broken(
        "other", "It is in a disk format that is not supported; convert it to qcow2 with “qemu-img convert”."
    )


def _magic(*magics: bytes) -> Callable[[bytes], bool]:
    return lambda start: start.startswith(magics)


def _is_vdi(start: bytes) -> bool:
    return start[0x40:0x44] == b"\x7f\x10\xda\xbe"


def _is_vmdk_text(start: bytes) -> bool:
    """QEMU's vmdk_probe: comment and blank lines, then a line that begins with "version="."""
    for line in start.split(b"\n", 64)[:64]:
        stripped = line.strip(b" \r\t")
        if stripped.startswith(b"version="):
            return True
        if stripped and not stripped.startswith(b"#"):
            return False
        if b"Disk DescriptorFile" in stripped:
            return True
    return False


_OTHER_FORMATS = (b"WithoutFreeSpace", b"WithouFreSpacExt", b"Bochs Virtual HD Image", b"#!/bin/sh\n#V2.0 Format")
_ARCHIVES = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"7z\xbc\xaf\x27\x1c", b"Rar!")

_FORMATS: Iterable[tuple[Callable[[bytes], bool], Callable[[Reader, bytes], ImageHeader]]] = (
    (_magic(b"QFI\xfb"), _qcow2),
    (_magic(b"QED\0"), _qed),
    (_magic(b"KDMV"), _vmdk_sparse),
    (_magic(b"COWD"), _vmdk_other),
    (_is_vmdk_text, _vmdk_other),
    (_is_vdi, _vdi),
    (_magic(b"conectix"), _vhd),
    (_magic(b"vhdxfile"), _vhdx),
    (_magic(b"LUKS\xba\xbe"), _encrypted),
    (
        _magic(b"WithoutFreeSpace", b"WithouFreSpacExt", b"Bochs Virtual HD Image", b"#!/bin/sh\n#V2.0 Format"),
        _unsupported,
    ),
    (
        _magic(b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"7z\xbc\xaf\x27\x1c", b"Rar!"),
        _archive,
    ),
    (lambda start: start[257:262] == b"ustar", _archive),
)


# --- optical media ----------------------------------------------------------------------------------------


def _descriptors(reader: Reader) -> list[bytes]:
    area = reader.read(16 * _ISO_SECTOR, 16 * _ISO_SECTOR)
    return [area[at : at + _ISO_SECTOR] for at in range(0, 16 * _ISO_SECTOR, _ISO_SECTOR)]


def is_optical(reader: Reader) -> bool:
    """ISO 9660 or UDF: volume recognition begins at byte 32768 (ECMA-119 6.7.1, ECMA-167 2/8.3)."""
    names = [sector[1:6] for sector in _descriptors(reader)]
    return bool(names) and (names[0] == b"CD001" or any(name in (b"NSR02", b"NSR03") for name in names))


def _optical(reader: Reader) -> ImageHeader:
    bootable = False
    for sector in _descriptors(reader):
        if sector[:1] == b"\0" and sector[1:6] == b"CD001" and sector[7:30] == b"EL TORITO SPECIFICATION":
            (catalogue,) = struct.unpack_from("<I", sector, 0x47)
            entry = reader.read(catalogue * _ISO_SECTOR, 64)
            bootable = len(entry) == 64 and entry[0] == 1 and entry[30:32] == b"\x55\xaa"
    warnings = () if bootable else ("It has no boot record, so nothing may start from it.",)
    return ImageHeader("iso", reader.size, bootable=bootable, warnings=warnings)


def _raw(reader: Reader, start: bytes) -> ImageHeader:
    if reader.size < SECTOR:
        return _broken("raw", "It is too small to be a disk.")
    bootable = start[510:512] == b"\x55\xaa" or start[512:520] == b"EFI PART" or start[:510].strip(b"\0") == b""
    warnings = () if bootable else ("It has no partition table or boot sector; it may not be a disk image.",)
    return ImageHeader("raw", reader.size, bootable=bootable, warnings=warnings)
