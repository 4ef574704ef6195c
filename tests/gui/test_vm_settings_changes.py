"""The settings window: what is not applied yet, what waits for the next start, and what others did meanwhile."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from guivm.engine import requests as rq
from guivm.engine.networks.values import NetworkMode, NetworkSpec
from guivm.engine.options.new_disks import NewDisk
from guivm.engine.options.values import Place, SettingProblem
from guivm.engine.types import VmKey, VmState
from guivm.errors import OperationError
from guivm.views.bridge import Bridge
from guivm.views.dialogs.networks import NetworksDialog
from guivm.views.vm_settings.command_page import CommandView
from guivm.views.vm_settings.dialog import CHANGES, SettingsDialog
from guivm.views.vm_settings.nic_mode import NicModeEditor
from tests.helpers.fake_engine import LOCAL, FakeEngine
from tests.helpers.settings_stage import DOMAIN, with_difference
from tests.helpers.settings_window import Open, child, click, draft_of, question, set_title

NIC = "52:54:00:1a:2b:3c"


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


def test_the_command_line_of_qemu_follows_the_edits(
    qtbot: QtBot, fake_engine: FakeEngine, open_settings: Open, key: VmKey
) -> None:
    window = open_settings()
    set_title(window, "Mail server")
    window.show_place(CHANGES)
    click(window, "show-commands")
    view = window.findChild(CommandView)
    assert isinstance(view, CommandView)
    assert "virsh desc" in view.virsh.toPlainText()
    assert fake_engine.requests_of(rq.ReadQemuCommand) == []  # until somebody wants to see it
    view.chooser.button("qemu").click()
    qtbot.waitUntil(lambda: "starts no QEMU" in view.note.problem)
    fake_engine.qemu_command = "qemu \\\n  -S"
    draft_of(window).domain.title = "Another"
    draft_of(window).touch()
    qtbot.waitUntil(lambda: view.qemu.toPlainText() == fake_engine.qemu_command)
    assert view.note.problem == ""
    assert fake_engine.requests_of(rq.ReadQemuCommand)[-1] == rq.ReadQemuCommand(key, draft_of(window).xml)
    click(window, "copy-commands")
    assert QGuiApplication.clipboard().text() == fake_engine.qemu_command
    view.chooser.button("virsh").click()
    click(window, "copy-commands")
    assert "virsh desc" in QGuiApplication.clipboard().text()


def test_networks_made_elsewhere_are_offered_and_the_edits_stay(
    qtbot: QtBot, fake_engine: FakeEngine, open_settings: Open
) -> None:
    window = open_settings()
    set_title(window, "Mail server")
    window.show_place(Place("nic", NIC, "mode"))
    mode = window.findChild(NicModeEditor)
    assert isinstance(mode, NicModeEditor)
    click(window, "virtual-networks")
    (networks,) = window.findChildren(NetworksDialog)
    assert networks.host == LOCAL
    fake_engine.submit(rq.CreateNetwork(LOCAL, NetworkSpec("made-there", NetworkMode.NAT, "10.7.0.1/24"))).result(5)
    qtbot.waitUntil(lambda: "made-there" in {fact.name for fact in draft_of(window).settings.facts.networks})
    assert fake_engine.requests_of(rq.ReadNetworkFacts)
    if mode.cards.current != "network":
        mode.cards.button("network").click()
    assert "network:made-there" in {item.value for item in mode.boxes["network"].items}
    assert draft_of(window).domain.title == "Mail server"


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
