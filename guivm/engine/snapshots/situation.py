"""What there is to know of one VM before anything is planned: mode, definition, libvirt's snapshots, our own tree."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from platform import freedesktop_os_release
from typing import TYPE_CHECKING

from guivm.engine.context import HandlerContext
from guivm.engine.operations import state_of
from guivm.engine.snapshots import libvirt_snapshots, store, support
from guivm.engine.snapshots.libvirt_snapshots import LibvirtSnapshot
from guivm.engine.snapshots.support import ModeChoice, Platform
from guivm.engine.snapshots.tree import BranchTree
from guivm.engine.snapshots.values import SnapshotMode
from guivm.engine.types import VmKey, VmState
from guivm.engine.xml.domain import DomainXml
from guivm.text import clean_line

if TYPE_CHECKING:
    import libvirt


@dataclass(frozen=True, slots=True)
class Situation:
    """One VM at one moment. ``tree`` None: nothing of ours is kept for it. ``mode`` None: it has no snapshots.

    ``xml`` is the stored definition with secrets, ``live_xml`` that of the running VM, or empty.
    """

    key: VmKey
    name: str
    state: VmState
    persistent: bool
    xml: str
    live_xml: str
    snapshots: tuple[LibvirtSnapshot, ...]
    current: str
    tree: BranchTree | None
    mode: SnapshotMode | None
    choice: ModeChoice
    platform: Platform

    @property
    def runs(self) -> bool:
        return self.state.is_active


def read_situation(context: HandlerContext, key: VmKey) -> Situation:
    """Raises libvirtError, XmlError, OperationError."""
    import libvirt

    domain = context.domain(key)
    state = state_of(domain)
    xml = str(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE))
    document = DomainXml.parse(xml)
    snapshots = libvirt_snapshots.read(domain)
    is_qemu = context.connection.getType() == "QEMU"
    tree = store.load(context.images_dir, key.uuid) if context.host.is_local else None
    mode = mode_of(snapshots, tree)
    platform = Platform(
        support.version_of(context.connection.getLibVersion()),
        is_qemu,
        _files_here(context, document, is_qemu=is_qemu),
        distribution() if context.host.is_local else frozenset(),
    )
    choice = support.choose(document, platform) if mode is None else support.within(mode, document, platform)
    return Situation(
        key=key,
        name=clean_line(str(domain.name())),
        state=state,
        persistent=bool(domain.isPersistent()),
        xml=xml,
        live_xml=_live_xml(domain) if state.is_active else "",
        snapshots=snapshots,
        current=libvirt_snapshots.current_name(domain) if snapshots else "",
        tree=tree,
        mode=mode,
        choice=choice,
        platform=platform,
    )


def _live_xml(domain: libvirt.virDomain) -> str:
    """As it would be written for a migration: without what only this run has."""
    import libvirt

    from guivm.engine.libvirt_errors import is_unsupported

    try:
        return str(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_SECURE | libvirt.VIR_DOMAIN_XML_MIGRATABLE))
    except libvirt.libvirtError as error:
        if not is_unsupported(error):
            raise
        return str(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_SECURE))


def mode_of(snapshots: tuple[LibvirtSnapshot, ...], tree: BranchTree | None) -> SnapshotMode | None:
    """The mode a VM has; None: it has no snapshots yet. Pure."""
    if tree is not None and tree.snapshots:
        return SnapshotMode.BRANCH
    if not snapshots:
        return None
    return SnapshotMode.INTERNAL if all(each.is_inside for each in snapshots) else SnapshotMode.FOREIGN


def distribution() -> frozenset[str]:
    """ID and ID_LIKE of this system (os-release(5)); empty when it does not say."""
    try:
        release = freedesktop_os_release()
    except OSError:
        return frozenset()
    return frozenset((release["ID"], *release.get("ID_LIKE", "").split()))


def _files_here(context: HandlerContext, document: DomainXml, *, is_qemu: bool) -> bool:
    """Whether the images' folders, and the firmware's variables, can be written by this process."""
    if not context.host.is_local or not is_qemu:
        return False
    for disk in support.written_disks(document):
        path = disk.path
        if path and not os.access(Path(path).resolve().parent, os.W_OK | os.X_OK):
            return False
    return True
