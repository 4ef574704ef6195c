"""Shortcuts that stay with the desktop while a console is captured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from PySide6.QtCore import QKeyCombination, Qt
from PySide6.QtGui import QKeyEvent, QKeySequence

DEFAULT_SHORTCUTS = ("Volume Up", "Volume Down", "Volume Mute", "Monitor Brightness Up", "Monitor Brightness Down")
"""Portable text of key sequences (``QKeySequence``): the keys that act on the computer itself, whoever is typing."""

_MODIFIERS = (
    Qt.KeyboardModifier.ShiftModifier
    | Qt.KeyboardModifier.ControlModifier
    | Qt.KeyboardModifier.AltModifier
    | Qt.KeyboardModifier.MetaModifier
)
_NOT_ALONE = frozenset(
    {
        Qt.Key.Key_Shift,
        Qt.Key.Key_Control,
        Qt.Key.Key_Alt,
        Qt.Key.Key_AltGr,
        Qt.Key.Key_Meta,
        Qt.Key.Key_Super_L,
        Qt.Key.Key_Super_R,
        Qt.Key.Key_unknown,
    }
)


class DesktopShortcuts:
    """The rule: which key events are not for the guest. GUI thread.

    A modifier cannot be kept by itself: it is pressed before anybody knows what it will be part of. The one who
    keeps a combination lets go of what the guest holds, so that no half of it stays there.
    """

    def __init__(self, sequences: Iterable[str] = DEFAULT_SHORTCUTS) -> None:
        """Portable texts of key sequences; what is none, or has more than one step, is passed over."""
        self._kept: frozenset[QKeyCombination] = frozenset(_combinations(sequences))

    def keeps(self, event: QKeyEvent) -> bool:
        """Whether a press belongs to the desktop; its release then does as well."""
        if not self._kept:
            return False
        try:
            key = Qt.Key(event.key())
        except ValueError:
            return False
        return QKeyCombination(event.modifiers() & _MODIFIERS, key) in self._kept

    def __len__(self) -> int:
        return len(self._kept)


def is_shortcut(text: str) -> bool:
    """Whether a portable text is one combination that can be kept."""
    return bool(list(_combinations([text])))


def _combinations(sequences: Iterable[str]) -> Iterator[QKeyCombination]:
    for text in sequences:
        sequence = QKeySequence.fromString(text, QKeySequence.SequenceFormat.PortableText)
        if sequence.count() != 1:
            continue
        combination: QKeyCombination = sequence[0]  # type: ignore[index]  # missing in PySide's stubs
        if combination.key() not in _NOT_ALONE:
            yield combination
