"""The command line: parses, asks the engine the same requests as the window, prints, answers an exit code.

Results go to stdout, one-line errors to stderr. With ``--json`` stdout is one JSON document.
"""

from __future__ import annotations

import argparse
import enum
import json
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from guivm import __version__
from guivm.automation.options import VERBS as AUTOMATION_VERBS
from guivm.automation.options import add_verbs
from guivm.errors import (
    CancelledError,
    GuivmError,
    HostError,
    OperationError,
    VmNotFoundError,
    WrongStateError,
)

if TYPE_CHECKING:
    from guivm.automation.command import Task
    from guivm.engine.api import Engine
    from guivm.engine.events import EngineEvent
    from guivm.engine.job_types import BootSource
    from guivm.engine.jobs import Job, JobInfo
    from guivm.engine.requests import Request
    from guivm.engine.types import HostId, VmInfo, VmState

T = TypeVar("T")


class Exit(enum.IntEnum):
    """Exit codes; printed by ``guivm --help``."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    NO_HOST = 4
    WRONG_STATE = 5
    CANCELLED = 130


_EPILOG = """\
exit codes:
  0  done            3  no such virtual machine    5  not possible in its present state
  1  failed          4  host cannot be reached     130  cancelled (Ctrl+C)
  2  wrong usage

