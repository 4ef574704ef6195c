"""What a person does in the settings window, for its tests."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtTest import QTest
from PySide6.QtWidgets import QDialog, QLineEdit, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from guivm.engine.options.values import Place
from guivm.views.vm_settings.dialog import SettingsDialog
from guivm.views.vm_settings.draft import Draft

Open = Callable[..., SettingsDialog]
"""``open_settings(state, place=…, live=…)``: answers the window once it shows the VM."""


def draft_of(window: SettingsDialog) -> Draft:
    assert window.draft is not None
    return window.draft


def child(window: QWidget, name: str) -> QWidget:
    found = window.findChildren(QWidget, name)
    assert found, name
    return next((widget for widget in found if widget.isVisible()), found[0])


def click(window: QWidget, name: str) -> None:
    button = child(window, name)
    assert isinstance(button, QPushButton)
    assert button.isEnabled(), name
    button.click()


def question(qtbot: QtBot, window: QWidget, name: str = "confirm") -> QDialog:
    qtbot.waitUntil(lambda: window.findChild(QDialog, name) is not None)
    found = window.findChild(QDialog, name)
    assert isinstance(found, QDialog)
    return found


def set_title(window: SettingsDialog, text: str) -> None:
    window.show_place(Place("system", "", "title"))
    field = child(window, "option-title")
    assert isinstance(field, QLineEdit)
    field.selectAll()
    QTest.keyClicks(field, text)


def titles(window: SettingsDialog) -> list[str]:
    model = window.frame.list.model()
    return [str(model.index(row, 0).data()) for row in range(model.rowCount())]
