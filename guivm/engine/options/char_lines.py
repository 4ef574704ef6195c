"""Lines that carry bytes: serial and parallel ports, consoles, channels. (formatdomain.html, "Consoles, …")"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any

from guivm.engine.options.devices import (
    NO_SPICE,
    Known,
    arch_of,
    checked,
    domain_of,
    dropping,
    has_spice,
    is_x86,
    label_of,
    listing,
    one_of,
    reader,
    replacing,
    required,
    when,
    whole_path,
    words,
)
from guivm.engine.options.option import (
    Group,
    HostPath,
    Line,
    N,
    Number,
    Option,
    PathKind,
    Resource,
    Situation,
    Switch,
    Value,
    stored,
)
from guivm.engine.options.phrase import Phrase
from guivm.engine.xml.chardev import Channel, CharDevice, CharSource, Console, Parallel, Serial, TtyDevice
from guivm.engine.xml.domain import Devices, DomainXml

KINDS = (
    Known("pty", N("A terminal of the host"), N("What this program and “virsh console” show; nothing to set up.")),
    Known("unix", N("A UNIX socket"), N("Programs of the same host connect to it.")),
    Known("file", N("A file"), N("Keeps all that is said; nothing can be answered.")),
    Known("tcp", N("A TCP port"), N("Unencrypted: at 127.0.0.1 for this host only, elsewhere for everybody.")),
    Known("dev", N("A device of the host"), N("The guest speaks to real hardware on that port.")),
    Known("pipe", N("A named pipe")),
    Known("null", N("Nothing"), N("The port is there; what is said is lost.")),
)
_PARALLEL_KINDS = tuple(each for each in KINDS if each.value in ("dev", "file", "pty", "null", "unix", "tcp", "pipe"))
_WITH_PATH = ("unix", "file", "dev", "pipe")


# --- the host's end ---------------------------------------------------------------------------------------


def _default_path(line: CharDevice, kind: str) -> str:
    """Beside the VM's first image: QEMU can surely write there."""
    domain = domain_of(line)
    disks = (disk.path for disk in domain.devices.disks)
    folder = next((PurePosixPath(path).parent for path in disks if path and not path.startswith("/dev/")), None)
    suffix = {"unix": "sock", "file": "log"}.get(kind, "pipe")
    element = line.find()
    tag = str(element.tag) if element is not None else "line"
    name = (domain.name or "vm").replace("/", "-")
    return str((folder or PurePosixPath("/var/lib/libvirt/qemu")) / f"{name}-{tag}{line.target_port or 0}.{suffix}")


def set_kind(line: CharDevice, value: Value | None) -> None:
    """Another end on the host: what named the old one goes, and the new one gets what it cannot be without."""
    kind = "pty" if value is None else str(value)
    if kind == line.type:
        return
    line.sources.clear()
    line.protocol = None
    line.type = kind
    if kind == "dev":
        line.source_path = "/dev/parport0" if isinstance(line, Parallel) else "/dev/ttyS0"
    elif kind in ("file", "pipe") or (kind == "unix" and not isinstance(line, Channel)):
        line.source_path = _default_path(line, kind)
    if kind == "unix":
        line.source_mode = "bind"
    if kind == "tcp":
        line.source.mode, line.source.host, line.source.service = "bind", "127.0.0.1", "4555"
        line.protocol = "raw"


def kind_refusal(situation: Situation, line: CharDevice, kind: str) -> str:
    if kind == "spicevmc" and not has_spice(situation.domain.devices):
        return NO_SPICE
    if kind == "tcp" and isinstance(line, Channel):
        return N("Agents are reached by a socket.")
    return ""


def _port_check(text: str) -> str:
    right = text.isascii() and text.isdigit() and 1 <= int(text) <= 65535
    return "" if right else N("A port is a number from 1 to 65535.")


def _set_port(line: CharDevice, value: Value | None) -> None:
    line.source.service = checked(_port_check, "4555" if value is None else str(value))


def set_path(line: CharDevice, value: Value | None) -> None:
    if value is None and line.type in _WITH_PATH and not (line.type == "unix" and isinstance(line, Channel)):
        value = _default_path(line, line.type or "")
    line.source_path = None if value is None else checked(whole_path, str(value))


_DIRECTIONS = (
    Known("bind", N("Waits for a program")),
    Known("connect", N("Connects to a program"), N("The VM starts only when it is there.")),
)
_PROTOCOLS = (Known("raw", N("The bytes as they are")), Known("telnet", N("Telnet")))


def _set_log(line: CharDevice, value: Value | None) -> None:
    line.log_file = None if value is None else checked(whole_path, str(value))
    if value is None:
        line.log_append = None


