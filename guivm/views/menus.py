"""Menus and tool bars made from the action registry."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QMenu, QMenuBar

from guivm.views.actions import ActionRegistry, Group


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
