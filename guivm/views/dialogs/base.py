"""What all dialogs share: a body, a message strip, a footer whose primary button says the verb, and a job."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtGui import QGuiApplication, QKeyEvent, QShowEvent
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from guivm.engine.jobs import Job, JobInfo
from guivm.engine.requests import Request
from guivm.errors import CancelledError, GuivmError
from guivm.views.bridge import Bridge
from guivm.views.forms import NoteLine, Tone, plain_label, set_style_property, tone_icon
from guivm.views.theme import GRID

T = TypeVar("T")
_MARGIN = 3 * GRID


class MessageStrip(QFrame):
    """A failure in words inside a dialog, with the evidence behind Details and a Copy button."""

    retryRequested = Signal()
    heightChanged = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("message-strip")
        self.setProperty("card", True)
        self._error: GuivmError | None = None
        self._icon = QLabel(self)
        self._icon.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._summary = plain_label("", self, wrap=True)
        self._summary.setObjectName("message-summary")
        self._summary.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._details = QPlainTextEdit(self)
        self._details.setObjectName("message-details")
        self._details.setAccessibleName(self.tr("Details of the problem"))
        self._details.setReadOnly(True)
        self._details.setTabChangesFocus(True)
        self._details.setMaximumHeight(12 * GRID)
        self._details.hide()
        self.retry = self._button("message-retry", self.tr("&Try again"))
        self.retry.clicked.connect(self.retryRequested)
        self.retry.hide()
        self._more = self._button("message-show-details", self.tr("&Details"))
        self._more.setCheckable(True)
        self._more.toggled.connect(self._details.setVisible)
        self._more.toggled.connect(self.heightChanged)
        self._copy = self._button("message-copy", self.tr("Cop&y"))
        self._copy.setToolTip(self.tr("Copy the message and its details"))
        self._copy.clicked.connect(self._on_copy)

        buttons = QHBoxLayout()
        buttons.setSpacing(GRID)
        buttons.addStretch(1)
        for button in (self.retry, self._more, self._copy):
            buttons.addWidget(button)
        words = QVBoxLayout()
        words.setSpacing(GRID)
        words.addWidget(self._summary)
        words.addWidget(self._details)
        words.addLayout(buttons)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(GRID + 4, GRID + 4, GRID + 4, GRID)
        layout.setSpacing(GRID + 4)
        layout.addWidget(self._icon)
        layout.addLayout(words, 1)
        self.hide()

    @property
    def error(self) -> GuivmError | None:
        """The failure shown, or None."""
        return self._error

    def show_error(self, error: GuivmError, *, can_retry: bool = False) -> None:
        self._error = error
        self._summary.setText(str(error))
        self.setAccessibleName(str(error))
        self._details.setPlainText(error.details)
        self._more.setVisible(bool(error.details))
        self._more.setChecked(False)
        self.retry.setVisible(can_retry)
        side = 2 * GRID
        self._icon.setPixmap(tone_icon(Tone.PROBLEM).pixmap(QSize(side, side), self.devicePixelRatioF()))
        self.show()

    def clear(self) -> None:
        self._error = None
        self.hide()

    def _button(self, name: str, text: str) -> QPushButton:
        button = QPushButton(text, self)
        button.setObjectName(name)
        button.setAccessibleName(text.replace("&", ""))
        button.setAutoDefault(False)
        button.setProperty("kind", "small")
        return button

    @Slot()
    def _on_copy(self) -> None:
        if self._error is not None:
            text = "\n\n".join(part for part in (str(self._error), self._error.details) if part)
            QGuiApplication.clipboard().setText(text)


def _scrolling(content: QWidget, parent: QWidget) -> QScrollArea:
    """``content`` in an area that scrolls only when the screen is too low for it."""
    area = QScrollArea(parent)
    area.setObjectName("body-scroll")
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setWidgetResizable(True)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    content.setProperty("clear", True)
    area.setWidget(content)
    return area


class VerbDialog(QDialog):
    """A window-modal dialog: ``body`` above, then message strip and footer. Show it with ``open()``.

    The primary button carries the verb. It is disabled only while :meth:`set_reason` holds a reason, which is
    then readable beside it. The dialog deletes itself when it closes.
    """

    def __init__(
        self,
        title: str,
        verb: str,
        parent: QWidget | None = None,
        *,
        name: str,
        width: int,
        destructive: bool = False,
        scrolls: bool = False,
    ) -> None:
        """``width`` in device-independent pixels; an empty ``verb`` leaves only a Close button."""
        super().__init__(parent)
        self.setObjectName(name)
        self.setWindowTitle(title)
        self.setAccessibleName(title)
        self.setWindowModality(Qt.WindowModality.WindowModal)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._width = width
        self._reason = ""
        self._reason_shown = False
        self._kind = "danger" if destructive else "primary"

        self.content = QWidget(self)
        self.body = QVBoxLayout(self.content)
        self.body.setContentsMargins(_MARGIN, _MARGIN - GRID // 2, _MARGIN, GRID)
        self.body.setSpacing(2 * GRID)
        self.strip = MessageStrip(self)
        self.strip.heightChanged.connect(self.grow)
        self.status = NoteLine("", self, trailing=True)
        self.status.setObjectName("status")
        self.progress = QProgressBar(self)
        self.progress.setObjectName("progress")
        self.progress.setTextVisible(False)
        self.progress.setMaximumHeight(GRID)
        self.progress.hide()
        self.footer = QHBoxLayout()
        self.footer.setContentsMargins(0, GRID, 0, 0)
        self.footer.setSpacing(2 * GRID)
        self.buttons = QDialogButtonBox(self)
        self.primary = QPushButton(verb, self)
        self.cancel = QPushButton(self.tr("Cancel") if verb else self.tr("&Close"), self)
        # A box makes its first Accept button the default one; a destructive dialog must have none.
        role_of_primary = (
            QDialogButtonBox.ButtonRole.DestructiveRole if destructive else QDialogButtonBox.ButtonRole.AcceptRole
        )
        for button, role, which in (
            (self.primary, role_of_primary, "primary"),
            (self.cancel, QDialogButtonBox.ButtonRole.RejectRole, "cancel"),
        ):
            button.setObjectName(which)
            button.setAccessibleName(button.text().replace("&", ""))
            if verb or button is self.cancel:
                self.buttons.addButton(button, role)
        if not verb:
            self.primary.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            self.primary.hide()
        self._style_buttons(verb, destructive=destructive)
        self.primary.clicked.connect(self._on_primary)
        self.cancel.clicked.connect(self._on_cancel)
        self.footer.addWidget(self.status, 1)
        self.footer.addWidget(self.buttons)

        self._lower = lower = QVBoxLayout()
        lower.setContentsMargins(_MARGIN, 0, _MARGIN, 2 * GRID + GRID // 2)
        lower.setSpacing(GRID)
        for widget in (self.strip, self.progress):
            lower.addWidget(widget)
        lower.addLayout(self.footer)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(_scrolling(self.content, self) if scrolls else self.content, 1)
        if scrolls:
            rule = QFrame(self)
            rule.setProperty("rule", True)
            layout.addWidget(rule)
            lower.setContentsMargins(_MARGIN, GRID, _MARGIN, 2 * GRID)
            self.footer.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(lower)

    @property
    def reason(self) -> str:
        """Why the primary button is disabled; empty when it is not."""
        return self._reason

    def set_reason(self, reason: str, *, shown: bool = False) -> None:
        """Disable the primary button and say why; an empty reason enables it.

        ``shown``: the reason stands beside its field, in sight, and is not repeated at the button.
        """
        self._reason = reason
        self._reason_shown = shown
        self._set_primary_enabled(not reason)
        self.primary.setAccessibleDescription(reason)
        self.set_status("" if shown else reason)

    def set_status(self, text: str, tone: Tone = Tone.HELP) -> None:
        """A quiet line beside the buttons."""
        if tone is Tone.HELP:
            self.status.set_problem("")
            self.status.set_help(text)
        else:
            self.status.set_problem(text, tone)

    def showEvent(self, event: QShowEvent) -> None:
        if not event.spontaneous():
            self.fit()
        super().showEvent(event)

    def fit(self) -> None:
        """Take the height the content wants at the dialog's width, at most what the screen has."""
        self.resize_to(self.wanted_height())

    @Slot()
    def grow(self) -> None:
        """Become taller when the content needs it; never smaller, so that nothing moves without need."""
        if self.isVisible():
            self.resize_to(max(self.height(), self.wanted_height()))

    def wanted_height(self) -> int:
        self.body.activate()
        self._lower.activate()
        upper = self.body.totalHeightForWidth(self._width)
        if upper < 0:
            upper = self.body.totalSizeHint().height()
        lower = self._lower.totalHeightForWidth(self._width)
        if lower < 0:
            lower = self._lower.totalSizeHint().height()
        return upper + lower + 1

    def resize_to(self, height: int) -> None:
        screen = self.screen().availableGeometry()
        width = min(max(self._width, self.minimumSizeHint().width()), screen.width() - 4 * GRID)
        self.resize(max(width, self.width() if self.isVisible() else 0), min(height, screen.height() - 6 * GRID))

    def submit(self) -> None:
        """What the primary button does."""
        self.accept()

    @Slot()
    def _on_primary(self) -> None:
        if self.primary.isEnabled():
            self.submit()

    @Slot()
    def _on_cancel(self) -> None:
        self.reject()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        # Enter on a focused button presses that button, not the primary one.
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            focused = self.focusWidget()
            if isinstance(focused, QPushButton) and not focused.isDefault():
                focused.click()
                event.accept()
                return
        super().keyPressEvent(event)

    def _set_primary_enabled(self, enabled: bool) -> None:
        self.primary.setEnabled(enabled)
        set_style_property(self.primary, "kind", self._kind if enabled or self._kind != "danger" else "")

    def _style_buttons(self, verb: str, *, destructive: bool) -> None:
        for button in (self.primary, self.cancel):
            button.setAutoDefault(False)
        set_style_property(self.primary, "kind", self._kind)
        if verb and not destructive:
            self.primary.setDefault(True)
        else:
            self.cancel.setFocus(Qt.FocusReason.OtherFocusReason)