Without a verb the window opens. VM is a name or a UUID. Sizes take K, M, G or T (1024-based): 512M, 20G.
"""

_SIMPLE_VERBS = {
    "start": ("Start", "switch on, or continue from the saved state"),
    "pause": ("Pause", "freeze it where it is"),
    "resume": ("Resume", "let a paused virtual machine go on"),
    "shutdown": ("ShutDown", "ask the guest to shut down (ACPI)"),
    "reboot": ("Reboot", "ask the guest to restart"),
    "reset": ("Reset", "restart at once; unsaved work in the guest is lost"),
    "force-off": ("ForceOff", "pull the plug; unsaved work in the guest is lost"),
    "save": ("SaveState", "write the memory to disk and switch off"),
    "restore": ("RestoreState", "continue from the saved state"),
    "discard": ("DiscardSavedState", "throw the saved state away"),
}


def size_bytes(text: str) -> int:
    """Parse ``512M``, ``20G``, ``1.5T`` into bytes (1024-based; a bare number is bytes)."""
    units = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
    lowered = text.strip().lower().removesuffix("b").removesuffix("i")
    number, unit = (lowered[:-1], lowered[-1]) if lowered and lowered[-1] in "kmgt" else (lowered, "")
    try:
        value = float(number) * 1024 ** units[unit]
        if not 0 < value < 2**63:
            raise ValueError
        return int(value)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"“{text}” is no size; write for example 512M or 20G") from None


def build_parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--connect",
        metavar="URI",
        action="append",
        default=argparse.SUPPRESS,
        help="libvirt URI instead of this computer's own engine, e.g. test:///default; may be repeated for the window",
    )
    output = argparse.ArgumentParser(add_help=False)
    output.add_argument("--json", action="store_true", help="print JSON")

    parser = argparse.ArgumentParser(
        prog="guivm",
        description="Virtual machines on your desktop: KVM/QEMU through libvirt.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common],
    )
    parser.add_argument("--version", action="version", version=f"guivm {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", title="verbs")

    def add(verb: str, help_text: str, *, json_output: bool = True) -> argparse.ArgumentParser:
        parents = [common, output] if json_output else [common]
        return verbs.add_parser(verb, help=help_text, description=help_text[0].upper() + help_text[1:], parents=parents)

    listing = add("list", "list the virtual machines")
    listing.add_argument("filter", nargs="?", default="", help="only names, states or notes that contain this")
    add("show", "show one virtual machine with its hardware").add_argument("vm", metavar="VM")
    _add_create(add("create", "create a virtual machine"))
    for verb, (_, help_text) in _SIMPLE_VERBS.items():
        sub = add(verb, help_text)
        sub.add_argument("vm", metavar="VM")
        if verb == "shutdown":
            sub.add_argument("--wait", metavar="SECONDS", type=float, help="wait until it is off")
    delete = add("delete", "remove a virtual machine; its disks stay unless named")
    delete.add_argument("vm", metavar="VM")
    delete.add_argument("--disk", metavar="PATH", action="append", default=[], help="delete this disk too; repeatable")
    delete.add_argument("--all-disks", action="store_true", help="delete every disk that nothing else needs")
    delete.add_argument("--purge", action="store_true", help="free the space at once: no undo")
    add("console", "open the console of a virtual machine in a window", json_output=False).add_argument(
        "vm", metavar="VM"
    )
    serial = add("serial", "use the serial console in this terminal; Ctrl+] leaves", json_output=False)
    serial.add_argument("vm", metavar="VM")
    serial.add_argument(
        "--device", metavar="ALIAS", default="", help="which serial line, e.g. serial1; default: the first"
    )
    serial.add_argument("--take-over", action="store_true", help="even if somebody else has it open")
    play = add("play", "play a session recording in a window", json_output=False)
    play.add_argument("file", metavar="FILE", type=Path)
    shot = add("screenshot", "save a picture of a virtual machine's screen")
    shot.add_argument("vm", metavar="VM")
    shot.add_argument("file", metavar="FILE", type=Path, help="where to save it; .png, .ppm, .jpg or .bmp")
    add_verbs(add)
    return parser


def _add_create(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--iso", metavar="FILE", type=Path, help="boot from this CD/DVD image")
    source.add_argument("--image", metavar="FILE", type=Path, help="boot from this existing disk image")
    source.add_argument("--kernel", metavar="FILE", type=Path, help="boot this Linux kernel directly")
    source.add_argument("--pxe", action="store_true", help="boot from the network")
    parser.add_argument("--initrd", metavar="FILE", type=Path, help="with --kernel")
    parser.add_argument("--append", metavar="ARGS", default="", help="kernel arguments, with --kernel")
    parser.add_argument("--memory", metavar="SIZE", type=size_bytes, default=2 * 1024**3, help="default 2G")
    parser.add_argument("--cpus", metavar="N", type=int, default=2, help="default 2")
    parser.add_argument("--disk-size", metavar="SIZE", type=size_bytes, help="make a new disk; default none")
    parser.add_argument("--firmware", choices=["bios", "uefi"], default="bios")
    parser.add_argument(
        "--accel", choices=["auto", "kvm", "tcg"], default="auto", help="hardware (KVM), software (TCG), or what works"
    )
    parser.add_argument("--title", default="")
    parser.add_argument("--notes", default="")
    parser.add_argument("--start", action="store_true", help="start it at once")


def main(argv: Sequence[str]) -> int:
    """Run the command line; answers the exit code."""
    parser = build_parser()
    arguments = parser.parse_args(argv)
    uris: list[str] = getattr(arguments, "connect", [])
    if arguments.verb == "create" and (arguments.initrd or arguments.append) and not arguments.kernel:
        parser.error("--initrd and --append go with --kernel")
    try:
        if arguments.verb is None:
            from guivm.app import run_window

            return run_window(uris)
        if arguments.verb == "console":
            from guivm.app import run_console

            return run_console(uris, arguments.vm)
        if arguments.verb == "play":
            from guivm.app import run_player

            return run_player(arguments.file)
        if arguments.verb in AUTOMATION_VERBS:
            from guivm.automation.command import begin

            code = begin(arguments)
            if code is not None:
                return code
        return _run_verb(arguments, uris)
    except GuivmError as error:
        print(f"guivm: {error}", file=sys.stderr)
        return exit_code(error)
    except KeyboardInterrupt:
        print("guivm: cancelled", file=sys.stderr)
        return Exit.CANCELLED
    except BrokenPipeError:
        return Exit.FAILED


def _run_verb(arguments: argparse.Namespace, uris: Sequence[str]) -> int:
    from guivm.engine.engine import LibvirtEngine

    session = Session(LibvirtEngine(warm_up=False))
    try:
        return session.run(arguments, uris)
    finally:
        session.close()


def exit_code(error: GuivmError) -> Exit:
    match error:
        case VmNotFoundError():
            return Exit.NOT_FOUND
        case HostError():
            return Exit.NO_HOST
        case WrongStateError():
            return Exit.WRONG_STATE
        case CancelledError():
            return Exit.CANCELLED
    return Exit.FAILED


class Session:
    """One run of a verb: an engine, its hosts, and the words printed. Main thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._changed = threading.Condition()
        self._as_json = False
        engine.add_listener(self._on_event)

    def close(self) -> None:
        self._engine.remove_listener(self._on_event)
        self._engine.stop()

    def run(self, arguments: argparse.Namespace, uris: Sequence[str]) -> int:
        """Do ``arguments.verb``; raises GuivmError."""
        from guivm.engine import requests

        self._as_json = getattr(arguments, "json", False)
        hosts = self._connect(uris)
        match arguments.verb:
            case "list":
                self._list(hosts, arguments.filter)
            case "show":
                self._show(self._find(hosts, arguments.vm))
            case "create":
                self._create(hosts[0], arguments)
            case "delete":
                self._delete(self._find(hosts, arguments.vm), arguments)
            case "screenshot":
                self._screenshot(self._find(hosts, arguments.vm), arguments.file)
            case "serial":
                self._serial(self._find(hosts, arguments.vm), arguments)
            case "automate" | "type" | "key":
                return self._automate(self._find(hosts, arguments.vm), arguments.task)
            case verb:
                vm = self._find(hosts, arguments.vm)
                request: type[requests.VmRequest[None]] = getattr(requests, _SIMPLE_VERBS[verb][0])
                self._ask(request(vm.key))
                wait = getattr(arguments, "wait", None)
                if wait is not None:
                    self._wait_off(vm, wait)
                self._print_vm(vm)
        return Exit.OK

    # --- engine ---------------------------------------------------------------------------------------

    def _on_event(self, _event: EngineEvent) -> None:
        with self._changed:
            self._changed.notify_all()

    def _connect(self, uris: Sequence[str]) -> list[HostId]:
        from guivm.engine.hosts import default_uri
        from guivm.engine.types import HostState

        hosts = [self._engine.open_host(uri) for uri in (uris or [default_uri()])]

        def settled() -> bool:
            return all(info.state is not HostState.CONNECTING for info in self._engine.hosts())

        with self._changed:
            if not self._changed.wait_for(settled, timeout=60):
                raise HostError("The host does not answer.", advice="Check that libvirt runs there.")
        for info in self._engine.hosts():
            if info.state is not HostState.CONNECTED:
                raise HostError(info.problem or "The host cannot be reached.", details=info.details)
        return hosts

    def _find(self, hosts: Sequence[HostId], wanted: str) -> VmInfo:
        vms = [vm for host in hosts for vm in self._engine.vms(host)]
        found = [vm for vm in vms if vm.key.uuid == wanted.lower()] or [vm for vm in vms if vm.name == wanted]
        if not found:
            raise VmNotFoundError(f"There is no virtual machine “{wanted}”.", advice="See “guivm list”.")
        if len(found) > 1:
            raise OperationError(f"“{wanted}” exists on several hosts.", advice="Name its UUID.")
        return found[0]

    def _ask(self, request: Request[T]) -> T:
        job = self._engine.submit(request)
        try:
            return self._await(job)
        except KeyboardInterrupt:
            job.cancel()
            self._await(job)
            raise

    def _await(self, job: Job[T]) -> T:
        show = sys.stderr.isatty()
        width = 0
        while True:
            try:
                result = job.result(timeout=0.25)
            except TimeoutError:
                if show:
                    line = _progress_line(job.info)
                    print("\r" + line.ljust(width), end="", file=sys.stderr, flush=True)
                    width = max(width, len(line))
                continue
            finally:
                if width and job.info.state.is_final:
                    print("\r" + " " * width + "\r", end="", file=sys.stderr, flush=True)
            return result

    def _wait_off(self, vm: VmInfo, seconds: float) -> None:
        from guivm.engine.types import VmState

        def is_off() -> bool:
            now = self._engine.vm(vm.key)
            return now is None or now.state in (VmState.OFF, VmState.CRASHED)

        with self._changed:
            if not self._changed.wait_for(is_off, timeout=seconds):
                raise OperationError(
                    f"“{vm.name}” is still on after {seconds:g} s.", advice="The guest may ignore the power button."
                )

    # --- verbs ----------------------------------------------------------------------------------------

    def _serial(self, vm: VmInfo, arguments: argparse.Namespace) -> None:
        from guivm.console.serial.interactive import run_serial
        from guivm.engine.requests import OpenSerial

        print(f"“{vm.name}”: Ctrl+] leaves.", file=sys.stderr)
        run_serial(self._ask(OpenSerial(vm.key, arguments.device, arguments.take_over)))

    def _list(self, hosts: Sequence[HostId], wanted: str) -> None:
        vms = [vm for host in hosts for vm in self._engine.vms(host)]
        words = wanted.lower().split()
        vms = [
            vm
            for vm in vms
            if all(word in f"{vm.name} {vm.title} {vm.state.value} {vm.notes}".lower() for word in words)
        ]
        vms.sort(key=lambda vm: (vm.key.host, vm.name.casefold()))
        if self._as_json:
            _print_json([vm_values(vm) for vm in vms])
            return
        rows = [("NAME", "STATE", "CPUS", "MEMORY", "TITLE")]
        rows += [(vm.name, vm.state.value, str(vm.vcpus), _size(vm.memory_kib * 1024), vm.title) for vm in vms]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        for row in rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())

    def _show(self, vm: VmInfo) -> None:
        from guivm.engine.requests import ReadDetails

        details = self._ask(ReadDetails(vm.key))
        if self._as_json:
            hardware = _jsonable(asdict(details))
            del hardware["key"]
            _print_json(vm_values(vm) | {"hardware": hardware})
            return
        lines = [
            ("Name", vm.name),
            ("Title", vm.title),
            ("UUID", vm.key.uuid),
            ("Host", vm.key.host),
            ("State", vm.state.value + (f" ({vm.reason})" if vm.reason else "")),
            ("CPUs", f"{details.vcpus}, {details.virt_type.name}, {details.arch}, {details.machine}"),
            ("Memory", _size(details.memory_kib * 1024)),
            ("Firmware", details.firmware.name),
            *(
                (f"Disk {disk.target}", f"{disk.device} {disk.format} {disk.path or '(empty)'}")
                for disk in details.disks
            ),
            *(("Network", f"{nic.mode} {nic.source} {nic.model} {nic.mac}") for nic in details.nics),
            ("Display", f"{', '.join(details.graphics) or 'none'}, {details.video}"),
            ("Autostart", "yes" if vm.autostart else "no"),
            ("Notes", vm.notes),
        ]
        for label, value in lines:
            if value:
                print(f"{label + ':':<12}{value}")

    def _create(self, host: HostId, arguments: argparse.Namespace) -> None:
        from guivm.engine.job_types import Firmware, NewVmSpec, VirtType
        from guivm.engine.requests import CreateVm, ReadCapabilities, Start

        if arguments.accel == "auto":
            usable = self._ask(ReadCapabilities(host)).kvm.usable
            virt_type = VirtType.KVM if usable else VirtType.TCG
        else:
            virt_type = VirtType.KVM if arguments.accel == "kvm" else VirtType.TCG
        spec = NewVmSpec(
            host=host,
            name=arguments.name,
            source=_boot_source(arguments),
            memory_kib=arguments.memory // 1024,
            vcpus=arguments.cpus,
            disk_bytes=arguments.disk_size,
            firmware=Firmware.UEFI if arguments.firmware == "uefi" else Firmware.BIOS,
            virt_type=virt_type,
            title=arguments.title,
            notes=arguments.notes,
        )
        key = self._ask(CreateVm(spec))
        if arguments.start:
            self._ask(Start(key))
        vm = self._engine.vm(key)
        if vm is not None:
            self._print_vm(vm)

    def _delete(self, vm: VmInfo, arguments: argparse.Namespace) -> None:
        from guivm.engine.requests import Delete, PlanDelete, PurgeDeleted

        files = [str(Path(path).absolute()) for path in arguments.disk]
        if arguments.all_disks:
            plan = self._ask(PlanDelete(vm.key))
            files += [fate.path for fate in plan.files if fate.deletable and fate.path not in files]
        deleted = self._ask(Delete(vm.key, tuple(files)))
        freed = self._ask(PurgeDeleted(deleted)) if arguments.purge else 0
        if self._as_json:
            kept = [] if arguments.purge else [_jsonable(asdict(file)) for file in deleted.files]
            _print_json({"uuid": vm.key.uuid, "name": vm.name, "kept_for_undo": kept, "freed_bytes": freed})
            return
        for file in deleted.files:
            print(f"{file.original}: " + ("deleted" if arguments.purge else f"kept for undo at {file.kept_at}"))

    def _screenshot(self, vm: VmInfo, file: Path) -> None:
        from guivm.engine.requests import TakeScreenshot

        shot = self._ask(TakeScreenshot(vm.key))
        save_picture(shot.data, file)
        if self._as_json:
            _print_json({"uuid": vm.key.uuid, "name": vm.name, "file": str(file)})

    def _automate(self, vm: VmInfo, task: Task) -> Exit:
        from guivm.automation.command import perform
        from guivm.engine.requests import OpenConsole

        if not perform(task, self._ask(OpenConsole(vm.key)), as_json=self._as_json):
            return Exit.FAILED
        if not task.is_script:
            self._print_vm(vm)
        return Exit.OK

    def _print_vm(self, vm: VmInfo) -> None:
        """With --json, the VM as it is now."""
        if self._as_json:
            _print_json(vm_values(self._engine.vm(vm.key) or vm))


