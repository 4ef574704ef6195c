"""Disk images and installation media: looking at them safely, making new ones, walking backing chains.

A file is judged by our own reading of its header first; then ``qemu-img info -f FORMAT``, under resource limits, must
agree. That order is what CVE-2024-32498 and CVE-2024-44082 teach: a tool that guesses the format follows whatever
the file names. Nothing here runs on the GUI thread.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from guivm.engine import qemu_img
from guivm.engine.context import HandlerContext
from guivm.engine.files import FileIdentity, fsync_file, identity, rename_new
from guivm.engine.image_headers import ImageHeader, read_header
from guivm.engine.job_types import MediaInfo, MediaKind
from guivm.engine.requests import InspectMedia
from guivm.errors import ImageError, NoSpaceError, OperationError, UnsupportedError

MAX_DISK_BYTES = 1 << 50
"""1 PiB: above it a size is taken for a mistake or an attack. QEMU's qcow2 with 64 KiB clusters ends at 2 EiB."""

MAX_CHAIN = 64
"""Longest backing chain followed. libvirt itself stops at 200."""

_MAX_TOOL_OUTPUT = 1 << 20


@dataclass(frozen=True, slots=True)
class ChainLink:
    """One image of a backing chain, top first. ``exists`` False: the file named is missing or unreadable."""

    path: Path
    format: str
    exists: bool = True


class _FileReader:
    """Bounded random access to an open descriptor."""

    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor = descriptor
        self._size = size

    @property
    def size(self) -> int:
        return self._size

    def read(self, offset: int, length: int) -> bytes:
        if offset < 0 or offset >= 1 << 63 or length <= 0:
            return b""
        try:
            return os.pread(self._descriptor, min(length, 1 << 17), offset)
        except OSError as error:
            raise ImageError("The file cannot be read.", details=str(error)) from error


@contextlib.contextmanager
def _opened(path: Path, *, allow_block: bool) -> Iterator[_FileReader]:
    """Open for reading without ever blocking or touching a device that is not a disk. Raises ImageError."""
    wanted = "a disk image" if allow_block else "a file"
    try:
        before = path.stat()
    except FileNotFoundError as error:
        raise ImageError("There is no such file.", advice="Choose another one.", details=str(error)) from error
    except (OSError, ValueError) as error:
        raise ImageError("The file cannot be reached.", advice="Check its permissions.", details=str(error)) from error
    _require_kind(before.st_mode, allow_block, wanted)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except PermissionError as error:
        raise ImageError("You may not read the file.", advice="Change its permissions.", details=str(error)) from error
    except OSError as error:
        raise ImageError("The file cannot be opened.", details=str(error)) from error
    try:
        opened = os.fstat(descriptor)
        _require_kind(opened.st_mode, allow_block, wanted)
        size = opened.st_size if stat.S_ISREG(opened.st_mode) else os.lseek(descriptor, 0, os.SEEK_END)
        yield _FileReader(descriptor, size)
    finally:
        os.close(descriptor)


def _require_kind(mode: int, allow_block: bool, wanted: str) -> None:
    if stat.S_ISREG(mode) or (allow_block and stat.S_ISBLK(mode)):
        return
    what = "a folder" if stat.S_ISDIR(mode) else "a device, a pipe or a socket"
    raise ImageError(f"This is {what}, not {wanted}.", advice="Choose a file.")


def header_of(path: Path, *, allow_block: bool = True) -> ImageHeader:
    """Our own reading of the header. Raises ImageError when the file cannot be read."""
    with _opened(path, allow_block=allow_block) as reader:
        return read_header(reader)


def require_readable(path: Path, largest_bytes: int) -> None:
    """Raise ImageError unless ``path`` is a readable, regular, non-empty file of at most ``largest_bytes``."""
    with _opened(path, allow_block=False) as reader:
        if reader.size == 0:
            raise ImageError("The file is empty.", advice="Choose another one.")
        if reader.size > largest_bytes:
            raise ImageError("The file is far too large for this.", advice="Choose another one.")


def inspect_media(path: Path) -> tuple[MediaInfo, ImageHeader]:
    """Say what a file is, and refuse what is unsafe.

    Raises ImageError. Blocks for the reads and, for other than raw and optical media, a short ``qemu-img info``.
    """
    header = header_of(path)
    if header.problems:
        raise ImageError(f"“{path.name}” cannot be used. {header.problems[0]}")
    if header.backing is not None:
        raise ImageError(
            f"“{path.name}” cannot be used: it depends on another image.",
            advice="Merge it into one image first, with “qemu-img convert”.",
            details=header.backing,
        )
    if not 0 < header.virtual_bytes <= MAX_DISK_BYTES:
        raise ImageError(f"“{path.name}” cannot be used: it claims a size that makes no sense.")
    wanted = expected_formats(path)
    if wanted is not None and header.format not in wanted:
        raise ImageError(
            f"“{path.name}” is not what its name says: by its contents its format is “{header.format}”.",
            advice="Rename it to match, if you trust where it comes from.",
        )
    if header.format not in ("iso", "raw"):
        _require_agreement(path, header)
    kind = MediaKind.ISO if header.format == "iso" else MediaKind.DISK
    return MediaInfo(path, kind, header.format, header.virtual_bytes), header


def expected_formats(path: Path) -> frozenset[str] | None:
    """Formats that a file of this name may have; None when the name promises nothing (``.img``, none)."""
    return _BY_SUFFIX.get(path.suffix.lower())


_BY_SUFFIX: dict[str, frozenset[str]] = {
    ".qcow2": frozenset({"qcow2"}),
    ".raw": frozenset({"raw"}),
    ".iso": frozenset({"iso"}),
    ".vmdk": frozenset({"vmdk"}),
    ".vdi": frozenset({"vdi"}),
    ".vhd": frozenset({"vpc"}),
    ".vpc": frozenset({"vpc"}),
    ".vhdx": frozenset({"vhdx"}),
    ".qed": frozenset({"qed"}),
}


