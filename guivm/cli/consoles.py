"""The guest's screen and serial line: ``console``, ``serial``, ``play``, ``screenshot``, and what acts on a screen."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from guivm.automation import options as automation
from guivm.cli.exits import Exit
from guivm.cli.output import print_json
from guivm.cli.verbs import Verbs, add_vm
from guivm.errors import OperationError

if TYPE_CHECKING:
    from guivm.automation.command import Task
    from guivm.cli.session import Session


def add_verbs(verbs: Verbs) -> None:
    help_text = "open the console of a virtual machine in a window"
    add_vm(verbs.add("console", help_text, begin=_console, json_output=False))
    help_text = "use the serial console in this terminal; Ctrl+] leaves"
    serial = verbs.add("serial", help_text, _serial, json_output=False)
    add_vm(serial)
    serial.add_argument(
        "--device", metavar="ALIAS", default="", help="which serial line, e.g. serial1; default: the first"
    )
    serial.add_argument("--take-over", action="store_true", help="even if somebody else has it open")
    play = verbs.add("play", "play a session recording in a window", begin=_play, json_output=False)
    play.add_argument("file", metavar="FILE", type=Path)
    shot = verbs.add("screenshot", "save a picture of a virtual machine's screen", _screenshot)
    add_vm(shot)
    shot.add_argument("file", metavar="FILE", type=Path, help="where to save it; .png, .ppm, .jpg or .bmp")

    def add_automation(name: str, help_text: str) -> argparse.ArgumentParser:
        return verbs.add(name, help_text, _automate, begin=_begin_automation)

    automation.add_verbs(add_automation)


def _console(arguments: argparse.Namespace, uris: Sequence[str]) -> int:
    from guivm.app import run_console

    return run_console(uris, arguments.vm)


def _play(arguments: argparse.Namespace, _uris: Sequence[str]) -> int:
    from guivm.app import run_player

    return run_player(arguments.file)


def _serial(session: Session, arguments: argparse.Namespace) -> int:
    from guivm.console.serial.interactive import run_serial
    from guivm.engine.requests import OpenSerial

    vm = session.find(arguments.vm)
    print(f"“{vm.name}”: Ctrl+] leaves.", file=sys.stderr)
    run_serial(session.ask(OpenSerial(vm.key, arguments.device, arguments.take_over)))
    return Exit.OK


def _screenshot(session: Session, arguments: argparse.Namespace) -> int:
    from guivm.engine.requests import TakeScreenshot

    vm = session.find(arguments.vm)
    shot = session.ask(TakeScreenshot(vm.key))
    _save_picture(shot.data, arguments.file)
    if session.as_json:
        print_json({"uuid": vm.key.uuid, "name": vm.name, "file": str(arguments.file)})
    return Exit.OK


def _save_picture(data: bytes, file: Path) -> None:
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


def _begin_automation(arguments: argparse.Namespace, _uris: Sequence[str]) -> int | None:
    from guivm.automation.command import begin

    return begin(arguments)


def _automate(session: Session, arguments: argparse.Namespace) -> int:
    from guivm.automation.command import perform
    from guivm.engine.requests import OpenConsole

    vm = session.find(arguments.vm)
    task: Task = arguments.task
    if not perform(task, session.ask(OpenConsole(vm.key)), as_json=session.as_json):
        return Exit.FAILED
    if not task.is_script:
        session.print_vm(vm)
    return Exit.OK
