"""What ``settings`` measures, in a process of its own: one opening, then each page, edits, search. Prints JSON.

``python -m tests.bench.settings_window DEVICES``, on whatever Qt platform the environment names. The fake engine of the
tests answers at once, on the thread that asks: nothing of libvirt is in it. The dialog is opened as the main window
opens it (``vm_commands``), with all that the main window has loaded; the rest is loaded by the first opening.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from PySide6.QtCore import QEvent, QEventLoop, QObject, QSettings, QStringListModel, Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QApplication,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListView,
    QScrollArea,
    QWidget,
)

from guivm.engine.types import VmState
from guivm.views import main_window
from guivm.views.bridge import Bridge
from guivm.views.garbage import GarbageCollector
from guivm.views.settings import Settings
from guivm.views.theme import Theme
from tests.bench.settings_domain import many_devices
from tests.helpers.fake_engine import FakeEngine

QUIET_MS = 30
"""A window that asked for no paint for so long has shown what it had to."""
LIMIT_S = 30.0
SEARCH = "serial port"


@dataclass
class Measured:
    """Milliseconds."""

    devices: int
    rows: int = 0  # of the first form
    open_first: float = 0.0
    open_again: float = 0.0
    plain_first: float = 0.0
    plain_again: float = 0.0
    pages_first: dict[str, float] = field(default_factory=dict)  # by resource
    pages_again: dict[str, float] = field(default_factory=dict)
    plain_pages: list[float] = field(default_factory=list)
    edits: dict[str, float] = field(default_factory=dict)
    keys: list[float] = field(default_factory=list)
    parts: float = 0.0
    changes: float = 0.0  # of one edit


class Watch(QObject):
    """Notices when a window has painted what was asked of it: Qt paints all of it in one go, at its update request."""

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self.painted = False
        window.installEventFilter(self)

    def eventFilter(self, _watched: QObject, event: QEvent) -> bool:
        if event.type() in (QEvent.Type.UpdateRequest, QEvent.Type.Paint):
            self.painted = True
        return False


def shown(begin: float, watch: Watch, is_there: Callable[[], bool]) -> float:
    """Milliseconds from ``begin`` (``time.perf_counter``) to the end of the last paint, once ``is_there``."""
    last = 0.0
    tick = QTimer()  # so that waiting ends
    tick.start(QUIET_MS)
    while not last or 1000.0 * (time.perf_counter() - last) < QUIET_MS:
        QApplication.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)
        if watch.painted and is_there():
            last = time.perf_counter()
        watch.painted = False
        if time.perf_counter() - begin > LIMIT_S:
            raise SystemExit("The window was not painted in time")
    return 1000.0 * (last - begin)


def after(watch: Watch, act: Callable[[], object]) -> float:
    watch.painted = False
    begin = time.perf_counter()
    act()
    delete_what_went()
    return shown(begin, watch, lambda: True)


def delete_what_went() -> None:
    """What an application's event loop does before it paints; ``processEvents`` leaves it to one."""
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)


def plain_window(xml: str, rows: int) -> QWidget:
    """The reference: the same XML parsed, its devices in a bare list, a bare form of as many rows."""
    from lxml import etree

    root = etree.fromstring(xml)
    devices = root.find("devices")
    assert devices is not None
    window = QWidget()
    window.resize(1080, 760)
    names = QListView(window)
    names.setModel(QStringListModel([str(device.tag) for device in devices], names))
    area = QScrollArea(window)
    area.setWidgetResizable(True)
    area.setWidget(plain_form(rows))
    line = QHBoxLayout(window)
    line.addWidget(names)
    line.addWidget(area, 1)
    return window


def plain_form(rows: int) -> QWidget:
    form = QWidget()
    layout = QFormLayout(form)
    for number in range(rows):
        layout.addRow(QLabel(f"Option {number}"), QLineEdit("value"))
        note = QLabel("What it is good for, in one sentence that may take two lines where there is little room.")
        note.setWordWrap(True)
        layout.addRow("", note)
    return form


def _plain(measured: Measured, xml: str) -> None:
    for name in ("plain_first", "plain_again"):
        begin = time.perf_counter()
        window = plain_window(xml, measured.rows)
        watch = Watch(window)
        window.show()
        setattr(measured, name, shown(begin, watch, lambda: True))
        area = window.findChild(QScrollArea)
        assert isinstance(area, QScrollArea)
        for _ in range(3):
            measured.plain_pages.append(after(watch, lambda a=area: a.setWidget(plain_form(measured.rows))))  # type: ignore[misc]
        window.deleteLater()
        delete_what_went()


