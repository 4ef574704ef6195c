"""The New VM page: the requests it emits, the problems it shows, the answers it drops."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import shiboken6
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QAbstractSlider, QAbstractSpinBox, QComboBox, QLineEdit, QWidget
from pytestqt.qtbot import QtBot

from guivm.engine.job_types import (
    DiskSource,
    FieldProblem,
    Firmware,
    IsoSource,
    KernelSource,
    KvmStatus,
    MediaInfo,
    MediaKind,
    NetworkSource,
    NewVmField,
    NoSource,
    VirtType,
)
from guivm.engine.jobs import JobProgress
from guivm.engine.requests import CheckNewVm, CreateVm, InspectMedia, ReadCapabilities, Start
from guivm.engine.types import HostId, HostState, VmKey
from guivm.errors import CancelledError, HostError, ImageError, OperationError
from guivm.views.bridge import Bridge
from guivm.views.dialogs.new_vm import NewVmDialog
from guivm.views.dialogs.new_vm_form import SourceKind
from guivm.views.forms import Tone
from guivm.views.settings import Settings
from tests.helpers.fake_engine import GIB, LOCAL, FakeEngine

ISO = Path("/isos/debian-12.5.0-amd64-netinst.iso")
Open = Callable[[], NewVmDialog]


@pytest.fixture
def open_dialog(qtbot: QtBot, bridge: Bridge, settings: Settings, fake_engine: FakeEngine) -> Iterator[Open]:
    parent = QWidget()
    qtbot.addWidget(parent)

    def make() -> NewVmDialog:
        dialog = NewVmDialog(bridge, settings, fake_engine.hosts(), parent)
        dialog.open()
        return dialog

    yield make
    parent.close()


def checks(engine: FakeEngine) -> list[CheckNewVm]:
    return engine.requests_of(CheckNewVm)


def wait_checked(qtbot: QtBot, dialog: NewVmDialog, engine: FakeEngine) -> None:
    """Until the host's abilities are known and the page as it is now has been checked and answered."""
    qtbot.waitUntil(lambda: "16\u00a0GiB" in dialog.page.memory_row.note.text and dialog.checked)
    assert checks(engine)[-1].spec == dialog.page.spec()


def test_defaults_suit_the_host(qtbot: QtBot, open_dialog: Open, fake_engine: FakeEngine) -> None:
    fake_engine.add_vm("New VM")
    fake_engine.capabilities = replace(fake_engine.capabilities, memory_bytes=4 * GIB, cpus=1)
    dialog = open_dialog()
    assert fake_engine.requests_of(ReadCapabilities) == [ReadCapabilities(LOCAL)]
    assert dialog.page.virt_row.note.text == "Checking what this computer can do…"
    qtbot.waitUntil(lambda: dialog.page.memory.mib() == 1024)
    assert dialog.page.cpus.value() == 1
    spec = dialog.page.spec()
    assert spec is not None
    assert spec.name == "New VM 2"
    assert spec.disk_bytes == 20 * GIB
    assert spec.firmware is Firmware.BIOS
    assert spec.virt_type is VirtType.TCG
    assert dialog.start_after.isChecked()


def test_kvm_is_greyed_with_the_reason(qtbot: QtBot, open_dialog: Open, fake_engine: FakeEngine) -> None:
    dialog = open_dialog()
    kvm = dialog.page.virt.button(VirtType.KVM)
    qtbot.waitUntil(lambda: not kvm.isEnabled())
    assert "no hardware virtualisation" in dialog.page.virt_row.note.text
    assert "no hardware virtualisation" in kvm.accessibleDescription()


def test_kvm_is_chosen_where_it_can_be_used(qtbot: QtBot, open_dialog: Open, fake_engine: FakeEngine) -> None:
    fake_engine.capabilities = replace(fake_engine.capabilities, kvm=KvmStatus(True, ""))
    fake_engine.hold(ReadCapabilities)
    dialog = open_dialog()
    fake_engine.release()
    qtbot.waitUntil(lambda: "8 at once" in dialog.page.cpus_row.note.text)
    assert dialog.page.virt.value() is VirtType.KVM
    assert dialog.page.virt.button(VirtType.KVM).isEnabled()


