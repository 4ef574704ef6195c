"""``guivm snapshot …``, ``clone``, ``run`` on libvirt's test driver, which begins anew with each command."""

from __future__ import annotations

import json

import pytest

from guivm.cli.exits import Exit
from guivm.cli.main import main

DRIVER = ("--connect", "test:///default")


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main([*words, *DRIVER])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_a_vm_without_snapshots_has_its_current_state(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "snapshot", "list", "test")
    assert code == Exit.OK
    assert "* Current state" in out
    _, out, _ = run(capsys, "snapshot", "list", "test", "--json")
    assert json.loads(out)["snapshots"] == []


def test_a_dry_run_prints_the_plan_and_does_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "snapshot", "take", "test", "before", "--dry-run")
    assert code == Exit.OK
    assert out.startswith("Take the snapshot “before”")
    assert "  1. " in out
    _, out, _ = run(capsys, "snapshot", "take", "test", "before", "--dry-run", "--json")
    assert json.loads(out)["title"] == "Take the snapshot “before”"


def test_take_answers_what_was_taken(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "snapshot", "take", "test", "before", "--notes", "a note", "--json")
    assert code == Exit.OK
    assert json.loads(out)["title"] == "before"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("snapshot", "restore", "test", "nobody"), Exit.FAILED, "no snapshot “nobody”"),
        (("snapshot", "delete", "test", "nobody"), Exit.FAILED, "no snapshot “nobody”"),
        (("snapshot", "list", "nobody"), Exit.NOT_FOUND, "nobody"),
        (("snapshot", "undo-restore", "test"), Exit.FAILED, "no restore"),
        (("snapshot", "take", "test", "x" * 81), Exit.FAILED, "longer than 80"),
        (("snapshot", "take", "test", " "), Exit.FAILED, "empty"),
        (("run", "test"), Exit.WRONG_STATE, "running"),
    ],
)
def test_what_cannot_be_done_is_told(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: Exit, said: str
) -> None:
    found, out, err = run(capsys, *words)
    assert (found, out) == (code, "")
    assert said in err


def test_an_ordinary_start_has_no_plan(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(capsys, "run", "test", "--dry-run")
    assert ended.value.code == Exit.USAGE
    assert "goes with --disposable" in capsys.readouterr().err


def test_a_refused_plan_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (("snapshot", "undo-restore", "test"), ("run", "test", "--disposable")):
        code, out, _ = run(capsys, *words, "--dry-run")
        assert code == Exit.FAILED
        assert "Refused: " in out
