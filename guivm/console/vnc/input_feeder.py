"""From the owner's queue to the session: input values become messages. On the console's thread."""

from __future__ import annotations

from dataclasses import replace

from guivm.console.frame import PointerButton, PointerMode
from guivm.console.rfb.session import RfbSession
from guivm.console.vnc.link_inputs import (
    Clipboard,
    Input,
    Key,
    Pointer,
    Policy,
    Power,
    QualityWish,
    Size,
    Sound,
    Visible,
)
from guivm.console.vnc.pace import Gauge


class InputFeeder:
    """``gauge``: None where the display does not come over a network."""

    def __init__(self, session: RfbSession, gauge: Gauge | None) -> None:
        self._session = session
        self._gauge = gauge
        self._pointer_sent = Pointer(-1, -1, PointerButton.NONE, PointerMode.ABSOLUTE)

    def do(self, item: Input) -> None:
        session = self._session
        match item:
            case Key(scancode=scancode, keysym=keysym, pressed=pressed):
                session.send_key(scancode, keysym, pressed)
            case Pointer():
                self._send_pointer(item)
            case Visible(visible=visible):
                session.set_updates_wanted(visible)
            case Size(width=width, height=height):
                session.request_size(width, height)
            case Power(action=action):
                session.send_power(action)
            case Policy(policy=policy):
                session.set_clipboard_policy(policy)
            case Clipboard(text=text):
                session.send_clipboard(text)
            case Sound(on=on):
                session.set_sound(on)
            case QualityWish(quality=quality):
                if self._gauge is not None:
                    self._gauge.chooser.quality = quality
                    self._gauge.apply()

    def _send_pointer(self, item: Pointer) -> None:
        mode = self._session.pointer_mode
        if item.mode is mode:
            self._session.send_pointer(item.x, item.y, item.buttons)
            self._pointer_sent = item
            return
        # The mode has just changed and the sender did not know: only the buttons still have a meaning.
        if mode is PointerMode.RELATIVE:
            self._session.send_pointer(0, 0, item.buttons)
        elif self._pointer_sent.mode is PointerMode.ABSOLUTE and self._pointer_sent.x >= 0:
            self._session.send_pointer(self._pointer_sent.x, self._pointer_sent.y, item.buttons)
        self._pointer_sent = replace(self._pointer_sent, buttons=item.buttons)
