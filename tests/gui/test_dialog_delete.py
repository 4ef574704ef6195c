"""Delete: detach by default, exactly the ticked files, the receipt is never lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import shiboken6
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QCheckBox, QLabel, QWidget
from pytestqt.qtbot import QtBot

from guivm.engine.job_types import DeletedVm, DeletePlan, DiskFate
from guivm.engine.requests import Delete, PlanDelete
from guivm.engine.types import VmKey, VmState
from guivm.errors import HostError, WrongStateError
from guivm.views.bridge import Bridge
from guivm.views.dialogs.delete import DeleteDialog
from tests.helpers.fake_engine import GIB, FakeEngine

DISK = DiskFate("/images/debian.qcow2", 3 * GIB, True)
DATA = DiskFate("/images/<b>data</b>.qcow2", GIB, True)
BASE = DiskFate("/images/base.qcow2", GIB, False, "“Fedora” needs it as the base of its disk.")
Open = Callable[[VmKey], DeleteDialog]


@pytest.fixture
def key(fake_engine: FakeEngine) -> VmKey:
    key = fake_engine.add_vm("Debian", VmState.SAVED)
    fake_engine.plans[key] = DeletePlan(key, "Debian", (DISK, DATA, BASE), loses_saved_state=True)
    return key


@pytest.fixture
def open_dialog(qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine) -> Iterator[Open]:
    parent = QWidget()
    qtbot.addWidget(parent)

    def make(key: VmKey) -> DeleteDialog:
        vm = fake_engine.vm(key)
        assert vm is not None
        dialog = DeleteDialog(bridge, vm, parent)
        dialog.open()
        return dialog

    yield make
    parent.close()


def box(dialog: DeleteDialog, index: int) -> QCheckBox:
    found = dialog.findChild(QCheckBox, f"file-{index}")
    assert found is not None
    return found


def test_plan_is_asked_and_files_listed_unticked(
    qtbot: QtBot, open_dialog: Open, fake_engine: FakeEngine, key: VmKey
) -> None:
    dialog = open_dialog(key)
    assert fake_engine.requests == [PlanDelete(key)]
    assert not dialog.primary.isEnabled()
    assert dialog.reason
    qtbot.waitUntil(dialog.primary.isEnabled)
    assert [box(dialog, n).isChecked() for n in range(3)] == [False, False, False]
    assert [box(dialog, n).isEnabled() for n in range(3)] == [True, True, False]
    reason = dialog.findChild(QLabel, "file-2-reason")
    assert reason is not None
    assert reason.text() == BASE.reason
    assert reason.textFormat() is Qt.TextFormat.PlainText
    assert "saved state" in dialog.warning.problem
    assert dialog.warning.isVisible()
    assert dialog.primary.text() == "&Delete VM"


def test_detach_is_the_default(qtbot: QtBot, open_dialog: Open, fake_engine: FakeEngine, key: VmKey) -> None:
    dialog = open_dialog(key)
    qtbot.waitUntil(dialog.primary.isEnabled)
    with qtbot.waitSignal(dialog.deleted) as deleted:
        dialog.primary.click()
    assert fake_engine.requests_of(Delete) == [Delete(key, ())]
    receipt = deleted.args[0]
    assert isinstance(receipt, DeletedVm)
    assert receipt.key == key
    qtbot.waitUntil(lambda: not shiboken6.isValid(dialog))


def test_ticked_files_go_and_the_button_counts_them(
    qtbot: QtBot, open_dialog: Open, fake_engine: FakeEngine, key: VmKey
) -> None:
    dialog = open_dialog(key)
    qtbot.waitUntil(dialog.primary.isEnabled)
    box(dialog, 0).setChecked(True)
    assert dialog.primary.text() == "&Delete VM and 1 file"
    box(dialog, 1).setChecked(True)
    assert dialog.primary.text() == "&Delete VM and 2 files"
    assert dialog.primary.accessibleName() == "Delete VM and 2 files"
    with qtbot.waitSignal(dialog.deleted):
        dialog.primary.click()
    assert fake_engine.requests_of(Delete) == [Delete(key, (DISK.path, DATA.path))]


def test_enter_alone_deletes_nothing(qtbot: QtBot, open_dialog: Open, fake_engine: FakeEngine, key: VmKey) -> None:
    dialog = open_dialog(key)
    qtbot.waitUntil(dialog.primary.isEnabled)
    assert dialog.focusWidget() is dialog.cancel
    QTest.keyClick(dialog.cancel, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: not shiboken6.isValid(dialog))
    assert fake_engine.requests_of(Delete) == []


def test_without_plan_nothing_can_be_deleted_until_it_is_read_again(
    qtbot: QtBot, open_dialog: Open, fake_engine: FakeEngine, key: VmKey
) -> None:
    fake_engine.fail_next(PlanDelete, HostError("The host does not answer."))
    dialog = open_dialog(key)
    qtbot.waitUntil(lambda: dialog.strip.error is not None)
    assert not dialog.primary.isEnabled()
    dialog.strip.retry.click()
    qtbot.waitUntil(dialog.primary.isEnabled)
    assert dialog.strip.error is None
    assert len(dialog.findChildren(QCheckBox)) == 3


def test_failure_is_shown_and_can_be_tried_again(
    qtbot: QtBot, open_dialog: Open, fake_engine: FakeEngine, key: VmKey
) -> None:
    dialog = open_dialog(key)
    qtbot.waitUntil(dialog.primary.isEnabled)
    fake_engine.fail_next(Delete, WrongStateError("“Debian” runs.", advice="Shut it down first."))
    dialog.primary.click()
    qtbot.waitUntil(lambda: dialog.strip.error is not None)
    assert dialog.primary.isEnabled()
    with qtbot.waitSignal(dialog.deleted):
        dialog.primary.click()


def test_receipt_arrives_even_when_closed_meanwhile(
    qtbot: QtBot, open_dialog: Open, fake_engine: FakeEngine, key: VmKey
) -> None:
    dialog = open_dialog(key)
    qtbot.waitUntil(dialog.primary.isEnabled)
    fake_engine.hold(Delete)
    dialog.primary.click()
    QTest.keyClick(dialog, Qt.Key.Key_Escape)
    assert not dialog.isVisible()
    with qtbot.waitSignal(dialog.deleted):
        fake_engine.release()
    qtbot.waitUntil(lambda: not shiboken6.isValid(dialog))


def test_failure_after_closing_goes_to_the_message_bar(
    qtbot: QtBot, open_dialog: Open, bridge: Bridge, fake_engine: FakeEngine, key: VmKey
) -> None:
    dialog = open_dialog(key)
    qtbot.waitUntil(dialog.primary.isEnabled)
    fake_engine.hold(Delete)
    dialog.primary.click()
    dialog.close()
    with qtbot.waitSignal(bridge.failed) as failed:
        fake_engine.fail_held(WrongStateError("“Debian” runs."))
    assert isinstance(failed.args[0], WrongStateError)
    qtbot.waitUntil(lambda: not shiboken6.isValid(dialog))
