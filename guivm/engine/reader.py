"""From a libvirt domain to a :class:`VmInfo`, in as few calls as the driver allows. Worker only.

A host is listed in four calls for all its domains together. What only the XML of each tells costs a call for each
(a round trip, over a network): it is read at once where that is quick, and bit by bit afterwards where it is not.

States and reasons are those of ``virDomainState`` and its ``…Reason`` enumerations in libvirt-domain.h.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from guivm.engine.cloning.due import due_of
from guivm.engine.cloning.template_mark import is_marked
from guivm.engine.connection import LinkLost
from guivm.engine.libvirt_errors import code_of, is_connection_lost, text_of
from guivm.engine.types import HostId, IdentityDue, VmInfo, VmKey, VmState
from guivm.text import clean_block, clean_line, natural_key

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    import libvirt
    from lxml import etree

    _Found = tuple[libvirt.virDomain, tuple[int, int] | None]  # with virDomainState and its reason

NAME_LIMIT = 200
TITLE_LIMIT = 200
NOTES_LIMIT = 65_536

# What guivm keeps: guivm.engine.xml.metadata.
_FORWARD = "metadata/{https://guivm.org/xmlns/domain/1}settings/{https://guivm.org/xmlns/domain/1}portForward"
_DISPOSABLE = "metadata/{https://guivm.org/xmlns/run/1}run/{https://guivm.org/xmlns/run/1}disposable"

_SAMPLE = 16  # VMs read before the time for all of them is guessed

# virDomainState
_RUNNING, _BLOCKED, _PAUSED, _SHUTDOWN, _SHUTOFF, _CRASHED, _PMSUSPENDED = range(1, 8)
_OFF_CRASHED = 3  # VIR_DOMAIN_SHUTOFF_CRASHED

_PAUSED_REASONS = {
    2: "its memory is being moved",
    3: "saving its state",
    4: "its memory is being dumped",
    5: "its disk cannot be written to; free some space if the host's is full, then resume",
    6: "stopped by its watchdog",
    7: "restored from a snapshot",
    8: "shutting down",
    9: "a snapshot is being taken",
    10: "the guest crashed",
    11: "starting",
    12: "its memory is being moved",
    13: "its migration failed",
}
_OFF_REASONS = {
    2: "forced off",
    3: "crashed",
    4: "migrated to another host",
    5: "saved to a file",
    6: "failed to start",
    7: "restored from a snapshot",
    8: "its process ended unexpectedly",
}


def observed(state: int, reason: int, *, has_saved_state: bool) -> tuple[VmState, str]:
    """Our state and reason in words for libvirt's pair of numbers."""
    if state in (_RUNNING, _BLOCKED):
        return VmState.RUNNING, ""
    if state == _PAUSED:
        return VmState.PAUSED, _PAUSED_REASONS.get(reason, "")
    if state == _SHUTDOWN:
        return VmState.SHUTTING_DOWN, ""
    if state == _SHUTOFF:
        if has_saved_state:
            return VmState.SAVED, ""
        if reason == _OFF_CRASHED:
            return VmState.CRASHED, "crashed"
        return VmState.OFF, _OFF_REASONS.get(reason, "")
    if state == _CRASHED:
        # With <on_crash>preserve</on_crash> the process still exists, its CPUs stopped: not "off".
        return VmState.PAUSED, "the guest crashed"
    if state == _PMSUSPENDED:
        return VmState.SUSPENDED, ""
    return VmState.UNKNOWN, ""


class Texts(NamedTuple):
    """What only the XML knows of a VM in the list."""

    uuid: str
    name: str
    title: str
    notes: str
    vcpus: int
    memory_kib: int
    has_graphics: bool
    has_forwards: bool
    is_disposable: bool = False
    identity: IdentityDue | None = None


_KIB_PER_UNIT = {
    "b": 1 / 1024,
    "bytes": 1 / 1024,
    "KB": 1000 / 1024,
    "k": 1,
    "KiB": 1,
    "MB": 10**6 / 1024,
    "M": 1024,
    "MiB": 1024,
    "GB": 10**9 / 1024,
    "G": 1024**2,
    "GiB": 1024**2,
    "TB": 10**12 / 1024,
    "T": 1024**3,
    "TiB": 1024**3,
}  # fmt: skip  (https://libvirt.org/formatdomain.html#memory-allocation)


