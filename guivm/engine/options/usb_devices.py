"""USB devices of the host, and of the viewer's computer, given to the guest. (formatdomain.html)

Which device, as a text: ``046d:c52b`` by kind, ``046d:c52b@1.4`` for the one on bus 1 as device 4, until it is pulled
out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from guivm.engine.options import passthrough
from guivm.engine.options.devices import (
    NO_USB,
    Known,
    dropping,
    has_spice,
    has_usb,
    label_of,
    listing,
    may_have,
    one_of,
    with_present,
)
from guivm.engine.options.facts import HostUsbDevice
from guivm.engine.options.option import Custom, Group, Item, N, Option, Resource, Situation, Value
from guivm.engine.options.passthrough import BOOT, add_device, device_option, named, of_type
from guivm.engine.xml.chardev import RedirectedUsb
from guivm.engine.xml.domain import Devices
from guivm.engine.xml.hostdev import HostDevice, HostDeviceSource

_USB = re.compile(
    r"([0-9a-fA-F]{4}):([0-9a-fA-F]{4})(?:@([0-9]{1,3})\.([0-9]{1,3}))?|@?([0-9]{1,3})\.([0-9]{1,3})", re.ASCII
)


def usb_text(device: HostUsbDevice, *, by_place: bool = False) -> str:
    """The text form of a device of the host's."""
    text = f"{device.vendor_id:04x}:{device.product_id:04x}"
    return f"{text}@{device.bus}.{device.device}" if by_place else text


def _get_usb(hostdev: HostDevice) -> Value | None:
    source = hostdev.source
    vendor, product, bus, device = source.vendor_id, source.product_id, source.address.bus, source.address.device
    kind = f"{vendor:04x}:{product:04x}" if vendor is not None and product is not None else ""
    place = f"@{bus}.{device}" if bus is not None and device is not None else ""
    return kind + place or None


def _set_usb(hostdev: HostDevice, value: Value | None) -> None:
    if value == _get_usb(hostdev):
        return
    match = _USB.fullmatch("" if value is None else str(value))
    if match is None:
        raise ValueError(
            N("A USB device is written as “046d:c52b”, or “046d:c52b@1.4” for the one on bus 1, device 4.")
        )
    source = hostdev.source
    source.vendor_id = source.product_id = None
    source.address.remove()
    if match[1]:
        source.vendor_id, source.product_id = int(match[1], 16), int(match[2], 16)
    bus, device = match[3] or match[5], match[4] or match[6]
    if bus:
        source.address.bus, source.address.device = int(bus), int(device)


def usb_items(situation: Situation, hostdev: HostDevice | None) -> Sequence[Item]:
    """The host's USB devices to choose from; of two alike, each by its place."""
    devices = situation.facts.usb_devices
    kinds = [usb_text(device) for device in devices]
    found = []
    for device, kind in zip(devices, kinds, strict=True):
        has_twin = kinds.count(kind) > 1
        text, place = usb_text(device, by_place=has_twin), f"bus {device.bus}, device {device.device}"
        label = (device.label or kind) + (f" ({place})" if has_twin else "")
        refusal = f"“{device.used_by}” has it." if device.used_by else ""
        found.append(Item(text, label, f"{kind}, {place}", refusal))
    return with_present(found, None if hostdev is None else _get_usb(hostdev), N("Not plugged in now."))


def _usb_summary(situation: Situation, hostdev: HostDevice) -> str:
    present = _get_usb(hostdev) or N("none")
    return passthrough.summary(usb_items(situation, None), present, N("not plugged in now"))


def _free_usb(situation: Situation) -> list[Item]:
    return passthrough.free_items(situation, "usb", usb_items(situation, None), _get_usb)


def _add_usb(situation: Situation) -> HostDevice:
    """The first that no VM has. Raises ValueError when there is none."""
    free = _free_usb(situation)
    if not free:
        raise ValueError(N("No free USB device is plugged into the host."))
    hostdev = add_device(situation.domain, "usb")
    hostdev.managed = True
    _set_usb(hostdev, free[0].value)
    return hostdev


