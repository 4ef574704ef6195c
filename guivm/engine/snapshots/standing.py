"""Which images of others a VM's own read from, and who reads from its own: what linked clones are. Worker only."""

from __future__ import annotations

import os
from pathlib import Path

from guivm.engine.context import HandlerContext
from guivm.engine.images import backing_path, header_of
from guivm.engine.snapshots.reading import declared_formats, read_graph
from guivm.engine.snapshots.situation import Situation
from guivm.engine.snapshots.support import written_disks
from guivm.engine.xml.document import XmlError
from guivm.engine.xml.domain import DomainXml
from guivm.errors import ImageError


def based_on(seen: Situation) -> tuple[str, ...]:
    """Paths, resolved; empty: it stands alone. Of a VM of this computer.

    Reads one header for each drive and for each image of the snapshots without parent: all others stand on these.
    An image that cannot be read counts for nothing here: the plan says what is wrong with it. What a guest wrote at
    the beginning of a raw one is data, and names no other file.
    """
    document = DomainXml.parse(seen.xml)
    own = {os.path.realpath(disk.path) for disk in document.devices.disks if disk.path}
    lowest = {os.path.realpath(disk.path): disk.driver_type or "" for disk in written_disks(document) if disk.path}
    for snapshot in () if seen.tree is None else seen.tree.snapshots:
        own.update(snapshot.images)
        if snapshot.parent is None:
            declared = declared_formats(snapshot)
            lowest |= {path: declared.get(path, "") for path in snapshot.images}
    found = (_below(Path(path)) for path, declared_format in lowest.items() if declared_format != "raw")
    return tuple(dict.fromkeys(path for path in found if path and path not in own))


def needed_by(context: HandlerContext, seen: Situation) -> tuple[str, ...]:
    """Names of other VMs that read from its images, in alphabetical order. Only a VM with images that are kept as they
    are can have such: else no other VM is looked at. Empty when that is not known now; plans refuse then.

    Raises libvirtError.
    """
    tree, uuid = seen.tree, seen.key.uuid
    if tree is None or not (tree.snapshots or tree.is_template):
        return ()
    try:
        graph = read_graph(context, tree)
    except XmlError:
        return ()
    own = {disk.path for holder in graph.holders if holder.uuid == uuid for disk in holder.disks}
    others = ((holder.vm_name, disk.path) for holder in graph.holders if holder.uuid != uuid for disk in holder.disks)
    return tuple(sorted({name for name, path in others if any(image.path in own for image in graph.chain(path))}))


def _below(image: Path) -> str:
    try:
        backing = header_of(image, allow_block=False).backing
    except ImageError:
        return ""
    path = None if backing is None else backing_path(image, backing)
    return "" if path is None else os.path.realpath(path)
