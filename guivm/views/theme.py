"""The look: colours, palettes, style sheet (resources/style.qss). The only module with colours in it.

Light and dark follow the desktop unless the person chose one. Widgets that paint for themselves ask
:func:`tokens_for` with their own palette, so nothing here is global.

Dynamic properties understood by the style sheet:

* ``QLabel``: ``role`` = ``"title"``, ``"heading"``, ``"strong"`` or ``"caption"``; ``tone`` = ``"quiet"``, ``"error"``,
  ``"warning"``, ``"success"``.
* ``QPushButton``/``QToolButton``: ``kind`` = ``"primary"``, ``"danger"`` or ``"flat"``.
* ``QFrame``: ``card`` = ``true``; ``panel`` = ``true``.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from string import Template
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, Signal, Slot
from PySide6.QtGui import QColor, QFont, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication

from guivm.engine.types import VmState
from guivm.resources import resource_path
from guivm.views.settings import COLOR_SCHEME, ColorScheme, Settings

if TYPE_CHECKING:
    from guivm.console.terminal.colors import TerminalColors

GRID = 8
"""Distances are multiples of this many device-independent pixels."""
RADIUS = 8

_ACCENT = "#2f6fdb"
# Qt's Fusion highlight: what Accent is when the desktop names none.
_FUSION_ACCENT = "#308cc6"


@dataclass(frozen=True, eq=False, repr=False)  # what nobody uses of so many fields is not generated
class Tokens:
    """The colours of one scheme, by meaning."""

    dark: bool
    window: QColor  # behind everything: bars, margins
    sidebar: QColor
    surface: QColor  # pages
    card: QColor  # what lies on a page
    sunken: QColor  # behind a screen picture
    border: QColor
    border_strong: QColor
    text: QColor
    quiet: QColor  # secondary text; readable (4.5:1) on card and surface
    disabled: QColor
    accent: QColor
    accent_hover: QColor
    on_accent: QColor
    link: QColor
    hover: QColor
    pressed: QColor
    selection: QColor  # behind selected rows
    running: QColor
    paused: QColor
    off: QColor
    saved: QColor
    suspended: QColor
    error: QColor
    warning: QColor
    success: QColor
    info: QColor

    def state(self, state: VmState) -> QColor:
        """Colour of a VM's state; it never stands alone: a shape and a word go with it."""
        return {
            VmState.RUNNING: self.running,
            VmState.PAUSED: self.paused,
            VmState.SUSPENDED: self.suspended,
            VmState.SHUTTING_DOWN: self.paused,
            VmState.OFF: self.off,
            VmState.SAVED: self.saved,
            VmState.CRASHED: self.error,
            VmState.UNKNOWN: self.off,
        }[state]


def contrast(a: QColor, b: QColor) -> float:
    """WCAG 2 contrast ratio of two opaque colours, 1 to 21."""

    def luminance(color: QColor) -> float:
        def channel(value: float) -> float:
            return value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4

        return 0.2126 * channel(color.redF()) + 0.7152 * channel(color.greenF()) + 0.0722 * channel(color.blueF())

    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def mix(front: QColor, back: QColor, share: float) -> QColor:
    """``front`` over ``back`` with opacity ``share`` (0 to 1)."""
    return QColor.fromRgbF(
        front.redF() * share + back.redF() * (1 - share),
        front.greenF() * share + back.greenF() * (1 - share),
        front.blueF() * share + back.blueF() * (1 - share),
    )


def _darkened(color: QColor, ground: QColor, ratio: float) -> QColor:
    """The colour, darkened until its contrast with ``ground`` is at least ``ratio``."""
    result = QColor(color)
    while contrast(result, ground) < ratio and result.lightnessF() > 0.1:
        result = QColor.fromHslF(max(result.hslHueF(), 0), result.hslSaturationF(), result.lightnessF() - 0.02)
    return result