def save_picture(data: bytes, file: Path) -> None:
    """Write a picture (PNG or PPM bytes) in the format of the file's suffix; OperationError when impossible."""
    from PySide6.QtGui import QImage

    image = QImage.fromData(data)
    if image.isNull():
        raise OperationError("The host sent no picture that can be read.")
    if not image.save(str(file)):
        raise OperationError(
            f"The picture cannot be saved as “{file}”.",
            advice="Use .png, .ppm, .jpg or .bmp in a folder you can write.",
        )


def _boot_source(arguments: argparse.Namespace) -> BootSource:
    from guivm.engine.job_types import DiskSource, IsoSource, KernelSource, NetworkSource, NoSource

    if arguments.iso:
        return IsoSource(arguments.iso.absolute())
    if arguments.image:
        return DiskSource(arguments.image.absolute())
    if arguments.kernel:
        initrd = arguments.initrd.absolute() if arguments.initrd else None
        return KernelSource(arguments.kernel.absolute(), initrd, arguments.append)
    return NetworkSource() if arguments.pxe else NoSource()


def vm_values(vm: VmInfo) -> dict[str, object]:
    """A VM as JSON of ``list`` and ``show``: stable names, plain values."""
    state: VmState = vm.state
    return {
        "uuid": vm.key.uuid,
        "host": vm.key.host,
        "name": vm.name,
        "title": vm.title,
        "notes": vm.notes,
        "state": state.value,
        "reason": vm.reason,
        "autostart": vm.autostart,
        "persistent": vm.persistent,
        "vcpus": vm.vcpus,
        "memory_kib": vm.memory_kib,
    }


def _jsonable(value: Any) -> Any:
    match value:
        case dict():
            return {str(key): _jsonable(item) for key, item in value.items()}
        case list() | tuple():
            return [_jsonable(item) for item in value]
        case enum.Enum():
            return value.value
        case Path():
            return str(value)
    return value


def _print_json(value: object) -> None:
    json.dump(value, sys.stdout, ensure_ascii=False, indent=2)
    print()


def _size(count: int) -> str:
    for unit, size in (("TiB", 1024**4), ("GiB", 1024**3), ("MiB", 1024**2)):
        if count >= size:
            return f"{count / size:.4g} {unit}"
    return f"{count // 1024} KiB"


def _progress_line(info: JobInfo) -> str:
    progress = info.progress
    if progress is None or progress.total <= 0:
        return info.title
    return f"{info.title} {100 * progress.done // progress.total} %"
