"""The serial console of one VM: connects while looked at, comes back after every interruption, and keeps its text.

The terminal, and pyte with it, is imported when a VM that runs is first shown.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import (
    QApplication,
    QComboBox,
    QFrame,
    QHBoxLayout,
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from guivm.engine.job_types import SerialDevice, SerialEndpoint
from guivm.engine.requests import ListSerialDevices, OpenSerial
from guivm.engine.types import VmInfo, VmKey, VmState
from guivm.errors import GuivmError, OperationError
from guivm.text import clean_line
from guivm.views import icons
from guivm.views.art import plain_label
from guivm.views.bridge import Bridge
from guivm.views.endpoint_connector import EndpointConnector
from guivm.views.serial_bar import FindBar, NoticeBar
from guivm.views.state_page import StatePage
from guivm.views.state_words import can_start, idle_sentence, vm_icon_name, vm_word
from guivm.views.theme import GRID, terminal_colors_for

if TYPE_CHECKING:
    from guivm.console.serial.terminal import FrozenRows
    from guivm.console.terminal.widget import TerminalWidget

# Looked away for longer than this: the line is given back. What a guest says while nobody listens is lost.
LINGER_MS = 60_000


class SerialPage(QWidget):
    """GUI thread. ``actionRequested`` carries the id of an action that is meant for this VM."""

    actionRequested = Signal(str)
    titleChanged = Signal(str)  # what the guest calls the terminal
    stateChanged = Signal()  # connected or not, and what is said about it

    def __init__(self, bridge: Bridge, vm: VmInfo, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("serial-page")
        self._bridge = bridge
        self._vm = vm
        self._terminal: TerminalWidget | None = None
        self._device = ""
        self._take_over = False  # the next time
        self.connector: EndpointConnector[SerialEndpoint] = EndpointConnector(bridge, self, self)
        self._linger = QTimer(self)
        self._linger.setSingleShot(True)
        self._linger.setInterval(LINGER_MS)
        self._linger.timeout.connect(self._update)

        self._idle = StatePage("serial-idle", vm_icon_name(vm), "", "", self)
        self._button = QPushButton(self._idle)
        self._button.setObjectName("serial-idle-button")
        self._button.setProperty("kind", "primary")
        self._button.clicked.connect(self._on_button)
        self._idle.column.addSpacing(GRID)
        self._idle.column.addWidget(self._button, 0, Qt.AlignmentFlag.AlignHCenter)
        self._notice = NoticeBar(self)
        self._notice.clicked.connect(self._on_button)
        self._tools = self._make_tools()
        self._find = FindBar(self)
        self._find.wanted.connect(self._on_find)
        self._find.closed.connect(self._close_find)
        self._stack = QStackedWidget(self)
        self._stack.addWidget(self._idle)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        for widget in (self._tools, self._notice, self._find):
            layout.addWidget(widget)
        layout.addWidget(self._stack, 1)
        self._update()

    # --- asking ---------------------------------------------------------------------------------------

    @property
    def key(self) -> VmKey:
        return self._vm.key

    @property
    def terminal(self) -> TerminalWidget | None:
        """The widget with the guest's text, once there was a line to make it for."""
        return self._terminal

    @property
    def has_source(self) -> bool:
        return self._terminal is not None and self._terminal.source() is not None

    # --- telling --------------------------------------------------------------------------------------

    def set_vm(self, vm: VmInfo) -> None:
        """Follow the observed state."""
        if vm == self._vm:
            return
        old, self._vm = self._vm, vm
        if old.state.is_active != vm.state.is_active:
            self.connector.forget_failures()
            if not vm.state.is_active:
                self._set_devices(())
        self._update()

    def focus_screen(self) -> None:
        """Give the keyboard to the terminal, or to what can be done instead."""
        if self._terminal is not None and self._stack.currentWidget() is self._terminal:
            self._terminal.setFocus(Qt.FocusReason.OtherFocusReason)
        elif self._button.isVisible():
            self._button.setFocus(Qt.FocusReason.OtherFocusReason)

    def disconnect_source(self) -> None:
        """Give the line back now."""
        self.connector.stop()
        self._linger.stop()
        if self._terminal is not None:
            self._terminal.set_source(None)

    # --- state ----------------------------------------------------------------------------------------

    def _wanted(self) -> bool:
        looked_at = self.isVisible() or self._linger.isActive()
        return looked_at and self._vm.state.is_active and not self.connector.has_given_up

    @Slot()
    def _update(self) -> None:
        if self._wanted():
            self.connector.ask_in_turn()
        elif self._vm.state is not VmState.UNKNOWN or not self.isVisible():
            # While the host does not answer the line may well go on: an open one is left alone.
            self.disconnect_source()
        self._show_face()

    def _face(self) -> tuple[str, str, str, str]:
        """Icon, title, sentence and the button's text."""
        vm = self._vm
        if vm.state.is_active:
            problem = self.connector.problem
            if self.connector.refused is not None:
                return "console", self.tr("No serial console"), problem, ""
            if self.connector.is_in_use:
                return "console", self.tr("In use elsewhere"), problem, self.tr("Take Over")
            if problem:
                return "console", self.tr("Connection lost"), problem, self.tr("Reconnect")
            return "console", self.tr("Connecting…"), "", ""
        button = self.tr("Start") if can_start(vm) else ""
        return vm_icon_name(vm), vm_word(vm), idle_sentence(vm), button

    def _show_face(self) -> None:
        icon, title, text, button = self._face()
        if self._terminal is not None:
            # What the guest said last stays to be read.
            self._stack.setCurrentWidget(self._terminal)
            silent = self.has_source or (self._vm.state.is_active and not self.connector.problem)
            self._notice.say("" if silent else f"{title}. {text}".strip(), button)
        else:
            self._notice.say("", "")
            tint = icons.Tint.QUIET if self._vm.state.is_active or self._vm.state is VmState.OFF else self._vm.state
            self._idle.art.set_icon(icon, tint)
            self._idle.title.setText(title)
            self._idle.text.setText(text)
            self._button.setText(button)
            self._button.setAccessibleName(button)
            self._button.setVisible(bool(button))
            self._stack.setCurrentWidget(self._idle)
        self._tools.setVisible(self._terminal is not None)
        self.stateChanged.emit()

    @Slot()
    def _on_button(self) -> None:
        if not self._vm.state.is_active:
            self.actionRequested.emit("start")
            return
        self._take_over = self.connector.is_in_use
        self.connector.forget_failures()
        self._update()

    # --- connecting -----------------------------------------------------------------------------------

    def wants_endpoint(self) -> bool:
        return self._wanted() and not self.has_source

    def endpoint_request(self) -> OpenSerial:
        take_over, self._take_over = self._take_over, False
        return OpenSerial(self._vm.key, self._device, take_over)

    def use_endpoint(self, endpoint: SerialEndpoint) -> None:
        from guivm.console.terminal.source import make_serial_source

        terminal = self._ensure_terminal()
        source = make_serial_source(endpoint, terminal)
        self.connector.connected()
        terminal.set_source(source)
        source.open()
        take = partial(self._take_devices, self.connector.number)
        self._bridge.submit(ListSerialDevices(self._vm.key), self, take, self._no_devices)
        self._show_face()

    def endpoint_failed(self) -> None:
        self._show_face()

    @Slot()
    def _on_ended(self) -> None:
        if self._terminal is not None:
            self._terminal.set_source(None)
        self.connector.lost(self.tr("The host closed the serial line.") if self._vm.state.is_active else "")
        self.connector.try_later()
        self._show_face()

    # --- devices --------------------------------------------------------------------------------------

    def _make_tools(self) -> QFrame:
        tools = QFrame(self)
        tools.setObjectName("serial-tools")
        tools.setProperty("strip", True)
        self._chooser_label = plain_label(self.tr("Line:"), tools)
        self._chooser = QComboBox(tools)
        self._chooser.setObjectName("serial-device")
        self._chooser.setAccessibleName(self.tr("Serial line"))
        self._chooser.activated.connect(self._on_device)
        layout = QHBoxLayout(tools)
        layout.setContentsMargins(2 * GRID, GRID // 2, 2 * GRID, GRID // 2)
        layout.addWidget(self._chooser_label)
        layout.addWidget(self._chooser)
        layout.addStretch(1)
        why = self.tr("A serial line cannot carry the size of the window: this types the command that sets it.")
        for name, text, words, slot in (
            ("serial-find-open", self.tr("Find…"), self.tr("Find in the text"), self._open_find),
            ("serial-tell-size", self.tr("Tell the Guest the Size"), why, self._tell_size),
            ("serial-save", self.tr("Save Text…"), self.tr("Save the text to a file"), self.save_text),
        ):
            button = QPushButton(text, tools)
            button.setObjectName(name)
            button.setAccessibleName(text.rstrip("…"))
            button.setToolTip(words)
            button.setProperty("kind", "small")
            button.clicked.connect(slot)
            layout.addWidget(button)
        self._set_devices(())
        return tools

    def _set_devices(self, devices: tuple[SerialDevice, ...]) -> None:
        usable = [device for device in devices if not device.refusal]
        self._chooser.clear()
        for device in usable:
            self._chooser.addItem(device.label, device.alias)
        self._chooser.setCurrentIndex(max(0, self._chooser.findData(self._device)) if usable else -1)
        for widget in (self._chooser_label, self._chooser):
            widget.setVisible(len(usable) > 1)

    def _take_devices(self, number: int, devices: tuple[SerialDevice, ...]) -> None:
        if number == self.connector.number:  # no answer about an earlier run of the VM
            self._set_devices(devices)

    def _no_devices(self, _error: GuivmError) -> None:
        """The line itself works; there is just nothing to choose from."""

    @Slot(int)
    def _on_device(self, index: int) -> None:
        alias = str(self._chooser.itemData(index) or "")
        if alias == self._device or (not self._device and index == 0):
            return
        self._device = alias
        self.disconnect_source()
        self.connector.forget_failures()
        if self._terminal is not None:
            self._terminal.feed(f"\r\n\033[m[{self._chooser.itemText(index)}]\r\n".encode())
        self._update()

    # --- the terminal ---------------------------------------------------------------------------------

    def _ensure_terminal(self) -> TerminalWidget:
        if self._terminal is None:
            from guivm.console.terminal.widget import TerminalWidget

            terminal = TerminalWidget(terminal_colors_for(self.palette()), self._stack)
            terminal.ended.connect(self._on_ended)
            terminal.titleChanged.connect(self.titleChanged)
            terminal.pasteQuestion.connect(self._ask_paste)
            terminal.findRequested.connect(self._open_find)
            terminal.saveRequested.connect(self.save_text)
            self._stack.addWidget(terminal)
            self._terminal = terminal
            self.setFocusProxy(terminal)
            focus = QApplication.focusWidget()
            if focus is not None and self.isAncestorOf(focus):
                terminal.setFocus(Qt.FocusReason.OtherFocusReason)
        return self._terminal

    @Slot(str)
    def _ask_paste(self, text: str) -> None:
        from guivm.views.dialogs.confirm import ConfirmDialog

        lines = text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n").count("\n") + 1
        first = clean_line(text.lstrip().partition("\n")[0], 60)
        dialog = ConfirmDialog(
            self.tr("Paste {n} lines?").format(n=lines) if lines > 1 else self.tr("Paste and press Enter?"),
            self.tr("Each line is carried out in the guest as if it were typed. It begins with: {text}").format(
                text=first
            ),
            self.tr("Paste"),
            self.window(),
            destructive=False,
        )
        terminal = self._terminal
        if terminal is not None:
            dialog.accepted.connect(partial(terminal.paste_text, text))
            dialog.open()

    @Slot()
    def _tell_size(self) -> None:
        if self._terminal is not None:
            self._terminal.tell_size()
            self.focus_screen()

    @Slot()
    def _open_find(self) -> None:
        self._find.begin()

    @Slot()
    def _close_find(self) -> None:
        self._find.hide()
        self.focus_screen()

    @Slot(str, bool)
    def _on_find(self, text: str, backwards: bool) -> None:
        if self._terminal is not None:
            self._find.say_found(self._terminal.find_text(text, backwards=backwards))

    @Slot()
    def save_text(self) -> None:
        """Ask where to, then write the scrollback and the screen there."""
        if self._terminal is None:
            return
        from PySide6.QtWidgets import QFileDialog

        dialog = QFileDialog(self.window(), self.tr("Save the text of the serial console"))
        dialog.setObjectName("serial-save-file")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix("txt")
        dialog.selectFile(f"{clean_line(self._vm.name, 80).replace('/', '-')}-serial.txt")
        dialog.fileSelected.connect(self.save_to)
        dialog.open()

    @Slot(str)
    def save_to(self, name: str) -> None:
        """Write the text to a file, on another thread; a failure goes to the message bar."""
        if self._terminal is not None and name:
            self._bridge.compute(partial(_write, self._terminal.terminal.snapshot(), Path(name)), self, self._on_saved)

    def _on_saved(self, failure: GuivmError | None) -> None:
        if failure is not None:
            self._bridge.report(failure)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and self._terminal is not None:
            self._terminal.set_colors(terminal_colors_for(self.palette()))

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._linger.stop()
        self._update()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        if self.has_source:
            self._linger.start()
        self._update()


def _write(rows: FrozenRows, path: Path) -> GuivmError | None:
    """On the bridge's thread."""
    from guivm.console.serial.selection import all_text

    try:
        path.write_text(all_text(rows), encoding="utf-8")
    except OSError as error:
        return OperationError(
            f"The text could not be saved to “{path.name}”.", advice="Choose another folder.", details=str(error)
        )
    return None
