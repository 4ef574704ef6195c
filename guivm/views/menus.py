"""Menus and tool bars made from the action registry."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from PySide6.QtCore import QCoreApplication, QSize, Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu, QMenuBar, QSizePolicy, QToolBar, QToolButton, QWidget

from guivm.views.actions import ActionRegistry, Group
from guivm.views.small import plain_tooltip

_TOOL_BAR = ("start", "pause", "shutdown", "save")


def fill_menu(menu: QMenu, actions: ActionRegistry, group: Group, *, leave_out: Iterable[str] = ()) -> None:
    """Add the group's actions in their order, separators between sections."""
    skipped = set(leave_out)
    section: int | None = None
    for spec in actions.in_group(group):
        if spec.id in skipped:
            continue
        if section is not None and spec.section != section:
            menu.addSeparator()
        section = spec.section
        menu.addAction(actions.action(spec.id))
    if group is Group.MACHINE and "detach-clone" not in skipped:
        menu.aboutToShow.connect(actions.menuShown)
    if any(spec.refusal for spec in actions.in_group(group)):
        menu.hovered.connect(partial(_explain, menu, actions))


def _explain(menu: QMenu, actions: ActionRegistry, action: QAction) -> None:
    """Under the pointer, why an entry is grey."""
    from PySide6.QtGui import QCursor
    from PySide6.QtWidgets import QToolTip

    refusal = actions.refusal(str(action.data())) if action.data() else ""
    if refusal:
        QToolTip.showText(QCursor.pos(), plain_tooltip(refusal), menu)
    else:
        QToolTip.hideText()


def fill_menu_bar(bar: QMenuBar, actions: ActionRegistry) -> dict[Group, QMenu]:
    menus: dict[Group, QMenu] = {}
    for group in Group:
        menu = QMenu(QCoreApplication.translate("Actions", group.value), bar)
        menu.setObjectName(f"menu-{group.name.lower()}")
        menu.setToolTipsVisible(False)
        fill_menu(menu, actions, group)
        bar.addMenu(menu)
        menus[group] = menu
    return menus


def make_tool_bar(actions: ActionRegistry, job_line: QWidget, window: QWidget) -> QToolBar:
    """The main window's; ``job_line`` gets the room between the machine's actions and the jobs."""
    bar = QToolBar(QCoreApplication.translate("MainWindow", "Tool Bar"), window)
    bar.setObjectName("tool-bar")
    bar.setMovable(False)
    bar.setFloatable(False)
    bar.setIconSize(QSize(18, 18))
    bar.setContextMenuPolicy(Qt.ContextMenuPolicy.PreventContextMenu)
    bar.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonIconOnly)
    bar.addAction(actions.action("new"))
    bar.addSeparator()
    for action_id in _TOOL_BAR:
        bar.addAction(actions.action(action_id))
    space = QWidget(bar)
    space.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
    bar.addWidget(space)
    line = bar.addWidget(job_line)
    line.setObjectName("job-line-action")
    bar.addAction(actions.action("jobs"))
    # Not for the separator: PySide looks through every class of widgets for one it does not know (10 ms).
    for action_id in ("new", *_TOOL_BAR, "jobs"):
        action = actions.action(action_id)
        button = bar.widgetForAction(action)
        button.setObjectName(f"tool-{action_id}")
        button.setAccessibleName(action.text().replace("&", "").rstrip("…"))
    new = bar.widgetForAction(actions.action("new"))
    if isinstance(new, QToolButton):
        new.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        words = QCoreApplication.translate("MainWindow", "New VM")
        new.setText(f" {words}")  # the style leaves no room between icon and text
    return bar
