"""Folders of the host shared into the guest, by virtiofs or 9p. (formatdomain.html, "Filesystems")"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any

from guivm.engine.options.devices import (
    Known,
    checked,
    domain_of,
    dropping,
    is_test,
    label_of,
    listing,
    may_have,
    one_of,
    reader,
    when,
    whole_path,
    words,
)
from guivm.engine.options.option import (
    Group,
    HostPath,
    Line,
    N,
    Option,
    PathKind,
    Resource,
    Situation,
    Switch,
    Value,
    stored,
)
from guivm.engine.options.phrase import Phrase
from guivm.engine.xml.domain import Devices, DomainXml
from guivm.engine.xml.filesystem import Filesystem

DRIVERS = (
    Known("virtiofs", N("virtiofs"), N("Nearly as quick as a disk; it makes the VM's memory shared, as it must be.")),
    Known("path", N("9p"), N("Works with any memory and as any user; slow with many small files.")),
)
_ACCESS = (
    Known("mapped", N("Owners kept beside the files"), N("The guest's users are remembered; the files stay QEMU's.")),
    Known("passthrough", N("Owners as in the guest"), N("QEMU must run as root for it.")),
    Known("squash", N("Owners as QEMU can"), N("Failures to change owners are ignored.")),
)
_CACHES = (
    Known("none", N("None"), N("The host's changes show at once.")),
    Known("always", N("Always"), N("Quickest, while nobody on the host changes files.")),
)


def shares_memory(domain: DomainXml) -> bool:
    """Whether other processes can map the guest's memory, as virtiofs needs."""
    if domain.memory_backing.access_mode == "shared":
        return True
    cells = list(domain.cpu.numa_cells)
    return bool(cells) and all(cell.memory_access == "shared" for cell in cells)


def share_memory(domain: DomainXml) -> None:
    """Let other processes map the guest's memory, if they cannot yet."""
    if shares_memory(domain):
        return
    backing = domain.memory_backing
    backing.access_mode = "shared"
    if backing.source_type in (None, "anonymous") and not backing.huge_pages:
        backing.source_type = "memfd"


def _session_virtiofs(situation: Situation) -> str:
    """libvirt runs virtiofsd for ordinary users since 10.0."""
    if not situation.facts.is_session:
        return ""
    version = situation.facts.capabilities.libvirt_version.split(".")[0]
    if version.isdigit() and int(version) >= 10:
        return ""
    return N("This libvirt runs virtiofs for the system's virtual machines only; use 9p.")


def _driver_refusal(situation: Situation, _folder: Filesystem, driver: str) -> str:
    return _session_virtiofs(situation) if driver == "virtiofs" else ""


def _set_driver(folder: Filesystem, value: Value | None) -> None:
    """What only the other kind could have goes; virtiofs makes the VM's memory shared."""
    new = None if value is None else str(value)
    if new == folder.driver_type:
        return
    folder.driver_type = new
    if new == "virtiofs":
        folder.access_mode = folder.multi_devices = folder.file_mode = folder.directory_mode = None
        folder.write_policy = None
        folder.read_only = False
        share_memory(domain_of(folder))
    else:
        folder.queue_size = folder.binary_path = folder.extended_attributes = None
        folder.cache_mode = folder.sandbox_mode = folder.lock_posix = folder.lock_flock = None
        folder.thread_pool_size = folder.open_files_max = None
        folder.user_ids.clear()
        folder.group_ids.clear()
        folder.boot_order = None


_TAG = re.compile(r"[\w./@+-]{1,36}")


def _tag_check(text: str) -> str:
    return "" if _TAG.fullmatch(text) else N("A tag is at most 36 letters, digits and “. / @ + - _”.")


def _set_tag(folder: Filesystem, value: Value | None) -> None:
    folder.target_dir = checked(_tag_check, "share" if value is None else str(value))


def _set_source(folder: Filesystem, value: Value | None) -> None:
    if value is None:
        raise ValueError(N("A shared folder needs a folder of the host; remove it instead."))
    folder.source_dir = checked(whole_path, str(value))


_is_virtiofs = when(Filesystem.driver_type, "virtiofs")


def _is_9p(_situation: Situation, folder: Filesystem) -> bool:
    return folder.driver_type != "virtiofs"


def _summary(situation: Situation, folder: Filesystem) -> str:
    lacks = folder.driver_type == "virtiofs" and not shares_memory(situation.domain)
    return words(
        folder.source_dir or folder.source_socket or folder.source_file or "",
        label_of(DRIVERS, folder.driver_type or "path"),
        N("read-only") if folder.read_only else "",
        N("needs shared memory") if lacks else "",
    )


