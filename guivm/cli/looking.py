"""``list`` and ``show``."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from guivm.cli.exits import Exit
from guivm.cli.identity import identity_words
from guivm.cli.output import jsonable, print_json, print_table, size_words, vm_values
from guivm.cli.verbs import Verbs, add_vm
from guivm.errors import VmNotFoundError, WrongStateError

if TYPE_CHECKING:
    from guivm.cli.session import Session
    from guivm.engine.job_types import VmDetails
    from guivm.engine.types import VmInfo


def add_verbs(verbs: Verbs) -> None:
    listing = verbs.add("list", "list the virtual machines", _list)
    listing.add_argument("filter", nargs="?", default="", help="only names, states or notes that contain this")
    add_vm(verbs.add("show", "show one virtual machine with its hardware", _show))


def _list(session: Session, arguments: argparse.Namespace) -> int:
    words = arguments.filter.lower().split()
    vms = [
        vm
        for vm in session.complete_vms()
        if all(word in f"{vm.name} {vm.title} {vm.state.value} {vm.notes}".lower() for word in words)
    ]
    vms.sort(key=lambda vm: (vm.key.host, vm.name.casefold()))
    if session.as_json:
        print_json([vm_values(vm) | {"pending": _pending(session, vm)} for vm in vms])
        return Exit.OK
    rows = [("NAME", "STATE", "CPUS", "MEMORY", "TITLE")]
    rows += [(vm.name, vm.state.value, str(vm.vcpus), size_words(vm.memory_kib * 1024), vm.title) for vm in vms]
    print_table(rows)
    return Exit.OK


def _show(session: Session, arguments: argparse.Namespace) -> int:
    from guivm.engine.requests import ReadDetails

    vm = session.find(arguments.vm)
    details = session.ask(ReadDetails(vm.key))
    vm = session.vm(vm.key) or vm  # complete now
    if session.as_json:
        hardware = jsonable(asdict(details))
        del hardware["key"]
        print_json(vm_values(vm) | {"pending": _pending(session, vm), "hardware": hardware})
        return Exit.OK
    for label, value in _lines(vm, details):
        if value:
            print(f"{label + ':':<12}{value}")
    return Exit.OK


def _pending(session: Session, vm: VmInfo) -> int:
    """How many changes wait for its next start: asked for, for the list itself comes by that number late."""
    if not vm.can_have_pending:
        return 0
    from guivm.engine.requests import ReadPending

    try:
        return len(session.ask(ReadPending(vm.key)).changes)
    except (VmNotFoundError, WrongStateError):  # ended meanwhile
        return 0


def _lines(vm: VmInfo, details: VmDetails) -> list[tuple[str, str]]:
    return [
        ("Name", vm.name),
        ("Title", vm.title),
        ("UUID", vm.key.uuid),
        ("Host", vm.key.host),
        ("State", vm.state.value + (f" ({vm.reason})" if vm.reason else "")),
        ("CPUs", f"{details.vcpus}, {details.virt_type.name}, {details.arch}, {details.machine}"),
        ("Memory", size_words(details.memory_kib * 1024)),
        ("Firmware", details.firmware.name),
        *((f"Disk {disk.target}", f"{disk.device} {disk.format} {disk.path or '(empty)'}") for disk in details.disks),
        *(("Network", f"{nic.mode} {nic.source} {nic.model} {nic.mac}") for nic in details.nics),
        ("Display", f"{', '.join(details.graphics) or 'none'}, {details.video}"),
        ("Autostart", "yes" if vm.autostart else "no"),
        ("Identity", identity_words(vm)),
        ("Notes", vm.notes),
    ]
