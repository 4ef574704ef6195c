"""The list of the settings: devices that are called the same, and what an edit makes of the rows."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QObject
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from guivm.engine.options.values import Place, SettingProblem
from guivm.views.vm_settings.part_list import CHANGED_ROLE, PROBLEM_ROLE, PartModel
from tests.bench.settings_domain import many_devices
from tests.helpers.editors_stage import MACHINE, make_draft, make_form, part_of

TWICE = MACHINE.replace("<video>", "<graphics type='vnc' port='5901'><listen type='none'/></graphics><video>", 1)


def test_two_devices_with_one_identity_are_two(qtbot: QtBot) -> None:
    draft = make_draft(TWICE)
    owner = QObject()
    model = PartModel(draft, owner)
    first, second = part_of(draft, "display"), part_of(draft, "display", 1)
    assert (first.device, second.device) == ("vnc", "vnc#1")
    port = next(option for option in second.resource.options if option.id == "port")
    draft.set_value(second, port, 5907)
    (change,) = draft.changes()
    assert change.place == second.place("port")
    draft.set_problems((SettingProblem(second.place("port"), "This port is in use."),))
    model.refresh()
    rows = [model.index(model.row_of(part.place())) for part in (first, second)]
    assert [row.data(CHANGED_ROLE) for row in rows] == [False, True]
    assert [row.data(PROBLEM_ROLE) for row in rows] == ["", "error"]
    draft.revert(change)
    assert not draft.is_changed


def test_an_edit_speaks_of_the_rows_it_changed(qtbot: QtBot) -> None:
    draft = make_draft(many_devices(60))
    owner = QObject()
    model = PartModel(draft, owner)
    heard: list[tuple[int, int]] = []

    def hear(top: QModelIndex, bottom: QModelIndex) -> None:
        heard.append((top.row(), bottom.row()))

    model.dataChanged.connect(hear)
    model.refresh()
    assert heard == []
    part = part_of(draft, "disk", 2)
    draft.set_value(part, next(option for option in part.resource.options if option.id == "cache"), "writeback")
    model.refresh()
    row = model.row_of(part.place())
    assert heard == [(row, row)]
    assert model.index(row).data(CHANGED_ROLE)


def test_the_draft_is_read_anew_after_each_edit(qtbot: QtBot) -> None:
    draft = make_draft()
    assert draft.parts() is draft.parts()
    drives = [part.device for part in draft.parts() if part.resource.id == "disk"]
    draft.domain.devices.disks[0].target_dev = "vdz"
    draft.rebuild()
    assert [part.device for part in draft.parts() if part.resource.id == "disk"] == ["vdz", *drives[1:]]
    assert 'dev="vdz"' in draft.xml or "dev='vdz'" in draft.xml
    assert draft.changes()
    draft.revert_all()
    assert draft.changes() == ()
    assert draft.part_at(Place("disk", "vdz")) is None


def test_a_choice_is_told_by_its_label(qtbot: QtBot) -> None:
    holder = QWidget()
    qtbot.addWidget(holder)
    draft = make_draft()
    row = make_form(draft, "nic", holder).row("model")
    assert row is not None
    assert row.words_of_value() == "VirtIO"
