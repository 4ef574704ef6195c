"""Text as keystrokes for a guest's keyboard layout, from the desktop's own XKB tables. No Qt."""

from guivm.console.typing.errors import TypingError
from guivm.console.typing.layouts import US, Layout, find_layout, layouts
from guivm.console.typing.planner import MAX_CHARACTERS, TypingPlan, bursts, clean_text, events, plan
from guivm.console.typing.session import Session, default_layout
from guivm.console.typing.strokes import Key, KeyEvent, Stroke

__all__ = [
    "MAX_CHARACTERS",
    "US",
    "Key",
    "KeyEvent",
    "Layout",
    "Session",
    "Stroke",
    "TypingError",
    "TypingPlan",
    "bursts",
    "clean_text",
    "default_layout",
    "events",
    "find_layout",
    "layouts",
    "plan",
]
