"""Giving one pressed key to an X11 desktop, as if nobody had grabbed the keyboard.

A desktop's shortcuts are passive grabs on the root window, and an active grab (``grabKeyboard``) goes before them. So
that grab ends, and the key is pressed once more through XTEST. What this leans on in the server:

- A key that is down cannot be pressed again, so its release comes first, through the device that holds it. Nobody but
  we see that, who grab the keyboard meanwhile. The press then comes from the same device: the desktop gets the repeats
  of a held key too, and its own grab ends with the person's release.
- A person may release the key just then. That release is lost on a key that is up already, and the key pressed after
  it would stay down. Raw events (since XI 2.1 delivered whatever is grabbed) tell of both releases.
- Grabs are seen as focus events of the window that has the focus: out with mode Grab, in with Ungrab.

A key that is up already, or a modifier of which is, is tapped instead, with the modifiers around it.
Protocols: X11's core, XTEST 2.2, X Input Extension 1.5 and 2.1.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass

from PySide6.QtCore import QObject, QSocketNotifier, QTimer, Signal, Slot

from guivm.console.input.xcb import Extension, XConnection, XError, XEvent

# The core protocol's requests, events and values
_CHANGE_WINDOW_ATTRIBUTES, _GRAB_KEYBOARD, _UNGRAB_KEYBOARD = 2, 31, 32
_QUERY_POINTER, _GET_INPUT_FOCUS, _GET_MODIFIER_MAPPING = 38, 43, 119
_EVENT_MASK, _FOCUS_CHANGE = 0x800, 0x20_0000
_KEY_PRESS, _KEY_RELEASE, _FOCUS_IN, _FOCUS_OUT, _GENERIC_EVENT = 2, 3, 9, 10, 35
_NORMAL, _GRAB, _UNGRAB, _WHILE_GRABBED = range(4)  # modes of focus events
_OF_POINTER = 5  # detail of focus events that only say where the pointer is
_ASYNCHRONOUS = 1
# XTEST's and X Input's
_FAKE_INPUT = 2
_LIST_DEVICES, _QUERY_DEVICE_STATE, _SELECT_EVENTS, _QUERY_VERSION = 2, 30, 46, 47
_SLAVE_KEYBOARD, _KEY_CLASS = 3, 0
_ALL_MASTERS, _RAW_KEY_RELEASE = 1, 14

_MODIFIERS = (0x01, 0x04, 0x08, 0x40)  # Shift, Control, Mod1 (Alt), Mod4 (Super), as every desktop maps them
_TAP_MS = 40  # how long a tapped key is down: time for a window manager to grab the keyboard for longer
_PATIENCE_MS = 2000


@dataclass(frozen=True, slots=True)
class Ending:
    """``focused``: the window has the keyboard again, or else another window has it.

    ``unused``: nobody wanted the key, so the window gets the press once more.
    """

    focused: bool
    unused: bool


class _Stage(enum.Enum):
    LETTING_GO = enum.auto()  # until the server knows of no grab of ours
    REPLAYING = enum.auto()
    AWAY = enum.auto()  # until the desktop has done with the keyboard
    ENDED = enum.auto()


class Handover(QObject):
    """One key, once. GUI thread; it waits for the X server only while it is made (some round trips).

    Who made it lets go of the grab then, and takes it again when ``ended`` (Ending) comes.
    """

    ended = Signal(object)

    def __init__(self, window: int, keycode: int, state: int, parent: QObject) -> None:
        """``window``: the X window with focus and grab. ``keycode``, ``state``: of the key event, as X11 has them.

        XError when the server has not what it takes.
        """
        x = XConnection()
        super().__init__(parent)
        self._x = x
        self._window, self._keycode = window, keycode
        self._stage = _Stage.LETTING_GO
        self._has_focus = self._is_grabbed = True
        self._is_wanted = self._is_abandoned = False
        self._press = self._sync = self._releases = 0
        try:
            self._xtest, self._xi = self._extensions()
            down = self._watch()
            self._holders = self._find_holders()
            self._missing = self._find_missing(state & ~down)
            self._is_tap = bool(self._missing) or not self._holders
        except XError:
            x.close()
            self.deleteLater()
            raise
        self._notifier = QSocketNotifier(self._x.descriptor, QSocketNotifier.Type.Read, self)
        self._notifier.activated.connect(self._advance)
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.setInterval(_PATIENCE_MS)
        self._patience.timeout.connect(self._give_up)
        self._patience.start()
        self._advance()

    # --- before ---------------------------------------------------------------------------------------

    def _extensions(self) -> tuple[Extension, Extension]:
        xtest, xi, wayland = (self._x.extension(name) for name in ("XTEST", "XInputExtension", "XWAYLAND"))
        if xtest is None or xi is None:
            raise XError("the server has no XTEST or no X Input Extension")
        if wayland is not None:
            raise XError("a Wayland compositor's own shortcuts are not for X11 programs to press")
        version = self._x.ask(xi.opcode, _QUERY_VERSION, struct.pack("=HH", 2, 1))
        if struct.unpack_from("=HH", version, 8) < (2, 1):
            raise XError("the server's X Input Extension is older than 2.1")
        return xtest, xi

    def _watch(self) -> int:
        """Hear of the window's focus and of releases from now on; gives the modifiers that are down."""
        self._x.send(_CHANGE_WINDOW_ATTRIBUTES, 0, struct.pack("=III", self._window, _EVENT_MASK, _FOCUS_CHANGE))
        pointer = self._x.ask(_QUERY_POINTER, 0, struct.pack("=I", self._window))
        root, state = struct.unpack_from("=I12xH", pointer, 8)
        mask = struct.pack("=IHHHHI", root, 1, 0, _ALL_MASTERS, 1, 1 << _RAW_KEY_RELEASE)
        self._x.send(self._xi.opcode, _SELECT_EVENTS, mask)
        return int(state)

    def _find_holders(self) -> list[int]:
        """The devices that hold the key down: one, if any."""
        listed = self._x.ask(self._xi.opcode, _LIST_DEVICES)
        devices = [struct.unpack_from("=4xBxB", listed, 32 + 8 * index) for index in range(listed[8])]
        asked = {
            number: self._x.send(self._xi.opcode, _QUERY_DEVICE_STATE, bytes((number, 0, 0, 0)), replies=True)
            for number, use in devices
            if use == _SLAVE_KEYBOARD
        }
        states = {number: self._x.reply(sequence) for number, sequence in asked.items()}
        return [number for number, state in states.items() if _holds(state, self._keycode)]

    def _find_missing(self, state: int) -> list[int]:
        """A key for each modifier that is no longer down."""
        mapping = self._x.ask(_GET_MODIFIER_MAPPING)
        width, codes = mapping[1], mapping[32:]
        rows = [codes[width * mask.bit_length() - width :][:width] for mask in _MODIFIERS if state & mask]
        return [next(filter(None, row)) for row in rows if any(row)]

    # --- while ----------------------------------------------------------------------------------------

    def abandon(self) -> None:
        """Nobody waits for the end any more."""
        self._is_abandoned = True
        if self._stage is not _Stage.REPLAYING:  # what is begun must come to its end, or a key would stay down
            self._end(focused=False)

    @Slot()
    def _advance(self) -> None:
        try:
            while self._take_step():
                pass
        except XError:
            self._give_up()

    def _take_step(self) -> bool:
        """Whether another may follow: libxcb reads ahead, so not all that is there makes its descriptor readable."""
        self._learn_events()
        match self._stage:
            case _Stage.LETTING_GO if not self._is_grabbed:
                self._replay()
                return True
            case _Stage.REPLAYING if self._x.poll_reply(self._sync) is not None:
                self._learn_events()
                self._replayed()
                return True
            case _Stage.AWAY if self._is_abandoned or not (
                self._has_focus and (self._is_grabbed or self._may_repeat())
            ):
                self._end(focused=self._has_focus)
            case _ if self._x.is_broken():
                self._give_up()
        return False

    def _learn_events(self) -> None:
        for event in self._x.events():
            self._learn(event)

    def _learn(self, event: XEvent) -> None:
        kind, detail = event.data[0], event.data[1]
        if kind in (_FOCUS_IN, _FOCUS_OUT) and detail != _OF_POINTER:
            mode = event.data[8]
            if mode in (_NORMAL, _WHILE_GRABBED):
                self._has_focus = kind == _FOCUS_IN
            self._is_grabbed = mode in (_GRAB, _WHILE_GRABBED)
            if mode == _GRAB and event.sequence == self._press:
                self._is_wanted = True
        elif kind == _GENERIC_EVENT and struct.unpack_from("=H6xI", event.data, 8) == (_RAW_KEY_RELEASE, self._keycode):
            self._releases += 1

    def _may_repeat(self) -> bool:
        """A window manager may end its grab at once, and the repeats of a held key are its own as well."""
        return self._is_wanted and not self._is_tap and not self._is_released()

    def _is_released(self) -> bool:
        """By the person; the other releases are those made here."""
        return self._releases > len(self._holders)

    def _replay(self) -> None:
        """All in one go: the server does a client's requests in their order."""
        self._stage = _Stage.REPLAYING
        self._grab()
        for code in self._missing:
            self._fake(_KEY_PRESS, code)
        for device in self._holders:
            self._fake(_KEY_RELEASE, self._keycode, device=device)
        self._x.send(_UNGRAB_KEYBOARD, 0, bytes(4))
        if self._is_tap:
            self._press = self._fake(_KEY_PRESS, self._keycode)
            self._fake(_KEY_RELEASE, self._keycode, delay=_TAP_MS)
            self._grab()
            for code in reversed(self._missing):
                self._fake(_KEY_RELEASE, code)
            self._x.send(_UNGRAB_KEYBOARD, 0, bytes(4))
        else:
            self._press = self._fake(_KEY_PRESS, self._keycode, device=self._holders[0])
        self._sync = self._x.send(_GET_INPUT_FOCUS, replies=True)
        self._x.flush()

    def _grab(self) -> None:
        body = struct.pack("=IIBBH", self._window, 0, _ASYNCHRONOUS, _ASYNCHRONOUS, 0)
        self._x.discard(self._x.send(_GRAB_KEYBOARD, 0, body, replies=True))

    def _fake(self, kind: int, keycode: int, *, device: int | None = None, delay: int = 0) -> int:
        """``delay``: milliseconds that the server waits before it. No device: XTEST's own."""
        if device is not None:
            kind += self._xi.first_event + 1 - _KEY_PRESS  # DeviceKeyPress, DeviceKeyRelease
        body = struct.pack("=BBHI23xB", kind, keycode, 0, delay, device or 0)
        return self._x.send(self._xtest.opcode, _FAKE_INPUT, body)

    def _replayed(self) -> None:
        self._stage = _Stage.AWAY
        self._patience.stop()
        if not self._is_tap and self._is_released():  # too early to end the press made here
            self._fake(_KEY_RELEASE, self._keycode, device=self._holders[0])
            self._x.flush()

    @Slot()
    def _give_up(self) -> None:
        self._is_wanted = True  # nothing comes to the window that is known of
        self._end(focused=self._has_focus)

    def _end(self, *, focused: bool) -> None:
        self._stage = _Stage.ENDED
        self._patience.stop()
        self._notifier.setEnabled(False)
        if not self._is_abandoned:
            self.ended.emit(Ending(focused, not self._is_wanted))
        self._x.close()
        self.deleteLater()

    def has_focus(self) -> bool:
        """Whether the window has the focus this moment, which who grabs the keyboard cannot tell; while it ends."""
        try:
            return int(struct.unpack_from("=I", self._x.ask(_GET_INPUT_FOCUS), 8)[0]) == self._window
        except XError:
            return False


def _holds(state: bytes, keycode: int) -> bool:
    """``state``: the reply to QueryDeviceState."""
    place = 32
    for _ in range(state[8]):
        kind, size = state[place : place + 2]
        if kind == _KEY_CLASS:
            return bool(state[place + 4 + (keycode >> 3)] >> (keycode & 7) & 1)
        place += size
    return False
