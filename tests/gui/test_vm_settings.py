"""The settings window: what a person does in it reaches the draft and, when applied, the engine."""

from __future__ import annotations

import pytest
import shiboken6
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QCheckBox, QComboBox, QLabel, QLineEdit, QPushButton
from pytestqt.qtbot import QtBot

from guivm.engine import requests as rq
from guivm.engine.jobs import JobState
from guivm.engine.options.phrase import Phrase
from guivm.engine.options.values import AccessFix, ChangeKind, EditFix, Place, SettingProblem
from guivm.engine.types import VmKey, VmState
from guivm.errors import OperationError
from guivm.views.bridge import Bridge
from guivm.views.forms import NoteLine
from guivm.views.vm_settings.dialog import CHANGES, XML, SettingsDialog
from guivm.views.vm_settings.draft import AUTOSTART
from guivm.views.vm_settings.form import OptionForm
from tests.helpers.fake_engine import FakeEngine
from tests.helpers.settings_stage import DOMAIN, with_difference
from tests.helpers.settings_window import Open, child, click, draft_of, question, set_title, titles

NIC = "52:54:00:1a:2b:3c"


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


def test_an_edit_that_mends_a_problem_is_made_by_its_button(
    qtbot: QtBot, fake_engine: FakeEngine, open_settings: Open
) -> None:
    place = Place("nic", NIC, "mac")
    fix = EditFix(place, "52:54:00:00:00:01", Phrase("New address"))
    fake_engine.settings.problems = (SettingProblem(place, "“mail” has this address, too.", is_warning=True, fix=fix),)
    window = open_settings(place=place)
    qtbot.waitUntil(lambda: child(window, "fix-problem").isVisible())
    button = child(window, "fix-problem")
    assert isinstance(button, QPushButton)
    assert (button.text(), button.accessibleName()) == ("New address", "New address")
    fake_engine.settings.problems = ()
    click(window, "fix-problem")
    assert draft_of(window).domain.devices.interfaces[0].mac == "52:54:00:00:00:01"
    qtbot.waitUntil(lambda: draft_of(window).problems == ())


def test_access_is_given_by_the_command_that_is_shown(
    qtbot: QtBot, fake_engine: FakeEngine, open_settings: Open
) -> None:
    place = Place("disk", "vda", "source")
    fix = AccessFix("libvirt-qemu", "x", ("/home/me", "/home/me/vms"))
    fake_engine.settings.problems = (SettingProblem(place, "QEMU may not enter “/home/me”.", fix=fix),)
    window = open_settings(place=place)
    qtbot.waitUntil(lambda: child(window, "fix-problem").isVisible())
    click(window, "copy-command")
    assert QGuiApplication.clipboard().text() == "setfacl -m u:libvirt-qemu:x -- /home/me /home/me/vms"
    undo = child(window, "fix-undo")
    assert isinstance(undo, QLabel)
    assert "setfacl -x u:libvirt-qemu -- /home/me /home/me/vms" in undo.text()
    fake_engine.fail_next(rq.GiveAccess, OperationError("Access could not be given.", advice="Move it."))
    click(window, "fix-problem")
    remedy = child(window, "remedy")
    qtbot.waitUntil(lambda: any("could not be given" in note.text for note in remedy.findChildren(NoteLine)))
    fake_engine.settings.problems = ()
    click(window, "fix-problem")
    qtbot.waitUntil(lambda: draft_of(window).problems == ())
    assert [request.fix for request in fake_engine.requests if isinstance(request, rq.GiveAccess)] == [fix, fix]
    qtbot.waitUntil(lambda: not remedy.isVisible())


def test_the_window_goes_while_an_image_is_being_made(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, open_settings: Open
) -> None:
    window = open_settings()
    resource = next(part.resource for part in draft_of(window).parts() if part.resource.id == "disk")
    draft_of(window).add(resource)
    (plan,) = draft_of(window).planned_disks()
    fake_engine.hold(rq.CreateDisk)
    window.apply()
    qtbot.waitUntil(lambda: any(isinstance(request, rq.CreateDisk) for request in fake_engine.requests))
    (job,) = fake_engine.held_jobs()
    shiboken6.delete(window)
    assert job.cancel_requested
    fake_engine.release()
    qtbot.waitUntil(lambda: job.info.state.is_final)
    if job.info.state is JobState.DONE:  # too late to be stopped
        qtbot.waitUntil(lambda: [r.created.path for r in fake_engine.requests_of(rq.DiscardDisk)] == [plan.path])
    assert not any(isinstance(request, rq.ApplySettings) for request in fake_engine.requests)


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
    assert refused == list(range(refused[0], model.rowCount())), "what can be had comes first"
    assert str(model.index(refused[0], 0).data(REFUSAL_ROLE)) in model.index(refused[0], 0).data(
        Qt.ItemDataRole.ToolTipRole
    )
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
