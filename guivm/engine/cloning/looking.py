"""What a clone is made from and where it goes, found out on the host. Worker only."""

from __future__ import annotations

import copy
import os
import secrets
import uuid as uuid_module
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from guivm.engine import trash
from guivm.engine.cloning import identity
from guivm.engine.cloning.definition import (
    CloneDefinition,
    Elsewhere,
    NewVm,
    Port,
    clone_definition,
    promised_ports,
)
from guivm.engine.cloning.planning import CloneSource
from guivm.engine.context import HandlerContext
from guivm.engine.images import free_bytes, header_of
from guivm.engine.libvirt_errors import is_connection_lost
from guivm.engine.snapshots import live_copy
from guivm.engine.snapshots.branches import Surroundings
from guivm.engine.snapshots.definitions import read_definition
from guivm.engine.snapshots.graph import Graph, HeldDisk
from guivm.engine.snapshots.images_inside import snapshots_in
from guivm.engine.snapshots.libvirt_snapshots import LibvirtSnapshot
from guivm.engine.snapshots.planning import CloneTarget, Environment
from guivm.engine.snapshots.reading import resolved
from guivm.engine.snapshots.values import CloneSpec, IdentityPolicy, TpmPolicy
from guivm.engine.types import VmState
from guivm.engine.xml.document import XmlError, parse_xml, to_text
from guivm.engine.xml.domain import DomainXml
from guivm.errors import ImageError, OperationError, UnsupportedError
from guivm.text import clean_line

if TYPE_CHECKING:
    import libvirt