def measure(devices: int) -> Measured:
    assert main_window is not None  # loaded, as in the application
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    app.setCursorFlashTime(0)
    Theme(app, Settings(QSettings(str(Path.home() / "settings.ini"), QSettings.Format.IniFormat)))
    engine = FakeEngine()
    key = engine.add_vm("many", VmState.OFF)
    xml = many_devices(devices)
    engine.settings.put(key, xml)
    bridge = Bridge(engine)
    vm = engine.vm(key)
    assert vm is not None
    # A window must have been there: what Qt does for the first of all is not the dialog's.
    other = QWidget()
    Watch(other)
    other.show()
    QTest.qWaitForWindowExposed(other)
    measured = Measured(devices)

    for name in ("open_first", "open_again"):
        begin = time.perf_counter()
        from guivm.views.vm_settings.dialog import SettingsDialog

        dialog = SettingsDialog(bridge, vm, other)
        watch = Watch(dialog)
        dialog.show()
        setattr(measured, name, shown(begin, watch, lambda d=dialog: d.form is not None))  # type: ignore[misc]
        if name == "open_first":
            dialog.close()
            delete_what_went()
    assert dialog.form is not None
    measured.rows = len(dialog.form.rows)
    _plain(measured, xml)

    from guivm.engine.options.values import Place
    from guivm.views.vm_settings.part_list import PART_ROLE

    model = dialog.frame.list.model()
    kinds: dict[str, list[int]] = {}
    for row in range(model.rowCount()):
        kinds.setdefault(model.index(row, 0).data(PART_ROLE).resource.id, []).append(row)
    for pages, place in ((measured.pages_first, 0), (measured.pages_again, -1)):
        for kind in [*list(kinds)[1:], next(iter(kinds))]:
            index = model.index(kinds[kind][place], 0)
            pages[kind] = after(watch, lambda i=index: dialog.frame.list.setCurrentIndex(i))  # type: ignore[misc]

    dialog.show_place(Place("system", "", "title"))
    field = dialog.findChild(QLineEdit, "option-title")
    assert isinstance(field, QLineEdit)
    for name in ("first key in a field", "next key in a field"):
        measured.edits[name] = after(watch, lambda: QTest.keyClick(field, Qt.Key.Key_A))
    draft = dialog.draft
    assert draft is not None
    for name, kind, number, option, value in (
        ("cache of a drive", "disk", 2, "cache", "writeback"),
        ("model of a card", "nic", 2, "model", "e1000e"),
        ("address of a card", "nic", 3, "mac", "52:54:00:20:00:01"),
    ):
        index = model.index(kinds[kind][number], 0)
        after(watch, lambda i=index: dialog.frame.list.setCurrentIndex(i))  # type: ignore[misc]
        part = dialog.current_part()
        assert part is not None
        chosen = next(each for each in part.resource.options if each.id == option)
        measured.edits[name] = after(watch, lambda p=part, o=chosen, v=value: draft.set_value(p, o, v))  # type: ignore[misc]
    begin = time.perf_counter()
    draft.touch()
    measured.edits["of a widget of its own (not painted)"] = 1000.0 * (time.perf_counter() - begin)
    dialog.frame.search.setClearButtonEnabled(False)  # it fades in, long after everything is there
    for text in SEARCH:
        key_code = Qt.Key.Key_Space if text == " " else Qt.Key(ord(text.upper()))
        measured.keys.append(after(watch, lambda k=key_code: QTest.keyClick(dialog.frame.search, k)))  # type: ignore[misc]

    from guivm.engine.options.changes import changes

    begin = time.perf_counter()
    changes(draft.base, draft.domain)
    measured.changes = 1000.0 * (time.perf_counter() - begin)
    from guivm.engine.options.parts import all_parts

    begin = time.perf_counter()
    all_parts(draft.domain)
    measured.parts = 1000.0 * (time.perf_counter() - begin)
    bridge.close()
    return measured


def main() -> None:
    app = QApplication(["bench"])
    collector = GarbageCollector(app)  # as in the application: not in the middle of anything
    measured = measure(int(sys.argv[1]))
    collector.stop()
    print(json.dumps(measured.__dict__))
    del app


if __name__ == "__main__":
    main()
