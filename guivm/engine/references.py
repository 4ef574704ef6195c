"""Who needs which file: every VM's XML, active and inactive, its snapshots, and the backing chains below.

The graph errs on the side of keeping: any absolute path anywhere in a VM's XML counts as needed by that VM, and so
does everything in the backing chain of such a file. Files are compared by what they are (device and inode), so that
symbolic and hard links are seen, and by name where they do not exist.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from guivm.engine.files import FileIdentity, identity
from guivm.engine.images import chain
from guivm.engine.xml.document import Element, parse_xml
from guivm.errors import BusyError
from guivm.text import clean_line

if TYPE_CHECKING:
    import libvirt

_PROSE = frozenset({"title", "description", "metadata"})


@dataclass(frozen=True, slots=True)
class Use:
    """A VM's need of a file. ``via`` names the image above when it is needed only as a backing file."""

    uuid: str
    vm_name: str
    path: Path
    via: Path | None = None


@dataclass(frozen=True, slots=True)
class References:
    """All uses on a host at one moment. ``unreadable``: images whose backing chain could not be seen."""

    uses: tuple[Use, ...]
    unreadable: tuple[Use, ...]
    by_identity: dict[FileIdentity, tuple[Use, ...]]
    by_name: dict[str, tuple[Use, ...]]

    def users(self, path: Path, *, but: str = "") -> tuple[Use, ...]:
        """Uses of the file by VMs other than ``but`` (a UUID)."""
        mark = identity(path)
        found = [*self.by_name.get(_name(path), ()), *(self.by_identity.get(mark, ()) if mark else ())]
        return tuple(dict.fromkeys(use for use in found if use.uuid != but))

    def blind_spots(self, *, but: str = "") -> tuple[Use, ...]:
        """Images of other VMs that could not be read: what they need is not known."""
        return tuple(use for use in self.unreadable if use.uuid != but)


def _name(path: Path) -> str:
    return os.path.normpath(path)


def mentioned_paths(root: Element) -> Iterator[str]:
    """Every absolute path in attributes and texts, titles and notes aside. QEMU arguments are taken apart."""
    for node in root:
        tag: object = node.tag
        if not isinstance(tag, str):
            continue
        if tag in _PROSE:
            continue
        foreign = tag.startswith("{")
        for value in (*node.attrib.values(), node.text or ""):
            text = str(value).strip()
            if foreign:
                yield from (part for part in re.split(r"[=,\s]", text) if part.startswith("/"))
            elif text.startswith("/"):
                yield text
        yield from mentioned_paths(node)


def volume_sources(root: Element) -> Iterator[tuple[str, str]]:
    """(pool, volume) of every storage-volume source."""
    for source in root.iter("source"):
        pool, volume = source.get("pool"), source.get("volume")
        if pool and volume:
            yield pool, volume


def volume_path(connection: libvirt.virConnect, pool: str, volume: str) -> str:
    """Path of a storage volume, or empty when the pool or the volume is not to be found."""
    import libvirt

    try:
        return str(connection.storagePoolLookupByName(pool).storageVolLookupByName(volume).path())
    except libvirt.libvirtError:
        return ""


def domain_documents(domain: libvirt.virDomain) -> list[str]:
    """The domain's inactive and, while it runs, active XML, and that of all its snapshots. Raises libvirtError."""
    import libvirt

    documents = [str(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))]
    if domain.isActive():
        documents.append(str(domain.XMLDesc(0)))
    documents.extend(snapshot_documents(domain))
    return documents


def snapshot_documents(domain: libvirt.virDomain) -> list[str]:
    """XML of every snapshot, parents before children; empty where the driver has no snapshots."""
    import libvirt

    try:
        snapshots = domain.listAllSnapshots(libvirt.VIR_DOMAIN_SNAPSHOT_LIST_TOPOLOGICAL)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_SUPPORT:
            return []
        if (
            error.get_error_code() == libvirt.VIR_ERR_INVALID_ARG
        ):  # libvirt 9.0: one that is being taken has no name yet
            raise BusyError(
                f"A snapshot of “{clean_line(domain.name())}” is being taken.",
                advice="Try again when it is done.",
                details=str(error),
            ) from error
        raise
    return [str(snapshot.getXMLDesc(libvirt.VIR_DOMAIN_SNAPSHOT_XML_SECURE)) for snapshot in snapshots]


def document_paths(connection: libvirt.virConnect, text: str) -> tuple[Path, ...]:
    """Every path one document (of a domain or a snapshot) names, volumes resolved. Raises XmlError."""
    root = parse_xml(text, "domainsnapshot" if text.lstrip().startswith("<domainsnapshot") else "domain")
    paths = dict.fromkeys(mentioned_paths(root))
    for pool, volume in volume_sources(root):
        path = volume_path(connection, pool, volume)
        if path.startswith("/"):
            paths[path] = None
    return tuple(Path(path) for path in paths if "\0" not in path)


def collect_references(connection: libvirt.virConnect, images_dir: Path | None = None) -> References:
    """Read all VMs of the host; with ``images_dir``, also what the snapshots kept there need.

    Raises libvirtError, XmlError and OperationError: an incomplete graph is never returned.
    """
    import libvirt

    trees = {} if images_dir is None else _kept_trees(images_dir)
    uses: list[Use] = []
    unreadable: list[Use] = []
    for domain in connection.listAllDomains(0):
        try:
            uuid, name = str(domain.UUIDString()), clean_line(str(domain.name()))
            paths: dict[Path, None] = {}
            for text in domain_documents(domain):
                paths.update(dict.fromkeys(document_paths(connection, text)))
            paths.update(dict.fromkeys(trees.pop(uuid, ("", ()))[1]))
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:  # removed meanwhile
                continue
            raise
        _add_uses(uses, unreadable, uuid, name, paths)
    for uuid, (name, kept) in trees.items():  # of VMs that are not defined (any more)
        _add_uses(uses, unreadable, uuid, name, kept)
    return _index(uses, unreadable)


def _kept_trees(images_dir: Path) -> dict[str, tuple[str, tuple[Path, ...]]]:
    """(VM's name, files) of the snapshots that are files of their own, by the VM's UUID."""
    from guivm.engine.snapshots import store

    return {
        uuid: (tree.vm_name or uuid, tuple(Path(path) for path in tree.files))
        for uuid, tree in store.trees(images_dir).items()
    }


def _add_uses(uses: list[Use], unreadable: list[Use], uuid: str, name: str, paths: Iterable[Path]) -> None:
    for path in paths:
        use = Use(uuid, name, path)
        uses.append(use)
        if not path.is_file() and not path.is_block_device():
            continue
        if not os.access(path, os.R_OK):
            unreadable.append(use)
            continue
        uses.extend(Use(uuid, name, link.path, via=path) for link in chain(path)[1:])


def _index(uses: list[Use], unreadable: list[Use]) -> References:
    by_identity: dict[FileIdentity, list[Use]] = {}
    by_name: dict[str, list[Use]] = {}
    for use in uses:
        by_name.setdefault(_name(use.path), []).append(use)
        mark = identity(use.path)
        if mark is not None:
            by_identity.setdefault(mark, []).append(use)
    return References(
        tuple(uses),
        tuple(unreadable),
        {mark: tuple(found) for mark, found in by_identity.items()},
        {name: tuple(found) for name, found in by_name.items()},
    )
