"""The settings window: what a person does in it reaches the draft and, when applied, the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import shiboken6
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QCheckBox, QComboBox, QDialog, QLineEdit, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from guivm.engine import requests as rq
from guivm.engine.options.new_disks import NewDisk
from guivm.engine.options.values import ChangeKind, Place, SettingProblem
from guivm.engine.types import VmKey, VmState
from guivm.errors import OperationError
from guivm.views.bridge import Bridge
from guivm.views.vm_settings.dialog import CHANGES, XML, SettingsDialog
from guivm.views.vm_settings.draft import AUTOSTART, Draft
from guivm.views.vm_settings.form import OptionForm
from tests.helpers.fake_engine import FakeEngine
from tests.helpers.settings_stage import DOMAIN, with_difference

NIC = "52:54:00:1a:2b:3c"
Open = Callable[..., SettingsDialog]


@pytest.fixture
def key(fake_engine: FakeEngine) -> VmKey:
    return fake_engine.add_vm("web")


@pytest.fixture
def open_settings(qtbot: QtBot, fake_engine: FakeEngine, bridge: Bridge, key: VmKey) -> Iterator[Open]:
    shown: list[SettingsDialog] = []

    def show(state: VmState = VmState.OFF, *, place: Place | None = None, live: str = "") -> SettingsDialog:
        fake_engine.change_vm(key, state=state)
        fake_engine.settings.put(key, DOMAIN, live)
        vm = fake_engine.vm(key)
        assert vm is not None
        window = SettingsDialog(bridge, vm, place=place)
        shown.append(window)
        window.show()
        qtbot.waitUntil(lambda: window.form is not None or window.frame.pages.count() == 3)
        return window

    yield show
    for window in shown:
        if shiboken6.isValid(window):
            window.deleteLater()


def draft_of(window: SettingsDialog) -> Draft:
    assert window.draft is not None
    return window.draft


def child(window: QWidget, name: str) -> QWidget:
    found = window.findChildren(QWidget, name)
    assert found, name
    return next((widget for widget in found if widget.isVisible()), found[0])


def click(window: QWidget, name: str) -> None:
    button = child(window, name)
    assert isinstance(button, QPushButton)
    assert button.isEnabled(), name
    button.click()


def question(qtbot: QtBot, window: QWidget, name: str = "confirm") -> QDialog:
    qtbot.waitUntil(lambda: window.findChild(QDialog, name) is not None)
    found = window.findChild(QDialog, name)
    assert isinstance(found, QDialog)
    return found


def set_title(window: SettingsDialog, text: str) -> None:
    window.show_place(Place("system", "", "title"))
    field = child(window, "option-title")
    assert isinstance(field, QLineEdit)
    field.selectAll()
    QTest.keyClicks(field, text)


def titles(window: SettingsDialog) -> list[str]:
    model = window.frame.list.model()
    return [str(model.index(row, 0).data()) for row in range(model.rowCount())]


def test_opens_with_its_parts_and_nothing_to_apply(open_settings: Open) -> None:
    window = open_settings()
    assert titles(window)[:4] == ["System", "Boot", "CPU", "Memory"]
    assert {"Drive vda", "Drive vdb", "CD drive sda"} <= set(titles(window))
    assert window.frame.title.text() == "System"
    assert window.windowTitle() == "Settings of “web”"
    assert not window.frame.apply_button.isEnabled()
    assert window.frame.later_button.isHidden()  # it is off: there is no later


def test_what_cannot_be_read_is_told_and_can_be_tried_again(
    qtbot: QtBot, fake_engine: FakeEngine, bridge: Bridge, key: VmKey
) -> None:
    fake_engine.fail_next(rq.ReadSettings, OperationError("The host did not answer."))
    vm = fake_engine.vm(key)
    assert vm is not None
    window = SettingsDialog(bridge, vm)
    qtbot.addWidget(window)
    window.show()
    qtbot.waitUntil(lambda: window.frame.strip.error is not None)
    window.frame.strip.retry.click()
    qtbot.waitUntil(lambda: window.form is not None)
    assert window.frame.strip.error is None


@pytest.mark.parametrize(
    ("text", "title"),
    [("usb", "USB controller"), ("bridge", f"Network card {NIC}"), ("boot order", "Boot"), ("cache vdb", "Drive vdb")],
)
def test_search_finds_the_page(open_settings: Open, text: str, title: str) -> None:
    window = open_settings()
    QTest.keyClicks(window.frame.search, text)
    assert title in titles(window)
    assert window.frame.title.text() in titles(window)
    window.frame.search.clear()
    assert len(titles(window)) > 10


def test_search_shows_the_page_that_is_meant_most(open_settings: Open) -> None:
    window = open_settings(place=Place("memory"))
    QTest.keyClicks(window.frame.search, "bridge")
    assert window.frame.title.text() == f"Network card {NIC}"


def test_search_for_nothing_says_so(open_settings: Open) -> None:
    window = open_settings()
    QTest.keyClicks(window.frame.search, "flux capacitor")
    assert titles(window) == []
    assert window.frame.nothing_found.isVisible()


def test_an_edit_reaches_the_draft_and_apply_stores_it(
    qtbot: QtBot, fake_engine: FakeEngine, open_settings: Open, key: VmKey
) -> None:
    window = open_settings()
    set_title(window, "Mail server")
    assert draft_of(window).domain.title == "Mail server"
    assert "1 change" in window.frame.status.text
    QTest.keyClick(window, Qt.Key.Key_S, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: not draft_of(window).is_changed)
    (request,) = fake_engine.requests_of(rq.ApplySettings)
    assert "<title>Mail server</title>" in request.xml
    assert request.base != request.xml
    assert request.live
    assert "<title>Mail server</title>" in fake_engine.settings.xml[key]
    assert window.frame.banner.text.startswith("Applied")


def test_apply_at_next_start_leaves_the_running_vm_alone(
    qtbot: QtBot, fake_engine: FakeEngine, open_settings: Open
) -> None:
    window = open_settings(VmState.RUNNING)
    set_title(window, "Mail server")
    click(window, "apply-later")
    qtbot.waitUntil(lambda: bool(window.pending))
    assert not fake_engine.requests_of(rq.ApplySettings)[0].live
    assert "next start" in window.frame.banner.text
    assert [change.place for change in window.pending] == [Place("system", "", "title")]


def test_what_waits_is_told_with_its_reason(qtbot: QtBot, open_settings: Open) -> None:
    window = open_settings(VmState.RUNNING)
    part = draft_of(window).part_at(Place("disk", "vda"))
    assert part is not None
    cache = next(option for option in part.resource.options if option.id == "cache")
    draft_of(window).set_value(part, cache, "none")
    window.apply()
    qtbot.waitUntil(lambda: bool(window.frame.banner.text))
    assert "QEMU cannot change this" in window.frame.banner.details
    qtbot.waitUntil(lambda: bool(window.pending))
    click(window, "banner-show-changes")
    assert child(window, "changes-page").isVisible()


def test_what_is_refused_is_told_and_nothing_is_lost(
    qtbot: QtBot, fake_engine: FakeEngine, open_settings: Open
) -> None:
    window = open_settings()
    set_title(window, "Mail server")
    fake_engine.fail_next(rq.ApplySettings, OperationError("libvirt refused it.", details="XML error"))
    window.apply()
    qtbot.waitUntil(lambda: window.frame.strip.error is not None)
    assert draft_of(window).domain.title == "Mail server"
    assert window.frame.apply_button.isEnabled()


def test_a_problem_stands_beside_its_field_and_keeps_apply_from_working(
    qtbot: QtBot, fake_engine: FakeEngine, open_settings: Open
) -> None:
    place = Place("system", "", "title")
    window = open_settings()
    fake_engine.settings.problems = (SettingProblem(place, "Somebody else is called that."),)
    set_title(window, "Mail server")
    qtbot.waitUntil(lambda: draft_of(window).problem_at(place) is not None)
    assert window.form is not None
    row = window.form.row("title")
    assert row is not None
    assert row.note.problem == "Somebody else is called that."
    assert not window.frame.apply_button.isEnabled()
    assert window.frame.status.problem == "System: Somebody else is called that."


def test_what_was_wrong_before_is_told_and_keeps_no_other_edit_back(
    qtbot: QtBot, fake_engine: FakeEngine, open_settings: Open
) -> None:
    place = Place("memory", "", "maximum")
    fake_engine.settings.problems = (SettingProblem(place, "The host has less memory than that."),)
    window = open_settings()
    qtbot.waitUntil(lambda: draft_of(window).problem_at(place) is not None)
    set_title(window, "Mail server")
    window.apply()
    qtbot.waitUntil(lambda: not draft_of(window).is_changed)
    assert draft_of(window).base.title == "Mail server"


def test_what_only_an_administrator_can_mend_comes_with_its_command(
    qtbot: QtBot, fake_engine: FakeEngine, open_settings: Open
) -> None:
    fake_engine.settings.problems = (
        SettingProblem(Place("disk", "vda", "cache"), "It cannot be read.", is_warning=True, command="sudo setfacl x"),
        SettingProblem(Place("disk", "vda", ""), "This drive is odd.", is_warning=True),
    )
    window = open_settings(place=Place("disk", "vda"))
    assert window.form is not None
    form = window.form
    qtbot.waitUntil(form.problem.isVisible)
    assert form.problem.note.problem == "This drive is odd."
    click(window, "copy-command")
    assert QGuiApplication.clipboard().text() == "sudo setfacl x"


def test_a_typed_value_that_is_none_is_refused_at_once(open_settings: Open) -> None:
    window = open_settings(place=Place("nic", NIC, "mac"))
    field = child(window, "option-mac")
    if not isinstance(field, QLineEdit):
        found = field.findChild(QLineEdit)
        assert isinstance(found, QLineEdit)
        field = found
    field.selectAll()
    QTest.keyClicks(field, "zz:zz")
    assert any(problem.place.option == "mac" for problem in draft_of(window).problems)
    assert not window.frame.apply_button.isEnabled()


def test_a_changed_row_says_what_it_was_and_reverts(open_settings: Open) -> None:
    window = open_settings()
    set_title(window, "Mail server")
    assert window.form is not None
    row = window.form.row("title")
    assert row is not None
    assert row.change is not None
    assert (row.change.old, row.change.new) == ("Web server", "Mail server")
    click(window, "revert-title")
    assert draft_of(window).domain.title == "Web server"
    assert not draft_of(window).is_changed


def test_focus_and_cursor_stay_when_the_device_is_called_something_else(open_settings: Open) -> None:
    window = open_settings(place=Place("nic", NIC, "mac"))
    field = window.focusWidget()
    if not isinstance(field, QLineEdit):
        pytest.skip("the MAC address has a widget of its own")
    field.setText("52:54:00:1a:2b:3")
    QTest.keyClicks(field, "d")  # whole again: the card has another identity, and a new form
    assert draft_of(window).part_at(Place("nic", "52:54:00:1a:2b:3d")) is not None
    now = window.focusWidget()
    assert isinstance(now, QLineEdit)
    assert now.objectName() == "option-mac"
    assert now.cursorPosition() == 17


def test_autostart_is_a_change_like_others(qtbot: QtBot, fake_engine: FakeEngine, open_settings: Open) -> None:
    window = open_settings()
    box = child(window, "option-autostart")
    assert isinstance(box, QCheckBox)
    box.click()
    assert [change.place for change in draft_of(window).changes()] == [AUTOSTART]
    window.apply()
    qtbot.waitUntil(lambda: not draft_of(window).is_changed)
    assert fake_engine.requests_of(rq.ApplySettings)[0].autostart is True


# --- devices ----------------------------------------------------------------------------------------------


def test_remove_and_take_it_back(open_settings: Open) -> None:
    window = open_settings(place=Place("disk", "vdb"))
    click(window, "remove")
    assert "Drive vdb" not in titles(window)
    assert window.frame.title.text() == "Drive vda"
    (change,) = draft_of(window).changes()
    assert change.kind is ChangeKind.REMOVED
    draft_of(window).revert(change)
    assert "Drive vdb" in titles(window)
    assert not draft_of(window).is_changed


def test_add_hardware_shows_what_is_new(qtbot: QtBot, open_settings: Open) -> None:
    window = open_settings()
    click(window, "add-hardware")
    dialog = question(qtbot, window, "add-hardware-dialog")
    search = child(dialog, "hardware-search")
    QTest.keyClicks(search, "network card")
    QTest.keyClick(search, Qt.Key.Key_Return)
    assert len(list(draft_of(window).domain.devices.interfaces)) == 2
    assert window.frame.title.text().startswith("Network card")
    assert NIC not in window.frame.title.text()


def test_what_cannot_be_added_says_why(qtbot: QtBot, open_settings: Open) -> None:
    from guivm.views.vm_settings.add_hardware import REFUSAL_ROLE, AddHardwareDialog

    window = open_settings()
    click(window, "add-hardware")
    dialog = question(qtbot, window, "add-hardware-dialog")
    assert isinstance(dialog, AddHardwareDialog)
    model = dialog.list.model()
    refused = [row for row in range(model.rowCount()) if model.index(row, 0).data(REFUSAL_ROLE)]
    assert refused
    dialog.list.setCurrentIndex(model.index(refused[0], 0))
    assert dialog.reason == model.index(refused[0], 0).data(REFUSAL_ROLE)
    assert child(dialog, "refusal").isVisible()
    assert not dialog.primary.isEnabled()
    dialog.reject()


def test_a_duplicated_disk_has_the_settings_and_no_file(open_settings: Open) -> None:
    window = open_settings(place=Place("disk", "vda"))
    click(window, "duplicate")
    disks = list(draft_of(window).domain.devices.disks)
    twin = next(disk for disk in disks if disk.target_dev == "vdc")
    assert twin.discard == "unmap"
    assert twin.path == ""
    assert twin.address_type is None
    assert window.frame.title.text() == "Drive vdc"
    assert "no file" in window.frame.banner.text
    assert disks[0].path.endswith("web.qcow2")


def test_a_duplicated_card_has_a_mac_address_of_its_own(open_settings: Open) -> None:
    window = open_settings(place=Place("nic", NIC))
    click(window, "duplicate")
    first, second = draft_of(window).domain.devices.interfaces
    assert first.mac == NIC
    assert second.mac not in (None, NIC)
    assert second.source_network == "default"


def test_one_form_at_a_time(open_settings: Open) -> None:
    window = open_settings()
    set_title(window, "Mail server")
    window.show_place(CHANGES)
    draft_of(window).revert(draft_of(window).changes()[0])
    window.show_place(Place("memory"))
    shown = [form for form in window.findChildren(OptionForm) if form.isVisible()]
    assert [form.part.resource.id for form in shown] == ["memory"]


# --- changes ----------------------------------------------------------------------------------------------


def test_changes_page_lists_both_kinds_and_reverts_one(qtbot: QtBot, open_settings: Open) -> None:
    from guivm.views.vm_settings.changes_page import ROW_ROLE, ChangesPage

    window = open_settings(VmState.RUNNING, live=with_difference(DOMAIN))
    qtbot.waitUntil(lambda: bool(window.pending))
    set_title(window, "Mail server")
    window.show_place(CHANGES)
    page = child(window, "changes-page")
    assert isinstance(page, ChangesPage)
    model = page.list.model()

    def rows() -> list[str]:
        return [str(model.index(row, 0).data()) for row in range(model.rowCount())]

    assert rows()[:2] == ["Not applied yet", "System: Title"]
    assert "Waits for the next start" in rows()
    waiting = next(r for r in range(model.rowCount()) if getattr(model.index(r, 0).data(ROW_ROLE), "waits", False))
    page.list.setCurrentIndex(model.index(waiting, 0))
    click(page, "revert-this")  # the running VM's value, into the definition
    assert len(draft_of(window).changes()) == 2
    page.list.setCurrentIndex(model.index(1, 0))
    QTest.keyClick(page.list, Qt.Key.Key_Delete)
    assert draft_of(window).domain.title == "Web server"


def test_changes_as_commands_hide_passwords(open_settings: Open) -> None:
    from guivm.views.vm_settings.commands import commands

    window = open_settings(place=Place("cpu"))
    draft = draft_of(window)
    draft.domain.vcpu.current = 3
    draft.touch()
    assert "virsh setvcpus web 3 --config" in commands(draft)
    draft.domain.devices.graphics[0].password = "another"
    draft.touch()
    text = commands(draft)
    assert "virsh define" in text
    assert "another" not in text


def test_shut_down_and_apply_stores_then_waits_for_the_guest(
    qtbot: QtBot, fake_engine: FakeEngine, open_settings: Open, key: VmKey
) -> None:
    window = open_settings(VmState.RUNNING)
    set_title(window, "Mail server")
    window.show_place(CHANGES)
    fake_engine.hold(rq.ShutDown)
    click(window, "restart-now")
    question(qtbot, window).accept()
    qtbot.waitUntil(lambda: bool(fake_engine.requests_of(rq.ShutDown)))
    assert not fake_engine.requests_of(rq.ApplySettings)[0].live
    assert not fake_engine.requests_of(rq.Start)
    assert "Waiting" in window.frame.banner.text
    fake_engine.release()  # the guest shuts down
    qtbot.waitUntil(lambda: bool(fake_engine.requests_of(rq.Start)))
    qtbot.waitUntil(lambda: window.frame.banner.text.startswith("Restarted"))
    vm = fake_engine.vm(key)
    assert vm is not None
    assert vm.state is VmState.RUNNING


def test_nothing_restarts_for_edits_that_cannot_be_stored(
    qtbot: QtBot, fake_engine: FakeEngine, open_settings: Open
) -> None:
    window = open_settings(VmState.RUNNING)
    fake_engine.settings.problems = (SettingProblem(Place("system", "", "title"), "Not that title."),)
    set_title(window, "Mail server")
    qtbot.waitUntil(lambda: bool(draft_of(window).problems))
    window.show_place(CHANGES)
    click(window, "restart-now")
    assert window.frame.strip.error is not None
    fake_engine.settings.problems = ()
    draft_of(window).set_problems(())
    window.apply()
    qtbot.waitUntil(lambda: not draft_of(window).is_changed)
    assert not fake_engine.requests_of(rq.ShutDown)


def test_a_restart_that_was_called_off_starts_nothing(
    qtbot: QtBot, fake_engine: FakeEngine, open_settings: Open, key: VmKey
) -> None:
    window = open_settings(VmState.RUNNING, live=with_difference(DOMAIN))
    qtbot.waitUntil(lambda: bool(window.pending))
    window.show_place(CHANGES)
    fake_engine.hold(rq.ShutDown)
    click(window, "restart-now")
    question(qtbot, window).accept()
    qtbot.waitUntil(lambda: bool(window.frame.banner.text))
    click(window, "banner-stop")
    with qtbot.waitSignal(window._bridge.vmsChanged):
        fake_engine.release()
    assert not fake_engine.requests_of(rq.Start)
    assert window.frame.banner.text == ""


def test_a_vm_is_started_again_though_its_settings_were_closed(
    qtbot: QtBot, fake_engine: FakeEngine, bridge: Bridge, key: VmKey
) -> None:
    fake_engine.change_vm(key, state=VmState.RUNNING)
    fake_engine.settings.put(key, DOMAIN, with_difference(DOMAIN))
    vm = fake_engine.vm(key)
    assert vm is not None
    owner = QWidget()
    qtbot.addWidget(owner)
    window = SettingsDialog(bridge, vm, owner, place=CHANGES)
    window.show()
    qtbot.waitUntil(lambda: bool(window.pending))
    fake_engine.hold(rq.ShutDown)
    window.restart.ask(start_again=True, applies_first=False)
    question(qtbot, window).accept()
    qtbot.waitUntil(lambda: bool(fake_engine.requests_of(rq.ShutDown)))
    with qtbot.waitSignal(window.destroyed):
        window.close()
    fake_engine.release()
    qtbot.waitUntil(lambda: bool(fake_engine.requests_of(rq.Start)))
    qtbot.waitUntil(lambda: not owner.children())


def test_new_images_are_made_first_and_taken_back_when_the_rest_is_refused(
    qtbot: QtBot, fake_engine: FakeEngine, open_settings: Open
) -> None:
    window = open_settings(place=Place("disk", "vdb"))
    draft = draft_of(window)
    disk = next(disk for disk in draft.domain.devices.disks if disk.target_dev == "vdb")
    disk.source_file = "/images/new.qcow2"
    draft.new_disks["/images/new.qcow2"] = NewDisk("/images/new.qcow2", 1 << 30)
    draft.touch()
    fake_engine.fail_next(rq.ApplySettings, OperationError("libvirt refused it."))
    window.apply()
    qtbot.waitUntil(lambda: window.frame.strip.error is not None)
    kinds = [type(r) for r in fake_engine.requests if isinstance(r, rq.CreateDisk | rq.ApplySettings | rq.DiscardDisk)]
    assert kinds == [rq.CreateDisk, rq.ApplySettings, rq.DiscardDisk]
    window.apply()
    qtbot.waitUntil(lambda: not draft.is_changed)
    assert not draft.new_disks
    assert len(fake_engine.requests_of(rq.DiscardDisk)) == 1


# --- other programs ---------------------------------------------------------------------------------------


def test_conflict_shows_both_sides_and_keeps_the_edits_on_top(
    qtbot: QtBot, fake_engine: FakeEngine, open_settings: Open, key: VmKey
) -> None:
    from guivm.views.vm_settings.conflict import ConflictDialog

    window = open_settings()
    set_title(window, "Mail server")
    fake_engine.settings.change_outside(key, "Reachable on port 8080", "Reachable on port 9090")
    window.apply()
    dialog = question(qtbot, window, "conflict")
    assert isinstance(dialog, ConflictDialog)
    assert "9090" in dialog.theirs.toPlainText()
    assert "Mail server" in dialog.ours.toPlainText()
    assert "Mail server" not in fake_engine.settings.xml[key]
    dialog.primary.click()
    qtbot.waitUntil(lambda: "9090" in (draft_of(window).domain.description or ""))
    assert draft_of(window).domain.title == "Mail server"
    window.apply()
    qtbot.waitUntil(lambda: not draft_of(window).is_changed)
    assert "9090" in fake_engine.settings.xml[key]
    assert "Mail server" in fake_engine.settings.xml[key]


def test_conflict_read_anew_gives_the_edits_up(
    qtbot: QtBot, fake_engine: FakeEngine, open_settings: Open, key: VmKey
) -> None:
    window = open_settings()
    set_title(window, "Mail server")
    fake_engine.settings.change_outside(key, "Web server", "File server")
    window.apply()
    dialog = question(qtbot, window, "conflict")
    click(dialog, "read-anew")
    qtbot.waitUntil(lambda: draft_of(window).domain.title == "File server")
    assert not draft_of(window).is_changed


def test_edits_that_have_no_place_any_more_are_named(
    qtbot: QtBot, fake_engine: FakeEngine, open_settings: Open, key: VmKey
) -> None:
    window = open_settings(place=Place("disk", "vdb"))
    part = draft_of(window).part_at(Place("disk", "vdb"))
    assert part is not None
    draft_of(window).set_value(part, next(o for o in part.resource.options if o.id == "cache"), "none")
    set_title(window, "Mail server")
    xml = fake_engine.settings.xml[key]
    start = xml.index("<disk", xml.index("<disk") + 1)
    fake_engine.settings.xml[key] = xml[:start] + xml[xml.index("</disk>", start) + len("</disk>") :]
    window.apply()
    click(question(qtbot, window, "conflict"), "primary")
    qtbot.waitUntil(lambda: bool(window.frame.banner.text))
    assert "1 of your edits" in window.frame.banner.text
    assert "Drive vdb" in window.frame.banner.details
    assert draft_of(window).domain.title == "Mail server"


def test_a_vm_that_starts_meanwhile_keeps_the_edits(
    qtbot: QtBot, fake_engine: FakeEngine, open_settings: Open, key: VmKey
) -> None:
    window = open_settings()
    set_title(window, "Mail server")
    fake_engine.change_vm(key, state=VmState.RUNNING)
    qtbot.waitUntil(lambda: draft_of(window).is_running)
    assert draft_of(window).domain.title == "Mail server"
    assert window.frame.later_button.isVisible()


def test_a_vm_that_is_gone_says_so(qtbot: QtBot, fake_engine: FakeEngine, open_settings: Open, key: VmKey) -> None:
    window = open_settings()
    fake_engine.remove_vm(key)
    qtbot.waitUntil(lambda: window.frame.strip.error is not None)
    assert not window.frame.apply_button.isEnabled()


# --- closing, keyboard, help ------------------------------------------------------------------------------


def test_closing_with_edits_asks_first(qtbot: QtBot, open_settings: Open) -> None:
    window = open_settings()
    set_title(window, "Mail server")
    window.close()
    dialog = question(qtbot, window)
    assert window.isVisible()
    dialog.reject()
    assert draft_of(window).domain.title == "Mail server"
    draft_of(window).revert_all()
    window.close()
    assert not window.isVisible()


def test_discarding_closes(qtbot: QtBot, open_settings: Open, fake_engine: FakeEngine) -> None:
    window = open_settings()
    set_title(window, "Mail server")
    window.close()
    with qtbot.waitSignal(window.destroyed):
        question(qtbot, window).accept()
    assert not fake_engine.requests_of(rq.ApplySettings)


def test_what_is_being_applied_is_waited_for(qtbot: QtBot, fake_engine: FakeEngine, open_settings: Open) -> None:
    window = open_settings()
    set_title(window, "Mail server")
    fake_engine.hold(rq.ApplySettings)
    window.apply()
    window.close()
    assert not window.isVisible()
    fake_engine.fail_held(OperationError("libvirt refused it."))
    qtbot.waitUntil(window.isVisible)
    assert window.frame.strip.error is not None


def test_the_focus_alone_leaves_no_page(qtbot: QtBot, open_settings: Open) -> None:
    window = open_settings(place=CHANGES)
    window.frame.list.setFocus()
    window.frame.search.setFocus()
    window.frame.list.setFocus()
    assert window.frame.title.text() == "Changes"
    QTest.keyClick(window.frame.list, Qt.Key.Key_Down)
    assert window.frame.title.text() == "Boot"


def test_keyboard_alone_is_enough(qtbot: QtBot, open_settings: Open) -> None:
    window = open_settings()
    QTest.keyClick(window, Qt.Key.Key_F, Qt.KeyboardModifier.ControlModifier)
    assert window.frame.search.hasFocus() or window.focusWidget() is window.frame.search
    QTest.keyClicks(window.frame.search, "title")
    assert window.frame.title.text() == "System"
    window.frame.list.setFocus()
    window.frame.search.clear()
    QTest.keyClick(window.frame.list, Qt.Key.Key_Down)
    assert window.frame.title.text() == "Boot"
    seen = set()
    for _ in range(40):
        QTest.keyClick(window.focusWidget(), Qt.Key.Key_Tab)
        focused = window.focusWidget()
        seen.add(focused.objectName())
    assert {"search", "parts", "add-hardware", "help", "close"} <= seen


def test_help_opens_beside_and_closes_with_escape(qtbot: QtBot, open_settings: Open) -> None:
    from guivm.views.vm_settings.help_page import HelpWindow

    window = open_settings(place=Place("disk", "vda"))
    click(window, "help")
    panel = window.findChild(HelpWindow)
    assert isinstance(panel, HelpWindow)
    assert not panel.isModal()
    assert len(panel.browser.toPlainText()) > 100
    click(window, "help")
    assert len(window.findChildren(HelpWindow)) == 1
    QTest.keyClick(panel, Qt.Key.Key_Escape)
    assert not panel.isVisible()


def test_everything_can_be_reached_by_name(open_settings: Open) -> None:
    window = open_settings(VmState.RUNNING, live=with_difference(DOMAIN))
    for place in (Place("system"), Place("disk", "vda"), Place("nic", NIC), CHANGES, XML):
        window.show_place(place)
        for kind in (QPushButton, QLineEdit, QCheckBox):
            for widget in window.findChildren(kind):
                inner = isinstance(widget.parent(), QComboBox) or widget.objectName().startswith("qt_")
                if widget.isVisible() and not inner:
                    assert widget.objectName(), widget
                    assert widget.accessibleName() or widget.property("text"), widget.objectName()
