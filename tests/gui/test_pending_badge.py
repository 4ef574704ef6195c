"""The line that tells what waits for a VM's next start."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from guivm.engine import requests as rq
from guivm.engine.types import VmKey, VmState
from guivm.errors import OperationError
from guivm.views.bridge import Bridge
from guivm.views.main_window import MainWindow
from guivm.views.pending_badge import PendingBadge
from guivm.views.settings import Settings
from guivm.views.vm_settings.dialog import SettingsDialog
from tests.helpers.fake_engine import FakeEngine
from tests.helpers.settings_stage import DOMAIN, with_difference


def show(badge: PendingBadge, engine: FakeEngine, key: VmKey) -> None:
    badge.set_vm(engine.vm(key))


def test_tells_of_a_running_vm_and_leads_to_its_changes(qtbot: QtBot, fake_engine: FakeEngine, bridge: Bridge) -> None:
    badge = PendingBadge(bridge)
    qtbot.addWidget(badge)
    key = fake_engine.add_vm("web", VmState.RUNNING)
    fake_engine.settings.put(key, DOMAIN, with_difference(DOMAIN))
    show(badge, fake_engine, key)
    qtbot.waitUntil(lambda: badge.count > 0)
    assert "next start" in badge.text()
    with qtbot.waitSignal(badge.showRequested) as shown:
        badge.click()
    assert shown.args == [key]
    fake_engine.change_vm(key, state=VmState.OFF)
    show(badge, fake_engine, key)
    assert badge.isHidden()


def test_says_nothing_of_a_vm_that_is_off_and_asks_nothing(
    qtbot: QtBot, fake_engine: FakeEngine, bridge: Bridge
) -> None:
    badge = PendingBadge(bridge)
    qtbot.addWidget(badge)
    key = fake_engine.add_vm("web", VmState.OFF)
    show(badge, fake_engine, key)
    badge.set_vm(None)
    assert badge.isHidden()
    assert not fake_engine.requests_of(rq.ReadPending)


def test_reads_again_after_something_was_done_to_the_vm(qtbot: QtBot, fake_engine: FakeEngine, bridge: Bridge) -> None:
    badge = PendingBadge(bridge)
    qtbot.addWidget(badge)
    key = fake_engine.add_vm("web", VmState.RUNNING)
    fake_engine.settings.put(key, DOMAIN)
    show(badge, fake_engine, key)
    qtbot.waitUntil(lambda: bool(fake_engine.requests_of(rq.ReadPending)))
    assert badge.count == 0
    edited = fake_engine.settings.xml[key].replace("Web server", "Mail server")
    bridge.submit(rq.ApplySettings(key, fake_engine.settings.xml[key], edited, live=False), badge)
    qtbot.waitUntil(lambda: badge.count == 1)


def test_reads_again_when_somebody_comes_back_or_the_definition_was_stored(
    qtbot: QtBot, fake_engine: FakeEngine, bridge: Bridge
) -> None:
    badge = PendingBadge(bridge)
    qtbot.addWidget(badge)
    key = fake_engine.add_vm("web", VmState.RUNNING)
    fake_engine.settings.put(key, DOMAIN)
    show(badge, fake_engine, key)
    qtbot.waitUntil(lambda: len(fake_engine.requests_of(rq.ReadPending)) == 1)
    fake_engine.change_vm(key, definition=1)
    show(badge, fake_engine, key)
    qtbot.waitUntil(lambda: len(fake_engine.requests_of(rq.ReadPending)) == 2)
    app = QGuiApplication.instance()
    assert isinstance(app, QGuiApplication)
    app.applicationStateChanged.emit(Qt.ApplicationState.ApplicationActive)
    qtbot.waitUntil(lambda: len(fake_engine.requests_of(rq.ReadPending)) == 3)


def test_what_cannot_be_found_out_is_not_told(qtbot: QtBot, fake_engine: FakeEngine, bridge: Bridge) -> None:
    badge = PendingBadge(bridge)
    qtbot.addWidget(badge)
    key = fake_engine.add_vm("web", VmState.RUNNING)
    fake_engine.fail_next(rq.ReadPending, OperationError("no answer"))
    show(badge, fake_engine, key)
    qtbot.waitUntil(lambda: bool(fake_engine.requests_of(rq.ReadPending)))
    assert badge.isHidden()


def test_the_main_window_leads_from_the_badge_to_the_changes(
    qtbot: QtBot, fake_engine: FakeEngine, bridge: Bridge, settings: Settings
) -> None:
    key = fake_engine.add_vm("web", VmState.RUNNING)
    fake_engine.settings.put(key, DOMAIN, with_difference(DOMAIN))
    window = MainWindow(bridge, settings)
    qtbot.addWidget(window)
    window.show()
    qtbot.waitUntil(lambda: window.table.rowCount() > 0)
    window.select_vm(key)
    badge = window.vm_page.badge
    qtbot.waitUntil(lambda: badge.count > 0)
    badge.click()
    qtbot.waitUntil(lambda: window.findChild(QWidget, "changes-page") is not None)
    dialog = window.findChild(SettingsDialog)
    assert isinstance(dialog, SettingsDialog)
    assert dialog.frame.title.text() == "Changes"