@functools.lru_cache(maxsize=8)
def _tokens(dark: bool, accent_rgb: int) -> Tokens:
    accent = QColor.fromRgb(accent_rgb)
    white = QColor("#ffffff")
    if dark:
        card, text = QColor("#2a2b31"), QColor("#ededf2")
        link = accent
        while contrast(link, card) < 5 and link.lightnessF() < 0.9:
            link = QColor.fromHslF(max(link.hslHueF(), 0), link.hslSaturationF(), link.lightnessF() + 0.02)
        return Tokens(
            dark=True,
            window=QColor("#222328"),
            sidebar=QColor("#222328"),
            surface=QColor("#1c1d21"),
            card=card,
            sunken=QColor("#131417"),
            border=QColor("#383a42"),
            border_strong=QColor("#4c4e58"),
            text=text,
            quiet=QColor("#a9abb8"),
            disabled=QColor("#696b78"),
            accent=accent,
            accent_hover=accent.lighter(112),
            on_accent=white,
            link=link,
            hover=QColor("#34353d"),
            pressed=QColor("#3e4049"),
            selection=mix(accent, QColor("#222328"), 0.42),
            running=QColor("#53c988"),
            paused=QColor("#f0b552"),
            off=QColor("#9c9eac"),
            saved=QColor("#85aaff"),
            suspended=QColor("#bb98f5"),
            error=QColor("#ff857c"),
            warning=QColor("#f0b552"),
            success=QColor("#53c988"),
            info=QColor("#85aaff"),
        )
    card = white
    return Tokens(
        dark=False,
        window=QColor("#f4f4f6"),
        sidebar=QColor("#f4f4f6"),
        surface=QColor("#fafafb"),
        card=card,
        sunken=QColor("#e9e9ed"),
        border=QColor("#e0e0e5"),
        border_strong=QColor("#c6c7d0"),
        text=QColor("#1c1d22"),
        quiet=QColor("#5f616e"),
        disabled=QColor("#a3a5b0"),
        accent=accent,
        accent_hover=accent.darker(108),
        on_accent=white,
        link=_darkened(accent, QColor("#f4f4f6"), 4.6),
        hover=QColor("#e9e9ee"),
        pressed=QColor("#dddde4"),
        selection=mix(accent, QColor("#f4f4f6"), 0.17),
        running=QColor("#1a7f46"),
        paused=QColor("#9a5b00"),
        off=QColor("#666876"),
        saved=QColor("#2b5fc7"),
        suspended=QColor("#7446b8"),
        error=QColor("#c22f2b"),
        warning=QColor("#9a5b00"),
        success=QColor("#1a7f46"),
        info=QColor("#2b5fc7"),
    )


def tokens_for(palette: QPalette) -> Tokens:
    """The colours that belong to a widget's palette."""
    dark = palette.color(QPalette.ColorRole.Window).lightness() < 128
    return _tokens(dark, palette.color(QPalette.ColorRole.Accent).rgb())


# A terminal's sixteen colours: black, red, green, yellow, blue, magenta, cyan, white, then the same bright. Each but
# black on dark, and the whites on light, can be read (4.5:1) on the ground below.
_TERMINAL_DARK = (
    *("#3b3d47", "#ff7a70", "#5fd38d", "#e6b450", "#7aa5ff", "#d291f5", "#56c8d8", "#d8d9e0"),
    *("#7d808f", "#ff9d95", "#86e5ac", "#f5cf7c", "#a3c1ff", "#e3b8fb", "#8adfeb", "#ffffff"),
)
_TERMINAL_LIGHT = (
    *("#1c1d22", "#b3261e", "#176b3a", "#7d5200", "#2155b8", "#8a2fa8", "#0b6672", "#b9bac4"),
    *("#5f616e", "#c7332b", "#1a7f46", "#8f5f00", "#2f66d0", "#9c3fbb", "#0f7583", "#e9e9ee"),
)


def terminal_colors_for(palette: QPalette) -> TerminalColors:
    """The colours of a text console beside widgets of this palette."""
    from guivm.console.terminal.colors import TerminalColors

    tokens = tokens_for(palette)
    ground = tokens.sunken if tokens.dark else tokens.card
    return TerminalColors(
        foreground=tokens.text,
        background=ground,
        cursor=tokens.text,
        cursor_text=ground,
        selection=mix(tokens.accent, ground, 0.5 if tokens.dark else 0.28),
        selection_text=tokens.text,
        bell=tokens.accent,
        ansi=tuple(QColor(name) for name in (_TERMINAL_DARK if tokens.dark else _TERMINAL_LIGHT)),
    )


def palette_of(tokens: Tokens) -> QPalette:
    """Qt's palette for a set of colours."""
    role, group = QPalette.ColorRole, QPalette.ColorGroup
    palette = QPalette(tokens.card, tokens.window)
    for name, color in (
        (role.Window, tokens.window),
        (role.WindowText, tokens.text),
        (role.Base, tokens.card),
        (role.AlternateBase, tokens.surface),
        (role.Text, tokens.text),
        (role.Button, tokens.card),
        (role.ButtonText, tokens.text),
        (role.BrightText, tokens.error),
        (role.ToolTipBase, tokens.card),
        (role.ToolTipText, tokens.text),
        (role.PlaceholderText, tokens.quiet),
        (role.Highlight, tokens.accent),
        (role.HighlightedText, tokens.on_accent),
        (role.Accent, tokens.accent),
        (role.Link, tokens.link),
        (role.LinkVisited, tokens.link),
        (role.Light, tokens.card),
        (role.Midlight, tokens.hover),
        (role.Mid, tokens.border),
        (role.Dark, tokens.border_strong),
        (role.Shadow, tokens.sunken),
    ):
        palette.setColor(name, color)
    for name in (role.WindowText, role.Text, role.ButtonText, role.HighlightedText):
        palette.setColor(group.Disabled, name, tokens.disabled)
    palette.setColor(group.Disabled, role.Highlight, tokens.pressed)
    palette.setColor(group.Disabled, role.Accent, tokens.accent)
    return palette


