"""The one shape of a guest display: framebuffer + damage + cursor + pointer mode + LEDs + state.

VNC today; SPICE and D-Bus behind the same interface later. A source does its work on its own thread(s) and
speaks to the widget through queued signals; the framebuffer is shared memory guarded as its docstring says.
"""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from guivm.console.frame import (
    ClipboardPolicy,
    CursorShape,
    Framebuffer,
    Head,
    KeyboardLeds,
    PointerButton,
    PointerMode,
    PowerAction,
    Quality,
    Rect,
    SourceFeature,
    SourceSecurity,
    SourceState,
)

__all__ = [
    "ClipboardPolicy",
    "CursorShape",
    "DisplaySource",
    "Framebuffer",
    "Head",
    "KeyboardLeds",
    "PointerButton",
    "PointerMode",
    "PowerAction",
    "Quality",
    "Rect",
    "SourceFeature",
    "SourceSecurity",
    "SourceState",
]


class DisplaySource(QObject):
    """Base of all sources. Lives on the GUI thread; signals are emitted there.

    ``damaged`` is coalesced: after it is emitted no further one is until :meth:`take_damage` was called. All
    others carry the latest value only: a storm of changes costs one signal for each turn of the event loop.
    """

    stateChanged = Signal(object)  # SourceState
    resized = Signal(object)  # Framebuffer: a new one; forget the old
    damaged = Signal()
    cursorChanged = Signal(object)  # CursorShape | None (None: hidden)
    pointerModeChanged = Signal(object)  # PointerMode
    ledsChanged = Signal(object)  # KeyboardLeds
    nameChanged = Signal(str)
    headsChanged = Signal(object)  # tuple[Head, ...]: at least one
    featuresChanged = Signal(object)  # SourceFeature
    clipboardReceived = Signal(str)  # the guest's text (capped, no control characters but line ends); only if allowed
    securityChanged = Signal(object)  # SourceSecurity
    refused = Signal(str)  # the server refused what was asked (a size, a power action): why, in one sentence
    bell = Signal()

    @property
    def state(self) -> SourceState:
        raise NotImplementedError

    @property
    def error(self) -> Exception | None:
        """Why it is DISCONNECTED (a ConsoleError), or None when it was closed on purpose."""
        raise NotImplementedError

    @property
    def framebuffer(self) -> Framebuffer | None:
        """The one last announced by ``resized``, or None before the first."""
        raise NotImplementedError

    @property
    def features(self) -> SourceFeature:
        """What can be asked of it; NONE before it is connected."""
        return SourceFeature.NONE

    @property
    def security(self) -> SourceSecurity:
        """Who could read along; known before the first picture."""
        return SourceSecurity.UNKNOWN

    @property
    def heads(self) -> tuple[Head, ...]:
        """The guest's screens, as far as the server tells; one that is the whole framebuffer otherwise."""
        fb = self.framebuffer
        return () if fb is None else (Head(0, 0, 0, fb.width, fb.height),)

    def open(self) -> None:
        """Start the thread and connect. Call once."""
        raise NotImplementedError

    def close(self) -> None:
        """Disconnect and end the thread; safe to call twice. Returns within a second. No signal follows."""
        raise NotImplementedError

    def take_damage(self) -> list[Rect]:
        """Return and forget the damage since the last call (a few rectangles, merged). GUI thread."""
        raise NotImplementedError

    def send_key(self, scancode: int, keysym: int, pressed: bool) -> None:
        """Press or release a key. ``scancode``: Linux evdev key code (``KEY_A`` = 30), 0 when not known.

        ``keysym``: X11 keysym, used only where the server knows no scancodes. GUI thread, never blocks.
        """
        raise NotImplementedError

    def send_pointer(self, x: int, y: int, buttons: PointerButton) -> None:
        """Absolute position in guest pixels, or the movement when the mode is RELATIVE. GUI thread."""
        raise NotImplementedError

    def set_visible(self, visible: bool) -> None:
        """While not visible a source may ask for nothing more than keeps it connected. GUI thread."""
        raise NotImplementedError

    # What only some sources can do; the others do nothing.

    def request_size(self, width: int, height: int) -> None:
        """Ask the guest for a screen of this size in pixels (RESIZE). It may refuse, or choose another. GUI thread."""

    def send_power(self, action: PowerAction) -> None:
        """Ask for the guest to be shut down, restarted or reset (POWER). GUI thread."""

    def set_clipboard_policy(self, policy: ClipboardPolicy) -> None:
        """OFF until told otherwise: nothing is sent, announced or received against the policy. GUI thread."""

    def set_sound(self, on: bool) -> None:
        """Play the guest's sound (SOUND); off until told otherwise. GUI thread."""

    def send_clipboard(self, text: str) -> None:
        """The desktop's clipboard changed; offered to the guest if the policy allows. GUI thread."""

    def set_quality(self, quality: Quality) -> None:
        """How a display over a network is encoded; of no effect on a local one. GUI thread."""
