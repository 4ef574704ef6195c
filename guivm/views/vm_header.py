"""The top of a VM's page: name, state pill, what makes sense now as buttons, the rest behind "…"."""

from __future__ import annotations

from PySide6.QtCore import QRect, QSize, Qt, Slot
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QMenu, QPushButton, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from guivm.engine.types import VmInfo, VmState
from guivm.views import icons
from guivm.views.actions import ActionRegistry, Group
from guivm.views.art import ElidedLabel
from guivm.views.menus import fill_menu
from guivm.views.small import set_style_property
from guivm.views.state_words import kind_sentence, rests_as_template, state_sentence, vm_icon_name, vm_word
from guivm.views.theme import GRID, Tokens, mix, tokens_for

_S = VmState
# What makes sense now; the first is the primary action where the VM does not run.
_NOW: dict[VmState, tuple[str, ...]] = {
    _S.RUNNING: ("pause", "shutdown"),
    _S.PAUSED: ("pause", "save"),
    _S.SUSPENDED: ("pause", "force-off"),
    _S.SHUTTING_DOWN: ("force-off",),
    _S.OFF: ("start",),
    _S.SAVED: ("start", "discard-saved"),
    _S.CRASHED: ("start",),
    _S.UNKNOWN: (),
}
_PRIMARY = {_S.PAUSED: "pause", _S.SUSPENDED: "pause", _S.OFF: "start", _S.SAVED: "start", _S.CRASHED: "start"}


