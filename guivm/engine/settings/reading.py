"""ReadSettings and ReadPending. Worker only; nothing is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guivm.engine.context import HandlerContext
from guivm.engine.options.values import PendingChanges, VmSettings
from guivm.engine.requests import ReadPending, ReadSettings
from guivm.engine.settings.documents import definition_of, is_persistent, parsed, starts_with_host
from guivm.engine.settings.facts import host_facts
from guivm.engine.settings.started import started_document
from guivm.engine.types import VmKey

if TYPE_CHECKING:
    import libvirt


def read_settings(context: HandlerContext, request: ReadSettings) -> VmSettings:
    """Handler of ReadSettings. Of a VM that exists only while it runs, ``xml`` is what a definition of it would be."""
    domain = context.domain(request.key)
    xml = definition_of(domain)
    live_xml = started_document(domain, xml)
    persistent = is_persistent(domain)
    return VmSettings(
        key=request.key,
        xml=xml,
        live_xml=live_xml,
        facts=host_facts(context, parsed(xml), but=request.key.uuid),
        autostart=persistent and starts_with_host(domain),
        persistent=persistent,
    )


def read_pending(context: HandlerContext, request: ReadPending) -> PendingChanges:
    """Handler of ReadPending. A VM that is off, or has no definition, waits for nothing."""
    return pending_of(request.key, context.domain(request.key))


def pending_of(key: VmKey, domain: libvirt.virDomain) -> PendingChanges:
    """Its definition compared with what runs. Raises libvirtError, XmlError."""
    xml = definition_of(domain)
    live_xml = started_document(domain, xml)
    if not live_xml or not is_persistent(domain):
        return PendingChanges(key, (), xml, live_xml)
    from guivm.engine.options.changes import changes

    return PendingChanges(key, changes(parsed(live_xml), parsed(xml)), xml, live_xml)
