"""What the guest has been told of keyboard and mouse, so that all of it can be taken back."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Protocol

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QKeyEvent

from guivm.console.frame import PointerButton, PointerMode
from guivm.console.input.keyboard import PressedKeys, evdev_code, keysym
from guivm.console.input.leds import LockSync, desktop_locks
from guivm.console.input.pointer import WheelSteps, guest_button
from guivm.console.source import DisplaySource
from guivm.console.typing import KeyEvent


class InputObserver(Protocol):
    """Hears what the guest is told. ``time``: seconds, monotonic."""

    def key(self, code: int, keysym: int, pressed: bool, time: float) -> None:
        """``code``: Linux key code."""

    def pointer(self, x: int, y: int, buttons: int, time: float) -> None:
        """A place on the guest's screen; movements of a relative mouse are not told."""


class GuestInput:
    """Input to one source at a time. ``enabled`` false: nothing new is sent, but releases always are. GUI thread."""

    def __init__(self) -> None:
        self.source: DisplaySource | None = None
        self.observer: InputObserver | None = None
        self.enabled = False
        self.mode = PointerMode.ABSOLUTE
        self.locks = LockSync()
        self._keys = PressedKeys()
        self._buttons = PointerButton.NONE
        self._sent = PointerButton.NONE
        self._position = (0, 0)  # guest pixels
        self._wheel = WheelSteps()

    def press(self, event: QKeyEvent) -> None:
        """A key the person presses: what came before it and was missed is put right first.

        That is locks that differ from the desktop's, and modifiers that were released where nobody told us.
        """
        if not self.enabled or self.source is None:
            return
        code, symbol = evdev_code(event), keysym(event)
        for held_code, held_symbol in self._keys.release_stale(event.modifiers(), code):
            self._send_key(held_code, held_symbol, False)
        if not event.isAutoRepeat():
            for key in self.locks.key_pressed(desktop_locks(event.nativeModifiers())):
                self._send_key(*key, True)
                self._send_key(*key, False)
        self.press_key(code, symbol)

    def send_keys(self, events: Iterable[KeyEvent]) -> None:
        """Keys nobody presses: a menu's combination, a typed text. Captured or not; what is held is let go first."""
        self.let_go()
        for event in events:
            self._send_key(*event)

    def press_key(self, code: int, symbol: int) -> None:
        """A press, or one more of a key that repeats."""
        if self.enabled and self.source is not None and self._keys.press(code, symbol):
            self._send_key(code, symbol, True)

    def release_key(self, code: int, symbol: int) -> bool:
        """False when the guest does not hold that key."""
        held = self._keys.release(code, symbol)
        if held is None or self.source is None:
            return False
        self._send_key(code, held, False)
        return True

    def press_button(self, button: Qt.MouseButton) -> None:
        """Counted here, told with the next position or movement."""
        if self.enabled:
            self._buttons |= guest_button(button)

    def release_button(self, button: Qt.MouseButton) -> bool:
        """False when the guest does not hold it."""
        held = bool(self._buttons & guest_button(button))
        self._buttons &= ~guest_button(button)
        return held

    def point(self, x: int, y: int) -> None:
        """The pointer is at a guest pixel; not for relative mice."""
        if self.enabled:
            self._position = (x, y)
            self._send(self._buttons)

    def move(self, dx: int, dy: int) -> None:
        """The mouse moved; for relative mice."""
        if self.enabled and (dx or dy or self._buttons != self._sent):
            self._send(self._buttons, dx, dy)

    def turn_wheel(self, angle: QPoint, position: tuple[int, int]) -> None:
        """``angle``: a wheel event's ``angleDelta``; ``position``: guest pixel it happened at."""
        if self.enabled:
            self._position = position
            for click in self._wheel.turn(angle):
                self._send(self._buttons | click)
                self._send(self._buttons)

    def set_mode(self, mode: PointerMode) -> None:
        self._let_buttons_go()
        self.mode = mode

    def let_go(self) -> None:
        """Release every key and button that the guest believes to be down."""
        for code, symbol in self._keys.release_all():
            self._send_key(code, symbol, False)
        self._let_buttons_go()

    def _let_buttons_go(self) -> None:
        self._buttons = PointerButton.NONE
        if self._sent:
            self._send(PointerButton.NONE)

    def _send_key(self, code: int, symbol: int, pressed: bool) -> None:
        if self.source is not None:
            self.source.send_key(code, symbol, pressed)
            if self.observer is not None:
                self.observer.key(code, symbol, pressed, time.monotonic())

    def _send(self, buttons: PointerButton, dx: int = 0, dy: int = 0) -> None:
        self._sent = buttons
        if self.source is not None:
            x, y = (dx, dy) if self.mode is PointerMode.RELATIVE else self._position
            self.source.send_pointer(x, y, buttons)
            if self.observer is not None and self.mode is PointerMode.ABSOLUTE:
                self.observer.pointer(x, y, buttons, time.monotonic())
