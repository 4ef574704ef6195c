"""From a libvirt domain to a :class:`VmInfo`, in as few calls as the driver allows. Worker only.

Every call of libvirt gives Python's lock away and must wait for it again, up to 5 ms each while the window is being
made: the first list is read in one call for each domain and four for all together.

States and reasons are those of ``virDomainState`` and its ``…Reason`` enumerations in libvirt-domain.h.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from guivm.engine.connection import LinkLost
from guivm.engine.libvirt_errors import code_of, is_connection_lost, text_of
from guivm.engine.types import HostId, VmInfo, VmKey, VmState
from guivm.text import clean_block, clean_line

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    import libvirt
    from lxml import etree

NAME_LIMIT = 200
TITLE_LIMIT = 200
NOTES_LIMIT = 65_536

# virDomainState
_RUNNING, _BLOCKED, _PAUSED, _SHUTDOWN, _SHUTOFF, _CRASHED, _PMSUSPENDED = range(1, 8)
_OFF_CRASHED = 3  # VIR_DOMAIN_SHUTOFF_CRASHED

_PAUSED_REASONS = {
    2: "its memory is being moved",
    3: "saving its state",
    4: "its memory is being dumped",
    5: "I/O error",
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
    )


class Reader:
    """Reads the VMs of one link."""

    def __init__(self, host: HostId, connection: libvirt.virConnect) -> None:
        self._host = host
        self._connection = connection

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

    def read_all(self) -> list[VmInfo]:
        """Every VM of the host. One that disappears meanwhile is left out. Raises LinkLost."""
        import libvirt

        try:
            known = _Known.of(self._connection)
            domains = _with_states(self._connection)
        except libvirt.libvirtError as error:
            raise LinkLost(text_of(error)) from error
        found = (self._info(domain, known, state) for domain, state in domains)
        return [vm for vm in found if vm is not None]

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
            )

    def _read(self, domain: libvirt.virDomain, known: _Known | None, found: tuple[int, int] | None) -> VmInfo:
        state, reason = domain.state(0) if found is None else found
        texts = texts_of(domain.XMLDesc(0))
        uuid = texts.uuid or domain.UUIDString()
        if known:
            persistent = uuid not in known.transient
            autostart = uuid in known.autostart
            saved = uuid in known.saved
        else:
            persistent = bool(domain.isPersistent())
            autostart = persistent and bool(domain.autostart())
            saved = persistent and state == _SHUTOFF and _has_saved_state(domain)
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
        )


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


def _with_states(connection: libvirt.virConnect) -> list[tuple[libvirt.virDomain, tuple[int, int] | None]]:
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


def _has_saved_state(domain: libvirt.virDomain) -> bool:
    import libvirt

    try:
        return bool(domain.hasManagedSaveImage(0))
    except libvirt.libvirtError as error:
        if is_connection_lost(error):
            raise
        return False
