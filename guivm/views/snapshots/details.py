"""What is known of the snapshot that is selected: its picture, facts, notes. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QBoxLayout,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QScrollArea,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from guivm.engine.snapshots.values import SnapshotId, SnapshotInfo, SnapshotTree
from guivm.engine.types import VmInfo
from guivm.views import formats, icons
from guivm.views.art import ElidedLabel, plain_label
from guivm.views.forms import NoteLine, Tone, ToneLabel
from guivm.views.snapshots.ages import age_of, date_words
from guivm.views.snapshots.picture_pane import PicturePane
from guivm.views.snapshots.pictures import SnapshotPictures
from guivm.views.snapshots.words import (
    TITLE_LIMIT,
    contents_sentence,
    current_title,
    mode_words,
    pause_sentence,
    quoted,
    scheduled_sentence,
)
from guivm.views.state_words import vm_icon_name, vm_word
from guivm.views.theme import GRID

_WIDEST = 44 * GRID
_COMPACT = 22 * GRID
_LEAST_PICTURE = 12 * GRID  # high
_PICTURE_SHARE = 0.25  # of the height there is: title, facts and notes shall be seen without scrolling
_NOTES_LIMIT = 64 * 1024  # bytes


def _kept_reason(info: SnapshotInfo) -> str:
    """Which of several cannot be deleted, and why."""
    return f"{quoted(info.title)}: {info.cannot_delete}"


class TitleLine(QWidget):
    """A heading that becomes a field when it is to be edited. ``edited`` carries the new title."""

    edited = Signal(str)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("snapshot-title")
        self.label = ElidedLabel(self, mode=Qt.TextElideMode.ElideRight)
        self.label.setObjectName("snapshot-title-text")
        self.label.setProperty("role", "heading")
        self.field = QLineEdit(self)
        self.field.setObjectName("snapshot-title-field")
        self.field.setAccessibleName(self.tr("Title of the snapshot"))
        self.field.setMaxLength(TITLE_LIMIT)
        self.field.setProperty("cell", True)
        self._stack = QStackedWidget(self)
        self._stack.addWidget(self.label)
        self._stack.addWidget(self.field)
        self.button = QToolButton(self)
        self.button.setObjectName("snapshot-rename")
        self.button.setIcon(icons.icon("rename", icons.Tint.QUIET))
        self.button.setIconSize(QSize(14, 14))
        self.button.setAccessibleName(self.tr("Rename the snapshot"))
        self.button.setToolTip(self.tr("Rename (F2)"))
        self.button.clicked.connect(self.begin)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(GRID // 2)
        row.addWidget(self._stack, 1)
        row.addWidget(self.button)
        self.field.returnPressed.connect(self._finish)
        self.field.editingFinished.connect(self._finish)

    def set_title(self, title: str, *, editable: bool) -> None:
        if title != self.label.whole_text or not editable:
            self._stack.setCurrentWidget(self.label)
        self.label.set_text(title)
        self.button.setVisible(editable)

    @Slot()
    def begin(self) -> None:
        self.field.setText(self.label.whole_text)
        self._stack.setCurrentWidget(self.field)
        self.field.selectAll()
        self.field.setFocus(Qt.FocusReason.OtherFocusReason)

    @Slot()
    def _finish(self) -> None:
        if self._stack.currentWidget() is not self.field:
            return
        self._stack.setCurrentWidget(self.label)
        title = self.field.text().strip()
        if title and title != self.label.whole_text:
            self.edited.emit(title)


class NotesField(QWidget):
    """Notes with Save and Revert, which stand there only while something was changed."""

    saved = Signal(str)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._kept = ""
        heading = plain_label(self.tr("Notes"), self, role="strong")
        self.edit = QPlainTextEdit(self)
        self.edit.setObjectName("snapshot-notes")
        self.edit.setAccessibleName(self.tr("Notes of the snapshot"))
        self.edit.setPlaceholderText(self.tr("What it is for, what comes next…"))
        self.edit.setTabChangesFocus(True)
        self.edit.setMinimumHeight(9 * GRID)
        self.problem = NoteLine("", self)
        self.save = self._button("snapshot-notes-save", self.tr("Save"), self.commit)
        self.revert = self._button("snapshot-notes-revert", self.tr("Revert"), self._on_revert)
        top = QHBoxLayout()
        top.addWidget(heading, 1)
        top.addWidget(self.revert)
        top.addWidget(self.save)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GRID // 2)
        column.addLayout(top)
        column.addWidget(self.edit, 1)
        column.addWidget(self.problem)
        self.edit.textChanged.connect(self._follow)
        self._follow()

    @property
    def is_changed(self) -> bool:
        return self.edit.toPlainText() != self._kept

    def set_notes(self, notes: str, *, same: bool) -> None:
        """``same``: of the snapshot that was shown before; then what is being typed stays."""
        changed = self.is_changed
        self._kept = notes
        if not (same and changed) and self.edit.toPlainText() != notes:
            self.edit.setPlainText(notes)
        self._follow()

    @Slot()
    def commit(self) -> None:
        """Keep what was typed, if anything was."""
        if self.is_changed and not self.problem.problem:
            self._kept = self.edit.toPlainText()
            self._follow()
            self.saved.emit(self._kept)

    @Slot()
    def _on_revert(self) -> None:
        self.edit.setPlainText(self._kept)

    @Slot()
    def _follow(self) -> None:
        long = len(self.edit.toPlainText().encode()) > _NOTES_LIMIT
        self.problem.set_problem(self.tr("Notes can be at most 64 KiB long.") if long else "")
        self.problem.setVisible(long)
        self.save.setVisible(self.is_changed)
        self.revert.setVisible(self.is_changed)
        self.save.setEnabled(not long)

    def _button(self, name: str, text: str, act: object) -> QPushButton:
        button = QPushButton(text, self)
        button.setObjectName(name)
        button.setAccessibleName(self.tr("{verb} the notes").format(verb=text))
        button.setProperty("kind", "small")
        policy = button.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        button.setSizePolicy(policy)
        button.clicked.connect(act)
        return button


class SnapshotDetails(QScrollArea):
    """``edited`` carries (SnapshotId, title, notes)."""

    edited = Signal(object, str, str)

    def __init__(self, pictures: SnapshotPictures, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("snapshot-details")
        self.setAccessibleName(self.tr("Details of the snapshot"))
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._pictures = pictures
        self._info: SnapshotInfo | None = None
        content = QWidget(self)
        content.setProperty("clear", True)
        self.picture = PicturePane("snapshot-picture", content)
        self.picture.setMaximumSize(_WIDEST, _WIDEST * 10 // 16)
        self.title = TitleLine(content)
        self._labels: dict[QLabel, QLabel] = {}
        self._facts = QGridLayout()
        self._facts.setHorizontalSpacing(GRID + 4)
        self._facts.setVerticalSpacing(GRID - 2)
        self._facts.setColumnStretch(1, 1)
        self.taken = self._fact("taken", self.tr("Taken"), content)
        self.holds = self._fact("holds", self.tr("Holds"), content)
        self.pause = self._fact("pause", self.tr("Pause"), content)
        self.size_fact = self._fact("size", self.tr("Size"), content)
        self.kept = self._fact("kept", self.tr("Kept"), content)
        self.schedule = self._fact("schedule", self.tr("Schedule"), content)
        self.text = ToneLabel("", content)
        self.text.setObjectName("snapshot-text")
        self.restore_reason = self._reason("snapshot-cannot-restore", content)
        self.delete_reason = self._reason("snapshot-cannot-delete", content)
        self.notes = NotesField(content)
        self._layout = QBoxLayout(QBoxLayout.Direction.TopToBottom, content)
        self._layout.setContentsMargins(2 * GRID, 2 * GRID, 2 * GRID, 2 * GRID)
        self._layout.setSpacing(GRID + 4)
        column = QVBoxLayout()
        column.setSpacing(GRID + 4)
        self._layout.addWidget(self.picture)
        self._layout.addLayout(column, 1)
        column.addWidget(self.title)
        column.addWidget(self.text)
        column.addLayout(self._facts)
        column.addWidget(self.restore_reason)
        column.addWidget(self.delete_reason)
        column.addWidget(self.notes, 100)
        column.addStretch(1)
        self.setWidget(content)
        self.title.edited.connect(self._on_title)
        self.notes.saved.connect(self._on_notes)
        pictures.loaded.connect(self._on_picture)

    @property
    def shown(self) -> SnapshotId | None:
        return None if self._info is None else self._info.id

    def show_snapshot(self, info: SnapshotInfo, now_s: float) -> None:
        """``now_s``: seconds since 1970."""
        same = self.shown == info.id
        if not same:
            self.notes.commit()  # of the one before: what was typed is not lost
        self._info = info
        self.title.set_title(info.title, editable=True)
        self.text.hide()
        self.refresh_age(now_s)
        self._tell(self.holds, contents_sentence(info))
        self._tell(self.pause, pause_sentence(info.pause_s))
        self._tell(self.size_fact, "" if info.size_bytes is None else formats.size(info.size_bytes))
        self._tell(self.kept, mode_words(info.mode))
        self._tell(self.schedule, scheduled_sentence() if info.scheduled else "")
        self._refuse(self.restore_reason, info.cannot_restore)
        self._refuse(self.delete_reason, info.cannot_delete if info.cannot_delete != info.cannot_restore else "")
        self.notes.show()
        self.notes.set_notes(info.notes, same=same)
        self._show_picture()

    def show_current(self, tree: SnapshotTree, vm: VmInfo) -> None:
        """The state the VM is in."""
        self._leave(current_title(tree))
        parent = next((info for info in tree.snapshots if info.id == tree.current), None)
        if parent is None:
            text = self.tr("It goes back to no snapshot.")
        elif tree.changed is None:
            text = self.tr("It goes back to {title}.").format(title=quoted(parent.title))
        elif tree.changed:
            text = self.tr("It goes back to {title} and has changed since.").format(title=quoted(parent.title))
        else:
            text = self.tr("It is what {title} holds.").format(title=quoted(parent.title))
        self._say(text)
        self.picture.show_word(vm_icon_name(vm), vm_word(vm))

    def show_several(self, infos: list[SnapshotInfo]) -> None:
        """More than one is selected."""
        self._leave(self.tr("{n} snapshots").format(n=formats.number(len(infos))))
        known = [info.size_bytes for info in infos if info.size_bytes is not None]
        self._tell(self.size_fact, formats.size(sum(known)) if known else "")
        self._refuse(self.delete_reason, next((_kept_reason(info) for info in infos if info.cannot_delete), ""))
        self._say(self.tr("Delete takes all that are selected; the rest is for one alone."))
        self.picture.show_word("copy", "")

    def refresh_age(self, now_s: float) -> None:
        """Its words changed."""
        if self._info is not None:
            exact, age = date_words(self._info.taken_s, exact=True), age_of(self._info.taken_s, now_s)
            self._tell(self.taken, f"{exact} ({age.text})" if age.due_s is not None else exact)

    def set_compact(self, compact: bool) -> None:
        """True where it stands below the tree and has little height: the picture is small, and beside the rest."""
        widest = _COMPACT if compact else _WIDEST
        self.picture.setMaximumSize(widest, widest * 10 // 16)
        beside, above = QBoxLayout.Direction.LeftToRight, QBoxLayout.Direction.TopToBottom
        self._layout.setDirection(beside if compact else above)
        self._layout.setAlignment(self.picture, Qt.AlignmentFlag.AlignTop if compact else Qt.AlignmentFlag(0))

    def resizeEvent(self, event: QResizeEvent) -> None:
        self.picture.set_tallest(max(_LEAST_PICTURE, int(self.viewport().height() * _PICTURE_SHARE)))
        super().resizeEvent(event)

    def set_picture_shown(self, shown: bool) -> None:
        """False where the picture stands large beside it."""
        self.picture.setVisible(shown)

    def _leave(self, title: str) -> None:
        self.notes.commit()
        self._info = None
        self.title.set_title(title, editable=False)
        for label in (self.taken, self.holds, self.pause, self.size_fact, self.kept, self.schedule):
            self._tell(label, "")
        self._refuse(self.restore_reason, "")
        self._refuse(self.delete_reason, "")
        self.notes.hide()

    def _say(self, text: str) -> None:
        self.text.setText(text)
        self.text.show()

    def _show_picture(self) -> None:
        info = self._info
        if info is None:
            return
        image = self._pictures.large(info.id) if info.has_picture else None
        if image is not None and not image.isNull():
            self.picture.show_image(image, self.tr("Screen when {title} was taken").format(title=quoted(info.title)))
        elif info.has_picture and image is None:
            self.picture.show_word("", "")  # on its way
        else:
            self.picture.show_word("screenshot", self.tr("No picture"))

    @Slot(object)
    def _on_picture(self, snapshot: SnapshotId) -> None:
        if snapshot == self.shown:
            self._show_picture()

    @Slot(str)
    def _on_title(self, title: str) -> None:
        if self._info is not None:
            self.edited.emit(self._info.id, title, self.notes.edit.toPlainText())

    @Slot(str)
    def _on_notes(self, notes: str) -> None:
        if self._info is not None:
            self.edited.emit(self._info.id, self._info.title, notes)

    def _fact(self, name: str, label: str, parent: QWidget) -> QLabel:
        row = self._facts.rowCount()
        words = plain_label(label, parent)
        words.setProperty("tone", "quiet")
        value = plain_label("", parent, name=f"snapshot-{name}")
        value.setWordWrap(True)
        value.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._labels[value] = words
        top = Qt.AlignmentFlag.AlignTop
        self._facts.addWidget(words, row, 0, top)
        self._facts.addWidget(value, row, 1, top)
        return value

    def _tell(self, value: QLabel, text: str) -> None:
        value.setText(text)
        for label in (value, self._labels[value]):
            label.setVisible(bool(text))

    @staticmethod
    def _reason(name: str, parent: QWidget) -> NoteLine:
        line = NoteLine("", parent)
        line.setObjectName(name)
        line.hide()
        return line

    @staticmethod
    def _refuse(line: NoteLine, text: str) -> None:
        line.set_problem(text, Tone.WARNING)
        line.setVisible(bool(text))
