"""Drives the real application in a child process: real windows, real input, questions asked on its GUI thread.

The child (``python -m tests.helpers.driven_app URI…``) runs :class:`guivm.app.Application` unchanged; a thread of
ours reads one JSON object per line from standard input: ``{"id": 1, "eval": "expression", "wait": seconds}``.
The expression is evaluated on the GUI thread with ``app``, ``window``, ``find`` and Qt's names in reach; with
``wait`` it is asked again after every turn of the event loop until it is true. Nothing in production knows of this.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parent.parent.parent


class DrivenApp:
    """The parent's end. ``prefix`` is put before the command (for example ``unshare …`` for another user)."""

    def __init__(
        self,
        uris: Iterable[str] = (),
        *,
        env: Mapping[str, str],
        log: Path,
        prefix: Iterable[str] = (),
        console_of: str = "",
    ) -> None:
        self._ids = itertools.count(1)
        self._env = {**os.environ, **env, "GUIVM_TEST_PLATFORM": "1", "QT_QPA_PLATFORM": "xcb", "PYTHONPATH": str(ROOT)}
        if console_of:
            self._env["GUIVM_DRIVEN_CONSOLE"] = console_of
        self._log = log.open("ab")
        self._process = subprocess.Popen(
            [*prefix, sys.executable, "-X", "faulthandler", "-m", "tests.helpers.driven_app", *uris],
            env=self._env,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        self.log_path = log

    def __enter__(self) -> DrivenApp:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        return self._process.pid

    def eval(self, expression: str) -> Any:
        """Evaluate on the GUI thread and answer the (JSON) value; raises AssertionError with the child's error."""
        return self._ask({"eval": expression})

    def wait(self, expression: str, timeout: float = 60) -> Any:
        """Wait until the expression is true in the child (seconds) and answer its value."""
        return self._ask({"eval": expression, "wait": timeout})

    def run(self, statements: str) -> None:
        """Execute statements on the GUI thread."""
        self._ask({"exec": statements})

    def key(self, *keys: str) -> None:
        """Press keys as xdotool names them ("ctrl+p"), through the X server."""
        subprocess.run(["xdotool", "key", "--delay", "25", *keys], env=self._env, check=True)

    def key_down(self, key: str) -> None:
        subprocess.run(["xdotool", "keydown", key], env=self._env, check=True)

    def key_up(self, key: str) -> None:
        subprocess.run(["xdotool", "keyup", key], env=self._env, check=True)

    def type(self, text: str) -> None:
        """Type text on the X server's keyboard, slowly enough for an emulated guest; newline is the Return key."""
        for number, line in enumerate(text.split("\n")):
            if number:
                self.key("Return")
            if line:
                subprocess.run(["xdotool", "type", "--delay", "60", line], env=self._env, check=True)

    def click(self, object_name: str) -> None:
        """Click in the middle of a widget with the X server's pointer."""
        x, y = self.eval(f"centre({object_name!r})")
        subprocess.run(["xdotool", "mousemove", "--sync", str(x), str(y)], env=self._env, check=True)
        subprocess.run(["xdotool", "click", "1"], env=self._env, check=True)

    def screenshot(self, path: Path) -> None:
        """Picture of the whole X screen."""
        path.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["import", "-window", "root", str(path)], env=self._env, check=True)

    def close(self, timeout: float = 20) -> int:
        """Close the main window as a person does, also when it says that VMs go on; answers the exit code."""
        self._send({"id": 0, "exec": "close_window()"})
        return self._end(timeout)

    def interrupt(self, timeout: float = 20) -> int:
        """SIGTERM; answers the exit code."""
        self._process.terminate()
        return self._end(timeout)

    def kill(self) -> None:
        """End the child whatever its state."""
        if self._process.poll() is None:
            self._process.kill()
        self._end(20)

    def wait_exit(self, timeout: float = 20) -> int:
        return self._end(timeout)

    def _end(self, timeout: float) -> int:
        code = self._process.wait(timeout)
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    continue
        return code

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        self._process.stdin.flush()

    def _ask(self, message: dict[str, Any]) -> Any:
        number = next(self._ids)
        self._send({"id": number, **message})
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer = json.loads(line)
            if answer["id"] != number:
                continue
            assert "error" not in answer, f"{message}: {answer['error']}\n{self._tail()}"
            return answer["value"]
        raise AssertionError(f"the application ended ({self._process.wait(10)}) on {message}\n{self._tail()}")

    def _tail(self) -> str:
        return self.log_path.read_text(errors="replace")[-6000:]


