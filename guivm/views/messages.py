"""Messages: cards that float over the lower edge of the window and never ask for an answer.

Errors stay until closed; the rest leaves by itself unless looked at. Text is always plain.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from PySide6.QtCore import QEvent, QObject, QPoint, QSize, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QEnterEvent, QGuiApplication, QKeyEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from guivm.errors import CancelledError, GuivmError
from guivm.text import clean_block, clean_line
from guivm.views import icons
from guivm.views.art import Art, plain_label
from guivm.views.theme import GRID

MAX_SHOWN = 3
INFO_MS = 8_000
INFO_WITH_ACTIONS_MS = 20_000
_WIDTH = 60 * GRID

ActionPair = tuple[str, Callable[[], None]]


class Severity(enum.Enum):
    """How grave a message is; the value is its icon."""

    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    ERROR = "error"

    @property
    def stays(self) -> bool:
        return self in (Severity.ERROR, Severity.WARNING)


_TINTS = {
    Severity.INFO: icons.Tint.INFO,
    Severity.SUCCESS: icons.Tint.SUCCESS,
    Severity.WARNING: icons.Tint.WARNING,
    Severity.ERROR: icons.Tint.ERROR,
}


@dataclass(frozen=True)
class Message:
    """What a card shows. Two messages are the same when all but ``actions`` is."""

    severity: Severity
    summary: str
    advice: str = ""
    details: str = ""
    actions: tuple[ActionPair, ...] = field(default=(), compare=False)

    @property
    def text(self) -> str:
        """All of it, for the clipboard."""
        return "\n\n".join(part for part in (f"{self.summary} {self.advice}".strip(), self.details) if part)


class MessageCard(QFrame):
    """One message on screen."""

    closed = Signal()
    resized = Signal()

    def __init__(self, message: Message, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.message = message
        self.count = 1
        self.setObjectName(f"message-{message.severity.value}")
        self.setProperty("floating", True)
        self.setAccessibleName(f"{message.summary} {message.advice}".strip())
        self._summary = self._text(message.summary, "message-summary", "strong")
        self._advice = self._text(message.advice, "message-advice", "")
        self._advice.setProperty("tone", "quiet")
        self._advice.setVisible(bool(message.advice))
        self._times = plain_label("", self, name="message-count", role="caption")
        self._times.hide()
        self.details = QPlainTextEdit(message.details, self)
        self.details.setObjectName("message-details")
        self.details.setAccessibleName(self.tr("Details of the message"))
        self.details.setReadOnly(True)
        self.details.setTabChangesFocus(True)
        self.details.setMaximumHeight(16 * GRID)
        self.details.hide()
        close = QToolButton(self)
        close.setObjectName("message-close")
        close.setAccessibleName(self.tr("Close message"))
        close.setToolTip(self.tr("Close"))
        close.setIcon(icons.icon("close", icons.Tint.QUIET))
        close.setIconSize(QSize(14, 14))
        close.clicked.connect(self.closed)

        words = QVBoxLayout()
        words.setSpacing(GRID // 2)
        words.setContentsMargins(0, 3, 0, 0)
        words.addWidget(self._summary)
        words.addWidget(self._advice)
        words.addWidget(self.details)
        buttons = self._make_buttons(message)
        if buttons is not None:
            words.addSpacing(2)
            words.addLayout(buttons)
        words.addStretch(1)
        icon_column = QVBoxLayout()
        icon_column.setContentsMargins(0, 4, 0, 0)
        icon_column.addWidget(Art(message.severity.value, 16, self, tint=_TINTS[message.severity]))
        icon_column.addStretch(1)
        side = QVBoxLayout()
        side.addWidget(close, 0, Qt.AlignmentFlag.AlignTop)
        side.addWidget(self._times, 0, Qt.AlignmentFlag.AlignHCenter)
        side.addStretch(1)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(2 * GRID, GRID, GRID, GRID + 2)
        layout.setSpacing(GRID + 4)
        layout.addLayout(icon_column)
        layout.addLayout(words, 1)
        layout.addLayout(side)

        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(INFO_WITH_ACTIONS_MS if message.actions else INFO_MS)
        self._timer.timeout.connect(self.closed)
        self._start_timer()

    @property
    def is_leaving(self) -> bool:
        """True while the message will close by itself."""
        return self._timer.isActive()

    def again(self) -> None:
        """The same happened once more."""
        self.count += 1
        self._times.setText(self.tr("{n} times").format(n=self.count))
        self._times.setAccessibleName(self.tr("Happened {n} times").format(n=self.count))
        self._times.show()
        self._start_timer()

    def _text(self, text: str, name: str, role: str) -> QLabel:
        label = plain_label(text, self, name=name, role=role)
        label.setWordWrap(True)
        label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        return label

    def _make_buttons(self, message: Message) -> QHBoxLayout | None:
        row = QHBoxLayout()
        row.setSpacing(GRID)
        for number, (label, _) in enumerate(message.actions):
            button = self._button(label, f"message-action-{number}")
            button.clicked.connect(self._on_action)
            button.setProperty("index", number)
            row.addWidget(button)
        if message.details:
            self._more = self._button(self.tr("Details"), "message-show-details")
            self._more.setCheckable(True)
            self._more.toggled.connect(self._on_details)
            row.addWidget(self._more)
        if message.severity.stays or message.details:
            copy = self._button(self.tr("Copy"), "message-copy")
            copy.setToolTip(self.tr("Copy the message and its details"))
            copy.clicked.connect(self._on_copy)
            row.addWidget(copy)
        row.addStretch(1)
        return row if row.count() > 1 else None

    def _button(self, text: str, name: str) -> QPushButton:
        button = QPushButton(text, self)
        button.setObjectName(name)
        button.setAccessibleName(text)
        button.setProperty("kind", "small")
        return button

    @Slot()
    def _on_action(self) -> None:
        sender = self.sender()
        if isinstance(sender, QPushButton):
            _, call = self.message.actions[int(sender.property("index"))]
            self.closed.emit()
            call()

    @Slot(bool)
    def _on_details(self, on: bool) -> None:
        self.details.setVisible(on)
        self.resized.emit()

    @Slot()
    def _on_copy(self) -> None:
        QGuiApplication.clipboard().setText(self.message.text)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.closed.emit()
        else:
            super().keyPressEvent(event)

    def enterEvent(self, event: QEnterEvent) -> None:
        self._timer.stop()
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        self._start_timer()
        super().leaveEvent(event)

    def _start_timer(self) -> None:
        if not self.message.severity.stays:
            self._timer.start()


class MessageBar(QWidget):
    """The newest messages, at most three; older ones wait for their place."""

    def __init__(self, host: QWidget) -> None:
        """``host``: the widget over whose lower edge the messages float."""
        super().__init__(host)
        self.setObjectName("messages")
        self.setAccessibleName(self.tr("Messages"))
        self._cards: list[MessageCard] = []  # oldest first
        self._host = host
        self._below: QWidget | None = None
        self._follows = False
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(2 * GRID, GRID, 2 * GRID, 2 * GRID)
        self._layout.setSpacing(GRID)
        self._more = plain_label("", self, name="messages-more", role="caption")
        self._more.setAlignment(Qt.AlignmentFlag.AlignRight)
        self._more.hide()
        self._layout.addWidget(self._more)
        self.hide()

    def stay_above(self, widget: QWidget) -> None:
        """Do not cover this widget, which stands at the host's lower edge when it is shown."""
        self._below = widget
        self._place()

    # --- showing --------------------------------------------------------------------------------------

    def show_error(self, error: GuivmError, actions: Sequence[ActionPair] = ()) -> None:
        """Show a failure; a job the person cancelled is none."""
        if isinstance(error, CancelledError):
            return
        self.show_message(Message(Severity.ERROR, error.summary, error.advice, error.details, tuple(actions)))

    def show_info(self, text: str, actions: Sequence[ActionPair] = (), *, advice: str = "") -> None:
        self.show_message(Message(Severity.INFO, clean_line(text, 500), clean_line(advice, 500), "", tuple(actions)))

    def show_success(self, text: str, actions: Sequence[ActionPair] = ()) -> None:
        self.show_message(Message(Severity.SUCCESS, clean_line(text, 500), "", "", tuple(actions)))

    def show_warning(self, text: str, *, advice: str = "", details: str = "") -> None:
        self.show_message(
            Message(Severity.WARNING, clean_line(text, 500), clean_line(advice, 500), clean_block(details))
        )

    @Slot(object)
    def show_notice(self, problem: GuivmError) -> None:
        """Something went wrong that nobody had asked for."""
        self.show_warning(problem.summary, advice=problem.advice, details=problem.details)

    def show_message(self, message: Message) -> None:
        for card in self._cards:
            if card.message == message and not message.actions:
                card.again()
                self._arrange()
                return
        card = MessageCard(message, self)
        card.closed.connect(self._on_closed)
        card.resized.connect(self._place)
        self._cards.append(card)
        self._layout.addWidget(card)
        self._arrange()
        from PySide6.QtGui import QAccessible, QAccessibleAnnouncementEvent

        QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self, card.accessibleName()))

    @property
    def cards(self) -> tuple[MessageCard, ...]:
        """All messages not closed yet, oldest first; only the last :data:`MAX_SHOWN` are on screen."""
        return tuple(self._cards)

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(card.message.summary for card in self._cards)

    @Slot()
    def clear(self) -> None:
        for card in tuple(self._cards):
            self._drop(card)
        self._arrange()

    @Slot()
    def focus_newest(self) -> None:
        """Give the newest message the keyboard."""
        if self._cards:
            button = self._cards[-1].findChild(QPushButton) or self._cards[-1].findChild(QToolButton)
            if button is not None:
                button.setFocus(Qt.FocusReason.ShortcutFocusReason)

    @Slot()
    def _on_closed(self) -> None:
        sender = self.sender()
        if isinstance(sender, MessageCard):
            self._drop(sender)
            self._arrange()

    def _drop(self, card: MessageCard) -> None:
        if card in self._cards:
            self._cards.remove(card)
            self._layout.removeWidget(card)
            card.hide()
            card.deleteLater()

    # --- place ----------------------------------------------------------------------------------------

    def _arrange(self) -> None:
        waiting = len(self._cards) - MAX_SHOWN
        for number, card in enumerate(self._cards):
            card.setVisible(number >= waiting)
        self._more.setVisible(waiting > 0)
        if waiting > 0:
            self._more.setText(self.tr("{n} earlier").format(n=waiting))
        self._follow(bool(self._cards))
        self.setVisible(bool(self._cards))
        self._place()
        self.raise_()

    def _follow(self, follows: bool) -> None:
        """Watch where to stand, while there is something to show: the first event that reaches a filter in Python makes
        PySide6 build the classes of all events there are."""
        if follows == self._follows:
            return
        self._follows = follows
        for widget in (self._host, self._below):
            if widget is not None and follows:
                widget.installEventFilter(self)
            elif widget is not None:
                widget.removeEventFilter(self)

    @Slot()
    def _place(self) -> None:
        host = self.parentWidget()
        if host is None or not self._cards:
            return
        width = max(min(_WIDTH, host.width()), 24 * GRID)
        self._layout.invalidate()
        height = self._layout.totalHeightForWidth(width)
        below = self._below
        floor = host.height() - (below.height() if below is not None and below.isVisibleTo(host) else 0)
        height = min(height if height > 0 else self._layout.totalSizeHint().height(), floor)
        self.resize(width, height)
        self.move(QPoint(host.width() - width, floor - height))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() in (QEvent.Type.Resize, QEvent.Type.Show, QEvent.Type.Hide) and watched in (
            self.parent(),
            self._below,
        ):
            self._place()
        return super().eventFilter(watched, event)
