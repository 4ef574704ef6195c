"""The desktop's input method over a guest's screen: what it composes is typed, what it does not take are keys."""

from __future__ import annotations

from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QCursor, QInputMethodEvent
from PySide6.QtWidgets import QWidget

from guivm.console.input.guest_input import GuestInput


class InputMethod:
    """GUI thread. Off by default: one that is on sees every key before the guest does, and may keep some."""

    def __init__(self, widget: QWidget, guest: GuestInput) -> None:
        self._widget, self._guest = widget, guest
        self._wished = False
        self.update()

    def set_enabled(self, enabled: bool) -> None:
        self._wished = enabled
        self.update()

    def update(self) -> None:
        """Whether the guest takes input may have changed."""
        self._widget.setAttribute(Qt.WidgetAttribute.WA_InputMethodEnabled, self._is_on())

    def committed(self, event: QInputMethodEvent) -> str:
        """The text that a person has composed, if any; the guest holds no key of it then."""
        if not event.commitString() or not self._is_on():
            return ""
        self._guest.let_go()
        return event.commitString()

    def answer(self, query: Qt.InputMethodQuery) -> object:
        """None: the widget's own answer will do."""
        match query:
            case Qt.InputMethodQuery.ImEnabled:
                return self._is_on()
            case Qt.InputMethodQuery.ImHints:
                return Qt.InputMethodHint.ImhNoPredictiveText | Qt.InputMethodHint.ImhNoAutoUppercase
            case Qt.InputMethodQuery.ImCursorRectangle:
                # Nobody knows where the guest's text cursor is: its mouse pointer is the best guess.
                return QRect(self._widget.mapFromGlobal(QCursor.pos()), QSize(1, 1))
            case _:
                return None

    def _is_on(self) -> bool:
        return self._wished and self._guest.enabled
