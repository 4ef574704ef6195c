"""The main window on the fake engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QDialog,
    QWidget,
)
from pytestqt.qtbot import QtBot

from guivm.engine.types import VmKey, VmState
from guivm.views.bridge import Bridge
from guivm.views.main_window import MainWindow
from guivm.views.settings import (
    TOLD_VMS_KEEP_RUNNING,
    Settings,
)
from tests.helpers.fake_engine import FakeEngine

S = VmState
Make = Callable[[], MainWindow]


@contextmanager
def main_windows(qtbot: QtBot, bridge: Bridge, settings: Settings) -> Iterator[Make]:
    """Makes windows, which are closed in the end."""
    windows: list[MainWindow] = []

    def build() -> MainWindow:
        window = MainWindow(bridge, settings)
        qtbot.addWidget(window)
        windows.append(window)
        window.show()
        qtbot.waitExposed(window)
        return window

    yield build
    settings.set(TOLD_VMS_KEEP_RUNNING, True)
    for window in windows:
        window.close()


def four_vms(fake_engine: FakeEngine) -> dict[str, VmKey]:
    """By name: one that runs, one paused, one off, one saved."""
    return {
        name: fake_engine.add_vm(name, state)
        for name, state in (("debian", S.RUNNING), ("fedora", S.PAUSED), ("win11", S.OFF), ("arch", S.SAVED))
    }


def page_name(window: MainWindow) -> str:
    page = window.shown_page
    assert page is not None
    return page.objectName()


def state_of(window: MainWindow, key: VmKey) -> VmState | None:
    vm = window.table.vm(key)
    return vm.state if vm is not None else None


def dialog(kind: str) -> QDialog | None:
    """The open dialog of that object name."""
    for widget in QApplication.topLevelWidgets():
        if isinstance(widget, QDialog) and widget.isVisible() and widget.objectName() == kind:
            return widget
    return None


def press(where: QWidget, name: str) -> None:
    button = where.findChild(QAbstractButton, name)
    assert button is not None
    assert button.isEnabled()
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
