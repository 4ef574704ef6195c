"""A guest's serial console as a widget: a terminal with scrollback, selection, copy and paste.

The widget reads its :class:`SerialSource` in small portions, so that a guest that floods the line costs the GUI thread
some milliseconds at a time.
"""

from __future__ import annotations

import time

from PySide6.QtCore import QEvent, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QClipboard, QContextMenuEvent, QGuiApplication, QInputMethodEvent, QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QMenu, QWidget

from guivm.console.serial.keys import encode_paste, encode_text
from guivm.console.terminal.colors import TerminalColors
from guivm.console.terminal.key_events import bytes_for
from guivm.console.terminal.source import SerialSource
from guivm.console.terminal.view import TerminalView
from guivm.text import clean_line

_PORTION = 256  # bytes carried out between two looks at the clock
_BUDGET_S = 0.005  # then the event loop has its turn
_PASTE_LIMIT = 512 << 10  # characters


class TerminalWidget(TerminalView):
    """GUI thread. Owns the source it was given.

    With the keyboard focus every key goes to the guest, but for the terminal's own: Ctrl+Shift+C, V, F and A,
    Ctrl with Plus, Minus and 0, Shift with Page Up and Down, and Ctrl+Tab, which leaves.
    """

    titleChanged = Signal(str)
    ended = Signal()  # the line was closed by the other side
    pasteQuestion = Signal(str)  # several lines: ask, then call paste_text()
    findRequested = Signal()
    saveRequested = Signal()

    def __init__(self, colors: TerminalColors, parent: QWidget | None = None, *, scrollback: int = 10_000) -> None:
        super().__init__(colors, parent, scrollback=scrollback)
        self.setObjectName("terminal")
        self.setAccessibleName(self.tr("Serial console"))
        self.setAttribute(Qt.WidgetAttribute.WA_InputMethodEnabled)
        self._source: SerialSource | None = None
        # A timer, for events that are posted while others are delivered come before everything else.
        self._more = QTimer(self)
        self._more.setSingleShot(True)
        self._more.timeout.connect(self._pull)

    # --- source -----------------------------------------------------------------------------------------

    def source(self) -> SerialSource | None:
        return self._source

    def set_source(self, source: SerialSource | None) -> None:
        """Show another line, or none. Takes it over (close and deletion included); the caller opens it.

        What was shown stays.
        """
        if source is self._source:
            return
        old, self._source = self._source, source
        self._more.stop()
        if old is not None:
            old.disconnect(self)
            old.close()
            old.deleteLater()
        if source is not None:
            source.setParent(self)
            source.ready.connect(self._pull)
            source.ended.connect(self._on_ended)

    @Slot()
    def _pull(self) -> None:
        """Carry out what the guest said, as much as there is time for."""
        source = self._source
        if source is None:
            return
        title, start = self._terminal.title, self._terminal.screen_start
        until = time.monotonic() + _BUDGET_S
        data = source.take(_PORTION)
        while data:
            self._terminal.feed(data)
            answers = self._terminal.take_answers()
            if answers:
                source.write(answers)
            if time.monotonic() >= until:
                break
            data = source.take(_PORTION)
        self._show_changes(start)
        if self._terminal.title != title:
            self.titleChanged.emit(self._terminal.title)
        if data:
            self._more.start(0)
        else:
            self._describe()

    @Slot()
    def _on_ended(self) -> None:
        self.ended.emit()

    def feed(self, data: bytes) -> None:
        """Show text that no guest sent."""
        start = self._terminal.screen_start
        self._terminal.feed(data)
        self._terminal.take_answers()
        self._show_changes(start)
        self._describe()

    def send(self, data: bytes) -> bool:
        """Send bytes to the guest; False, with a visible bell, when it takes nothing."""
        if not data:
            return True
        if self._source is None or not self._source.write(data):
            self._ring()
            return False
        return True

    @property
    def title(self) -> str:
        """What the guest calls the window: one clean line, or empty."""
        return self._terminal.title

    def _describe(self) -> None:
        """State for assistive technology: where the cursor is, and what its line says."""
        terminal = self._terminal
        cursor = terminal.cursor
        line = clean_line("".join(terminal.row(terminal.screen_start + cursor.row).columns()))
        words = self.tr("Line {row} of {rows}: {text}")
        self.setAccessibleDescription(words.format(row=cursor.row + 1, rows=terminal.rows, text=line))

    # --- commands ---------------------------------------------------------------------------------------

    @Slot()
    def copy(self) -> None:
        text = self.selected_text()
        if text:
            QGuiApplication.clipboard().setText(text)

    @Slot()
    def paste(self) -> None:
        self._paste_from(QClipboard.Mode.Clipboard)

    def paste_text(self, text: str) -> None:
        """Send text as if typed, without asking."""
        self._to_bottom()
        self.send(encode_paste(text[:_PASTE_LIMIT], bracketed=self._terminal.bracketed_paste))

    def _paste_from(self, mode: QClipboard.Mode) -> None:
        text = QGuiApplication.clipboard().text(mode)
        if not text:
            return
        lines = text.replace("\r\n", "\n").replace("\r", "\n")
        if "\n" in lines and not self._terminal.bracketed_paste:
            self.pasteQuestion.emit(text)
        else:
            self.paste_text(text)

    @Slot()
    def tell_size(self) -> None:
        """A serial line cannot carry the window's size: type the command that sets it."""
        command = f"stty rows {self._terminal.rows} cols {self._terminal.columns}"
        self._to_bottom()
        self.send(command.encode("ascii") + b"\r")

    @Slot()
    def clear_scrollback(self) -> None:
        self._terminal.clear_scrollback()
        self._select(None)
        self._follows = True
        self._show_changes(-1)

    @Slot()
    def reset_terminal(self) -> None:
        """For when noise, or a program that died, left it in disorder."""
        self._terminal.reset()
        self._select(None)
        self._show_changes(-1)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        menu = self.make_menu()
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(event.globalPos())

    def make_menu(self) -> QMenu:
        """What can be done here; the caller shows and deletes it."""
        menu = QMenu(self)
        menu.setObjectName("terminal-menu")
        copy = menu.addAction(self.tr("&Copy"), self.copy)
        copy.setEnabled(self._selection is not None)
        paste = menu.addAction(self.tr("&Paste"), self.paste)
        paste.setEnabled(self._source is not None and bool(QGuiApplication.clipboard().text()))
        menu.addAction(self.tr("Select &All"), self.select_all)
        menu.addSeparator()
        menu.addAction(self.tr("&Find…"), self.findRequested.emit)
        menu.addAction(self.tr("&Save Text…"), self.saveRequested.emit)
        menu.addSeparator()
        tell = menu.addAction(self.tr("&Tell the Guest the Size"), self.tell_size)
        tell.setEnabled(self._source is not None)
        menu.addAction(self.tr("C&lear Scrollback"), self.clear_scrollback)
        menu.addAction(self.tr("&Reset Terminal"), self.reset_terminal)
        menu.addSeparator()
        menu.addAction(self.tr("Zoom &In"), self.zoom_in)
        menu.addAction(self.tr("Zoom &Out"), self.zoom_out)
        menu.addAction(self.tr("&Normal Size"), self.zoom_reset)
        return menu

    # --- keyboard ---------------------------------------------------------------------------------------

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            # Every other shortcut of the window is a key of the guest's.
            held = event.modifiers()
            both = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
            if held & both != both and event.key() != Qt.Key.Key_F11:
                event.accept()
                return True
        return super().event(event)

    def focusNextPrevChild(self, forward: bool) -> bool:
        return False  # Tab is the guest's

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if self._own_key(event):
            event.accept()
            return
        data = bytes_for(event, self._terminal.key_modes)
        if not data:
            event.ignore()
            return
        event.accept()
        self._to_bottom()
        self.send(data)

    def _own_key(self, event: QKeyEvent) -> bool:
        held = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        key, modifier = event.key(), Qt.KeyboardModifier
        if held == modifier.ControlModifier | modifier.ShiftModifier:
            own = {
                Qt.Key.Key_C: self.copy,
                Qt.Key.Key_V: self.paste,
                Qt.Key.Key_A: self.select_all,
                Qt.Key.Key_F: self.findRequested.emit,
                Qt.Key.Key_Plus: self.zoom_in,  # on a US keyboard "+" needs Shift
            }.get(Qt.Key(key) if key < 0x80 else Qt.Key.Key_unknown)
            if key in (Qt.Key.Key_Tab, Qt.Key.Key_Backtab):
                return super().focusNextPrevChild(False)
            if own is not None:
                own()
                return True
        elif held == modifier.ControlModifier:
            if key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal):
                self.zoom_in()
            elif key == Qt.Key.Key_Minus:
                self.zoom_out()
            elif key == Qt.Key.Key_0:
                self.zoom_reset()
            elif key == Qt.Key.Key_Tab:
                return super().focusNextPrevChild(True)
            else:
                return False
            return True
        elif held == modifier.ShiftModifier and key in (Qt.Key.Key_PageUp, Qt.Key.Key_PageDown):
            page = max(1, self._terminal.rows - 1)
            self._scroll_rows(-page if key == Qt.Key.Key_PageUp else page)
            return True
        return False

    def inputMethodEvent(self, event: QInputMethodEvent) -> None:
        self._preedit = clean_line(event.preeditString(), 80)
        if event.commitString():
            self._to_bottom()
            self.send(encode_text(event.commitString()))
        self.viewport().update()
        event.accept()

    def inputMethodQuery(self, query: Qt.InputMethodQuery) -> object:
        if query == Qt.InputMethodQuery.ImCursorRectangle:
            return self._cursor_area()
        if query == Qt.InputMethodQuery.ImEnabled:
            return True
        return super().inputMethodQuery(query)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.MiddleButton:
            self._paste_from(QClipboard.Mode.Selection)
        else:
            super().mousePressEvent(event)
