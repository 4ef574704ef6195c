"""Pages for when there is no VM to show: welcome, not connected, several selected. The others: ``state_page``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from PySide6.QtCore import QEvent, QRect, QSize, Qt, Signal, Slot
from PySide6.QtGui import QAction, QEnterEvent, QFont, QFontMetrics, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import (
    QAbstractButton,
    QHBoxLayout,
    QPlainTextEdit,
    QPushButton,
    QSizePolicy,
    QStyle,
    QStyleOption,
    QWidget,
)

from guivm.engine.types import HostInfo, HostState, VmInfo, VmState
from guivm.views import formats, icons
from guivm.views.actions import ActionRegistry
from guivm.views.art import plain_label
from guivm.views.small import set_style_property
from guivm.views.state_page import COLUMN, StatePage
from guivm.views.state_words import state_rank, state_word
from guivm.views.theme import GRID, RADIUS, tokens_for

_WIDE = 74 * GRID


class ChoiceButton(QAbstractButton):
    """A big calm button: icon, what it does, and one line on what that means."""

    def __init__(self, action: QAction, icon: str, description: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._action = action
        self._icon = icon
        self._description = description
        self.setObjectName(f"choice-{action.data()}")
        self.setText(action.text().replace("&", ""))
        self.setAccessibleName(self.text())
        self.setAccessibleDescription(description)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.clicked.connect(action.trigger)
        action.changed.connect(self._on_action_changed)

    @Slot()
    def _on_action_changed(self) -> None:
        self.setEnabled(self._action.isEnabled())

    def sizeHint(self) -> QSize:
        metrics = self.fontMetrics()
        return QSize(COLUMN, 2 * metrics.height() + 4 * GRID)

    def enterEvent(self, event: QEnterEvent) -> None:
        self.update()
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        self.update()
        super().leaveEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        tokens = tokens_for(self.palette())
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        frame = self.rect().toRectF().adjusted(0.5, 0.5, -0.5, -0.5)
        fill = tokens.pressed if self.isDown() else tokens.hover if self.underMouse() else tokens.card
        painter.setBrush(fill)
        option = QStyleOption()
        option.initFrom(self)
        ring = QStyle.StateFlag.State_HasFocus | QStyle.StateFlag.State_KeyboardFocusChange
        painter.setPen(QPen(tokens.accent if option.state & ring == ring else tokens.border, 1))
        painter.drawRoundedRect(frame, RADIUS, RADIUS)
        middle = self.height() // 2
        icons.paint(painter, QRect(2 * GRID + 4, middle - 12, 24, 24), self._icon, tokens.link)
        left = 7 * GRID
        width = self.width() - left - 5 * GRID
        strong = QFont(self.font())
        strong.setWeight(QFont.Weight.DemiBold)
        line = self.fontMetrics().height()
        painter.setFont(strong)
        painter.setPen(tokens.text if self.isEnabled() else tokens.disabled)
        top = middle - line - 1
        elide = Qt.TextElideMode.ElideRight
        painter.drawText(
            QRect(left, top, width, line),
            Qt.AlignmentFlag.AlignVCenter,
            QFontMetrics(strong).elidedText(self.text(), elide, width),
        )
        painter.setFont(self.font())
        painter.setPen(tokens.quiet if self.isEnabled() else tokens.disabled)
        painter.drawText(
            QRect(left, middle + 1, width, line),
            Qt.AlignmentFlag.AlignVCenter,
            self.fontMetrics().elidedText(self._description, elide, width),
        )
        icons.paint(painter, QRect(self.width() - 4 * GRID, middle - 7, 14, 14), "chevron-right", tokens.quiet)


class WelcomePage(StatePage):
    """No VM yet."""

    def __init__(self, actions: ActionRegistry, parent: QWidget | None = None) -> None:
        super().__init__("welcome", "art-machine", "", "", parent, width=_WIDE)
        self.title.setText(self.tr("No virtual machines yet"))
        self.text.setText(self.tr("A virtual machine is a whole computer inside a window. Begin with one of these."))
        self.column.addSpacing(2 * GRID)
        for action_id, description in (
            ("new", self.tr("Choose what to install, and how much memory and disk it gets")),
            ("open", self.tr("Boot an installer, a live system or a disk you already have")),
            ("sample", self.tr("A tiny Linux, ready in under a minute; nothing to install")),
        ):
            action = actions.action(action_id)
            self.column.addWidget(ChoiceButton(action, actions.spec(action_id).icon, description, self))


class HostProblemPage(StatePage):
    """A host that does not answer: why, and what to do."""

    retryRequested = Signal(object)  # HostInfo

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("host-problem", "art-unplugged", "", "", parent)
        self._host: HostInfo | None = None
        self.advice = plain_label("", self, name="host-problem-advice")
        self.advice.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self.advice.setWordWrap(True)
        self.retry = QPushButton(self.tr("Try Again"), self)
        self.retry.setObjectName("host-problem-retry")
        self.retry.setAccessibleName(self.tr("Try to connect again"))
        self.retry.setProperty("kind", "primary")
        self.retry.clicked.connect(self._on_retry)
        self.more = QPushButton(self.tr("Details"), self)
        self.more.setObjectName("host-problem-more")
        self.more.setAccessibleName(self.tr("Show details"))
        self.more.setCheckable(True)
        self.details = QPlainTextEdit(self)
        self.details.setObjectName("host-problem-details")
        self.details.setAccessibleName(self.tr("Details of the problem"))
        self.details.setReadOnly(True)
        self.details.setTabChangesFocus(True)
        self.details.setFixedHeight(14 * GRID)
        self.details.hide()
        self.more.toggled.connect(self.details.setVisible)
        row = QHBoxLayout()
        row.setSpacing(GRID)
        row.addStretch(1)
        row.addWidget(self.retry)
        row.addWidget(self.more)
        row.addStretch(1)
        self.column.addWidget(self.advice)
        self.column.addSpacing(GRID)
        self.column.addLayout(row)
        self.column.addWidget(self.details)

    def set_host(self, host: HostInfo) -> None:
        label = formats.host_label(host.label, host.id)
        self._host = host
        trying = host.state is HostState.RECONNECTING
        self.title.setText(self.tr("Connection lost") if trying else self.tr("Cannot connect"))
        problem = host.problem or self.tr("The host does not answer.")
        self.text.setText(self.tr("{host}: {problem}").format(host=label, problem=problem))
        self.advice.setText(
            self.tr("guivm goes on trying; virtual machines that were running go on running.") if trying else ""
        )
        self.advice.setVisible(trying)
        if self.details.toPlainText() != host.details:
            self.details.setPlainText(host.details)
        self.more.setVisible(bool(host.details))
        if not host.details:
            self.more.setChecked(False)

    @Slot()
    def _on_retry(self) -> None:
        if self._host is not None:
            self.retryRequested.emit(self._host)


def _rank(counted: tuple[str, int]) -> int:
    return state_rank(VmState(counted[0]))


class ManySelectedPage(StatePage):
    """Several VMs selected: how many in which state, and what can be done to all that allow it."""

    ACTIONS = ("start", "pause", "shutdown", "save", "force-off")

    def __init__(self, actions: ActionRegistry, parent: QWidget | None = None) -> None:
        super().__init__("many-selected", "art-select", "", "", parent, width=104 * GRID)
        self._actions = actions
        self._buttons: dict[str, QPushButton] = {}
        self.column.addSpacing(2 * GRID)
        row = QHBoxLayout()
        row.setSpacing(GRID)
        row.addStretch(1)
        for action_id in self.ACTIONS:
            action = actions.action(action_id)
            button = QPushButton(self)
            button.setObjectName(f"many-{action_id}")
            button.setAccessibleName(action.text().replace("&", ""))
            button.setIcon(icons.icon(actions.spec(action_id).icon))
            button.clicked.connect(action.trigger)
            self._buttons[action_id] = button
            row.addWidget(button)
        row.addStretch(1)
        self.column.addLayout(row)

    def set_vms(self, vms: Sequence[VmInfo]) -> None:
        self.title.setText(self.tr("{n} virtual machines selected").format(n=formats.number(len(vms))))
        counts: dict[str, int] = {}
        for state, count in sorted(Counter(vm.state.value for vm in vms).items(), key=_rank):
            counts[state_word(VmState(state))] = count
        self.text.setText(
            " · ".join(
                self.tr("{n} {state}").format(n=formats.number(n), state=word.lower()) for word, n in counts.items()
            )
        )
        applicable = self._actions.counts(self.ACTIONS, vms)
        for action_id, button in self._buttons.items():
            hits = applicable[action_id]
            text = self._actions.action(action_id).text().replace("&", "")
            button.setText(f" {text}" if hits in (0, len(vms)) else f" {text} ({formats.number(hits)})")
            button.setAccessibleName(self.tr("{action}: {n} selected").format(action=text, n=formats.number(hits)))
            button.setEnabled(hits > 0)
            button.setVisible(hits > 0)
            set_style_property(button, "kind", "danger" if action_id == "force-off" else "")
