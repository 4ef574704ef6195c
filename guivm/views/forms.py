"""Pieces every form is made of: labelled rows with help and problem, a size spin box, a path field.

Lengths are device-independent pixels on an 8-pixel grid. GUI thread.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QEvent, QObject, QSize, Qt, QUrl, Signal, Slot
from PySide6.QtGui import (
    QDragEnterEvent,
    QDragMoveEvent,
    QDropEvent,
    QFontMetrics,
    QIcon,
    QPainter,
    QPaintEvent,
    QPalette,
    QResizeEvent,
    QValidator,
)
from PySide6.QtWidgets import (
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QWidget,
)

from guivm.text import clean_line
from guivm.views.icons import Tint, icon
from guivm.views.small import dropped_path as dropped_path
from guivm.views.small import plain_tooltip as plain_tooltip
from guivm.views.small import set_style_property as set_style_property
from guivm.views.theme import GRID

MIB_PER_GIB = 1024


class Tone(enum.Enum):
    """How a line under a field speaks; the values are those of the theme's ``tone`` property."""

    HELP = "quiet"
    WARNING = "warning"
    PROBLEM = "error"


def tone_icon(tone: Tone) -> QIcon:
    """The sign that goes with a problem or warning, so that colour is not all that tells them apart."""
    return icon("warning", Tint.WARNING) if tone is Tone.WARNING else icon("error", Tint.ERROR)


def plain_label(text: str, parent: QWidget, *, wrap: bool = False) -> QLabel:
    """A label that never takes its text for markup."""
    label = QLabel(parent)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(wrap)
    label.setText(text)
    return label


class ToneLabel(QLabel):
    """A small plain-text label that the theme colours by its tone."""

    def __init__(self, text: str = "", parent: QWidget | None = None, *, tone: Tone = Tone.HELP) -> None:
        super().__init__(parent)
        self._tone = tone
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setWordWrap(True)
        self.setProperty("role", "caption")
        self.setProperty("tone", tone.value)
        self.setText(text)

    @property
    def tone(self) -> Tone:
        return self._tone

    def minimumSizeHint(self) -> QSize:
        # QLabel guesses a narrow width and so too many lines; heightForWidth tells the truth.
        metrics = self.fontMetrics()
        return QSize(metrics.averageCharWidth() * 12, metrics.height())

    def set_tone(self, tone: Tone) -> None:
        if tone is not self._tone:
            self._tone = tone
            set_style_property(self, "tone", tone.value)


