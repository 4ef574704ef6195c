"""Run the real application unchanged and report, from the test's side, when its VM list is on the screen filled.

``python -c "from tests.bench.observed import main; main()" FD COUNT ARGUMENTS…`` does what the installed command
``guivm ARGUMENTS…`` does. As soon as the list (the item view with the object name ``vm-list``) has painted itself while
its model held COUNT rows, one line of JSON goes to the pipe FD: ``{"filled_ns": CLOCK_MONOTONIC, "rows": COUNT}``. The
moment is after that paint was flushed to the X server.

Production code has no part in this: an import hook waits until the application itself imports the module of its list
(so that nothing is imported earlier than without the observer) and looks at that class's paint events from then on.
Nothing is asked of Qt but whether the list's model is filled: a question that hands PySide6 an object it does not know,
such as the top-level windows or a viewport, makes it build the classes of all widgets there are, and would slow down
what is measured by a tenth. No module is imported here that the application would not import.
"""

from __future__ import annotations

import importlib.machinery
import os
import sys
import time
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PySide6.QtGui import QPaintEvent
    from PySide6.QtWidgets import QTreeView

_MODULE, _CLASS, _LIST_NAME = "guivm.views.vm_list", "VmTreeView", "vm-list"


class _Finder:
    """On ``sys.meta_path``: acts once, at the application's own import of its list."""

    def __init__(self, fd: int, count: int) -> None:
        self._fd = fd
        self._count = count

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != _MODULE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            _observe(getattr(module, _CLASS), self._fd, self._count)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _observe(list_class: type[QTreeView], fd: int, count: int) -> None:
    """Qt paints only what is exposed; the rows are painted when the real paintEvent returns."""
    from PySide6.QtCore import QTimer

    paint = list_class.paintEvent
    done = False

    def report() -> None:
        os.write(fd, b'{"filled_ns": %d, "rows": %d}\n' % (time.monotonic_ns(), count))

    def paint_event(view: QTreeView, event: QPaintEvent) -> None:
        nonlocal done
        paint(view, event)
        if not done and view.objectName() == _LIST_NAME and view.model().rowCount() == count:
            done = True
            QTimer.singleShot(0, report)  # flushing ends this turn of the event loop

    list_class.paintEvent = paint_event  # type: ignore[method-assign]


def main() -> None:
    fd, count = int(sys.argv[1]), int(sys.argv[2])
    sys.argv = ["guivm", *sys.argv[3:]]
    sys.meta_path.insert(0, _Finder(fd, count))
    from guivm.__main__ import main as start

    sys.exit(start())