def _end_options(kinds: tuple[Known, ...]) -> tuple[Option[Any], ...]:
    return (
        Option(
            "type",
            N("Leads to"),
            N(
                "Where the line ends on the host: a terminal can be shown here, a file keeps everything, a TCP port "
                "is open to all who reach it."
            ),
            *one_of(kinds, CharDevice.type, write=set_kind, default=None, refuse=kind_refusal),
            keywords="pty socket tcp file backend",
        ),
        Option(
            "path",
            N("Path"),
            N("File, socket or device on the host; QEMU must be able to use it, and a file is emptied at each start."),
            HostPath(PathKind.NEW_FILE),
            reader(CharDevice.source_path),
            set_path,
            shown=when(CharDevice.type, *_WITH_PATH),
            default=N("libvirt's choice"),
        ),
        Option(
            "direction",
            N("Connection"),
            N("Whether QEMU waits to be connected to, or connects to a program that waits."),
            *one_of(_DIRECTIONS, CharDevice.source_mode, needs="bind", default=None),
            shown=when(CharDevice.type, "unix", "tcp"),
            more=True,
            keywords="server client bind connect",
        ),
        Option(
            "host",
            N("Address"),
            N("127.0.0.1 is for this computer only; at 0.0.0.0 anybody on the network can use the line, unencrypted."),
            Line("127.0.0.1"),
            *required(CharSource.host, "127.0.0.1", CharDevice.source),
            shown=when(CharDevice.type, "tcp"),
            keywords="listen 0.0.0.0",
        ),
        Option(
            "port-number",
            N("Port"),
            N("The TCP port, free on the host."),
            Line("4555", 5, _port_check),
            stored(CharSource.service, CharDevice.source)[0],
            _set_port,
            shown=when(CharDevice.type, "tcp"),
        ),
        Option(
            "protocol",
            N("Protocol"),
            N("Telnet's own control codes let a telnet program work well; other programs want the bytes."),
            *one_of(_PROTOCOLS, CharDevice.protocol),
            shown=when(CharDevice.type, "tcp"),
            more=True,
        ),
        Option(
            "log",
            N("Also write to"),
            N("Keeps all that the guest says in a file as well; it grows without bound."),
            HostPath(PathKind.NEW_FILE, ("Log (*.log *.txt)",)),
            reader(CharDevice.log_file),
            _set_log,
            more=True,
            keywords="log record file",
            default=N("nothing"),
        ),
        Option(
            "log-append",
            N("Keep earlier log"),
            N("Goes on at the end of the file instead of emptying it at each start."),
            Switch(False),
            *stored(CharDevice.log_append),
            more=True,
            shown=lambda _s, line: line.log_file is not None,
        ),
    )


# --- the guest's end --------------------------------------------------------------------------------------

_SERIAL_TARGETS = (
    Known("isa-serial", N("A serial port of PCs (COM)"), N("Every system knows it, from its first message on.")),
    Known("pci-serial", N("A PCI serial card"), N("For more than four ports.")),
    Known("usb-serial", N("A USB serial adapter"), N("Not there while the system starts.")),
    Known("system-serial", N("The board's own serial port")),
    Known("spapr-vio-serial", N("pSeries virtual terminal")),
    Known("sclp-serial", N("SCLP console (s390)")),
)
_CONSOLE_TARGETS = (
    Known("virtio", N("VirtIO console"), N("Quick; only once the guest has loaded its driver (hvc0).")),
    Known("sclp", N("SCLP (s390)")),
)


def _set_serial_target(serial: Serial, value: Value | None) -> None:
    new = None if value is None else str(value)
    if new != serial.target_type:
        serial.target_model = None
        serial.address.remove()
        serial.target_type = new


def _target_refusal(situation: Situation, _line: Any, value: str) -> str:
    machine = situation.domain.os.machine or ""
    arch = arch_of(situation)
    fits = {
        "isa-serial": is_x86(situation),
        "system-serial": "virt" in machine,
        "spapr-vio-serial": "pseries" in machine,
        "sclp-serial": arch == "s390x",
        "sclp": arch == "s390x",
    }.get(value, arch != "s390x" or value == "virtio")
    return "" if fits else N("This kind of machine has none.")


def _number(help_text: str) -> Option[Any]:
    get, write = stored(TtyDevice.target_port)
    return Option("port", N("Number"), help_text, Number(0, 63), get, write, more=True, default=N("the next"))


def _summary(_situation: Situation, line: CharDevice) -> str:
    target = line.source_path or ""
    if line.type == "tcp":
        target = f"{line.source.host or ''}:{line.source.service or ''}"
    return words(label_of(KINDS, line.type), target if line.type != "pty" else "")


