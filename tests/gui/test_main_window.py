"""The main window against the fake engine: pages, hosts, new VMs, what it remembers, leaving, scale."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QApplication,
    QDialog,
)
from pytestqt.qtbot import QtBot

from guivm.engine import requests as rq
from guivm.engine.events import VmsChanged
from guivm.engine.types import HostState, VmInfo, VmKey, VmState
from guivm.views.bridge import Bridge
from guivm.views.main_window import MainWindow
from guivm.views.settings import (
    EXTRA_HOSTS,
    PAGE,
    SELECTION,
    TOLD_VMS_KEEP_RUNNING,
    Settings,
)
from tests.helpers.fake_engine import LOCAL, FakeEngine
from tests.helpers.main_window import Make, S, dialog, four_vms, main_windows, page_name, press, state_of


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
