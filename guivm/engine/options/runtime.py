"""What libvirt fills in when a VM starts: in its live XML and not in its definition, and no change that waits.

Seen in what libvirt 9.0 answers for running QEMU guests (dumpxml against dumpxml --inactive).
"""

from __future__ import annotations

from typing import TypeAlias

from guivm.engine.xml.chardev import CharLine, CharSource
from guivm.engine.xml.disk import Disk
from guivm.engine.xml.domain import DomainXml
from guivm.engine.xml.graphics import Graphics, Listen
from guivm.engine.xml.node import XmlNode

FieldValue: TypeAlias = str | int | bool | None

# Of the moment, whatever the definition says: names by which QEMU knows a device, and states.
_ALWAYS = frozenset({"alias", "id", "tty", "target_state", "port_id", "current_kib", "current_memory_kib"})

# Chosen by libvirt or reported by QEMU where the definition leaves it open; by class and property.
_WHERE_OPEN: dict[str, frozenset[str]] = {
    "Graphics": frozenset({"port", "tls_port", "websocket", "socket", "listen_address", "listen_socket"}),
    "Listen": frozenset({"address", "socket"}),
    "Interface": frozenset({"target_dev", "backend_type", "mac_type"}),
    "Vsock": frozenset({"cid", "cid_address"}),
    "Features": frozenset({"smm"}),
    "Cpu": frozenset({"model", "match", "vendor", "check", "model_fallback", "model_vendor_id", "migratable"}),
    "Disk": frozenset({"driver_type", "driver_name", "type"}),
    "DomainXml": frozenset({"genid"}),
    "MemoryDevice": frozenset({"requested_kib", "block_kib", "source_align_kib"}),
    "Video": frozenset({"ram_kib", "vram_kib", "vgamem_kib", "heads"}),
    "Tpm": frozenset({"backend_version"}),
}


def is_filled_in(
    where: str,
    live: XmlNode,
    defined: XmlNode,
    live_value: FieldValue,
    defined_value: FieldValue,
    live_domain: DomainXml,
    domain: DomainXml,
) -> bool:
    """Whether a field of a running VM differs from its definition without anybody having asked for it.

    ``where`` as in :class:`differences.Difference`.
    """
    name = where.rpartition(".")[2]
    is_open = defined_value is None or defined_value is False
    if name in _ALWAYS:
        return name != "id" or where == "id"
    if ".address." in where or name == "address_type":
        return is_open or live_value is None  # laid out at the start; a hot-plugged device waits for its own
    if "password" in name:
        return live_value is None or defined_value is None  # told only to those who ask for secrets
    if where.startswith("os."):
        return _is_firmware(name, live_domain, domain)
    if where.startswith("cpu."):
        return _is_expanded(where, name, defined_value, domain)
    if ".backing_store" in where or where.endswith(("source.index", "mirror.index")):
        return True
    if isinstance(live, CharLine | CharSource):
        return is_open and name in ("source_path", "source_mode", "path", "mode")
    if isinstance(live, Graphics) and name in ("port", "tls_port"):
        return is_open or defined_value == -1
    if isinstance(live, Disk) and name == "driver_type":
        return live_value is None and live.source_file is None  # an empty drive has no format
    return is_open and any(name in _WHERE_OPEN.get(kind.__name__, ()) for kind in type(live).__mro__)


def is_filled_in_node(where: str, node: XmlNode, domain: DomainXml, *, is_live_only: bool) -> bool:
    """The same for an item of a list, or a device, that only one of the two has. ``domain``: the definition."""
    if where.startswith("cpu.features["):
        optional = _policy(node) in ("optional", "forbid")
        return is_live_only or optional or _is_made_at_start(domain)
    if where.startswith("os.firmware_features["):
        return domain.os.uses_uefi
    if where.startswith(("io_thread_ids[", "individual_vcpus[")):
        return is_live_only
    if ".backing_store" in where:
        return True
    if isinstance(node, CharSource):
        return is_live_only
    return isinstance(node, Listen) and is_live_only and node.type == "address"


def _policy(node: XmlNode) -> str:
    policy = getattr(node, "policy", None)
    return str(policy or "")


def _is_firmware(name: str, live_domain: DomainXml, domain: DomainXml) -> bool:
    """A firmware that libvirt was to choose stands in the live XML as the files it chose."""
    chosen = name == "firmware" or name.startswith(("loader", "nvram"))
    if chosen and domain.os.uses_uefi:
        return live_domain.os.uses_uefi and domain.os.firmware is not None
    return chosen and not live_domain.os.uses_uefi and domain.os.firmware == "bios"


def _is_made_at_start(domain: DomainXml) -> bool:
    return domain.cpu.mode in ("host-model", "host-passthrough", "maximum")


def _is_expanded(where: str, name: str, defined_value: FieldValue, domain: DomainXml) -> bool:
    """A model that is worked out at the start stands in the live XML as a named one with its features."""
    if name in ("check", "match", "model_fallback", "model_vendor_id", "vendor"):
        return True
    if where.startswith("cpu.features["):
        return _is_made_at_start(domain) or defined_value == "optional"
    if domain.cpu.mode == "host-model":
        return name in ("mode", "model", "migratable")
    return name in ("mode", "model", "migratable") and defined_value is None
