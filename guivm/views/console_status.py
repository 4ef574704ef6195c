"""The line under a console: who has the keyboard, what is shared, what is recorded, how large the picture is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QSize, Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import QFrame, QHBoxLayout, QToolButton, QWidget

from guivm.views import icons
from guivm.views.actions import N
from guivm.views.art import Art, plain_label
from guivm.views.clipboard_menu import ClipboardMenu, clipboard_words
from guivm.views.theme import GRID

if TYPE_CHECKING:
    from guivm.console.frame import KeyboardLeds, SourceSecurity
    from guivm.console.picture.viewport import ScaleMode
    from guivm.console.widget import ConsoleWidget


class ConsoleStatus(QFrame):
    """Follows one :class:`ConsoleWidget`. GUI thread."""

    clipboardChosen = Signal(str)  # a value of guivm.console.frame.ClipboardPolicy
    stopRequested = Signal(str)  # id of the action whose recording is to end

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("console-status")
        self.setProperty("statusLine", True)
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._console: ConsoleWidget | None = None
        self._recording = ""  # id of the action that records
        self._since = 0.0
        self._size = QSize()
        self._scale = 1.0
        self._keyboard = Art("keyboard", 16, self)
        self.capture = plain_label("", self, name="status-capture", role="caption")
        self.record = QToolButton(self)
        self.record.setObjectName("status-record")
        self.record.setProperty("kind", "status")
        self.record.setIcon(icons.icon("record", icons.Tint.ERROR))
        self.record.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.record.setToolTip(self.tr("Stop recording"))
        self.record.setAccessibleName(self.tr("Stop recording"))
        self.record.clicked.connect(self._on_stop)
        self.record.hide()
        self.view_only = plain_label(self.tr("View only"), self, name="status-view-only", role="caption")
        self.view_only.hide()
        self.locks = plain_label("", self, name="status-locks", role="caption")
        self.clipboard = QToolButton(self)
        self.clipboard.setObjectName("status-clipboard")
        self.clipboard.setProperty("kind", "status")
        self.clipboard.setIcon(icons.icon("clipboard", icons.Tint.QUIET))
        self.clipboard.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.clipboard.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._policies = ClipboardMenu(self)
        self._policies.chosen.connect(self.clipboardChosen)
        self.clipboard.setMenu(self._policies)
        self.security = QToolButton(self)
        self.security.setObjectName("status-security")
        self.security.setProperty("kind", "status")
        self.security.setAccessibleName(self.tr("Security of the connection"))
        self.security.hide()
        self.size_label = plain_label("", self, name="status-size", role="caption")
        for button in (self.record, self.clipboard, self.security):
            button.setIconSize(QSize(14, 14))
        layout = QHBoxLayout(self)
        layout.setContentsMargins(GRID + 4, 2, GRID + 4, 2)
        layout.setSpacing(GRID)
        layout.addWidget(self._keyboard)
        layout.addWidget(self.capture, 1)
        for widget in (self.record, self.view_only, self.locks, self.clipboard, self.security, self.size_label):
            layout.addWidget(widget)
        self._clock = QTimer(self)
        self._clock.setInterval(1_000)
        self._clock.timeout.connect(self._show_time)
        self.set_clipboard("off")

    def follow(self, console: ConsoleWidget) -> None:
        """Call once."""
        self._console = console
        console.captureChanged.connect(self._show_capture)
        console.captureTroubleChanged.connect(self._show_capture)
        console.viewOnlyChanged.connect(self._on_view_only)
        console.framebufferResized.connect(self._on_size)
        console.scaleChanged.connect(self._on_scale)
        self._show_capture()

    # --- told by the page -----------------------------------------------------------------------------

    def set_clipboard(self, policy: str) -> None:
        self._policies.set_policy(policy)
        words = clipboard_words(policy)
        self.clipboard.setText(f" {words}")
        self.clipboard.setAccessibleName(words)
        self.clipboard.setToolTip(self.tr("Which way copied text may go"))

    def set_recording(self, action_id: str) -> None:
        """Which action records now; empty: none."""
        if action_id == self._recording:
            return
        self._recording = action_id
        self._since = time.monotonic()
        self.record.setVisible(bool(action_id))
        if action_id:
            self._show_time()
            self._clock.start()
        else:
            self._clock.stop()

    @Slot(object)
    def set_leds(self, leds: KeyboardLeds) -> None:
        """The guest's lock keys."""
        from guivm.console.frame import KeyboardLeds

        words = {
            KeyboardLeds.CAPS_LOCK: self.tr("Caps"),
            KeyboardLeds.NUM_LOCK: self.tr("Num"),
            KeyboardLeds.SCROLL_LOCK: self.tr("Scroll"),
        }
        self.locks.setText(" ".join(word for led, word in words.items() if led & leds))
        self.locks.setAccessibleName(self.tr("Locks on in the guest: {locks}").format(locks=self.locks.text() or "–"))

    @Slot(object)
    def set_security(self, security: SourceSecurity) -> None:
        """Who could read along."""
        text, verified = security_words(security)
        self.security.setVisible(bool(text))
        self.security.setToolTip(text)
        self.security.setAccessibleName(text)
        tint = icons.Tint.QUIET if verified else icons.Tint.WARNING
        self.security.setIcon(icons.icon("lock" if verified else "unlock", tint))

    # --- seen -----------------------------------------------------------------------------------------

    @Slot()
    def _show_capture(self) -> None:
        console = self._console
        if console is None:
            return
        captured = console.is_captured()
        if console.is_view_only():
            text = self.tr("Keys and clicks stay here")
        elif captured:
            trouble = console.capture_trouble()
            if trouble:
                text = self.tr("{key} gives keyboard and mouse back. {trouble}")
            else:
                text = self.tr("The guest has keyboard and mouse. {key} gives them back.")
            text = text.format(key=console.host_key_label(), trouble=trouble)
        else:
            text = self.tr("Click into the screen or press Enter to use the guest")
        self.capture.setText(text)
        self.capture.setToolTip(text if console.capture_trouble() else "")
        self._keyboard.set_icon("keyboard", icons.Tint.ACCENT if captured else icons.Tint.QUIET)

    @Slot(bool)
    def _on_view_only(self, on: bool) -> None:
        self.view_only.setVisible(on)
        self._show_capture()

    @Slot(QSize)
    def _on_size(self, size: QSize) -> None:
        self._size = size
        self._show_size()

    @Slot(object, float)
    def _on_scale(self, _mode: ScaleMode, scale: float) -> None:
        self._scale = scale
        self._show_size()

    def _show_size(self) -> None:
        if self._size.isEmpty():
            self.size_label.setText("")
            return
        percent = round(self._scale * 100)
        self.size_label.setText(f"{self._size.width()} × {self._size.height()}  ·  {percent} %")

    @Slot()
    def _show_time(self) -> None:
        seconds = int(time.monotonic() - self._since)
        self.record.setText(f" {seconds // 60}:{seconds % 60:02d}")
        self.record.setAccessibleName(self.tr("Recording since {time}; stop").format(time=self.record.text().strip()))

    @Slot()
    def _on_stop(self) -> None:
        self.stopRequested.emit(self._recording)


def security_words(security: SourceSecurity) -> tuple[str, bool]:
    """A sentence, empty where there is nothing to say, and whether nobody can read along or pretend."""
    from guivm.console.frame import SourceSecurity

    words = {
        SourceSecurity.SSH: N("ConsoleStatus", "The display comes through the host's SSH connection."),
        SourceSecurity.VERIFIED: N("ConsoleStatus", "The display is encrypted, and its server has proved who it is."),
        SourceSecurity.ANONYMOUS: N(
            "ConsoleStatus", "The display is encrypted, but its server has not proved who it is."
        ),
        SourceSecurity.PLAIN: N("ConsoleStatus", "The display is not encrypted: others on the network can read along."),
    }
    text = words.get(security, "")
    verified = security not in (SourceSecurity.ANONYMOUS, SourceSecurity.PLAIN)
    return QCoreApplication.translate("ConsoleStatus", text) if text else "", verified
