"""From the main window's menu to the request and to what is said of it."""

from __future__ import annotations

import subprocess
import sys
from typing import TypeVar

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QDialog, QPushButton
from pytestqt.qtbot import QtBot

from guivm.engine import requests as rq
from guivm.engine.snapshots.values import SnapshotId
from guivm.engine.types import VmKey, VmState
from guivm.errors import OperationError
from guivm.views.bridge import Bridge
from guivm.views.main_window import MainWindow
from guivm.views.snapshots.clone import CloneDialog
from guivm.views.snapshots.delete import DeleteSnapshotsDialog
from guivm.views.snapshots.plan_dialog import PlanDialog
from guivm.views.snapshots.questions import DetachDialog, TemplateDialog, UndoRestoreDialog
from guivm.views.snapshots.restore import RestoreDialog
from guivm.views.snapshots.take import TakeDialog
from tests.helpers.fake_engine import FakeEngine
from tests.helpers.fake_snapshots import snapshot

D = TypeVar("D", bound=QDialog)
A, B = SnapshotId("a"), SnapshotId("b")


@pytest.fixture
def key(fake_engine: FakeEngine) -> VmKey:
    key = fake_engine.add_vm("web", VmState.RUNNING)
    fake_engine.snapshots.put(key, snapshot("a", title="Fresh"), snapshot("b", "a", title="Works", has_memory=True))
    return key


def dialog(qtbot: QtBot, kind: type[D]) -> D:
    """The open dialog of this kind, once its plan is there."""

    def shown() -> list[D]:
        return [widget for widget in QApplication.topLevelWidgets() if isinstance(widget, kind) and widget.isVisible()]

    qtbot.waitUntil(lambda: bool(shown()))
    (found,) = shown()
    if isinstance(found, PlanDialog):
        qtbot.waitUntil(lambda: found.plan_view.plan is not None)
    return found


def trigger(window: MainWindow, action_id: str) -> None:
    action = window.registry.action(action_id)
    assert action.isEnabled()
    action.trigger()


def press(window: MainWindow, text: str) -> None:
    for card in window.messages.cards:
        for button in card.findChildren(QPushButton):
            if button.text() == text:
                button.click()
                return
    raise AssertionError(window.messages.texts)


def test_take_from_the_menu(qtbot: QtBot, window: MainWindow, fake_engine: FakeEngine, key: VmKey) -> None:
    assert window.registry.action("take-snapshot").shortcut() == QKeySequence("Ctrl+Alt+S")
    trigger(window, "take-snapshot")
    taking = dialog(qtbot, TakeDialog)
    taking.title.setText("Mine")
    taking.primary.click()
    qtbot.waitUntil(lambda: bool(window.messages.texts))
    assert fake_engine.requests_of(rq.TakeSnapshot) == [rq.TakeSnapshot(key, "Mine")]
    assert "“Mine” was taken. The guest stood still for 1.2 s." in window.messages.texts[-1]


def test_what_was_typed_is_not_lost_with_a_failure(qtbot: QtBot, window: MainWindow, fake_engine: FakeEngine) -> None:
    fake_engine.fail_next(rq.TakeSnapshot, OperationError("The disk is full."))
    trigger(window, "take-snapshot")
    taking = dialog(qtbot, TakeDialog)
    taking.notes.setPlainText("a long story")
    taking.primary.click()
    qtbot.waitUntil(lambda: bool(window.messages.texts))
    press(window, "Try Again…")
    assert dialog(qtbot, TakeDialog).notes.toPlainText() == "a long story"


def test_restore_from_the_menu_and_undo(qtbot: QtBot, window: MainWindow, fake_engine: FakeEngine, key: VmKey) -> None:
    trigger(window, "restore-snapshot")
    restoring = dialog(qtbot, RestoreDialog)
    assert window.vm_page.page == "snapshots"
    assert "“Works”" in restoring.windowTitle(), "the one that the VM goes back to"
    restoring.primary.click()
    qtbot.waitUntil(lambda: bool(window.messages.texts))
    assert fake_engine.requests_of(rq.RestoreSnapshot) == [rq.RestoreSnapshot(key, B, "Before restoring “Works”")]
    page = window.vm_page.snapshots
    qtbot.waitUntil(lambda: page.model.tree is not None and len(page.model.tree.snapshots) == 3)
    qtbot.waitUntil(page.notices.isVisible)
    press(window, "Undo…")
    dialog(qtbot, UndoRestoreDialog).primary.click()
    qtbot.waitUntil(lambda: fake_engine.requests_of(rq.UndoRestore) == [rq.UndoRestore(key)])
    qtbot.waitUntil(lambda: not page.notices.isVisible())


