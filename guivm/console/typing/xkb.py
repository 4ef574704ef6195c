"""The part of libxkbcommon (1.0 or later) that is needed here, through ctypes.

The library comes with every Qt for X11 and Wayland; a compiled binding would need a compiler and headers.
Codes are Linux's; XKB's own are greater by eight (xkeyboard-config, ``keycodes/evdev``). An object is for one thread
at a time.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import enum
import functools
import weakref
from ctypes import POINTER, c_char_p, c_int, c_size_t, c_uint32, c_void_p

from guivm.console.typing.errors import TypingError

EVDEV_OFFSET = 8
_NO_ENVIRONMENT_NAMES = 2  # xkb_context_flags: XKB_DEFAULT_LAYOUT and its like have no say
_LOG_CRITICAL = 10
_TEXT_BYTES = 64


class _RuleNames(ctypes.Structure):
    _fields_ = [(name, c_char_p) for name in ("rules", "model", "layout", "variant", "options")]


_SIGNATURES: tuple[tuple[str, object, tuple[object, ...]], ...] = (
    ("xkb_context_new", c_void_p, (c_int,)),
    ("xkb_context_unref", None, (c_void_p,)),
    ("xkb_context_set_log_level", None, (c_void_p, c_int)),
    ("xkb_keymap_new_from_names", c_void_p, (c_void_p, POINTER(_RuleNames), c_int)),
    ("xkb_keymap_unref", None, (c_void_p,)),
    ("xkb_state_new", c_void_p, (c_void_p,)),
    ("xkb_state_unref", None, (c_void_p,)),
    ("xkb_state_update_key", c_int, (c_void_p, c_uint32, c_int)),
    ("xkb_state_key_get_one_sym", c_uint32, (c_void_p, c_uint32)),
    ("xkb_state_key_get_utf8", c_int, (c_void_p, c_uint32, c_char_p, c_size_t)),
    ("xkb_keysym_to_utf32", c_uint32, (c_uint32,)),
    ("xkb_compose_table_new_from_locale", c_void_p, (c_void_p, c_char_p, c_int)),
    ("xkb_compose_table_unref", None, (c_void_p,)),
    ("xkb_compose_state_new", c_void_p, (c_void_p, c_int)),
    ("xkb_compose_state_unref", None, (c_void_p,)),
    ("xkb_compose_state_feed", c_int, (c_void_p, c_uint32)),
    ("xkb_compose_state_reset", None, (c_void_p,)),
    ("xkb_compose_state_get_status", c_int, (c_void_p,)),
    ("xkb_compose_state_get_utf8", c_int, (c_void_p, c_char_p, c_size_t)),
)


@functools.cache
def _library() -> ctypes.CDLL:
    """Loaded once; TypingError when it is not there or too old."""
    try:
        library = ctypes.CDLL("libxkbcommon.so.0")
        for name, result, arguments in _SIGNATURES:
            function = getattr(library, name)
            function.restype = result
            function.argtypes = arguments
    except (OSError, AttributeError) as error:
        raise TypingError(
            "Text cannot be typed: the keyboard tables' library (libxkbcommon) is missing.",
            advice="Install libxkbcommon and xkb-data.",
            details=str(error),
        ) from error
    return library


def keysym_character(keysym: int) -> str:
    """The one character a keysym stands for; empty when it stands for none (modifiers, dead keys)."""
    value = int(_library().xkb_keysym_to_utf32(keysym))
    return chr(value) if value else ""


class Context:
    """Where tables are found: the system's directories."""

    def __init__(self) -> None:
        library = _library()
        self.handle: int | None = library.xkb_context_new(_NO_ENVIRONMENT_NAMES)
        if not self.handle:
            raise TypingError(
                "Text cannot be typed: the keyboard tables are not installed.",
                advice="Install xkb-data (xkeyboard-config).",
            )
        weakref.finalize(self, library.xkb_context_unref, self.handle)
        library.xkb_context_set_log_level(self.handle, _LOG_CRITICAL)


class Keymap:
    """A compiled layout on a PC keyboard with 105 keys."""

    def __init__(self, context: Context, layout: str, variant: str) -> None:
        """TypingError when the tables do not know it."""
        library = _library()
        names = _RuleNames(b"evdev", b"pc105", layout.encode(), variant.encode(), b"")
        self.handle: int | None = library.xkb_keymap_new_from_names(context.handle, ctypes.byref(names), 0)
        if not self.handle:
            name = f"{layout}({variant})" if variant else layout
            raise TypingError(
                f"The keyboard layout “{name}” is not known on this computer.", advice="Choose another layout."
            )
        weakref.finalize(self, library.xkb_keymap_unref, self.handle)


class KeyboardState:
    """A keyboard in use: which modifiers are down or locked."""

    def __init__(self, keymap: Keymap) -> None:
        self._library = _library()
        self._handle = self._library.xkb_state_new(keymap.handle)
        weakref.finalize(self, self._library.xkb_state_unref, self._handle)

    def press(self, code: int) -> None:
        self._library.xkb_state_update_key(self._handle, code + EVDEV_OFFSET, 1)

    def release(self, code: int) -> None:
        self._library.xkb_state_update_key(self._handle, code + EVDEV_OFFSET, 0)

    def keysym(self, code: int) -> int:
        """What a key means now; 0 when nothing, or several things at once."""
        return int(self._library.xkb_state_key_get_one_sym(self._handle, code + EVDEV_OFFSET))

    def text(self, code: int) -> str:
        """The text that a key enters now, without Compose."""
        buffer = ctypes.create_string_buffer(_TEXT_BYTES)
        self._library.xkb_state_key_get_utf8(self._handle, code + EVDEV_OFFSET, buffer, _TEXT_BYTES)
        return buffer.value.decode(errors="replace")


class ComposeStatus(enum.Enum):
    """``xkb_compose_status``."""

    NOTHING = 0
    COMPOSING = 1
    COMPOSED = 2
    CANCELLED = 3


class Compose:
    """Dead keys and the characters that come of them, in one locale."""

    def __init__(self, handle: int) -> None:
        self._library = _library()
        self._handle = self._library.xkb_compose_state_new(handle, 0)
        weakref.finalize(self, self._library.xkb_compose_state_unref, self._handle)

    @classmethod
    def of_locale(cls, context: Context, locale: str) -> Compose | None:
        """None when there is no table for the locale (``"en_US.UTF-8"``)."""
        library = _library()
        handle = library.xkb_compose_table_new_from_locale(context.handle, locale.encode(), 0)
        if not handle:
            return None
        try:
            return cls(handle)  # which keeps the table
        finally:
            library.xkb_compose_table_unref(handle)

    def reset(self) -> None:
        self._library.xkb_compose_state_reset(self._handle)

    def feed(self, keysym: int) -> ComposeStatus:
        self._library.xkb_compose_state_feed(self._handle, keysym)
        return ComposeStatus(self._library.xkb_compose_state_get_status(self._handle))

    def text(self) -> str:
        """What was composed."""
        buffer = ctypes.create_string_buffer(_TEXT_BYTES)
        self._library.xkb_compose_state_get_utf8(self._handle, buffer, _TEXT_BYTES)
        return buffer.value.decode(errors="replace")
