"""What a card is connected to, its port forwards, where a display listens, and devices of the host."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLineEdit, QWidget
from pytestqt.qtbot import QtBot

from guivm.engine.options.listening import get_listen
from guivm.engine.options.nic_modes import get_mode
from guivm.engine.options.port_forwards import PortForward, read_forwards
from guivm.views.vm_settings.draft import Draft
from guivm.views.vm_settings.host_devices import PciDeviceEditor, UsbDeviceEditor
from guivm.views.vm_settings.listen import ListenEditor
from guivm.views.vm_settings.nic_mode import NicModeEditor
from guivm.views.vm_settings.port_forwards import PortForwardsEditor
from guivm.views.vm_settings.registry import CustomEditor
from tests.helpers.editors_stage import MACHINE, host, make_draft, make_form, problem


@pytest.fixture
def stage(qtbot: QtBot) -> QWidget:
    widget = QWidget()
    widget.resize(800, 800)
    qtbot.addWidget(widget)
    return widget


def editor(stage: QWidget, draft: Draft, resource: str, option: str) -> CustomEditor:
    form = make_form(draft, resource, stage)
    stage.show()
    row = form.row(option)
    assert row is not None
    found = row.editor
    assert isinstance(found, CustomEditor)
    return found


# --- connection -------------------------------------------------------------------------------------------


def mode_of(stage: QWidget, draft: Draft) -> NicModeEditor:
    found = editor(stage, draft, "nic", "mode")
    assert isinstance(found, NicModeEditor)
    return found


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("network", "network:default"),
        ("bridge", "bridge:br0"),
        ("direct", "direct:enp3s0:bridge"),
        ("none", "none"),
    ],
)
def test_each_kind_begins_with_the_first_that_can_be_had(stage: QWidget, kind: str, expected: str) -> None:
    draft = make_draft()
    mode = mode_of(stage, draft)
    assert mode.cards.current == "user"
    mode.cards.button(kind).click()
    assert get_mode(draft.domain.devices.interfaces[0]) == expected
    assert mode.cards.current == kind
    mode.cards.button("user").click()
    assert not draft.changes()


def test_another_network_and_another_macvtap_mode(stage: QWidget) -> None:
    draft = make_draft()
    mode = mode_of(stage, draft)
    mode.cards.button("network").click()
    mode.boxes["network"].picked.emit("network:lab")
    assert get_mode(draft.domain.devices.interfaces[0]) == "network:lab"
    mode.cards.button("direct").click()
    mode.direct_mode.picked.emit("private")
    assert get_mode(draft.domain.devices.interfaces[0]) == "direct:enp3s0:private"
    assert [item.label for item in mode.boxes["direct"].items] == ["Macvtap on enp3s0", "Macvtap on wlan0"]
    assert mode.boxes["direct"].items[1].refusal


def test_what_cannot_be_had_is_greyed_with_the_reason_in_sight(stage: QWidget) -> None:
    mode = mode_of(stage, make_draft(known=host(is_session=True)))
    for kind in ("bridge", "direct", "hostdev"):
        button = mode.cards.button(kind)
        assert not button.isEnabled()
        assert "ordinary user" in button.accessibleDescription()
    assert mode.cards.button("user").isEnabled()


def test_a_kind_that_only_the_xml_knows_is_shown_and_left_alone(stage: QWidget) -> None:
    xml = MACHINE.replace(
        "<interface type='user'>", "<interface type='vhostuser'><source type='unix' path='/s' mode='client'/>"
    )
    draft = make_draft(xml)
    assert mode_of(stage, draft).cards.current == "other"
    assert not draft.is_changed


# --- port forwards ----------------------------------------------------------------------------------------


def forwards_of(stage: QWidget, draft: Draft) -> PortForwardsEditor:
    found = editor(stage, draft, "nic", "port-forwards")
    assert isinstance(found, PortForwardsEditor)
    return found


def test_a_forward_is_added_typed_and_removed_by_keyboard(qtbot: QtBot, stage: QWidget) -> None:
    draft = make_draft()
    forwards = forwards_of(stage, draft)
    nic = draft.domain.devices.interfaces[0]
    QTest.keyClick(forwards.rows.add, Qt.Key.Key_Space)
    assert read_forwards(nic) == (PortForward("tcp", "127.0.0.1", 2222, 22),)
    cell = forwards.rows.table.findChild(QLineEdit, "cell")
    assert isinstance(cell, QLineEdit)
    cell.selectAll()
    QTest.keyClicks(cell, "8022")
    QTest.keyClick(cell, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: read_forwards(nic) == (PortForward("tcp", "127.0.0.1", 8022, 22),))
    forwards.rows.table.setCurrentIndex(forwards.rows.model.index(0, 0))
    QTest.keyClick(forwards.rows.table, Qt.Key.Key_Delete)
    assert read_forwards(nic) == ()


def test_an_address_for_all_is_warned_of(stage: QWidget) -> None:
    draft = make_draft()
    forwards = forwards_of(stage, draft)
    forwards.rows.model.add(("tcp", "127.0.0.1", "2222", "22"))
    assert forwards.note.isHidden()
    for address in ("0.0.0.0", ""):
        forwards.rows.model.setData(forwards.rows.model.index(0, 1), address)
        assert read_forwards(draft.domain.devices.interfaces[0])[0].is_exposed
        assert "2222" in forwards.note.problem


def test_a_row_that_is_no_forward_stays_and_says_why(stage: QWidget) -> None:
    draft = make_draft()
    forwards = forwards_of(stage, draft)
    forwards.rows.model.add(("tcp", "127.0.0.1", "2222", "22"))
    forwards.rows.model.setData(forwards.rows.model.index(0, 2), "70000")
    assert "65535" in problem(draft, forwards.part, "port-forwards")
    assert forwards.rows.model.rows() == [("tcp", "127.0.0.1", "70000", "22")]
    forwards.rows.model.setData(forwards.rows.model.index(0, 2), "7000-7003")
    assert problem(draft, forwards.part, "port-forwards") == ""
    forwards.rows.model.add(("tcp", "127.0.0.1", "7001", "80"))
    assert "twice" in problem(draft, forwards.part, "port-forwards")


# --- display ----------------------------------------------------------------------------------------------


def listen_of(stage: QWidget, draft: Draft) -> ListenEditor:
    found = editor(stage, draft, "display", "listen")
    assert isinstance(found, ListenEditor)
    return found


def test_a_click_opens_nothing_to_others_and_an_address_does_with_a_warning(stage: QWidget) -> None:
    draft = make_draft()
    listen = listen_of(stage, draft)
    graphics = draft.domain.devices.graphics[0]
    assert listen.cards.current == "local"
    listen.cards.button("address").click()
    assert get_listen(graphics) == "address:127.0.0.1"
    assert listen.warning.isHidden()
    edit = listen.address.lineEdit()
    assert edit is not None
    edit.selectAll()
    QTest.keyClicks(edit, "0.0.0.0")
    assert get_listen(graphics) == "address:0.0.0.0"
    assert "password" in listen.warning.problem
    QTest.keyClicks(edit, "x")
    assert "IP address" in problem(draft, listen.part, "listen")
    listen.cards.button("none").click()
    assert (get_listen(graphics), problem(draft, listen.part, "listen")) == ("none", "")
    listen.cards.button("network").click()
    assert get_listen(graphics) == "network:default"


# --- devices of the host ----------------------------------------------------------------------------------


def test_a_usb_device_that_another_vm_has_cannot_be_chosen(stage: QWidget) -> None:
    draft = make_draft()
    usb = editor(stage, draft, "hostdev-usb", "device")
    assert isinstance(usb, UsbDeviceEditor)
    assert usb.tree.currentIndex().row() == 0
    assert not usb.model.item(2).isEnabled()
    assert "Windows 11" in usb.model.item(2).text()
    usb.tree.activated.emit(usb.model.index(1, 0))
    assert draft.domain.devices.host_devices[0].source.vendor_id == 0x0781


def test_pci_devices_stand_in_their_groups_and_the_rest_of_the_group_is_named(stage: QWidget) -> None:
    draft = make_draft()
    pci = editor(stage, draft, "hostdev-pci", "device")
    assert isinstance(pci, PciDeviceEditor)
    assert [pci.model.item(row).text() for row in range(pci.model.rowCount())] == ["IOMMU group 7", "IOMMU group 9"]
    assert "0000:01:00.1" in pci.words.text()
    assert "give up 0000:01:00.1 as well: add it" in pci.warning.problem
    alone = pci.model.index(0, 0, pci.model.index(1, 0))
    pci.tree.activated.emit(alone)
    assert draft.domain.devices.host_devices[1].source.address.pci == "0000:02:00.0"
