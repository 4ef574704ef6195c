"""Clones, templates and runs that are thrown away, on real libvirt with real QEMU (TCG, nothing to boot)."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import libvirt
import libvirt_qemu
import pytest
from lxml import etree

from guivm.engine.capabilities import CapabilityCache
from guivm.engine.cloning import disposable, handlers, identity, marks, templates
from guivm.engine.context import HandlerContext
from guivm.engine.jobs import Job, JobInfo
from guivm.engine.reader import Reader
from guivm.engine.requests import (
    CloneVm,
    DeleteSnapshots,
    DetachClone,
    PlanOperation,
    ReadSnapshots,
    SetTemplate,
    StartDisposable,
    TakeSnapshot,
)
from guivm.engine.snapshots import handlers as snapshots
from guivm.engine.snapshots import recovering
from guivm.engine.snapshots.firmware_state import nvram_path, tpm_folder
from guivm.engine.snapshots.situation import read_situation
from guivm.engine.snapshots.values import (
    ClonedVm,
    CloneKind,
    CloneSpec,
    FileAction,
    OperationPlan,
    SnapshotId,
    TpmPolicy,
)
from guivm.engine.types import HostId, HostInfo, HostState, VmKey
from guivm.engine.xml.domain import DomainXml
from guivm.errors import CancelledError, GuivmError, InUseError, UnsupportedError, WrongStateError
from tests.helpers.daemon import SessionDaemon

MIB = 1 << 20
_MAC = re.compile(r"52:54:00(:[0-9a-f]{2}){3}")

_VM = """
<domain type='qemu'>
  <name>{name}</name><title>A title</title><description>Notes</description>
  <metadata><guivm:settings xmlns:guivm='https://guivm.org/xmlns/domain/1'>
    <guivm:portForward mac='52:54:00:00:00:0a' protocol='tcp' hostPort='2222' guestPort='22'/>
  </guivm:settings></metadata>
  <memory unit='MiB'>64</memory><vcpu>1</vcpu><genid/>
  <os{firmware}><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features>
  <devices>
    {disks}
    <interface type='user'><mac address='52:54:00:00:00:0a'/><model type='virtio'/></interface>
    <graphics type='vnc'><listen type='none'/></graphics><video><model type='vga'/></video>
    {more}
  </devices>
