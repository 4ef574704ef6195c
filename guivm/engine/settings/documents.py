"""A VM's documents as libvirt has them: what is defined, what runs, and whether two are the same. Worker only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guivm.engine.libvirt_errors import is_connection_lost
from guivm.engine.xml.domain import DomainXml

if TYPE_CHECKING:
    import libvirt


def definition_of(domain: libvirt.virDomain) -> str:
    """The definition, passwords included: an edit that is stored must not lose them. Raises libvirtError."""
    import libvirt

    return _described(domain, libvirt.VIR_DOMAIN_XML_INACTIVE)


def live_document(domain: libvirt.virDomain) -> str:
    """The running VM's document, passwords included; empty when it is off. Raises libvirtError."""
    return _described(domain, 0) if domain.isActive() else ""


def _described(domain: libvirt.virDomain, flags: int) -> str:
    import libvirt

    try:
        return str(domain.XMLDesc(flags | libvirt.VIR_DOMAIN_XML_SECURE))
    except libvirt.libvirtError as error:
        if is_connection_lost(error):
            raise
    # A connection that may only look is refused the secrets; it cannot store anything either.
    try:
        return str(domain.XMLDesc(flags))
    except libvirt.libvirtError as error:
        if is_connection_lost(error) or not flags:
            raise
        return str(domain.XMLDesc(0))  # a driver that keeps no inactive definition


def is_persistent(domain: libvirt.virDomain) -> bool:
    return bool(domain.isPersistent())


def starts_with_host(domain: libvirt.virDomain) -> bool:
    """Whether it is started with the host; False where the driver has no such thing."""
    import libvirt

    try:
        return bool(domain.autostart())
    except libvirt.libvirtError as error:
        if is_connection_lost(error):
            raise
        return False


def parsed(text: str) -> DomainXml:
    """Raises XmlError."""
    return DomainXml.parse(text)
