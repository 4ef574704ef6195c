"""Everything a console offers beyond its picture, held together: preferences, status line, clipboard, tools."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

import shiboken6
from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtWidgets import QWidget

from guivm.views.bridge import Bridge
from guivm.views.clipboard_sharing import ClipboardSharing
from guivm.views.console_preferences import ConsolePreferences
from guivm.views.console_status import ConsoleStatus
from guivm.views.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from guivm.console.frame import ClipboardPolicy
    from guivm.console.source import DisplaySource
    from guivm.console.widget import ConsoleWidget
    from guivm.views.console_page import ConsolePage
    from guivm.views.console_tools import ConsoleTools

_PREFERENCES = frozenset({"auto-resize", "sound", "zoom-in", "zoom-out"})


class ConsoleFeatures(QObject):
    """Of one :class:`ConsolePage`, which says which widget and which source it has. GUI thread."""

    told = Signal(object)  # Message: what an action has to say
    changed = Signal()  # what is_on answers is different now
    recordingChanged = Signal()  # is_recording is

    def __init__(self, page: ConsolePage, bridge: Bridge, settings: Settings) -> None:
        super().__init__(page)
        self._page = page
        self._bridge = bridge
        self._settings = settings
        self._console: ConsoleWidget | None = None
        self._sharing: ClipboardSharing | None = None
        self._tools: ConsoleTools | None = None
        self._waiting: list[tuple[str, weakref.ref[QWidget]]] = []  # actions for when there is a picture
        self.preferences = ConsolePreferences(settings, page.key.uuid, self)
        self.preferences.changed.connect(self.changed)
        self.preferences.clipboardChanged.connect(self._on_clipboard)
        self.status = ConsoleStatus(page)
        self.status.set_clipboard(self.preferences.clipboard)
        self.status.clipboardChosen.connect(self.preferences.set_clipboard)
        self.status.stopRequested.connect(self._on_stop_recording)
        self.status.hide()

    # --- told by the page -----------------------------------------------------------------------------

    def set_console(self, console: ConsoleWidget) -> None:
        """Call once."""
        self._console = console
        self.preferences.set_console(console)
        self.status.follow(console)
        console.textCommitted.connect(self._on_committed)
        self._sharing = ClipboardSharing(self)
        self._sharing.set_policy(_policy(self.preferences.clipboard))

    def set_source(self, source: DisplaySource) -> None:
        """A new source, before it is opened."""
        self.preferences.set_source(source)
        source.ledsChanged.connect(self.status.set_leds)
        source.securityChanged.connect(self.status.set_security)
        source.refused.connect(self._on_refused)
        if self._sharing is not None:
            self._sharing.follow(source)
        if self._tools is not None:
            self._tools.follow(source)

    def let_go(self) -> None:
        """The source is about to go."""
        if self._sharing is not None:
            self._sharing.follow(None)
        if self._tools is not None:
            self._tools.follow(None)

    def tap(self) -> Callable[[bytes | bytearray | memoryview], None] | None:
        """What takes the stream of the next connection; None while no session is recorded."""
        return self._tools.recordings.tap() if self._tools is not None else None

    def connected(self) -> None:
        """There is a picture: what waited for it is carried out."""
        waiting, self._waiting = self._waiting, []
        for action_id, window_ref in waiting:
            window = window_ref()
            if window is not None and shiboken6.isValid(window):
                self.tools.run(action_id, window)

    def forget_waiting(self) -> None:
        """There will be no picture for what was asked before."""
        self._waiting.clear()

    def close(self) -> None:
        """The page goes away for good: what it records ends."""
        if self._tools is not None:
            self._tools.close()

    # --- actions --------------------------------------------------------------------------------------

    @property
    def tools(self) -> ConsoleTools:
        """Made on first use."""
        if self._tools is None:
            from guivm.views.console_tools import ConsoleTools

            self._tools = ConsoleTools(self._page, self._bridge, self._settings)
            self._tools.told.connect(self.told)
            self._tools.changed.connect(self._on_tools_changed)
            self._tools.follow(self._console.source() if self._console is not None else None)
        return self._tools

    @property
    def is_recording(self) -> bool:
        return self._tools is not None and bool(self._tools.recordings.active)

    def is_on(self, action_id: str) -> bool:
        """Whether what an action switches is on here."""
        if action_id in _PREFERENCES:
            return self.preferences.is_on(action_id)
        return self._tools is not None and self._tools.is_checked(action_id)

    def run(self, action_id: str, window: QWidget) -> None:
        """Carry out an action of guivm.views.console_actions here; if it needs a picture, as soon as there is one."""
        if action_id in _PREFERENCES:
            self.preferences.run(action_id)
        elif self._has_picture():
            self.tools.run(action_id, window)
        else:
            self._waiting.append((action_id, weakref.ref(window)))
            self.changed.emit()

    def send_combo(self, combo: str) -> None:
        """Press keys in the guest, "Ctrl+Alt+Del"."""
        if self._has_picture():
            self.tools.send_combo(combo)

    def _has_picture(self) -> bool:
        from guivm.console.source import SourceState

        source = self._console.source() if self._console is not None else None
        return source is not None and source.state is SourceState.CONNECTED

    @Slot()
    def _on_tools_changed(self) -> None:
        self.status.set_recording(self._tools.recordings.active if self._tools is not None else "")
        self.recordingChanged.emit()
        self.changed.emit()

    @Slot(str)
    def _on_stop_recording(self, action_id: str) -> None:
        self.run(action_id, self._page.window())

    @Slot(str)
    def _on_clipboard(self, policy: str) -> None:
        self.status.set_clipboard(policy)
        if self._sharing is not None:
            self._sharing.set_policy(_policy(policy))
        self.changed.emit()

    @Slot(str)
    def _on_committed(self, text: str) -> None:
        self.tools.type_committed(text)

    @Slot(str)
    def _on_refused(self, reason: str) -> None:
        from guivm.views.messages import Message, Severity

        self.told.emit(Message(Severity.INFO, reason))


def _policy(value: str) -> ClipboardPolicy:
    """Off where the preference holds something else."""
    from guivm.console.frame import ClipboardPolicy

    try:
        return ClipboardPolicy(value)
    except ValueError:
        return ClipboardPolicy.OFF
