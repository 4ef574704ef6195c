"""Run the real application unchanged and report, from the test's side, when its VM list is on the screen filled.

``python -m tests.bench.observed FD COUNT ARGUMENTS…`` does what ``python -m guivm ARGUMENTS…`` does. As soon as the
list (the item view with the object name ``vm-list``) has painted itself while its model held COUNT rows and its window
was exposed, one line of JSON goes to the pipe FD: ``{"filled_ns": CLOCK_MONOTONIC, "rows": COUNT}``. The moment is
after that paint was flushed to the X server.

Production code has no part in this: an import hook waits until the application itself imports PySide6.QtWidgets (so
that nothing is imported earlier than without the observer) and puts a QApplication in place that starts the observer
with the event loop. Until the list is found a timer looks for it each 2 ms; from then on one event filter on the list's
viewport looks at its paint events, and nothing else of the application's is slowed. No module is imported here that
the application would not import.
"""

from __future__ import annotations

import importlib.machinery
import os
import runpy
import sys
import time
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PySide6.QtCore import QObject

_LIST_NAME = "vm-list"


class _Finder:
    """On ``sys.meta_path``: acts once, at the application's own import of PySide6.QtWidgets."""

    def __init__(self, fd: int, count: int) -> None:
        self._fd = fd
        self._count = count

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "PySide6.QtWidgets":
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            _observe_applications(module, self._fd, self._count)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _observe_applications(qt_widgets: ModuleType, fd: int, count: int) -> None:
    real = qt_widgets.QApplication

    class ObservedApplication(real):  # type: ignore[misc, valid-type]
        def __init__(self, *args: object) -> None:
            super().__init__(*args)
            self._list_observer = _make_observer(self, fd, count)

    qt_widgets.QApplication = ObservedApplication  # type: ignore[attr-defined]


def _make_observer(application: QObject, fd: int, count: int) -> QObject:
    from PySide6.QtCore import QEvent, QObject, QPoint, Qt, QTimer, Slot
    from PySide6.QtGui import QPaintEvent
    from PySide6.QtWidgets import QAbstractItemView, QApplication

    class Observer(QObject):
        def __init__(self) -> None:
            super().__init__(application)
            self._view: QAbstractItemView | None = None
            self._done = False
            self._search = QTimer(self)
            self._search.setInterval(2)
            self._search.setTimerType(Qt.TimerType.PreciseTimer)
            self._search.timeout.connect(self._find)
            self._search.start()

        @Slot()
        def _find(self) -> None:
            for window in QApplication.topLevelWidgets():
                view = window.findChild(QAbstractItemView, _LIST_NAME)
                if view is not None:
                    self._search.stop()
                    self._view = view
                    view.viewport().installEventFilter(self)
                    view.viewport().update()  # it may have painted already
                    return

        def eventFilter(self, watched: QObject, event: QEvent) -> bool:
            if not self._done and isinstance(event, QPaintEvent) and self._shows_all(event):
                self._done = True
                # The filter sees the event before the view does; flushing ends this turn of the event loop.
                QTimer.singleShot(0, self, self._report)
            return False

        def _shows_all(self, event: QPaintEvent) -> bool:
            view = self._view
            handle = view.window().windowHandle() if view is not None else None
            if view is None or handle is None or not handle.isExposed() or view.model().rowCount() != count:
                return False
            first = view.indexAt(QPoint(4, 4))
            return first.isValid() and bool(first.data()) and event.region().intersects(view.visualRect(first))

        @Slot()
        def _report(self) -> None:
            now = time.monotonic_ns()
            os.write(fd, b'{"filled_ns": %d, "rows": %d}\n' % (now, count))
            if self._view is not None:
                self._view.viewport().removeEventFilter(self)

    return Observer()


def main() -> None:
    fd, count = int(sys.argv[1]), int(sys.argv[2])
    sys.argv = ["guivm", *sys.argv[3:]]
    sys.meta_path.insert(0, _Finder(fd, count))
    runpy.run_module("guivm", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