def test_uefi_is_greyed_with_the_reason(qtbot: QtBot, open_dialog: Open, fake_engine: FakeEngine) -> None:
    fake_engine.capabilities = replace(fake_engine.capabilities, has_uefi=False, uefi_reason="Install “ovmf”.")
    dialog = open_dialog()
    qtbot.waitUntil(lambda: not dialog.page.firmware.button(Firmware.UEFI).isEnabled())
    assert "Install “ovmf”." in dialog.page.firmware_row.note.text


def test_what_the_person_set_outlives_the_capabilities(
    qtbot: QtBot, open_dialog: Open, fake_engine: FakeEngine
) -> None:
    fake_engine.hold(ReadCapabilities)
    dialog = open_dialog()
    dialog.page.memory.set_mib(3072)
    dialog.page.cpus.setValue(5)
    fake_engine.release()
    qtbot.waitUntil(lambda: "16" in dialog.page.memory_row.note.text)
    assert (dialog.page.memory.mib(), dialog.page.cpus.value()) == (3072, 5)


def test_without_capabilities_the_page_stays_usable(qtbot: QtBot, open_dialog: Open, fake_engine: FakeEngine) -> None:
    fake_engine.fail_next(ReadCapabilities, HostError("The host does not answer.", details="libvirt: timeout"))
    dialog = open_dialog()
    qtbot.waitUntil(lambda: dialog.strip.error is not None)
    assert dialog.page.isEnabled()
    dialog.page.kind.set_value(SourceKind.NOTHING)
    assert dialog.primary.isEnabled()


def test_missing_source_disables_create_and_says_so(qtbot: QtBot, open_dialog: Open) -> None:
    dialog = open_dialog()
    assert not dialog.primary.isEnabled()
    assert dialog.reason == "Choose the ISO image to install from."
    assert dialog.status.text == dialog.reason
    # An untouched field is not marked wrong.
    assert dialog.page.iso_row.problem == ""
    dialog.page.iso.edit.setText("relative.iso")
    assert dialog.page.iso_row.problem == dialog.reason == "Give the whole path, beginning with “/”."


@pytest.mark.parametrize("kind", [SourceKind.NETWORK, SourceKind.NOTHING])
def test_sources_without_a_file_can_be_created_at_once(open_dialog: Open, kind: SourceKind) -> None:
    dialog = open_dialog()
    dialog.page.kind.set_value(kind)
    assert dialog.primary.isEnabled()
    spec = dialog.page.spec()
    assert spec is not None
    assert spec.source == (NetworkSource() if kind is SourceKind.NETWORK else NoSource())


def test_preselected_file_names_the_vm_and_says_what_it_is(
    qtbot: QtBot, open_dialog: Open, fake_engine: FakeEngine
) -> None:
    dialog = open_dialog()
    dialog.preselect(ISO)
    assert dialog.page.name.text() == "debian-12.5.0-amd64-netinst"
    wait_checked(qtbot, dialog, fake_engine)
    assert fake_engine.requests_of(InspectMedia) == [InspectMedia(LOCAL, ISO)]
    qtbot.waitUntil(lambda: dialog.page.iso_row.note.text == "ISO image, 4\u00a0GiB")
    assert dialog.primary.isEnabled()


def test_header_decides_what_a_preselected_file_is(qtbot: QtBot, open_dialog: Open, fake_engine: FakeEngine) -> None:
    path = Path("/images/strange.iso")
    fake_engine.media[path] = MediaInfo(path, MediaKind.DISK, "qcow2", 10 * GIB)
    dialog = open_dialog()
    dialog.preselect(path)
    qtbot.waitUntil(lambda: dialog.page.kind.value() is SourceKind.DISK)
    assert dialog.page.source() == DiskSource(path)
    assert not dialog.page.disk_on.isChecked()
    qtbot.waitUntil(lambda: "qcow2" in dialog.page.image_row.note.text)