class JobDialog(VerbDialog):
    """A dialog whose verb is a request: form disabled while it runs, progress, Cancel, failure in the strip.

    Closed while the job runs, it cancels what can be cancelled, stays in memory until the answer is there, so
    that no receipt is lost, and then deletes itself.
    """

    def __init__(
        self,
        bridge: Bridge,
        title: str,
        verb: str,
        parent: QWidget | None = None,
        *,
        name: str,
        width: int,
        destructive: bool = False,
        scrolls: bool = False,
    ) -> None:
        super().__init__(title, verb, parent, name=name, width=width, destructive=destructive, scrolls=scrolls)
        self.bridge = bridge
        self.closed = False
        self._job_id: int | None = None
        self._cancel_job: Callable[[], None] | None = None
        # Its place is kept free, so that nothing moves when the job begins.
        policy = self.progress.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.progress.setSizePolicy(policy)
        bridge.jobChanged.connect(self._on_job)

    @property
    def busy(self) -> bool:
        return self._job_id is not None

    def run(self, request: Request[T], text: str, done: Callable[[T], None]) -> None:
        """Submit ``request``; ``text`` says what is going on. ``done`` is also called when closed meanwhile."""
        self.strip.clear()
        self.content.setEnabled(False)
        self._set_primary_enabled(False)
        self.progress.setRange(0, 0)
        self.progress.setAccessibleName(text)
        self.progress.show()
        self.set_status(text)

        def settle(result: T) -> None:
            self._end()
            done(result)
            if self.closed:
                self.deleteLater()

        self._start(self.bridge.submit(request, self, settle, self._on_failed))

    def job_failed(self, error: GuivmError) -> None:
        """The job ended without result and the form is usable again; shown unless it was cancelled."""
        if not isinstance(error, CancelledError):
            self.strip.show_error(error)
            self.grow()

    def done(self, result: int) -> None:
        if self.busy and not self.closed:
            self.closed = True
            self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)
            if self._cancel_job is not None:
                self._cancel_job()
        super().done(result)

    def update_reason(self) -> None:
        """Show again why the primary button is disabled, if it is."""
        self.set_reason(self._reason, shown=self._reason_shown)

    def _start(self, job: Job[T]) -> None:
        self._job_id = job.info.id
        self._cancel_job = job.cancel

    def _end(self) -> None:
        self._job_id = None
        self._cancel_job = None
        self.progress.hide()
        self.content.setEnabled(True)
        self.cancel.setEnabled(True)
        self.update_reason()

    def _on_failed(self, error: GuivmError) -> None:
        self._end()
        if self.closed:
            if not isinstance(error, CancelledError):
                self.bridge.failed.emit(error)
            self.deleteLater()
            return
        self.job_failed(error)
        self.primary.setFocus(Qt.FocusReason.OtherFocusReason)

    @Slot()
    def _on_cancel(self) -> None:
        if self._cancel_job is None:
            self.reject()
        else:
            self.cancel.setEnabled(False)
            self.set_status(self.tr("Cancelling…"))
            self._cancel_job()

    @Slot(object)
    def _on_job(self, info: JobInfo) -> None:
        if info.id != self._job_id or info.progress is None:
            return
        progress = info.progress
        if progress.total > 0:
            self.progress.setRange(0, 1000)
            self.progress.setValue(round(1000 * min(progress.done, progress.total) / progress.total))
        else:
            self.progress.setRange(0, 0)
        if progress.step and self.cancel.isEnabled():
            self.set_status(progress.step)
