"""What tells of changes that wait for a VM's next start: a line on its page, a number in the list."""

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


def come_back() -> None:
    app = QGuiApplication.instance()
    assert isinstance(app, QGuiApplication)
    app.applicationStateChanged.emit(Qt.ApplicationState.ApplicationActive)


def test_tells_of_a_running_vm_and_leads_to_its_changes(qtbot: QtBot, fake_engine: FakeEngine, bridge: Bridge) -> None:
    badge = PendingBadge(bridge)
    qtbot.addWidget(badge)
    key = fake_engine.add_vm("web", VmState.RUNNING)
    show(badge, fake_engine, key)
    assert (badge.isHidden(), badge.count) == (True, 0)
    fake_engine.change_vm(key, pending=1)
    show(badge, fake_engine, key)
    assert (badge.isHidden(), badge.text().strip()) == (False, "1 change waits for the next start")
    fake_engine.change_vm(key, pending=2)
    show(badge, fake_engine, key)
    assert badge.accessibleName() == "2 changes wait for the next start"
    with qtbot.waitSignal(badge.showRequested) as shown:
        badge.click()
    assert shown.args == [key]
    fake_engine.change_vm(key, state=VmState.OFF)
    show(badge, fake_engine, key)
    assert badge.isHidden()
    badge.set_vm(None)
    assert (badge.isHidden(), badge.count) == (True, 0)
    assert not fake_engine.requests, "it is told, and asks nothing"


def test_has_it_looked_at_again_when_somebody_comes_back(
    qtbot: QtBot, fake_engine: FakeEngine, bridge: Bridge, settings: Settings
) -> None:
    """As on a host whose definitions are stored unseen."""
    key = fake_engine.add_vm("web", VmState.RUNNING)
    fake_engine.settings.put(key, DOMAIN, DOMAIN)
    window = MainWindow(bridge, settings)
    qtbot.addWidget(window)
    window.show()
    qtbot.waitUntil(lambda: window.table.rowCount() > 0)
    window.select_vm(key)
    badge = window.vm_page.badge
    fake_engine.settings.change_outside(key, "Web server", "Mail server")
    come_back()
    qtbot.waitUntil(lambda: badge.count == 1)
    fake_engine.change_vm(key, state=VmState.OFF)
    qtbot.waitUntil(badge.isHidden)
    asked = len(fake_engine.requests_of(rq.ReadPending))
    come_back()
    assert len(fake_engine.requests_of(rq.ReadPending)) == asked, "nothing can wait"


def test_what_cannot_be_found_out_is_not_told(qtbot: QtBot, fake_engine: FakeEngine, bridge: Bridge) -> None:
    badge = PendingBadge(bridge)
    qtbot.addWidget(badge)
    key = fake_engine.add_vm("web", VmState.RUNNING)
    fake_engine.fail_next(rq.ReadPending, OperationError("no answer"))
    show(badge, fake_engine, key)
    with qtbot.assertNotEmitted(bridge.failed, wait=50):
        come_back()
        qtbot.waitUntil(lambda: bool(fake_engine.requests_of(rq.ReadPending)))
    assert badge.isHidden()


def test_the_main_window_leads_from_the_badge_to_the_changes(
    qtbot: QtBot, fake_engine: FakeEngine, bridge: Bridge, settings: Settings
) -> None:
    key = fake_engine.add_vm("web", VmState.RUNNING)
    fake_engine.settings.put(key, DOMAIN, with_difference(DOMAIN))
    fake_engine.change_vm(key, definition=1)
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
