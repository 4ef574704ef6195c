"""The keyboard for a console: every key, but for the shortcuts that stay with the desktop."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QKeyEvent, QWindow
from PySide6.QtWidgets import QWidget

from guivm.console.input.guest_keys import GuestKeys
from guivm.console.input.keyboard import evdev_code
from guivm.console.input.pointing import can_grab

if TYPE_CHECKING:
    from guivm.console.input.x11_handover import Ending, Handover

_log = logging.getLogger(__name__)
_SETTLE_MS = 150  # Qt for X11 believes a FocusOut only after 100 ms


class KeyboardGrab(QObject):
    """The keyboard, taken for a widget and, on X11, lent to the desktop for single keys. GUI thread."""

    lost = Signal()  # another window has the focus since the keyboard was lent

    def __init__(self, widget: QWidget, keys: GuestKeys) -> None:
        super().__init__(widget)
        self._widget, self._keys = widget, keys
        self._handover: Handover | None = None
        self._lent = 0  # Linux key code
        self._has_warned = False
        self._settling = QTimer(self)
        self._settling.setSingleShot(True)
        self._settling.setInterval(_SETTLE_MS)
        self._settling.timeout.connect(self._on_settled)

    def take(self) -> None:
        if can_grab():
            self._widget.grabKeyboard()

    def give_back(self) -> None:
        self._settling.stop()
        if self._handover is not None:
            self._handover.abandon()
            self._handover = None
        if can_grab():
            self._widget.releaseKeyboard()

    @property
    def is_lent(self) -> bool:
        return self._handover is not None

    def expects(self, reason: Qt.FocusReason) -> bool:
        """Whether the focus goes only because the keyboard is lent; if it stays away, ``lost`` follows."""
        return (self.is_lent or self._settling.isActive()) and reason is Qt.FocusReason.ActiveWindowFocusReason

    def lend(self, event: QKeyEvent) -> None:
        """Let the desktop have a key whose press just came; a repeat is none. Where that cannot be, nothing happens."""
        window = self._window()
        is_made_up = not event.nativeScanCode()
        if is_made_up or event.isAutoRepeat() or self.is_lent or not can_grab() or window is None:
            return
        from guivm.console.input.x11_handover import Handover
        from guivm.console.input.xcb import XError

        self._settling.stop()
        try:
            handover = Handover(window.winId(), event.nativeScanCode(), event.nativeModifiers(), self)
        except XError as error:
            if not self._has_warned:
                _log.warning("Shortcuts that stay with the desktop do not get there: %s.", error)
            self._has_warned = True
            return
        handover.ended.connect(self._on_ended)
        self._handover, self._lent = handover, evdev_code(event)
        self._keys.lent(self._lent)
        window.setKeyboardGrabEnabled(False)  # the widget's own grab goes on: keys that come meanwhile are its own

    @Slot(object)
    def _on_ended(self, ending: Ending) -> None:
        handover, self._handover = self._handover, None
        window = self._window()
        if handover is None or window is None:
            return
        if not ending.unused:
            self._keys.given_back(self._lent)
        # A grab looks like a FocusIn to Qt, so that the server is asked whether the focus has just gone.
        if ending.focused and window.setKeyboardGrabEnabled(True) and handover.has_focus():
            self._settling.start()
        else:
            self.lost.emit()

    @Slot()
    def _on_settled(self) -> None:
        if not self._widget.hasFocus():
            self.lost.emit()

    def _window(self) -> QWindow | None:
        return self._widget.window().windowHandle()
