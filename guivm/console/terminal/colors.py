"""The colours of a terminal, as a value: which they are is decided where all colours are."""

from __future__ import annotations

from dataclasses import dataclass, field

from PySide6.QtGui import QColor

_LEVELS = (0, 95, 135, 175, 215, 255)  # of the cube of 216 colours: xterm's 256colres.pl


@dataclass(frozen=True)
class TerminalColors:
    """``ansi``: black, red, green, yellow, blue, magenta, cyan, white, then the same bright: 16 in all."""

    foreground: QColor
    background: QColor
    cursor: QColor
    cursor_text: QColor
    selection: QColor
    selection_text: QColor
    bell: QColor
    ansi: tuple[QColor, ...]
    _known: dict[str, QColor] = field(default_factory=dict, compare=False, repr=False)

    def color(self, name: str) -> QColor:
        """A colour of :class:`guivm.console.serial.cells.Style` that is not the default."""
        found = self._known.get(name)
        if found is None:
            found = QColor(name) if name.startswith("#") else self._indexed(int(name))
            if len(self._known) > 4096:  # a guest can name 16 million
                self._known.clear()
            self._known[name] = found
        return found

    def _indexed(self, index: int) -> QColor:
        if index < 16:
            return self.ansi[index]
        if index < 232:
            index -= 16
            return QColor(_LEVELS[index // 36], _LEVELS[index // 6 % 6], _LEVELS[index % 6])
        grey = 8 + (index - 232) * 10
        return QColor(grey, grey, grey)
