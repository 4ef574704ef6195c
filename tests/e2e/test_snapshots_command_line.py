"""``guivm snapshot …``, ``clone`` and ``run`` against a real libvirt, one process' worth of engine for each command."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from guivm.cli.exits import Exit
from guivm.cli.main import main
from tests.helpers.snapshot_world import World, make_image, snapshot_world, write

pytestmark = pytest.mark.e2e


@pytest.fixture
def world() -> Iterator[World]:
    with snapshot_world() as value:
        yield value


def test_a_vm_is_snapshot_changed_restored_cloned_and_cleaned_up(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    image = make_image(world.images / "vm.raw", image_format="raw")
    key = world.define("vm", ((image, "raw"),))

    def run(*words: str) -> str:
        code = main([*words, "--connect", world.daemon.uri])
        said = capsys.readouterr()
        assert code == Exit.OK, said.err
        return said.out

    at_first = world.reads(key)
    run("snapshot", "take", "vm", "first", "--notes", "empty")
    write(world.disk(key), 7)
    now = world.reads(key)
    run("snapshot", "take", "vm", "second")
    assert [line.split()[0] for line in run("snapshot", "list", "vm").splitlines()] == [
        "SNAPSHOT", "first", "second", "*",
    ]  # fmt: skip
    plan = json.loads(run("snapshot", "restore", "vm", "first", "--discard", "--dry-run", "--json"))
    assert {effect["action"] for effect in plan["effects"]} == {"create", "quarantine"}
    assert world.reads(key) == now
    run("snapshot", "restore", "vm", "first", "--discard")
    assert world.reads(key) == at_first
    run("snapshot", "undo-restore", "vm")
    assert world.reads(key) == now
    run("snapshot", "edit", "vm", "first", "--title", "at the beginning")
    cloned = json.loads(run("clone", "vm", "copy", "--from-snapshot", "at the beginning", "--json"))
    assert cloned["name"] == "copy"
    linked = json.loads(run("clone", "vm", "linked", "--linked", "--from-snapshot", "second", "--json"))
    assert linked["name"] == "linked"
    assert main(["snapshot", "delete", "vm", "second", "--connect", world.daemon.uri]) == Exit.FAILED
    assert "linked" in capsys.readouterr().err
    run("detach", "linked")
    run("snapshot", "delete", "vm", "at the beginning", "second")
    assert world.reads(key) == now
    run("run", "vm", "--disposable")
    run("force-off", "vm")
    assert world.reads(key) == now