def test_wrong_kind_of_file_is_said_beside_the_field(qtbot: QtBot, open_dialog: Open, fake_engine: FakeEngine) -> None:
    path = Path("/images/disk.qcow2")
    dialog = open_dialog()
    dialog.page.iso.set_path(path)
    qtbot.waitUntil(lambda: "not an ISO" in dialog.page.iso_row.problem)
    assert not dialog.primary.isEnabled()


def test_unreadable_file_is_said_beside_the_field(qtbot: QtBot, open_dialog: Open, fake_engine: FakeEngine) -> None:
    fake_engine.media[ISO] = ImageError("The file cannot be read.", advice="Ask its owner.")
    dialog = open_dialog()
    dialog.page.iso.set_path(ISO)
    qtbot.waitUntil(lambda: dialog.page.iso_row.problem == "The file cannot be read. Ask its owner.")
    assert dialog.reason == dialog.page.iso_row.problem


def test_dropped_file_is_preselected(qtbot: QtBot, open_dialog: Open) -> None:
    dialog = open_dialog()
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile("/images/disk.qcow2")])
    dialog.dropEvent(
        QDropEvent(
            QPointF(9, 9), Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        )
    )
    assert dialog.page.source() == DiskSource(Path("/images/disk.qcow2"))


def test_kernel_with_initrd_and_arguments(open_dialog: Open) -> None:
    dialog = open_dialog()
    dialog.page.kind.set_value(SourceKind.KERNEL)
    assert dialog.reason == "Choose the kernel to start."
    dialog.page.kernel.set_path(Path("/boot/vmlinuz"))
    dialog.page.initrd.set_path(Path("/boot/initrd.img"))
    dialog.page.arguments.setText(" console=ttyS0 ")
    assert dialog.page.source() == KernelSource(Path("/boot/vmlinuz"), Path("/boot/initrd.img"), "console=ttyS0")
    assert not dialog.page.disk_on.isChecked()
    assert dialog.page.name.text() == "vmlinuz"


def test_typing_is_checked_once_after_a_pause(qtbot: QtBot, open_dialog: Open, fake_engine: FakeEngine) -> None:
    dialog = open_dialog()
    wait_checked(qtbot, dialog, fake_engine)
    before = len(checks(fake_engine))
    dialog.page.name.clear()
    QTest.keyClicks(dialog.page.name, "web server")
    wait_checked(qtbot, dialog, fake_engine)
    assert len(checks(fake_engine)) == before + 1
    assert checks(fake_engine)[-1].spec.name == "web server"


def test_problems_stand_beside_their_fields(qtbot: QtBot, open_dialog: Open, fake_engine: FakeEngine) -> None:
    fake_engine.add_vm("taken")
    fake_engine.extra_problems = (
        FieldProblem(NewVmField.DISK, "The disk may not fit.", is_warning=True),
        FieldProblem(NewVmField.MEMORY, "The host has 16 GiB."),
    )
    dialog = open_dialog()
    dialog.page.kind.set_value(SourceKind.NOTHING)
    dialog.page.name.setText("taken")
    qtbot.waitUntil(lambda: "in use" in dialog.page.name_row.problem)
    assert dialog.page.memory_row.problem == "The host has 16 GiB."
    assert dialog.page.disk_row.problem == "The disk may not fit."
    assert dialog.page.disk_row.note.tone is Tone.WARNING
    assert not dialog.primary.isEnabled()
    assert "in use" in dialog.reason


