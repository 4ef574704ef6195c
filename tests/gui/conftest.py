"""What several tests of the window stand on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import shiboken6
from pytestqt.qtbot import QtBot

from guivm.engine.options.values import Place
from guivm.engine.types import VmKey, VmState
from guivm.views.bridge import Bridge
from tests.helpers.console_stage import Displays
from tests.helpers.fake_engine import FakeEngine
from tests.helpers.settings_stage import DOMAIN

if TYPE_CHECKING:
    from PySide6.QtWidgets import QWidget

    from guivm.views.main_window import MainWindow
    from guivm.views.settings import Settings
    from guivm.views.vm_settings.dialog import SettingsDialog
    from tests.helpers.settings_window import Open


@pytest.fixture
def displays(fake_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Displays]:
    value = Displays()
    monkeypatch.setattr(fake_engine, "_console", value.open)
    monkeypatch.setattr("guivm.console.rfb_source.make_source", value.make_source)
    yield value
    for ours in value.ours:
        ours.close()


@pytest.fixture
def owner(qtbot: QtBot) -> Iterator[QWidget]:
    """A widget that dialogs stand over."""
    from PySide6.QtWidgets import QWidget

    parent = QWidget()
    qtbot.addWidget(parent)
    yield parent
    parent.close()


@pytest.fixture
def window(qtbot: QtBot, bridge: Bridge, settings: Settings, key: VmKey) -> Iterator[MainWindow]:
    """The main window with the VM of the test selected."""
    from guivm.views.main_window import MainWindow

    window = MainWindow(bridge, settings)
    qtbot.addWidget(window)
    window.show()
    qtbot.waitExposed(window)
    qtbot.waitUntil(lambda: window.table.rowCount() > 0)
    window.select_vm(key)
    yield window
    window.close_at_once()


@pytest.fixture
def key(fake_engine: FakeEngine) -> VmKey:
    """Of the VM whose settings :func:`open_settings` opens."""
    return fake_engine.add_vm("web")


@pytest.fixture
def open_settings(qtbot: QtBot, fake_engine: FakeEngine, bridge: Bridge, key: VmKey) -> Iterator[Open]:
    from guivm.views.vm_settings.dialog import SettingsDialog

    shown: list[SettingsDialog] = []

    def show(state: VmState = VmState.OFF, *, place: Place | None = None, live: str = "") -> SettingsDialog:
        fake_engine.change_vm(key, state=state)
        fake_engine.settings.put(key, DOMAIN, live)
        vm = fake_engine.vm(key)
        assert vm is not None
        window = SettingsDialog(bridge, vm, place=place)
        shown.append(window)
        window.show()
        qtbot.waitUntil(lambda: window.form is not None or window.frame.pages.count() == 3)
        return window

    yield show
    for window in shown:
        if shiboken6.isValid(window):
            window.deleteLater()
