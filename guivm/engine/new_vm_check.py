"""Everything that can be wrong with a new VM, found before anything is made. All problems at once, by field."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import libvirt

from guivm.engine import images
from guivm.engine.capabilities import read_capabilities
from guivm.engine.context import HandlerContext
from guivm.engine.job_types import (
    DiskSource,
    FieldProblem,
    Firmware,
    HostCapabilities,
    IsoSource,
    KernelSource,
    MediaInfo,
    MediaKind,
    NewVmField,
    NewVmSpec,
    VirtType,
)
from guivm.engine.operations import NAME_LIMIT
from guivm.engine.references import References, collect_references
from guivm.engine.requests import ReadCapabilities
from guivm.errors import GuivmError, ImageError
from guivm.text import clean_line

_MAX_NAME_BYTES = 200  # libvirt makes file names of it, with endings such as "_VARS.fd"
MIN_MEMORY_KIB = 16 * 1024
MIN_DISK_BYTES = 1 << 20
MAX_ARGUMENTS_CHARACTERS = 2047  # COMMAND_LINE_SIZE of x86 Linux, less the final NUL
_MAX_KERNEL_BYTES = 4 << 30
_ROOM_FOR_HEADERS = 1 << 20


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found. ``media`` is set when the source is a file that can be used."""

    problems: tuple[FieldProblem, ...]
    capabilities: HostCapabilities
    media: MediaInfo | None = None
    source_is_block: bool = False

    @property
    def errors(self) -> tuple[FieldProblem, ...]:
        return tuple(problem for problem in self.problems if not problem.is_warning)


def is_test_driver(context: HandlerContext) -> bool:
    """libvirt's test driver: no guest ever runs, no file is ever read."""
    return str(context.connection.getType()).upper() == "TEST"


def examine(context: HandlerContext, spec: NewVmSpec) -> Examination:
    """Look at a specification. Blocks; changes nothing. Raises GuivmError or libvirtError when the host fails."""
    capabilities = read_capabilities(context, ReadCapabilities(spec.host))
    media, media_problems = _examine_source(context, spec)
    problems = (
        *_name(context, spec.name),
        *media_problems,
        *_memory(context, spec, capabilities),
        *_vcpus(spec, capabilities),
        *_disk(context, spec, capabilities),
        *_firmware(context, spec, capabilities),
        *_virt_type(context, spec, capabilities),
    )
    is_block = isinstance(spec.source, DiskSource) and media is not None and spec.source.path.is_block_device()
    return Examination(problems, capabilities, media, is_block)


def _error(field: NewVmField, message: str) -> FieldProblem:
    return FieldProblem(field, clean_line(message, 500))


def _warning(field: NewVmField, message: str) -> FieldProblem:
    return FieldProblem(field, clean_line(message, 500), is_warning=True)


# --- name -------------------------------------------------------------------------------------------------


def name_problem(name: str) -> str:
    """Why a VM cannot have this name, or empty. libvirt forbids ``/`` and line breaks; the rest is good sense."""
    if not name.strip():
        return "The virtual machine needs a name."
    if len(name) > NAME_LIMIT or len(name.encode("utf-8", "replace")) > _MAX_NAME_BYTES:
        return f"The name is too long; use at most {NAME_LIMIT} characters."
    if name != name.strip():
        return "The name begins or ends with a space; remove it."
    if "/" in name:
        return "The name has a “/”, which is not allowed; choose another."
    if name in (".", "..") or name.startswith("-"):
        return "The name cannot be “.” or “..” or begin with “-”; choose another."
    if any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for c in name):
        return "The name has invisible characters; type it anew."
    return ""


def _name(context: HandlerContext, name: str) -> Iterator[FieldProblem]:
    problem = name_problem(name)
    if problem:
        yield _error(NewVmField.NAME, problem)
        return
    if name_in_use(context, name):
        yield _error(NewVmField.NAME, "Another virtual machine of this host has this name; choose another.")


def name_in_use(context: HandlerContext, name: str) -> bool:
    try:
        context.connection.lookupByName(name)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return False
        raise
    return True