def test_warnings_alone_do_not_prevent_creation(qtbot: QtBot, open_dialog: Open, fake_engine: FakeEngine) -> None:
    fake_engine.extra_problems = (FieldProblem(NewVmField.DISK, "The disk may not fit.", is_warning=True),)
    dialog = open_dialog()
    dialog.page.kind.set_value(SourceKind.NOTHING)
    qtbot.waitUntil(lambda: dialog.page.disk_row.problem == "The disk may not fit.")
    assert dialog.primary.isEnabled()


def test_stale_answers_are_dropped(qtbot: QtBot, open_dialog: Open, fake_engine: FakeEngine) -> None:
    fake_engine.add_vm("taken")
    dialog = open_dialog()
    dialog.page.kind.set_value(SourceKind.NOTHING)
    wait_checked(qtbot, dialog, fake_engine)
    fake_engine.hold(CheckNewVm)
    dialog.page.name.setText("taken")
    qtbot.waitUntil(lambda: len(fake_engine.held_jobs()) == 1)
    dialog.page.name.setText("free")  # the held answer is about "taken"
    job = fake_engine.held_jobs()[0]
    job.succeed((FieldProblem(NewVmField.NAME, "The name “taken” is in use."),))
    fake_engine.release()
    wait_checked(qtbot, dialog, fake_engine)
    assert dialog.page.name_row.problem == ""
    assert dialog.primary.isEnabled()


def test_stale_media_answers_are_dropped(qtbot: QtBot, open_dialog: Open, fake_engine: FakeEngine) -> None:
    fake_engine.hold(InspectMedia)
    dialog = open_dialog()
    dialog.page.iso.set_path(Path("/isos/first.iso"))
    qtbot.waitUntil(lambda: len(fake_engine.held_jobs()) == 1)
    dialog.page.iso.set_path(Path("/isos/second.iso"))
    qtbot.waitUntil(lambda: len(fake_engine.held_jobs()) == 2)
    fake_engine.held_jobs()[0].fail(ImageError("The first is broken."))
    fake_engine.release()
    qtbot.waitUntil(lambda: dialog.page.iso_row.note.text.startswith("ISO image"))
    assert dialog.page.iso_row.problem == ""


def test_create_submits_the_page_then_starts(qtbot: QtBot, open_dialog: Open, fake_engine: FakeEngine) -> None:
    dialog = open_dialog()
    dialog.preselect(ISO)
    dialog.page.name.setText("  web  ")
    dialog.page.memory.set_mib(1024)
    dialog.page.cpus.setValue(3)
    dialog.page.disk_size.setValue(8 * 1024)
    dialog.page.firmware.set_value(Firmware.UEFI)
    wait_checked(qtbot, dialog, fake_engine)
    with qtbot.waitSignal(dialog.created) as created:
        QTest.mouseClick(dialog.primary, Qt.MouseButton.LeftButton)
    spec = fake_engine.requests_of(CreateVm)[0].spec
    assert (spec.name, spec.source, spec.memory_kib, spec.vcpus) == ("web", IsoSource(ISO), 1024 * 1024, 3)
    assert (spec.disk_bytes, spec.firmware, spec.virt_type) == (8 * GIB, Firmware.UEFI, VirtType.TCG)
    key = created.args[0]
    assert isinstance(key, VmKey)
    qtbot.waitUntil(lambda: fake_engine.requests_of(Start) == [Start(key)])
    qtbot.waitUntil(lambda: not shiboken6.isValid(dialog))


def test_start_is_left_out_when_not_wanted(qtbot: QtBot, open_dialog: Open, fake_engine: FakeEngine) -> None:
    dialog = open_dialog()
    dialog.page.kind.set_value(SourceKind.NOTHING)
    dialog.start_after.setChecked(False)
    with qtbot.waitSignal(dialog.created):
        dialog.primary.click()
    qtbot.waitUntil(lambda: not shiboken6.isValid(dialog))
    assert fake_engine.requests_of(Start) == []


