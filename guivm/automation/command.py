"""The verbs ``automate``, ``type`` and ``key`` of the command line: their options, and what they do and print."""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from guivm.automation import statements as st
from guivm.automation.keys import parse_combo
from guivm.automation.script import MAX_SCRIPT_BYTES, SUMMARY, Line, Script, ScriptError, parse
from guivm.automation.words import is_name
from guivm.errors import GuivmError, OperationError

if TYPE_CHECKING:
    from guivm.automation.remote import CancelFlag
    from guivm.automation.runner import Failure, Options, Progress
    from guivm.engine.job_types import ConsoleEndpoint

VERBS = ("automate", "type", "key")

_AUTOMATE_EPILOG = f"""\
{SUMMARY}
exit codes: 0 all done, 1 something expected did not come, 2 no valid script, 130 stopped. When it fails, the last
picture of the screen is saved beside the script as SCRIPT-failed.png. Keys and buttons are always released.
With --json each line of the output is one JSON object: start, end, failed or done.

examples:
  guivm automate web01 install.guivm --set user=guest --layout de
  guivm automate web01 install.guivm --check
  echo 'wait-still; key enter' | tr ';' '\\n' | guivm automate web01 -
"""

_TYPE_EPILOG = """\
examples:
  guivm type web01 root --enter
  guivm type web01 'grüße' --layout de
  guivm type web01 - < commands.txt
"""

_KEY_EPILOG = """\
A combination is names or characters joined by - or +: esc, tab, enter, space, backspace, delete, insert, home, end,
pageup, pagedown, left, right, up, down, f1 to f24, ctrl, shift, alt, altgr, super, menu, print, pause, capslock,
numlock, scrolllock, kp0 to kp9, kpenter, mute, volumeup, volumedown, power; codeN is a Linux key code.

examples:
  guivm key web01 ctrl-alt-del
  guivm key web01 super+r down down enter
"""

AddVerb = Callable[[str, str], argparse.ArgumentParser]


def add_verbs(add: AddVerb) -> None:
    """Give a parser our verbs. ``add``: makes the parser of a verb from its name and one line of help."""
    automate = add("automate", "run a script: type, click, wait for a picture or text, capture")
    automate.epilog = _AUTOMATE_EPILOG
    automate.add_argument("vm", metavar="VM")
    automate.add_argument("script", metavar="SCRIPT", help="a file; - reads from standard input")
    automate.add_argument("--check", action="store_true", help="only say whether the script is right; touches no VM")
    automate.add_argument(
        "--set", metavar="NAME=VALUE", action="append", default=[], type=_assignment, dest="variables",
        help="value of $NAME in the script; repeatable",
    )  # fmt: skip
    automate.add_argument(
        "--display", metavar="SOCKET", type=Path, help="the VNC server at this UNIX socket; VM is then only a name"
    )
    automate.add_argument(
        "--timeout", metavar="SECONDS", type=_seconds, default=st.DEFAULT_TIMEOUT_S,
        help=f"of waits that name none; default {st.DEFAULT_TIMEOUT_S:g}",
    )  # fmt: skip
    typing = add("type", "type text as keystrokes")
    typing.epilog = _TYPE_EPILOG
    typing.add_argument("vm", metavar="VM")
    typing.add_argument("text", metavar="TEXT", help="the text; - reads from standard input")
    typing.add_argument("--enter", action="store_true", help="press Enter after it")
    keys = add("key", "press combinations of keys, one after another")
    keys.epilog = _KEY_EPILOG
    keys.add_argument("vm", metavar="VM")
    keys.add_argument("combos", metavar="COMBO", nargs="+", help="such as ctrl-alt-del", type=_combo)
    for parser in (automate, typing, keys):
        parser.formatter_class = argparse.RawDescriptionHelpFormatter
        parser.add_argument(
            "--layout",
            metavar="LAYOUT",
            help="of the guest's keyboard, such as us, de, fr(bepo); default this desktop's",
        )
        if parser is not keys:
            parser.add_argument(
                "--rate", metavar="N", type=_rate, default=25.0, help="keystrokes a second; default 25"
            )  # fmt: skip


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not is_name(name):
        raise argparse.ArgumentTypeError(f"“{text}” is no NAME=VALUE")
    return name, value


def _seconds(text: str) -> float:
    return _number(text, st.MAX_SECONDS, "a time in seconds")


def _rate(text: str) -> float:
    return _number(text, 1000.0, "a rate in keystrokes a second")