def test_delete_with_the_keyboard_alone(qtbot: QtBot, window: MainWindow, fake_engine: FakeEngine, key: VmKey) -> None:
    fake_engine.change_vm(key, state=VmState.OFF)  # so that the VM itself could be deleted
    trigger(window, "show-snapshots")
    page = window.vm_page.snapshots
    qtbot.waitUntil(lambda: page.model.tree is not None)
    page.tree.choose(A)
    page.tree.setFocus()
    QTest.keyClick(page.tree, Qt.Key.Key_Delete)
    deleting = dialog(qtbot, DeleteSnapshotsDialog)
    QTest.keyClick(deleting, Qt.Key.Key_D, Qt.KeyboardModifier.AltModifier)
    qtbot.waitUntil(lambda: fake_engine.requests_of(rq.DeleteSnapshots) == [rq.DeleteSnapshots(key, (A,))])
    qtbot.waitUntil(lambda: page.model.snapshot(A) is None)
    assert fake_engine.requests_of(rq.Delete) == []
    assert fake_engine.requests_of(rq.PlanDelete) == []


def test_a_clone_is_shown_with_what_was_changed_by_itself(
    qtbot: QtBot, window: MainWindow, fake_engine: FakeEngine
) -> None:
    trigger(window, "clone")
    dialog(qtbot, CloneDialog).primary.click()
    qtbot.waitUntil(lambda: [vm.name for vm in window.selected()] == ["web-clone"])
    assert "“web” was cloned as “web-clone”." in window.messages.texts[-1]
    assert any("port forward" in card.message.advice for card in window.messages.cards)


def test_template_and_detach(qtbot: QtBot, window: MainWindow, fake_engine: FakeEngine, key: VmKey) -> None:
    assert not window.registry.action("template").isEnabled(), "while it runs"
    trigger(window, "detach-clone")
    dialog(qtbot, DetachDialog).reject()
    fake_engine.change_vm(key, state=VmState.OFF)
    qtbot.waitUntil(window.registry.action("template").isEnabled)
    trigger(window, "template")
    dialog(qtbot, TemplateDialog).primary.click()
    qtbot.waitUntil(lambda: bool(window.messages.texts))
    assert fake_engine.snapshots.tree(key).is_template
    assert "“web” is a template now." in window.messages.texts[-1]


def test_start_once(qtbot: QtBot, window: MainWindow, fake_engine: FakeEngine, key: VmKey) -> None:
    assert not window.registry.action("start-disposable").isEnabled()
    fake_engine.change_vm(key, state=VmState.OFF)
    qtbot.waitUntil(window.registry.action("start-disposable").isEnabled)
    fake_engine.hold(rq.StartDisposable)
    trigger(window, "start-disposable")
    trigger(window, "start-disposable")
    assert fake_engine.requests_of(rq.StartDisposable) == [rq.StartDisposable(key)]
    fake_engine.release()
    qtbot.waitUntil(lambda: bool(window.messages.texts))
    assert "thrown away" in window.messages.cards[-1].message.advice


def test_a_cancelled_job_is_no_message(
    qtbot: QtBot, window: MainWindow, fake_engine: FakeEngine, bridge: Bridge
) -> None:
    from guivm.errors import CancelledError

    fake_engine.hold(rq.TakeSnapshot)
    trigger(window, "take-snapshot")
    dialog(qtbot, TakeDialog).primary.click()
    with qtbot.waitSignal(bridge.jobChanged):
        fake_engine.fail_held(CancelledError("Cancelled."))
    assert window.messages.texts == ()


_SHOW = """
import sys
from PySide6.QtWidgets import QApplication
app = QApplication([])
from PySide6.QtCore import QSettings
from guivm.views.bridge import Bridge
from guivm.views.main_window import MainWindow
from guivm.views.settings import Settings
from tests.helpers.fake_engine import FakeEngine
engine = FakeEngine()
key = engine.add_vm("web")
bridge = Bridge(engine)
window = MainWindow(bridge, Settings(QSettings(sys.argv[1], QSettings.Format.IniFormat)))
window.show()
app.processEvents()
window.select_vm(key)
window.show_page("overview")
app.processEvents()
bad = [name for name in sys.modules if name.startswith("guivm.views.snapshots") or name.endswith("snapshot_tree")]
bridge.close()
print(bad)
"""


def test_the_page_is_imported_on_first_need(tmp_path: object) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SHOW, f"{tmp_path}/s.ini"], capture_output=True, text=True, check=True
    )  # fmt: skip
    assert done.stdout.strip() == "[]"