def child(uris: list[str]) -> int:
    """The child's end: the real application plus the reader of questions."""
    from PySide6 import QtCore, QtGui, QtTest, QtWidgets

    from guivm.app import Application

    answers: IO[str] = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    application = Application(uris)

    def find(name: str) -> Any:
        """The visible widget of that object name, in any window; LookupError when there is none."""
        found = [w for w in QtWidgets.QApplication.allWidgets() if w.objectName() == name]
        shown = [w for w in found if w.isVisible()]
        if not found:
            raise LookupError(f"no widget {name!r}")
        return (shown or found)[0]

    def shown(name: str) -> bool:
        return any(w.isVisible() for w in QtWidgets.QApplication.allWidgets() if w.objectName() == name)

    def centre(name: str) -> tuple[int, int]:
        widget = find(name)
        middle = widget.rect().center()
        if isinstance(widget, QtWidgets.QCheckBox):  # only its box and text take clicks, not the room beside them
            middle.setX(widget.style().pixelMetric(QtWidgets.QStyle.PixelMetric.PM_IndicatorWidth) // 2 + 2)
        point = widget.mapToGlobal(middle)
        ratio = widget.devicePixelRatioF()
        return round(point.x() * ratio), round(point.y() * ratio)

    def close_window() -> None:
        names["window"].close()
        for dialog in QtWidgets.QApplication.topLevelWidgets():
            button = dialog.findChild(QtWidgets.QPushButton, "primary") if dialog.isVisible() else None
            if button is not None and isinstance(dialog, QtWidgets.QDialog):
                button.click()

    class Gaps(QtCore.QObject):
        """How long the event loop ever kept a 5 ms timer waiting."""

        def __init__(self, parent: QtCore.QObject) -> None:
            super().__init__(parent)
            self.gaps: list[float] = []
            self._last = 0.0
            self._timer = QtCore.QTimer(self)
            self._timer.setTimerType(QtCore.Qt.TimerType.PreciseTimer)
            self._timer.setInterval(5)
            self._timer.timeout.connect(self._tick)

        def start(self) -> None:
            self.gaps = []
            self._last = time.monotonic()
            self._timer.start()

        def stop(self) -> list[float]:
            """Milliseconds between turns, in order of time."""
            self._timer.stop()
            return self.gaps

        @QtCore.Slot()
        def _tick(self) -> None:
            now = time.monotonic()
            self.gaps.append((now - self._last) * 1000)
            self._last = now

    names: dict[str, Any] = {
        "app": application,
        "find": find,
        "shown": shown,
        "centre": centre,
        "close_window": close_window,
        "gaps": Gaps(application.qt),
        "QtCore": QtCore,
        "QtGui": QtGui,
        "QtWidgets": QtWidgets,
        "QtTest": QtTest,
    }

    class Questions(QtCore.QObject):
        asked = QtCore.Signal(str)

        def __init__(self) -> None:
            super().__init__()
            self._waiting: list[tuple[dict[str, Any], float]] = []
            self._timer = QtCore.QTimer(self)
            self._timer.setInterval(10)
            self._timer.timeout.connect(self._again)
            self.asked.connect(self._on_asked, QtCore.Qt.ConnectionType.QueuedConnection)

        @QtCore.Slot(str)
        def _on_asked(self, line: str) -> None:
            message = json.loads(line)
            self._try(message, time.monotonic() + message.get("wait", 0))

        @QtCore.Slot()
        def _again(self) -> None:
            waiting, self._waiting = self._waiting, []
            if not waiting:
                self._timer.stop()
            for message, deadline in waiting:
                self._try(message, deadline)

        def _try(self, message: dict[str, Any], deadline: float) -> None:
            error = ""
            value: Any = None
            try:
                if "exec" in message:
                    exec(message["exec"], names)
                else:
                    value = eval(message["eval"], names)
            except Exception as problem:  # noqa: BLE001 - told to the parent
                error = f"{type(problem).__name__}: {problem}"
            if "wait" in message and (error or not value):
                if time.monotonic() < deadline:
                    self._waiting.append((message, deadline))
                    self._timer.start()
                    return
                error = error or "it did not become true in time"
            answer = {"id": message["id"], "error": error} if error else {"id": message["id"], "value": value}
            answers.write(json.dumps(answer, default=str) + "\n")
            answers.flush()

    questions = Questions()

    def read() -> None:
        for line in sys.stdin:
            questions.asked.emit(line)

    vm = os.environ.get("GUIVM_DRIVEN_CONSOLE", "")
    if not vm:
        names["window"] = application.window
    threading.Thread(target=read, name="driver", daemon=True).start()
    return application.run_console(vm) if vm else application.run()


if __name__ == "__main__":
    code = child(sys.argv[1:])
    sys.stdout.flush()
    # The reader thread is blocked in a read of standard input, which Python would wait for.
    os._exit(code)