def inspect_media_request(context: HandlerContext, request: InspectMedia) -> MediaInfo:
    """Handler of InspectMedia."""
    if not context.host.is_local:
        raise UnsupportedError(
            "Files on another computer cannot be looked at yet.", advice="Choose a host that is this computer."
        )
    return inspect_media(request.path)[0]


# --- qemu-img ---------------------------------------------------------------------------------------------


def _require_agreement(path: Path, header: ImageHeader) -> None:
    """QEMU, told the format, must see the same size and the same lack of other files. Raises ImageError."""
    done = qemu_img.look(["info", "-U", "-f", header.format, "--output=json", "--", os.fspath(path.absolute())])
    if done.returncode != 0 or len(done.stdout) > _MAX_TOOL_OUTPUT:
        raise ImageError(f"QEMU cannot read “{path.name}” as {header.format}.", details=qemu_img.words(done.stderr))
    try:
        seen = json.loads(done.stdout)
        size, format_name = int(seen["virtual-size"]), str(seen["format"])
        points_elsewhere = "backing-filename" in seen or _has_data_file(seen)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ImageError(f"QEMU's report on “{path.name}” makes no sense.", details=str(error)) from error
    # VHD geometry: QEMU may count cylinders, heads and sectors (block/vpc.c), up to one cylinder below.
    slack = 16 * 255 * 512 if header.format == "vpc" else 0
    rounded = -(-header.virtual_bytes // 512) * 512
    if format_name != header.format or points_elsewhere or not rounded - slack <= size <= rounded + slack:
        raise ImageError(
            f"“{path.name}” cannot be used: its header and QEMU's reading of it do not agree.",
            details=f"{header.format}, {header.virtual_bytes} bytes; {format_name}, {size} bytes",
        )


def _has_data_file(seen: object) -> bool:
    match seen:
        case {"format-specific": {"data": {"data-file": _}}}:
            return True
    return False


def free_bytes(directory: Path) -> int:
    """Bytes an ordinary user may still write in the file system of ``directory`` (or of its nearest parent)."""
    for candidate in (directory, *directory.parents):
        try:
            status = os.statvfs(candidate)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise OperationError("The free space cannot be read.", details=str(error)) from error
        return status.f_bavail * status.f_frsize
    return 0


def create_qcow2(path: Path, size_bytes: int, check_cancelled: Callable[[], None] | None = None) -> None:
    """Make an empty qcow2 image (mode 0600) at ``path``, which must not exist: ``.part``, fsync, then its name.

    Raises ImageError, NoSpaceError, OperationError, or what ``check_cancelled`` raises; then nothing is left behind.
    """
    if not 0 < size_bytes <= MAX_DISK_BYTES or size_bytes % 512:
        raise ImageError("The size of the new disk makes no sense.", advice="Choose another size.")
    part = path.with_name(path.name + ".part")
    made = False
    try:
        try:
            # Ours alone from the first moment; qemu-img writes into it.
            os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            made = True
            done = qemu_img.look(["create", "-q", "-f", "qcow2", "--", os.fspath(part.absolute()), str(size_bytes)])
            if done.returncode != 0:
                _raise_for_space(part.parent, qemu_img.words(done.stderr))
                raise OperationError("The new disk could not be created.", details=qemu_img.words(done.stderr))
            if check_cancelled is not None:
                check_cancelled()
            fsync_file(part)
            rename_new(part, path)
            made = False
        except FileExistsError as error:
            raise OperationError("A file of the new disk's name exists already.", details=str(error)) from error
        except OSError as error:
            _raise_for_space(part.parent, str(error))
            raise OperationError("The new disk could not be created.", details=str(error)) from error
    finally:
        if made:
            part.unlink(missing_ok=True)


def _raise_for_space(directory: Path, words: str) -> None:
    if "No space left" in words or "Disk quota exceeded" in words or free_bytes(directory) < 1 << 20:
        raise NoSpaceError("There is no space left for the new disk.", advice="Free some space.", details=words)


# --- chains -----------------------------------------------------------------------------------------------


def backing_path(image: Path, backing: str) -> Path | None:
    """Path that QEMU would open for the backing name in ``image``; None when it is not a plain file name.

    Relative names are relative to the folder of the image as named (QEMU: ``path_combine``). ``file:NAME`` is a
    plain name; ``json:`` and other protocols are not.
    """
    name = backing.removeprefix("file:") if backing.startswith("file:") else backing
    first = name.split("/", 1)[0]
    if not name or ":" in first or "\0" in name:
        return None
    return image.parent / name


def chain(path: Path) -> tuple[ChainLink, ...]:
    """The image and all below it, top first, by our own reading of the headers.

    Never raises for what the files hold: a missing, unreadable or foreign link ends the chain with ``exists`` False.
    Loops and depth are bounded.
    """
    links: list[ChainLink] = []
    seen: set[FileIdentity] = set()
    current: Path | None = path
    while current is not None and len(links) < MAX_CHAIN:
        mark = identity(current)
        if mark is None or mark in seen:
            if mark is None:
                links.append(ChainLink(current, "", exists=False))
            break
        seen.add(mark)
        try:
            header = header_of(current)
        except ImageError:
            links.append(ChainLink(current, "", exists=False))
            break
        links.append(ChainLink(current, header.format))
        if header.data_file:
            data = backing_path(current, header.data_file)
            if data is not None:
                links.append(ChainLink(data, "raw", exists=identity(data) is not None))
        current = None if header.backing is None else backing_path(current, header.backing)
    return tuple(links)