def _add(situation: Situation) -> Filesystem:
    """virtiofs where the memory is shared already; else 9p, which changes nothing else."""
    domain = situation.domain
    tags = {each.target_dir for each in domain.devices.filesystems}
    tag, number = "share", 1
    while tag in tags:
        number += 1
        tag = f"share{number}"
    has_virtiofs = may_have(situation, "filesystem/driverType", "virtiofs") and not _session_virtiofs(situation)
    has_9p = may_have(situation, "filesystem/driverType", "path")
    folder = domain.devices.filesystems.add()
    folder.type = "mount"
    folder.source_dir, folder.target_dir = "/srv", tag
    if has_virtiofs and (shares_memory(domain) or not has_9p) and not is_test(situation):
        folder.driver_type = "virtiofs"
        share_memory(domain)
    else:
        folder.access_mode = "mapped"
    return folder


def _add_refusal(situation: Situation) -> str:
    if situation.facts.offers_any("filesystem") is False:
        return N("This host's QEMU can share no folders.")
    only_virtiofs = not may_have(situation, "filesystem/driverType", "path")
    return _session_virtiofs(situation) if only_virtiofs else ""


_OPTIONS: tuple[Option[Filesystem], ...] = (
    Option(
        "folder",
        N("Folder"),
        N("The guest sees this folder of the host and, unless it is read-only, can change and delete all in it."),
        HostPath(PathKind.DIRECTORY),
        reader(Filesystem.source_dir),
        _set_source,
        keywords="directory path share source",
    ),
    Option(
        "tag",
        N("Tag"),
        N("The name to mount it by in the guest, as in: mount -t virtiofs TAG /mnt"),
        Line("share", 36, _tag_check),
        reader(Filesystem.target_dir),
        _set_tag,
        keywords="mount target name",
    ),
    Option(
        "driver",
        N("Shared by"),
        N(
            "virtiofs is quick and needs the VM's memory to be shared, which choosing it sets; 9p is slower and "
            "needs nothing."
        ),
        *one_of(
            DRIVERS,
            Filesystem.driver_type,
            write=_set_driver,
            path="filesystem/driverType",
            default=N("Default (9p)"),
            refuse=_driver_refusal,
            more=False,
        ),
        keywords="virtiofs 9p plan9",
    ),
    Option(
        "read-only",
        N("Read-only"),
        N("The guest can look but change nothing: the safe way to hand files in."),
        Switch(False),
        *stored(Filesystem.read_only),
        refusal=lambda s, folder: (
            N("virtiofs cannot; mount it read-only in the guest, or use 9p.")
            if _is_virtiofs(s, folder) and not folder.read_only
            else ""
        ),
        keywords="write protect",
    ),
    Option(
        "access",
        N("Owners of files"),
        N("Who owns what the guest writes: kept beside the files works for every user, as in the guest needs root."),
        *one_of(_ACCESS, Filesystem.access_mode, default=N("Default (as in the guest)")),
        shown=_is_9p,
        more=True,
        keywords="accessmode mapped passthrough squash",
    ),
    Option(
        "cache",
        N("Cache in the guest"),
        N("Quicker when only the guest changes files; without it both sides see changes at once."),
        *one_of(_CACHES, Filesystem.cache_mode),
        shown=_is_virtiofs,
        more=True,
    ),
    Option(
        "extended-attributes",
        N("Extended attributes"),
        N("Passes them through (SELinux, capabilities); every access costs a little more."),
        Switch(None),
        *stored(Filesystem.extended_attributes),
        shown=_is_virtiofs,
        more=True,
        keywords="xattr",
    ),
)

RESOURCES: tuple[Resource[Any], ...] = (
    Resource(
        id="filesystem",
        title=N("Shared folder"),
        group=Group.PERIPHERALS,
        icon="folder",
        help="folders",
        nodes=listing(Devices.filesystems),
        options=_OPTIONS,
        summary=_summary,
        name=lambda folder: Phrase(N("Shared folder {}"), PurePosixPath(folder.target_dir or "").name),
        identity=lambda folder: folder.target_dir or "",
        keywords="virtiofs 9p directory share files exchange",
        add=_add,
        remove=dropping(Devices.filesystems),
        add_refusal=_add_refusal,
        hotplug=True,
    ),
)
