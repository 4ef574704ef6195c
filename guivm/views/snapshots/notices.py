"""What has to be said about a VM's snapshots as a whole, above them: one calm card each. GUI thread."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QPushButton, QVBoxLayout, QWidget

from guivm.engine.snapshots.values import SnapshotMode, SnapshotTree
from guivm.text import clean_line
from guivm.views import formats
from guivm.views.snapshots.wishes import Verb
from guivm.views.snapshots.words import quoted
from guivm.views.theme import GRID
from guivm.views.vm_settings.banner import Banner, Mood

_SHOWN_NAMES = 4


@dataclass(frozen=True, slots=True)
class Notice:
    """``actions``: what its buttons do, and their words."""

    name: str
    mood: Mood
    text: str
    details: str = ""
    actions: tuple[tuple[Verb, str], ...] = ()


class SnapshotNotices(QWidget):
    """Hidden while there is nothing to say. ``wished`` carries a :class:`Verb`."""

    wished = Signal(object)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("snapshot-notices")
        self._shown: tuple[Notice, ...] = ()
        self._banners: list[Banner] = []
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(GRID)
        self.hide()

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(notice.text for notice in self._shown)

    def show_tree(self, tree: SnapshotTree | None) -> None:
        notices = tuple(self._of(tree)) if tree is not None else ()
        if notices == self._shown:
            return
        self._shown = notices
        for banner in self._banners:
            self._column.removeWidget(banner)
            banner.hide()
            banner.deleteLater()
        self._banners = []
        for notice in notices:
            banner = Banner(f"snapshot-notice-{notice.name}", self)
            buttons = [self._button(verb, text) for verb, text in notice.actions]
            banner.tell(notice.mood, notice.text, notice.details, actions=buttons, closable=False)
            self._column.addWidget(banner)
            self._banners.append(banner)
        self.setVisible(bool(notices))

    def _of(self, tree: SnapshotTree) -> list[Notice]:
        found: list[Notice] = []
        if tree.problems:
            first = clean_line(tree.problems[0], 300)
            text = self.tr("Its disk images are not in order, so it does not start. {problem}").format(problem=first)
            more = "\n".join(clean_line(problem, 500) for problem in tree.problems[1:])
            found.append(Notice("problems", Mood.CARE, text, more))
        if tree.mode is SnapshotMode.FOREIGN:
            found.append(
                Notice(
                    "foreign",
                    Mood.CARE,
                    self.tr(
                        "These snapshots were made by another tool, in files of their own. They are shown here; to "
                        "take, restore or delete, use that tool, so that neither breaks what the other relies on."
                    ),
                )
            )
        if tree.can_undo_restore:
            text = self.tr("{title} was restored. What it replaced is still kept.")
            undo = ((Verb.UNDO, self.tr("Undo…")),)
            found.append(Notice("undo", Mood.NEWS, text.format(title=quoted(tree.can_undo_restore)), actions=undo))
        if tree.is_template:
            text = self.tr("This is a template: it can be cloned, and neither started nor changed.")
            actions = ((Verb.CLONE, self.tr("Clone…")), (Verb.TEMPLATE, self.tr("Convert Back…")))
            found.append(Notice("template", Mood.NEWS, text, actions=actions))
        if tree.based_on:
            names = ", ".join(quoted(path.rpartition("/")[2]) for path in tree.based_on[:_SHOWN_NAMES])
            text = self.tr(
                "It is a linked clone. It reads from images of others, which must stay as they are: {names}."
            )
            paths = "\n".join(clean_line(path, 500) for path in tree.based_on)
            detach = ((Verb.DETACH, self.tr("Detach…")),)
            found.append(Notice("based-on", Mood.NEWS, text.format(names=names), paths, detach))
        if tree.needed_by:
            names = ", ".join(quoted(name) for name in tree.needed_by[:_SHOWN_NAMES])
            rest = len(tree.needed_by) - _SHOWN_NAMES
            if rest > 0:
                names = self.tr("{names} and {n} more").format(names=names, n=formats.number(rest))
            text = self.tr("Linked clones read from its images, which therefore must stay as they are: {names}.")
            details = "\n".join(clean_line(name, 200) for name in tree.needed_by) if rest > 0 else ""
            found.append(Notice("needed-by", Mood.NEWS, text.format(names=names), details))
        return found

    def _button(self, verb: Verb, text: str) -> QPushButton:
        button = QPushButton(text, self)
        button.setObjectName(f"snapshot-notice-{verb.value}")
        button.setAccessibleName(text.rstrip("…"))
        button.setProperty("verb", verb.value)
        button.clicked.connect(self._on_clicked)
        return button

    @Slot()
    def _on_clicked(self) -> None:
        sender = self.sender()
        if isinstance(sender, QPushButton):
            self.wished.emit(Verb(sender.property("verb")))
