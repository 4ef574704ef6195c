"""The main window against the fake engine: names, menus and colours."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtGui import QAction, QPalette
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QApplication,
    QComboBox,
    QHeaderView,
    QLineEdit,
    QMenu,
    QPlainTextEdit,
    QScrollBar,
    QTabBar,
    QWidget,
)
from pytestqt.qtbot import QtBot

from guivm.engine.types import VmKey, VmState
from guivm.errors import OperationError
from guivm.views import theme
from guivm.views.bridge import Bridge
from guivm.views.main_window import MainWindow
from guivm.views.settings import (
    COLOR_SCHEME,
    ColorScheme,
    Settings,
)
from tests.helpers.fake_engine import FakeEngine
from tests.helpers.main_window import Make, four_vms, main_windows


@pytest.fixture
def make(qtbot: QtBot, bridge: Bridge, settings: Settings) -> Iterator[Make]:
    with main_windows(qtbot, bridge, settings) as build:
        yield build


@pytest.fixture
def keys(fake_engine: FakeEngine) -> dict[str, VmKey]:
    return four_vms(fake_engine)


@pytest.fixture
def window(make: Make, keys: dict[str, VmKey]) -> MainWindow:
    return make()


INTERACTIVE = (QAbstractButton, QLineEdit, QPlainTextEdit, QComboBox, QAbstractItemView, QTabBar)


def unnamed(root: QWidget) -> list[str]:
    problems: list[str] = []
    for widget in root.findChildren(QWidget):
        if not isinstance(widget, INTERACTIVE) or isinstance(widget, QHeaderView):
            continue
        if widget.parent() is not None and isinstance(widget.parent(), QScrollBar | QTabBar | QHeaderView):
            continue
        if widget.objectName().startswith("qt_") or isinstance(widget.parent(), QLineEdit | QMenu):
            continue  # parts of Qt's own widgets
        if widget.isHidden() and widget.objectName().startswith("header-action"):
            continue  # named when it gets an action
        if not widget.objectName() or not (widget.accessibleName() or widget.property("text")):
            problems.append(f"{type(widget).__name__} {widget.objectName()!r} in {type(widget.parent()).__name__}")
    return problems


def test_every_interactive_widget_has_a_name(qtbot: QtBot, window: MainWindow, keys: dict[str, VmKey]) -> None:
    window.select_vm(keys["win11"])
    window.show_page("console")
    window.messages.show_error(OperationError("x", details="y"))
    window.messages.show_info("x", [("Undo", window.update)])
    window.registry.action("jobs").trigger()
    window.registry.action("detach-console").trigger()
    own = window.consoles.window(keys["win11"])
    assert own is not None
    assert unnamed(window) == []
    assert unnamed(own) == []


def test_menus_hold_every_action_once(window: MainWindow) -> None:
    found: list[str] = []
    for menu_action in window.menuBar().actions():
        menu = menu_action.menu()
        assert isinstance(menu, QMenu)
        found += [str(action.data()) for action in menu.actions() if not action.isSeparator()]
    assert found == [
        spec.id for group in type(window.registry.specs()[0].group) for spec in window.registry.in_group(group)
    ]


@pytest.mark.qt_log_ignore("This plugin does not support")
def test_context_menu_is_the_machine_menu(window: MainWindow, keys: dict[str, VmKey]) -> None:
    window.select_vm(keys["debian"])
    window.list.view.customContextMenuRequested.emit(
        window.list.view.visualRect(window.list.filter.index_of(keys["debian"])).center()
    )
    menu = window.findChild(QMenu, "vm-context-menu")
    assert menu is not None
    actions: list[QAction] = [action for action in menu.actions() if not action.isSeparator()]
    assert [action.data() for action in actions][:2] == ["start", "pause"]
    menu.close()


@pytest.mark.parametrize("dark", [False, True])
def test_colours_read_well(window: MainWindow, settings: Settings, dark: bool) -> None:
    settings.set(COLOR_SCHEME, (ColorScheme.DARK if dark else ColorScheme.LIGHT).value)
    palette = QApplication.palette()
    assert (palette.color(QPalette.ColorRole.Window).lightness() < 128) is dark
    tokens = theme.tokens_for(palette)
    grounds = (tokens.card, tokens.surface, tokens.window)
    inks = (tokens.text, tokens.quiet, tokens.error, tokens.warning, tokens.success, tokens.link)
    for ink in (*inks, *(tokens.state(state) for state in VmState)):
        for ground in grounds:
            assert theme.contrast(ink, ground) >= 4.5, (ink.name(), ground.name())
    assert theme.contrast(tokens.on_accent, tokens.accent) >= 4.5
    assert theme.contrast(tokens.text, tokens.selection) >= 4.5
