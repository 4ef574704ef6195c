"""The action table: ids, shortcuts, icons, and when an action makes sense."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QSize
from PySide6.QtGui import QKeySequence
from pytestqt.qtbot import QtBot

from guivm.engine.types import HostId, VmInfo, VmKey, VmState
from guivm.resources import resource_path
from guivm.views.actions import SPECS, ActionRegistry
from guivm.views.settings import Settings, shortcut_setting

S = VmState


def vm(state: VmState, name: str = "a", **fields: object) -> VmInfo:
    return VmInfo(VmKey(HostId("test:///x"), name), name, state, **fields)  # type: ignore[arg-type]


def enabled(actions: ActionRegistry, *selection: VmInfo) -> set[str]:
    actions.update_enabled(selection)
    return {spec.id for spec in SPECS if spec.enabled is not None and actions.action(spec.id).isEnabled()}


POWER = {"start", "pause", "shutdown", "reboot", "save", "reset", "force-off", "discard-saved", "rename", "delete"}


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (S.RUNNING, {"pause", "shutdown", "reboot", "save", "reset", "force-off"}),
        (S.PAUSED, {"pause", "save", "reset", "force-off"}),
        (S.SUSPENDED, {"pause", "force-off"}),
        (S.SHUTTING_DOWN, {"force-off"}),
        (S.OFF, {"start", "rename", "delete"}),
        (S.SAVED, {"start", "discard-saved", "delete"}),
        (S.CRASHED, {"start", "rename", "delete"}),
        (S.UNKNOWN, set()),
    ],
)
def test_what_makes_sense_in_a_state(qtbot: QtBot, actions: ActionRegistry, state: VmState, expected: set[str]) -> None:
    assert enabled(actions, vm(state)) & POWER == expected


def test_nothing_selected_leaves_only_what_needs_no_vm(qtbot: QtBot, actions: ActionRegistry) -> None:
    assert enabled(actions) == set()
    assert actions.action("new").isEnabled()


def test_of_several_the_action_applies_to_those_it_fits(qtbot: QtBot, actions: ActionRegistry) -> None:
    selection = [vm(S.RUNNING, "a"), vm(S.OFF, "b"), vm(S.OFF, "c")]
    found = enabled(actions, *selection)
    assert {"start", "pause", "force-off"} <= found
    assert not {"rename", "delete", "edit-notes"} & found  # one at a time
    assert [v.name for v in actions.targets("start", selection)] == ["b", "c"]


def test_title_and_notes_are_edited_only_when_they_are_known(qtbot: QtBot, actions: ActionRegistry) -> None:
    assert "edit-notes" in enabled(actions, vm(S.OFF))
    assert "edit-notes" not in enabled(actions, vm(S.OFF, is_complete=False))
    both = [vm(S.OFF, "a", is_complete=False), vm(S.OFF, "b")]
    assert [v.name for v in actions.targets("edit-notes", both)] == ["b"]
    assert actions.counts(["edit-notes", "start"], both) == {"edit-notes": 1, "start": 2}


def test_transient_vms_can_neither_be_saved_nor_start_with_the_host(qtbot: QtBot, actions: ActionRegistry) -> None:
    assert not {"save", "autostart"} & enabled(actions, vm(S.RUNNING, persistent=False))


def test_a_disabled_action_says_why(qtbot: QtBot, actions: ActionRegistry) -> None:
    enabled(actions, vm(S.RUNNING))
    assert actions.action("start-disposable").toolTip() == "Only while it is off"
    assert actions.refusal("take-snapshot") == ""
    enabled(actions, vm(S.OFF))
    assert "is gone when it is switched off" in actions.action("start-disposable").toolTip()
    enabled(actions, vm(S.RUNNING, persistent=False))
    assert "keeps no definition" in actions.action("take-snapshot").toolTip()
    enabled(actions)
    assert actions.refusal("clone") == "", "of nothing there is nothing to say"


def test_pause_reads_resume_when_all_stand_still(qtbot: QtBot, actions: ActionRegistry) -> None:
    action = actions.action("pause")
    actions.update_enabled([vm(S.PAUSED, "a"), vm(S.SUSPENDED, "b")])
    assert action.text() == "Resume"
    assert actions.icon_name("pause") == "start"
    actions.update_enabled([vm(S.PAUSED, "a"), vm(S.RUNNING, "b")])
    assert action.text() == "Pause"
    actions.update_enabled([vm(S.OFF)])
    assert action.text() == "Pause"
    assert actions.icon_name("pause") == "pause"


def test_autostart_is_checked_when_all_have_it(qtbot: QtBot, actions: ActionRegistry) -> None:
    actions.update_enabled([vm(S.OFF, "a", autostart=True), vm(S.OFF, "b", autostart=True)])
    assert actions.action("autostart").isChecked()
    actions.update_enabled([vm(S.OFF, "a", autostart=True), vm(S.OFF, "b")])
    assert not actions.action("autostart").isChecked()


def test_ids_are_unique_and_default_shortcuts_do_not_collide() -> None:
    assert len({spec.id for spec in SPECS}) == len(SPECS)
    keys = [QKeySequence(spec.shortcut).toString() for spec in SPECS if spec.shortcut]
    assert len(set(keys)) == len(keys)
    assert all(keys)


@pytest.mark.parametrize(
    ("action_id", "keys"),
    [
        ("new", "Ctrl+N"),
        ("start", "Ctrl+Return"),
        ("pause", "Ctrl+P"),
        ("shutdown", "Ctrl+H"),
        ("force-off", "Ctrl+Shift+F"),
        ("reset", "Ctrl+T"),
        ("save", "Ctrl+S"),
        ("delete", "Del"),
        ("search", "Ctrl+F"),
        ("preferences", "Ctrl+,"),
        ("fullscreen", "F11"),
        ("quit", "Ctrl+Q"),
        ("shortcuts", "Ctrl+?"),
    ],
)
def test_promised_shortcuts(qtbot: QtBot, actions: ActionRegistry, action_id: str, keys: str) -> None:
    assert actions.action(action_id).shortcut() == QKeySequence(keys)


def test_duplicate_shortcut_is_refused_and_its_owner_named(qtbot: QtBot, actions: ActionRegistry) -> None:
    assert actions.set_shortcut("reboot", QKeySequence("Ctrl+P")) == "pause"
    assert actions.action("reboot").shortcut().isEmpty()


def test_changed_shortcut_is_kept_and_reaches_every_window(
    qtbot: QtBot, settings: Settings, actions: ActionRegistry
) -> None:
    other = ActionRegistry(settings)
    with qtbot.waitSignal(other.shortcutsChanged):
        assert actions.set_shortcut("pause", QKeySequence("Ctrl+Alt+P")) is None
    assert other.action("pause").shortcut() == QKeySequence("Ctrl+Alt+P")
    assert "Ctrl+Alt+P" in other.tool_tip("pause")
    assert ActionRegistry(settings).action("pause").shortcut() == QKeySequence("Ctrl+Alt+P")
    settings.reset(shortcut_setting("pause", "Ctrl+P"))
    assert actions.action("pause").shortcut() == QKeySequence("Ctrl+P")
    assert actions.conflict("reboot", QKeySequence("Ctrl+P")) == "pause"
    other.deleteLater()


def test_every_icon_exists_and_paints(qtbot: QtBot, actions: ActionRegistry) -> None:
    for spec in SPECS:
        if spec.icon:
            assert resource_path(f"icons/{spec.icon}.svg").is_file()
            image = actions.action(spec.id).icon().pixmap(QSize(16, 16), 1.0).toImage()
            assert any(image.pixelColor(x, y).alpha() for x in range(16) for y in range(16)), spec.id


def test_every_state_has_a_shape_of_its_own() -> None:
    shapes = {state: resource_path(f"icons/state-{state.value}.svg").read_bytes() for state in VmState}
    assert len(set(shapes.values())) == len(VmState)
