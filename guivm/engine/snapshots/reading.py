"""The graph of a host's files as it is now: from libvirt's documents, our own trees and the images' headers.

It errs on the side of keeping: an image that cannot be looked at is in ``unreadable``, and plans that could touch what
it needs are refused. Nothing is opened for writing and no tool is run. Worker only.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from guivm.engine.context import HandlerContext
from guivm.engine.image_headers import ImageHeader
from guivm.engine.images import MAX_CHAIN, backing_path, header_of
from guivm.engine.references import document_paths, domain_documents, volume_path
from guivm.engine.snapshots import store
from guivm.engine.snapshots.definitions import read_definition
from guivm.engine.snapshots.graph import Graph, HeldDisk, Holder, Image
from guivm.engine.snapshots.naming import is_overlay_name
from guivm.engine.snapshots.support import is_written
from guivm.engine.snapshots.tree import BranchSnapshot, BranchTree
from guivm.engine.xml.disk import Disk
from guivm.engine.xml.document import XmlError
from guivm.engine.xml.domain import DomainXml
from guivm.errors import ImageError
from guivm.text import clean_line

if TYPE_CHECKING:
    import libvirt


def resolved(path: str | Path) -> str:
    """The one name under which a file stands in a graph."""
    return os.path.realpath(path)


@dataclass(slots=True)
class _Collected:
    images: dict[str, Image] = field(default_factory=dict)
    holders: list[Holder] = field(default_factory=list)
    others: dict[str, str] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def add_chain(self, path: str, vm_name: str, declared: str = "") -> None:
        """The image and all below it, by our own reading of the headers; ``declared``: what its user takes it for."""
        current: str | None = path
        depth = 0
        while current is not None and current not in self.images and depth < MAX_CHAIN:
            depth += 1
            try:
                image = read_image(current, declared)
            except ImageError:
                absent = not os.path.lexists(current) and os.access(Path(current).parent, os.X_OK)
                (self.missing if absent else self.unreadable)[current] = vm_name
                return
            self.images[current] = image
            current, declared = image.backing, image.backing_format

    def below(self, path: str) -> Iterator[str]:
        """The image and all below it that are known; loops end."""
        passed: set[str] = set()
        current: str | None = path
        while current is not None and current not in passed:
            passed.add(current)
            yield current
            image = self.images.get(current)
            current = None if image is None else image.backing


def read_image(path: str, declared: str = "") -> Image:
    """One image by its own header. Raises ImageError when it is missing or cannot be read.

    ``declared`` "raw": whatever a guest wrote at its beginning is data, and names no other file.
    """
    plain = Path(path)
    header = header_of(plain)
    if declared == "raw":
        header = ImageHeader("raw", plain.stat().st_size)
    below = None if header.backing is None else backing_path(plain, header.backing)
    if header.backing is not None and below is None:
        raise ImageError("Its backing file is not a plain file.", details=header.backing)
    try:
        status = plain.stat()
    except OSError as error:
        raise ImageError("The file cannot be reached.", details=str(error)) from error
    return Image(
        path=path,
        format="raw" if header.format == "iso" else header.format,
        virtual_bytes=header.virtual_bytes,
        allocated_bytes=status.st_blocks * 512,
        backing=None if below is None else resolved(below),
        backing_format=header.backing_format or "",
        internal_snapshots=header.internal_snapshots,
        file_system=status.st_dev,
        encrypted=header.encrypted,
    )


def holds_data(path: str) -> bool:
    """Whether a qcow2 image holds anything of its own: an overlay that was never written to does not.

    An empty image of QEMU's is header, refcounts and an L1 table without entries (``docs/interop/qcow2.txt``). Raises
    ImageError.
    """
    try:
        with Path(path).open("rb") as stream:
            header = stream.read(104)
            entries, offset = struct.unpack_from(">I", header, 36)[0], struct.unpack_from(">Q", header, 40)[0]
            stream.seek(offset)
            return any(stream.read(min(entries, 1 << 20) * 8))
    except FileNotFoundError:
        return False
    except (OSError, struct.error) as error:
        raise ImageError("The image cannot be read.", details=str(error)) from error


def read_graph(context: HandlerContext, known: BranchTree | None = None) -> Graph:
    """All VMs of the host; ``known``: a tree that has just been read, so that it is not read again.

    Raises libvirtError and XmlError: an incomplete graph is never returned.
    """
    import libvirt

    found = _Collected()
    trees = _trees(context, known) if context.host.is_local else {}
    for domain in context.connection.listAllDomains(0):
        try:
            uuid, name = str(domain.UUIDString()), clean_line(str(domain.name()))
            documents = domain_documents(domain)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:  # removed meanwhile
                continue
            raise
        _add_domain(context, found, uuid, name, documents, trees.pop(uuid, None))
    for uuid, tree in trees.items():  # of VMs that are not defined (any more): their files are still needed
        _add_tree(found, uuid, clean_line(tree.vm_name) or uuid, tree)
    return Graph(found.images, tuple(found.holders), found.others, found.unreadable, found.missing)


def _trees(context: HandlerContext, known: BranchTree | None) -> dict[str, BranchTree]:
    if known is None:
        return store.trees(context.images_dir)
    others = (uuid for uuid in store.uuids(context.images_dir) if uuid != known.uuid)
    read = {uuid: store.load(context.images_dir, uuid) for uuid in others}
    return {known.uuid: known} | {uuid: tree for uuid, tree in read.items() if tree is not None}


def _add_domain(
    context: HandlerContext, found: _Collected, uuid: str, name: str, documents: list[str], tree: BranchTree | None
) -> None:
    stored = DomainXml.parse(documents[0])
    current = holder_of(context.connection, uuid, name, stored, tree)
    found.holders.append(current)
    held = set(current.files)
    if tree is not None:
        held.update(tree.files)
    formats = {resolved(disk.path): disk.driver_type or "" for disk in stored.devices.disks if disk.path}
    for disk in current.disks:
        found.add_chain(disk.path, name, formats.get(disk.path, ""))
        held.update(found.below(disk.path))
    for path in _other_paths(context.connection, documents):
        if path in held:
            continue
        # Named elsewhere: in the running VM's document, by libvirt's snapshots, as a kernel, as a firmware.
        found.others.setdefault(path, name)
        if _is_image(path):
            found.add_chain(path, name)
    if tree is not None:
        _add_tree(found, uuid, name, tree)


def holder_of(
    connection: libvirt.virConnect, uuid: str, name: str, document: DomainXml, tree: BranchTree | None
) -> Holder:
    """A VM's current state."""
    disks = []
    for disk in document.devices.disks:
        path = disk_path(connection, disk)
        if path and disk.device in (None, "disk", "lun"):
            disks.append(HeldDisk(disk.target_dev or "", resolved(path), is_written(disk)))
    nvram = nvram_of(document)
    return Holder(
        uuid=uuid,
        vm_name=name,
        disks=tuple(disks),
        parent=None if tree is None else tree.current,
        nvram=resolved(nvram) if nvram else "",
        is_template=tree is not None and tree.is_template,
    )