def parse_domain(xml: str) -> etree._Element:
    """Parse a domain's XML as libvirt wrote it; no entities, no network."""
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True)
    return etree.fromstring(xml.encode("utf-8"), parser)


def _list_tree(xml: str) -> Element | etree._Element:
    """The same for the list: with Python's own parser, for the first list need not wait until lxml is imported.

    That one expands the entities of a document type. libvirt writes none: where one is, lxml takes the XML as above.
    """
    if "<!DOCTYPE" in xml:
        return parse_domain(xml)
    from xml.etree import ElementTree

    return ElementTree.fromstring(xml)


def memory_kib(element: etree._Element | Element | None) -> int:
    """``<memory unit=…>`` in KiB; 0 when there is none."""
    if element is None or not (element.text or "").strip().isdigit():
        return 0
    return int(int(element.text or "0") * _KIB_PER_UNIT.get(element.get("unit", "KiB"), 1))


def vcpus_of(root: etree._Element | Element) -> int:
    """vCPUs switched on: ``current``, else all of ``<vcpu>``."""
    element = root.find("vcpu")
    if element is None:
        return 1
    text = element.get("current") or (element.text or "").strip()
    return int(text) if text.isdigit() else 1


def texts_of(xml: str) -> Texts:
    root = _list_tree(xml)
    return Texts(
        uuid=(root.findtext("uuid") or "").strip().lower(),
        name=clean_line(root.findtext("name") or "", NAME_LIMIT),
        title=clean_line(root.findtext("title") or "", TITLE_LIMIT),
        notes=clean_block(root.findtext("description") or "", NOTES_LIMIT),
        vcpus=vcpus_of(root),
        memory_kib=memory_kib(root.find("memory")),
        has_graphics=root.find("devices/graphics[@type='vnc']") is not None,
        has_forwards=root.find(_FORWARD) is not None,
        is_disposable=root.find(_DISPOSABLE) is not None,
        identity=due_of(root),
    )


