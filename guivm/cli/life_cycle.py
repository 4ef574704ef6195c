"""``create`` and ``delete``: virtual machines come and go."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from guivm.cli.exits import Exit
from guivm.cli.output import jsonable, print_json
from guivm.cli.verbs import UsageError, Verbs, add_vm, size_bytes

if TYPE_CHECKING:
    from guivm.cli.session import Session
    from guivm.engine.job_types import BootSource


def add_create(verbs: Verbs) -> None:
    parser = verbs.add("create", "create a virtual machine", _create, begin=_check_create)
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


def add_delete(verbs: Verbs) -> None:
    parser = verbs.add("delete", "remove a virtual machine; its disks stay unless named", _delete)
    add_vm(parser)
    parser.add_argument("--disk", metavar="PATH", action="append", default=[], help="delete this disk too; repeatable")
    parser.add_argument("--all-disks", action="store_true", help="delete every disk that nothing else needs")
    parser.add_argument("--purge", action="store_true", help="free the space at once: no undo")


def _check_create(arguments: argparse.Namespace, _uris: Sequence[str]) -> None:
    if (arguments.initrd or arguments.append) and not arguments.kernel:
        raise UsageError("--initrd and --append go with --kernel")


def _create(session: Session, arguments: argparse.Namespace) -> int:
    from guivm.engine.job_types import Firmware, NewVmSpec, VirtType
    from guivm.engine.requests import CreateVm, ReadCapabilities, Start

    host = session.hosts[0]
    if arguments.accel == "auto":
        usable = session.ask(ReadCapabilities(host)).kvm.usable
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
    key = session.ask(CreateVm(spec))
    if arguments.start:
        session.ask(Start(key))
    vm = session.vm(key)
    if vm is not None:
        session.print_vm(vm)
    return Exit.OK


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


def _delete(session: Session, arguments: argparse.Namespace) -> int:
    from guivm.engine.requests import Delete, PlanDelete, PurgeDeleted

    vm = session.find(arguments.vm)
    files = [str(Path(path).absolute()) for path in arguments.disk]
    if arguments.all_disks:
        plan = session.ask(PlanDelete(vm.key))
        files += [fate.path for fate in plan.files if fate.deletable and fate.path not in files]
    deleted = session.ask(Delete(vm.key, tuple(files)))
    freed = session.ask(PurgeDeleted(deleted)) if arguments.purge else 0
    if session.as_json:
        kept = [] if arguments.purge else [jsonable(asdict(file)) for file in deleted.files]
        print_json({"uuid": vm.key.uuid, "name": vm.name, "kept_for_undo": kept, "freed_bytes": freed})
        return Exit.OK
    for file in deleted.files:
        print(f"{file.original}: " + ("deleted" if arguments.purge else f"kept for undo at {file.kept_at}"))
    return Exit.OK
