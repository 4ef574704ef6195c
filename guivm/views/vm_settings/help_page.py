"""The longer text behind "?": our own bundled files in a window beside the settings. GUI thread."""

from __future__ import annotations

import re
from typing import Any

from PySide6.QtCore import QByteArray, QUrl, Slot
from PySide6.QtGui import QDesktopServices, QKeySequence, QShortcut, QTextBlockFormat, QTextCursor
from PySide6.QtWidgets import QDialog, QFrame, QHBoxLayout, QPushButton, QTextBrowser, QVBoxLayout, QWidget

from guivm.engine.options.option import Option, Resource
from guivm.resources import resource_path
from guivm.text import clean_line
from guivm.views.forms import plain_label
from guivm.views.theme import GRID
from guivm.views.vm_settings.editors import translated

_WIDTH, _HEIGHT = 520, 640
_NAME = re.compile(r"[a-z0-9-]{1,40}(\.md)?")


def help_text(resource: Resource[Any]) -> str:
    """Markdown: our file, or, while there is none, what the options say of themselves."""
    try:
        return resource_path(f"help/{resource.help}.md").read_text(encoding="utf-8")
    except FileNotFoundError:
        lines = [f"# {translated(resource.title)}"]
        for option in resource.options:
            lines += [f"## {translated(option.label)}", translated(option.help)]
        return "\n\n".join(lines)


def first_paragraph(resource: Resource[Any]) -> str:
    """What a resource is, in a few sentences of plain text."""
    found: list[str] = []
    for line in help_text(resource).splitlines():
        if line.startswith("#"):
            if found:
                break
        elif line.strip():
            found.append(line.strip())
        elif found:
            break
    text = " ".join(found)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    return clean_line(re.sub(r"[*_`]{1,2}(?=\S)|(?<=\S)[*_`]{1,2}", "", text), 600)


class HelpBrowser(QTextBrowser):
    """Shows nothing but the text it was given: no pictures, no files, no network."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("help-text")
        self.setAccessibleName(self.tr("Explanation"))
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setOpenLinks(False)
        self.document().setDocumentMargin(0)
        self.document().setIndentWidth(3 * GRID)

    def loadResource(self, _kind: int, _name: QUrl | str) -> Any:
        return QByteArray()

    def show_heading(self, title: str) -> bool:
        """Bring a heading into sight at the top; False when there is none of that name."""
        wanted = title.casefold().strip()
        block = self.document().begin()
        while block.isValid():
            if block.blockFormat().headingLevel() and block.text().casefold().strip() == wanted:
                self.moveCursor(QTextCursor.MoveOperation.End)  # so that the heading comes to the top
                self.setTextCursor(QTextCursor(block))
                return True
            block = block.next()
        return False


class HelpWindow(QDialog):
    """Beside the settings, never in their way; Escape closes it."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("settings-help")
        self.setProperty("page", True)
        self.setModal(False)
        self.resize(_WIDTH, _HEIGHT)
        self._title = plain_label("", self)
        self._title.setProperty("role", "title")
        self.browser = HelpBrowser(self)
        self.browser.setProperty("clear", True)
        self.browser.anchorClicked.connect(self._on_link)
        self._close = QPushButton(self.tr("&Close"), self)
        self._close.setObjectName("help-close")
        self._close.setAccessibleName(self.tr("Close"))
        self._close.setAutoDefault(False)
        self._close.clicked.connect(self.close)
        footer = QHBoxLayout()
        footer.addStretch(1)
        footer.addWidget(self._close)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(3 * GRID, 3 * GRID, 3 * GRID, 2 * GRID)
        layout.setSpacing(2 * GRID)
        layout.addWidget(self._title)
        layout.addWidget(self.browser, 1)
        layout.addLayout(footer)
        QShortcut(QKeySequence(QKeySequence.StandardKey.HelpContents), self).activated.connect(self.close)

    def show_resource(self, resource: Resource[Any], option: Option[Any] | None = None) -> None:
        title, text = _split_title(help_text(resource), translated(resource.title))
        self._show_text(title, text)
        if option is not None:
            self.browser.show_heading(translated(option.label))

    def _show_text(self, title: str, text: str) -> None:
        self._title.setText(title)
        self.setWindowTitle(title)
        self.setAccessibleName(title)
        self.browser.setMarkdown(text)
        self._space_out()
        self.browser.moveCursor(QTextCursor.MoveOperation.Start)

    def _space_out(self) -> None:
        """Room above headings, lines that are not too tight."""
        cursor = QTextCursor(self.browser.document())
        block = self.browser.document().begin()
        while block.isValid():
            shape = block.blockFormat()
            shape.setTopMargin(2.5 * GRID if shape.headingLevel() and block.position() else 0)
            shape.setBottomMargin(GRID // 2 if shape.headingLevel() else GRID)
            shape.setLineHeight(125, QTextBlockFormat.LineHeightTypes.ProportionalHeight.value)
            cursor.setPosition(block.position())
            cursor.setBlockFormat(shape)
            block = block.next()

    @Slot(QUrl)
    def _on_link(self, url: QUrl) -> None:
        name = url.path().rpartition("/")[2]
        if not url.scheme() and url.hasFragment() and not name:
            self.browser.show_heading(url.fragment().replace("-", " "))
        elif not url.scheme() and _NAME.fullmatch(name):
            self.show_file(name.removesuffix(".md"))
        elif url.scheme() in ("https", "http"):
            self._ask(url)

    def show_file(self, name: str) -> None:
        """A file of ``resources/help``, without its ending; nothing happens when there is none."""
        try:
            text = resource_path(f"help/{name}.md").read_text(encoding="utf-8")
        except FileNotFoundError:
            return
        title, body = _split_title(text, name)
        self._show_text(title, body)

    def _ask(self, url: QUrl) -> None:
        from guivm.views.dialogs.confirm import ConfirmDialog

        question = ConfirmDialog(
            self.tr("Open this page in the browser?"),
            clean_line(url.toDisplayString(), 300),
            self.tr("&Open"),
            self,
            destructive=False,
        )
        question.accepted.connect(lambda: QDesktopServices.openUrl(url))
        question.open()


def _split_title(text: str, fallback: str) -> tuple[str, str]:
    """The first heading is the window's title."""
    first, _, rest = text.lstrip().partition("\n")
    return (clean_line(first.removeprefix("#"), 80), rest) if first.startswith("# ") else (fallback, text)


def show_help(resource: Resource[Any], parent: QWidget, option: Option[Any] | None = None) -> HelpWindow:
    """Show it in the help window of ``parent``; there is one, and it is used again."""
    window = _window_of(parent)
    window.show_resource(resource, option)
    return _in_front(window)


def show_help_file(name: str, parent: QWidget) -> HelpWindow:
    """The same for a file of ``resources/help`` that belongs to no part of a VM."""
    window = _window_of(parent)
    window.show_file(name)
    return _in_front(window)


def _window_of(parent: QWidget) -> HelpWindow:
    return parent.findChild(HelpWindow, "settings-help") or HelpWindow(parent)


def _in_front(window: HelpWindow) -> HelpWindow:
    window.show()
    window.activateWindow()
    return window