def _number(text: str, highest: float, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= highest:
        raise argparse.ArgumentTypeError(f"“{text}” is not {what} (at most {highest:g})")
    return value


def _combo(text: str) -> tuple[str, ...]:
    try:
        return parse_combo(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


# --- before the VM is asked for ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Task:
    """What a command line asks for. ``file``: of the script, None when it has none."""

    script: Script
    layout: str | None
    rate: float
    file: Path | None
    is_script: bool
    display: Path | None = None
    """A UNIX socket at which the VM's display is served already."""


def prepare(arguments: argparse.Namespace) -> Task:
    """Read and check all that needs no VM. Raises ScriptError, OperationError."""
    if arguments.verb == "automate":
        file = None if arguments.script == "-" else Path(arguments.script)
        script = parse(
            _read(file, "script"),
            name="standard input" if file is None else str(file),
            variables=dict(arguments.variables),
            timeout_s=arguments.timeout,
        )
        return Task(script, arguments.layout, arguments.rate, file, True, arguments.display)
    statement: st.Statement
    if arguments.verb == "type":
        text = _read(None, "text") if arguments.text == "-" else arguments.text
        statement = st.Type(text, arguments.enter)
        rate = arguments.rate
    else:
        statement = st.Press(tuple(arguments.combos))
        rate = 25.0
    return Task(Script((Line(1, arguments.verb, statement),)), arguments.layout, rate, None, False)


def _read(file: Path | None, what: str) -> str:
    name = "Standard input" if file is None else f"“{file}”"
    try:
        if file is None:
            data = sys.stdin.buffer.read(MAX_SCRIPT_BYTES + 1)
        else:
            with file.open("rb") as opened:
                data = opened.read(MAX_SCRIPT_BYTES + 1)
        if len(data) > MAX_SCRIPT_BYTES:
            raise OperationError(f"{name} is larger than 1 MiB: too large for a {what}.")
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise OperationError(f"{name} is no UTF-8 text.", details=str(error)) from error
    except OSError as error:
        raise OperationError(f"{name} cannot be read: {error.strerror or error}.") from error


def tell_problems(error: ScriptError, *, as_json: bool) -> None:
    """One line for each problem, to stderr; with JSON also one object for each, to stdout."""
    for problem in error.problems if as_json else ():
        _write_json(sys.stdout, event="problem", line=problem.line, message=problem.message)
    for line in error.lines:
        sys.stderr.write(f"guivm: {line}\n")


def tell_checked(task: Task, *, as_json: bool) -> None:
    """The script is right."""
    if as_json:
        for line in task.script.lines:
            _write_json(sys.stdout, event="statement", line=line.number, text=line.text)
    else:
        sys.stdout.write(f"{task.script.name}: {len(task.script.lines)} statements, all right\n")


# --- with the VM's display --------------------------------------------------------------------------------


def perform(task: Task, endpoint: ConsoleEndpoint, *, as_json: bool) -> bool:
    """Do it at a display; takes over ``endpoint``. See :func:`perform_at`."""
    from guivm.automation.gate import Gate

    with Gate(endpoint) as gate:
        done = perform_at(task, gate.path, as_json=as_json)
        gate.finish()
    return done


def perform_at(task: Task, display: Path, *, as_json: bool) -> bool:
    """Do it at the VNC server of a UNIX socket; main thread. False when it failed, which has been told.

    Raises CancelledError after Ctrl+C or SIGTERM, and GuivmError when the display cannot be reached.
    """
    from guivm.automation.remote import Remote
    from guivm.automation.runner import Runner

    output = _Output(sys.stdout, sys.stderr, task, as_json=as_json)
    start = time.monotonic()
    with _cancelled_by_signals() as cancel:
        remote = Remote(display, cancel)
        try:
            remote.open()
            failure = Runner(remote, _options(task), output.progress).run(task.script)
        finally:
            remote.close()
    if failure is not None:
        output.failed(failure)
        return False
    output.done(time.monotonic() - start)
    return True


def _options(task: Task) -> Options:
    from guivm.automation.runner import Options

    layout = task.layout
    if layout is None:
        from guivm.console.typing.session import default_layout

        layout = default_layout().id
    picture = None
    if task.is_script:
        stem = task.file.with_suffix("") if task.file is not None else Path("script")
        picture = stem.with_name(f"{stem.name}-failed.png")
    directory = task.file.parent if task.file is not None else Path()
    return Options(directory, layout, task.rate, picture)


@contextmanager
def _cancelled_by_signals() -> Iterator[CancelFlag]:
    """Ctrl+C and SIGTERM stop the script in an orderly way: what is held down is released first."""
    from guivm.automation.remote import CancelFlag

    flag = CancelFlag()

    def on_signal(_number: int, _frame: object) -> None:
        flag.set()

    before = [(number, signal.signal(number, on_signal)) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        yield flag
    finally:
        for number, handler in before:
            signal.signal(number, handler)
        flag.close()


class _Output:
    """Progress and outcome, as text or as lines of JSON. Only scripts have progress."""

    def __init__(self, out: TextIO, err: TextIO, task: Task, *, as_json: bool) -> None:
        self._out = out
        self._err = err
        self._task = task
        self._as_json = as_json

    def progress(self, news: Progress) -> None:
        from guivm.automation.runner import Ended, Started

        if not self._task.is_script:
            return
        match news:
            case Started(line) if self._as_json:
                _write_json(self._out, event="start", line=line.number, text=line.text)
            case Ended(line, seconds, note) if self._as_json:
                _write_json(self._out, event="end", line=line.number, seconds=round(seconds, 3), note=note)
            case Ended(line, seconds, note):
                self._out.write(
                    f"{line.number:>4}  {line.text}  ({', '.join([f'{seconds:.1f} s', note][: 1 + bool(note)])})\n"
                )
                self._out.flush()
            case _:
                pass

    def failed(self, failure: Failure) -> None:
        error: GuivmError = failure.error
        line = failure.line.number if failure.line is not None else 0
        picture = str(failure.picture) if failure.picture is not None else ""
        if self._task.is_script and self._as_json:
            _write_json(
                self._out, event="failed", line=line, message=error.summary, advice=error.advice,
                details=error.details, picture=picture,
            )  # fmt: skip
        where = f"{self._task.script.name}:{line}: " if self._task.is_script else ""
        seen = f" The screen at that moment: {picture}" if picture else ""
        self._err.write(f"guivm: {where}{error}{seen}\n")

    def done(self, seconds: float) -> None:
        if self._task.is_script and self._as_json:
            _write_json(self._out, event="done", seconds=round(seconds, 3))


def _write_json(out: TextIO, **values: str | float) -> None:
    with contextlib.suppress(BrokenPipeError):
        out.write(json.dumps(values, ensure_ascii=False) + "\n")
        out.flush()
