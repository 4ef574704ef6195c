"""What libvirt fills in when a VM starts: in its live XML and not in its definition, and no change that waits.

Seen in what libvirt 9.0 answers for running QEMU guests (dumpxml against dumpxml --inactive), and for firmware in what
11.3 does: it fills in the files and features it chose as soon as the VM is defined.
"""

from __future__ import annotations

from typing import TypeAlias

from guivm.engine.options.firmware import FIRMWARE_FILES, has_secure_boot
from guivm.engine.xml.boot import FirmwareFeature
from guivm.engine.xml.chardev import CharLine, CharSource
from guivm.engine.xml.disk import Disk
from guivm.engine.xml.domain import DomainXml
from guivm.engine.xml.graphics import Graphics, Listen
from guivm.engine.xml.node import XmlNode

FieldValue: TypeAlias = str | int | bool | None

# Of the moment, whatever the definition says: names by which QEMU knows a device, and states.
_ALWAYS = frozenset({"alias", "id", "tty", "target_state", "port_id", "current_kib"})

# Chosen by libvirt or reported by QEMU where the definition leaves it open; by class and property.
_WHERE_OPEN: dict[str, frozenset[str]] = {
    "Graphics": frozenset({"port", "tls_port", "websocket", "socket", "listen_address", "listen_socket"}),
    "Listen": frozenset({"address", "socket"}),
    "Interface": frozenset({"target_dev", "backend_type", "mac_type"}),
    "Vsock": frozenset({"cid", "cid_address"}),
    "Features": frozenset({"smm"}),
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
    if where == "current_memory_kib":
        return defined_value is None and live_value == live_domain.memory_kib
    if where.startswith("os."):
        if live_value is None and _is_chosen_with_firmware(name, domain):
            return True
        return _is_firmware(name, is_open, live_domain, domain)
    if where == "features.smm" and live_value is None and domain.os.firmware == "efi":
        return has_secure_boot(domain)  # needs it, and libvirt from 9.2 on says so
    if where.startswith("cpu."):
        return _is_worked_out(where, name, live_value, defined_value, live_domain, domain)
    if ".backing_store" in where or where.endswith(("source.index", "mirror.index")):
        return True
    if isinstance(live, CharLine | CharSource):
        return is_open and name in ("source_path", "source_mode", "path", "mode")
    if isinstance(live, Graphics) and name in ("port", "tls_port"):
        return is_open or defined_value == -1
    if isinstance(live, Disk) and name == "driver_type":
        return live_value is None and live.source_file is None  # an empty drive has no format
    return is_open and any(name in _WHERE_OPEN.get(kind.__name__, ()) for kind in type(live).__mro__)


def is_filled_in_node(
    where: str, node: XmlNode, live_domain: DomainXml, domain: DomainXml, *, is_live_only: bool
) -> bool:
    """The same for an item of a list, or a device, that only one of the two has. ``domain``: the definition."""
    if where.startswith("cpu.features["):
        if not is_live_only:
            return _policy(node) in ("optional", "forbid")
        return _is_reported(live_domain, domain) or _is_host_model_worked_out(live_domain, domain)
    if where.startswith("os.firmware_features["):
        return _is_feature_chosen(node, live_domain, domain, is_live_only=is_live_only)
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


# --- firmware ---------------------------------------------------------------------------------------------


def _is_chosen_with_firmware(name: str, domain: DomainXml) -> bool:
    """A UEFI that waits stands in a definition of libvirt 9.2 and later with the files it will have."""
    return domain.os.firmware == "efi" and name.startswith(FIRMWARE_FILES)


def _is_firmware(name: str, is_open: bool, live_domain: DomainXml, domain: DomainXml) -> bool:
    """A firmware that libvirt was to choose stands in the live XML as the files it chose."""
    live, defined = live_domain.os, domain.os
    if not (name == "firmware" or name.startswith(FIRMWARE_FILES)):
        return False
    if live.uses_uefi != defined.uses_uefi:
        return not live.uses_uefi and defined.firmware == "bios"
    if not defined.uses_uefi:
        return False
    if name == "firmware":  # libvirt before 9.2 leaves only the files it chose
        return live.firmware is None and defined.firmware == "efi"
    return is_open and (defined.firmware is not None or name.startswith("nvram"))


def _is_feature_chosen(node: XmlNode, live_domain: DomainXml, domain: DomainXml, *, is_live_only: bool) -> bool:
    """What a firmware must have: before 9.2 libvirt leaves it as it was asked for, later it adds what it chose."""
    live, defined = live_domain.os, domain.os
    if not (live.uses_uefi and defined.uses_uefi) or not isinstance(node, FirmwareFeature):
        return False
    if is_live_only:
        return live.firmware is not None
    is_on = live.loader_secure if node.name == "secure-boot" else has_secure_boot(live_domain)
    return node.name in ("secure-boot", "enrolled-keys") and bool(is_on) == bool(node.enabled)


# --- processor --------------------------------------------------------------------------------------------


def _is_worked_out(
    where: str, name: str, live_value: FieldValue, defined_value: FieldValue, live_domain: DomainXml, domain: DomainXml
) -> bool:
    """A model that is worked out at the start stands in the live XML as a named one with its features."""
    if where.startswith("cpu.features["):
        return defined_value in ("optional", "forbid")
    is_open = defined_value is None
    match name:
        case "match" | "model_fallback":
            return True  # settled at the start
        case "check":
            return is_open or live_value in (None, "full")
        case "vendor" | "model_vendor_id":
            return is_open
        case "mode" | "model" | "migratable":
            if domain.cpu.mode == "host-model":
                return _is_host_model_worked_out(live_domain, domain)
            return is_open and not live_domain.cpu.vendor
        case _:
            return False


def _is_reported(live_domain: DomainXml, domain: DomainXml) -> bool:
    """Whether the live XML has the processor as QEMU reports it: features that nobody asked for among the others."""
    live = live_domain.cpu
    return live.mode == "custom" and live.check == "full" and domain.cpu.check != "full"


def _is_host_model_worked_out(live_domain: DomainXml, domain: DomainXml) -> bool:
    """The host's processor by its name: with its maker, which a model that somebody chose has not on PCs."""
    is_pc = (domain.os.arch or "x86_64") in ("x86_64", "i686")
    live = live_domain.cpu
    return domain.cpu.mode == "host-model" and live.mode == "custom" and (bool(live.vendor) or not is_pc)
