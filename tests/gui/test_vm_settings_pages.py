"""The settings window does each thing once, and has the pages' modules before anybody asks for them."""

from __future__ import annotations

import sys

import pytest
from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QComboBox, QWidget
from pytestqt.qtbot import QtBot

from guivm.engine.options.option import Choice, Item, Option
from guivm.engine.options.values import Place
from guivm.engine.types import VmKey
from guivm.engine.xml.node import XmlNode
from guivm.views.bridge import Bridge
from guivm.views.vm_settings.editors import ChoiceEditor, PathEditor
from guivm.views.vm_settings.frame import SettingsFrame
from guivm.views.vm_settings.part_list import PartModel
from guivm.views.vm_settings.pieces import ItemBox
from guivm.views.vm_settings.preloading import Preloader
from guivm.views.vm_settings.registry import editor_modules
from tests.helpers.editors_stage import MACHINE, make_draft, make_form, part_of
from tests.helpers.fake_engine import FakeEngine
from tests.helpers.settings_window import Open, draft_of, set_title

PACKAGE = "guivm.views.vm_settings"
NIC = "52:54:00:1a:2b:3c"


def test_modules_of_the_pages_are_loaded_while_the_window_rests(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = [f"{PACKAGE}.{name}" for name in (*editor_modules(), "changes_page", "xml_page", "help_page")]
    owner = QWidget()
    qtbot.addWidget(owner)
    loaded: list[str] = []

    def load(name: str) -> None:
        loaded.append(name)

    monkeypatch.setattr(f"{PACKAGE}.preloading.importlib.import_module", load)
    preloader = Preloader(owner)
    preloader.start()
    assert loaded == []  # nothing before the window is painted
    timer = preloader.findChild(QTimer)
    assert timer is not None
    qtbot.waitUntil(lambda: not timer.isActive())
    assert loaded == wanted


def test_the_first_page_needs_no_module_of_the_others(open_settings: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Preloader, "start", lambda _preloader: None)
    for name in ("changes_page", "xml_page"):
        monkeypatch.delitem(sys.modules, f"{PACKAGE}.{name}", raising=False)
    window = open_settings()
    window.show_place(Place("memory"))
    assert not {f"{PACKAGE}.changes_page", f"{PACKAGE}.xml_page"} & sys.modules.keys()


def test_an_edit_is_shown_once_however_many_signals_tell_of_it(
    open_settings: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = open_settings(place=Place("disk", "vdb"))
    made: list[str] = []

    def counted(name: str) -> None:
        original = getattr(PartModel, name)

        def spy(model: PartModel) -> None:
            made.append(name)
            original(model)

        monkeypatch.setattr(PartModel, name, spy)

    counted("rebuild")
    counted("refresh")
    draft = draft_of(window)
    part = window.current_part()
    assert part is not None
    draft.remove(part)  # tells of parts, of values and of problems
    assert made == ["rebuild"]
    set_title(window, "x")
    assert made == ["rebuild", "refresh"]
    draft.touch()
    draft.touch()
    assert made == ["rebuild", "refresh", "refresh", "refresh"]


def test_parts_that_go_while_the_changes_are_in_sight_are_counted(open_settings: Open) -> None:
    window = open_settings()
    window.show_changes()
    draft = draft_of(window)
    part = draft.part_at(Place("disk", "vdb"))
    assert part is not None
    draft.remove(part)
    assert "(1)" in window.frame.changes_button.text()
    assert window.frame.apply_button.isEnabled()


def test_a_part_that_the_search_hides_may_change_its_name(open_settings: Open) -> None:
    window = open_settings(place=Place("nic", NIC))
    window.frame.search.setText(NIC)
    part = window.current_part()
    assert part is not None
    option = next(option for option in part.resource.options if option.id == "mac")
    draft_of(window).set_value(part, option, "52:54:00:20:00:01")
    assert window.frame.apply_button.isEnabled()
    assert "1 change" in window.frame.status.text


def test_the_window_is_called_as_the_vm_is_now(
    qtbot: QtBot, fake_engine: FakeEngine, bridge: Bridge, open_settings: Open, key: VmKey
) -> None:
    window = open_settings()
    draft = draft_of(window)
    fake_engine.settings.change_outside(key, "<name>web</name>", "<name>mail</name>")
    window.reload()
    qtbot.waitUntil(lambda: draft.base.name == "mail")
    assert window.windowTitle() == "Settings of “mail”"
    assert window.accessibleName() == window.windowTitle()
    set_title(window, "x")
    assert window.windowTitle() == "Settings of “mail”"


def test_a_choice_grows_with_its_items(qtbot: QtBot) -> None:
    short, long = [Item("a", "A")], [Item("a", "A"), Item("b", "A label that needs a good deal more room " * 2)]
    owner = QWidget()
    qtbot.addWidget(owner)
    editor = Choice(lambda _situation, _node: short)
    option: Option[XmlNode] = Option("choice", "Choice", "", editor, lambda _node: None, lambda _node, _value: None)
    field = ChoiceEditor(option, editor, owner)
    field.show_items(short)
    owner.resize(900, 100)
    owner.show()
    qtbot.waitExposed(owner)
    box = field.findChild(QComboBox)
    assert box is not None
    before = box.sizeHint().width()
    field.show_items(long)
    assert box.sizeHint().width() > before


def test_what_the_host_calls_a_choice_is_fit_to_be_shown(qtbot: QtBot) -> None:
    owner = QWidget()
    qtbot.addWidget(owner)
    hostile = Item("a", "x\u202ey\n" + "z" * 300, refusal="not\u2066 now\n" + "!" * 900)
    editor = Choice(lambda _situation, _node: [hostile])
    option: Option[XmlNode] = Option("choice", "Choice", "", editor, lambda _node: None, lambda _node, _value: None)
    field = ChoiceEditor(option, editor, owner)
    field.show_items([hostile])
    plain = field.findChild(QComboBox)
    box = ItemBox("box", "Box", owner)
    box.show_items([hostile])
    assert plain is not None
    for combo in (plain, box):
        label, reason = combo.itemText(0), str(combo.itemData(0, Qt.ItemDataRole.ToolTipRole))
        assert label.startswith("xy zz")
        assert "\u2066" not in label + reason
        assert len(label) <= 160 + 5 + 400
        assert "not now !" in reason
        assert len(reason) < 500


@pytest.mark.parametrize(("resource", "index"), [("watchdog", 0), ("hostdev-pci", 0), ("hostdev-usb", 0)])
def test_of_what_there_can_be_but_one_no_twin_is_offered(qtbot: QtBot, resource: str, index: int) -> None:
    owner = QWidget()
    qtbot.addWidget(owner)
    frame = SettingsFrame(owner)
    draft = make_draft(MACHINE.replace("<video>", "<watchdog model='i6300esb'/><video>", 1))
    frame.show_state(draft, part_of(draft, resource, index), (), applying=False)
    assert not frame.duplicate_button.isHidden()
    assert not frame.duplicate_button.isEnabled()
    assert "." in frame.duplicate_button.toolTip()
    frame.show_state(draft, part_of(draft, "nic"), (), applying=False)
    assert frame.duplicate_button.isEnabled()
    frame.show_state(draft, part_of(draft, "cpu"), (), applying=False)
    assert frame.duplicate_button.isHidden()


def test_more_is_offered_while_there_is_something_behind_it(qtbot: QtBot) -> None:
    owner = QWidget()
    qtbot.addWidget(owner)
    draft = make_draft(MACHINE.replace("<video>", "<audio id='1' type='none'/><video>", 1))
    form = make_form(draft, "audio", owner)
    assert form.more.isHidden()
    kind, server = (option for option in form.part.resource.options if option.id in ("type", "server"))
    draft.set_value(form.part, kind, "pulseaudio")
    assert not form.more.isHidden()
    form.more.setChecked(True)
    row = form.row(server.id)
    assert row is not None
    assert not row.isHidden()
    form.more.setChecked(False)
    draft.set_value(form.part, server, "somewhere")
    assert row.isHidden(), "an edit opens nothing"
    draft.set_value(form.part, kind, "none")
    assert form.more.isHidden()


def test_an_empty_path_says_what_libvirt_does_then(qtbot: QtBot) -> None:
    owner = QWidget()
    qtbot.addWidget(owner)
    draft = make_draft(MACHINE.replace("<video>", "<serial type='unix'><target port='0'/></serial><video>", 1))
    row = make_form(draft, "serial", owner).row("path")
    assert row is not None
    assert isinstance(row.editor, PathEditor)
    assert row.editor.field.edit.placeholderText() == "libvirt's choice"