# --- source -----------------------------------------------------------------------------------------------


def _examine_source(context: HandlerContext, spec: NewVmSpec) -> tuple[MediaInfo | None, list[FieldProblem]]:
    source = spec.source
    if not isinstance(source, IsoSource | DiskSource | KernelSource):
        return None, []
    if is_test_driver(context) or not context.host.is_local:
        where = "The test driver reads no files" if is_test_driver(context) else "This host is another computer"
        return None, [_error(NewVmField.SOURCE, f"{where}; choose network boot or nothing.")]
    problems: list[FieldProblem] = []
    if isinstance(source, KernelSource):
        problems += _kernel(context, source)
        return None, problems
    try:
        media, header = images.inspect_media(source.path)
    except GuivmError as error:
        return None, [_error(NewVmField.SOURCE, str(error))]
    problems += [_warning(NewVmField.SOURCE, text) for text in header.warnings]
    if isinstance(source, IsoSource):
        if media.kind is not MediaKind.ISO:
            problems.append(
                _error(NewVmField.SOURCE, "This is no CD or DVD image (ISO 9660 or UDF); choose another file.")
            )
    else:
        problems += _existing_disk(source, media, collect_references(context.connection, context.kept_here))
    problems += _reachable(context, NewVmField.SOURCE, source.path)
    return media, problems


def _existing_disk(source: DiskSource, media: MediaInfo, references: References) -> Iterator[FieldProblem]:
    if media.kind is not MediaKind.DISK:
        yield _error(NewVmField.SOURCE, "This is a CD or DVD image, not a disk; choose “ISO” as the source for it.")
        return
    users = references.users(source.path)
    if users:
        yield _error(
            NewVmField.SOURCE,
            f"The disk is needed by “{users[0].vm_name}”; two virtual machines on one disk destroy it. Choose a copy.",
        )
    if not os.access(source.path, os.W_OK):
        yield _error(NewVmField.SOURCE, "You may not write to this disk image; change its permissions or copy it.")


def _kernel(context: HandlerContext, source: KernelSource) -> Iterator[FieldProblem]:
    for field, path, what in (
        (NewVmField.SOURCE, source.kernel, "kernel"),
        (NewVmField.INITRD, source.initrd, "initial RAM disk"),
    ):
        if path is None:
            continue
        try:
            images.require_readable(path, _MAX_KERNEL_BYTES)
        except ImageError as error:
            yield _error(field, f"The {what} cannot be used. {error}")
            continue
        yield from _reachable(context, field, path)
    if len(source.arguments) > MAX_ARGUMENTS_CHARACTERS:
        yield _error(
            NewVmField.ARGUMENTS, f"The arguments are too long; Linux takes {MAX_ARGUMENTS_CHARACTERS} characters."
        )
    elif any(unicodedata.category(c) in ("Cc", "Cs") for c in source.arguments):
        yield _error(NewVmField.ARGUMENTS, "The arguments have line breaks or control characters; remove them.")


def _reachable(context: HandlerContext, field: NewVmField, path: Path) -> Iterator[FieldProblem]:
    """Under ``qemu:///system`` QEMU is another user, who must be able to enter every folder above the file."""
    blocked = blocked_folder(context, path)
    if blocked is not None:
        yield _warning(
            field,
            f"QEMU runs as another user on this host and may not enter “{blocked}”; "
            "move the file, to /var/lib/libvirt/images for example.",
        )


def blocked_folder(context: HandlerContext, path: Path) -> Path | None:
    """The first folder above ``path`` that QEMU's own user may not enter, if this host has such a user."""
    if urlsplit(context.host.uri).path != "/system":
        return None
    for folder in reversed(path.absolute().parents):
        try:
            status = folder.stat()
        except OSError:
            return folder
        if not status.st_mode & 0o001:
            return folder
    return None


# --- figures ----------------------------------------------------------------------------------------------


