"""A clone whose guest still has the identity of its source says so, until that is done or dismissed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from guivm.engine.requests import DismissIdentity, ResetIdentity
from guivm.engine.types import IdentityDue, IdentityState, VmKey
from guivm.errors import UnsupportedError
from guivm.views.bridge import Bridge
from guivm.views.identity_notice import IdentityNotice
from guivm.views.main_window import MainWindow
from guivm.views.models.vm_table import Column
from guivm.views.settings import TOLD_VMS_KEEP_RUNNING, Settings
from tests.helpers.fake_engine import FakeEngine

STEPS = "In the guest, as root: empty /etc/machine-id."
FAILED = IdentityDue(IdentityState.FAILED, "Its agent may not run programs (guest-exec).", STEPS)


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


def tell(qtbot: QtBot, window: MainWindow, engine: FakeEngine, key: VmKey, due: IdentityDue) -> IdentityNotice:
    engine.change_vm(key, identity=due)
    overview = window.vm_page.overview
    qtbot.waitUntil(lambda: overview.identity is not None and not overview.identity.isHidden())
    assert overview.identity is not None
    return overview.identity


def button(notice: IdentityNotice, name: str) -> QPushButton:
    found = notice.findChild(QPushButton, f"identity-{name}")
    assert found is not None
    return found


def test_what_failed_is_told_with_the_reason_and_the_steps(
    qtbot: QtBot, window: MainWindow, fake_engine: FakeEngine, key: VmKey
) -> None:
    notice = tell(qtbot, window, fake_engine, key, FAILED)
    assert "identity of its source" in notice.banner.text
    assert "guest-exec" in notice.banner.text
    assert STEPS in notice.banner.details
    state = window.table.index(window.table.row(key), Column.STATE)
    assert "identity" in str(state.data(Qt.ItemDataRole.DisplayRole))
    window.list.search.setText("identity not its own")
    assert window.list.filter.rowCount() == 1
    window.list.search.clear()

    fake_engine.fail_next(ResetIdentity, UnsupportedError("It has no guest agent.", advice=STEPS))
    button(notice, "retry").click()
    qtbot.waitUntil(lambda: "no guest agent" in notice.banner.text)
    assert fake_engine.requests[-1] == ResetIdentity(key)
    assert STEPS in notice.banner.details

    button(notice, "done").click()
    qtbot.waitUntil(lambda: fake_engine.requests[-1] == DismissIdentity(key))
    qtbot.waitUntil(notice.isHidden)


@pytest.mark.parametrize(
    ("state", "words", "buttons"), [(IdentityState.WAITS, "agent", ["done"]), (IdentityState.RUNS, "Sysprep", [])]
)
def test_what_is_under_way_is_told(
    qtbot: QtBot,
    window: MainWindow,
    fake_engine: FakeEngine,
    key: VmKey,
    state: IdentityState,
    words: str,
    buttons: list[str],
) -> None:
    notice = tell(qtbot, window, fake_engine, key, IdentityDue(state, "", STEPS))
    assert words in notice.banner.text
    shown = [each for name in ("retry", "done") for each in notice.findChildren(QPushButton, f"identity-{name}")]
    assert [each.objectName().removeprefix("identity-") for each in shown] == buttons
