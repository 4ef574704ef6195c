"""OpenSerial and ListSerialDevices: a guest's serial line as a descriptor. Worker only.

Consoles in the domain XML: https://libvirt.org/formatdomain.html#consoles-serial-parallel-channel-devices. The line
itself comes through a stream of libvirt, so that it works alike on every host and libvirt keeps other readers out;
the bytes are carried by :mod:`guivm.engine.serial_pump`.
"""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

from guivm.engine import hosts
from guivm.engine.context import HandlerContext
from guivm.engine.job_types import SerialDevice, SerialEndpoint
from guivm.engine.libvirt_errors import is_unsupported, lookup, text_of
from guivm.engine.link import open_own
from guivm.engine.operations import require_state
from guivm.engine.reader import parse_domain
from guivm.engine.requests import ListSerialDevices, OpenSerial
from guivm.engine.serial_pump import SerialPump
from guivm.engine.types import VmState
from guivm.errors import InUseError, UnsupportedError
from guivm.text import clean_line

if TYPE_CHECKING:
    import libvirt
    from lxml import etree

_ACTIVE = (VmState.RUNNING, VmState.PAUSED, VmState.SUSPENDED, VmState.SHUTTING_DOWN)
_DEVICES_LIMIT = 64
# What libvirt can open for us (virChrdevOpen): a pseudo terminal and a UNIX socket.
_OPENABLE = ("pty", "unix")
_IN_USE = "active console session exists"  # the code is only "operation failed"


def list_serial_devices(context: HandlerContext, request: ListSerialDevices) -> tuple[SerialDevice, ...]:
    """Handler of ListSerialDevices."""
    domain = context.domain(request.key)
    require_state(domain, _ACTIVE, "Start it to see its serial console.")
    return parse_serial_devices(domain.XMLDesc(0))


def open_serial(context: HandlerContext, request: OpenSerial) -> SerialEndpoint:
    """Handler of OpenSerial. On a connection of its own, which lives as long as the descriptor's other end."""
    domain = context.domain(request.key)
    require_state(domain, _ACTIVE, "Start it to see its serial console.")
    alias = _choose(parse_serial_devices(domain.XMLDesc(0)), request.device)
    context.job.check_cancelled()
    # In our own process there may be no second connection; it has no client that could hang either.
    shared = hosts.is_in_process(context.host.uri)
    connection = context.connection if shared else open_own(context.host.uri)
    try:
        stream = _open(connection, request, alias)
    except BaseException:
        if not shared:
            _close(connection)
        raise
    ours, theirs = socket.socketpair()
    try:
        SerialPump(stream, ours, None if shared else connection).start()
    except BaseException:
        theirs.close()
        raise
    return SerialEndpoint(theirs.detach())


def parse_serial_devices(xml: str) -> tuple[SerialDevice, ...]:
    """The devices of a live definition. Every text is cleaned.

    The first ``<console>`` usually repeats the first ``<serial>``, with the same alias: it is named once.
    """
    root = parse_domain(xml)
    found: dict[str, SerialDevice] = {}
    for element in [*root.iterfind("devices/serial"), *root.iterfind("devices/console")][:_DEVICES_LIMIT]:
        alias = _attribute(element, "alias", "name")
        if alias and alias not in found:
            found[alias] = _device(element, alias)
    return tuple(found.values())


def _device(element: etree._Element, alias: str) -> SerialDevice:
    target = _attribute(element, "target", "type")
    # <serial> has the kind of its card there, "isa-serial"; <console> says "serial" or "virtio".
    kind = "serial" if element.tag == "serial" or not target else target
    port_text = _attribute(element, "target", "port")
    port = int(port_text) if port_text.isdecimal() and len(port_text) < 5 else 0
    words = {"serial": "Serial port", "virtio": "Virtio console"}.get(kind, f"Console ({kind})")
    backend = clean_line(element.get("type", ""))
    refusal = ""
    if backend not in _OPENABLE:
        refusal = {
            "file": "Its output goes to a file on the host.",
            "tcp": "It is served on the host's network.",
            "null": "Its output is thrown away.",
            "stdio": "It belongs to the terminal QEMU was started in.",
        }.get(backend, f"It is connected to “{backend}” on the host.")
    return SerialDevice(alias, kind, port, f"{words} {port + 1}", refusal)


def _attribute(element: etree._Element, path: str, name: str) -> str:
    found = element.find(path)
    return clean_line(found.get(name, "")) if found is not None else ""


def _choose(devices: tuple[SerialDevice, ...], wanted: str) -> str:
    if not devices:
        raise UnsupportedError(
            "The virtual machine has no serial console.",
            advice="Add a serial port of the kind “pty” to it while it is off.",
        )
    if wanted:
        chosen = next((device for device in devices if device.alias == wanted), None)
        if chosen is None:
            raise UnsupportedError(
                f"The virtual machine has no serial device “{clean_line(wanted, 60)}”.",
                advice=f"It has: {', '.join(device.alias for device in devices)}.",
            )
    else:
        chosen = next((device for device in devices if not device.refusal), devices[0])
    if chosen.refusal:
        raise UnsupportedError(
            f"{chosen.label} cannot be opened here. {chosen.refusal}",
            advice="Change it to the kind “pty” while the virtual machine is off.",
        )
    return chosen.alias


def _open(connection: libvirt.virConnect, request: OpenSerial, alias: str) -> libvirt.virStream:
    """A stream that is connected to the device. Raises InUseError, libvirtError."""
    import libvirt

    domain = lookup(connection, request.key.uuid)
    stream = connection.newStream(libvirt.VIR_STREAM_NONBLOCK)
    force = libvirt.VIR_DOMAIN_CONSOLE_FORCE if request.take_over else 0
    try:
        try:
            domain.openConsole(alias, stream, libvirt.VIR_DOMAIN_CONSOLE_SAFE | force)
        except libvirt.libvirtError as error:
            if not is_unsupported(error):
                raise
            domain.openConsole(alias, stream, force)  # a driver that cannot keep others out
    except libvirt.libvirtError as error:
        if _IN_USE in text_of(error).lower():
            raise InUseError(
                f"The serial console of “{clean_line(domain.name())}” is open in another program.",
                advice="Close it there, or take it over.",
                details=text_of(error),
            ) from error
        raise
    return stream


def _close(connection: libvirt.virConnect) -> None:
    import libvirt

    with contextlib.suppress(libvirt.libvirtError):
        connection.close()