def nvram_of(document: DomainXml) -> str:
    """Path of the file with UEFI's variables; empty when there is none or it is not a file."""
    for path in (document.os.nvram_source_file, document.os.nvram):
        text = (path or "").strip()
        if text.startswith("/"):
            return text
    return ""


def disk_path(connection: libvirt.virConnect, disk: Disk) -> str:
    """Path of a drive's image, a storage volume's resolved; empty when it has none."""
    path = disk.path
    if not path and disk.source_pool and disk.source_volume:
        path = volume_path(connection, disk.source_pool, disk.source_volume)
    return path if path.startswith("/") and "\0" not in path else ""


def _add_tree(found: _Collected, uuid: str, name: str, tree: BranchTree) -> None:
    for snapshot in tree.snapshots:
        found.holders.append(snapshot.holder(uuid, name))
        new = [disk.path for disk in snapshot.disks if disk.path not in found.images]
        # To read the definitions of a thousand snapshots takes long; what is called as our overlays are is none.
        formats = {} if all(is_overlay_name(path) for path in new) else declared_formats(snapshot)
        for disk in snapshot.disks:
            found.add_chain(disk.path, name, formats.get(disk.path, ""))


def declared_formats(snapshot: BranchSnapshot) -> dict[str, str]:
    """What its definition takes its images for, by path. Nothing of a definition that cannot be read: such a snapshot
    cannot be restored."""
    if "raw" not in snapshot.definition:
        return {}
    try:
        defined = {disk.target: disk for disk in read_definition(snapshot.definition).disks}
    except XmlError:
        return {}
    found = {}
    for held in snapshot.disks:
        disk = defined.get(held.target)
        if disk is not None and (not disk.path or resolved(disk.path) == held.path):  # a volume has no path there
            found[held.path] = disk.format
    return found


def _other_paths(connection: libvirt.virConnect, documents: list[str]) -> Iterator[str]:
    for text in documents:
        yield from (resolved(path) for path in document_paths(connection, text))


def _is_image(path: str) -> bool:
    return Path(path).is_file() and os.access(path, os.R_OK)
