"""The main window against the fake engine: console windows and full screen."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from guivm.engine import requests as rq
from guivm.engine.types import VmKey
from guivm.views.bridge import Bridge
from guivm.views.main_window import MainWindow
from guivm.views.settings import (
    Settings,
)
from tests.helpers.fake_engine import FakeEngine
from tests.helpers.main_window import Make, S, four_vms, main_windows, press, state_of


@pytest.fixture
def make(qtbot: QtBot, bridge: Bridge, settings: Settings) -> Iterator[Make]:
    with main_windows(qtbot, bridge, settings) as build:
        yield build


@pytest.fixture
def keys(fake_engine: FakeEngine) -> dict[str, VmKey]:
    return four_vms(fake_engine)


@pytest.fixture
def window(make: Make, keys: dict[str, VmKey]) -> MainWindow:
    return make()


def test_console_leaves_into_its_own_window_and_comes_back(
    qtbot: QtBot, window: MainWindow, keys: dict[str, VmKey], fake_engine: FakeEngine
) -> None:
    window.select_vm(keys["win11"])
    window.show_page("console")
    window.registry.action("detach-console").trigger()
    own = window.consoles.window(keys["win11"])
    assert own is not None
    assert own.isVisible()
    assert own.windowTitle() == "win11 (Off)"
    assert window.registry.action("detach-console").isChecked()
    assert window.vm_page.deck.current_page is None
    window.select_vm(keys["debian"])
    own.actions_of_vm.action("start").trigger()
    qtbot.waitUntil(lambda: own.windowTitle() == "win11")
    assert [r.key for r in fake_engine.requests_of(rq.Start)] == [keys["win11"]]
    own.close()
    window.select_vm(keys["win11"])
    assert not window.consoles.has(keys["win11"])
    deck = window.vm_page.deck
    assert [deck.current_page.key if deck.current_page else None] == [keys["win11"]]


def test_bring_it_back(window: MainWindow, keys: dict[str, VmKey]) -> None:
    window.select_vm(keys["win11"])
    window.show_page("console")
    window.registry.action("detach-console").trigger()
    press(window, "console-bring-back")
    assert not window.consoles.has(keys["win11"])
    assert window.vm_page.deck.current_page is not None


def test_a_deleted_vm_takes_its_window_along(
    qtbot: QtBot, window: MainWindow, keys: dict[str, VmKey], fake_engine: FakeEngine
) -> None:
    window.select_vm(keys["win11"])
    window.registry.action("detach-console").trigger()
    fake_engine.remove_vm(keys["win11"])
    qtbot.waitUntil(lambda: not window.consoles.has(keys["win11"]))


def test_full_screen_leaves_only_the_console(window: MainWindow, keys: dict[str, VmKey]) -> None:
    window.select_vm(keys["win11"])
    action = window.registry.action("fullscreen")
    action.trigger()
    assert window.isFullScreen()
    assert window.vm_page.page == "console"
    assert not window.list.isVisible()
    assert not window.menuBar().isVisible()
    assert not window.vm_page.header.isVisible()
    assert action.isChecked()
    action.trigger()
    assert not window.isFullScreen()
    assert window.list.isVisible()
    assert window.menuBar().isVisible()
    assert window.vm_page.header.isVisible()
    assert not action.isChecked()


def test_enter_starts_and_shows_the_console(
    qtbot: QtBot, window: MainWindow, keys: dict[str, VmKey], fake_engine: FakeEngine
) -> None:
    window.select_vm(keys["win11"])
    QTest.keyClick(window.list.view, Qt.Key.Key_Return)
    assert [r.key for r in fake_engine.requests_of(rq.Start)] == [keys["win11"]]
    assert window.vm_page.page == "console"
    qtbot.waitUntil(lambda: state_of(window, keys["win11"]) is S.RUNNING)


def test_only_the_consoles_shown_last_are_kept(window: MainWindow, fake_engine: FakeEngine, qtbot: QtBot) -> None:
    more = [fake_engine.add_vm(f"vm{number}") for number in range(7)]
    qtbot.waitUntil(lambda: state_of(window, more[-1]) is not None)
    window.show_page("console")
    for key in more:
        window.select_vm(key)
    kept = [key for key in more if window.vm_page.deck.page(key) is not None]
    assert kept == more[-4:]
