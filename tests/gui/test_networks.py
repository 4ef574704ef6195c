"""The window of virtual networks, and the form of one."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QComboBox, QLineEdit, QTableWidget, QWidget
from pytestqt.qtbot import QtBot

from guivm.engine import requests as rq
from guivm.engine.networks.values import FixedAddress, Lease, NetworkField, NetworkMode, NetworkSpec, NetworkUser
from guivm.engine.types import HostId
from guivm.errors import OperationError
from guivm.views.bridge import Bridge
from guivm.views.dialogs.confirm import ConfirmDialog
from guivm.views.dialogs.network_edit import NetworkDialog
from guivm.views.dialogs.networks import NetworksDialog, networks_window
from guivm.views.vm_settings.help_page import HelpWindow
from tests.helpers.fake_engine import LOCAL, FakeEngine

DEFAULT = NetworkSpec("default", NetworkMode.NAT, "192.168.122.1/24", "192.168.122.2 – 192.168.122.254")
LAB = NetworkSpec("lab", NetworkMode.ISOLATED, "10.0.77.1/24", autostart=False)
DEBIAN = NetworkUser("Debian", "1", True)
LEASE = Lease("52:54:00:12:34:56", "192.168.122.57/24", "debian", "Debian", 0)


@pytest.fixture
def parent(qtbot: QtBot) -> Iterator[QWidget]:
    widget = QWidget()
    qtbot.addWidget(widget)
    yield widget
    widget.close()


def show(qtbot: QtBot, bridge: Bridge, parent: QWidget) -> NetworksDialog:
    dialog = NetworksDialog(bridge, None, parent)
    dialog.show()
    qtbot.waitUntil(lambda: bool(bridge.engine.requests_of(rq.ListNetworks)))  # type: ignore[attr-defined]
    return dialog


def rows(dialog: NetworksDialog) -> list[str]:
    return [dialog.list.item(row).text().partition("\n")[0] for row in range(dialog.list.count())]


def text_of(table: QTableWidget, column: int) -> str:
    item = table.item(0, column)
    return item.text() if item is not None else ""


def strip_says(dialog: NetworksDialog, words: str) -> bool:
    return (str(dialog.strip.error) if dialog.strip.error else "") == words


def test_a_host_without_networks_is_told_what_to_do(qtbot: QtBot, bridge: Bridge, parent: QWidget) -> None:
    dialog = show(qtbot, bridge, parent)
    qtbot.waitUntil(dialog.empty.isVisible)
    assert "New Network" in dialog.empty.text.text()
    assert dialog.new.isEnabled()
    assert not dialog.connect_button.isVisible()


def test_a_session_says_why_there_are_none(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, parent: QWidget
) -> None:
    fake_engine.networks.refusal = "Virtual networks need an administrator's rights."
    dialog = show(qtbot, bridge, parent)
    qtbot.waitUntil(lambda: dialog.empty.text.text() == fake_engine.networks.refusal)
    assert not dialog.new.isEnabled()
    with qtbot.waitSignal(dialog.connectRequested):
        dialog.connect_button.click()


def test_the_network_that_is_selected_is_shown(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, parent: QWidget
) -> None:
    fake_engine.networks.add(DEFAULT, users=(DEBIAN,), leases=(LEASE,))
    fake_engine.networks.add(LAB, active=False)
    dialog = show(qtbot, bridge, parent)
    qtbot.waitUntil(lambda: rows(dialog) == ["default", "lab"])
    page = dialog.page
    qtbot.waitUntil(lambda: page.leases.rowCount() == 1)
    assert [text_of(page.leases, column) for column in range(4)] == [
        "Debian (debian)", "52:54:00:12:34:56", "192.168.122.57/24", "for ever",
    ]  # fmt: skip
    assert page.heading.text() == "default"
    assert page.heading.textFormat() is Qt.TextFormat.PlainText
    assert not page.delete.isEnabled()
    assert page.delete.accessibleDescription()
    dialog.list.setCurrentRow(1)
    qtbot.waitUntil(lambda: page.heading.text() == "lab")
    assert page.leases.rowCount() == 0
    assert "off" in page.leases_note.text
    assert page.delete.isEnabled()
    assert not page.autostart.isChecked()


def test_start_stop_and_autostart_follow_the_host(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, parent: QWidget
) -> None:
    uuid = fake_engine.networks.add(LAB, active=False)
    dialog = show(qtbot, bridge, parent)
    page = dialog.page
    qtbot.waitUntil(lambda: page.heading.text() == "lab")
    page.switch.click()
    qtbot.waitUntil(lambda: page.state.text() == "Active")
    assert fake_engine.requests_of(rq.StartNetwork) == [rq.StartNetwork(LOCAL, uuid, "lab")]
    page.autostart.click()
    qtbot.waitUntil(lambda: bool(fake_engine.requests_of(rq.SetNetworkAutostart)))
    qtbot.waitUntil(lambda: fake_engine.networks.networks[uuid].autostart and page.autostart.isChecked())
    page.switch.click()
    qtbot.waitUntil(lambda: page.state.text() == "Inactive")


def test_stopping_a_network_in_use_asks_first(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, parent: QWidget
) -> None:
    fake_engine.networks.add(DEFAULT, users=(DEBIAN,))
    dialog = show(qtbot, bridge, parent)
    qtbot.waitUntil(lambda: dialog.page.heading.text() == "default")
    dialog.page.switch.click()
    question = dialog.findChild(ConfirmDialog)
    assert isinstance(question, ConfirmDialog)
    assert "Debian" in question.text.text()
    assert fake_engine.requests_of(rq.StopNetwork) == []
    question.primary.click()
    qtbot.waitUntil(lambda: bool(fake_engine.requests_of(rq.StopNetwork)))


def test_a_network_is_deleted_after_a_question_and_a_failure_is_shown(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, parent: QWidget
) -> None:
    fake_engine.networks.add(LAB)
    dialog = show(qtbot, bridge, parent)
    qtbot.waitUntil(lambda: dialog.page.heading.text() == "lab")
    fake_engine.fail_next(rq.DeleteNetwork, OperationError("It would not go."))
    for expected in ("It would not go.", ""):
        dialog.page.delete.click()
        dialog.findChildren(ConfirmDialog)[-1].primary.click()
        qtbot.waitUntil(partial(strip_says, dialog, expected))
    qtbot.waitUntil(lambda: rows(dialog) == [])


def test_changes_made_elsewhere_show_by_themselves(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, parent: QWidget
) -> None:
    from guivm.engine.events import NetworksChanged

    dialog = show(qtbot, bridge, parent)
    fake_engine.networks.add(LAB)
    fake_engine.emit(NetworksChanged(HostId("test:///other")))
    fake_engine.emit(NetworksChanged(LOCAL))
    qtbot.waitUntil(lambda: rows(dialog) == ["lab"])


# --- the form ---------------------------------------------------------------------------------------------


@pytest.fixture
def form(qtbot: QtBot, bridge: Bridge, parent: QWidget) -> NetworkDialog:
    dialog = NetworkDialog(bridge, LOCAL, None, parent)
    dialog.open()
    qtbot.waitUntil(lambda: dialog.page.name.text() == "network-1")
    return dialog


def test_a_new_network_is_proposed_and_made(qtbot: QtBot, form: NetworkDialog, fake_engine: FakeEngine) -> None:
    form.page.name.setText("mine")
    with qtbot.waitSignal(form.created):
        form.primary.click()
    (request,) = fake_engine.requests_of(rq.CreateNetwork)
    assert (request.spec.name, request.spec.mode, request.spec.ipv4) == ("mine", NetworkMode.NAT, "192.168.100.0/24")
    assert request.spec.dhcp4 == "192.168.100.2 – 192.168.100.254"


def test_the_addresses_follow_the_range_until_they_are_chosen(qtbot: QtBot, form: NetworkDialog) -> None:
    form.page.ipv4.setText("10.5.0.0/24")
    assert form.page.dhcp.text() == "10.5.0.2 – 10.5.0.254"
    form.page.dhcp.setText("10.5.0.9 – 10.5.0.10")
    form.page.ipv4.setText("10.6.0.0/24")
    assert form.page.dhcp.text() == "10.5.0.9 – 10.5.0.10"
    qtbot.waitUntil(lambda: bool(form.page.rows[NetworkField.DHCP4].problem))
    assert not form.primary.isEnabled()


def test_problems_stand_beside_their_fields(qtbot: QtBot, form: NetworkDialog, fake_engine: FakeEngine) -> None:
    fake_engine.networks.add(DEFAULT)
    form.page.ipv4.setText("192.168.122.0/25")
    form.page.bridge.setText("averylongbridgename")
    form.page.name.setText("default")
    rows = form.page.rows
    qtbot.waitUntil(lambda: bool(rows[NetworkField.NAME].problem))
    assert "default" in rows[NetworkField.IPV4].problem
    assert "15" in rows[NetworkField.BRIDGE].problem
    assert form.page.bridge.isVisible(), "More opens where a problem is"
    assert form.reason
    form.submit()
    assert fake_engine.requests_of(rq.CreateNetwork) == []


def test_an_edit_sends_only_what_was_read_and_what_is_wanted(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, parent: QWidget
) -> None:
    uuid = fake_engine.networks.add(DEFAULT)
    details = fake_engine.submit(rq.ReadNetwork(LOCAL, uuid, "default")).result(5)
    dialog = NetworkDialog(bridge, LOCAL, details, parent)
    dialog.open()
    assert dialog.page.name.isReadOnly()
    assert dialog.page.spec() == details.spec
    dialog.page.more.click()
    dialog.page.fixed.add.click()
    for column, text in enumerate(("52:54:00:00:00:01", "web", "192.168.122.9")):
        item = dialog.page.fixed.table.item(0, column)
        assert item is not None
        item.setText(text)
    dialog.page.domain.setText("lab.example")
    with qtbot.waitSignal(dialog.updated) as updated:
        dialog.primary.click()
    (request,) = fake_engine.requests_of(rq.UpdateNetwork)
    assert request.base == details.xml
    assert request.spec.fixed == (FixedAddress("52:54:00:00:00:01", "web", "192.168.122.9"),)
    assert updated.args is not None
    assert updated.args[0].live == (NetworkField.FIXED,)
    assert updated.args[0].waits == (NetworkField.DOMAIN,)


def test_another_tools_network_keeps_its_mode(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, parent: QWidget
) -> None:
    uuid = fake_engine.networks.add(NetworkSpec("bridged", NetworkMode.ROUTED))
    network = fake_engine.networks.networks[uuid]
    network.xml = network.running = network.xml.replace("route", "bridge").replace(' stp="on" delay="0"', "")
    details = fake_engine.submit(rq.ReadNetwork(LOCAL, uuid, "bridged")).result(5)
    dialog = NetworkDialog(bridge, LOCAL, details, parent)
    dialog.open()
    assert not dialog.page.mode.isEnabled()
    assert dialog.page.spec().mode is NetworkMode.OTHER


@pytest.mark.parametrize("kind", [NetworksDialog, NetworkDialog])
def test_widgets_are_named(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, parent: QWidget, kind: type[QWidget]
) -> None:
    fake_engine.networks.add(DEFAULT)
    dialog = (NetworksDialog if kind is NetworksDialog else NetworkDialog)(bridge, LOCAL, parent=parent)
    dialog.show()
    nameless = [
        widget
        for widget in dialog.findChildren(QWidget)
        if isinstance(widget, QAbstractButton | QLineEdit | QComboBox)
        and not widget.objectName().startswith("qt_")
        and widget.focusPolicy() != Qt.FocusPolicy.NoFocus
        and not (widget.objectName() and widget.accessibleName())
    ]
    assert nameless == []


# --- the window for the rest of the application -----------------------------------------------------------


@pytest.mark.qt_log_ignore("This plugin does not support")  # to raise a window
def test_a_host_has_one_window_and_asked_again_it_comes_to_the_front(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, parent: QWidget
) -> None:
    other = fake_engine.open_host("test:///other")
    first = networks_window(bridge, LOCAL, parent)
    inner = QWidget(parent, Qt.WindowType.Window)  # as the settings of a VM are
    assert networks_window(bridge, LOCAL, inner) is first
    assert networks_window(bridge, None, inner) is first
    second = networks_window(bridge, other, parent)
    assert (first.host, second.host) == (LOCAL, other)
    assert len(parent.findChildren(NetworksDialog)) == 2
    first.close()
    third = networks_window(bridge, LOCAL, parent)
    assert third is not first
    assert third.isVisible()


def test_the_button_to_connect_is_there_where_somebody_can(
    qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, parent: QWidget
) -> None:
    fake_engine.networks.refusal = "Virtual networks need an administrator's rights."
    asked: list[str] = []
    dialog = show(qtbot, bridge, parent)
    qtbot.waitUntil(lambda: dialog.empty.text.text() == fake_engine.networks.refusal)
    assert not dialog.connect_button.isVisible()
    for _ in range(2):
        dialog.offer_connecting(partial(asked.append, "connect"))
    assert dialog.connect_button.isVisible()
    dialog.connect_button.click()
    assert asked == ["connect"]


def test_networks_are_explained(qtbot: QtBot, bridge: Bridge, parent: QWidget) -> None:
    dialog = show(qtbot, bridge, parent)
    dialog.activateWindow()
    qtbot.waitUntil(dialog.isActiveWindow)
    QTest.keyClick(dialog, Qt.Key.Key_F1)
    window = dialog.findChild(HelpWindow)
    assert isinstance(window, HelpWindow)
    assert window.windowTitle() == "Virtual networks"
    for heading in ("Modes", "Addresses", "What can go wrong"):
        assert window.browser.show_heading(heading)
    dialog.help.click()
    assert dialog.findChildren(HelpWindow) == [window]
