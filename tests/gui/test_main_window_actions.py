"""The main window against the fake engine: actions, questions, delete and undo."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QApplication,
    QDialog,
    QPushButton,
)
from pytestqt.qtbot import QtBot

from guivm.engine import requests as rq
from guivm.engine.job_types import DeletedVm, TrashedFile
from guivm.engine.types import VmKey, VmState
from guivm.errors import OperationError
from guivm.views.bridge import Bridge
from guivm.views.main_window import MainWindow
from guivm.views.settings import (
    Settings,
)
from tests.helpers.fake_engine import LOCAL, FakeEngine
from tests.helpers.main_window import Make, S, dialog, four_vms, main_windows, press, state_of


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
