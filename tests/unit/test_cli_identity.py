"""``guivm identity``, and what ``show`` and ``list --json`` tell of it."""

from __future__ import annotations

import json

import pytest

from guivm.cli.exits import Exit
from guivm.cli.main import build_parser
from guivm.cli.session import Session
from guivm.cli.verbs import chosen
from guivm.engine.requests import DismissIdentity, ResetIdentity
from guivm.engine.types import IdentityDue, IdentityState
from tests.helpers.fake_engine import LOCAL, FakeEngine

FAILED = IdentityDue(IdentityState.FAILED, "It has no guest agent.", "Empty /etc/machine-id.")


def run(engine: FakeEngine, *words: str) -> int:
    arguments = build_parser().parse_args(words)
    verb = chosen(arguments)
    assert verb is not None
    assert verb.run is not None
    session = Session(engine, as_json="--json" in words)
    session.connect([LOCAL])
    return verb.run(session, arguments)


def test_what_is_due_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    engine = FakeEngine()
    key = engine.add_vm("copy", identity=FAILED)
    assert run(engine, "identity", "copy") == Exit.OK
    told = capsys.readouterr().out
    assert "no guest agent" in told
    assert "machine-id" in told
    assert run(engine, "list", "--json") == Exit.OK
    (vm,) = json.loads(capsys.readouterr().out)
    assert vm["identity"] == {"state": "failed", "why": FAILED.why, "steps": FAILED.steps}
    engine.change_vm(key, identity=None)
    assert run(engine, "identity", "copy", "--json") == Exit.OK
    assert json.loads(capsys.readouterr().out)["identity"] is None


def test_it_is_tried_again_or_dismissed(capsys: pytest.CaptureFixture[str]) -> None:
    engine = FakeEngine()
    key = engine.add_vm("copy", identity=FAILED)
    run(engine, "identity", "copy", "--retry")
    assert "of its own" in capsys.readouterr().out
    run(engine, "identity", "copy", "--done")
    asked = [each for each in engine.requests if isinstance(each, (ResetIdentity, DismissIdentity))]
    assert asked == [ResetIdentity(key), DismissIdentity(key)]
    assert "as far as guivm knows" in capsys.readouterr().out
