"""What plans need to read and change in a VM's definition: the files of its drives. Pure.

Format: https://libvirt.org/formatdomain.html, https://libvirt.org/formatsnapshot.html.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from xml.sax.saxutils import quoteattr

from guivm.engine.snapshots.support import written_disks
from guivm.engine.xml.document import remove_attribute
from guivm.engine.xml.domain import DomainXml

# Attributes of <source> that belong to other kinds of drives than files, or to a running VM.
_FOREIGN_SOURCE = ("dev", "dir", "pool", "volume", "mode", "name", "protocol", "query", "tls", "index")
_FOREIGN_PARTS = ("slices", "host", "snapshot", "config", "reservations", "initiator", "auth")


@dataclass(frozen=True, slots=True)
class DefinedDisk:
    """A drive as a definition has it. ``path`` is empty where it is no file.

    ``is_own``: the guest writes to it, and no other VM does.
    """

    target: str
    path: str
    kind: str  # "file", "block", "network", "volume", …
    format: str
    is_own: bool
    is_disk: bool  # neither CD-ROM nor floppy
    is_sliced: bool = False


@dataclass(frozen=True, slots=True)
class Definition:
    """A definition as far as plans look at it. Paths are as written, normalised."""

    uuid: str
    name: str
    disks: tuple[DefinedDisk, ...]
    nvram: str = ""
    has_tpm: bool = False


def read_definition(xml: str) -> Definition:
    """Raises XmlError."""
    document = DomainXml.parse(xml)
    own = {disk.target_dev for disk in written_disks(document)}  # libvirt admits a target once
    return Definition(
        uuid=(document.uuid or "").strip().lower(),
        name=document.name or "",
        disks=tuple(
            DefinedDisk(
                target=disk.target_dev or "",
                path=_absolute(disk.source_file),
                kind=disk.type or "file",
                format=disk.driver_type or "",
                is_own=disk.target_dev in own,
                is_disk=disk.device in (None, "disk", "lun"),
                is_sliced=disk.source.slice_offset is not None or disk.source.slice_size is not None,
            )
            for disk in document.devices.disks
        ),
        nvram=_absolute((document.os.nvram_source_file or document.os.nvram or "").strip()),
        has_tpm=document.devices.tpm.exists,
    )


def _absolute(path: str | None) -> str:
    return posixpath.normpath(path) if path and path.startswith("/") else ""


def with_files(xml: str, files: Mapping[str, tuple[str, str]], *, name: str = "", nvram: str = "") -> str:
    """The definition with other images, by the drive's target: (path, format). ``name`` and ``nvram``: when given.

    What libvirt wrote down of the images below is taken out of every drive, so that it looks for itself. Raises
    XmlError.
    """
    document = DomainXml.parse(xml)
    if name:
        document.name = name
    if nvram and document.os.exists:
        if document.os.nvram_source_file is not None:
            document.os.nvram_source_file = nvram
        else:
            document.os.nvram = nvram
    for disk in document.devices.disks:
        disk.backing_store.remove()
        disk.mirror.remove()
        chosen = files.get(disk.target_dev or "")
        if chosen is None:
            continue
        disk.type = "file"
        disk.source_file, disk.driver_type = chosen
        source = disk.source.make()
        for attribute in _FOREIGN_SOURCE:
            remove_attribute(source, attribute)
        for part in _FOREIGN_PARTS:
            for node in source.findall(part):
                source.remove(node)
    return document.to_text()


def overlays_request(definition: Definition, files: Iterable[tuple[str, str]]) -> str:
    """The ``<domainsnapshot>`` that puts the drives named, and no others, on new qcow2 files."""
    wanted = dict(files)
    lines = ["<domainsnapshot>", "  <memory snapshot='no'/>", "  <disks>"]
    for disk in definition.disks:
        path = wanted.get(disk.target)
        if path is None:
            lines.append(f"    <disk name={quoteattr(disk.target)} snapshot='no'/>")
        else:
            lines.append(f"    <disk name={quoteattr(disk.target)} snapshot='external' type='file'>")
            lines.append("      <driver type='qcow2'/>")
            lines.append(f"      <source file={quoteattr(path)}/>")
            lines.append("    </disk>")
    return "\n".join([*lines, "  </disks>", "</domainsnapshot>"])