class Theme(QObject):
    """Keeps the application's palette, font and style sheet; one per application. GUI thread."""

    changed = Signal()

    def __init__(self, app: QApplication, settings: Settings, parent: QObject | None = None) -> None:
        super().__init__(parent if parent is not None else app)
        self.setObjectName("theme")
        self._app = app
        self._settings = settings
        self._applied: tuple[bool, int] | None = None
        if app.style().name().lower() != "fusion":
            app.setStyle("Fusion")
        self._choose_font()
        self.apply()
        app.styleHints().colorSchemeChanged.connect(self.apply)
        settings.changed.connect(self._on_setting)

    @staticmethod
    def ensure(settings: Settings, parent: QObject) -> Theme:
        """The application's theme, made (owned by ``parent``) when the composition root made none."""
        app = QApplication.instance()
        assert isinstance(app, QApplication)
        found = app.findChild(Theme, "theme", Qt.FindChildOption.FindDirectChildrenOnly)
        return found if isinstance(found, Theme) else Theme(app, settings, parent)

    @property
    def dark(self) -> bool:
        chosen = self._settings.get(COLOR_SCHEME)
        if chosen == ColorScheme.SYSTEM.value:
            return self._app.styleHints().colorScheme() == Qt.ColorScheme.Dark
        return chosen == ColorScheme.DARK.value

    @Slot()
    def apply(self) -> None:
        """Put the colours of the scheme in force into the application."""
        dark = self.dark
        accent = _darkened(self._desktop_accent(), QColor("#ffffff"), 4.5)
        if self._applied == (dark, accent.rgb()):
            return
        self._applied = (dark, accent.rgb())
        tokens = _tokens(dark, accent.rgb())
        self._app.setPalette(palette_of(tokens))
        self._app.setStyleSheet(style_sheet(tokens, self._app.font()))
        self.changed.emit()

    @Slot(str)
    def _on_setting(self, key: str) -> None:
        if key == COLOR_SCHEME.key:
            self.apply()

    def _desktop_accent(self) -> QColor:
        if self._applied is None:
            accent = QGuiApplication.palette().color(QPalette.ColorRole.Accent)
            plain = accent.hslSaturationF() < 0.25 or accent == QColor(_FUSION_ACCENT)
            self._accent = QColor(_ACCENT) if plain else accent
        return self._accent

    def _choose_font(self) -> None:
        """The desktop's font; where there is no desktop to name one, Inter, then DejaVu Sans."""
        font = QFont(self._app.font())
        family = font.family()
        if family.lower() in ("", "sans", "sans serif", "sans-serif", "helvetica", "dejavu sans"):
            # Qt passes over those that are not installed; to ask for them first costs 7 ms.
            font.setFamilies(["Inter", "DejaVu Sans", *([family] if family else [])])
        else:
            font.setFamilies([family, "Inter", "DejaVu Sans"])
        if 0 < font.pointSizeF() < 10:
            font.setPointSizeF(10)
        self._app.setFont(font)


def style_sheet(tokens: Tokens, font: QFont) -> str:
    """The style sheet for a set of colours; sizes of type are relative to ``font``."""
    base = font.pointSizeF() if font.pointSizeF() > 0 else 10.0
    names = {
        name: value.name() if value.alpha() == 255 else value.name(QColor.NameFormat.HexArgb)
        for name, value in vars(tokens).items()
        if isinstance(value, QColor)
    }
    parts = resource_path("icons/style").as_posix()
    error_soft = mix(tokens.error, tokens.card, 0.12)
    sheet = resource_path("style.qss").read_text(encoding="ascii")
    return Template(sheet).substitute(
        names,
        parts=parts,
        title=f"{base * 1.55:.1f}pt",
        heading=f"{base * 1.15:.1f}pt",
        caption=f"{base * 0.9:.1f}pt",
        error_soft=error_soft.name(),
        handle=mix(tokens.text, tokens.surface, 0.22).name(),
        handle_hover=mix(tokens.text, tokens.surface, 0.38).name(),
    )
