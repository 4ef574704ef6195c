"""Messages: stay or leave, merge, wait for their place, and show hostile text as text."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QEvent, QPointF, Qt
from PySide6.QtGui import QEnterEvent, QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLabel, QPushButton, QToolButton, QWidget
from pytestqt.qtbot import QtBot

from guivm.errors import CancelledError, OperationError
from guivm.views.messages import MAX_SHOWN, MessageBar, MessageCard

ERROR = OperationError("It failed.", advice="Try again.", details="internal error: <b>why</b>\nline 2")


@pytest.fixture
def host(qtbot: QtBot) -> QWidget:
    value = QWidget()
    qtbot.addWidget(value)
    value.resize(900, 600)
    value.show()
    qtbot.waitExposed(value)
    return value


@pytest.fixture
def bar(host: QWidget) -> MessageBar:
    return MessageBar(host)


def has_focus(card: MessageCard) -> bool:
    focused = QApplication.focusWidget()
    return focused is not None and card.isAncestorOf(focused)


def button(card: MessageCard, name: str) -> QPushButton:
    found = card.findChild(QPushButton, name)
    assert found is not None
    return found


def click(widget: QWidget) -> None:
    QTest.mouseClick(widget, Qt.MouseButton.LeftButton)


def test_an_error_shows_what_happened_and_what_to_do(bar: MessageBar) -> None:
    bar.show_error(ERROR)
    (card,) = bar.cards
    words = {label.objectName(): label.text() for label in card.findChildren(QLabel)}
    assert words["message-summary"] == "It failed."
    assert words["message-advice"] == "Try again."
    assert bar.isVisible()
    assert card.accessibleName() == "It failed. Try again."


def test_errors_stay_and_infos_leave(qtbot: QtBot, bar: MessageBar) -> None:
    bar.show_error(ERROR)
    bar.show_info("Done.")
    error, info = bar.cards
    assert not error.is_leaving
    assert info.is_leaving
    info._timer.setInterval(10)
    info._timer.start()
    qtbot.waitUntil(lambda: bar.cards == (error,))


def test_an_info_looked_at_stays(bar: MessageBar) -> None:
    bar.show_info("Done.")
    (card,) = bar.cards
    QApplication.sendEvent(card, QEnterEvent(QPointF(5, 5), QPointF(5, 5), QPointF(5, 5)))
    assert not card.is_leaving
    QApplication.sendEvent(card, QEvent(QEvent.Type.Leave))
    assert card.is_leaving


def test_identical_messages_merge_with_a_count(bar: MessageBar) -> None:
    for _ in range(3):
        bar.show_error(ERROR)
    bar.show_error(OperationError("Something else."))
    first, second = bar.cards
    assert first.count == 3
    assert second.count == 1


def test_at_most_three_are_shown_and_the_rest_waits(bar: MessageBar) -> None:
    for number in range(5):
        bar.show_error(OperationError(f"Error {number}"))
    visible = [card for card in bar.cards if card.isVisible()]
    assert len(visible) == MAX_SHOWN
    assert [card.message.summary for card in visible] == ["Error 2", "Error 3", "Error 4"]
    close = visible[-1].findChild(QToolButton, "message-close")
    assert close is not None
    click(close)
    assert [card.message.summary for card in bar.cards if card.isVisible()] == ["Error 1", "Error 2", "Error 3"]


def test_details_are_selectable_plain_text_and_copy_takes_all(bar: MessageBar) -> None:
    bar.show_error(ERROR)
    (card,) = bar.cards
    assert not card.details.isVisible()
    click(button(card, "message-show-details"))
    assert card.details.isVisible()
    assert card.details.toPlainText() == ERROR.details
    assert card.details.isReadOnly()
    click(button(card, "message-copy"))
    assert QGuiApplication.clipboard().text() == "It failed. Try again.\n\ninternal error: <b>why</b>\nline 2"


def test_an_action_is_called_once_and_closes_its_message(bar: MessageBar) -> None:
    called: list[int] = []
    bar.show_info("“x” was deleted.", [("Undo", lambda: called.append(1)), ("Free", lambda: called.append(2))])
    (card,) = bar.cards
    click(button(card, "message-action-0"))
    assert called == [1]
    assert bar.cards == ()
    assert not bar.isVisible()


def test_text_is_never_markup(bar: MessageBar) -> None:
    bar.show_error(OperationError("<h1>big</h1>", advice="<a href='x'>y</a>"))
    (card,) = bar.cards
    for label in card.findChildren(QLabel):
        assert label.textFormat() is Qt.TextFormat.PlainText


def test_a_cancelled_job_is_no_message(bar: MessageBar) -> None:
    bar.show_error(CancelledError("Cancelled."))
    assert bar.cards == ()


def test_keyboard_reaches_and_closes(qtbot: QtBot, bar: MessageBar) -> None:
    bar.window().activateWindow()
    bar.show_error(ERROR)
    bar.focus_newest()
    (card,) = bar.cards
    qtbot.waitUntil(lambda: has_focus(card))
    focused = QApplication.focusWidget()
    assert focused is not None
    QTest.keyClick(focused, Qt.Key.Key_Escape)
    assert bar.cards == ()


def test_messages_stay_inside_their_window(host: QWidget, bar: MessageBar) -> None:
    for size in ((900, 600), (360, 300), (200, 120)):
        host.resize(*size)
        bar.show_error(ERROR)
        assert host.rect().contains(bar.geometry())


def test_clear_closes_all(bar: MessageBar) -> None:
    bar.show_error(ERROR)
    bar.show_info("x")
    bar.clear()
    assert bar.cards == ()
    assert not bar.isVisible()