class Reader:
    """Reads the VMs of one link."""

    def __init__(self, host: HostId, connection: libvirt.virConnect, images_dir: Path | None = None) -> None:
        """``images_dir``: where guivm keeps what it knows of its VMs; None: not on this computer."""
        self._host = host
        self._connection = connection
        self._images_dir = images_dir

    def read(self, uuid: str) -> VmInfo | None:
        """One VM, or None when the host does not know it (any more). Raises LinkLost."""
        import libvirt

        try:
            domain = self._connection.lookupByUUIDString(uuid)
        except libvirt.libvirtError as error:
            if code_of(error) == libvirt.VIR_ERR_NO_DOMAIN:
                return None
            raise LinkLost(text_of(error)) from error
        return self._info(domain, None)

    def uuid_of(self, name: str) -> str | None:
        """By the name as libvirt has it; None when the host knows no such VM. Raises LinkLost."""
        import libvirt

        try:
            return str(self._connection.lookupByName(name).UUIDString())
        except libvirt.libvirtError as error:
            if is_connection_lost(error):
                raise LinkLost(text_of(error)) from error
        except UnicodeEncodeError:  # from the name of a file that is no text
            pass
        return None

    def is_template(self, uuid: str) -> bool:
        """Whether guivm keeps the VM as a template."""
        return self._images_dir is not None and is_marked(self._images_dir, uuid)

    def pending(self, uuid: str) -> int:
        """How many changes wait for a VM's next start; 0 also where that cannot be told. Raises LinkLost."""
        import libvirt

        from guivm.engine.settings.reading import pending_of
        from guivm.engine.xml.document import XmlError

        try:
            domain = self._connection.lookupByUUIDString(uuid)
            return len(pending_of(VmKey(self._host, uuid), domain).changes)
        except libvirt.libvirtError as error:
            if is_connection_lost(error):
                raise LinkLost(text_of(error)) from error
        except XmlError:
            pass
        except Exception:  # the boundary: a mistake of ours must not end the connection
            logging.getLogger(__name__).exception("the changes that wait for %s could not be counted", uuid)
        return 0

    def read_all(self, first_s: float) -> Listing:
        """Every VM of the host, as many of them complete as can be within ``first_s`` seconds. Raises LinkLost."""
        import libvirt

        try:
            known = _Known.of(self._connection)
            domains = _with_states(self._connection)
        except libvirt.libvirtError as error:
            raise LinkLost(text_of(error)) from error
        import xml.etree.ElementTree  # noqa: F401  (for the XML: not to be taken for a slow host)

        return Listing(self._host, known, domains, self._info, first_s)

    def _info(
        self, domain: libvirt.virDomain, known: _Known | None, state: tuple[int, int] | None = None
    ) -> VmInfo | None:
        """None when the domain is gone. One that cannot be read is shown with state UNKNOWN."""
        import libvirt

        try:
            return self._read(domain, known, state)
        except libvirt.libvirtError as error:
            if is_connection_lost(error):
                raise LinkLost(text_of(error)) from error
            if code_of(error) == libvirt.VIR_ERR_NO_DOMAIN:
                return None
            return VmInfo(
                key=VmKey(self._host, domain.UUIDString()),
                name=clean_line(domain.name(), NAME_LIMIT),
                state=VmState.UNKNOWN,
                reason=clean_line(text_of(error)),
                vcpus=0,
                is_complete=False,
            )

    def _read(self, domain: libvirt.virDomain, known: _Known | None, found: tuple[int, int] | None) -> VmInfo:
        texts = texts_of(domain.XMLDesc(0))
        uuid = texts.uuid or domain.UUIDString()
        if known:
            persistent = uuid not in known.transient
            autostart = uuid in known.autostart
            saved = uuid in known.saved
            state, reason = domain.state(0) if found is None else found
        else:
            persistent = bool(domain.isPersistent())
            autostart = persistent and bool(domain.autostart())
            state, reason, saved = _state_now(domain, may_be_saved=persistent)
        shown, why = observed(state, reason, has_saved_state=saved)
        return VmInfo(
            key=VmKey(self._host, uuid),
            name=texts.name,
            state=shown,
            title=texts.title,
            notes=texts.notes,
            reason=why,
            autostart=autostart,
            persistent=persistent,
            vcpus=texts.vcpus,
            memory_kib=texts.memory_kib,
            has_graphics=texts.has_graphics,
            has_forwards=texts.has_forwards,
            is_disposable=texts.is_disposable,
            is_template=self.is_template(uuid),
            identity=texts.identity,
        )


class Listing:
    """The VMs of a host at one moment.

    ``vms`` are all of them; one that disappeared meanwhile is left out. They are read whole as long as reading all
    can be expected to take no longer than ``first_s`` seconds. Of the others ``vms`` has what the host told of all
    VMs together (``is_complete`` is False); the rest is got by :meth:`read_on`.

    It holds domains of the connection, and so keeps it open.
    """

    def __init__(
        self,
        host: HostId,
        known: _Known | None,
        domains: list[_Found],
        read: Callable[[libvirt.virDomain, _Known | None, tuple[int, int] | None], VmInfo | None],
        first_s: float,
    ) -> None:
        self._host = host
        self._known = known
        self._read = read
        self._left: list[tuple[VmInfo, libvirt.virDomain, tuple[int, int]]] = []
        self._in_order = False
        self.vms: list[VmInfo] = []
        begin_s = time.monotonic()
        late = False
        for number, (domain, state) in enumerate(domains):
            late = late or is_late(time.monotonic() - begin_s, number, len(domains), first_s)
            if late and known is not None and state is not None:
                vm: VmInfo | None = self._glance(domain, known, *state)
            else:
                vm = read(domain, known, state)
            if vm is not None:
                self.vms.append(vm)

    @property
    def is_complete(self) -> bool:
        """True when nothing is left to be read."""
        return not self._left

    def read_on(self, seconds: float) -> list[tuple[str, VmInfo | None]]:
        """Read more, one VM at least, until ``seconds`` have passed: UUIDs, and None for a VM that is gone.

        In the order of names, for that is how a list stands. Raises LinkLost.
        """
        until_s = time.monotonic() + seconds
        if not self._in_order:
            self._left.sort(key=lambda left: natural_key(left[0].name), reverse=True)
            self._in_order = True
        results: list[tuple[str, VmInfo | None]] = []
        while self._left:
            glance, domain, state = self._left.pop()
            results.append((glance.key.uuid, self._read(domain, self._known, state)))
            if time.monotonic() >= until_s:
                break
        return results

    def _glance(self, domain: libvirt.virDomain, known: _Known, state: int, reason: int) -> VmInfo:
        """What is known of a domain without asking; name and UUID came with the list."""
        uuid = domain.UUIDString()
        shown, why = observed(state, reason, has_saved_state=uuid in known.saved)
        vm = VmInfo(
            key=VmKey(self._host, uuid),
            name=clean_line(domain.name(), NAME_LIMIT),
            state=shown,
            reason=why,
            autostart=uuid in known.autostart,
            persistent=uuid not in known.transient,
            vcpus=0,
            is_complete=False,
        )
        self._left.append((vm, domain, (state, reason)))
        return vm


