"""Run a script at a VM's display: choose it, see its statements, follow it, stop it.

The script runs in a process of its own (``guivm automate``) that talks to the display through a gate of ours, so
that it also works where only this process may open the VM's display.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QProcess, Qt, QTimer, Slot
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QHeaderView, QTreeWidget, QTreeWidgetItem, QWidget

from guivm.console.lifetime import on_destroyed
from guivm.engine.job_types import ConsoleEndpoint
from guivm.engine.requests import OpenConsole
from guivm.engine.types import VmInfo
from guivm.errors import CancelledError, GuivmError, OperationError
from guivm.text import clean_line
from guivm.views.bridge import Bridge
from guivm.views.dialogs.base import VerbDialog
from guivm.views.forms import Form, PathField, Tone, tone_icon
from guivm.views.theme import GRID

if TYPE_CHECKING:
    from guivm.automation.gate import Gate
    from guivm.automation.script import Script

_WIDTH = 720
_LIST_HEIGHT = 40 * GRID
_LINE, _TEXT, _TIME, _NOTE = range(4)
_STOP_MS = 10_000
_CANCELLED = 130
_MAX_OUTPUT = 1 << 20


def _read(path: Path) -> Script | GuivmError:
    """Not on the GUI thread."""
    from guivm.automation.script import MAX_SCRIPT_BYTES, parse

    try:
        with path.open("rb") as file:
            data = file.read(MAX_SCRIPT_BYTES + 1)
        if len(data) > MAX_SCRIPT_BYTES:
            return OperationError("The file is larger than 1 MiB: too large for a script.")
        return parse(data.decode("utf-8"), name=path.name)
    except GuivmError as error:
        return error
    except UnicodeDecodeError:
        return OperationError("The file is no UTF-8 text.")
    except OSError as error:
        return OperationError(f"The file cannot be read: {error.strerror or error}.")


def _open_gate(endpoint: ConsoleEndpoint) -> Gate | GuivmError:
    """Not on the GUI thread. The gate reaches the display in a thread of its own, so this takes no time."""
    from guivm.automation.gate import Gate

    gate = Gate(endpoint)
    try:
        gate.offer()
    except GuivmError as error:
        return error
    return gate


class _LastGate:
    """What closes the gate when the dialog is deleted with its parent: the gate's thread must not stay."""

    def __init__(self) -> None:
        self.gate: Gate | None = None

    def close(self) -> None:
        if self.gate is not None:
            self.gate.close()


