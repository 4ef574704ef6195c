"""Key events on their way to the guest: the Host key, the desktop's own shortcuts, lock keys, and all the rest."""

from __future__ import annotations

import enum
from collections.abc import Iterable

from PySide6.QtGui import QKeyEvent

from guivm.console.frame import KeyboardLeds
from guivm.console.input.desktop_shortcuts import DEFAULT_SHORTCUTS, DesktopShortcuts
from guivm.console.input.guest_input import GuestInput
from guivm.console.input.keyboard import (
    DEFAULT_HOST_KEY,
    HOST_KEYS,
    HostKeyRouter,
    Route,
    evdev_code,
    host_key_label,
    keysym,
)


class KeyFate(enum.Enum):
    """What became of a key event."""

    DONE = "done"  # the guest has it, or nobody needs it
    COMMAND = "command"  # pressed together with the Host key
    RELEASE = "release"  # the Host key alone: give the keyboard back
    DESKTOP = "desktop"  # a shortcut of the desktop's
    UNUSED = "unused"  # not captured, and not ours


class GuestKeys:
    """Keys of one console. GUI thread. Who captures, and when, is not decided here."""

    def __init__(self, guest: GuestInput) -> None:
        self._guest = guest
        self._router = HostKeyRouter(HOST_KEYS[DEFAULT_HOST_KEY])
        self._shortcuts = DesktopShortcuts(DEFAULT_SHORTCUTS)
        self._kept: dict[int, bool] = {}  # key whose press the desktop got → whether that press comes back to us

    def host_key_label(self) -> str:
        return host_key_label(self._router.host)

    def set_host_key(self, name: str) -> None:
        """A name of HOST_KEYS; an unknown one means the default."""
        self._router.set_host(HOST_KEYS.get(name, HOST_KEYS[DEFAULT_HOST_KEY]))

    def set_desktop_shortcuts(self, sequences: Iterable[str]) -> None:
        """Portable texts of the key sequences that stay with the desktop."""
        self._shortcuts = DesktopShortcuts(sequences)

    def is_desktop_shortcut(self, event: QKeyEvent) -> bool:
        return self._shortcuts.keeps(event)

    def guest_leds_changed(self, leds: KeyboardLeds) -> None:
        self._guest.locks.guest_changed(leds)

    @property
    def guest_leds(self) -> KeyboardLeds | None:
        """None while the guest has said nothing of them."""
        return self._guest.locks.guest

    def forget_guest(self) -> None:
        """Another guest, or none."""
        self._guest.locks.reset()

    def captured(self) -> None:
        """Keys go to the guest from now on."""
        self._guest.locks.captured()

    # --- keys -----------------------------------------------------------------------------------------

    def forget_held(self) -> None:
        """Releases of what is held down will not be seen."""
        self._router.reset()
        self._kept.clear()

    def host_key_used(self) -> None:
        """The Host key was combined with a click."""
        self._router.use()

    def lent(self, code: int) -> None:
        """A key of the desktop's is pressed for it once more; what nobody wants of that comes back here."""
        self._kept[code] = True

    def given_back(self, code: int) -> None:
        """The desktop took that press, and has done with it."""
        self._kept.pop(code, None)

    def press(self, event: QKeyEvent, *, captured: bool) -> KeyFate:
        code = evdev_code(event)
        route = self._router.pressed(code, repeat=event.isAutoRepeat())
        if route is Route.HOST_COMMAND:
            return KeyFate.COMMAND
        if route is not Route.GUEST:
            return KeyFate.DONE
        if not captured:
            return KeyFate.UNUSED
        if self._kept.get(code):
            self._kept[code] = False
            return KeyFate.DONE
        if (event.isAutoRepeat() and code in self._kept) or self._shortcuts.keeps(event):
            self._guest.let_go()  # no half of the combination stays in the guest
            self._kept[code] = False
            return KeyFate.DESKTOP
        self._guest.press(event)
        return KeyFate.DONE

    def release(self, event: QKeyEvent, *, captured: bool) -> KeyFate:
        code = evdev_code(event)
        route = self._router.released(code)
        if route is Route.HOST_ALONE:
            return KeyFate.RELEASE
        if route is not Route.GUEST:
            return KeyFate.DONE
        if code in self._kept:
            if not self._kept[code]:
                del self._kept[code]
            return KeyFate.DESKTOP
        told = self._guest.release_key(code, keysym(event))
        return KeyFate.DONE if told or captured else KeyFate.UNUSED
