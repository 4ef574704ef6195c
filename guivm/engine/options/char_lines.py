"""Lines that carry bytes: serial and parallel ports, consoles, channels. (formatdomain.html, "Consoles, …")"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

from guivm.engine.options.devices import Known, choice, domain_of, dropping, is_x86, label_of, reader, words
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
from guivm.engine.xml.chardev import Channel, CharDevice, CharSource, Console, Parallel, Serial, TtyDevice
from guivm.engine.xml.domain import DomainXml

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


def is_kind(*kinds: str) -> Callable[[Situation, Any], bool]:
    return lambda _situation, line: line.type in kinds


def kind_refusal(situation: Situation, line: CharDevice, kind: str) -> str:
    if kind == "spicevmc" and not any(each.type == "spice" for each in situation.domain.devices.graphics):
        return N("It needs a SPICE display, and this VM has none.")
    if kind == "tcp" and isinstance(line, Channel):
        return N("Agents are reached by a socket.")
    return ""


def _port_check(text: str) -> str:
    right = text.isascii() and text.isdigit() and 1 <= int(text) <= 65535
    return "" if right else N("A port is a number from 1 to 65535.")


def _set_port(line: CharDevice, value: Value | None) -> None:
    text = "4555" if value is None else str(value)
    problem = _port_check(text)
    if problem:
        raise ValueError(problem)
    line.source.service = text


def set_path(line: CharDevice, value: Value | None) -> None:
    if value is None and line.type in _WITH_PATH and not (line.type == "unix" and isinstance(line, Channel)):
        value = _default_path(line, line.type or "")
    if value is not None and not str(value).startswith("/"):
        raise ValueError(N("The path must be absolute: it has to begin with “/”."))
    line.source_path = None if value is None else str(value)


_DIRECTIONS = (
    Known("bind", N("Waits for a program")),
    Known("connect", N("Connects to a program"), N("The VM starts only when it is there.")),
)
_PROTOCOLS = (Known("raw", N("The bytes as they are")), Known("telnet", N("Telnet")))


def _source(declared: Any, default: str) -> tuple[Callable[[Any], Value | None], Callable[[Any, Value | None], None]]:
    get, write = stored(declared, CharDevice.source)
    return get, lambda line, value: write(line, default if value is None else value)


def _set_log(line: CharDevice, value: Value | None) -> None:
    if value is not None and not str(value).startswith("/"):
        raise ValueError(N("The path must be absolute: it has to begin with “/”."))
    line.log_file = None if value is None else str(value)
    if value is None:
        line.log_append = None


def _end_options(kinds: tuple[Known, ...], path: str = "") -> tuple[Option[Any], ...]:
    return (
        Option(
            "type",
            N("Leads to"),
            N(
                "Where the line ends on the host: a terminal can be shown here, a file keeps everything, a TCP port "
                "is open to all who reach it."
            ),
            choice(kinds, reader(CharDevice.type), path=path, default=None, refuse=kind_refusal),
            reader(CharDevice.type),
            set_kind,
            keywords="pty socket tcp file backend",
        ),
        Option(
            "path",
            N("Path"),
            N("File, socket or device on the host; QEMU must be able to use it, and a file is emptied at each start."),
            HostPath(PathKind.NEW_FILE),
            reader(CharDevice.source_path),
            set_path,
            shown=is_kind(*_WITH_PATH),
            default=N("libvirt's choice"),
        ),
        Option(
            "direction",
            N("Connection"),
            N("Whether QEMU waits to be connected to, or connects to a program that waits."),
            choice(_DIRECTIONS, default=None),
            reader(CharDevice.source_mode),
            lambda line, value: CharDevice.source_mode.__set__(line, "bind" if value is None else str(value)),
            shown=is_kind("unix", "tcp"),
            more=True,
            keywords="server client bind connect",
        ),
        Option(
            "host",
            N("Address"),
            N("127.0.0.1 is for this computer only; at 0.0.0.0 anybody on the network can use the line, unencrypted."),
            Line("127.0.0.1"),
            *_source(CharSource.host, "127.0.0.1"),
            shown=is_kind("tcp"),
            keywords="listen 0.0.0.0",
        ),
        Option(
            "port-number",
            N("Port"),
            N("The TCP port, free on the host."),
            Line("4555", 5, _port_check),
            stored(CharSource.service, CharDevice.source)[0],
            _set_port,
            shown=is_kind("tcp"),
        ),
        Option(
            "protocol",
            N("Protocol"),
            N("Telnet's own control codes let a telnet program work well; other programs want the bytes."),
            choice(_PROTOCOLS),
            *stored(CharDevice.protocol),
            shown=is_kind("tcp"),
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
    arch = situation.domain.os.arch or situation.facts.capabilities.arch
    fits = {
        "isa-serial": is_x86(situation),
        "system-serial": "virt" in machine,
        "spapr-vio-serial": "pseries" in machine,
        "sclp-serial": arch == "s390x",
        "sclp": arch == "s390x",
    }.get(value, arch != "s390x" or value == "virtio")
    return "" if fits else N("This kind of machine has none.")


_TARGET_PORT = (
    N("Number"),
    N("Which of the ports it is: 0 is COM1 or ttyS0 in the guest."),
)


def _numbered(declared: Any) -> Option[Any]:
    return Option(
        "port",
        *_TARGET_PORT,
        Number(0, 63),
        *stored(declared),
        more=True,
        default=N("the next"),
    )


def _title(title: str, kinds: tuple[Known, ...]) -> Callable[[Situation, Any], str]:
    def summary(_situation: Situation, line: CharDevice) -> str:
        target = line.source_path or ""
        if line.type == "tcp":
            target = f"{line.source.host or ''}:{line.source.service or ''}"
        return words(label_of((*kinds, *KINDS), line.type), target if line.type != "pty" else "", title)

    return summary


def _next_port(lines: Any) -> int:
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


def _set_console_target(console: Console, value: Value | None) -> None:
    console.target_type = None if value is None else str(value)
    console.address.remove()


RESOURCES: tuple[Resource[Any], ...] = (
    Resource(
        id="serial",
        title=N("Serial port"),
        group=Group.PERIPHERALS,
        icon="serial",
        help="serial",
        nodes=lambda domain: list(domain.devices.serials),
        options=(
            *_end_options(KINDS),
            Option(
                "model",
                N("Port"),
                N("What the guest sees; a PC's own port works from the first message of the firmware."),
                choice(_SERIAL_TARGETS, reader(Serial.target_type), refuse=_target_refusal),
                reader(Serial.target_type),
                _set_serial_target,
                more=True,
                keywords="isa pci usb",
            ),
            _numbered(TtyDevice.target_port),
        ),
        summary=_title("", KINDS),
        name=lambda serial: f"Serial port {(serial.target_port or 0) + 1}",
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
                N("Console"),
                N("What the guest sees: VirtIO is quick but comes late, a serial port is there from the start."),
                choice(_CONSOLE_TARGETS, reader(Console.target_type), path="console/type", refuse=_target_refusal),
                reader(Console.target_type),
                _set_console_target,
            ),
        ),
        summary=_title("", KINDS),
        name=lambda console: f"Console {console.target_port or 0}",
        keywords="terminal hvc virtio tty text",
        add=_add_console,
        remove=dropping("consoles"),
        hotplug=True,
    ),
    Resource(
        id="parallel",
        title=N("Parallel port"),
        group=Group.PERIPHERALS,
        icon="serial",
        help="serial",
        nodes=lambda domain: list(domain.devices.parallels),
        options=(*_end_options(_PARALLEL_KINDS), _numbered(TtyDevice.target_port)),
        summary=_title("", KINDS),
        name=lambda parallel: f"Parallel port {(parallel.target_port or 0) + 1}",
        keywords="lpt printer centronics",
        add=_add_parallel,
        remove=dropping("parallels"),
        add_refusal=_parallel_refusal,
        hotplug=True,
    ),
)
