"""What is in a drive, and what is booted first: the widgets of single options."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import shiboken6
from PySide6.QtCore import QObject, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from guivm.engine import requests as rq
from guivm.engine.options.boot import boot_order
from guivm.engine.options.new_disks import CreatedDisk, ImageSize, NewDisk
from guivm.engine.types import VmKey
from guivm.errors import GuivmError, OperationError
from guivm.views.bridge import Bridge
from guivm.views.vm_settings.boot_order import BootOrderEditor
from guivm.views.vm_settings.disk_source import DiskSourceEditor
from guivm.views.vm_settings.draft import NEW_DISK_BYTES, Draft
from guivm.views.vm_settings.new_disk_jobs import NewDiskJobs
from guivm.views.vm_settings.registry import CustomEditor
from guivm.views.vm_settings.services import EditorServices
from tests.helpers.editors_stage import MAC, MACHINE, make_draft, make_form, part_of, problem
from tests.helpers.fake_engine import FakeEngine

PASSPHRASE = "correct horse battery"
Show = Callable[..., CustomEditor]


@pytest.fixture
def stage(qtbot: QtBot) -> QWidget:
    widget = QWidget()
    widget.resize(800, 800)
    qtbot.addWidget(widget)
    return widget


def editor(stage: QWidget, draft: Draft, resource: str, option: str, index: int = 0) -> CustomEditor:
    form = make_form(draft, resource, stage, index)
    stage.show()
    row = form.row(option)
    assert row is not None
    found = row.editor
    assert isinstance(found, CustomEditor)
    return found


def source_of(stage: QWidget, draft: Draft, resource: str = "disk") -> DiskSourceEditor:
    found = editor(stage, draft, resource, "source")
    assert isinstance(found, DiskSourceEditor)
    return found


# --- drives -----------------------------------------------------------------------------------------------


def test_a_drive_shows_its_image_and_takes_another(stage: QWidget) -> None:
    draft = make_draft()
    source = source_of(stage, draft)
    assert (source.cards.current, source.file.path()) == ("file", Path("/images/debian.qcow2"))
    source.file.edit.setText("/images/other.qcow2")
    assert draft.domain.devices.disks[0].path == "/images/other.qcow2"
    source.file.edit.setText("other.qcow2")
    assert "absolute" in problem(draft, source.part, "source")
    assert draft.domain.devices.disks[0].path == "/images/other.qcow2"


def test_a_new_image_is_planned_and_named_in_the_definition(stage: QWidget) -> None:
    draft = make_draft()
    source = source_of(stage, draft)
    source.cards.button("new").click()
    assert draft.planned_disks() == (NewDisk("/images/Debian-vda.qcow2", NEW_DISK_BYTES),)
    source.new.amount.setValue(1024)
    source.new.format.picked.emit("raw")
    source.new.format.show_value("raw")
    source.new.preallocation.show_value("full")
    source.new.path.edit.setText("/images/fast.raw")
    assert draft.planned_disks() == (NewDisk("/images/fast.raw", 1 << 30, "raw", "full"),)
    disk = draft.domain.devices.disks[0]
    assert (disk.source_file, disk.driver_type) == ("/images/fast.raw", "raw")
    assert not source.new.encrypt.isEnabled()


def test_going_back_to_the_image_that_was_there_forgets_the_plan(stage: QWidget) -> None:
    draft = make_draft()
    source = source_of(stage, draft)
    source.cards.button("new").click()
    source.cards.button("file").click()
    assert draft.planned_disks() == ()
    assert not draft.is_changed
    assert source.cards.current == "file"


def test_an_encrypted_image_needs_its_passphrase_twice_and_it_stays_out_of_the_definition(stage: QWidget) -> None:
    draft = make_draft()
    source = source_of(stage, draft)
    source.cards.button("new").click()
    source.new.encrypt.click()
    assert "8 characters" in problem(draft, source.part, "source")
    source.new.first.setFocus()
    QTest.keyClicks(source.new.first, PASSPHRASE)
    assert "not the same" in problem(draft, source.part, "source")
    QTest.keyClicks(source.new.second, PASSPHRASE)
    assert problem(draft, source.part, "source") == ""
    (planned,) = draft.planned_disks()
    assert (planned.passphrase, planned.is_encrypted) == (PASSPHRASE, True)
    encryption = draft.domain.devices.disks[0].source.encryption
    assert (encryption.format, encryption.secret_uuid) == ("luks", planned.secret_uuid)
    assert PASSPHRASE not in draft.xml
    assert PASSPHRASE not in repr(draft.planned_disks())
    assert not any(PASSPHRASE in change.new for change in draft.changes())
    source.cards.button("file").click()
    assert not draft.domain.devices.disks[0].source.encryption.exists


def test_another_form_of_the_same_plan_shows_it_whole(stage: QWidget) -> None:
    draft = make_draft()
    source = source_of(stage, draft)
    source.cards.button("new").click()
    source.new.amount.setValue(2048)
    again = source_of(stage, draft)
    assert again.cards.current == "new"
    assert again.new.disk() == draft.planned_disks()[0]


def test_a_drive_that_is_added_gets_a_new_image(stage: QWidget) -> None:
    draft = make_draft()
    part = draft.add(part_of(draft, "disk").resource)
    assert [disk.path for disk in draft.planned_disks()] == [part.node.source_file]  # type: ignore[attr-defined]
    form = make_form(draft, "disk", stage, 1)
    row = form.row("source")
    assert row is not None
    assert isinstance(row.editor, DiskSourceEditor)
    assert row.editor.cards.current == "new"


def test_a_block_device_must_be_one(stage: QWidget) -> None:
    draft = make_draft()
    source = source_of(stage, draft)
    source.cards.button("block").click()
    assert "Choose" in problem(draft, source.part, "source")
    source.device.edit.setText("/images/debian.qcow2")
    assert "/dev/" in problem(draft, source.part, "source")
    source.device.edit.setText("/dev/vg/debian")
    disk = draft.domain.devices.disks[0]
    assert (disk.type, disk.source_dev, problem(draft, source.part, "source")) == ("block", "/dev/vg/debian", "")


def test_a_cd_is_ejected_and_put_back(stage: QWidget) -> None:
    draft = make_draft()
    source = source_of(stage, draft, "cdrom")
    assert source.cards.button("new").isHidden() or not source.cards.button("new").isVisible()
    source.cards.button("empty").click()
    assert draft.domain.devices.disks[1].path == ""
    source.cards.button("file").click()
    assert draft.domain.devices.disks[1].path == "/images/netinst.iso"


def test_a_network_disk_is_shown_and_left_alone(stage: QWidget) -> None:
    xml = MACHINE.replace("<disk type='file' device='disk'>", "<disk type='network' device='disk'>").replace(
        "<source file='/images/debian.qcow2'/>", "<source protocol='rbd' name='pool/image'/>"
    )
    draft = make_draft(xml)
    source = source_of(stage, draft)
    assert source.cards.current == "other"
    assert not draft.is_changed


class _Answers(EditorServices):
    """Tells of every image what a test wants."""

    def __init__(self, bridge: Bridge, parent: QObject, answer: ImageSize | GuivmError) -> None:
        super().__init__(bridge, VmKey(bridge.engine.hosts()[0].id, "0"), parent)
        self.answer = answer
        self.asked: list[Path] = []

    def measure(
        self,
        path: Path,
        owner: QObject,
        done: Callable[[ImageSize], None],
        failed: Callable[[GuivmError], None],
    ) -> None:
        self.asked.append(path)
        if isinstance(self.answer, GuivmError):
            failed(self.answer)
        else:
            done(self.answer)


def test_real_and_virtual_size_stand_side_by_side(qtbot: QtBot, stage: QWidget, bridge: Bridge) -> None:
    draft = make_draft()
    size = ImageSize("/images/debian.qcow2", "qcow2", 20 << 30, 3_650_722_201, is_encrypted=True, backing="base.img")
    draft.services = services = _Answers(bridge, draft, size)
    source = source_of(stage, draft)
    qtbot.waitUntil(lambda: bool(services.asked))
    words = source.sizes.text()
    assert "20 GiB for the guest" in words
    assert "3.4 GiB on the host" in words
    assert "base.img" in words
    assert not source.passphrase_line.isHidden()
    QTest.keyClicks(source.passphrase, PASSPHRASE)
    assert draft.known_passphrases() == (("/images/debian.qcow2", PASSPHRASE),)
    assert draft.domain.devices.disks[0].source.encryption.format == "luks"
    assert PASSPHRASE not in draft.xml


def test_an_image_that_cannot_be_read_says_why(qtbot: QtBot, stage: QWidget, bridge: Bridge) -> None:
    draft = make_draft()
    draft.services = services = _Answers(bridge, draft, OperationError("You may not read the file."))
    source = source_of(stage, draft)
    qtbot.waitUntil(lambda: bool(services.asked))
    assert source.sizes.text() == "You may not read the file."


# --- making them ------------------------------------------------------------------------------------------


@pytest.fixture
def key(fake_engine: FakeEngine) -> VmKey:
    return fake_engine.add_vm("Debian")


PLANS = (NewDisk("/images/a.qcow2", 1 << 30), NewDisk("/images/b.qcow2", 1 << 30))


def test_images_are_made_one_after_the_other(qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, key: VmKey) -> None:
    jobs = NewDiskJobs(bridge, key, bridge)
    with qtbot.waitSignal(jobs.ready):
        jobs.make(PLANS)
    assert [r.disk.path for r in fake_engine.requests if isinstance(r, rq.CreateDisk)] == [p.path for p in PLANS]
    draft = make_draft()
    draft.new_disks = {plan.path: plan for plan in PLANS}
    jobs.keep(draft)
    assert draft.new_disks == {}
    jobs.take_back()
    assert not any(isinstance(request, rq.DiscardDisk) for request in fake_engine.requests)


def test_when_the_settings_are_refused_they_go_again(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, key: VmKey
) -> None:
    jobs = NewDiskJobs(bridge, key, bridge)
    with qtbot.waitSignal(jobs.ready):
        jobs.make(PLANS)
    jobs.take_back()
    made = [request.created for request in fake_engine.requests if isinstance(request, rq.DiscardDisk)]
    assert made == [CreatedDisk(plan.path, 1, 2) for plan in PLANS]


def test_one_that_cannot_be_made_is_told(qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, key: VmKey) -> None:
    fake_engine.fail_next(rq.CreateDisk, OperationError("The new disk could not be created."))
    jobs = NewDiskJobs(bridge, key, bridge)
    with qtbot.waitSignal(jobs.failed) as caught:
        jobs.make(PLANS)
    assert isinstance(caught.args[0], OperationError)


def test_the_dialog_goes_while_an_image_is_being_made(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, key: VmKey
) -> None:
    """What was made before, and what is made all the same, is discarded."""
    fake_engine.hold(rq.CreateDisk)
    dialog = QObject(bridge)
    jobs = NewDiskJobs(bridge, key, dialog)
    ready: list[None] = []
    jobs.ready.connect(lambda: ready.append(None))
    jobs.make(PLANS)
    fake_engine.release()
    fake_engine.hold(rq.CreateDisk)
    qtbot.waitUntil(lambda: sum(isinstance(r, rq.CreateDisk) for r in fake_engine.requests) == 2)
    shiboken6.delete(dialog)
    fake_engine.release()

    def discarded() -> list[str]:
        return [request.created.path for request in fake_engine.requests if isinstance(request, rq.DiscardDisk)]

    qtbot.waitUntil(lambda: PLANS[0].path in discarded())
    assert set(discarded()) <= {plan.path for plan in PLANS}
    assert ready == []


def test_one_that_nobody_could_stop_any_more_is_discarded(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, key: VmKey
) -> None:
    dialog = QObject(bridge)
    jobs = NewDiskJobs(bridge, key, dialog)
    jobs.make(PLANS[:1])  # answered at once; the window has not heard of it yet
    shiboken6.delete(dialog)
    qtbot.waitUntil(lambda: any(isinstance(request, rq.DiscardDisk) for request in fake_engine.requests))


def test_nothing_to_make_is_ready_at_once(qtbot: QtBot, bridge: Bridge, key: VmKey) -> None:
    jobs = NewDiskJobs(bridge, key, bridge)
    with qtbot.waitSignal(jobs.ready):
        jobs.make(())


# --- boot order -------------------------------------------------------------------------------------------


def boot_of(stage: QWidget, draft: Draft) -> BootOrderEditor:
    found = editor(stage, draft, "boot", "order")
    assert isinstance(found, BootOrderEditor)
    return found


def test_kinds_are_shown_as_their_devices_and_nothing_is_written_by_looking(stage: QWidget) -> None:
    draft = make_draft()
    boot = boot_of(stage, draft)
    assert boot.model.words() == ["sda", "vda"]
    titles = [entry.title for entry in boot.model.entries]
    assert titles[:3] == ["CD drive sda · netinst.iso", "Drive vda · debian.qcow2", f"Network card {MAC}"]
    assert not draft.is_changed
    assert boot.kinds.text().startswith("So far only “CD” and “disk” are said;")
    assert not boot.kinds.isHidden()


def test_moved_by_keyboard_each_device_gets_its_number(stage: QWidget) -> None:
    draft = make_draft()
    boot = boot_of(stage, draft)
    boot.list.setFocus()
    boot.list.setCurrentIndex(boot.model.index(0))
    QTest.keyClick(boot.list, Qt.Key.Key_Down, Qt.KeyboardModifier.AltModifier)
    assert boot_order(draft.domain) == ("vda", "sda")
    assert len(draft.domain.os.boot_devices) == 0
    assert boot.list.currentIndex().row() == 1
    QTest.keyClick(boot.list, Qt.Key.Key_Up, Qt.KeyboardModifier.AltModifier)
    assert boot_order(draft.domain) == ("sda", "vda")


def test_a_box_is_ticked_with_the_space_bar(stage: QWidget) -> None:
    draft = make_draft()
    boot = boot_of(stage, draft)
    boot.list.setCurrentIndex(boot.model.index(2))
    QTest.keyClick(boot.list, Qt.Key.Key_Space)
    assert boot_order(draft.domain) == ("sda", "vda", MAC)
    boot.list.setCurrentIndex(boot.model.index(0))
    QTest.keyClick(boot.list, Qt.Key.Key_Space)
    assert boot_order(draft.domain) == ("vda", MAC)
    assert [entry.word for entry in boot.model.entries][:3] == ["sda", "vda", MAC], "rows stay where they are"


def test_dropped_between_others(stage: QWidget) -> None:
    draft = make_draft()
    boot = boot_of(stage, draft)
    parent = boot.list.rootIndex()
    assert boot.model.moveRows(parent, 1, 1, parent, 0)
    assert boot_order(draft.domain) == ("vda", "sda")
    assert not boot.model.moveRows(parent, 0, 1, parent, 99)


def test_what_is_read_out_says_place_and_device(stage: QWidget) -> None:
    boot = boot_of(stage, make_draft())
    spoken = [boot.model.index(row).data(Qt.ItemDataRole.AccessibleTextRole) for row in (0, 2)]
    assert spoken[0].endswith("tried as number 1")
    assert spoken[1].endswith("not booted from")


def test_a_definition_that_says_both_is_mended_by_the_next_change(stage: QWidget) -> None:
    xml = MACHINE.replace("<target dev='vda' bus='virtio'/>", "<target dev='vda' bus='virtio'/><boot order='1'/>")
    draft = make_draft(xml)
    boot = boot_of(stage, draft)
    assert "twice" in boot.kinds.text()
    boot.list.setCurrentIndex(boot.model.index(1))
    QTest.keyClick(boot.list, Qt.Key.Key_Space)
    assert len(draft.domain.os.boot_devices) == 0
    assert "twice" not in boot.kinds.text()
