"""A console in its own window, and alone on the screen: the bar over it, the monitor it goes to, what its menu does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication, QPointF, Qt
from PySide6.QtGui import QAction, QEnterEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMenu, QToolButton
from pytestqt.qtbot import QtBot

from guivm.engine.types import VmState
from guivm.views.bridge import Bridge
from guivm.views.console_window import ConsoleWindow
from guivm.views.settings import Settings
from tests.helpers.console_stage import Displays, Stage
from tests.helpers.fake_engine import FakeEngine


@pytest.fixture
def stage(
    qtbot: QtBot, bridge: Bridge, settings: Settings, fake_engine: FakeEngine, displays: Displays
) -> Iterator[Stage]:
    value = Stage(qtbot, bridge, settings, fake_engine, fake_engine.add_vm("debian", VmState.RUNNING))
    yield value
    value.page.features.close()


@pytest.fixture
def console_window(qtbot: QtBot, stage: Stage, displays: Displays, settings: Settings) -> ConsoleWindow:
    stage.live(displays)
    window = ConsoleWindow(stage.page, settings)

    def give_back(_window: object) -> None:
        window.take_page()
        stage.page.setParent(stage.window)

    qtbot.addWidget(window, before_close_func=give_back)
    window.show()
    qtbot.waitExposed(window)
    return window


def test_the_bar_comes_hides_and_leaves(qtbot: QtBot, console_window: ConsoleWindow) -> None:
    console_window.set_full_screen(True)
    control = console_window.full_screen
    assert control is not None
    bar = control.bar
    assert bar.isVisible()
    assert bar.name.text() == "debian"
    assert "Right Ctrl" in bar.hint.text()
    assert not console_window.bar.isVisible()
    qtbot.waitUntil(lambda: not bar.is_out)
    qtbot.waitUntil(lambda: bar.y() < 0)
    assert bar.geometry().bottom() >= 0, "an edge stays that the pointer can touch"
    edge = QPointF(bar.width() / 2, bar.height() - 1)
    QCoreApplication.sendEvent(bar, QEnterEvent(edge, edge, bar.mapToGlobal(edge)))
    assert bar.is_out
    qtbot.waitUntil(lambda: bar.y() == 0)
    leave = bar.findChild(QToolButton, "full-screen-fullscreen")
    assert leave is not None
    QTest.mouseClick(leave, Qt.MouseButton.LeftButton)
    assert not console_window.isFullScreen()
    assert not bar.isVisible()
    assert console_window.bar.isVisible()


def test_the_edge_of_the_bar_tells_of_the_capture(console_window: ConsoleWindow, stage: Stage) -> None:
    console_window.set_full_screen(True)
    control, console = console_window.full_screen, stage.page.console
    assert control is not None
    assert console is not None
    assert not control.bar.property("captured")
    console.capture()
    assert control.bar.property("captured")
    console.release_capture()
    assert not control.bar.property("captured")
    console_window.set_full_screen(False)


_TWO_SCREENS = """
import sys
from PySide6.QtCore import QSettings
from PySide6.QtWidgets import QApplication
from guivm.engine.types import VmState
from guivm.views.bridge import Bridge
from guivm.views.console_page import ConsolePage
from guivm.views.console_window import ConsoleWindow
from guivm.views.settings import FULL_SCREEN_MONITOR, Settings, for_vm
from tests.helpers.fake_engine import FakeEngine

app = QApplication([])
engine = FakeEngine()
vm = engine.vm(engine.add_vm("debian", VmState.OFF))
settings = Settings(QSettings(sys.argv[1], QSettings.Format.IniFormat), app)
window = ConsoleWindow(ConsolePage(Bridge(engine, app), settings, vm), settings, returns=False)
window.show()
window.set_full_screen(True)
bar = window.full_screen.bar
print(window.screen().name(), bar.monitors.isVisibleTo(bar))
menu = bar.monitors.menu()
menu.actions()[1].trigger()
print(window.screen().name(), window.isFullScreen(), settings.get(for_vm(FULL_SCREEN_MONITOR, vm.key.uuid)))
window.set_full_screen(False)
print(window.isFullScreen())
sys.stdout.flush()
import os
os._exit(0)
"""


def test_full_screen_goes_to_the_screen_that_was_chosen(tmp_path: Path) -> None:
    screens = [
        {"name": name, "x": x, "y": 0, "width": 800, "height": 600, "logicalDpi": 96, "logicalBaseDpi": 96, "dpr": 1}
        for name, x in (("left", 0), ("right", 800))
    ]
    config = tmp_path / "screens.json"
    config.write_text(json.dumps({"screens": screens}), encoding="ascii")
    done = subprocess.run(
        [sys.executable, "-c", _TWO_SCREENS, str(tmp_path / "settings.ini")],
        env={**os.environ, "QT_QPA_PLATFORM": f"offscreen:configfile={config}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "left True\nright True right\nFalse\n", done.stderr


def test_a_pinned_bar_stays(qtbot: QtBot, console_window: ConsoleWindow) -> None:
    console_window.set_full_screen(True)
    control = console_window.full_screen
    assert control is not None
    control.bar.pin.setChecked(True)
    with qtbot.waitSignal(control.bar.due):
        pass
    assert control.bar.is_out
    console_window.set_full_screen(False)


def test_the_bar_switches_view_only(console_window: ConsoleWindow, stage: Stage) -> None:
    console_window.set_full_screen(True)
    control = console_window.full_screen
    assert control is not None
    QTest.mouseClick(control.bar.view_only, Qt.MouseButton.LeftButton)
    assert stage.page.features.is_on("view-only")
    assert control.bar.view_only.isChecked()
    console_window.actions_of_vm.action("view-only").trigger()
    assert not control.bar.view_only.isChecked()
    console_window.set_full_screen(False)


def test_the_windows_menu_sends_keys(console_window: ConsoleWindow, displays: Displays) -> None:
    menu = console_window.findChild(QMenu, "console-tools-menu")
    assert menu is not None
    menu.aboutToShow.emit()
    keys = console_window.actions_of_vm.action("send-keys").menu()
    assert isinstance(keys, QMenu)
    keys.aboutToShow.emit()
    action = next(action for action in keys.actions() if action.text() == "Ctrl+Alt+Backspace")
    assert isinstance(action, QAction)
    action.trigger()
    assert len(displays.sources[-1].keys) == 6
