"""What the verbs ``automate``, ``type`` and ``key`` of the command line do and print."""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from guivm.automation import statements as st
from guivm.automation.language import DEFAULT_RATE
from guivm.automation.script import MAX_SCRIPT_BYTES, Line, Script, ScriptError, parse
from guivm.errors import ConsoleError, GuivmError, OperationError

if TYPE_CHECKING:
    from guivm.automation.remote import CancelFlag
    from guivm.automation.runner import Failure, Options, Progress
    from guivm.engine.job_types import ConsoleEndpoint

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


def begin(arguments: argparse.Namespace) -> int | None:
    """All that needs no VM; an exit code when that was all. Else ``arguments.task`` is what remains: :func:`perform`.

    Raises GuivmError.
    """
    try:
        task = arguments.task = _prepare(arguments)
    except ScriptError as error:
        _tell_problems(error, as_json=arguments.json)
        return 2
    if getattr(arguments, "check", False):
        _tell_checked(task, as_json=arguments.json)
        return 0
    if task.display is not None:
        return 0 if perform_at(task, task.display, as_json=arguments.json) else 1
    return None


def _prepare(arguments: argparse.Namespace) -> Task:
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
        rate = DEFAULT_RATE
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


def _tell_problems(error: ScriptError, *, as_json: bool) -> None:
    """One line for each problem, to stderr; with JSON also one object for each, to stdout."""
    for problem in error.problems if as_json else ():
        _write_json(sys.stdout, event="problem", line=problem.line, message=problem.message)
    for line in error.lines:
        sys.stderr.write(f"guivm: {line}\n")


def _tell_checked(task: Task, *, as_json: bool) -> None:
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
        try:
            done = perform_at(task, gate.path, as_json=as_json)
        except ConsoleError as error:
            gate.finish()
            raise gate.error or error from error  # the gate knows why the display was lost
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