class _Pill(QWidget):
    """A word with a shape, in a colour."""

    def __init__(self, name: str, parent: QWidget | None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self._icon = ""
        self._word = ""

    @property
    def word(self) -> str:
        return self._word

    def _show(self, icon: str, word: str) -> None:
        self._icon, self._word = icon, word
        self.updateGeometry()
        self.update()

    def _color(self, tokens: Tokens) -> QColor:
        raise NotImplementedError

    def sizeHint(self) -> QSize:
        metrics = QFontMetrics(self._font())
        return QSize(metrics.horizontalAdvance(self._word) + 12 + 3 * GRID + 4, metrics.height() + GRID)

    def _font(self) -> QFont:
        font = QFont(self.font())
        font.setWeight(QFont.Weight.DemiBold)
        return font

    def paintEvent(self, event: QPaintEvent) -> None:
        tokens = tokens_for(self.palette())
        color = self._color(tokens)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(mix(color, tokens.card, 0.15))
        radius = self.height() / 2
        painter.drawRoundedRect(self.rect(), radius, radius)
        icons.paint(painter, QRect(GRID + 2, (self.height() - 12) // 2, 12, 12), self._icon, color)
        painter.setPen(color)
        painter.setFont(self._font())
        painter.drawText(self.rect().adjusted(GRID + 2 + 12 + 6, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, self._word)


class StatePill(_Pill):
    """The state of a VM, or that it is a template."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("state-pill", parent)
        self._state = VmState.UNKNOWN

    @property
    def state(self) -> VmState:
        return self._state

    def set_vm(self, vm: VmInfo) -> None:
        self._state = vm.state
        self.setAccessibleName(self.tr("State: {state}").format(state=vm_word(vm)))
        self._show(vm_icon_name(vm), vm_word(vm))

    def _color(self, tokens: Tokens) -> QColor:
        return tokens.state(self._state)


class DisposablePill(_Pill):
    """Says that nothing of this run is kept."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("disposable-pill", parent)
        self._show("disposable", self.tr("Disposable"))
        self.setAccessibleName(self.tr("Disposable run"))
        self.setToolTip(self.tr("Everything that is written in this run is thrown away when it is switched off"))

    def _color(self, tokens: Tokens) -> QColor:
        return tokens.warning


class VmHeader(QFrame):
    """Shows one VM; its buttons trigger the registry's actions, which apply to the selection."""

    def __init__(self, actions: ActionRegistry, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("vm-header")
        self.setProperty("page", True)
        self._actions = actions
        self._shown: tuple[str, ...] = ()
        self.name = ElidedLabel(self, mode=Qt.TextElideMode.ElideRight)
        self.name.setObjectName("vm-name")
        self.name.setProperty("role", "title")
        self.pill = StatePill(self)
        self.disposable = DisposablePill(self)
        self.disposable.hide()
        self.line = ElidedLabel(self, mode=Qt.TextElideMode.ElideRight)
        self.line.setObjectName("vm-line")
        self.line.setProperty("tone", "quiet")
        self.buttons = [self._make_button(number) for number in range(2)]
        self.more = QToolButton(self)
        self.more.setObjectName("header-more")
        self.more.setAccessibleName(self.tr("More actions"))
        self.more.setToolTip(self.tr("More actions"))
        self.more.setIcon(icons.icon("more"))
        self.more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(self.more)
        menu.setObjectName("header-menu")
        fill_menu(menu, actions, Group.MACHINE)
        self.more.setMenu(menu)

        words = QVBoxLayout()
        words.setSpacing(2)
        first = QHBoxLayout()
        first.setSpacing(GRID + 4)
        first.addWidget(self.name, 1)
        words.addLayout(first)
        second = QHBoxLayout()
        second.setSpacing(GRID + 2)
        second.addWidget(self.pill)
        second.addWidget(self.disposable)
        second.addWidget(self.line, 1)
        words.addLayout(second)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(3 * GRID, 2 * GRID, 2 * GRID, GRID)
        layout.setSpacing(GRID)
        layout.addLayout(words, 1)
        for button in self.buttons:
            layout.addWidget(button, 0, Qt.AlignmentFlag.AlignVCenter)
        layout.addWidget(self.more, 0, Qt.AlignmentFlag.AlignVCenter)
        for action_id in {name for names in _NOW.values() for name in names} | {"clone"}:
            actions.action(action_id).changed.connect(self._on_action_changed)

    def set_vm(self, vm: VmInfo, host_label: str) -> None:
        self.name.set_text(vm.name)
        self.pill.set_vm(vm)
        self.disposable.setVisible(vm.is_disposable)
        self.line.set_text(" · ".join(part for part in (_told(vm), host_label) if part))
        template = rests_as_template(vm)
        self._shown = ("start", "clone") if template else _NOW[vm.state]
        primary = "clone" if template else _PRIMARY.get(vm.state, "")
        for number, button in enumerate(self.buttons):
            action_id = self._shown[number] if number < len(self._shown) else ""
            button.setVisible(bool(action_id))
            button.setProperty("action", action_id)
            set_style_property(button, "kind", "primary" if action_id and action_id == primary else "")
        self._on_action_changed()

    @Slot()
    def _on_action_changed(self) -> None:
        for button in self.buttons:
            action_id = str(button.property("action") or "")
            if not action_id:
                continue
            action = self._actions.action(action_id)
            primary = button.property("kind") == "primary"
            text = action.text().replace("&", "").replace("…", "")
            if button.accessibleName() != text:
                button.setText(f" {text}")  # the style leaves no room between icon and text
                button.setAccessibleName(text)
            icon_name = self._actions.icon_name(action_id)
            if button.property("icon-name") != f"{icon_name}/{primary}":
                button.setProperty("icon-name", f"{icon_name}/{primary}")
                button.setIcon(icons.icon(icon_name, icons.Tint.ON_ACCENT if primary else icons.Tint.TEXT))
            button.setToolTip(self._actions.tool_tip(action_id))
            button.setEnabled(action.isEnabled())

    @Slot()
    def _on_clicked(self) -> None:
        sender = self.sender()
        if isinstance(sender, QPushButton):
            self._actions.action(str(sender.property("action"))).trigger()

    def _make_button(self, number: int) -> QPushButton:
        button = QPushButton(self)
        button.setObjectName(f"header-action-{number}")
        button.hide()  # until there is a VM
        button.setIconSize(QSize(16, 16))
        button.setMinimumWidth(12 * GRID)
        button.clicked.connect(self._on_clicked)
        return button


def _told(vm: VmInfo) -> str:
    """What stands beside the state."""
    if vm.is_disposable:
        return " · ".join(part for part in (kind_sentence(vm), vm.title) if part)
    if rests_as_template(vm):
        return vm.title or kind_sentence(vm)
    if vm.title:
        return f"{vm.title} · {vm.reason}" if vm.reason else vm.title
    return state_sentence(vm) if vm.reason or vm.state is not VmState.RUNNING else ""
