"""Connect, confirm, about."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import shiboken6
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QLineEdit, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from guivm import __version__
from guivm.views.dialogs.about import AboutDialog
from guivm.views.dialogs.confirm import ConfirmDialog
from guivm.views.dialogs.connect_host import ConnectDialog, HostKind, ssh_uri


@pytest.fixture
def parent(qtbot: QtBot) -> Iterator[QWidget]:
    widget = QWidget()
    qtbot.addWidget(widget)
    yield widget
    widget.close()


@pytest.fixture
def connect(parent: QWidget) -> ConnectDialog:
    dialog = ConnectDialog(parent)
    dialog.open()
    return dialog


@pytest.mark.parametrize(
    ("kind", "uri", "label"),
    [
        (HostKind.SESSION, "qemu:///session", "This computer"),
        (HostKind.SYSTEM, "qemu:///system", "This computer (system)"),
    ],
)
def test_local_services(qtbot: QtBot, connect: ConnectDialog, kind: HostKind, uri: str, label: str) -> None:
    connect.set_kind(kind)
    assert connect.uri.text() == uri
    assert connect.uri.isReadOnly()
    with qtbot.waitSignal(connect.chosen) as chosen:
        connect.primary.click()
    assert chosen.args == [uri, label]
    qtbot.waitUntil(lambda: not shiboken6.isValid(connect))


def test_ssh_address_is_shown_as_it_grows(qtbot: QtBot, connect: ConnectDialog) -> None:
    connect.set_kind(HostKind.SSH)
    assert connect.host.isVisible()
    assert not connect.primary.isEnabled()
    assert connect.status.text == connect.reason
    assert connect.host_row.problem == ""
    connect.host.setText("server.example")
    assert connect.uri.text() == "qemu+ssh://server.example/system"
    connect.user.setText("root")
    connect.port.setValue(2222)
    assert connect.uri.text() == "qemu+ssh://root@server.example:2222/system"
    with qtbot.waitSignal(connect.chosen) as chosen:
        connect.primary.click()
    assert chosen.args == ["qemu+ssh://root@server.example:2222/system", "server.example"]


@pytest.mark.parametrize("host", ["-oProxyCommand=x", "a b", "server/path", "user@server", "a?b", "server:22", ""])
def test_bad_hosts_are_refused_beside_the_field(connect: ConnectDialog, host: str) -> None:
    connect.set_kind(HostKind.SSH)
    connect.host.setText("x")
    connect.host.setText(host)
    assert connect.host_row.problem
    assert not connect.primary.isEnabled()


@pytest.mark.parametrize("user", ["-l", "a b", "a:b"])
def test_bad_users_are_refused_beside_the_field(connect: ConnectDialog, user: str) -> None:
    connect.set_kind(HostKind.SSH)
    connect.host.setText("server.example")
    connect.user.setText(user)
    assert connect.user_row.problem
    assert not connect.primary.isEnabled()


def test_addresses_are_bracketed_and_names_escaped() -> None:
    assert ssh_uri("2001:db8::1") == "qemu+ssh://[2001:db8::1]/system"
    assert ssh_uri("h", "me@corp") == "qemu+ssh://me%40corp@h/system"


def test_other_uris(qtbot: QtBot, connect: ConnectDialog) -> None:
    connect.set_kind(HostKind.OTHER)
    assert not connect.uri.isReadOnly()
    connect.uri.clear()
    QTest.keyClicks(connect.uri, "nonsense")
    assert connect.uri_row.problem
    assert not connect.primary.isEnabled()
    connect.uri.clear()
    QTest.keyClicks(connect.uri, "qemu+ssh://h/system?command=/tmp/x")
    assert "program" in connect.uri_row.problem
    assert connect.primary.isEnabled()
    connect.uri.clear()
    QTest.keyClicks(connect.uri, "test:///default")
    assert connect.uri_row.problem == ""
    with qtbot.waitSignal(connect.chosen) as chosen:
        connect.primary.click()
    assert chosen.args == ["test:///default", "test:///default"]


def test_connect_widgets_are_named(connect: ConnectDialog) -> None:
    nameless = [
        widget
        for widget in connect.findChildren(QWidget)
        if isinstance(widget, QAbstractButton | QLineEdit)
        and not widget.objectName().startswith("qt_")
        and widget.focusPolicy() != Qt.FocusPolicy.NoFocus
        and not (widget.objectName() and widget.accessibleName())
    ]
    assert nameless == []


def test_confirm_says_the_verb_and_accepts(qtbot: QtBot, parent: QWidget) -> None:
    dialog = ConfirmDialog("Force off “<b>x</b>”?", "Unsaved work is lost.", "Force Off", parent)
    dialog.open()
    assert dialog.primary.text() == "Force Off"
    assert dialog.heading.textFormat() is Qt.TextFormat.PlainText
    with qtbot.waitSignal(dialog.accepted):
        QTest.mouseClick(dialog.primary, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not shiboken6.isValid(dialog))


@pytest.mark.parametrize("key", [Qt.Key.Key_Escape, Qt.Key.Key_Return])
def test_confirm_destroys_nothing_by_enter_or_escape(qtbot: QtBot, parent: QWidget, key: Qt.Key) -> None:
    dialog = ConfirmDialog("Reset?", "Unsaved work is lost.", "Reset", parent)
    dialog.open()
    accepted: list[bool] = []
    dialog.accepted.connect(lambda: accepted.append(True))
    with qtbot.waitSignal(dialog.rejected):
        QTest.keyClick(dialog.cancel, key)
    assert accepted == []


def test_harmless_question_takes_enter(qtbot: QtBot, parent: QWidget) -> None:
    dialog = ConfirmDialog("Go on?", "Nothing is lost.", "Go On", parent, destructive=False)
    dialog.open()
    with qtbot.waitSignal(dialog.accepted):
        QTest.keyClick(dialog, Qt.Key.Key_Return)


def test_about_has_versions_to_copy(qtbot: QtBot, parent: QWidget) -> None:
    dialog = AboutDialog(parent)
    dialog.open()
    assert f"guivm {__version__}" in dialog.libraries.toPlainText()
    assert "PySide6-Essentials" in dialog.libraries.toPlainText()
    copy = dialog.findChild(QPushButton, "copy-versions")
    assert copy is not None
    copy.click()
    assert QGuiApplication.clipboard().text() == dialog.libraries.toPlainText()