def test_create_waits_for_the_check_of_what_is_shown(qtbot: QtBot, open_dialog: Open, fake_engine: FakeEngine) -> None:
    fake_engine.add_vm("taken")
    dialog = open_dialog()
    dialog.page.kind.set_value(SourceKind.NOTHING)
    wait_checked(qtbot, dialog, fake_engine)
    dialog.page.name.setText("taken")
    assert dialog.primary.isEnabled()
    dialog.primary.click()  # before the pause in typing is over
    qtbot.waitUntil(lambda: "in use" in dialog.page.name_row.problem)
    assert fake_engine.requests_of(CreateVm) == []


def test_failure_is_shown_and_the_page_usable_again(qtbot: QtBot, open_dialog: Open, fake_engine: FakeEngine) -> None:
    fake_engine.fail_next(CreateVm, OperationError("libvirt refused.", advice="Try another name.", details="evidence"))
    dialog = open_dialog()
    dialog.page.kind.set_value(SourceKind.NOTHING)
    dialog.primary.click()
    qtbot.waitUntil(lambda: dialog.strip.error is not None)
    assert dialog.strip.error is not None
    assert dialog.strip.error.details == "evidence"
    assert dialog.page.isEnabled()
    assert dialog.primary.isEnabled()
    with qtbot.waitSignal(dialog.created):
        dialog.primary.click()


def test_progress_and_cancel_inside_the_dialog(qtbot: QtBot, open_dialog: Open, fake_engine: FakeEngine) -> None:
    fake_engine.hold(CreateVm)
    dialog = open_dialog()
    dialog.page.kind.set_value(SourceKind.NOTHING)
    dialog.primary.click()
    qtbot.waitUntil(lambda: len(fake_engine.held_jobs()) == 1)
    assert not dialog.page.isEnabled()
    assert not dialog.primary.isEnabled()
    assert dialog.progress.isVisible()
    job = fake_engine.held_jobs()[0]
    job.report(JobProgress(1, 4, step="Making the disk"))
    qtbot.waitUntil(lambda: dialog.progress.value() == 250)
    assert dialog.status.text == "Making the disk"
    job.on_cancel(lambda: job.fail(CancelledError("Cancelled.")))
    dialog.cancel.click()
    qtbot.waitUntil(lambda: not dialog.busy)
    assert dialog.isVisible()
    assert dialog.page.isEnabled()
    assert dialog.strip.error is None


def test_closing_while_creating_cancels(qtbot: QtBot, open_dialog: Open, fake_engine: FakeEngine) -> None:
    fake_engine.hold(CreateVm)
    dialog = open_dialog()
    dialog.page.kind.set_value(SourceKind.NOTHING)
    dialog.primary.click()
    qtbot.waitUntil(lambda: len(fake_engine.held_jobs()) == 1)
    job = fake_engine.held_jobs()[0]
    QTest.keyClick(dialog, Qt.Key.Key_Escape)
    assert job.cancel_requested
    assert not dialog.isVisible()
    job.fail(CancelledError("Cancelled."))
    qtbot.waitUntil(lambda: not shiboken6.isValid(dialog))


def test_cancelled_too_late_is_reported_but_not_started(
    qtbot: QtBot, open_dialog: Open, fake_engine: FakeEngine
) -> None:
    fake_engine.hold(CreateVm)
    dialog = open_dialog()
    dialog.page.kind.set_value(SourceKind.NOTHING)
    dialog.primary.click()
    qtbot.waitUntil(lambda: len(fake_engine.held_jobs()) == 1)
    dialog.close()
    with qtbot.waitSignal(dialog.created):
        fake_engine.release()
    qtbot.waitUntil(lambda: not shiboken6.isValid(dialog))
    assert fake_engine.requests_of(Start) == []


