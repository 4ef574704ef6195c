"""The bar at the upper edge of a console in full screen. It hides, and comes when the pointer touches the edge."""

from __future__ import annotations

from PySide6.QtCore import QEasingCurve, QEvent, QObject, QPoint, QPropertyAnimation, QSize, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QEnterEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QMenu, QToolButton, QWidget

from guivm.views import icons
from guivm.views.actions import ActionRegistry
from guivm.views.art import plain_label
from guivm.views.small import set_style_property
from guivm.views.theme import GRID

_HIDE_MS = 2_500
_LEAVE_MS = 700
_SLIDE_MS = 140
_EDGE = 3  # what stays in reach of the pointer while the bar is hidden, logical pixels


class FullScreenBar(QFrame):
    """Lies over the middle of its parent's upper edge. GUI thread.

    While it is hidden a thin edge of it stays, nearly invisible, that notices the pointer. With the pointer caught by
    a guest with a relative mouse it cannot be reached: the Host key gives the pointer back first, and the bar says so.
    """

    actionRequested = Signal(str)  # id of an action
    due = Signal()  # it would hide now if nothing kept it

    def __init__(self, actions: ActionRegistry, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("full-screen-bar")
        self.setProperty("bar", True)
        self.setAccessibleName(self.tr("Full screen bar"))
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._actions = actions
        self._shown = True
        self._menus: tuple[QMenu, ...] = ()
        self.pin = self._button("pin", self.tr("Keep this bar in sight"), "pin")
        self.pin.setCheckable(True)
        self.pin.toggled.connect(self._on_pinned)
        self.name = plain_label("", self, name="full-screen-name", role="strong")
        self.hint = plain_label("", self, name="full-screen-hint", role="caption")
        self.send_keys = self._button("send-keys", self.tr("Send keys"), "keyboard")
        self.send_keys.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.monitors = self._button("monitors", self.tr("Choose the screen"), "display")
        self.monitors.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.monitors.hide()
        layout = QHBoxLayout(self)
        layout.setContentsMargins(GRID, GRID // 2, GRID, GRID // 2)
        layout.setSpacing(GRID // 2)
        layout.addWidget(self.pin)
        layout.addWidget(self.name)
        layout.addSpacing(GRID)
        layout.addWidget(self.hint)
        layout.addSpacing(GRID)
        layout.addWidget(self.send_keys)
        layout.addWidget(self._action_button("screenshot"))
        self.view_only = self._action_button("view-only")
        self.view_only.setCheckable(True)
        layout.addWidget(self.view_only)
        layout.addWidget(self.monitors)
        minimise = self._button("minimise", self.tr("Minimise"), "minimise")
        minimise.clicked.connect(self._on_minimise)
        layout.addWidget(minimise)
        leave = self._action_button("fullscreen")
        leave.setIcon(icons.icon("leave-fullscreen"))
        leave.setAccessibleName(self.tr("Leave full screen"))
        leave.setToolTip(self.tr("Leave full screen"))
        layout.addWidget(leave)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._slide_out)
        self._slide = QPropertyAnimation(self, b"pos", self)
        self._slide.setDuration(_SLIDE_MS)
        self._slide.setEasingCurve(QEasingCurve.Type.OutCubic)
        self.hide()

    # --- contents -------------------------------------------------------------------------------------

    def set_menus(self, send_keys: QMenu, monitors: QMenu | None) -> None:
        """``monitors``: None where there is only one screen to be on."""
        self._menus = (send_keys,) if monitors is None else (send_keys, monitors)
        self.send_keys.setMenu(send_keys)
        self.monitors.setVisible(monitors is not None)
        if monitors is not None:
            self.monitors.setMenu(monitors)

    def set_words(self, name: str, host_key: str) -> None:
        """``name``: of the VM; ``host_key``: label of the Host key."""
        self.name.setText(name)
        self.hint.setText(self.tr("{key} releases, {key}+F leaves full screen").format(key=host_key))
        self._place()

    @Slot(bool)
    def set_captured(self, captured: bool) -> None:
        """The guest has keyboard and mouse: the edge that stays in sight says so."""
        set_style_property(self, "captured", captured)

    def set_view_only(self, on: bool) -> None:
        self.view_only.setChecked(on)

    # --- coming and going -----------------------------------------------------------------------------

    @property
    def is_out(self) -> bool:
        """Whether the whole bar is in sight (or on its way)."""
        return self._shown

    def start(self) -> None:
        """Full screen begins: the bar is shown for a moment."""
        parent = self.parentWidget()
        if parent is not None:
            parent.installEventFilter(self)
        self.show()
        self.raise_()
        self._slide_in(at_once=True)
        self._timer.start(_HIDE_MS)

    def stop(self) -> None:
        """Full screen ends."""
        parent = self.parentWidget()
        if parent is not None:
            parent.removeEventFilter(self)
        self._timer.stop()
        self._slide.stop()
        self.hide()

    def enterEvent(self, event: QEnterEvent) -> None:
        self._timer.stop()
        self._slide_in()
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        self._timer.start(_LEAVE_MS)
        super().leaveEvent(event)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize:
            self._place()
        return super().eventFilter(watched, event)

    def _slide_in(self, *, at_once: bool = False) -> None:
        self._shown = True
        self._move(at_once=at_once)

    @Slot()
    def _slide_out(self) -> None:
        self.due.emit()
        if self.pin.isChecked() or self._menu_is_open():
            return
        self._shown = False
        self._move(at_once=False)

    def _menu_is_open(self) -> bool:
        return any(menu.isVisible() for menu in self._menus)

    def _place(self) -> None:
        self.adjustSize()
        self._move(at_once=True)

    def _target(self) -> QPoint:
        parent = self.parentWidget()
        width = parent.width() if parent is not None else self.width()
        return QPoint(max(0, (width - self.width()) // 2), 0 if self._shown else _EDGE - self.height())

    def _move(self, *, at_once: bool) -> None:
        self._slide.stop()
        if at_once:
            self.move(self._target())
            return
        self._slide.setStartValue(self.pos())
        self._slide.setEndValue(self._target())
        self._slide.start()

    @Slot(bool)
    def _on_pinned(self, pinned: bool) -> None:
        if not pinned:
            self._timer.start(_LEAVE_MS)

    @Slot()
    def _on_minimise(self) -> None:
        self.window().showMinimized()

    # --- parts ----------------------------------------------------------------------------------------

    def _button(self, name: str, text: str, icon: str) -> QToolButton:
        button = QToolButton(self)
        button.setObjectName(f"full-screen-{name}")
        button.setAccessibleName(text)
        button.setToolTip(text)
        button.setIcon(icons.icon(icon))
        button.setIconSize(QSize(16, 16))
        # The guest keeps the keyboard: what is clicked here must not take it away.
        button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        return button

    def _action_button(self, action_id: str) -> QToolButton:
        spec = self._actions.spec(action_id)
        button = self._button(action_id, self._actions.tool_tip(action_id), spec.icon)
        button.setProperty("action-id", action_id)
        button.clicked.connect(self._on_clicked)
        return button

    @Slot()
    def _on_clicked(self) -> None:
        sender = self.sender()
        if isinstance(sender, QToolButton):
            self.actionRequested.emit(str(sender.property("action-id")))
