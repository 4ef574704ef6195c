"""Preferences, each declared once: key, type, default. Kept with QSettings; a bad value falls back to the default."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Generic, TypeVar

from PySide6.QtCore import QByteArray, QObject, QSettings, Signal

T = TypeVar("T", bool, int, str, QByteArray, list[str])


@dataclass(frozen=True)
class Setting(Generic[T]):
    """One preference. The default's type is the type of the value."""

    key: str
    default: T


class ColorScheme(enum.Enum):
    """Value of COLOR_SCHEME."""

    SYSTEM = "system"
    LIGHT = "light"
    DARK = "dark"


# Window
GEOMETRY = Setting("window/geometry", QByteArray())
WINDOW_STATE = Setting("window/state", QByteArray())
SPLITTER = Setting("window/splitter", QByteArray())
LIST_HEADER = Setting("window/list-header", QByteArray())
SELECTION = Setting("window/selection", "")  # "HOST\nUUID"
PAGE = Setting("window/page", "overview")  # a name of guivm.views.vm_page.PAGES
TOLD_VMS_KEEP_RUNNING = Setting("window/told-vms-keep-running", False)
COLOR_SCHEME = Setting("look/color-scheme", ColorScheme.SYSTEM.value)
# Connections opened at start besides the default one
EXTRA_HOSTS: Setting[list[str]] = Setting("hosts/extra", [])
# Console
HOST_KEY = Setting("console/host-key", "Control_R")  # a name of guivm.console.input.keyboard.HOST_KEYS
CONSOLE_SCALE = Setting("console/scale", "fit")  # a value of guivm.console.picture.viewport.ScaleMode
CONSOLE_ZOOM = Setting("console/zoom-percent", 100)  # of the scale "free"
DISPLAY_QUALITY = Setting("console/quality", "auto")  # a value of guivm.console.frame.Quality
INPUT_METHOD = Setting("console/input-method", False)
KEY_COMBOS: Setting[list[str]] = Setting("console/key-combos", [])  # own ones, see guivm.console.input.key_combos
DESKTOP_SHORTCUTS: Setting[list[str]] = Setting(  # left with the desktop while a console is captured
    "console/desktop-shortcuts",
    ["Volume Up", "Volume Down", "Volume Mute", "Monitor Brightness Up", "Monitor Brightness Down"],
)
PICTURE_DIR = Setting("console/picture-dir", "")  # where screenshots and videos go; empty: the desktop's Pictures
TYPING_RATE = Setting("console/typing-rate", 0)  # characters a second; 0: the fastest that loses nothing
# Console, kept for each VM: see for_vm
AUTO_RESIZE = Setting("auto-resize", False)
CLIPBOARD_POLICY = Setting("clipboard", "off")  # a value of guivm.console.frame.ClipboardPolicy
TYPING_LAYOUT = Setting("typing-layout", "")  # a name of guivm.console.typing.layouts; empty: the desktop's
SOUND = Setting("sound", False)
FULL_SCREEN_MONITOR = Setting("full-screen-monitor", "")  # name of a QScreen; empty: where the window is
CONSOLE_GEOMETRY = Setting("console/geometry", QByteArray())  # of a console in its own window
THUMBNAILS = Setting("overview/thumbnails", True)


def shortcut_setting(action_id: str, default: str) -> Setting[str]:
    """The preference that holds the key sequence of an action (portable text; empty: none)."""
    return Setting(f"shortcuts/{action_id}", default)


def for_vm(setting: Setting[T], uuid: str) -> Setting[T]:
    """The same preference, kept for one VM."""
    return Setting(f"vms/{uuid}/{setting.key}", setting.default)


class Settings(QObject):
    """Typed access to the preferences; GUI thread. ``changed`` carries the key."""

    changed = Signal(str)

    def __init__(self, store: QSettings, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._store = store

    def get(self, setting: Setting[T]) -> T:
        default = setting.default
        if not self._store.contains(setting.key):
            return default
        raw: object = self._store.value(setting.key)
        if isinstance(default, list):
            if isinstance(raw, str):  # QSettings writes a list of one as a string
                return [raw] if raw else []
            return [str(item) for item in raw] if isinstance(raw, list) else default
        # Not QSettings' own conversion: it makes 0, False or nothing of what it cannot read.
        kind: type = type(default)
        if kind is bool:
            raw = {"true": True, "false": False}.get(str(raw).lower(), raw)
        elif kind is int and isinstance(raw, str):
            try:
                raw = int(raw)
            except ValueError:
                return default
        return raw if isinstance(raw, type(default)) else default

    def set(self, setting: Setting[T], value: T) -> None:
        if self._store.contains(setting.key) and self.get(setting) == value:
            return
        self._store.setValue(setting.key, value)
        self.changed.emit(setting.key)

    def reset(self, setting: Setting[T]) -> None:
        """Back to the default."""
        if self._store.contains(setting.key):
            self._store.remove(setting.key)
            self.changed.emit(setting.key)

    def sync(self) -> None:
        """Write to disk now."""
        self._store.sync()
