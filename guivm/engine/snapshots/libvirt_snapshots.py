"""libvirt's own snapshots of a VM as values. Worker only; the parsing is pure.

Format: https://libvirt.org/formatsnapshot.html.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from guivm.engine.types import VmState
from guivm.engine.xml.document import Element, parse_xml
from guivm.text import clean_block, clean_line

if TYPE_CHECKING:
    import libvirt

_NOTES_LIMIT = 65536
_STATES = {
    "running": VmState.RUNNING,
    "blocked": VmState.RUNNING,
    "paused": VmState.PAUSED,
    "shutdown": VmState.SHUTTING_DOWN,
    "shutoff": VmState.OFF,
    "crashed": VmState.CRASHED,
    "pmsuspended": VmState.SUSPENDED,
    "disk-snapshot": VmState.OFF,
}


@dataclass(frozen=True, slots=True)
class LibvirtSnapshot:
    """One snapshot as libvirt stores it. ``name`` is exact, as libvirt wants it back; the rest is cleaned.

    ``is_inside``: nothing of it is a file of its own. ``disks`` are the drives' targets that it holds.
    """

    name: str
    parent: str
    notes: str
    taken_s: float
    state: VmState
    has_memory: bool
    is_inside: bool
    disks: tuple[str, ...]
    xml: str


def parse(xml: str) -> LibvirtSnapshot:
    """Raises XmlError."""
    root = parse_xml(xml, "domainsnapshot")
    memory = root.find("memory")
    kept = memory.get("snapshot", "no") if memory is not None else "no"
    disks = [*root.iterfind("disks/disk")]
    kinds = {disk.get("snapshot", "no") for disk in disks}
    state = root.findtext("state") or ""
    return LibvirtSnapshot(
        name=root.findtext("name") or "",
        parent=root.findtext("parent/name") or "",
        notes=clean_block(root.findtext("description") or "", _NOTES_LIMIT),
        taken_s=_seconds(root),
        state=_STATES.get(state, VmState.UNKNOWN),
        has_memory=kept in ("internal", "external"),
        is_inside=kept != "external" and "external" not in kinds and "manual" not in kinds,
        disks=tuple(clean_line(d.get("name", "")) for d in disks if d.get("snapshot", "no") != "no"),
        xml=xml,
    )


def _seconds(root: Element) -> float:
    text = (root.findtext("creationTime") or "").strip()
    return float(text) if text.isdecimal() and len(text) < 13 else 0.0


def with_description(xml: str, description: str) -> str:
    """The same snapshot with other notes, to be redefined."""
    from lxml import etree

    from guivm.engine.xml.document import to_text

    root = parse_xml(xml, "domainsnapshot")
    node = root.find("description")
    if node is None:
        node = etree.Element("description")
        name = root.find("name")
        root.insert(0 if name is None else root.index(name) + 1, node)
    node.text = description
    return to_text(root)


def image_paths(snapshot: LibvirtSnapshot) -> tuple[str, ...]:
    """The images that hold a snapshot inside, as the VM was defined then. Raises XmlError."""
    root = parse_xml(snapshot.xml, "domainsnapshot")
    inside = {disk.get("name", "") for disk in root.iterfind("disks/disk") if disk.get("snapshot") == "internal"}
    found = []
    for disk in root.iterfind("domain/devices/disk"):
        target, source = disk.find("target"), disk.find("source")
        path = source.get("file", "") if source is not None else ""
        if target is not None and target.get("dev") in inside and path:
            found.append(path)
    return tuple(found)


def read(domain: libvirt.virDomain) -> tuple[LibvirtSnapshot, ...]:
    """Parents before children; empty where the driver knows no snapshots. Raises libvirtError and XmlError."""
    from guivm.engine.references import snapshot_documents

    return tuple(parse(text) for text in snapshot_documents(domain))


def current_name(domain: libvirt.virDomain) -> str:
    """Name of the snapshot that the VM's state descends from; empty: none. Raises libvirtError."""
    import libvirt

    from guivm.engine.libvirt_errors import is_unsupported

    try:
        return str(domain.snapshotCurrent(0).getName()) if domain.hasCurrentSnapshot(0) else ""
    except libvirt.libvirtError as error:
        if is_unsupported(error) or error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN_SNAPSHOT:
            return ""
        raise