_MAX_NUMBER = 10_000


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything the planners are told of one clone."""

    env: Environment
    target: CloneTarget
    source: CloneSource
    remarks: tuple[str, ...]


def prepare(context: HandlerContext, around: Surroundings, spec: CloneSpec, *, linked: bool) -> Prepared:
    """Raises GuivmError with why it cannot be, libvirtError."""
    xml, source = _source(context, around, spec)
    document = DomainXml.parse(xml)
    if spec.tpm is TpmPolicy.FRESH or not document.devices.tpm.exists:
        source = replace(source, tpm="")
    for disk in source.disks:
        if disk.written:
            refuse_unsafe(around.graph, disk.path)
    uuid = str(uuid_module.uuid4())
    folder = _folder(spec, source, linked=linked)
    place = Path(folder) if folder else _place_of_state(context, source)
    env = _with_folder(around.env, place)
    waits = identity.waits_for_agent(document)
    resets = spec.identity is IdentityPolicy.RESET and (waits or any(disk.written for disk in source.disks))
    new = NewVm(
        uuid=uuid,
        name=spec.name,
        drives=frozenset(disk.target for disk in source.disks if disk.written),
        keep_macs=spec.keep_macs,
        keep_serials=spec.keep_serials,
        reset_identity=resets,
        identity_why="" if waits else identity.why_not_by_agent(document),
        pull_links=resets and waits and identity.is_windows(document),
    )
    made = clone_definition(xml, new, elsewhere(context))
    target = CloneTarget(
        uuid=uuid,
        name=spec.name,
        definition=made.xml,
        folder=folder,
        file_system=place.stat().st_dev,
        nvram=_nvram_path(document, place, spec.name, env.taken),
        tpm=_tpm_target(around, document, uuid) if spec.tpm is TpmPolicy.COPY else "",
    )
    return Prepared(env, target, source, _remarks(made, document, spec))


def _remarks(made: CloneDefinition, document: DomainXml, spec: CloneSpec) -> tuple[str, ...]:
    found = list(made.remarks)
    if document.devices.tpm.backend_type == "emulator" and spec.tpm is TpmPolicy.FRESH:
        found.append("Its TPM is new: what the guest sealed with the old one (BitLocker, for one) asks for its key.")
    return tuple(found)


# --- source -----------------------------------------------------------------------------------------------


def _source(context: HandlerContext, around: Surroundings, spec: CloneSpec) -> tuple[str, CloneSource]:
    """The definition and the files of the moment that is cloned."""
    seen, current = around.seen, around.graph.current(around.seen.key.uuid)
    if current is None:
        raise OperationError("The virtual machine is not defined any more.")
    if spec.snapshot is None:
        sizes = around.env.sizes
        nvram = current.nvram if current.nvram in sizes else ""
        tpm = around.env.tpm if around.env.tpm in sizes else ""
        source = CloneSource(current.disks, is_frozen=current.is_template, nvram=nvram, tpm=tpm)
        return seen.xml, _live(context, around, source) if seen.runs else source
    branch = around.tree.find(spec.snapshot)
    if branch is not None:
        ran = branch.vm_state in (VmState.RUNNING, VmState.PAUSED, VmState.SUSPENDED)
        return branch.definition, CloneSource(
            branch.disks, is_frozen=True, nvram=branch.nvram, tpm=branch.tpm, loses_memory=ran
        )
    inside = next((each for each in seen.snapshots if each.name == spec.snapshot), None)
    if inside is None:
        raise OperationError("There is no such snapshot any more.", advice="Look at the list again.")
    xml, source = _inside_source(inside)
    return xml, replace(source, nvram=current.nvram if current.nvram in around.env.sizes else "")


def _live(context: HandlerContext, around: Surroundings, source: CloneSource) -> CloneSource:
    """Of a VM that runs. Raises libvirtError, XmlError."""
    why = live_copy.why_not(context)
    if not why and not around.seen.platform.files_here:
        why = "You may not make files where its images are."
    document = DomainXml.parse(str(context.domain(around.seen.key).XMLDesc(0)))
    agent = any(
        channel.target_name == "org.qemu.guest_agent.0" and channel.target_state == "connected"
        for channel in document.devices.channels
    )
    return replace(source, why_not_live=why, quiesce=agent)


def _inside_source(snapshot: LibvirtSnapshot) -> tuple[str, CloneSource]:
    if not snapshot.is_inside:
        raise UnsupportedError(
            f"The snapshot “{clean_line(snapshot.name, 80)}” was made by another tool and is in files of its own.",
            advice="Clone the present state instead.",
        )
    root = parse_xml(snapshot.xml, "domainsnapshot")
    node = root.find("inactiveDomain")
    if node is None:
        node = root.find("domain")
    if node is None:
        raise UnsupportedError("The snapshot does not say what the virtual machine was like.")
    document = copy.deepcopy(node)
    document.tag, document.tail = "domain", None
    xml = to_text(document)
    definition = read_definition(xml)
    disks = tuple(
        HeldDisk(disk.target, resolved(disk.path), disk.target in snapshot.disks)
        for disk in definition.disks
        if disk.is_disk and disk.path
    )
    for drive in definition.disks:
        if drive.is_own and drive.target not in snapshot.disks:
            raise UnsupportedError(f"Drive {clean_line(drive.target, 40)} is no part of the snapshot.")
    for disk in disks:
        if disk.written and all(each.name != snapshot.name for each in snapshots_in(disk.path)):
            raise OperationError(f"“{clean_line(disk.path)}” does not hold the snapshot.")
    ran = snapshot.state in (VmState.RUNNING, VmState.PAUSED, VmState.SUSPENDED)
    return xml, CloneSource(disks, inside=snapshot.name, loses_memory=ran)


def refuse_unsafe(graph: Graph, path: str) -> None:
    """Images that ``qemu-img`` is not let near. Raises ImageError."""
    for image in graph.chain(path):
        if image.format == "raw":
            continue  # whatever a guest wrote at its beginning
        problems = header_of(Path(image.path)).problems
        if problems:
            raise ImageError(f"“{clean_line(image.path)}” cannot be cloned. {problems[0]}")


# --- place ------------------------------------------------------------------------------------------------


def _folder(spec: CloneSpec, source: CloneSource, *, linked: bool) -> str:
    """Where the images go; empty: each beside its own."""
    if spec.directory:
        folder = Path(spec.directory)
        if not folder.is_absolute():
            raise OperationError("The folder of the new images is not an absolute path.", advice="Choose a folder.")
        if not folder.is_dir():
            raise OperationError(f"There is no folder “{clean_line(spec.directory)}”.", advice="Make it first.")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise OperationError(
                f"You may not make files in “{clean_line(spec.directory)}”.", advice="Choose a folder of your own."
            )
        return resolved(folder)
    if linked:
        return next((os.fspath(Path(disk.path).parent) for disk in source.disks if disk.written), "")
    return ""


def _place_of_state(context: HandlerContext, source: CloneSource) -> Path:
    """Folder of the firmware's variables: beside the first image."""
    first = next((disk.path for disk in source.disks if disk.written), "")
    if first:
        return Path(first).parent
    context.images_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return context.images_dir


