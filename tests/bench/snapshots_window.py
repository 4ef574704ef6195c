"""What ``snapshots`` measures of the window, in a process of its own: a tree of 1,000 snapshots is opened. Prints JSON.

``python -m tests.bench.snapshots_window``, on whatever Qt platform the environment names. The fake engine of the tests
answers at once: nothing of libvirt is in it. *First* is from the choice of the page in the main window to the end of
the last paint, with the loading of all that nothing needed before; *another VM* is the choice of a VM with as large a
tree while the page is shown. The reference is Qt's own tree view on Qt's own items.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QSettings
from PySide6.QtGui import QStandardItem, QStandardItemModel
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QTreeView

from guivm.engine.snapshots.values import SnapshotId, SnapshotInfo
from guivm.engine.types import VmKey, VmState
from guivm.views.bridge import Bridge
from guivm.views.garbage import GarbageCollector
from guivm.views.main_window import MainWindow
from guivm.views.settings import Settings
from guivm.views.theme import Theme
from tests.bench.settings_window import Watch, after, shown
from tests.bench.snapshots_shape import COUNT, parents
from tests.helpers.fake_engine import FakeEngine
from tests.helpers.fake_snapshots import snapshot

SIZE = (1180, 760)


def _tree(name: str) -> tuple[SnapshotInfo, ...]:
    return tuple(
        snapshot(f"{name}{number}", None if parent is None else f"{name}{parent}", age_s=60.0 * (COUNT - number))
        for number, parent in enumerate(parents())
    )


def _plain() -> QTreeView:
    items: list[QStandardItem] = []
    model = QStandardItemModel()
    for number, parent in enumerate(parents()):
        row = [QStandardItem(f"Snapshot {number}"), QStandardItem("2 days ago"), QStandardItem("1.2 GiB")]
        (model if parent is None else items[parent]).appendRow(row)
        items.append(row[0])
    view = QTreeView()
    model.setParent(view)
    view.setModel(model)
    view.expandAll()
    view.resize(*SIZE)
    return view


def measure() -> dict[str, float]:
    """Milliseconds."""
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    app.setCursorFlashTime(0)
    settings = Settings(QSettings(str(Path.home() / "settings.ini"), QSettings.Format.IniFormat))
    Theme(app, settings)
    engine = FakeEngine()
    keys = [engine.add_vm(name, VmState.OFF) for name in ("one", "two")]
    for name, key in zip(("a", "b"), keys, strict=True):
        engine.snapshots.put(key, *_tree(name))
    bridge = Bridge(engine)
    window = MainWindow(bridge, settings)
    bridge.setParent(window)
    window.resize(*SIZE)
    window.show()
    window.select_vm(keys[0])
    QTest.qWaitForWindowExposed(window)
    watch = Watch(window)
    after(watch, window.update)
    found: dict[str, float] = {}

    def opened(key: VmKey, act: Callable[[], object]) -> float:
        watch.painted = False
        begin = time.perf_counter()
        act()
        page = window.vm_page.snapshots
        took = shown(begin, watch, lambda: page.model.tree is not None and page.model.tree.key == key)
        assert page.model.index_of(SnapshotId("a999" if key == keys[0] else "b999")).isValid()
        return took

    found["first"] = opened(keys[0], lambda: window.show_page("snapshots"))
    found["another"] = opened(keys[1], lambda: window.select_vm(keys[1]))
    found["timeline"] = after(watch, lambda: window.vm_page.snapshots.toolbar.view.set_value("timeline"))
    for name in ("plain_first", "plain"):
        begin = time.perf_counter()
        view = _plain()
        plain = Watch(view)
        view.show()
        found[name] = shown(begin, plain, lambda: True)
        view.close()
        view.deleteLater()
    bridge.close()
    window.close()
    return found


def main() -> None:
    app = QApplication(["bench"])
    collector = GarbageCollector(app)  # as in the application: not in the middle of anything
    found = measure()
    collector.stop()
    print(json.dumps(found))
    del app


if __name__ == "__main__":
    main()
