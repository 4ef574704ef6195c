"""Run Script: choosing, following, stopping and failing, with the real command line as its process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import shiboken6
from PIL import Image
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from guivm.automation.gate import Gate
from guivm.engine.requests import OpenConsole
from guivm.engine.types import VmState
from guivm.errors import OperationError
from guivm.views.bridge import Bridge
from guivm.views.dialogs.run_script import RunScriptDialog
from tests.helpers.fake_engine import FakeEngine
from tests.helpers.rfb_server import picture
from tests.helpers.vnc_display import VncDisplay

_TIMEOUT = 30_000


@pytest.fixture
def display(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[VncDisplay]:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with VncDisplay(picture(80, 50)) as value:
        yield value
    assert list(tmp_path.glob("guivm/gate-*")) == []


@pytest.fixture
def dialog(qtbot: QtBot, bridge: Bridge, fake_engine: FakeEngine, display: VncDisplay) -> Iterator[RunScriptDialog]:
    parent = QWidget()
    qtbot.addWidget(parent)
    fake_engine.endpoint = display.endpoint()
    key = fake_engine.add_vm("web01", VmState.RUNNING)
    vm = fake_engine.vm(key)
    assert vm is not None
    dialog = RunScriptDialog(bridge, vm, parent, layout="us")
    dialog.show()
    yield dialog
    if shiboken6.isValid(dialog):
        dialog.close()
        qtbot.waitUntil(lambda: not shiboken6.isValid(dialog), timeout=_TIMEOUT)


def choose(qtbot: QtBot, dialog: RunScriptDialog, text: str, folder: Path) -> None:
    path = folder / "demo.guivm"
    path.write_text(text)
    dialog.file.set_path(path)
    qtbot.waitUntil(lambda: "Reading" not in dialog.reason)


def rows(dialog: RunScriptDialog) -> list[list[str]]:
    found = []
    for index in range(dialog.statements.topLevelItemCount()):
        item = dialog.statements.topLevelItem(index)
        assert item is not None
        found.append([item.text(column) for column in range(4)])
    return found


def ended(dialog: RunScriptDialog) -> bool:
    return not dialog.is_running and dialog.primary.text() == "&Run"


def test_nothing_is_chosen_at_first(dialog: RunScriptDialog) -> None:
    assert not dialog.primary.isEnabled()
    assert dialog.reason == "Choose a script to run."


def test_a_script_is_shown_run_and_followed(
    qtbot: QtBot, dialog: RunScriptDialog, display: VncDisplay, tmp_path: Path
) -> None:
    choose(qtbot, dialog, "# a demo\ntype ab\ncapture shot.png\n", tmp_path)
    assert rows(dialog) == [["2", "type ab", "", ""], ["3", "capture shot.png", "", ""]]
    dialog.primary.click()
    assert dialog.primary.text() == "&Stop"
    assert not dialog.file.isEnabled()
    qtbot.waitUntil(lambda: ended(dialog), timeout=_TIMEOUT)
    assert dialog.strip.error is None
    assert dialog.status.text == "Done."
    assert [row[2][-2:] for row in rows(dialog)] == [" s", " s"]
    assert rows(dialog)[1][3] == "80 by 50"
    assert [number for number, pressed in display.key_presses() if pressed] == [30, 48]
    with Image.open(tmp_path / "shot.png") as shot:
        assert np.array_equal(np.asarray(shot), picture(80, 50)[:, :, 2::-1])


def test_a_failed_expectation_is_told_with_its_line(qtbot: QtBot, dialog: RunScriptDialog, tmp_path: Path) -> None:
    Image.new("RGB", (9, 9), "red").save(tmp_path / "red.png")
    choose(qtbot, dialog, "key a\nwait-picture red.png timeout 0.1\nkey b", tmp_path)
    dialog.primary.click()
    qtbot.waitUntil(lambda: ended(dialog), timeout=_TIMEOUT)
    error = dialog.strip.error
    assert error is not None
    assert "“red.png”" in error.summary
    assert "demo-failed.png" in error.details
    assert (tmp_path / "demo-failed.png").exists()
    assert [row[3] for row in rows(dialog)] == ["", "Failed", ""]


def test_stop_lets_go_of_the_keys(qtbot: QtBot, dialog: RunScriptDialog, display: VncDisplay, tmp_path: Path) -> None:
    choose(qtbot, dialog, "keydown ctrl\nsleep 1000", tmp_path)
    dialog.primary.click()
    qtbot.waitUntil(lambda: rows(dialog)[1][2] == "…", timeout=_TIMEOUT)
    dialog.primary.click()
    qtbot.waitUntil(lambda: ended(dialog), timeout=_TIMEOUT)
    assert dialog.status.text == "Stopped."
    assert dialog.strip.error is None
    display.close()
    assert display.key_presses() == [(29, True), (29, False)]


def test_closing_stops_the_script_first(
    qtbot: QtBot, dialog: RunScriptDialog, display: VncDisplay, tmp_path: Path
) -> None:
    choose(qtbot, dialog, "keydown ctrl\nsleep 1000", tmp_path)
    dialog.primary.click()
    qtbot.waitUntil(lambda: rows(dialog)[1][2] == "…", timeout=_TIMEOUT)
    dialog.cancel.click()
    assert dialog.isHidden()
    qtbot.waitUntil(lambda: not shiboken6.isValid(dialog), timeout=_TIMEOUT)
    display.close()
    assert display.key_presses() == [(29, True), (29, False)]


@pytest.mark.parametrize(
    ("text", "words"),
    [("sleep 1\nclik", "demo.guivm:2: “clik” is no statement."), ("# nothing", "The script is empty.")],
)
def test_a_bad_script_is_told_beside_the_field(
    qtbot: QtBot, dialog: RunScriptDialog, tmp_path: Path, text: str, words: str
) -> None:
    choose(qtbot, dialog, text, tmp_path)
    assert words in dialog.reason
    assert not dialog.primary.isEnabled()


def test_a_missing_file_is_told(qtbot: QtBot, dialog: RunScriptDialog, tmp_path: Path) -> None:
    dialog.file.set_path(tmp_path / "none")
    qtbot.waitUntil(lambda: "cannot be read" in dialog.reason)


def test_a_display_that_cannot_be_opened(
    qtbot: QtBot, dialog: RunScriptDialog, fake_engine: FakeEngine, tmp_path: Path
) -> None:
    choose(qtbot, dialog, "key a", tmp_path)
    fake_engine.fail_next(OpenConsole, OperationError("No display today."))
    dialog.primary.click()
    qtbot.waitUntil(lambda: ended(dialog))
    assert dialog.strip.error is not None
    assert dialog.strip.error.summary == "No display today."


def test_a_display_that_is_lost(qtbot: QtBot, dialog: RunScriptDialog, display: VncDisplay, tmp_path: Path) -> None:
    choose(qtbot, dialog, "sleep 1000", tmp_path)
    dialog.primary.click()
    qtbot.waitUntil(lambda: rows(dialog)[0][2] == "…", timeout=_TIMEOUT)
    display.close()
    qtbot.waitUntil(lambda: ended(dialog), timeout=_TIMEOUT)
    assert dialog.strip.error is not None
    assert "closed before the script had ended" in dialog.strip.error.summary


def test_a_program_that_cannot_be_started(
    qtbot: QtBot, dialog: RunScriptDialog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(qtbot, dialog, "key a", tmp_path)
    monkeypatch.setattr(dialog, "_program", ("/nonexistent/guivm",))
    dialog.primary.click()
    qtbot.waitUntil(lambda: ended(dialog), timeout=_TIMEOUT)
    assert dialog.strip.error is not None
    assert "could not be started" in dialog.strip.error.summary


def test_no_gate_can_be_made(
    qtbot: QtBot, dialog: RunScriptDialog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(qtbot, dialog, "key a", tmp_path)

    def fail(gate: Gate) -> None:
        gate.close()
        raise OperationError("No room for a gate.")

    monkeypatch.setattr(Gate, "offer", fail)
    dialog.primary.click()
    qtbot.waitUntil(lambda: ended(dialog), timeout=_TIMEOUT)
    assert dialog.strip.error is not None
    assert dialog.strip.error.summary == "No room for a gate."