def test_several_hosts_can_be_chosen_from(qtbot: QtBot, open_dialog: Open, fake_engine: FakeEngine) -> None:
    server = fake_engine.open_host("qemu+ssh://server.example/system", "server.example")
    fake_engine.set_host(server, is_local=False)
    fake_engine.add_vm("New VM", host=server)
    dialog = open_dialog()
    assert dialog.page.host.isVisible()
    dialog.page.host.setCurrentIndex(1)
    assert dialog.page.host_id() == server
    assert dialog.page.name.text() == "New VM 2"
    assert fake_engine.requests_of(ReadCapabilities) == [ReadCapabilities(LOCAL), ReadCapabilities(server)]
    assert not dialog.page.iso.browse.isEnabled()
    assert "server.example" in dialog.page.iso.browse.toolTip()
    qtbot.waitUntil(lambda: "free on server.example" in dialog.page.disk_row.note.text)


def test_one_host_needs_no_choice(open_dialog: Open) -> None:
    assert not open_dialog().page.host.isVisible()


def test_a_host_that_is_not_connected_is_not_preselected(
    qtbot: QtBot, bridge: Bridge, settings: Settings, fake_engine: FakeEngine
) -> None:
    fake_engine.set_host(LOCAL, state=HostState.RECONNECTING)
    other = fake_engine.open_host("test:///other", "Other")
    dialog = NewVmDialog(bridge, settings, fake_engine.hosts())
    qtbot.addWidget(dialog)
    assert dialog.page.host_id() == HostId(other)


def test_without_host_nothing_can_be_created(
    qtbot: QtBot, bridge: Bridge, settings: Settings, fake_engine: FakeEngine
) -> None:
    dialog = NewVmDialog(bridge, settings, ())
    qtbot.addWidget(dialog)
    assert dialog.reason == "No host is connected."
    assert fake_engine.requests == []


def test_every_interactive_widget_is_named(open_dialog: Open) -> None:
    dialog = open_dialog()
    kinds = (QAbstractButton, QLineEdit, QAbstractSpinBox, QAbstractSlider, QComboBox)
    nameless = [
        widget
        for widget in dialog.findChildren(QWidget)
        if isinstance(widget, kinds)
        and not widget.objectName().startswith("qt_")
        and widget.focusPolicy() != Qt.FocusPolicy.NoFocus
        and not (widget.objectName() and widget.accessibleName())
    ]
    assert nameless == []


def test_the_page_works_with_the_keyboard_alone(qtbot: QtBot, open_dialog: Open, fake_engine: FakeEngine) -> None:
    dialog = open_dialog()
    qtbot.waitUntil(dialog.isActiveWindow)
    assert dialog.focusWidget() is dialog.page.name
    QTest.keyClicks(dialog.page.name, "keys")
    QTest.keyClick(dialog.page.name, Qt.Key.Key_Tab)
    focused = dialog.focusWidget()
    assert focused is dialog.page.kind.button(SourceKind.ISO)
    for _ in range(4):
        focused = dialog.focusWidget()
        assert focused is not None
        QTest.keyClick(focused, Qt.Key.Key_Right)
    assert dialog.page.kind.value() is SourceKind.NOTHING
    card = dialog.page.kind.button(SourceKind.NOTHING)
    QTest.keyClick(card, Qt.Key.Key_Tab)
    assert dialog.focusWidget() is dialog.page.memory.spin
    with qtbot.waitSignal(dialog.created):
        QTest.keyClick(dialog.page.memory.spin, Qt.Key.Key_Return)
    assert fake_engine.requests_of(CreateVm)[0].spec.name == "keys"


def test_mnemonics_are_unique(open_dialog: Open) -> None:
    dialog = open_dialog()
    for kind in SourceKind:
        dialog.page.kind.set_value(kind)
        texts = [row.label.text() for row in dialog.page.form.rows if row.label.isVisible()]
        texts += [button.text() for button in dialog.findChildren(QAbstractButton) if button.isVisible()]
        used = [text[text.index("&") + 1].lower() for text in texts if "&" in text]
        assert len(used) == len(set(used)), (kind, sorted(used))