def is_late(elapsed_s: float, done: int, total: int, limit_s: float) -> bool:
    """Whether reading all VMs takes longer than ``limit_s``, as far as can be told after ``done`` of them."""
    return elapsed_s >= limit_s or (done >= _SAMPLE and elapsed_s * total > limit_s * done)


class _Known(NamedTuple):
    """UUIDs: what a driver tells of all its domains in one call each."""

    autostart: frozenset[str]
    transient: frozenset[str]
    saved: frozenset[str]

    @classmethod
    def of(cls, connection: libvirt.virConnect) -> _Known | None:
        """None when the driver cannot filter a list. Raises libvirtError when the link is broken."""
        import libvirt

        def uuids(flag: int) -> frozenset[str]:
            return frozenset(domain.UUIDString() for domain in connection.listAllDomains(flag))

        try:
            autostart = uuids(libvirt.VIR_CONNECT_LIST_DOMAINS_AUTOSTART)
            transient = uuids(libvirt.VIR_CONNECT_LIST_DOMAINS_TRANSIENT)
            saved = uuids(libvirt.VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE)
        except libvirt.libvirtError as error:
            if is_connection_lost(error):
                raise
            return None
        return cls(autostart, transient, saved)


def _with_states(connection: libvirt.virConnect) -> list[_Found]:
    """Every domain with its state and reason; without, where a driver has no bulk statistics. Raises libvirtError."""
    import libvirt

    flags = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
    try:
        stats: Iterable[tuple[libvirt.virDomain, dict[str, int]]] = connection.getAllDomainStats(
            libvirt.VIR_DOMAIN_STATS_STATE, flags
        )
    except libvirt.libvirtError as error:
        if is_connection_lost(error):
            raise
        return [(domain, None) for domain in connection.listAllDomains(0)]
    return [
        (domain, (values["state.state"], values.get("state.reason", 0)) if "state.state" in values else None)
        for domain, values in stats
    ]


def _state_now(domain: libvirt.virDomain, *, may_be_saved: bool) -> tuple[int, int, bool]:
    """virDomainState, its reason, and whether there is a saved state: as they were at one moment.

    A VM that is being restored is first off with a saved state, then on without: asked in between, it would be off
    with none.
    """
    while True:
        state, reason = domain.state(0)
        if state != _SHUTOFF or not may_be_saved:
            return state, reason, False
        if _has_saved_state(domain):
            return state, reason, True
        if tuple(domain.state(0)) == (state, reason):
            return state, reason, False


def _has_saved_state(domain: libvirt.virDomain) -> bool:
    import libvirt

    try:
        return bool(domain.hasManagedSaveImage(0))
    except libvirt.libvirtError as error:
        if is_connection_lost(error):
            raise
        return False