def _next_port(lines: Iterable[Serial | Parallel | Console]) -> int:
    return max((line.target_port if line.target_port is not None else -1 for line in lines), default=-1) + 1


# --- serial and parallel ----------------------------------------------------------------------------------


def _add_serial(situation: Situation) -> Serial:
    serials = situation.domain.devices.serials
    port = _next_port(serials)
    serial = serials.add()
    serial.type, serial.target_port = "pty", port
    return serial


def _serial_refusal(situation: Situation) -> str:
    serials = situation.domain.devices.serials
    plain = [each for each in serials if each.target_type in (None, "isa-serial")]
    if is_x86(situation) and len(plain) >= 4:
        return N("A PC has four serial ports, and all are taken.")
    return ""


def _remove_serial(domain: DomainXml, serial: Serial) -> None:
    """The console that stands for the last serial port goes with it: libvirt would make the port again from it."""
    devices = domain.devices
    devices.serials.remove(serial)
    if not len(devices.serials):
        for console in devices.consoles:
            if console.target_type in (None, "serial"):
                devices.consoles.remove(console)


def _add_parallel(situation: Situation) -> Parallel:
    parallels = situation.domain.devices.parallels
    port = _next_port(parallels)
    parallel = parallels.add()
    parallel.type, parallel.target_port = "pty", port
    return parallel


def _parallel_refusal(situation: Situation) -> str:
    if not is_x86(situation):
        return N("Only PCs have parallel ports.")
    full = len(situation.domain.devices.parallels) >= 3
    return N("A PC has three parallel ports, and all are taken.") if full else ""


# --- consoles ---------------------------------------------------------------------------------------------


def _consoles(domain: DomainXml) -> list[Console]:
    """Without the one that only repeats the first serial port."""
    has_serial = len(domain.devices.serials) > 0
    return [each for each in domain.devices.consoles if not (has_serial and each.target_type in (None, "serial"))]


def _add_console(situation: Situation) -> Console:
    consoles = situation.domain.devices.consoles
    port = _next_port(consoles)
    console = consoles.add()
    console.type, console.target_type, console.target_port = "pty", "virtio", port
    return console


RESOURCES: tuple[Resource[Any], ...] = (
    Resource(
        id="serial",
        title=N("Serial port"),
        group=Group.PERIPHERALS,
        icon="serial",
        help="serial",
        nodes=listing(Devices.serials),
        options=(
            *_end_options(KINDS),
            Option(
                "model",
                N("Model"),
                N("What the guest sees; a PC's own port works from the first message of the firmware."),
                *one_of(_SERIAL_TARGETS, Serial.target_type, write=_set_serial_target, refuse=_target_refusal),
                more=True,
                keywords="isa pci usb",
            ),
            _number(N("Which of the ports it is: 0 is COM1 or ttyS0 in the guest.")),
        ),
        summary=_summary,
        name=lambda serial: Phrase(N("Serial port {}"), str((serial.target_port or 0) + 1)),
        keywords="com ttyS console rs232 terminal",
        add=_add_serial,
        remove=_remove_serial,
        add_refusal=_serial_refusal,
        hotplug=True,
    ),
    Resource(
        id="console",
        title=N("Console"),
        group=Group.PERIPHERALS,
        icon="console",
        help="serial",
        nodes=_consoles,
        options=(
            *_end_options(KINDS),
            Option(
                "model",
                N("Model"),
                N("What the guest sees: VirtIO is quick but comes late, a serial port is there from the start."),
                *one_of(
                    _CONSOLE_TARGETS,
                    Console.target_type,
                    write=replacing(Console.target_type),
                    path="console/type",
                    refuse=_target_refusal,
                ),
            ),
        ),
        summary=_summary,
        name=lambda console: Phrase(N("Console {}"), str(console.target_port or 0)),
        keywords="terminal hvc virtio tty text",
        add=_add_console,
        remove=dropping(Devices.consoles),
        hotplug=True,
    ),
    Resource(
        id="parallel",
        title=N("Parallel port"),
        group=Group.PERIPHERALS,
        icon="serial",
        help="serial",
        nodes=listing(Devices.parallels),
        options=(
            *_end_options(_PARALLEL_KINDS),
            _number(N("Which of the ports it is: 0 is LPT1 or lp0 in the guest.")),
        ),
        summary=_summary,
        name=lambda parallel: Phrase(N("Parallel port {}"), str((parallel.target_port or 0) + 1)),
        keywords="lpt printer centronics",
        add=_add_parallel,
        remove=dropping(Devices.parallels),
        add_refusal=_parallel_refusal,
        hotplug=True,
    ),
)
