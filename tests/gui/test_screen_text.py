"""Copying text off a guest's screen: by mouse, by keyboard, all of it; what is told; what goes wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from PySide6.QtCore import QObject, QPoint, QRect, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from guivm.console.picture.region_picker import RegionPicker
from guivm.console.screentext import ScreenText
from guivm.console.widget import ConsoleFace, ConsoleWidget
from guivm.errors import GuivmError
from guivm.views.dialogs.screen_text import ScreenTextDialog
from guivm.views.messages import Message, Severity
from guivm.views.screen_text import ScreenTextCopy
from tests.helpers.fake_source import FakeSource
from tests.helpers.text_screen import blank, font, write

Result = ScreenText | GuivmError
LINES = ("login: root", "", "# cat /etc/issue", "Debian GNU/Linux 12")


class Worker:
    """Runs the work in a thread when told to, as the bridge does."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Callable[[], Result], Callable[[Result], None]]] = []

    def compute(self, work: Callable[[], Result], owner: QObject, done: Callable[[Result], None]) -> None:
        self.waiting.append((work, done))

    def run(self) -> None:
        work, done = self.waiting.pop(0)
        results: list[Result] = []
        thread = threading.Thread(target=lambda: results.append(work()))
        thread.start()
        thread.join()
        done(results[0])


@pytest.fixture
def source() -> FakeSource:
    return FakeSource()


@pytest.fixture
def console(qtbot: QtBot, source: FakeSource) -> Iterator[ConsoleWidget]:
    widget = ConsoleWidget()
    qtbot.addWidget(widget)
    widget.resize(644, 404)
    widget.set_face(ConsoleFace.LIVE)
    widget.show()
    qtbot.waitExposed(widget)
    widget.activateWindow()
    widget.set_source(source)
    pixels = blank(320, 200)
    write(pixels, font("VGA BIOS 8×16"), LINES)
    source.show(pixels)
    QGuiApplication.clipboard().clear()
    yield widget
    widget.set_source(None)


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
def copy(console: ConsoleWidget, worker: Worker) -> ScreenTextCopy:
    return ScreenTextCopy(worker.compute, console)


@pytest.fixture
def told(copy: ScreenTextCopy) -> list[Message]:
    messages: list[Message] = []
    copy.told.connect(messages.append)
    return messages


def started(qtbot: QtBot, copy: ScreenTextCopy, console: ConsoleWidget) -> RegionPicker:
    copy.start(console)
    picker = copy.picker
    assert picker is not None
    qtbot.waitUntil(picker.hasFocus)
    return picker


def drag(console: ConsoleWidget, picker: RegionPicker, rect: QRect) -> None:
    ends = []
    for corner in (rect.topLeft(), rect.bottomRight()):
        position = console.guest_to_widget(corner.x(), corner.y())
        assert position is not None
        ends.append(QPoint(int(position.x()), int(position.y())))
    QTest.mousePress(picker, Qt.MouseButton.LeftButton, pos=ends[0])
    QTest.mouseMove(picker, ends[1])
    QTest.mouseRelease(picker, Qt.MouseButton.LeftButton, pos=ends[1])


def test_by_mouse(
    qtbot: QtBot, console: ConsoleWidget, copy: ScreenTextCopy, worker: Worker, told: list[Message]
) -> None:
    picker = started(qtbot, copy, console)
    drag(console, picker, QRect(18, 34, 100, 20))
    worker.run()
    assert QGuiApplication.clipboard().text() == "cat /etc/issu\nbian GNU/Linu"
    assert [(message.severity, message.summary) for message in told] == [
        (Severity.SUCCESS, "2 lines of text are in the clipboard.")
    ]


def test_by_keyboard(qtbot: QtBot, console: ConsoleWidget, copy: ScreenTextCopy, worker: Worker) -> None:
    picker = started(qtbot, copy, console)
    for key, times in ((Qt.Key.Key_Left, 20), (Qt.Key.Key_Up, 13), (Qt.Key.Key_Return, 1), (Qt.Key.Key_Right, 4)):
        for _ in range(times):
            QTest.keyClick(picker, key)
    QTest.keyClick(picker, Qt.Key.Key_Return)
    worker.run()
    assert QGuiApplication.clipboard().text() == "login"


def test_all_of_it(qtbot: QtBot, console: ConsoleWidget, copy: ScreenTextCopy, worker: Worker) -> None:
    picker = started(qtbot, copy, console)
    QTest.keyClick(picker, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    worker.run()
    assert QGuiApplication.clipboard().text() == "\n".join(LINES)


def test_the_picture_is_that_of_the_choice(
    qtbot: QtBot, source: FakeSource, console: ConsoleWidget, copy: ScreenTextCopy, worker: Worker
) -> None:
    picker = started(qtbot, copy, console)
    QTest.keyClick(picker, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    source.show(blank(320, 200))
    worker.run()
    assert QGuiApplication.clipboard().text() == "\n".join(LINES)


def test_nothing_there(
    qtbot: QtBot, console: ConsoleWidget, copy: ScreenTextCopy, worker: Worker, told: list[Message]
) -> None:
    picker = started(qtbot, copy, console)
    drag(console, picker, QRect(200, 100, 100, 60))
    worker.run()
    assert told[0].severity is Severity.ERROR
    assert "No text was found" in told[0].summary
    assert QGuiApplication.clipboard().text() == ""


def test_a_new_choice_ends_the_one_before(
    qtbot: QtBot, console: ConsoleWidget, copy: ScreenTextCopy, worker: Worker, told: list[Message]
) -> None:
    for rect in (QRect(0, 0, 40, 8), QRect(0, 32, 40, 8)):
        drag(console, started(qtbot, copy, console), rect)
    worker.run()
    assert not told
    worker.run()
    assert QGuiApplication.clipboard().text() == "# cat"
    assert [message.summary for message in told] == ["1 line of text is in the clipboard."]


def test_started_again_it_is_given_up(
    qtbot: QtBot, console: ConsoleWidget, copy: ScreenTextCopy, worker: Worker
) -> None:
    picker = started(qtbot, copy, console)
    copy.start(console)
    assert not picker.isVisible()
    assert not worker.waiting


def test_closed_nothing_is_told(
    qtbot: QtBot, console: ConsoleWidget, copy: ScreenTextCopy, worker: Worker, told: list[Message]
) -> None:
    drag(console, started(qtbot, copy, console), QRect(0, 0, 40, 8))
    copy.close()
    worker.run()
    assert not told
    assert QGuiApplication.clipboard().text() == ""


def test_show(qtbot: QtBot, console: ConsoleWidget, copy: ScreenTextCopy, worker: Worker, told: list[Message]) -> None:
    picker = started(qtbot, copy, console)
    QTest.keyClick(picker, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    worker.run()
    [(label, show)] = told[0].actions
    assert label == "Show"
    show()
    dialog = console.findChild(ScreenTextDialog)
    assert dialog is not None
    assert dialog.text.toPlainText() == "\n".join(LINES)
    assert dialog.text.isReadOnly()
    QGuiApplication.clipboard().setText("other")
    dialog.primary.click()
    assert QGuiApplication.clipboard().text() == "\n".join(LINES)
    qtbot.waitUntil(lambda: console.findChild(ScreenTextDialog) is None)


def test_hostile_text_is_shown_as_it_is(qtbot: QtBot) -> None:
    dialog = ScreenTextDialog("<b>bold</b> & <img src='http://x/'>")
    qtbot.addWidget(dialog)
    assert dialog.text.toPlainText() == "<b>bold</b> & <img src='http://x/'>"