class RunScriptDialog(VerbDialog):
    """Stays open beside the console (``show()``). Closed while a script runs, it stops it first."""

    def __init__(
        self,
        bridge: Bridge,
        vm: VmInfo,
        parent: QWidget | None = None,
        *,
        folder: Callable[[], Path] = Path.home,
        layout: str = "",
        program: Sequence[str] = (),
    ) -> None:
        """``layout``: of the guest's keyboard, empty for this desktop's. ``program``: our command line."""
        super().__init__(
            self.tr("Run Script in “{name}”").format(name=clean_line(vm.name, 60)),
            self.tr("&Run"),
            parent,
            name="run-script",
            width=_WIDTH,
        )
        self.setWindowModality(Qt.WindowModality.NonModal)
        self._bridge = bridge
        self._vm = vm
        self._keyboard = layout
        self._program = tuple(program) or (sys.executable, "-m", "guivm")
        self._script: Script | None = None
        self._rows: dict[int, QTreeWidgetItem] = {}
        self._reading = 0
        self._gate: Gate | None = None
        self._last_gate = _LastGate()
        on_destroyed(self, self._last_gate.close)
        self._is_starting = False
        self._is_stopping = False
        self._is_closed = False
        self._failure: GuivmError | None = None
        self._errors = b""

        self.file = PathField(
            "script", self.tr("Choose a script"), self.tr("Scripts (*.guivm *.vdo *.txt);;All files (*)"), folder, self
        )
        form = Form(self.content)
        self._file_row = form.add_row(self.tr("&Script"), self.file)
        self.statements = QTreeWidget(self.content)
        self.statements.setObjectName("statements")
        self.statements.setAccessibleName(self.tr("Statements of the script"))
        self.statements.setRootIsDecorated(False)
        self.statements.setUniformRowHeights(True)
        self.statements.setMinimumHeight(_LIST_HEIGHT)
        self.statements.setHeaderLabels([self.tr("Line"), self.tr("Statement"), self.tr("Time"), self.tr("Result")])
        header = self.statements.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(_TEXT, QHeaderView.ResizeMode.Stretch)
        self.body.addWidget(form)
        self.body.addWidget(self.statements, 1)
        self.cancel.setText(self.tr("&Close"))
        self.cancel.setAccessibleName(self.tr("Close"))

        self._process = QProcess(self)
        self._process.readyReadStandardOutput.connect(self._on_output)
        self._process.readyReadStandardError.connect(self._on_error_output)
        self._process.finished.connect(self._on_finished)
        self._process.errorOccurred.connect(self._on_process_error)
        self._kill = QTimer(self)
        self._kill.setSingleShot(True)
        self._kill.setInterval(_STOP_MS)
        self._kill.timeout.connect(self._process.kill)
        self.file.pathChanged.connect(self._load)
        self._load(None)

    @property
    def is_running(self) -> bool:
        return self._is_starting or self._process.state() is not QProcess.ProcessState.NotRunning

    # --- the script -----------------------------------------------------------------------------------

    @Slot(object)
    def _load(self, path: Path | None) -> None:
        self._reading += 1
        number = self._reading
        if path is None:
            self._show_script(None, self.tr("Choose a script to run."), shown=False)
            return

        def done(result: Script | GuivmError) -> None:
            if number != self._reading:  # another file was chosen meanwhile
                return
            if isinstance(result, GuivmError):
                self._show_script(None, result.summary, shown=True)
            else:
                self._show_script(result, "" if result.lines else self.tr("The script is empty."), shown=True)

        self.set_reason(self.tr("Reading the script…"))
        self._bridge.compute(lambda: _read(path), self, done)

    def _show_script(self, script: Script | None, problem: str, *, shown: bool) -> None:
        self._script = script
        self._file_row.set_problem(problem if shown else "")
        self.set_reason(problem, shown=shown)
        self.statements.clear()
        self._rows.clear()
        for line in script.lines if script is not None else ():
            row = QTreeWidgetItem(self.statements, [str(line.number), line.text, "", ""])
            row.setTextAlignment(_LINE, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self._rows[line.number] = row

    # --- running --------------------------------------------------------------------------------------

    def submit(self) -> None:
        if self.is_running:
            self._stop()
        elif self._script is not None:
            self._begin()

    def _begin(self) -> None:
        self.strip.clear()
        self._failure = None
        self._errors = b""
        self._is_stopping = False
        self._is_starting = True
        for row in self._rows.values():
            row.setText(_TIME, "")
            row.setText(_NOTE, "")
            row.setIcon(_TEXT, QIcon())
        self.file.setEnabled(False)
        self.primary.setText(self.tr("&Stop"))
        self.primary.setAccessibleName(self.tr("Stop"))
        self.set_status(self.tr("Opening the display…"))
        self._bridge.submit(OpenConsole(self._vm.key), self, self._on_endpoint, self._on_failed)

    def _on_endpoint(self, endpoint: ConsoleEndpoint) -> None:
        self._bridge.compute(lambda: _open_gate(endpoint), self, self._on_gate)

    def _on_gate(self, result: Gate | GuivmError) -> None:
        if isinstance(result, GuivmError):
            self._on_failed(result)
            return
        self._gate = self._last_gate.gate = result
        if self._is_stopping:
            self._on_failed(CancelledError("The script was stopped."))
            return
        path = self.file.path()
        assert path is not None
        arguments = [*self._program[1:], "automate", self._vm.key.uuid, str(path)]
        arguments += ["--display", str(result.path), "--json"]
        if self._keyboard:
            arguments += ["--layout", self._keyboard]
        self.set_status(self.tr("Running…"))
        self._process.start(self._program[0], arguments)
        self._process.closeWriteChannel()
        self._is_starting = False

    def _stop(self) -> None:
        self._is_stopping = True
        self.set_status(self.tr("Stopping…"))
        if self._process.state() is not QProcess.ProcessState.NotRunning:
            self._process.terminate()  # it lets go of all keys first
            self._kill.start()

    def _on_failed(self, error: GuivmError) -> None:
        self._failure = error
        self._settle()

    @Slot()
    def _on_output(self) -> None:
        while self._process.canReadLine():
            try:
                news = json.loads(bytes(self._process.readLine().data()))
            except ValueError:
                continue
            if isinstance(news, dict):
                self._take(news)

    def _take(self, news: dict[str, object]) -> None:
        number = news.get("line")
        row = self._rows.get(number) if isinstance(number, int) else None
        match news.get("event"):
            case "start" if row is not None:
                row.setText(_TIME, "…")
                self.statements.setCurrentItem(row)
                self.statements.scrollToItem(row)
            case "end" if row is not None:
                seconds = news.get("seconds")
                row.setText(
                    _TIME, self.tr("{seconds:.1f} s").format(seconds=seconds if isinstance(seconds, float) else 0.0)
                )
                row.setText(_NOTE, clean_line(str(news.get("note", ""))))
            case "failed":
                picture = str(news.get("picture", ""))
                details = str(news.get("details", ""))
                if picture:
                    details = self.tr("The screen at that moment: {path}").format(path=picture) + f"\n\n{details}"
                self._failure = GuivmError(
                    str(news.get("message", "")), advice=str(news.get("advice", "")), details=details
                )
                if row is not None:
                    row.setIcon(_TEXT, tone_icon(Tone.PROBLEM))
                    row.setText(_TIME, "")
                    row.setText(_NOTE, self.tr("Failed"))
            case _:
                pass

    @Slot()
    def _on_error_output(self) -> None:
        self._errors = (self._errors + bytes(self._process.readAllStandardError().data()))[-_MAX_OUTPUT:]

    @Slot(QProcess.ProcessError)
    def _on_process_error(self, error: QProcess.ProcessError) -> None:
        if error is QProcess.ProcessError.FailedToStart:  # the others are followed by finished()
            self._on_failed(OperationError("The script could not be started.", details=self._process.errorString()))

    @Slot(int, QProcess.ExitStatus)
    def _on_finished(self, code: int, status: QProcess.ExitStatus) -> None:
        self._on_output()
        self._on_error_output()
        if self._failure is not None and self._gate is not None and self._gate.error is not None:
            self._failure = self._gate.error  # it knows why the display was lost
        if self._failure is None and (code or status is not QProcess.ExitStatus.NormalExit):
            if self._is_stopping or code == _CANCELLED:
                self._failure = CancelledError("The script was stopped.")
            else:
                text = self._errors.decode("utf-8", "replace")
                self._failure = OperationError(
                    clean_line(text.removeprefix("guivm: "), 400) or "The script ended without a word.", details=text
                )
        self._settle()

    def _settle(self) -> None:
        """Nothing runs any more."""
        self._kill.stop()
        self._is_starting = False
        gate, self._gate = self._gate, None
        if gate is not None:
            self._bridge.compute(gate.close, self, partial(self._on_gate_closed, gate))
        if self._is_closed:
            if gate is None:
                self.deleteLater()
            return
        self.file.setEnabled(True)
        self.primary.setText(self.tr("&Run"))
        self.primary.setAccessibleName(self.tr("Run"))
        match self._failure:
            case None:
                self.set_status(self.tr("Done."))
            case CancelledError():
                self.set_status(self.tr("Stopped."))
            case error:
                self.set_status("")
                self.strip.show_error(error)
                self.grow()

    def _on_gate_closed(self, gate: Gate, _nothing: None) -> None:
        if self._last_gate.gate is gate:
            self._last_gate.gate = None
        if self._is_closed:
            self.deleteLater()

    def done(self, result: int) -> None:
        if self.is_running and not self._is_closed:
            self._is_closed = True
            self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)
            self._stop()
        super().done(result)
