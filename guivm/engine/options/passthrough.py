"""What the pages of all devices of the host share. (formatdomain.html, "Host device assignment")"""

from __future__ import annotations

from collections.abc import Callable

from guivm.engine.options.devices import reader
from guivm.engine.options.drives import set_boot_order
from guivm.engine.options.option import Custom, N, Number, Option, Value
from guivm.engine.xml.domain import DomainXml
from guivm.engine.xml.hostdev import HostDevice

BOOT: Option[HostDevice] = Option(
    "boot-order",
    N("Boot position"),
    N("1 is tried first; booting from a stick or card of the host works only while it is there."),
    Number(1, 999),
    reader(HostDevice.boot_order),
    set_boot_order,
    more=True,
    keywords="boot index",
    default=N("not booted from"),
)


def device_option(
    editor: Custom,
    help_text: str,
    get: Callable[[HostDevice], Value | None],
    write: Callable[[HostDevice, Value | None], None],
) -> Option[HostDevice]:
    return Option("device", N("Device"), help_text, editor, get, write, keywords="host physical pass-through")


def of_type(*kinds: str) -> Callable[[DomainXml], list[HostDevice]]:
    return lambda domain: [each for each in domain.devices.host_devices if each.type in kinds]


def named(title: str, get: Callable[[HostDevice], Value | None]) -> Callable[[HostDevice], str]:
    return lambda hostdev: f"{title} {get(hostdev) or ''}".strip()
