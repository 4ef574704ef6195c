"""The main window against the fake engine: pages, actions, questions, memory, accessibility."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QAction, QDragEnterEvent, QDropEvent, QPalette
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QApplication,
    QComboBox,
    QDialog,
    QHeaderView,
    QLineEdit,
    QMenu,
    QPlainTextEdit,
    QPushButton,
    QScrollBar,
    QTabBar,
    QWidget,
)
from pytestqt.qtbot import QtBot

from guivm.engine import requests as rq
from guivm.engine.events import VmsChanged
from guivm.engine.job_types import DeletedVm, TrashedFile
from guivm.engine.types import HostState, VmInfo, VmKey, VmState
from guivm.errors import OperationError
from guivm.views import theme
from guivm.views.bridge import Bridge
from guivm.views.main_window import MainWindow
from guivm.views.settings import (
    COLOR_SCHEME,
    EXTRA_HOSTS,
    PAGE,
    SELECTION,
    TOLD_VMS_KEEP_RUNNING,
    ColorScheme,
    Settings,
)
from tests.helpers.fake_engine import LOCAL, FakeEngine

S = VmState
Make = Callable[[], MainWindow]


@pytest.fixture
def make(qtbot: QtBot, bridge: Bridge, settings: Settings) -> Iterator[Make]:
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


@pytest.fixture
def keys(fake_engine: FakeEngine) -> dict[str, VmKey]:
    return {
        name: fake_engine.add_vm(name, state)
        for name, state in (("debian", S.RUNNING), ("fedora", S.PAUSED), ("win11", S.OFF), ("arch", S.SAVED))
    }


@pytest.fixture
def window(make: Make, keys: dict[str, VmKey]) -> MainWindow:
    return make()


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


# --- which page -------------------------------------------------------------------------------------------


def test_welcome_when_there_are_no_vms(make: Make) -> None:
    window = make()
    assert page_name(window) == "welcome"
    assert not window.list.isVisible()


def test_the_list_appears_with_the_first_vm(qtbot: QtBot, make: Make, fake_engine: FakeEngine) -> None:
    window = make()
    fake_engine.add_vm("first")
    qtbot.waitUntil(window.list.isVisible)
    assert page_name(window) == "nothing-selected"


@pytest.mark.parametrize(
    ("state", "page"),
    [
        (HostState.CONNECTING, "connecting"),
        (HostState.FAILED, "host-problem"),
        (HostState.RECONNECTING, "host-problem"),
        (HostState.CONNECTED, "welcome"),
    ],
)
def test_page_without_vms_says_how_the_host_is(
    qtbot: QtBot, make: Make, fake_engine: FakeEngine, state: HostState, page: str
) -> None:
    window = make()
    fake_engine.set_host(LOCAL, state=HostState.CLOSED)
    fake_engine.set_host(LOCAL, state=state, problem="The daemon did not start.", details="libvirt says no")
    qtbot.waitUntil(lambda: page_name(window) == page)


def test_failed_host_can_be_tried_again(
    qtbot: QtBot, make: Make, fake_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = make()
    fake_engine.set_host(LOCAL, state=HostState.FAILED, problem="The daemon did not start.", details="why")
    qtbot.waitUntil(lambda: page_name(window) == "host-problem")
    opened: list[str] = []
    monkeypatch.setattr(fake_engine, "open_host", lambda uri, label="": opened.append(uri))
    press(window, "host-problem-retry")
    assert opened == [LOCAL]


def test_one_selected_shows_its_page_and_several_the_bulk_page(window: MainWindow, keys: dict[str, VmKey]) -> None:
    window.select_vm(keys["debian"])
    assert page_name(window) == "vm-page"
    assert window.vm_page.header.name.whole_text == "debian"
    assert window.vm_page.header.pill.state is S.RUNNING
    window.list.select([keys["debian"], keys["fedora"], keys["win11"]])
    assert page_name(window) == "many-selected"
    window.list.select([])
    assert page_name(window) == "nothing-selected"


def test_deleting_the_selected_vm_leaves_nothing_selected(
    qtbot: QtBot, window: MainWindow, keys: dict[str, VmKey], fake_engine: FakeEngine
) -> None:
    window.select_vm(keys["debian"])
    fake_engine.remove_vm(keys["debian"])
    qtbot.waitUntil(lambda: page_name(window) == "nothing-selected")


def test_header_follows_the_observed_state(
    qtbot: QtBot, window: MainWindow, keys: dict[str, VmKey], fake_engine: FakeEngine
) -> None:
    window.select_vm(keys["debian"])
    first, second = window.vm_page.header.buttons
    assert (first.text().strip(), second.text().strip()) == ("Pause", "Shut Down")
    fake_engine.change_vm(keys["debian"], state=S.PAUSED)
    qtbot.waitUntil(lambda: first.text().strip() == "Resume")
    fake_engine.change_vm(keys["debian"], state=S.OFF)
    qtbot.waitUntil(lambda: first.text().strip() == "Start")
    assert not second.isVisible()


def test_lost_host_shows_unknown_never_off(
    qtbot: QtBot, window: MainWindow, keys: dict[str, VmKey], fake_engine: FakeEngine
) -> None:
    window.select_vm(keys["debian"])
    fake_engine.set_host(LOCAL, state=HostState.RECONNECTING, problem="The link was cut.")
    qtbot.waitUntil(lambda: state_of(window, keys["debian"]) is S.UNKNOWN)
    assert window.vm_page.header.pill.state is S.UNKNOWN
    assert window.notices.isVisible()
    assert not window.registry.action("start").isEnabled()
    fake_engine.set_host(LOCAL, state=HostState.CONNECTED)
    qtbot.waitUntil(lambda: state_of(window, keys["debian"]) is S.RUNNING)
    assert not window.notices.isVisible()
    assert [vm.name for vm in window.selected()] == ["debian"]


# --- actions ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "action", "request_type", "state"),
    [
        ("win11", "start", rq.Start, S.RUNNING),
        ("arch", "start", rq.Start, S.RUNNING),
        ("debian", "pause", rq.Pause, S.PAUSED),
        ("fedora", "pause", rq.Resume, S.RUNNING),
        ("debian", "shutdown", rq.ShutDown, S.OFF),
        ("debian", "reboot", rq.Reboot, S.RUNNING),
        ("debian", "save", rq.SaveState, S.SAVED),
    ],
)
def test_action_sends_its_request(
    qtbot: QtBot,
    window: MainWindow,
    keys: dict[str, VmKey],
    fake_engine: FakeEngine,
    name: str,
    action: str,
    request_type: type[rq.VmRequest[None]],
    state: VmState,
) -> None:
    window.select_vm(keys[name])
    window.registry.action(action).trigger()
    assert [r.key for r in fake_engine.requests_of(request_type)] == [keys[name]]
    qtbot.waitUntil(lambda: state_of(window, keys[name]) is state)


def test_shortcut_pauses_and_resumes(
    qtbot: QtBot, window: MainWindow, keys: dict[str, VmKey], fake_engine: FakeEngine
) -> None:
    window.activateWindow()
    window.select_vm(keys["debian"])
    QTest.keyClick(window, Qt.Key.Key_P, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: state_of(window, keys["debian"]) is S.PAUSED)
    QTest.keyClick(window, Qt.Key.Key_P, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: state_of(window, keys["debian"]) is S.RUNNING)
    assert len(fake_engine.requests_of(rq.Pause)) == len(fake_engine.requests_of(rq.Resume)) == 1


def test_the_same_verb_is_not_sent_twice(window: MainWindow, keys: dict[str, VmKey], fake_engine: FakeEngine) -> None:
    fake_engine.hold(rq.Pause)
    window.select_vm(keys["debian"])
    for _ in range(3):
        window.registry.action("pause").trigger()
    assert len(fake_engine.requests_of(rq.Pause)) == 1
    fake_engine.release()


def test_bulk_start_applies_to_those_it_fits(
    window: MainWindow, keys: dict[str, VmKey], fake_engine: FakeEngine
) -> None:
    window.list.select(keys.values())
    press(window, "many-start")
    assert {r.key for r in fake_engine.requests_of(rq.Start)} == {keys["win11"], keys["arch"]}


@pytest.mark.parametrize(
    ("name", "action", "request_type"),
    [
        ("debian", "reset", rq.Reset),
        ("debian", "force-off", rq.ForceOff),
        ("arch", "discard-saved", rq.DiscardSavedState),
    ],
)
def test_what_loses_work_is_asked_first(
    qtbot: QtBot,
    window: MainWindow,
    keys: dict[str, VmKey],
    fake_engine: FakeEngine,
    name: str,
    action: str,
    request_type: type[rq.VmRequest[None]],
) -> None:
    window.select_vm(keys[name])
    window.registry.action(action).trigger()
    question = dialog("confirm")
    assert question is not None
    assert fake_engine.requests_of(request_type) == []
    press(question, "cancel")
    qtbot.waitUntil(lambda: dialog("confirm") is None)
    assert fake_engine.requests_of(request_type) == []
    window.registry.action(action).trigger()
    question = dialog("confirm")
    assert question is not None
    press(question, "primary")
    qtbot.waitUntil(lambda: [r.key for r in fake_engine.requests_of(request_type)] == [keys[name]])


def test_answer_that_comes_too_late_does_nothing(
    qtbot: QtBot, window: MainWindow, keys: dict[str, VmKey], fake_engine: FakeEngine
) -> None:
    window.select_vm(keys["debian"])
    window.registry.action("force-off").trigger()
    fake_engine.change_vm(keys["debian"], state=S.OFF)
    question = dialog("confirm")
    assert question is not None
    press(question, "primary")
    qtbot.waitUntil(lambda: dialog("confirm") is None)
    assert fake_engine.requests_of(rq.ForceOff) == []


def test_autostart_switches_all_on_then_off(
    qtbot: QtBot, window: MainWindow, keys: dict[str, VmKey], fake_engine: FakeEngine
) -> None:
    window.select_vm(keys["win11"])
    action = window.registry.action("autostart")
    action.trigger()
    qtbot.waitUntil(action.isChecked)
    action.trigger()
    qtbot.waitUntil(lambda: not action.isChecked())
    assert [r.on for r in fake_engine.requests_of(rq.SetAutostart)] == [True, False]


def test_failure_is_shown_with_libvirts_words(
    qtbot: QtBot, window: MainWindow, keys: dict[str, VmKey], fake_engine: FakeEngine
) -> None:
    fake_engine.fail_next(rq.Start, OperationError("It did not start.", details="qemu: no such file"))
    window.select_vm(keys["win11"])
    window.registry.action("start").trigger()
    qtbot.waitUntil(lambda: window.messages.texts == ("It did not start.",))
    assert window.messages.cards[0].details.toPlainText() == "qemu: no such file"
    assert window.registry.action("start").isEnabled()


@pytest.mark.parametrize(
    ("action", "name"),
    [("rename", "rename"), ("edit-notes", "notes"), ("delete", "delete")],
)
def test_identity_actions_open_their_dialog(
    qtbot: QtBot, window: MainWindow, keys: dict[str, VmKey], action: str, name: str
) -> None:
    window.select_vm(keys["win11"])
    window.registry.action(action).trigger()
    opened = [w for w in QApplication.topLevelWidgets() if isinstance(w, QDialog) and w.isVisible()]
    assert len(opened) == 1
    opened[0].reject()
    qtbot.waitUntil(lambda: not any(isinstance(w, QDialog) and w.isVisible() for w in QApplication.topLevelWidgets()))


@pytest.mark.parametrize("action", ["new", "open", "connect", "preferences", "shortcuts", "about"])
def test_window_actions_open_their_dialog(qtbot: QtBot, window: MainWindow, action: str) -> None:
    window.registry.action(action).trigger()
    opened = [w for w in QApplication.topLevelWidgets() if isinstance(w, QDialog) and w.isVisible()]
    assert len(opened) == 1
    opened[0].reject()
    qtbot.waitUntil(lambda: not any(isinstance(w, QDialog) and w.isVisible() for w in QApplication.topLevelWidgets()))


# --- delete and undo --------------------------------------------------------------------------------------


def test_delete_can_be_undone(
    qtbot: QtBot, window: MainWindow, keys: dict[str, VmKey], fake_engine: FakeEngine
) -> None:
    window.select_vm(keys["win11"])
    window.registry.action("delete").trigger()
    opened = next(w for w in QApplication.topLevelWidgets() if isinstance(w, QDialog) and w.isVisible())
    qtbot.waitUntil(lambda: opened.findChild(QPushButton, "primary").isEnabled())  # type: ignore[union-attr]
    press(opened, "primary")
    qtbot.waitUntil(lambda: window.messages.texts == ("“win11” was deleted.",))
    assert state_of(window, keys["win11"]) is None
    press(window.messages, "message-action-0")
    qtbot.waitUntil(lambda: state_of(window, keys["win11"]) is not None)
    qtbot.waitUntil(lambda: [vm.name for vm in window.selected()] == ["win11"])


def test_kept_files_can_be_freed(qtbot: QtBot, window: MainWindow, fake_engine: FakeEngine) -> None:
    files = (TrashedFile(Path("/a.qcow2"), Path("/trash/a.qcow2"), 3 * 1024**3),)
    window.commands.on_deleted(DeletedVm(VmKey(LOCAL, "u"), "old", "<domain/>", False, files))
    press(window.messages, "message-action-1")
    qtbot.waitUntil(lambda: bool(fake_engine.requests_of(rq.PurgeDeleted)))
    qtbot.waitUntil(lambda: any("freed" in text for text in window.messages.texts))


# --- new VMs ----------------------------------------------------------------------------------------------


def test_sample_guest_is_created_and_selected(qtbot: QtBot, make: Make, fake_engine: FakeEngine) -> None:
    window = make()
    press(window, "choice-sample")
    assert [r.host for r in fake_engine.requests_of(rq.CreateSampleGuest)] == [LOCAL]
    qtbot.waitUntil(lambda: [vm.name for vm in window.selected()] == ["sample-guest"])


def drop(window: MainWindow, *paths: Path) -> bool:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    args = (Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    enter = QDragEnterEvent(QPoint(50, 50), *args)
    enter.setAccepted(False)
    QApplication.sendEvent(window, enter)
    if enter.isAccepted():
        QApplication.sendEvent(window, QDropEvent(QPointF(50, 50), *args))
    return enter.isAccepted()


def test_a_dropped_iso_opens_the_new_vm_page(qtbot: QtBot, window: MainWindow, tmp_path: Path) -> None:
    iso = tmp_path / "debian.iso"
    iso.write_bytes(b"x")
    assert drop(window, iso)
    opened = [w for w in QApplication.topLevelWidgets() if isinstance(w, QDialog) and w.isVisible()]
    assert len(opened) == 1
    opened[0].reject()
    qtbot.waitUntil(lambda: not any(isinstance(w, QDialog) and w.isVisible() for w in QApplication.topLevelWidgets()))


def test_several_files_are_not_taken(window: MainWindow, tmp_path: Path) -> None:
    assert not drop(window, tmp_path / "a.iso", tmp_path / "b.iso")


# --- hosts ------------------------------------------------------------------------------------------------


def test_disconnecting_forgets_the_host(
    qtbot: QtBot, window: MainWindow, keys: dict[str, VmKey], fake_engine: FakeEngine, settings: Settings
) -> None:
    settings.set(EXTRA_HOSTS, ["test:///other\nOther"])
    host = fake_engine.open_host("test:///other", "Other")
    key = fake_engine.add_vm("far", host=host)
    qtbot.waitUntil(lambda: state_of(window, key) is not None)
    window.select_vm(key)
    window.registry.action("disconnect").trigger()
    qtbot.waitUntil(lambda: state_of(window, key) is None)
    assert settings.get(EXTRA_HOSTS) == []
    assert [h.id for h in window.table.hosts()] == [LOCAL]


# --- console windows and full screen ----------------------------------------------------------------------


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


# --- memory and leaving -----------------------------------------------------------------------------------


def test_remembers_selection_page_and_geometry(
    qtbot: QtBot, make: Make, keys: dict[str, VmKey], settings: Settings
) -> None:
    settings.set(TOLD_VMS_KEEP_RUNNING, True)
    first = make()
    first.resize(780, 640)
    first._splitter.setSizes([300, 480])
    first.select_vm(keys["win11"])
    first.show_page("console")
    first.close()
    assert settings.get(PAGE) == "console"
    assert settings.get(SELECTION) == f"{LOCAL}\n{keys['win11'].uuid}"
    second = make()
    assert (second.width(), second.height()) == (780, 640)
    assert second._splitter.sizes()[0] == 300
    assert [vm.name for vm in second.selected()] == ["win11"]
    assert second.vm_page.page == "console"


def test_selection_is_restored_when_the_vm_appears(
    qtbot: QtBot, make: Make, fake_engine: FakeEngine, settings: Settings
) -> None:
    settings.set(SELECTION, f"{LOCAL}\nuuid-late")
    window = make()
    fake_engine.add_vm("other")
    qtbot.waitUntil(lambda: window.table.rowCount() == 1)
    assert window.selected() == ()
    fake_engine.add_vm("late", uuid="uuid-late")
    qtbot.waitUntil(lambda: [vm.name for vm in window.selected()] == ["late"])


@pytest.mark.parametrize("answer", ["cancel", "primary"])
def test_closing_says_once_that_vms_go_on(qtbot: QtBot, window: MainWindow, settings: Settings, answer: str) -> None:
    assert not window.close()
    question = dialog("confirm")
    assert question is not None
    press(question, answer)
    qtbot.waitUntil(lambda: dialog("confirm") is None)
    assert window.isVisible() is (answer == "cancel")
    assert settings.get(TOLD_VMS_KEEP_RUNNING) is (answer == "primary")


def test_closing_asks_nothing_when_nothing_runs_or_it_was_said(
    make: Make, fake_engine: FakeEngine, settings: Settings
) -> None:
    fake_engine.add_vm("off")
    assert make().close()
    assert dialog("confirm") is None
    fake_engine.add_vm("on", S.RUNNING)
    settings.set(TOLD_VMS_KEEP_RUNNING, True)
    assert make().close()
    assert dialog("confirm") is None


def test_no_request_is_sent_by_closing(
    make: Make, keys: dict[str, VmKey], fake_engine: FakeEngine, settings: Settings
) -> None:
    settings.set(TOLD_VMS_KEEP_RUNNING, True)
    window = make()
    before = len(fake_engine.requests)
    window.close()
    assert len(fake_engine.requests) == before


# --- scale ------------------------------------------------------------------------------------------------


def test_a_storm_of_5000_changes_is_taken_in_slices(qtbot: QtBot, make: Make, fake_engine: FakeEngine) -> None:
    keys = [fake_engine.add_vm(f"vm{number}", announce=False) for number in range(5000)]
    window = make()
    assert window.table.rowCount() == 5000
    window.list.view.selectAll()
    changes: list[int] = []
    window.table.dataChanged.connect(lambda top, bottom: changes.append(bottom.row() - top.row() + 1))
    for key in keys:
        fake_engine._vms[key] = replace(fake_engine._vms[key], state=S.RUNNING)
        fake_engine.emit(VmsChanged(LOCAL, (fake_engine._vms[key],)))
    qtbot.waitUntil(lambda: window.table.is_settled and state_of(window, keys[-1]) is S.RUNNING)
    assert all(vm.state is S.RUNNING for vm in window.table.vms())
    assert max(changes) <= 500
    assert len(window.selected()) == 5000


def test_nothing_heavy_is_imported_for_the_list() -> None:
    code = (
        "import sys, guivm.views.main_window;"
        "heavy = {'numpy', 'lxml', 'pyqtgraph', 'libvirt', 'guivm.console.widget'} & set(sys.modules);"
        "dialogs = [m for m in sys.modules if m.startswith('guivm.views.dialogs.')];"
        "sys.exit(f'{heavy} {dialogs}' if heavy or dialogs else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# --- looks and access -------------------------------------------------------------------------------------

INTERACTIVE = (QAbstractButton, QLineEdit, QPlainTextEdit, QComboBox, QAbstractItemView, QTabBar)


def unnamed(root: QWidget) -> list[str]:
    problems: list[str] = []
    for widget in root.findChildren(QWidget):
        if not isinstance(widget, INTERACTIVE) or isinstance(widget, QHeaderView):
            continue
        if widget.parent() is not None and isinstance(widget.parent(), QScrollBar | QTabBar | QHeaderView):
            continue
        if widget.objectName().startswith("qt_") or isinstance(widget.parent(), QLineEdit | QMenu):
            continue  # parts of Qt's own widgets
        if widget.isHidden() and widget.objectName().startswith("header-action"):
            continue  # named when it gets an action
        if not widget.objectName() or not (widget.accessibleName() or widget.property("text")):
            problems.append(f"{type(widget).__name__} {widget.objectName()!r} in {type(widget.parent()).__name__}")
    return problems


def test_every_interactive_widget_has_a_name(qtbot: QtBot, window: MainWindow, keys: dict[str, VmKey]) -> None:
    window.select_vm(keys["win11"])
    window.show_page("console")
    window.messages.show_error(OperationError("x", details="y"))
    window.messages.show_info("x", [("Undo", window.update)])
    window.registry.action("jobs").trigger()
    window.registry.action("detach-console").trigger()
    own = window.consoles.window(keys["win11"])
    assert own is not None
    assert unnamed(window) == []
    assert unnamed(own) == []


def test_menus_hold_every_action_once(window: MainWindow) -> None:
    found: list[str] = []
    for menu_action in window.menuBar().actions():
        menu = menu_action.menu()
        assert isinstance(menu, QMenu)
        found += [str(action.data()) for action in menu.actions() if not action.isSeparator()]
    assert found == [
        spec.id for group in type(window.registry.specs()[0].group) for spec in window.registry.in_group(group)
    ]


@pytest.mark.qt_log_ignore("This plugin does not support")
def test_context_menu_is_the_machine_menu(window: MainWindow, keys: dict[str, VmKey]) -> None:
    window.select_vm(keys["debian"])
    window.list.view.customContextMenuRequested.emit(
        window.list.view.visualRect(window.list.filter.index_of(keys["debian"])).center()
    )
    menu = window.findChild(QMenu, "vm-context-menu")
    assert menu is not None
    actions: list[QAction] = [action for action in menu.actions() if not action.isSeparator()]
    assert [action.data() for action in actions][:2] == ["start", "pause"]
    menu.close()


@pytest.mark.parametrize("dark", [False, True])
def test_colours_read_well(window: MainWindow, settings: Settings, dark: bool) -> None:
    settings.set(COLOR_SCHEME, (ColorScheme.DARK if dark else ColorScheme.LIGHT).value)
    palette = QApplication.palette()
    assert (palette.color(QPalette.ColorRole.Window).lightness() < 128) is dark
    tokens = theme.tokens_for(palette)
    grounds = (tokens.card, tokens.surface, tokens.window)
    inks = (tokens.text, tokens.quiet, tokens.error, tokens.warning, tokens.success, tokens.link)
    for ink in (*inks, *(tokens.state(state) for state in VmState)):
        for ground in grounds:
            assert theme.contrast(ink, ground) >= 4.5, (ink.name(), ground.name())
    assert theme.contrast(tokens.on_accent, tokens.accent) >= 4.5
    assert theme.contrast(tokens.text, tokens.selection) >= 4.5


def test_hostile_names_are_text(qtbot: QtBot, window: MainWindow, fake_engine: FakeEngine) -> None:
    key = fake_engine.add_vm("<h1>evil</h1>", S.CRASHED, title="<img src='x'>", reason="<b>bad</b>", notes="<i>n</i>")
    qtbot.waitUntil(lambda: state_of(window, key) is not None)
    window.select_vm(key)
    header = window.vm_page.header
    assert header.name.whole_text == "<h1>evil</h1>"
    assert header.name.textFormat() is Qt.TextFormat.PlainText
    assert header.line.textFormat() is Qt.TextFormat.PlainText


def test_vm_info_is_enough_for_the_list(window: MainWindow, fake_engine: FakeEngine) -> None:
    assert fake_engine.requests == []
    assert isinstance(window.table.vms()[0], VmInfo)


def test_closing_while_work_is_under_way_is_asked_each_time(
    qtbot: QtBot, make: Make, fake_engine: FakeEngine, settings: Settings
) -> None:
    window = make()
    settings.set(TOLD_VMS_KEEP_RUNNING, True)
    key = fake_engine.add_vm("busy", VmState.RUNNING)
    fake_engine.hold(rq.SaveState)
    fake_engine.submit(rq.SaveState(key))
    qtbot.waitUntil(lambda: len(window.jobs.active_jobs) == 1)
    window.close()
    assert window.isVisible()
    dialog = window.findChild(QDialog)
    assert dialog is not None
    dialog.reject()
    assert window.isVisible()
    fake_engine.release()
    qtbot.waitUntil(lambda: not window.jobs.active_jobs)
    window.close()
    assert not window.isVisible()
