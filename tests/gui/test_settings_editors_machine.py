"""Processor, memory, firmware and timers: the widgets of single options."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QDialog, QWidget
from pytestqt.qtbot import QtBot

from guivm.engine import requests as rq
from guivm.engine.options.catalogue import RESOURCES
from guivm.engine.options.clock import get_timers
from guivm.engine.options.firmware import get_firmware
from guivm.engine.options.option import Custom
from guivm.engine.options.processors import get_features, get_numa, get_pinning, get_topology
from guivm.views.bridge import Bridge
from guivm.views.vm_settings.cpu_features import CpuFeaturesEditor
from guivm.views.vm_settings.cpu_pinning import CpuPinningEditor
from guivm.views.vm_settings.cpu_topology import CpuTopologyEditor
from guivm.views.vm_settings.draft import Draft
from guivm.views.vm_settings.firmware import FirmwareEditor
from guivm.views.vm_settings.memory_amount import MemoryAmountEditor
from guivm.views.vm_settings.numa import NumaEditor
from guivm.views.vm_settings.registry import CustomEditor, custom_editor
from guivm.views.vm_settings.services import EditorServices
from guivm.views.vm_settings.timers import TimersEditor
from tests.helpers.editors_stage import MACHINE, make_draft, make_form, part_of, problem
from tests.helpers.fake_engine import FakeEngine

CUSTOMS = sorted(
    {
        (resource.id, option.id)
        for resource in RESOURCES
        for option in resource.options
        if isinstance(option.editor, Custom)
    }
)


@pytest.fixture
def stage(qtbot: QtBot) -> QWidget:
    widget = QWidget()
    widget.resize(800, 800)
    qtbot.addWidget(widget)
    return widget


def editor(stage: QWidget, draft: Draft, resource: str, option: str) -> CustomEditor:
    form = make_form(draft, resource, stage, more=True)
    stage.show()
    row = form.row(option)
    assert row is not None
    found = row.editor
    assert isinstance(found, CustomEditor)
    return found


@pytest.mark.parametrize(("resource", "option"), CUSTOMS)
def test_every_option_with_a_widget_of_its_own_has_one_that_changes_nothing_by_itself(
    stage: QWidget, resource: str, option: str
) -> None:
    draft = make_draft()
    found = next((each for each in RESOURCES if each.id == resource), None)
    assert found is not None
    if not found.nodes(draft.domain):
        draft.add(found)
    before = draft.xml
    part = part_of(draft, resource)
    declared = next(each for each in found.options if each.id == option)
    assert isinstance(declared.editor, Custom)
    widget = custom_editor(declared.editor.name, draft, part, declared, stage)
    assert widget is not None
    widget.refresh()
    widget.refresh()
    assert draft.xml == before
    assert not draft.problems
    focus = widget.focusProxy() or widget
    assert focus.accessibleName()
    for child in widget.findChildren(QWidget):
        takes_focus = child.focusPolicy() != Qt.FocusPolicy.NoFocus and child.window() is stage
        if takes_focus and not child.objectName().startswith("qt_"):
            parent = child.parentWidget()
            named = child.accessibleName() or (parent is not None and parent.accessibleName())
            assert named, f"{type(child).__name__} {child.objectName()} has no accessible name"


# --- processor --------------------------------------------------------------------------------------------


def test_splits_that_fit_are_offered_and_own_numbers_set_the_count(stage: QWidget) -> None:
    draft = make_draft()
    topology = editor(stage, draft, "cpu", "topology")
    assert isinstance(topology, CpuTopologyEditor)
    assert [item.value for item in topology.box.items] == [None, "1x4x1", "2x2x1", "4x1x1", "1x2x2", "2x1x2", "own"]
    topology.box.picked.emit("1x4x1")
    assert get_topology(draft.domain) == "1x4x1"
    assert topology.numbers.isHidden()
    topology.box.picked.emit("own")
    topology.cores.setValue(3)
    assert (get_topology(draft.domain), draft.domain.vcpu.maximum) == ("1x3x1", 3)
    assert "3 CPUs" in topology.total.text()
    topology.box.picked.emit(None)
    assert get_topology(draft.domain) is None


def test_pins_by_mouse_keyboard_and_text(stage: QWidget) -> None:
    draft = make_draft()
    pinning = editor(stage, draft, "cpu", "pinning")
    assert isinstance(pinning, CpuPinningEditor)
    assert (pinning.model.rowCount(), pinning.model.columnCount()) == (4, 9)
    pinning.grid.setCurrentIndex(pinning.model.index(0, 3))
    QTest.keyClick(pinning.grid, Qt.Key.Key_Space)
    assert get_pinning(draft.domain) == "0:2"
    QTest.keyClick(pinning.grid, Qt.Key.Key_Right)
    QTest.keyClick(pinning.grid, Qt.Key.Key_Space)
    assert get_pinning(draft.domain) == "0:2-3"
    pinning.model.setData(pinning.model.index(1, 0), "0-1, 6")
    assert get_pinning(draft.domain) == "0:2-3,1:0-1,6"
    pinning.model.setData(pinning.model.index(1, 0), "many")
    assert "0-3,8" in problem(draft, pinning.part, "pinning")
    pinning.model.setData(pinning.model.index(1, 0), "all")
    assert (get_pinning(draft.domain), problem(draft, pinning.part, "pinning")) == ("0:2-3", "")
    pinning.each.click()
    assert get_pinning(draft.domain) == "0:0,1:1,2:2,3:3"
    pinning.all.click()
    assert get_pinning(draft.domain) is None


def test_the_last_cpu_of_a_set_stays(stage: QWidget) -> None:
    draft = make_draft()
    pinning = editor(stage, draft, "cpu", "pinning")
    assert isinstance(pinning, CpuPinningEditor)
    for _ in range(2):
        pinning.model.toggle(pinning.model.index(0, 1))
    assert get_pinning(draft.domain) == "0:0"


def test_features_are_searched_and_those_the_host_lacks_are_told(stage: QWidget) -> None:
    draft = make_draft()
    features = editor(stage, draft, "cpu", "features")
    assert isinstance(features, CpuFeaturesEditor)
    QTest.keyClicks(features.search, "sse4")
    assert features.filter.rowCount() == 1
    assert "lacks" in str(features.filter.index(0, 2).data())
    features.filter.setData(features.filter.index(0, 1), "require")
    assert get_features(draft.domain) == "+sse4a"
    assert "sse4a" in features.note.text()
    features.filter.setData(features.filter.index(0, 1), "disable")
    assert get_features(draft.domain) == "-sse4a"
    assert features.note.isHidden()
    features.filter.setData(features.filter.index(0, 1), "")
    assert get_features(draft.domain) is None


def test_numa_nodes_sum_up(stage: QWidget) -> None:
    draft = make_draft()
    numa = editor(stage, draft, "cpu", "numa")
    assert isinstance(numa, NumaEditor)
    numa.rows.add.click()
    assert get_numa(draft.domain) == "0-3=4 GiB"
    numa.rows.model.setData(numa.rows.model.index(0, 0), "0-1")
    numa.rows.model.setData(numa.rows.model.index(0, 1), "1 GiB")
    numa.rows.model.add(("2-3", "1 GiB"))
    assert (get_numa(draft.domain), draft.domain.memory_kib) == ("0-1=1 GiB; 2-3=1 GiB", 2 << 20)
    numa.rows.model.setData(numa.rows.model.index(0, 1), "a lot")
    assert "amount" in problem(draft, numa.part, "numa")


# --- memory -----------------------------------------------------------------------------------------------


def test_memory_by_number_and_by_slider(stage: QWidget) -> None:
    draft = make_draft()
    memory = editor(stage, draft, "memory", "maximum")
    assert isinstance(memory, MemoryAmountEditor)
    memory.spin.setValue(3072)
    assert (draft.domain.memory_kib, memory.slider.value()) == (3 << 20, 12)
    memory.slider.setValue(8)
    assert (draft.domain.memory_kib, memory.spin.value()) == (2 << 20, 2048)


def test_over_commitment_is_told_in_words(stage: QWidget) -> None:
    draft = make_draft()
    memory = editor(stage, draft, "memory", "maximum")
    assert isinstance(memory, MemoryAmountEditor)
    assert memory.note.isHidden()
    memory.spin.setValue(10 << 10)  # beside 8 GiB of another, of 16
    assert "18 GiB" in memory.note.problem
    assert "2 GiB more" in memory.note.problem
    memory.spin.setValue(20 << 10)
    assert "more than the host has" in memory.note.problem
    assert "20 GiB" in memory.bar.accessibleName()
    assert not memory.grab().isNull()


# --- firmware and timers ----------------------------------------------------------------------------------


def test_firmware_and_variables_as_new(qtbot: QtBot, stage: QWidget, bridge: Bridge, fake_engine: FakeEngine) -> None:
    draft = make_draft()
    key = fake_engine.add_vm("Debian")
    draft.services = EditorServices(bridge, key, draft)
    firmware = editor(stage, draft, "system", "firmware")
    assert isinstance(firmware, FirmwareEditor)
    assert firmware.reset.isEnabled()
    firmware.box.picked.emit("uefi-secure")
    assert get_firmware(draft.domain) == "uefi-secure"
    assert not firmware.reset.isEnabled()
    firmware.box.picked.emit("uefi")
    draft.revert_all()
    firmware = editor(stage, draft, "system", "firmware")
    assert isinstance(firmware, FirmwareEditor)
    firmware.reset.click()
    question = stage.findChild(QDialog, "confirm")
    assert isinstance(question, QDialog)
    question.accept()
    qtbot.waitUntil(lambda: rq.Start(key, reset_nvram=True) in fake_engine.requests)


def test_a_machine_with_bios_has_no_variables(stage: QWidget) -> None:
    firmware = editor(stage, make_draft(MACHINE.replace(" firmware='efi'", "")), "system", "firmware")
    assert isinstance(firmware, FirmwareEditor)
    assert firmware.reset.isHidden()


def test_timers_keep_what_is_not_touched(stage: QWidget) -> None:
    draft = make_draft()
    timers = editor(stage, draft, "system", "timers")
    assert isinstance(timers, TimersEditor)
    rows = timers.rows.model.rows()
    assert rows[0] == ("rtc", "", "catchup")
    timers.rows.model.setData(timers.rows.model.index(2, 1), "on")
    timers.rows.model.setData(timers.rows.model.index(3, 1), "on")
    assert get_timers(draft.domain) == "rtc=catchup, hpet=on, tsc=on"