</domain>"""

_DISK = """<disk type='file' device='disk'><driver name='qemu' type='{form}'/><source file='{path}'/>
<target dev='{target}' bus='virtio'/><serial>SOURCE-{target}</serial></disk>"""


def run(*arguments: str | Path) -> str:
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


class House:
    """A host with its folder of images."""

    def __init__(self, connection: libvirt.virConnect, folder: Path) -> None:
        self.connection = connection
        self.images = folder / "images"
        self.images.mkdir(mode=0o700)
        self.host = HostId(connection.getURI())
        self.folder = folder

    @property
    def context(self) -> HandlerContext:
        """With a new job: one that was cancelled stays so."""
        context = HandlerContext(
            host=HostInfo(self.host, self.host, "This computer", HostState.CONNECTED),
            connection=self.connection,
            job=Job(self.host, None, "test"),
            cache_dir=self.folder / "cache",
            images_dir=self.images,
            capabilities=CapabilityCache(),
        )
        context.job.begin()
        return context

    # --- the source -----------------------------------------------------------------------------------

    def image(self, name: str, value: int, form: str = "qcow2") -> Path:
        path = self.images / name
        run("qemu-img", "create", "-q", "-f", form, path, "8M")
        self.write(path, value, form)
        return path

    @staticmethod
    def write(path: Path, value: int, form: str = "qcow2", at: str = "0") -> None:
        run("qemu-io", "-f", form, "-c", f"write -P {value} {at} 1M", path)

    @staticmethod
    def reads(path: str | Path, value: int, form: str = "qcow2", at: str = "0") -> bool:
        return "failed" not in run("qemu-io", "-r", "-f", form, "-c", f"read -P {value} {at} 1M", path)

    def define(self, name: str, disks: dict[str, tuple[Path, str]], *, uefi: bool = False, more: str = "") -> VmKey:
        lines = [_DISK.format(form=form, path=path, target=target) for target, (path, form) in disks.items()]
        firmware = " firmware='efi'" if uefi else ""
        xml = _VM.format(name=name, disks="\n".join(lines), firmware=firmware, more=more)
        return VmKey(self.host, self.connection.defineXML(xml).UUIDString())

    def bios(self, name: str = "source") -> VmKey:
        """Two drives: qcow2 and raw."""
        return self.define(
            name,
            {"vda": (self.image(f"{name}.qcow2", 1), "qcow2"), "vdb": (self.image(f"{name}.img", 2, "raw"), "raw")},
        )

    def uefi(self, name: str = "source") -> VmKey:
        key = self.define(name, {"vda": (self.image(f"{name}.qcow2", 1), "qcow2")}, uefi=True)
        self.run_briefly(key)
        return key

    # --- doing ----------------------------------------------------------------------------------------

    def clone(self, key: VmKey, name: str = "copy", **changes: object) -> ClonedVm:
        spec = replace(CloneSpec(name), **changes)  # type: ignore[arg-type]  # named fields of their own types
        shown = self.plan(CloneVm(key, spec))
        assert not shown.refused
        made = handlers.clone_vm(self.context, CloneVm(key, spec))
        created = {e.path for e in shown.effects if e.action in (FileAction.CREATE, FileAction.COPY)}
        assert {Path(d.path).parent for d in self.document(made.key).devices.disks if d.path} <= {
            Path(path).parent for path in created
        }
        return made

    def plan(self, request: CloneVm | SetTemplate | DetachClone | DeleteSnapshots) -> OperationPlan:
        return snapshots.plan_operation(self.context, PlanOperation(request.key, request))

    def take(self, key: VmKey, title: str) -> SnapshotId:
        return snapshots.take_snapshot(self.context, TakeSnapshot(key, title)).id

    def domain(self, key: VmKey) -> libvirt.virDomain:
        return self.connection.lookupByUUIDString(key.uuid)

    def document(self, key: VmKey) -> DomainXml:
        return DomainXml.parse(self.domain(key).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))

    def disk(self, key: VmKey, target: str = "vda") -> str:
        return next(d.path for d in self.document(key).devices.disks if d.target_dev == target)

    def run_briefly(self, key: VmKey) -> None:
        self.domain(key).create()
        self.domain(key).destroy()

    def hashes(self) -> dict[str, str]:
        """Of all files there are, locks aside."""
        return {
            str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in self.folder.rglob("*")
            if path.is_file() and path.name != "lock"
        }

    def names(self) -> set[str]:
        return {str(domain.name()) for domain in self.connection.listAllDomains(0)}


@pytest.fixture(scope="module")
def connection() -> Iterator[libvirt.virConnect]:
    with SessionDaemon() as daemon:
        value = libvirt.open(daemon.uri)
        yield value
        value.close()


@pytest.fixture
def house(connection: libvirt.virConnect, tmp_path: Path) -> Iterator[House]:
    yield House(connection, tmp_path)
    for domain in connection.listAllDomains(0):
        if domain.isActive():
            domain.destroy()
        domain.undefineFlags(
            libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
            | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
            | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
        )


# --- full clones ------------------------------------------------------------------------------------------


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
    shown = house.plan(CloneVm(source, CloneSpec("copy")))
    assert "runs" in shown.refused
    assert "snapshot" in shown.advice
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


# --- linked clones and templates --------------------------------------------------------------------------


def test_a_linked_clone_stands_on_frozen_images(house: House) -> None:
    source = house.bios()
    made = house.clone(source, kind=CloneKind.LINKED)
    again = house.clone(source, "again", kind=CloneKind.LINKED)
    for key in (made.key, again.key):
        assert house.reads(house.disk(key), 1)
        assert house.reads(house.disk(key, "vdb"), 2)
    base = house.images / "source.qcow2"
    assert base.stat().st_mode & 0o222 == 0
    tree = snapshots.read_snapshots(house.context, ReadSnapshots(source))
    assert [each.title for each in tree.snapshots] == ["Base of copy"], "an unchanged VM is not snapshot once more"
    frozen = hashlib.sha256(base.read_bytes()).digest()
    house.write(Path(house.disk(made.key)), 8)
    house.write(Path(house.disk(source)), 9)
    house.run_briefly(made.key)
    house.run_briefly(source)
    assert hashlib.sha256(base.read_bytes()).digest() == frozen
    assert house.reads(house.disk(again.key), 1)
    # The snapshot cannot go as long as the clones need it; once they are detached, it can.
    request = DeleteSnapshots(source, (tree.snapshots[0].id,))
    assert "needed by “" in house.plan(request).refused
    for key in (made.key, again.key):
        assert house.plan(DetachClone(key)).needs_bytes > 0
        handlers.detach_clone(house.context, DetachClone(key))
        assert "backing" not in run("qemu-img", "info", house.disk(key))
    assert "alone" in house.plan(DetachClone(made.key)).refused
    snapshots.delete_snapshots(house.context, request)
    assert house.reads(house.disk(made.key), 8)
    assert house.reads(house.disk(again.key), 1)
    assert house.reads(house.disk(source), 9)


def test_a_template_is_only_cloned(house: House) -> None:
    source = house.uefi()
    handlers.set_template(house.context, SetTemplate(source, True))
    base = house.images / "source.qcow2"
    assert base.stat().st_mode & 0o222 == 0
    assert snapshots.read_snapshots(house.context, ReadSnapshots(source)).is_template
    linked = house.clone(source, "linked", kind=CloneKind.LINKED)
    full = house.clone(source, "full")
    assert house.reads(house.disk(linked.key), 1)
    assert house.reads(house.disk(full.key), 1)
    house.run_briefly(linked.key)
    house.run_briefly(full.key)
    with pytest.raises(InUseError, match="linked"):
        handlers.set_template(house.context, SetTemplate(source, False))
    with pytest.raises(GuivmError, match="template"):
        house.take(source, "No")
    handlers.detach_clone(house.context, DetachClone(linked.key))
    handlers.set_template(house.context, SetTemplate(source, False))
    assert base.stat().st_mode & 0o200
    house.run_briefly(source)


def test_a_linked_clone_of_a_running_vm(house: House) -> None:
    source = house.bios()
    house.domain(source).create()
    made = house.clone(source, kind=CloneKind.LINKED)
    assert house.domain(source).isActive()
    house.run_briefly(made.key)
    handlers.detach_clone(house.context, DetachClone(made.key))
    assert house.reads(house.disk(made.key), 1)


def test_a_running_linked_clone_is_detached(house: House) -> None:
    source = house.define("source", {"vda": (house.image("source.qcow2", 1), "qcow2")})
    made = house.clone(source, kind=CloneKind.LINKED)
    house.domain(made.key).create()
    handlers.detach_clone(house.context, DetachClone(made.key))
    assert house.domain(made.key).isActive()
    house.domain(made.key).destroy()
    assert "backing" not in run("qemu-img", "info", house.disk(made.key))
    assert house.reads(house.disk(made.key), 1)
    house.run_briefly(made.key)


# --- runs that are thrown away ----------------------------------------------------------------------------


def write_as_guest(house: House, key: VmKey, value: int, target: str = "vda") -> None:
    """Through the running QEMU, as the guest would."""
    live = etree.fromstring(house.domain(key).XMLDesc(0))
    index = live.xpath(f"string(devices/disk[target/@dev='{target}']/source/@index)")
    command = f'qemu-io libvirt-{index!s}-format "write -P {value} 0 1M"'
    libvirt_qemu.qemuMonitorCommand(house.domain(key), command, libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP)


def test_a_run_that_is_thrown_away_leaves_nothing(house: House) -> None:
    source = house.bios()
    stored = house.document(source).to_text()
    before = house.hashes()
    disposable.start_disposable(house.context, StartDisposable(source))
    assert house.document(source).to_text() == stored
    write_as_guest(house, source, 7)
    write_as_guest(house, source, 8, "vdb")
    kept = {path: found for path, found in house.hashes().items() if path in before}
    assert kept == before, "the images are not written to"
    seen = Reader(house.host, house.connection).read(source.uuid)
    assert seen is not None
    assert seen.is_disposable
    assert not seen.can_have_pending
    with pytest.raises(WrongStateError, match="thrown away"):
        marks.refuse_disposable(house.domain(source), "Its state cannot be saved")
    with pytest.raises(GuivmError):
        disposable.start_disposable(house.context, StartDisposable(source))
    while_it_runs = house.hashes()
    disposable.clean_up_all(house.context)
    assert house.hashes() == while_it_runs, "what is in use stays"
    house.domain(source).destroy()
    disposable.clean_up(house.context, source)
    assert house.hashes() == before
    assert not [path for path in house.images.iterdir() if path.name == disposable.FOLDER]
    assert house.document(source).to_text() == stored
    ended = Reader(house.host, house.connection).read(source.uuid)
    assert ended is not None
    assert not ended.is_disposable
    house.run_briefly(source)


def test_what_a_run_left_behind_is_removed_later(house: House) -> None:
    """Nobody was there when it ended; then it ran in the ordinary way."""
    source = house.bios()
    before = house.hashes()
    disposable.start_disposable(house.context, StartDisposable(source))
    write_as_guest(house, source, 7)
    house.domain(source).destroy()
    house.domain(source).create()
    disposable.clean_up_all(house.context)
    assert house.hashes() == before
    house.domain(source).destroy()
    disposable.start_disposable(house.context, StartDisposable(source))
    house.domain(source).destroy()
    disposable.start_disposable(house.context, StartDisposable(source))
    house.domain(source).destroy()
    disposable.clean_up_all(house.context)
    assert house.hashes() == before


def test_firmware_and_tpm_forget_what_a_run_told_them(house: House) -> None:
    tpm = "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>"
    source = house.define("source", {"vda": (house.image("source.qcow2", 1), "qcow2")}, uefi=True, more=tpm)
    house.run_briefly(source)
    seen = read_situation(house.context, source)
    state, variables = Path(tpm_folder(house.context, seen)), Path(nvram_path(house.context, seen))
    (state / "marker").write_bytes(b"before")
    kept = variables.read_bytes()
    disposable.start_disposable(house.context, StartDisposable(source))
    live = DomainXml.parse(house.domain(source).XMLDesc(0))
    assert Path(live.os.nvram or "").parent.parent.name == disposable.FOLDER
    (state / "marker").write_bytes(b"told in the run")
    house.domain(source).destroy()
    disposable.clean_up(house.context, source)
    assert (state / "marker").read_bytes() == b"before"
    assert {path.name for path in state.parent.iterdir()} == {source.uuid}
    assert variables.read_bytes() == kept
    house.run_briefly(source)


def test_a_run_that_cannot_begin_leaves_nothing(house: House) -> None:
    source = house.bios()
    before = house.hashes()
    house.domain(source).create()
    house.domain(source).managedSave(0)
    with pytest.raises(WrongStateError, match="saved state"):
        disposable.start_disposable(house.context, StartDisposable(source))
    house.domain(source).managedSaveRemove(0)
    handlers.set_template(house.context, SetTemplate(source, True))
    with pytest.raises(WrongStateError, match="template"):
        disposable.start_disposable(house.context, StartDisposable(source))
    with pytest.raises(WrongStateError, match="template"):
        templates.require_no_template(house.context, source)
    handlers.set_template(house.context, SetTemplate(source, False))
    templates.require_no_template(house.context, source)
    assert {path: found for path, found in house.hashes().items() if "tree.json" not in path} == before
    medium = "<disk type='file' device='cdrom'><source file='/no/such.iso'/><target dev='sda' bus='sata'/></disk>"
    broken = house.define("broken", {"vda": (house.image("broken.qcow2", 1), "qcow2")}, more=medium)
    before = house.hashes()
    with pytest.raises(libvirt.libvirtError, match=r"such\.iso"):
        disposable.start_disposable(house.context, StartDisposable(broken))
    assert house.hashes() == before


# --- faults -----------------------------------------------------------------------------------------------


def child(house: House, key: VmKey, *arguments: str, wrap: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """A clone made by another process."""
    command = [*wrap, sys.executable, "-m", "tests.helpers.clone_child", house.host, key.uuid, str(house.folder)]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    ("kind", "where", "is_made"),
    [
        ("full", "during:0", False),
        ("full", "decided:0", True),
        ("full", "after:2", True),
        ("linked", "after:3", False),
        ("linked", "decided:0", True),
        ("linked", "after:6", True),
    ],
)
def test_a_clone_cut_short_is_whole_or_nothing(house: House, kind: str, where: str, is_made: bool) -> None:
    """With libvirt and QEMU; every single moment is in tests/unit/test_clone_faults.py."""
    source = house.bios()
    before, names = house.hashes(), house.names()
    ended = child(house, source, "copy", kind, "--die", where)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    recovering.recover(house.context)
    if not is_made:
        assert house.hashes() == before
        assert house.names() == names
    else:
        assert house.names() == {*names, "copy"}
        copy = VmKey(house.host, house.connection.lookupByName("copy").UUIDString())
        assert house.reads(house.disk(copy), 1)
        assert house.reads(house.disk(copy, "vdb"), 2, "raw" if kind == "full" else "qcow2")
        house.run_briefly(copy)
    assert {path: found for path, found in house.hashes().items() if path in before} == before
    assert house.reads(house.disk(source), 1)
    house.run_briefly(source)
    # What was cut short is in nobody's way.
    house.clone(source, "later")


def test_a_cancelled_clone_leaves_nothing(house: House) -> None:
    source = house.bios()
    run("qemu-io", "-c", "write -P 5 0 8M", house.images / "source.qcow2")
    before, names = house.hashes(), house.names()
    context = house.context

    def cancel_at_first_bytes(info: JobInfo) -> None:
        if info.progress is not None and info.progress.unit_bytes:
            context.job.cancel()

    context = replace(context, job=Job(house.host, None, "test", on_change=cancel_at_first_bytes))
    context.job.begin()
    with pytest.raises(CancelledError):
        handlers.clone_vm(context, CloneVm(source, CloneSpec("copy")))
    assert house.hashes() == before
    assert house.names() == names


def test_a_full_disk_leaves_nothing(house: House) -> None:
    """The file system of the new images has room for a part of the copy only."""
    source = house.bios()
    run("qemu-io", "-c", "write -P 5 0 8M", house.images / "source.qcow2")
    small = house.folder / "small"
    small.mkdir()
    before, names = house.hashes(), house.names()
    script = 'mount -t tmpfs -o size=4m none "$0" && "$@"; code=$?; ls -A "$0" >&2; exit $code'
    wrap = ("unshare", "--user", "--map-root-user", "--mount", "--", "sh", "-c", script, str(small))
    ended = child(house, source, "copy", "full", "--directory", str(small), wrap=wrap)
    assert ended.returncode == 1
    assert ended.stderr.rstrip().endswith("NoSpaceError"), "and no file after it"
    assert house.hashes() == before
    assert house.names() == names
