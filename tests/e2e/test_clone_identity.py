"""Clones whose guests no agent can change: what is kept and told, until that is done or dismissed. Real libvirt; what
stands for virt-sysprep is a script (the real one: tests/guestfs)."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import libvirt
import pytest

from guivm.engine.cloning import handlers, identity, offline
from guivm.engine.reader import Reader
from guivm.engine.requests import CloneVm, DismissIdentity, ResetIdentity
from guivm.engine.snapshots.values import ClonedVm, CloneSpec
from guivm.engine.types import IdentityDue, IdentityState, VmKey
from guivm.engine.xml.document import NAMESPACES
from guivm.errors import OperationError, UnsupportedError, WrongStateError
from tests.helpers.clone_house import House, clone_house, session_connection
from tests.helpers.daemon import wait_until


@pytest.fixture(scope="module")
def connection() -> Iterator[libvirt.virConnect]:
    with session_connection() as value:
        yield value


@pytest.fixture
def house(connection: libvirt.virConnect, tmp_path: Path) -> Iterator[House]:
    with clone_house(connection, tmp_path) as value:
        yield value


def due(house: House, key: VmKey) -> IdentityDue | None:
    """As the list tells it."""
    vm = Reader(house.host, house.connection).read(key.uuid)
    assert vm is not None
    return vm.identity


def stand_in(house: House, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = house.folder / "bin/virt-sysprep"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


def test_it_is_told_until_it_is_dismissed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offline, "is_installed", lambda: False)
    made = house.clone(house.bios(), "A copy")
    assert any("no guest agent" in remark and "machine-id" in remark for remark in made.remarks)
    told = due(house, made.key)
    assert told is not None
    assert told.state is IdentityState.FAILED
    assert "no guest agent" in told.why
    assert "machine-id" in told.steps
    with pytest.raises(UnsupportedError, match="no guest agent") as caught:
        identity.reset_again(house.context, ResetIdentity(made.key))
    assert "machine-id" in caught.value.advice

    house.domain(made.key).create()
    with pytest.raises(WrongStateError, match="in use"):
        identity.reset_again(house.context, ResetIdentity(made.key))
    assert due(house, made.key) == told, "of the running one too"
    assert identity.reset_if_due(house.context, made.key) is None
    identity.dismiss(house.context, DismissIdentity(made.key))
    assert due(house, made.key) is None, "nor in the running one"
    house.domain(made.key).destroy()
    assert due(house, made.key) is None
    with pytest.raises(WrongStateError):
        identity.reset_again(house.context, ResetIdentity(made.key))


def test_what_fails_half_way_is_told_and_can_be_tried_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(
        house,
        monkeypatch,
        f'echo "$@" >>{house.folder}/asked; cat {house.folder}/answer; exit $(cat {house.folder}/code)',
    )
    (house.folder / "code").write_text("1")
    (house.folder / "answer").write_text("virt-sysprep: error: \x1b[31mno space\n")
    made = house.clone(house.bios(), "copy")
    assert any("or not wholly" in remark for remark in made.remarks)
    told = due(house, made.key)
    assert told is not None
    assert "or not wholly" in told.why
    with pytest.raises(OperationError) as caught:
        identity.reset_again(house.context, ResetIdentity(made.key))
    assert "no space" in caught.value.details
    (house.folder / "code").write_text("0")
    identity.reset_again(house.context, ResetIdentity(made.key))
    assert due(house, made.key) is None
    asked = (house.folder / "asked").read_text().splitlines()
    assert len(asked) == 3
    assert all(line.endswith(f"-a {house.disk(made.key, 'vdb')}") for line in asked)


def test_cancel_ends_its_processes_and_keeps_the_clone(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(
        house,
        monkeypatch,
        f"sleep 1000 & echo $! >{house.folder}/child.new; mv {house.folder}/child.new {house.folder}/child; wait",
    )
    key = house.bios()
    context = house.context
    made: list[ClonedVm] = []
    worker = threading.Thread(target=lambda: made.append(handlers.clone_vm(context, CloneVm(key, CloneSpec("copy")))))
    worker.start()
    child = house.folder / "child"
    wait_until(child.exists, "virt-sysprep")
    context.job.cancel()
    worker.join(30)
    assert any("cancelled" in remark for remark in made[0].remarks)
    assert not running(int(child.read_text()))
    told = due(house, made[0].key)
    assert told is not None
    assert "cancelled" in told.why


def test_a_sysprep_that_runs_is_not_begun_again(house: House) -> None:
    key = house.bios()
    kept = "<settings><identity hostName='copy' stage='runs'/></settings>"
    element = libvirt.VIR_DOMAIN_METADATA_ELEMENT
    house.domain(key).setMetadata(element, kept, "guivm", NAMESPACES["guivm"], libvirt.VIR_DOMAIN_AFFECT_CONFIG)
    before = house.document(key).to_text()
    with pytest.raises(WrongStateError, match="Sysprep"):
        identity.reset_again(house.context, ResetIdentity(key))
    assert house.document(key).to_text() == before


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
