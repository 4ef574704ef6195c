"""The running VM's document in the words of its definition, so that both can be compared. Worker only.

What is undone here, libvirt wrote into the running document by itself:

* the processor as QEMU reports it: the document for a migration has it as it was asked for (libvirt,
  src/qemu/qemu_domain.c, origCPU in qemuDomainDefFormatBufInternal);
* a "host-model" worked out into a named model with its features: the domain capabilities tell how;
* a pinning that was taken away while it ran: no call of libvirt's removes one, it only widens it to all CPUs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guivm.engine.libvirt_errors import is_connection_lost
from guivm.engine.settings.documents import live_document, parsed
from guivm.engine.settings.pins import adopt_pins
from guivm.engine.xml.cpu import Cpu
from guivm.engine.xml.document import Element, parse_xml
from guivm.engine.xml.domain import DomainXml

if TYPE_CHECKING:
    import libvirt


def started_document(domain: libvirt.virDomain, definition: str) -> str:
    """The running VM's document; empty when it is off. Raises libvirtError, and XmlError."""
    text = live_document(domain)
    if not text:
        return ""
    live, defined = parsed(text), parsed(definition)
    changed = _undo_report(domain, live)
    changed |= _undo_host_model(domain, live, defined)
    changed |= _undo_widening(domain, live, defined)
    return live.to_text() if changed else text


# --- the processor ----------------------------------------------------------------------------------------


def _undo_report(domain: libvirt.virDomain, live: DomainXml) -> bool:
    import libvirt

    if live.cpu.mode != "custom":
        return False
    try:
        asked = parsed(str(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_MIGRATABLE))).cpu.find()
    except libvirt.libvirtError as error:  # one that may only look is not told
        if is_connection_lost(error):
            raise
        return False
    reported = live.cpu.find()
    if asked is None or reported is None:
        return False
    _put(asked, reported)
    return True


def _undo_host_model(domain: libvirt.virDomain, live: DomainXml, defined: DomainXml) -> bool:
    """A named model is a host-model worked out when it has a maker, which people hardly ever name, and is the host's.

    Of the features only those stay that are not the host's: they were asked for.
    """
    cpu = live.cpu
    if cpu.mode != "custom" or not cpu.vendor or (defined.cpu.mode == "custom" and defined.cpu.vendor):
        return False
    host = _host_model(domain, live)
    if host is None or (host.model, host.vendor) != (cpu.model, cpu.vendor):
        return False
    usual = {feature.name: feature.policy for feature in host.features}
    said = {(feature.name, feature.policy) for feature in defined.cpu.features}
    is_wanted = defined.cpu.mode == "host-model"
    for feature in list(cpu.features):
        mark = (feature.name, feature.policy)
        if usual.get(feature.name or "") == feature.policy and not (is_wanted and mark in said):
            cpu.features.remove(feature)
    cpu.mode, cpu.match, cpu.check = "host-model", None, None
    cpu.model, cpu.model_fallback, cpu.vendor = None, None, None
    return True


def _host_model(domain: libvirt.virDomain, live: DomainXml) -> Cpu | None:
    import libvirt

    try:
        text = domain.connect().getDomainCapabilities(
            live.devices.emulator, live.os.arch, live.os.machine, live.type, 0
        )
    except libvirt.libvirtError as error:
        if is_connection_lost(error):
            raise
        return None
    found = parse_xml(str(text), "domainCapabilities").find("cpu/mode[@name='host-model']")
    return None if found is None else Cpu(found)


def _put(new: Element, old: Element) -> None:
    new.tail = old.tail
    parent = old.getparent()
    assert parent is not None
    parent.replace(old, new)


# --- pinning ----------------------------------------------------------------------------------------------


def _undo_widening(domain: libvirt.virDomain, live: DomainXml, defined: DomainXml) -> bool:
    if _pin_texts(live) == _pin_texts(defined):
        return False
    return adopt_pins(live, defined, int(domain.connect().getCPUMap(0)[0]))


def _pin_texts(domain: DomainXml) -> tuple[object, ...]:
    tune = domain.cpu_tune
    return (
        domain.vcpu.cpu_set,
        tune.emulator_pin,
        *((pin.vcpu, pin.cpu_set) for pin in tune.vcpu_pins),
        *((pin.io_thread, pin.cpu_set) for pin in tune.io_thread_pins),
    )
