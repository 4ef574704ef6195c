"""Overview: hardware in plain words, notes as text, and a thumbnail that trusts nobody."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtCore import QBuffer, QIODevice, QLocale, QSize, Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from guivm.engine.job_types import DiskInfo, Firmware, NicInfo, Screenshot, VirtType, VmDetails
from guivm.engine.requests import ReadDetails, TakeScreenshot
from guivm.engine.types import VmInfo, VmKey, VmState
from guivm.errors import OperationError
from guivm.views import hardware_words, thumbnail
from guivm.views.actions import ActionRegistry
from guivm.views.bridge import Bridge
from guivm.views.overview_page import OverviewPage
from guivm.views.settings import THUMBNAILS, Settings
from guivm.views.thumbnail import ScreenThumbnail, decode
from tests.helpers.fake_engine import GIB, LOCAL, FakeEngine

KEY = VmKey(LOCAL, "u")
DETAILS = VmDetails(
    KEY, VirtType.KVM, "x86_64", "pc-q35-7.2", Firmware.UEFI, 2, 2 * 1024**2, (), (), ("vnc",), "virtio", "<domain/>"
)


def picture(form: str = "PNG", size: tuple[int, int] = (64, 48)) -> bytes:
    image = QImage(*size, QImage.Format.Format_RGB32)
    image.fill(Qt.GlobalColor.blue)
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    assert image.save(buffer, form)  # type: ignore[call-overload]
    return bytes(buffer.data().data())


# --- words ------------------------------------------------------------------------------------------------


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


def test_processor_says_how_it_is_virtualised() -> None:
    kvm = hardware_words.processor(DETAILS)
    assert kvm.value == "2 CPUs, x86_64"
    assert "KVM" in kvm.note
    tcg = hardware_words.processor(replace(DETAILS, virt_type=VirtType.TCG, vcpus=1))
    assert tcg.value == "1 CPU, x86_64"
    assert "software" in tcg.note
    assert "slower" in tcg.note


def test_disks_say_what_they_take() -> None:
    QLocale.setDefault(QLocale(QLocale.Language.English))
    line = hardware_words.disk(DiskInfo("vda", "disk", "virtio", "/a/b/debian.qcow2", "qcow2", 20 * GIB, 3 * GIB))
    assert line.value == "debian.qcow2"
    assert plain(line.note) == "3 GiB used of 20 GiB · qcow2 · VirtIO"
    assert line.path == "/a/b/debian.qcow2"
    assert hardware_words.disk(DiskInfo("sda", "cdrom", "sata")).value == "Empty"
    assert plain(hardware_words.disk(DiskInfo("vdb", "disk", "scsi", "/x.img", "raw")).note) == "raw · SCSI"


@pytest.mark.parametrize(
    ("mode", "source", "words"),
    [
        ("user", "", "user-mode NAT"),
        ("network", "default", "“default”"),
        ("bridge", "br0", "bridge br0"),
        ("direct", "eth0", "macvtap on eth0"),
        ("hostdev", "", "hostdev"),
    ],
)
def test_networks_in_words(mode: str, source: str, words: str) -> None:
    assert words in hardware_words.network(NicInfo(mode, source, "virtio", "52:54:00:00:00:01")).value


def test_nothing_is_said_to_be_nothing() -> None:
    lines = hardware_words.hardware_lines(replace(DETAILS, graphics=(), video=""))
    assert [(line.label, line.value) for line in lines if line.value == "None"] == [
        ("Network", "None"),
        ("Display", "None"),
    ]


# --- the page ---------------------------------------------------------------------------------------------


@pytest.fixture
def page(qtbot: QtBot, bridge: Bridge, settings: Settings, actions: ActionRegistry) -> OverviewPage:
    value = OverviewPage(bridge, settings, actions)
    qtbot.addWidget(value)
    value.resize(800, 600)
    value.show()
    qtbot.waitExposed(value)
    return value


def vm_of(engine: FakeEngine, key: VmKey) -> VmInfo:
    found = engine.vm(key)
    assert found is not None
    return found


def test_hardware_is_read_when_shown(qtbot: QtBot, page: OverviewPage, fake_engine: FakeEngine) -> None:
    key = fake_engine.add_vm("debian", notes="Line <b>one</b>\nline two")
    page.set_vm(vm_of(fake_engine, key))
    qtbot.waitUntil(lambda: len(page.hardware.lines) > 5)
    assert page.notes.text.text() == "Line <b>one</b>\nline two"
    for label in page.findChildren(QLabel):
        assert label.textFormat() is Qt.TextFormat.PlainText, label.objectName()


def test_hidden_page_reads_nothing(qtbot: QtBot, page: OverviewPage, fake_engine: FakeEngine) -> None:
    page.hide()
    page.set_vm(vm_of(fake_engine, fake_engine.add_vm("debian")))
    assert fake_engine.requests_of(ReadDetails) == []
    page.show()
    qtbot.waitUntil(lambda: len(page.hardware.lines) > 5)


def test_answer_for_another_vm_is_not_shown(qtbot: QtBot, page: OverviewPage, fake_engine: FakeEngine) -> None:
    first, second = fake_engine.add_vm("one", vcpus=1), fake_engine.add_vm("two", vcpus=2)
    fake_engine.hold(ReadDetails)
    page.set_vm(vm_of(fake_engine, first))
    page.set_vm(vm_of(fake_engine, second))
    fake_engine.release()
    qtbot.waitUntil(lambda: len(page.hardware.lines) > 5)
    assert page.hardware.lines[0].value.startswith("2 CPUs")


def test_failure_to_read_is_said_on_the_page(qtbot: QtBot, page: OverviewPage, fake_engine: FakeEngine) -> None:
    fake_engine.fail_next(ReadDetails, OperationError("The definition cannot be read."))
    page.set_vm(vm_of(fake_engine, fake_engine.add_vm("debian")))
    note = page.hardware.findChild(QLabel, "hardware-note")
    assert note is not None
    qtbot.waitUntil(lambda: "cannot be read" in note.text())


def test_state_changes_read_again_once(qtbot: QtBot, page: OverviewPage, fake_engine: FakeEngine) -> None:
    key = fake_engine.add_vm("debian")
    page.set_vm(vm_of(fake_engine, key))
    qtbot.waitUntil(lambda: len(page.hardware.lines) > 5)
    for state in (VmState.RUNNING, VmState.PAUSED, VmState.RUNNING):
        fake_engine.change_vm(key, state=state)
        page.set_vm(vm_of(fake_engine, key))
    qtbot.waitUntil(lambda: len(fake_engine.requests_of(ReadDetails)) == 2)


def test_notes_not_known_yet_are_not_called_missing(qtbot: QtBot, page: OverviewPage, fake_engine: FakeEngine) -> None:
    key = fake_engine.add_vm("debian", vcpus=0, memory_kib=0, has_graphics=False, is_complete=False)
    page.set_vm(vm_of(fake_engine, key))
    assert page.notes.text.text() == ""
    qtbot.waitUntil(lambda: len(page.hardware.lines) > 5)
    fake_engine.change_vm(key, vcpus=2, memory_kib=1024**2, is_complete=True)
    page.set_vm(vm_of(fake_engine, key))
    assert page.notes.text.text() == "No notes yet."
    assert not page._delay.isActive(), "nothing has changed: the hardware is not read again"


# --- the thumbnail ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mime", "form"), [("image/png", "PNG"), ("image/x-portable-pixmap", "PPM")])
def test_decodes_what_hosts_send(mime: str, form: str) -> None:
    image = decode(Screenshot(mime, picture(form)))
    assert image.size() == QSize(64, 48)
    assert image.pixelColor(3, 3).blue() == 255


@pytest.mark.parametrize(
    "shot",
    [
        Screenshot("image/png", b""),
        Screenshot("image/png", b"not a picture"),
        Screenshot("image/png", picture()[:40]),
        Screenshot("image/svg+xml", b"<svg/>"),
        Screenshot("text/html", picture()),
        Screenshot("image/x-portable-pixmap", b"P6\n100000 100000\n255\n"),
        Screenshot("image/x-portable-pixmap", b"P6\n-5 7\n255\n"),
        Screenshot("image/png", picture("PPM")),
    ],
)
def test_refuses_everything_else(shot: Screenshot) -> None:
    assert decode(shot).isNull()


def test_large_pictures_are_kept_small() -> None:
    image = decode(Screenshot("image/png", picture(size=(2560, 1600))))
    assert image.size() == QSize(1280, 800)


@pytest.fixture
def thumb(qtbot: QtBot, bridge: Bridge, settings: Settings, fake_engine: FakeEngine) -> ScreenThumbnail:
    fake_engine.screenshot = Screenshot("image/png", picture())
    value = ScreenThumbnail(bridge, settings)
    qtbot.addWidget(value)
    value.resize(320, 200)
    value.show()
    qtbot.waitExposed(value)
    return value


def asked(engine: FakeEngine) -> int:
    return len(engine.requests_of(TakeScreenshot))


def test_a_running_vm_is_pictured(qtbot: QtBot, thumb: ScreenThumbnail, fake_engine: FakeEngine) -> None:
    key = fake_engine.add_vm("debian", VmState.RUNNING)
    with qtbot.waitSignal(thumb.pictured):
        thumb.set_vm(vm_of(fake_engine, key))
    assert thumb.image.pixelColor(1, 1).blue() == 255
    assert thumb._timer.interval() >= thumbnail.INTERVAL_MS
    fake_engine.change_vm(key, state=VmState.OFF)
    thumb.set_vm(vm_of(fake_engine, key))
    assert thumb.image.isNull()


def test_one_question_at_a_time(qtbot: QtBot, thumb: ScreenThumbnail, fake_engine: FakeEngine) -> None:
    fake_engine.hold(TakeScreenshot)
    key = fake_engine.add_vm("debian", VmState.RUNNING)
    thumb.set_vm(vm_of(fake_engine, key))
    qtbot.waitUntil(lambda: asked(fake_engine) == 1)
    thumb._ask()
    thumb.set_vm(replace(vm_of(fake_engine, key), notes="changed"))
    thumb._ask()
    assert asked(fake_engine) == 1


@pytest.mark.parametrize("why", ["off", "no display", "hidden", "switched off"])
def test_asks_for_nothing_when(
    qtbot: QtBot, thumb: ScreenThumbnail, fake_engine: FakeEngine, settings: Settings, why: str
) -> None:
    state = VmState.OFF if why == "off" else VmState.RUNNING
    if why == "hidden":
        thumb.hide()
    if why == "switched off":
        settings.set(THUMBNAILS, False)
    key = fake_engine.add_vm("debian", state, has_graphics=why != "no display")
    thumb.set_vm(vm_of(fake_engine, key))
    assert not thumb._timer.isActive()
    assert asked(fake_engine) == 0


def test_failures_are_no_message(qtbot: QtBot, thumb: ScreenThumbnail, bridge: Bridge, fake_engine: FakeEngine) -> None:
    fake_engine.fail_next(TakeScreenshot, OperationError("Not now."))
    with qtbot.assertNotEmitted(bridge.failed):
        thumb.set_vm(vm_of(fake_engine, fake_engine.add_vm("debian", VmState.RUNNING)))
        qtbot.waitUntil(lambda: asked(fake_engine) == 1 and thumb._timer.isActive())


def test_click_asks_for_the_console(qtbot: QtBot, page: OverviewPage, fake_engine: FakeEngine) -> None:
    page.set_vm(vm_of(fake_engine, fake_engine.add_vm("debian")))
    with qtbot.waitSignal(page.consoleRequested):
        QTest.mouseClick(page.thumbnail, Qt.MouseButton.LeftButton)