def _with_folder(env: Environment, place: Path) -> Environment:
    """With what is in the folder, and may come back to it, and the space there."""
    names = {entry.path for entry in os.scandir(place)}
    names |= {name.removesuffix(".part") for name in names}
    names.update(
        os.path.normpath(file.original) for receipt in trash.receipts([place]) for file in receipt.deleted.files
    )
    system = place.stat().st_dev
    return replace(env, taken=env.taken | names, free={**env.free, system: free_bytes(place)})


def _nvram_path(document: DomainXml, place: Path, name: str, taken: frozenset[str]) -> str:
    """Where the clone's UEFI variables shall be: beside its disk, so that undo and backups find them."""
    from guivm.engine.create import safe_stem

    if not document.os.uses_uefi or document.os.loader_stateless:
        return ""
    if document.os.nvram_type not in (None, "file"):
        raise UnsupportedError("Its UEFI variables are not in a file, so they cannot be copied.")
    ending = "_VARS.qcow2" if document.os.nvram_format == "qcow2" else "_VARS.fd"
    stem = safe_stem(name)
    for number in range(1, _MAX_NUMBER):
        path = os.fspath(place / (f"{stem}{ending}" if number == 1 else f"{stem}-{number}{ending}"))
        if path not in taken:
            return path
    raise OperationError("No free file name was found for the clone.", advice="Choose another name.")


def _tpm_target(around: Surroundings, document: DomainXml, uuid: str) -> str:
    """Where libvirt will look for the state of the clone's TPM: beside that of the source's."""
    tpm = document.devices.tpm
    if not tpm.exists:
        return ""
    fresh = "Give the clone a fresh TPM instead."
    if tpm.backend_type != "emulator":
        raise UnsupportedError("Its TPM is not an emulated one, so it cannot be copied.", advice=fresh)
    place = Path(around.env.tpm).parent if around.env.tpm else None
    if place is None or tpm.source_path or (place.exists() and not os.access(place, os.R_OK | os.W_OK | os.X_OK)):
        raise UnsupportedError("You may not copy the state of its TPM where libvirt keeps it.", advice=fresh)
    return os.fspath(place / uuid)


# --- others -----------------------------------------------------------------------------------------------


def elsewhere(context: HandlerContext) -> Elsewhere:
    """What all VMs of the host have. Raises libvirtError when they cannot be listed."""
    macs: set[str] = set()
    ports: set[Port] = set()
    for domain in context.connection.listAllDomains(0):
        for document in _documents(domain):
            macs.update((nic.mac or "").lower() for nic in document.devices.interfaces)
            ports |= promised_ports(document)
    if context.macs_elsewhere is not None:
        macs |= context.macs_elsewhere()
    return Elsewhere(frozenset(macs - {""}), frozenset(ports), _port_test(context), secrets.token_bytes)


def macs_of(connection: libvirt.virConnect) -> frozenset[str]:
    """Lower-case, of all VMs of a host. Raises libvirtError when they cannot be listed."""
    documents = (document for domain in connection.listAllDomains(0) for document in _documents(domain))
    return frozenset((nic.mac or "").lower() for document in documents for nic in document.devices.interfaces) - {""}


def _documents(domain: libvirt.virDomain) -> list[DomainXml]:
    import libvirt

    try:
        texts = [str(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))]
        if domain.isActive():
            texts.append(str(domain.XMLDesc(0)))
        return [DomainXml.parse(text) for text in texts]
    except libvirt.libvirtError as error:
        if is_connection_lost(error):
            raise
    except XmlError:
        pass
    return []


def _port_test(context: HandlerContext) -> Callable[[str, str, int], bool]:
    from guivm.engine.settings.port_rules import can_open

    return can_open if context.host.is_local else lambda _protocol, _address, _number: True


def why_not_here(context: HandlerContext) -> str:
    """Why nothing can be cloned on this host, in a sentence; or empty."""
    if not context.host.is_local:
        return "Virtual machines can be cloned only where their images are on this computer."
    if context.connection.getType() != "QEMU":
        return "This host has no disk images that could be copied."
    return ""
