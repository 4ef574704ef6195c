"""Shortcuts in words: the application's actions by menu, and the keys of a captured console."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication
from PySide6.QtGui import QKeySequence

from guivm.views.actions import ActionRegistry, ActionSpec, Group, N
from guivm.views.settings import HOST_KEY, Settings

_CONTEXT = "Shortcuts"
# The second key held with the Host key inside a captured console; empty: the Host key alone.
CONSOLE_KEYS = (
    ("", N("Shortcuts", "Give keyboard and mouse back to this computer")),
    ("P", N("Shortcuts", "Pause or resume")),
    ("F", N("Shortcuts", "Full screen")),
    ("Del", N("Shortcuts", "Send Ctrl+Alt+Del")),
    ("V", N("Shortcuts", "Type text")),
    ("X", N("Shortcuts", "Copy text from the screen")),
    ("E", N("Shortcuts", "Save a screenshot")),
    ("C", N("Shortcuts", "Fit to window")),
    ("A", N("Shortcuts", "Resize the guest with the window")),
    ("S", N("Shortcuts", "Take a snapshot")),
)


@dataclass(frozen=True, slots=True)
class ShortcutLine:
    """One line of the list: what it does and the keys, in the words on the person's keyboard."""

    text: str
    keys: tuple[str, ...]


def action_text(spec: ActionSpec) -> str:
    """The name of an action, without mnemonic and ellipsis."""
    return QCoreApplication.translate("Actions", spec.text).replace("&", "").removesuffix("…")


def group_text(group: Group) -> str:
    return QCoreApplication.translate("Actions", group.value).replace("&", "")


def keys_of(sequence: QKeySequence) -> tuple[str, ...]:
    """The keys of a sequence one by one: ``("Ctrl", "Shift", "F")``; a lone ``+`` is a key."""
    text = sequence.toString(QKeySequence.SequenceFormat.NativeText)
    if not text:
        return ()
    if text.endswith("++") or text == "+":
        return (*(part for part in text[:-1].split("+") if part), "+")
    return tuple(text.split("+"))


def host_keys() -> dict[str, str]:
    """Names and labels of the keys that can be the Host key."""
    from guivm.console.input.keyboard import HOST_KEYS

    return {name: key.label for name, key in HOST_KEYS.items()}


def host_key_text(settings: Settings) -> str:
    """Label of the Host key in force."""
    keys = host_keys()
    return keys.get(settings.get(HOST_KEY)) or keys.get(HOST_KEY.default, HOST_KEY.default)


def sections(actions: ActionRegistry, settings: Settings) -> list[tuple[str, list[ShortcutLine]]]:
    """Every shortcut by menu, then the console's; actions without keys are left out."""
    found: list[tuple[str, list[ShortcutLine]]] = []
    for group in Group:
        lines = [
            ShortcutLine(action_text(spec), keys)
            for spec in actions.in_group(group)
            if (keys := keys_of(actions.shortcut(spec.id)))
        ]
        if lines:
            found.append((group_text(group), lines))
    host = host_key_text(settings)
    console = [
        ShortcutLine(QCoreApplication.translate(_CONTEXT, text), (host, key) if key else (host,))
        for key, text in CONSOLE_KEYS
    ]
    found.append((QCoreApplication.translate(_CONTEXT, "Inside a captured console"), console))
    return found
