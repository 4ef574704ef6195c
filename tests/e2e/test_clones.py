"""Full clones, on real libvirt with real QEMU (TCG, nothing to boot)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import libvirt
import pytest

from guivm.engine.cloning import handlers, identity
from guivm.engine.requests import (
    CloneVm,
)
from guivm.engine.snapshots.values import (
    CloneKind,
    CloneSpec,
    SnapshotId,
    TpmPolicy,
)
from guivm.engine.xml.domain import DomainXml
from guivm.errors import GuivmError, UnsupportedError
from tests.helpers.clone_house import House, clone_house, run, session_connection

MIB = 1 << 20
_MAC = re.compile(r"52:54:00(:[0-9a-f]{2}){3}")


@pytest.fixture(scope="module")
def connection() -> Iterator[libvirt.virConnect]:
    with session_connection() as value:
        yield value


@pytest.fixture
def house(connection: libvirt.virConnect, tmp_path: Path) -> Iterator[House]:
    with clone_house(connection, tmp_path) as value:
        yield value


def test_a_full_clone_is_a_vm_of_its_own(house: House) -> None:
    source = house.bios()
    before = house.hashes()
    made = house.clone(source)
    assert made.name == "copy"
    assert before.items() <= house.hashes().items(), "the source's files are as they were"
    old, new = house.document(source), house.document(made.key)
    assert (new.title, new.description) == ("A title", "Notes")
    assert new.uuid == made.key.uuid
    assert new.genid not in (None, "", old.genid)
    paths = {d.target_dev: d.path for d in new.devices.disks}
    assert paths == {"vda": str(house.images / "copy-vda.qcow2"), "vdb": str(house.images / "copy-vdb.img")}
    assert house.reads(paths["vda"], 1)
    assert house.reads(paths["vdb"], 2, "raw")
    assert all(Path(path).stat().st_mode & 0o777 == 0o600 for path in paths.values())
    assert Path(paths["vdb"]).stat().st_blocks * 512 < 4 * MIB, "it is as sparse as its source"
    assert not {d.serial for d in new.devices.disks} & {d.serial for d in old.devices.disks}
    mac = new.devices.interfaces[0].mac or ""
    assert _MAC.fullmatch(mac)
    assert mac != old.devices.interfaces[0].mac
    (forward,) = new.metadata.settings.port_forwards
    assert forward.mac == mac
    assert (forward.host_port or 0) > 2222
    assert any("2222" in remark for remark in made.remarks)
    house.run_briefly(made.key)
    house.write(Path(paths["vda"]), 9)
    assert house.reads(house.disk(source), 1)


def test_macs_and_serials_are_kept_when_wished(house: House) -> None:
    source = house.bios()
    made = house.clone(source, keep_macs=True, keep_serials=True)
    old, new = house.document(source), house.document(made.key)
    assert [c.mac for c in new.devices.interfaces] == [c.mac for c in old.devices.interfaces]
    assert [d.serial for d in new.devices.disks] == [d.serial for d in old.devices.disks]
    assert any("MAC" in remark for remark in made.remarks)


def test_a_clone_goes_where_it_is_told(house: House) -> None:
    source = house.bios()
    (house.folder / "other place").mkdir()
    made = house.clone(source, directory=str(house.folder / "other place"))
    assert house.disk(made.key) == str(house.folder / "other place" / "copy-vda.qcow2")
    shown = house.plan(CloneVm(source, CloneSpec("third", directory=str(house.folder / "nowhere"))))
    assert "no folder" in shown.refused


def test_uefi_variables_are_copied(house: House) -> None:
    source = house.uefi()
    before = house.document(source)
    shown = house.plan(CloneVm(source, CloneSpec("copy")))
    copied = [effect for effect in shown.effects if effect.path.endswith("_VARS.fd")]
    assert len(copied) == 1
    nvram = Path(copied[0].other)
    with nvram.open("r+b") as stream:  # what only this VM knows
        stream.seek(-100, 2)
        stream.write(b"variables of the source")
    made = house.clone(source)
    own = Path(house.document(made.key).os.nvram or "")
    assert own == Path(copied[0].path)
    assert own.read_bytes() == nvram.read_bytes()
    house.run_briefly(made.key)
    assert house.document(source).to_text() == before.to_text()


def test_a_tpm_is_copied_or_fresh(house: House) -> None:
    tpm = "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>"
    source = house.define("source", {"vda": (house.image("source.qcow2", 1), "qcow2")}, more=tpm)
    house.run_briefly(source)
    fresh = house.clone(source, "fresh")
    assert any("TPM is new" in remark for remark in fresh.remarks)
    shown = house.plan(CloneVm(source, CloneSpec("copy", tpm=TpmPolicy.COPY)))
    (state,) = [Path(e.other) for e in shown.effects if "swtpm" in e.other]
    (state / "marker").write_bytes(b"of the source")
    copied = house.clone(source, "copy", tpm=TpmPolicy.COPY)
    assert (state.parent / copied.key.uuid / "marker").read_bytes() == b"of the source"
    for key in (fresh.key, copied.key, source):
        house.run_briefly(key)
    assert not (state.parent / fresh.key.uuid / "marker").exists()


def test_a_clone_of_a_snapshot_inside_the_images(house: House) -> None:
    """Among them one whose name is the number of another."""
    source = house.define("source", {"vda": (house.image("source.qcow2", 1), "qcow2")})
    domain = house.domain(source)
    for name, value in (("2", 3), ("1", 4), ("a, b", 5)):
        domain.snapshotCreateXML(f"<domainsnapshot><name>{name}</name></domainsnapshot>", 0)
        house.write(house.images / "source.qcow2", value)
    before = house.hashes()
    for name, value in (("2", 1), ("1", 3), ("a, b", 4)):
        made = house.clone(source, f"copy of {name}", snapshot=SnapshotId(name))
        assert house.reads(house.disk(made.key), value)
        assert "Snapshot list" not in run("qemu-img", "info", house.disk(made.key))
    assert before.items() <= house.hashes().items()
    now = house.clone(source, "of now")
    assert house.reads(house.disk(now.key), 5)
    with pytest.raises(UnsupportedError, match="inside its images"):
        handlers.clone_vm(house.context, CloneVm(source, CloneSpec("linked", CloneKind.LINKED)))


def test_a_clone_of_a_branch_snapshot_while_the_vm_runs(house: House) -> None:
    source = house.bios()
    first = house.take(source, "First")
    house.write(Path(house.disk(source)), 7)
    house.domain(source).create()
    made = house.clone(source, snapshot=first)
    assert house.reads(house.disk(made.key), 1)
    house.run_briefly(made.key)
    house.domain(source).destroy()
    now = house.clone(source, "of now")
    assert house.reads(house.disk(now.key), 7)
    assert "backing" not in run("qemu-img", "info", house.disk(now.key))


def test_a_name_in_use_is_refused(house: House) -> None:
    source = house.bios()
    before = house.hashes()
    with pytest.raises(GuivmError, match="in use"):
        handlers.clone_vm(house.context, CloneVm(source, CloneSpec("source")))
    assert house.hashes() == before


def test_the_guest_is_given_an_identity_when_its_agent_answers(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent's answers are ours: there is no guest."""
    channel = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
    source = house.define("source", {"vda": (house.image("source.qcow2", 1), "qcow2")}, more=channel)
    made = house.clone(source, "A copy")
    assert any("agent" in remark for remark in made.remarks)
    assert house.document(made.key).metadata.settings.identity_host_name == "A copy"
    assert house.document(source).metadata.settings.identity_host_name is None
    assert identity.reset_if_due(house.context, made.key) is None, "it does not run"
    house.domain(made.key).create()
    assert identity.reset_if_due(house.context, made.key) is None, "its agent does not answer"
    answers = {
        "guest-info": {},
        "guest-get-osinfo": {"id": "debian"},
        "guest-exec": {"pid": 1},
        "guest-exec-status": {"exited": True, "exitcode": 0},
    }

    def answer(_agent: identity.Agent, command: str) -> str:
        return json.dumps({"return": answers[json.loads(command)["execute"]]})

    monkeypatch.setattr(identity.Agent, "_by_libvirt", answer)
    assert identity.reset_if_due(house.context, source) is None
    assert identity.reset_if_due(house.context, made.key) == identity.Reset("a-copy")
    identity.reset_all_due(house.context)
    assert identity.reset_if_due(house.context, made.key) is None, "once"
    live = DomainXml.parse(house.domain(made.key).XMLDesc(0))
    for document in (live, house.document(made.key)):
        assert document.metadata.settings.identity_host_name is None
        assert len(document.metadata.settings.port_forwards) == 1