def _usb_refusal(situation: Situation) -> str:
    if not has_usb(situation.domain):
        return NO_USB
    if not may_have(situation, "hostdev/subsysType", "usb"):
        return N("This host's QEMU passes no USB devices on.")
    if not situation.facts.usb_devices:
        return N("No USB device is plugged into the host, or it does not tell of any.")
    return "" if _free_usb(situation) else N("Every USB device of the host is given to a VM already.")


_POLICIES = (
    Known("mandatory", N("Do not start")),
    Known("requisite", N("Start without it only after a migration or restore")),
    Known("optional", N("Start without it")),
)
_RESETS = (
    Known("on", N("Always")),
    Known("uninitialized", N("Once")),
    Known("off", N("Never"), N("For devices that do not survive it.")),
)
_USB_OPTIONS = (
    device_option(
        Custom("usb-device", "046d:c52b, 046d:c52b@1.4 for one of two alike"),
        N("The host loses it while the VM runs; a bad device or driver can harm the guest only."),
        _get_usb,
        _set_usb,
    ),
    Option(
        "startup-policy",
        N("If it is not there"),
        N("Whether the VM starts without the device."),
        *one_of(_POLICIES, HostDeviceSource.startup_policy, HostDevice.source, default=N("Do not start")),
        more=True,
    ),
    Option(
        "guest-reset",
        N("The guest may reset it"),
        N("Some devices hang when they are reset a second time."),
        *one_of(_RESETS, HostDeviceSource.guest_reset, HostDevice.source),
        more=True,
        keywords="reset",
    ),
    BOOT,
)


# --- USB of the viewer's computer -------------------------------------------------------------------------

_REDIRECTIONS = (
    Known("spicevmc", N("SPICE's viewer"), N("Choose the device there.")),
    Known("tcp", N("A TCP connection"), N("Unencrypted; a program on the other side hands the device out.")),
)


def _redirection_refusal(situation: Situation, _node: RedirectedUsb | None, kind: str = "spicevmc") -> str:
    if not has_usb(situation.domain):
        return NO_USB
    if kind == "spicevmc" and not has_spice(situation.domain.devices):
        return N("Only SPICE hands USB devices on, and this VM has no SPICE display.")
    return ""


def _set_redirection(node: RedirectedUsb, value: Value | None) -> None:
    kind = "spicevmc" if value is None else str(value)
    if kind == node.type:
        return
    node.sources.clear()
    node.protocol = None
    node.type = kind
    if kind == "tcp":
        node.source.mode, node.source.host, node.source.service = "connect", "127.0.0.1", "4000"
        node.protocol = "raw"


def _add_redirection(situation: Situation) -> RedirectedUsb:
    node = situation.domain.devices.redirected_usbs.add()
    node.bus, node.type = "usb", "spicevmc"
    return node


RESOURCES: tuple[Resource[Any], ...] = (
    Resource(
        id="hostdev-usb",
        title=N("USB device of the host"),
        group=Group.PERIPHERALS,
        icon="usb",
        help="usb",
        nodes=of_type("usb"),
        options=_USB_OPTIONS,
        summary=_usb_summary,
        name=named(N("USB device {}"), _get_usb),
        identity=lambda hostdev: str(_get_usb(hostdev) or ""),
        keywords="usb pass-through passthrough stick webcam printer",
        add=_add_usb,
        remove=dropping(Devices.host_devices),
        add_refusal=_usb_refusal,
        hotplug=True,
    ),
    Resource(
        id="redirdev",
        title=N("USB redirection"),
        group=Group.PERIPHERALS,
        icon="usb",
        help="usb",
        nodes=listing(Devices.redirected_usbs),
        options=(
            Option(
                "type",
                N("Comes from"),
                N("Each redirection has room for one USB device of the viewer's computer, wherever that is."),
                *one_of(
                    _REDIRECTIONS,
                    RedirectedUsb.type,
                    write=_set_redirection,
                    default=None,
                    refuse=_redirection_refusal,
                ),
                keywords="spice usbredir",
            ),
        ),
        summary=lambda _situation, node: label_of(_REDIRECTIONS, node.type),
        keywords="usb redirection spice usbredir remote",
        add=_add_redirection,
        remove=dropping(Devices.redirected_usbs),
        add_refusal=lambda situation: _redirection_refusal(situation, None),
        hotplug=True,
    ),
)
