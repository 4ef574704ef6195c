"""A console widget in a window, and what a person does to it, in events of Qt."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from PySide6.QtCore import QEvent, QPoint, Qt
from PySide6.QtGui import QGuiApplication, QKeyEvent
from PySide6.QtWidgets import QLineEdit, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from guivm.console.source import PointerButton
from guivm.console.widget import ConsoleFace, ConsoleWidget
from tests.helpers.fake_source import FakeSource
from tests.helpers.rfb_server import picture

HOST, CTRL_L, A, P, TAB, ENTER = 97, 29, 30, 25, 15, 28
_QT_KEYS = {
    HOST: Qt.Key.Key_Control,
    CTRL_L: Qt.Key.Key_Control,
    A: Qt.Key.Key_A,
    P: Qt.Key.Key_P,
    TAB: Qt.Key.Key_Tab,
    ENTER: Qt.Key.Key_Return,
}
_SYMBOLS = {HOST: 0xFFE4, CTRL_L: 0xFFE3, A: 0x61, P: 0x70, TAB: 0xFF09, ENTER: 0xFF0D}
LEFT, NONE = PointerButton.LEFT, PointerButton.NONE


def plain_window(qtbot: QtBot) -> QWidget:
    value = QWidget()
    qtbot.addWidget(value)
    value.resize(700, 500)
    return value


@contextmanager
def console_in(window: QWidget, qtbot: QtBot) -> Iterator[ConsoleWidget]:
    """Above a line of text, shown and active."""
    layout = QVBoxLayout(window)
    layout.setContentsMargins(0, 0, 0, 0)
    value = ConsoleWidget(window)
    layout.addWidget(value, 1)
    other = QLineEdit(window)
    other.setObjectName("other")
    layout.addWidget(other)
    value.set_face(ConsoleFace.LIVE)
    window.show()
    qtbot.waitExposed(window)
    window.activateWindow()
    yield value
    value.set_source(None)


def show_source(console: ConsoleWidget) -> FakeSource:
    value = FakeSource()
    console.set_source(value)
    value.show(picture(320, 200))
    return value


def key(widget: QWidget, code: int, pressed: bool, *, repeat: bool = False, control: bool = False) -> bool:
    """What the window system does: ask about shortcuts first, then deliver. Answers whether it was accepted."""
    control = control or code in (HOST, CTRL_L)
    modifiers = Qt.KeyboardModifier.ControlModifier if control else Qt.KeyboardModifier.NoModifier

    def event(kind: QEvent.Type) -> QKeyEvent:
        text = chr(_SYMBOLS[code]) if _SYMBOLS[code] < 0x100 else ""
        return QKeyEvent(kind, _QT_KEYS[code], modifiers, code + 8, _SYMBOLS[code], 0, text, repeat)

    if pressed:
        override = event(QEvent.Type.ShortcutOverride)
        override.ignore()
        QGuiApplication.sendEvent(widget, override)
    real = event(QEvent.Type.KeyPress if pressed else QEvent.Type.KeyRelease)
    QGuiApplication.sendEvent(widget, real)
    return real.isAccepted()


def tap(widget: QWidget, code: int) -> None:
    key(widget, code, True)
    key(widget, code, False)


def at(console: ConsoleWidget, x: int, y: int) -> QPoint:
    position = console.guest_to_widget(x, y)
    assert position is not None
    return QPoint(int(position.x()), int(position.y()))


def capture(qtbot: QtBot, console: ConsoleWidget) -> None:
    console.setFocus()
    qtbot.waitUntil(console.hasFocus)
    console.capture()
    assert console.is_captured()
