"""Preferences that concern a console, put into force in one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from guivm.views.settings import (
    AUTO_RESIZE,
    CLIPBOARD_POLICY,
    CONSOLE_SCALE,
    CONSOLE_ZOOM,
    DESKTOP_SHORTCUTS,
    DISPLAY_QUALITY,
    HOST_KEY,
    INPUT_METHOD,
    SOUND,
    Settings,
    for_vm,
)

if TYPE_CHECKING:
    from guivm.console.picture.viewport import ScaleMode
    from guivm.console.source import DisplaySource
    from guivm.console.widget import ConsoleWidget

_OF_THE_WIDGET = frozenset(
    setting.key for setting in (CONSOLE_SCALE, CONSOLE_ZOOM, HOST_KEY, DESKTOP_SHORTCUTS, INPUT_METHOD)
)


class ConsolePreferences(QObject):
    """Of one VM's console. GUI thread."""

    changed = Signal()  # what is checked in menus is different now
    clipboardChanged = Signal(str)  # a value of guivm.console.frame.ClipboardPolicy

    def __init__(self, settings: Settings, uuid: str, parent: QObject) -> None:
        super().__init__(parent)
        self._settings = settings
        self._auto_resize = for_vm(AUTO_RESIZE, uuid)
        self._clipboard = for_vm(CLIPBOARD_POLICY, uuid)
        self._sound = for_vm(SOUND, uuid)
        self._console: ConsoleWidget | None = None
        self._source: DisplaySource | None = None
        self._applying = False
        settings.changed.connect(self._on_setting)

    # --- whom they concern ----------------------------------------------------------------------------

    def set_console(self, console: ConsoleWidget) -> None:
        """Call once."""
        self._console = console
        console.scaleChanged.connect(self._on_scaled)
        self._apply()
        console.set_auto_resize(self._settings.get(self._auto_resize))

    def set_source(self, source: DisplaySource) -> None:
        """A new source, before it is opened."""
        from guivm.console.frame import Quality

        self._source = source
        source.destroyed.connect(self._on_destroyed)
        try:
            source.set_quality(Quality(self._settings.get(DISPLAY_QUALITY)))
        except ValueError:
            source.set_quality(Quality.AUTO)
        source.set_sound(self._settings.get(self._sound))

    @Slot()
    def _on_destroyed(self) -> None:
        self._source = None

    # --- what they are --------------------------------------------------------------------------------

    @property
    def clipboard(self) -> str:
        """A value of guivm.console.frame.ClipboardPolicy."""
        return self._settings.get(self._clipboard)

    def set_clipboard(self, policy: str) -> None:
        self._settings.set(self._clipboard, policy)

    def is_on(self, action_id: str) -> bool:
        """Whether what an action switches is on."""
        match action_id:
            case "auto-resize":
                return self._settings.get(self._auto_resize)
            case "sound":
                return self._settings.get(self._sound)
            case _:
                return False

    def run(self, action_id: str) -> None:
        """Switch what the action names: auto-resize, sound, zoom-in, zoom-out."""
        match action_id:
            case "auto-resize":
                self._settings.set(self._auto_resize, not self._settings.get(self._auto_resize))
            case "sound":
                self._settings.set(self._sound, not self._settings.get(self._sound))
            case "zoom-in":
                self._zoom(1)
            case "zoom-out":
                self._zoom(-1)

    def _zoom(self, direction: int) -> None:
        from guivm.console.picture.viewport import step_zoom

        if self._console is not None:
            self._console.set_zoom(step_zoom(self._console.zoom(), direction))

    # --- putting them into force ----------------------------------------------------------------------

    def _apply(self) -> None:
        console = self._console
        if console is None:
            return
        from guivm.console.picture.viewport import ScaleMode

        try:
            mode = ScaleMode(self._settings.get(CONSOLE_SCALE))
        except ValueError:
            mode = ScaleMode.FIT
        self._applying = True
        try:
            if mode is ScaleMode.FREE:
                console.set_zoom(self._settings.get(CONSOLE_ZOOM) / 100)
            else:
                console.set_scale_mode(mode)
        finally:
            self._applying = False
        console.set_host_key(self._settings.get(HOST_KEY))
        console.set_desktop_shortcuts(self._settings.get(DESKTOP_SHORTCUTS))
        console.set_input_method_enabled(self._settings.get(INPUT_METHOD))

    @Slot(object, float)
    def _on_scaled(self, mode: ScaleMode, _scale: float) -> None:
        """The person zoomed in the console itself: that is remembered as if chosen in the menu."""
        if self._applying or self._console is None:
            return
        self._settings.set(CONSOLE_SCALE, mode.value)
        if mode.value == "free":
            self._settings.set(CONSOLE_ZOOM, round(self._console.zoom() * 100))

    @Slot(str)
    def _on_setting(self, key: str) -> None:
        if key in _OF_THE_WIDGET:
            self._apply()
        elif key == self._auto_resize.key and self._console is not None:
            self._console.set_auto_resize(self._settings.get(self._auto_resize))
            self.changed.emit()
        elif key == self._sound.key:
            if self._source is not None:
                self._source.set_sound(self._settings.get(self._sound))
            self.changed.emit()
        elif key == self._clipboard.key:
            self.clipboardChanged.emit(self.clipboard)
        elif key == DISPLAY_QUALITY.key and self._source is not None:
            from guivm.console.frame import Quality

            self._source.set_quality(Quality(self._settings.get(DISPLAY_QUALITY)))