class ElidedLabel(QWidget):
    """One line of plain text, elided in the middle; the whole text is the tooltip when it does not fit."""

    def __init__(self, text: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._text = ""
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.set_text(text)

    def text(self) -> str:
        return self._text

    def set_text(self, text: str) -> None:
        self._text = clean_line(text, 4096)
        self.setAccessibleName(self._text)
        self._update_tooltip()
        self.updateGeometry()
        self.update()

    def set_quiet(self) -> None:
        """Paint in the secondary colour."""
        self.setForegroundRole(QPalette.ColorRole.PlaceholderText)

    def sizeHint(self) -> QSize:
        metrics = self.fontMetrics()
        return QSize(metrics.horizontalAdvance(self._text) + 2, metrics.height())

    def minimumSizeHint(self) -> QSize:
        metrics = self.fontMetrics()
        return QSize(metrics.averageCharWidth() * 8, metrics.height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._update_tooltip()

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setPen(self.palette().color(self.foregroundRole()))
        painter.drawText(
            self.rect(), Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeading, elided_middle(
                self.fontMetrics(), self._text, self.width())
        )  # fmt: skip

    def _update_tooltip(self) -> None:
        fits = self.fontMetrics().horizontalAdvance(self._text) <= self.width()
        self.setToolTip("" if fits else plain_tooltip(self._text))


def elided_middle(metrics: QFontMetrics, text: str, width: int) -> str:
    return metrics.elidedText(text, Qt.TextElideMode.ElideMiddle, width)


class NoteLine(QWidget):
    """The line under a field: quiet help, replaced by the problem or warning while there is one."""

    def __init__(self, help_text: str = "", parent: QWidget | None = None, *, trailing: bool = False) -> None:
        """``trailing``: against the trailing edge and centred in the height, as in a dialog's footer."""
        super().__init__(parent)
        self._help = help_text
        self._problem = ""
        self._tone = Tone.HELP
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GRID // 2)
        self._icon = QLabel(self)
        self._label = ToneLabel(help_text, self)
        if trailing:
            self._label.setAlignment(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignTrailing)
        else:
            self._icon.setAlignment(Qt.AlignmentFlag.AlignTop)
            self._label.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeading)
        layout.addWidget(self._icon, 0)
        layout.addWidget(self._label, 1)
        self._show()

    @property
    def text(self) -> str:
        return self._label.text()

    @property
    def problem(self) -> str:
        """The problem or warning shown, or empty."""
        return self._problem

    @property
    def tone(self) -> Tone:
        return self._tone if self._problem else Tone.HELP

    def set_help(self, text: str) -> None:
        self._help = text
        self._show()

    def set_problem(self, text: str, tone: Tone = Tone.PROBLEM) -> None:
        """Show ``text`` instead of the help; empty shows the help again."""
        self._problem = clean_line(text, 500)
        self._tone = tone
        self._show()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._show_icon()

    def _show(self) -> None:
        self._label.setText(self._problem or self._help)
        self._label.set_tone(self.tone)
        self._show_icon()

    def _show_icon(self) -> None:
        if self.tone is Tone.HELP:
            self._icon.hide()
            return
        side = self._label.fontMetrics().height()
        self._icon.setPixmap(tone_icon(self.tone).pixmap(QSize(side, side), self.devicePixelRatioF()))
        self._icon.show()


class FormRow(QObject):
    """Label at the left, field at the right, one line under the field."""

    def __init__(self, label: QLabel, field: QWidget, note: NoteLine, parent: QWidget) -> None:
        super().__init__(parent)
        self.label = label
        self.field = field
        self.note = note

    @property
    def problem(self) -> str:
        return self.note.problem

    def set_help(self, text: str) -> None:
        self.note.set_help(text)
        self._describe()

    def set_problem(self, text: str, *, is_warning: bool = False) -> None:
        """Show a sentence beside the field; empty removes it."""
        self.note.set_problem(text, Tone.WARNING if is_warning else Tone.PROBLEM)
        set_style_property(self.field.focusProxy() or self.field, "invalid", bool(text) and not is_warning)
        self._describe()

    def set_visible(self, visible: bool) -> None:
        for widget in (self.label, self.field, self.note):
            widget.setVisible(visible)

    def _describe(self) -> None:
        self.field.setAccessibleDescription(self.note.text)
        proxy = self.field.focusProxy()
        if proxy is not None:
            proxy.setAccessibleDescription(self.note.text)


class Form(QWidget):
    """Rows of label, field and note; labels line up, fields take the width that is left."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(2 * GRID)
        self._grid.setVerticalSpacing(GRID // 2)
        self._grid.setColumnStretch(1, 1)
        self._rows: list[FormRow] = []

    @property
    def rows(self) -> list[FormRow]:
        return list(self._rows)

    def line_up(self, other: Form) -> None:
        """Let the fields of both begin at one line; when all rows are there."""
        width = max(row.label.sizeHint().width() for row in (*self._rows, *other.rows))
        for form in (self, other):
            form._grid.setColumnMinimumWidth(0, width)

    def add_row(self, label: str, field: QWidget, help_text: str = "", *, tall: bool = False) -> FormRow:
        """Append a row. ``label`` may hold a mnemonic (``&``); ``tall`` puts it beside the field's top."""
        text = QLabel(label, self)
        text.setBuddy(field.focusProxy() or field)
        vertical = Qt.AlignmentFlag.AlignTop if tall else Qt.AlignmentFlag.AlignVCenter
        text.setAlignment(vertical | Qt.AlignmentFlag.AlignTrailing)
        if tall:
            text.setContentsMargins(0, GRID, 0, 0)
        note = NoteLine(help_text, self)
        note.setContentsMargins(0, 0, 0, GRID)
        line = 2 * len(self._rows)
        self._grid.addWidget(text, line, 0)
        self._grid.addWidget(field, line, 1)
        self._grid.addWidget(note, line + 1, 1)
        row = FormRow(text, field, note, self)
        for widget in (field, field.focusProxy()):
            if widget is not None and not widget.accessibleName():
                widget.setAccessibleName(label.replace("&", ""))
        row.set_help(help_text)
        self._rows.append(row)
        return row


_SIZE = re.compile(r"^\s*([\d.,'\s\u00a0\u202f]*\d[.,]?)\s*([kmgt]?)(i?b)?\s*$", re.IGNORECASE)
_SIZE_PREFIX = re.compile(r"^[\d.,'\s\u00a0\u202f]*([kmgt]?i?b?)?\s*$", re.IGNORECASE)
_UNIT_MIB = {"k": 1 / 1024, "m": 1.0, "g": 1024.0, "t": 1024.0 * 1024.0}


def pad_spin(spin: QSpinBox) -> None:
    """Give a spin box's text the distance from its frame that line edits have."""
    spin.lineEdit().setTextMargins(GRID - 2, 0, 0, 0)


class SizeSpin(QSpinBox):
    """A size in MiB, shown and typed with its unit: ``1536 MiB``, ``2 GiB``, ``1.5g``.

    A number without unit counts as GiB below ``bare_gib_below``, else as MiB. ``step_mib`` None: the step grows
    with the value.
    """

    def __init__(self, parent: QWidget | None = None, *, bare_gib_below: int = 64, step_mib: int | None = None) -> None:
        super().__init__(parent)
        self._bare_gib_below = bare_gib_below
        self._step_mib = step_mib
        self.setRange(1, 64 * MIB_PER_GIB * 1024)
        self.setAccelerated(True)
        self.setCorrectionMode(QSpinBox.CorrectionMode.CorrectToNearestValue)
        pad_spin(self)

    def textFromValue(self, value: int) -> str:
        if value >= MIB_PER_GIB and value % (MIB_PER_GIB // 8) == 0:
            gib = value / MIB_PER_GIB
            text = f"{gib:.3f}".rstrip("0").rstrip(".")
            return f"{text.replace('.', self.locale().decimalPoint())} GiB"
        return f"{value} MiB"

    def valueFromText(self, text: str) -> int:
        value = self._parse(text)
        return self.value() if value is None else value

    def validate(self, text: str, pos: int) -> tuple[QValidator.State, str, int]:
        value = self._parse(text)
        if value is not None and self.minimum() <= value <= self.maximum():
            return QValidator.State.Acceptable, text, pos
        typing = _SIZE_PREFIX.match(text) is not None
        return (QValidator.State.Intermediate if typing else QValidator.State.Invalid), text, pos

    def stepBy(self, steps: int) -> None:
        if self._step_mib is not None:
            step = self._step_mib
        else:
            value = self.value() - (1 if steps < 0 else 0)
            step = 128 if value < 512 else 256 if value < 2048 else 512 if value < 8192 else 1024
        target = self.value() + steps * step
        if target % step:  # to the next round value in the direction of the step
            target += (step - target % step) if steps < 0 else -(target % step)
        self.setValue(max(self.minimum(), min(self.maximum(), target)))
        self.selectAll()

    def _parse(self, text: str) -> int | None:
        match = _SIZE.match(text)
        if match is None:
            return None
        digits = re.sub(r"[\s\u00a0\u202f']", "", match[1])
        number = self._number(digits)
        if number is None:
            return None
        unit = match[2].lower()
        if not unit:
            if match[3]:
                return None
            unit = "g" if number < self._bare_gib_below else "m"
        mib = number * _UNIT_MIB[unit]
        return None if mib > self.maximum() else round(mib)

    def _number(self, digits: str) -> float | None:
        value, ok = self.locale().toDouble(digits)
        if ok:
            return value
        try:
            return float(digits.replace(",", "."))  # the other decimal sign
        except ValueError:
            return None


class _PathEdit(QLineEdit):
    """Takes a dropped file as its path, not as a URL."""

    dropped = Signal(object)  # Path

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if dropped_path(event.mimeData()) is not None:
            event.acceptProposedAction()
        else:
            super().dragEnterEvent(event)

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        if dropped_path(event.mimeData()) is not None:
            event.acceptProposedAction()
        else:
            super().dragMoveEvent(event)

    def dropEvent(self, event: QDropEvent) -> None:
        path = dropped_path(event.mimeData())
        if path is None:
            super().dropEvent(event)
        else:
            event.acceptProposedAction()
            self.dropped.emit(path)


class PathField(QWidget):
    """A file's path: typed, dropped, or chosen with Browse…. Nothing here touches the file itself."""

    pathChanged = Signal(object)  # Path | None

    def __init__(
        self,
        name: str,
        caption: str,
        file_filter: str,
        start_dir: Callable[[], Path],
        parent: QWidget | None = None,
    ) -> None:
        """``name`` prefixes the object names; ``caption`` titles the file dialog, which opens in ``start_dir()``."""
        super().__init__(parent)
        self._caption = caption
        self._filter = file_filter
        self._start_dir = start_dir
        self.setObjectName(name)
        self.edit = _PathEdit(self)
        self.edit.setObjectName(f"{name}-path")
        self.edit.setAccessibleName(caption)
        self.browse = QPushButton(QCoreApplication.translate("Forms", "Browse…"), self)
        self.browse.setObjectName(f"{name}-browse")
        self.browse.setAccessibleName(caption)
        self.browse.setAutoDefault(False)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GRID)
        layout.addWidget(self.edit, 1)
        layout.addWidget(self.browse)
        self.setFocusProxy(self.edit)
        self.setAccessibleName(caption)
        self.edit.textChanged.connect(self._on_text)
        self.edit.dropped.connect(self.set_path)
        self.browse.clicked.connect(self._on_browse)

    def path(self) -> Path | None:
        """The path as typed, with ``~`` expanded; None when empty. It need not be absolute nor exist."""
        text = self.edit.text().strip()
        if not text:
            return None
        if text.startswith("file://"):
            return Path(QUrl(text).toLocalFile())
        if text == "~" or text.startswith("~/"):
            return Path.home() / text[2:]
        return Path(text)

    @Slot(object)
    def set_path(self, path: Path | None) -> None:
        self.edit.setText("" if path is None else str(path))

    def set_browsable(self, browsable: bool, reason: str = "") -> None:
        """Grey Browse… out, with the reason as its tooltip."""
        self.browse.setEnabled(browsable)
        self.browse.setToolTip(plain_tooltip(reason))

    @Slot()
    def _on_text(self) -> None:
        self.edit.setToolTip(plain_tooltip(self.edit.text()))
        self.pathChanged.emit(self.path())

    @Slot()
    def _on_browse(self) -> None:
        path = self.path()
        folder = path.parent if path is not None and path.is_absolute() else self._start_dir()
        dialog = QFileDialog(self, self._caption, str(folder), self._filter)
        dialog.setObjectName(f"{self.objectName()}-dialog")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.fileSelected.connect(self._on_selected)
        dialog.open()

    @Slot(str)
    def _on_selected(self, name: str) -> None:
        if name:
            self.set_path(Path(name))
            self.edit.setFocus(Qt.FocusReason.OtherFocusReason)
