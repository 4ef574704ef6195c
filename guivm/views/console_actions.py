"""The actions that concern a console, for a window that shows one: menus, marks, and who carries them out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from guivm.views.actions import ActionRegistry
from guivm.views.settings import CONSOLE_SCALE, Settings

if TYPE_CHECKING:
    from PySide6.QtWidgets import QMainWindow

    from guivm.views.clipboard_menu import ClipboardMenu
    from guivm.views.console_page import ConsolePage

_SCALES = ("scale-fit", "scale-actual", "scale-integer")
# Carried out by the page that is followed.
_OF_THE_PAGE = frozenset(
    {
        *("send-ctrl-alt-del", "type-text", "copy-text", "copy-screenshot", "screenshot"),
        *("record-session", "record-video", "record-macro", "run-script", "open-screens"),
        *("view-only", "sound", "zoom-in", "zoom-out", "auto-resize"),
    }
)
_MARKED = ("record-session", "record-video", "record-macro", "view-only", "sound", "auto-resize")


class ConsoleActions(QObject):
    """Of one window. It follows one console at a time. GUI thread."""

    told = Signal(object)  # Message

    def __init__(self, actions: ActionRegistry, settings: Settings, window: QMainWindow) -> None:
        super().__init__(window)
        self._actions = actions
        self._settings = settings
        self._window = window
        self._page: ConsolePage | None = None
        self._clipboard: ClipboardMenu | None = None
        settings.changed.connect(self._on_setting)
        self._mark_scale()

    @property
    def page(self) -> ConsolePage | None:
        return self._page

    def handles(self, action_id: str) -> bool:
        return action_id in _OF_THE_PAGE or action_id in _SCALES or action_id == "play-recording"

    def run(self, action_id: str) -> None:
        """Carry out an action of this kind for the console that is followed."""
        if action_id in _SCALES:
            self._settings.set(CONSOLE_SCALE, action_id.removeprefix("scale-"))
            self._mark_scale()  # clicked again it stays on
        elif action_id == "play-recording":
            self._choose_recording()
        elif self._page is not None:
            self._page.features.run(action_id, self._window)
            self._mark()

    @Slot(object)
    def follow(self, page: ConsolePage | None) -> None:
        """Which console the window's actions are for."""
        if page is self._page:
            return
        old, self._page = self._page, page
        if old is not None:
            old.features.changed.disconnect(self._mark)
            old.features.told.disconnect(self.told)
            old.destroyed.disconnect(self._on_destroyed)
        if page is not None:
            page.features.changed.connect(self._mark)
            page.features.told.connect(self.told)
            page.destroyed.connect(self._on_destroyed)
        self._mark()

    @Slot()
    def _on_destroyed(self) -> None:
        self._page = None  # the window may be on its way out as well: nothing is marked

    @Slot()
    def fill_menus(self) -> None:
        """Give the actions that have one their menus; before a menu with them first opens."""
        if self._clipboard is not None:
            return
        from guivm.views.clipboard_menu import ClipboardMenu
        from guivm.views.send_keys_menu import SendKeysMenu

        send_keys = SendKeysMenu(self._settings, self._window)
        send_keys.chosen.connect(self.send_combo)
        send_keys.editRequested.connect(self.edit_combos)
        self._actions.action("send-keys").setMenu(send_keys)
        self._clipboard = ClipboardMenu(self._window)
        self._clipboard.chosen.connect(self._on_clipboard)
        self._actions.action("clipboard").setMenu(self._clipboard)
        self._mark()

    @Slot(str)
    def send_combo(self, combo: str) -> None:
        if self._page is not None:
            self._page.features.send_combo(combo)

    @Slot()
    def edit_combos(self) -> None:
        if self._page is not None:
            self._page.features.tools.edit_combos(self._window)

    @Slot(str)
    def _on_clipboard(self, policy: str) -> None:
        if self._page is not None:
            self._page.features.preferences.set_clipboard(policy)

    @Slot()
    def _mark(self) -> None:
        page = self._page
        for action_id in _MARKED:
            self._actions.action(action_id).setChecked(page is not None and page.features.is_on(action_id))
        if self._clipboard is not None:
            self._clipboard.set_policy(page.features.preferences.clipboard if page is not None else "off")

    def _mark_scale(self) -> None:
        scale = self._settings.get(CONSOLE_SCALE)
        for action_id in _SCALES:
            self._actions.action(action_id).setChecked(scale == action_id.removeprefix("scale-"))

    @Slot(str)
    def _on_setting(self, key: str) -> None:
        if key == CONSOLE_SCALE.key:
            self._mark_scale()

    def _choose_recording(self) -> None:
        from guivm.views.recordings import choose_recording

        choose_recording(self._settings, self._window)