def _memory(context: HandlerContext, spec: NewVmSpec, capabilities: HostCapabilities) -> Iterator[FieldProblem]:
    wanted = spec.memory_kib * 1024
    if spec.memory_kib < MIN_MEMORY_KIB:
        yield _error(NewVmField.MEMORY, "This is too little memory; give it at least 16 MiB.")
    elif wanted > capabilities.memory_bytes:
        yield _error(
            NewVmField.MEMORY,
            f"The host has {_size(capabilities.memory_bytes)} of memory in all; choose less than that.",
        )
    elif wanted > capabilities.memory_free_bytes * 8 // 10 and not is_test_driver(context):
        yield _warning(
            NewVmField.MEMORY,
            f"Of the host's memory, {_size(capabilities.memory_free_bytes)} are free; with this much it may get slow.",
        )


def _vcpus(spec: NewVmSpec, capabilities: HostCapabilities) -> Iterator[FieldProblem]:
    if spec.vcpus < 1:
        yield _error(NewVmField.VCPUS, "It needs at least one CPU.")
    elif spec.vcpus > capabilities.max_vcpus:
        yield _error(NewVmField.VCPUS, f"At most {capabilities.max_vcpus} CPUs are possible here; choose fewer.")
    elif spec.vcpus > capabilities.cpus:
        yield _warning(
            NewVmField.VCPUS, f"The host has {capabilities.cpus} CPUs; more than that makes the virtual machine slower."
        )


def _disk(context: HandlerContext, spec: NewVmSpec, capabilities: HostCapabilities) -> Iterator[FieldProblem]:
    if spec.disk_bytes is None:
        return
    if is_test_driver(context) or not context.host.is_local:
        where = "The test driver has no disks" if is_test_driver(context) else "This host is another computer"
        yield _error(NewVmField.DISK, f"{where}; create the virtual machine without a new disk.")
        return
    free = images.free_bytes(context.images_dir)
    if spec.disk_bytes < MIN_DISK_BYTES:
        yield _error(NewVmField.DISK, "The disk is too small; choose at least 1 MiB.")
    elif spec.disk_bytes > images.MAX_DISK_BYTES:
        yield _error(NewVmField.DISK, "The disk is too large; choose at most 1 PiB.")
    elif spec.disk_bytes > free - _ROOM_FOR_HEADERS:
        yield _error(
            NewVmField.DISK,
            f"Only {_size(free)} are free in “{context.images_dir}”; choose a smaller disk or free some space.",
        )
    if not _writable(context.images_dir):
        yield _error(NewVmField.DISK, f"You may not write to “{context.images_dir}”; change its permissions.")
    yield from _reachable(context, NewVmField.DISK, context.images_dir / "disk")


def _writable(directory: Path) -> bool:
    nearest = next((folder for folder in (directory, *directory.parents) if folder.exists()), directory)
    return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)


def _firmware(context: HandlerContext, spec: NewVmSpec, capabilities: HostCapabilities) -> Iterator[FieldProblem]:
    if spec.firmware is Firmware.UEFI and not capabilities.has_uefi and not is_test_driver(context):
        yield _error(NewVmField.FIRMWARE, f"UEFI is not available. {capabilities.uefi_reason} Or choose BIOS.")
    elif spec.firmware is Firmware.OTHER:
        yield _error(NewVmField.FIRMWARE, "Choose BIOS or UEFI.")


def _virt_type(context: HandlerContext, spec: NewVmSpec, capabilities: HostCapabilities) -> Iterator[FieldProblem]:
    if is_test_driver(context):
        return
    if spec.virt_type is VirtType.KVM and not capabilities.kvm.usable:
        yield _error(
            NewVmField.VIRT_TYPE, f"KVM cannot be used. {capabilities.kvm.reason} Choose software emulation (TCG)."
        )
    elif spec.virt_type is VirtType.OTHER:
        yield _error(NewVmField.VIRT_TYPE, "Choose hardware (KVM) or software emulation (TCG).")


def _size(count: int) -> str:
    """Bytes for people, in binary units."""
    value = float(max(count, 0))
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit in ("bytes", "KiB") else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"
