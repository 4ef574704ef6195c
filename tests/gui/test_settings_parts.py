"""The list of the settings: devices that are called the same, and what an edit makes of the rows."""

from __future__ import annotations

from typing import ClassVar

from PySide6.QtCore import QModelIndex, QObject, QTranslator
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from guivm.engine.options.phrase import Phrase
from guivm.engine.options.values import Place, SettingProblem
from guivm.views.vm_settings.outcomes import change_words
from guivm.views.vm_settings.part_list import CHANGED_ROLE, PROBLEM_ROLE, PartModel, part_title
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


class _German(QTranslator):
    """Two words of it, as a translation file would have them."""

    WORDS: ClassVar[dict[str, str]] = {"Drive {}": "Laufwerk {}", "Cache": "Zwischenspeicher"}

    def translate(self, context: str, source: str, *_: object) -> str:
        return self.WORDS.get(source, "") if context == "Options" else ""


def test_names_are_composed_in_the_persons_language(qapp: QApplication) -> None:
    draft = make_draft()
    part = next(part for part in draft.parts() if part.device == "vda")
    option = next(option for option in part.resource.options if option.id == "cache")
    draft.set_value(part, option, "none")
    (change,) = draft.changes()
    german = _German(qapp)
    assert qapp.installTranslator(german)
    try:
        assert part_title(part) == "Laufwerk vda"
        assert change_words(change) == "Laufwerk vda: Zwischenspeicher"
    finally:
        qapp.removeTranslator(german)
    assert (part_title(part), str(change.device)) == ("Drive vda", "Drive vda")


def test_a_hostile_name_stays_one_clean_line() -> None:
    name = Phrase("Shared folder {}", "a\n\u202eb{}").cleaned()
    assert str(name).isprintable(), "no line break, no bidirectional control"
    assert str(name).startswith("Shared folder a")
    assert str(Phrase("Drive {}")) == "Drive"
