"""The serial page: a line while looked at, back after every interruption, and never a descriptor lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QApplication,
    QComboBox,
    QDialog,
    QFileDialog,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from pytestqt.qtbot import QtBot

from guivm.engine.job_types import SerialDevice
from guivm.engine.requests import OpenSerial
from guivm.engine.types import VmKey, VmState
from guivm.errors import HostError, InUseError, UnsupportedError
from guivm.views.bridge import Bridge
from guivm.views.endpoint_connector import BUSY_TRIES
from guivm.views.serial_deck import SerialDeck
from guivm.views.serial_page import SerialPage
from tests.helpers.fake_engine import FakeEngine
from tests.helpers.serial_lines import SerialLines

S = VmState


class Stage:
    def __init__(self, qtbot: QtBot, bridge: Bridge, engine: FakeEngine, lines: SerialLines, state: VmState) -> None:
        self.qtbot = qtbot
        self.engine = engine
        self.lines = lines
        self.key: VmKey = engine.add_vm("debian", state)
        self.window = QWidget()
        qtbot.addWidget(self.window)
        vm = engine.vm(self.key)
        assert vm is not None
        self.page = SerialPage(bridge, vm, self.window)
        QVBoxLayout(self.window).addWidget(self.page)
        self.window.resize(700, 500)
        self.window.show()
        qtbot.waitExposed(self.window)

    def become(self, state: VmState) -> None:
        self.engine.change_vm(self.key, state=state)
        vm = self.engine.vm(self.key)
        assert vm is not None
        self.page.set_vm(vm)

    def connected(self) -> None:
        self.qtbot.waitUntil(lambda: self.page.has_source)

    def says(self, text: str) -> None:
        """The guest says it, and it is shown."""
        self.lines.guest.sendall(text.encode())
        self.qtbot.waitUntil(lambda: text.strip() in self.text)

    @property
    def text(self) -> str:
        from guivm.console.serial.selection import all_text

        assert self.page.terminal is not None
        return all_text(self.page.terminal.terminal.snapshot())

    def button(self, name: str) -> QPushButton:
        button = self.page.findChild(QPushButton, name)
        assert button is not None
        return button

    def words(self, name: str) -> str:
        label = self.page.findChild(QLabel, name)
        assert label is not None
        return label.text() if label.isVisible() else ""


@pytest.fixture
def lines(fake_engine: FakeEngine) -> Iterator[SerialLines]:
    value = SerialLines(fake_engine)
    yield value
    value.close()


@pytest.fixture
def stage(qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, lines: SerialLines) -> Stage:
    return Stage(qtbot, bridge, fake_engine, lines, S.RUNNING)


@pytest.fixture
def off(qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, lines: SerialLines) -> Stage:
    return Stage(qtbot, bridge, fake_engine, lines, S.OFF)


def test_a_running_vm_is_talked_to(stage: Stage) -> None:
    stage.connected()
    stage.says("login: ")
    assert stage.page.terminal is not None
    QTest.keyClicks(stage.page.terminal, "root")
    received = b""
    while len(received) < 4:
        received += stage.lines.guest.recv(4)
    assert received == b"root"
    assert stage.lines.asked == [OpenSerial(stage.key)]
    stage.page.disconnect_source()
    assert stage.lines.all_given_back


def test_off_says_what_to_do_without_loading_the_terminal(off: Stage) -> None:
    assert off.page.terminal is None
    assert off.words("serial-idle-title") == "Off"
    button = off.button("serial-idle-button")
    with off.qtbot.waitSignal(off.page.actionRequested) as asked:
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    assert asked.args == ["start"]
    off.become(S.RUNNING)
    off.connected()


def test_the_text_stays_when_the_vm_ends_and_goes_on_when_it_starts_again(stage: Stage) -> None:
    stage.connected()
    stage.says("Kernel panic")
    stage.become(S.OFF)
    assert not stage.page.has_source
    assert "Kernel panic" in stage.text
    assert stage.words("serial-notice-text").startswith("Off.")
    with stage.qtbot.waitSignal(stage.page.actionRequested) as asked:
        QTest.mouseClick(stage.button("serial-notice-button"), Qt.MouseButton.LeftButton)
    assert asked.args == ["start"]
    stage.become(S.RUNNING)
    stage.connected()
    assert stage.words("serial-notice-text") == ""
    assert len(stage.lines.asked) == 2


def test_no_serial_console_says_what_to_add(qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine) -> None:
    lines = SerialLines(fake_engine)
    lines.failure = UnsupportedError("It has no serial console.", advice="Add a serial port.")
    stage = Stage(qtbot, bridge, fake_engine, lines, S.RUNNING)
    qtbot.waitUntil(lambda: stage.words("serial-idle-title") == "No serial console")
    assert "Add a serial port." in stage.words("serial-idle-text")
    assert not stage.button("serial-idle-button").isVisible()
    assert len(lines.asked) == 1, "asking again would change nothing"


def test_in_use_elsewhere_can_be_taken_over(qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine) -> None:
    lines = SerialLines(fake_engine)
    lines.failure = InUseError("It is open in another program.", advice="Close it there.")
    stage = Stage(qtbot, bridge, fake_engine, lines, S.RUNNING)
    qtbot.waitUntil(lambda: stage.page.connector.is_in_use)
    assert len(lines.asked) == BUSY_TRIES
    assert stage.words("serial-idle-title") == "In use elsewhere"
    lines.failure = None
    QTest.mouseClick(stage.button("serial-idle-button"), Qt.MouseButton.LeftButton)
    stage.connected()
    assert lines.asked[-1] == OpenSerial(stage.key, take_over=True)
    stage.page.disconnect_source()
    lines.close()


def test_our_own_last_line_that_is_still_closing_is_waited_for(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine
) -> None:
    lines = SerialLines(fake_engine)
    lines.failure = InUseError("It is open in another program.")
    stage = Stage(qtbot, bridge, fake_engine, lines, S.RUNNING)
    qtbot.waitUntil(lambda: len(lines.asked) == 1)
    lines.failure = None
    stage.connected()
    assert not any(request.take_over for request in lines.asked)
    stage.page.disconnect_source()
    lines.close()


def test_a_lost_line_comes_back_by_itself(stage: Stage) -> None:
    stage.connected()
    stage.says("before")
    stage.lines.failure = HostError("The host does not answer.")
    stage.lines.guest.close()
    stage.qtbot.waitUntil(lambda: "does not answer" in stage.words("serial-notice-text"))
    stage.lines.failure = None
    QTest.mouseClick(stage.button("serial-notice-button"), Qt.MouseButton.LeftButton)
    stage.connected()
    stage.says("after")
    assert "before" in stage.text
    stage.lines.guest.close()
    stage.qtbot.waitUntil(lambda: not stage.page.has_source)
    stage.connected()


def test_an_answer_nobody_waits_for_is_closed(stage: Stage, fake_engine: FakeEngine) -> None:
    stage.connected()
    fake_engine.hold(OpenSerial)
    stage.become(S.OFF)
    stage.become(S.RUNNING)
    stage.qtbot.waitUntil(lambda: len(fake_engine.held()) == 1)
    stage.become(S.OFF)
    job = fake_engine.held_jobs()[0]
    job.succeed(stage.lines.open(OpenSerial(stage.key)))
    stage.qtbot.waitUntil(lambda: stage.lines.all_given_back)


def test_unknown_leaves_the_line_alone(stage: Stage) -> None:
    stage.connected()
    vm = stage.page._vm
    stage.page.set_vm(replace(vm, state=S.UNKNOWN))
    assert stage.page.has_source
    stage.page.set_vm(vm)
    assert stage.page.has_source
    assert len(stage.lines.asked) == 1


def test_looked_away_it_goes_on_for_a_while(stage: Stage) -> None:
    stage.connected()
    stage.page.hide()
    assert stage.page.has_source
    stage.lines.guest.sendall(b"unseen")
    stage.qtbot.waitUntil(lambda: "unseen" in stage.text)
    stage.page._linger.stop()
    stage.page._update()
    assert stage.lines.all_given_back
    stage.page.show()
    stage.connected()


def test_choosing_another_line(stage: Stage, fake_engine: FakeEngine) -> None:
    stage.connected()
    chooser = stage.page.findChild(QComboBox, "serial-device")
    assert chooser is not None
    stage.qtbot.waitUntil(lambda: chooser.count() == 1)
    assert chooser.isHidden(), "there is one only"
    fake_engine.serial_devices = (
        SerialDevice("serial0", "serial", 0, "Serial port 1"),
        SerialDevice("serial1", "serial", 1, "Serial port 2", "It goes to a file."),
        SerialDevice("console1", "virtio", 1, "Virtio console 2"),
    )
    stage.become(S.OFF)
    stage.become(S.RUNNING)
    stage.connected()
    stage.qtbot.waitUntil(chooser.isVisible)
    assert [chooser.itemText(i) for i in range(chooser.count())] == ["Serial port 1", "Virtio console 2"]
    chooser.setCurrentIndex(1)
    chooser.activated.emit(1)
    stage.connected()
    assert stage.lines.asked[-1] == OpenSerial(stage.key, "console1")
    assert "[Virtio console 2]" in stage.text


def test_several_lines_are_pasted_after_a_question(stage: Stage) -> None:
    stage.connected()
    QGuiApplication.clipboard().setText("one\ntwo\n")
    assert stage.page.terminal is not None
    stage.page.terminal.paste()
    dialog = next(w for w in QApplication.topLevelWidgets() if isinstance(w, QDialog) and w.objectName() == "confirm")
    assert "one" in dialog.accessibleDescription()
    dialog.accept()
    received = b""
    while len(received) < 8:
        received += stage.lines.guest.recv(100)
    assert received == b"one\rtwo\r"


def test_finding(stage: Stage) -> None:
    stage.connected()
    stage.says("needle in the hay")
    QTest.mouseClick(stage.button("serial-find-open"), Qt.MouseButton.LeftButton)
    edit = stage.page.findChild(QLineEdit, "serial-find-text")
    assert edit is not None
    edit.setText("NEEDLE")
    QTest.keyClick(edit, Qt.Key.Key_Return)
    assert stage.page.terminal is not None
    assert stage.page.terminal.selected_text() == "needle"
    edit.setText("thread")
    QTest.keyClick(edit, Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    assert edit.property("invalid") is True
    QTest.keyClick(edit, Qt.Key.Key_Escape)
    assert not edit.isVisible()


def test_the_text_is_saved(stage: Stage, tmp_path: Path, bridge: Bridge) -> None:
    stage.connected()
    stage.says("some text")
    stage.page.save_text()
    dialog = next(w for w in QApplication.topLevelWidgets() if isinstance(w, QFileDialog))
    dialog.fileSelected.emit(str(tmp_path / "out.txt"))
    dialog.close()
    stage.qtbot.waitUntil(lambda: (tmp_path / "out.txt").exists() and bool((tmp_path / "out.txt").stat().st_size))
    assert (tmp_path / "out.txt").read_text() == "some text\n"
    with stage.qtbot.waitSignal(bridge.failed) as failed:
        stage.page.save_to(str(tmp_path / "missing" / "out.txt"))
    assert failed.args is not None
    assert "out.txt" in str(failed.args[0])


def test_a_page_that_is_deleted_gives_the_line_back(stage: Stage) -> None:
    stage.connected()
    stage.page.disconnect_source()
    stage.page.deleteLater()
    stage.qtbot.waitUntil(lambda: stage.lines.all_given_back)


def test_the_deck_keeps_the_pages_of_the_vms_shown_last(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, lines: SerialLines
) -> None:
    deck = SerialDeck(bridge)
    qtbot.addWidget(deck)
    deck.resize(600, 400)
    deck.show()
    vms = []
    for number in range(6):
        vm = fake_engine.vm(fake_engine.add_vm(f"vm{number}", S.RUNNING))
        assert vm is not None
        vms.append(vm)
    pages = [deck.show_vm(vm) for vm in vms]
    assert deck.count() == 4
    assert deck.show_vm(vms[5]) is pages[5]
    assert deck.current_page is pages[5]
    qtbot.waitUntil(lambda: pages[5].has_source)
    deck.update_vm(replace(vms[5], state=S.OFF))
    assert not pages[5].has_source
    deck.forget(vms[5].key)
    assert deck.count() == 3
    deck.disconnect_all()
    qtbot.waitUntil(lambda: lines.all_given_back)
