"""Lock keys of guest and desktop in step.

Someone who sees Caps Lock lit on the keyboard expects capitals in the guest. QEMU leaves this to clients that
understand its LED state (ui/vnc.c, ``do_key_event``). The rule: at the first key that is pressed after capturing,
locks in which the guest differs from the desktop are pressed once. From then on every press reaches both.
"""

from __future__ import annotations

from guivm.console.frame import KeyboardLeds
from guivm.console.typing import Key

_LOCK_MASK = 1 << 1  # X11's modifier bits, on Wayland as well: Lock, and Mod2, which every XKB table gives Num Lock
_MOD2_MASK = 1 << 4
_KNOWN = (KeyboardLeds.CAPS_LOCK, KeyboardLeds.NUM_LOCK)  # no platform tells about Scroll Lock
_KEYS = {KeyboardLeds.CAPS_LOCK: Key(58, 0xFFE5), KeyboardLeds.NUM_LOCK: Key(69, 0xFF7F)}


def desktop_locks(native_modifiers: int) -> KeyboardLeds:
    """Locks that were on when a key event happened; of ``QKeyEvent.nativeModifiers()`` on X11 and Wayland."""
    locks = KeyboardLeds.NONE
    if native_modifiers & _LOCK_MASK:
        locks |= KeyboardLeds.CAPS_LOCK
    if native_modifiers & _MOD2_MASK:
        locks |= KeyboardLeds.NUM_LOCK
    return locks


class LockSync:
    """When to press lock keys in one guest. Pure; no key is ever pressed twice for one capture.

    A lock that the guest did not light after it was pressed is left alone from the next capture on, until the guest
    changes it: some guests have no LEDs, or use Caps Lock for something else.
    """

    def __init__(self) -> None:
        self._guest: KeyboardLeds | None = None
        self._armed = False
        self._waiting = KeyboardLeds.NONE  # pressed by us, and not answered yet
        self._deaf = KeyboardLeds.NONE

    @property
    def guest(self) -> KeyboardLeds | None:
        """What the guest last said; None while it has said nothing."""
        return self._guest

    def reset(self) -> None:
        """Another guest, or the same one after a new start."""
        self._guest = None
        self._armed = False
        self._waiting = self._deaf = KeyboardLeds.NONE

    def guest_changed(self, leds: KeyboardLeds) -> None:
        """The source's ``ledsChanged``."""
        changed = leds if self._guest is None else leds ^ self._guest
        self._guest = leds
        self._waiting &= ~changed
        self._deaf &= ~changed

    def captured(self) -> None:
        """Keys will go to the guest from now on."""
        self._armed = True
        self._deaf |= self._waiting
        self._waiting = KeyboardLeds.NONE

    def key_pressed(self, desktop: KeyboardLeds) -> tuple[Key, ...]:
        """Lock keys to press and release in the guest before a key the person presses; mostly none.

        ``desktop``: :func:`desktop_locks` of that key's event.
        """
        if not self._armed or self._guest is None:
            return ()
        self._armed = False
        wrong = (desktop ^ self._guest) & ~self._deaf
        pressed = tuple(lock for lock in _KNOWN if lock & wrong)
        for lock in pressed:
            self._waiting |= lock
        return tuple(_KEYS[lock] for lock in pressed)
