"""Templates, and runs of which nothing is kept: seen wherever their VM is, and nothing offered that is refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from guivm.engine import requests as rq
from guivm.engine.types import HostId, VmInfo, VmKey, VmState
from guivm.views.actions import ActionRegistry
from guivm.views.bridge import Bridge
from guivm.views.main_window import MainWindow
from guivm.views.models.vm_table import Column
from guivm.views.settings import TOLD_VMS_KEEP_RUNNING, Settings
from guivm.views.state_words import can_start, idle_sentence, titled_name, vm_icon_name, vm_words
from tests.helpers.fake_engine import FakeEngine
from tests.helpers.settings_stage import DOMAIN
from tests.helpers.settings_window import Open

S = VmState


def vm(state: VmState, **fields: object) -> VmInfo:
    return VmInfo(VmKey(HostId("test:///x"), "web"), "web", state, **fields)  # type: ignore[arg-type]


TEMPLATE = vm(S.OFF, is_template=True)
DISPOSABLE = vm(S.RUNNING, is_disposable=True)


@pytest.fixture
def key(fake_engine: FakeEngine) -> VmKey:
    return fake_engine.add_vm("web")


@pytest.fixture
def window(
    qtbot: QtBot, bridge: Bridge, settings: Settings, fake_engine: FakeEngine, key: VmKey
) -> Iterator[MainWindow]:
    settings.set(TOLD_VMS_KEEP_RUNNING, True)
    window = MainWindow(bridge, settings)
    qtbot.addWidget(window)
    window.show()
    qtbot.waitExposed(window)
    qtbot.waitUntil(lambda: window.table.rowCount() > 0)
    window.select_vm(key)
    yield window
    window.close_at_once()


# --- words ------------------------------------------------------------------------------------------------


def test_what_they_are_called(qtbot: QtBot) -> None:
    assert vm_words(TEMPLATE) == "Template"
    assert vm_icon_name(TEMPLATE) == "template"
    assert vm_words(DISPOSABLE) == "Running · disposable"
    assert vm_words(vm(S.UNKNOWN, is_template=True)) == "Unknown", "which says more"
    assert not can_start(TEMPLATE)
    assert "cloned" in idle_sentence(TEMPLATE)
    assert titled_name(DISPOSABLE) == "web (disposable)"
    assert titled_name(vm(S.PAUSED, is_disposable=True)) == "web (Paused, disposable)"
    assert titled_name(vm(S.PAUSED, is_disposable=True), with_state=False) == "web (disposable)"
    assert titled_name(vm(S.RUNNING)) == "web"


# --- actions ----------------------------------------------------------------------------------------------


def test_a_template_is_not_offered_what_the_engine_refuses(qtbot: QtBot, actions: ActionRegistry) -> None:
    actions.update_enabled([TEMPLATE])
    for action_id in ("start", "start-disposable", "take-snapshot", "restore-snapshot", "autostart"):
        assert not actions.action(action_id).isEnabled()
        assert "It is a template" in actions.refusal(action_id)
        assert actions.action(action_id).toolTip() == actions.refusal(action_id)
    for action_id in ("clone", "template", "settings", "delete"):
        assert actions.action(action_id).isEnabled()
    actions.update_enabled([vm(S.OFF)])
    assert actions.action("start").isEnabled()
    assert "template" not in actions.action("start").toolTip()


def test_the_menu_names_the_way_there_and_back(qtbot: QtBot, actions: ActionRegistry) -> None:
    action = actions.action("template")
    actions.update_enabled([vm(S.OFF)])
    assert action.text() == "Make a Template…"
    actions.update_enabled([TEMPLATE])
    assert action.text() == "Convert Back to a Virtual Machine…"
    actions.update_enabled([TEMPLATE, vm(S.OFF)])
    assert action.text() == "Make a Template…"
    assert not action.isEnabled()


def test_of_several_only_others_start(qtbot: QtBot, actions: ActionRegistry) -> None:
    plain = vm(S.OFF)
    actions.update_enabled([TEMPLATE, plain])
    assert actions.action("start").isEnabled()
    assert actions.targets("start", [TEMPLATE, plain]) == [plain]
    assert actions.counts(["start"], [TEMPLATE, plain, TEMPLATE]) == {"start": 1}


def test_a_disposable_run_is_not_kept(qtbot: QtBot, actions: ActionRegistry) -> None:
    actions.update_enabled([DISPOSABLE])
    for action_id in ("save", "take-snapshot"):
        assert not actions.action(action_id).isEnabled()
        assert "thrown away" in actions.refusal(action_id)
    assert actions.action("shutdown").isEnabled()
    actions.update_enabled([vm(S.OFF)])
    assert actions.refusal("save") == "", "plain to see"


# --- the list ---------------------------------------------------------------------------------------------


def test_the_list_tells_them_apart(qtbot: QtBot, window: MainWindow, fake_engine: FakeEngine, key: VmKey) -> None:
    table = window.table
    changed: list[int] = []
    table.dataChanged.connect(lambda top, _bottom, _roles: changed.append(top.column()))

    def said(role: Qt.ItemDataRole, column: Column = Column.NAME) -> str:
        return str(table.index(table.row(key), column).data(role))

    fake_engine.change_vm(key, is_template=True)
    qtbot.waitUntil(lambda: said(Qt.ItemDataRole.DisplayRole, Column.STATE) == "Template")
    assert Column.STATE in changed
    assert said(Qt.ItemDataRole.AccessibleTextRole) == "web, Template"
    assert "cloned" in said(Qt.ItemDataRole.ToolTipRole)
    window.list.search.setText("template")
    assert window.list.filter.rowCount() == 1
    fake_engine.change_vm(key, is_template=False, state=S.RUNNING, is_disposable=True)
    qtbot.waitUntil(lambda: said(Qt.ItemDataRole.AccessibleTextRole) == "web, Running · disposable")
    assert "thrown away" in said(Qt.ItemDataRole.ToolTipRole)
    window.list.search.setText("disposable")
    assert window.list.filter.rowCount() == 1


def test_rows_look_different(qtbot: QtBot, window: MainWindow, fake_engine: FakeEngine, key: VmKey) -> None:
    def row() -> QImage:
        view = window.list.view
        return view.viewport().grab(view.visualRect(window.list.filter.index_of(key))).toImage()

    fake_engine.change_vm(key, state=S.RUNNING)
    qtbot.waitUntil(lambda: window.table.at(0).state is S.RUNNING)
    plain = row()
    fake_engine.change_vm(key, is_disposable=True)
    qtbot.waitUntil(lambda: window.table.at(0).is_disposable)
    marked = row()
    right = plain.width() - 44
    assert plain.copy(right, 0, 44, plain.height()) != marked.copy(right, 0, 44, plain.height()), "a mark at the end"


def test_a_template_that_is_opened_is_not_started(
    qtbot: QtBot, window: MainWindow, fake_engine: FakeEngine, key: VmKey
) -> None:
    fake_engine.change_vm(key, is_template=True)
    qtbot.waitUntil(lambda: window.table.at(0).is_template)
    window.show_page("console")
    window.list.opened.emit(key)
    assert window.vm_page.page == "overview"
    assert fake_engine.requests_of(rq.Start) == []


# --- pages and titles -------------------------------------------------------------------------------------


def test_a_disposable_run_from_start_to_end(
    qtbot: QtBot, window: MainWindow, fake_engine: FakeEngine, key: VmKey
) -> None:
    window.registry.action("start-disposable").trigger()
    header = window.vm_page.header
    qtbot.waitUntil(header.disposable.isVisible)
    assert window.windowTitle() == "web (disposable) — guivm"
    assert header.line.whole_text == "Everything is thrown away at power-off."
    window.registry.action("detach-console").trigger()
    console = window.consoles.window(key)
    assert console is not None
    pill = console.findChild(type(header.disposable))
    assert pill is not None
    assert console.windowTitle() == "web (disposable)"
    qtbot.waitUntil(pill.isVisible)
    fake_engine.change_vm(key, state=S.OFF)
    qtbot.waitUntil(lambda: not header.disposable.isVisible())
    assert window.windowTitle() == "guivm"
    assert console.windowTitle() == "web (Off)"
    assert not pill.isVisible()


def test_it_is_seen_after_a_restart(
    qtbot: QtBot, bridge: Bridge, settings: Settings, fake_engine: FakeEngine, key: VmKey
) -> None:
    fake_engine.change_vm(key, state=S.RUNNING, is_disposable=True)
    settings.set(TOLD_VMS_KEEP_RUNNING, True)
    window = MainWindow(bridge, settings)
    qtbot.addWidget(window)
    window.show()
    window.select_vm(key)
    assert window.windowTitle() == "web (disposable) — guivm"
    assert window.vm_page.header.disposable.isVisible()
    window.close()


def test_the_page_of_a_template(qtbot: QtBot, window: MainWindow, fake_engine: FakeEngine, key: VmKey) -> None:
    page = window.vm_page
    fake_engine.change_vm(key, is_template=True)
    qtbot.waitUntil(lambda: page.overview.notice is not None)
    notice = page.overview.notice
    assert notice is not None
    assert notice.text.startswith("This is a template.")
    assert page.header.pill.word == "Template"
    start, clone = page.header.buttons
    assert (start.accessibleName(), start.isEnabled()) == ("Start", False)
    assert "It is a template" in start.toolTip()
    assert (clone.accessibleName(), clone.isEnabled(), clone.property("kind")) == ("Clone", True, "primary")
    window.show_page("console")
    deck = page.deck.current_page
    assert deck is not None
    assert not [button for button in deck.findChildren(QPushButton) if button.isVisible()], "nothing to start it with"
    window.show_page("overview")
    fake_engine.change_vm(key, is_template=False)
    qtbot.waitUntil(notice.isHidden)
    assert [button.accessibleName() for button in page.header.buttons if button.isVisible()] == ["Start"]


@pytest.mark.parametrize("action_id", ["clone", "template"])
def test_the_overview_leads_on(
    qtbot: QtBot, window: MainWindow, fake_engine: FakeEngine, key: VmKey, action_id: str
) -> None:
    fake_engine.change_vm(key, is_template=True)
    overview = window.vm_page.overview
    qtbot.waitUntil(lambda: overview.notice is not None)
    assert overview.notice is not None
    button = overview.notice.findChild(QPushButton, f"vm-kind-{action_id}")
    assert button is not None
    with qtbot.waitSignal(window.registry.triggered) as triggered:
        button.click()
    assert triggered.args == [action_id]


# --- settings ---------------------------------------------------------------------------------------------


def test_settings_of_a_template_can_only_be_looked_at(
    qtbot: QtBot, open_settings: Open, fake_engine: FakeEngine, key: VmKey
) -> None:
    fake_engine.change_vm(key, is_template=True)
    dialog = open_settings()
    frame = dialog.frame
    assert dialog.form is not None
    assert not dialog.form.isEnabled()
    assert not frame.add_button.isEnabled()
    assert "template" in frame.add_button.toolTip()
    assert "It is a template" in frame.status.text
    assert frame.list.isEnabled()
    fake_engine.settings.put(key, DOMAIN, "")
    fake_engine.change_vm(key, is_template=False)
    qtbot.waitUntil(dialog.form.isEnabled)
    assert frame.add_button.isEnabled()
    assert "template" not in frame.status.text
