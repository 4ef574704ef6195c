"""Switching on and off: one request each."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING

from guivm.cli.exits import Exit
from guivm.cli.verbs import Verbs, add_vm
from guivm.errors import OperationError

if TYPE_CHECKING:
    from guivm.cli.session import Session
    from guivm.engine.requests import VmRequest
    from guivm.engine.types import VmInfo

_VERBS = (
    ("start", "Start", "switch on, or continue from the saved state"),
    ("pause", "Pause", "freeze it where it is"),
    ("resume", "Resume", "let a paused virtual machine go on"),
    ("shutdown", "ShutDown", "ask the guest to shut down (ACPI)"),
    ("reboot", "Reboot", "ask the guest to restart"),
    ("reset", "Reset", "restart at once; unsaved work in the guest is lost"),
    ("force-off", "ForceOff", "pull the plug; unsaved work in the guest is lost"),
    ("save", "SaveState", "write the memory to disk and switch off"),
    ("restore", "RestoreState", "continue from the saved state"),
    ("discard", "DiscardSavedState", "throw the saved state away"),
)


def add_verbs(verbs: Verbs) -> None:
    for name, request, help_text in _VERBS:
        parser = verbs.add(name, help_text, partial(_run, request))
        add_vm(parser)
        if name == "shutdown":
            parser.add_argument("--wait", metavar="SECONDS", type=float, help="wait until it is off")


def _run(request_name: str, session: Session, arguments: argparse.Namespace) -> int:
    from guivm.engine import requests

    request: type[VmRequest[None]] = getattr(requests, request_name)
    vm = session.find(arguments.vm)
    session.ask(request(vm.key))
    wait: float | None = getattr(arguments, "wait", None)
    if wait is not None:
        _wait_off(session, vm, wait)
    session.print_vm(vm)
    return Exit.OK


def _wait_off(session: Session, vm: VmInfo, seconds: float) -> None:
    from guivm.engine.types import VmState

    def is_off() -> bool:
        now = session.vm(vm.key)
        return now is None or now.state in (VmState.OFF, VmState.CRASHED)

    if not session.wait_for(is_off, seconds):
        raise OperationError(
            f"“{vm.name}” is still on after {seconds:g} s.", advice="The guest may ignore the power button."
        )
