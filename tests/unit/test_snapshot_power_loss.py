"""The power fails in the middle of operations on snapshots and clones: what was not synced is gone, nothing else is.

Each operation is done once, with real ``qemu-img``, on a file system that keeps what is done to it; then each state
that a loss of power can leave is put on an ordinary one, and settled there.
"""

from __future__ import annotations

import random
import shutil
import stat
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from guivm.engine.cloning import handlers
from guivm.engine.requests import CloneVm, DetachClone, SetTemplate
from guivm.engine.snapshots import defining, journal, recovering, steps, store
from guivm.engine.snapshots.values import CloneKind, CloneSpec, IdentityPolicy
from guivm.engine.types import VmKey
from guivm.engine.xml.domain import DomainXml
from tests.helpers.branch_house import UUID, Contents, House
from tests.helpers.image_oracles import chain, digest
from tests.helpers.power import (
    ROOT,
    Chmod,
    Disk,
    Event,
    Loss,
    Make,
    Names,
    Resize,
    State,
    Sync,
    Write,
    cuts,
    write_state,
)
from tests.helpers.power_fuse import record
from tests.helpers.snapshot_place import Place, overlays, running_domain
from tests.unit.test_snapshot_faults import CASES


class Village(House):
    """A house, and the clones of its VM."""

    def clone(self, kind: CloneKind) -> None:
        spec = CloneSpec("clone", kind, identity=IdentityPolicy.KEEP)
        handlers.clone_vm(self.context, CloneVm(self.key, spec))

    def detach(self) -> None:
        (other,) = self._others()
        handlers.detach_clone(self.context, DetachClone(VmKey(self.key.host, other.uuid or "")))

    def set_template(self, on: bool) -> None:
        handlers.set_template(self.context, SetTemplate(self.key, on))

    def contents(self) -> Contents:
        found = super().contents()
        for other in self._others():
            disks = (digest(*disk) for disk in _disks(other))
            found.reads[f"clone {other.name}"] = (*disks, Path(other.os.nvram or "").read_text())
        found.parents["is a template"] = str(self.tree().is_template)
        return found

    def linked(self) -> list[bool]:
        """For each disk of the clones, whether it needs another image."""
        return [len(chain(*disk)) > 1 for other in self._others() for disk in _disks(other)]

    def needed(self) -> set[Path]:
        found = super().needed()
        for other in self._others():
            found.add(Path(other.os.nvram or ""))
            for disk in _disks(other):
                found.update(path for path, _ in chain(*disk))
            folder = store.folder_of(self.images, other.uuid or "")
            found.update({folder / "lock", folder / store.TREE_NAME})
        return found

    def _others(self) -> list[DomainXml]:
        documents = [DomainXml.parse(domain.XMLDesc(0)) for domain in self.context.connection.listAllDomains(0)]
        return [each for each in documents if each.uuid != UUID]


def _disks(document: DomainXml) -> list[tuple[Path, str]]:
    return [(Path(disk.path), disk.driver_type or "") for disk in document.devices.disks]


@dataclass(frozen=True, slots=True)
class Case:
    prepare: Callable[[Village], object]
    operation: Callable[[Village], object]


def _taken(village: Village) -> None:
    CASES["take"].prepare(village)


def _linked(village: Village) -> None:
    _taken(village)
    village.clone(CloneKind.LINKED)


def _template(village: Village) -> None:
    _taken(village)
    village.set_template(True)


CLONES = {
    "full clone": Case(_taken, lambda village: village.clone(CloneKind.FULL)),
    "linked clone": Case(_taken, lambda village: village.clone(CloneKind.LINKED)),
    "detach": Case(_linked, lambda village: village.detach()),
    "template": Case(_taken, lambda village: village.set_template(True)),
    "no template": Case(_template, lambda village: village.set_template(False)),
}
ALL = {name: Case(case.prepare, case.operation) for name, case in CASES.items()} | CLONES


@pytest.fixture
def village(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Village:
    found = Village(tmp_path / "h")
    found.folder.mkdir(0o700)
    monkeypatch.setattr(defining, "directory_of", lambda _uri: found.folder / "domains")
    return found


def _built(village: Village, case: Case) -> None:
    village.build()
    case.prepare(village)


def _fail_at_each_cut(
    village: Village, events: list[Event], after: Contents, linked: list[bool], allowed: tuple[Contents, ...]
) -> list[Contents]:
    """The contents once it is settled, for each state that the disk can be in; ``after`` and ``linked`` once it has
    ended. The village must be as it was before the first event."""
    found = []
    for cut in cuts(Disk.load(village.folder), events, tuple(Loss)):
        shutil.rmtree(village.folder)
        village.folder.mkdir(0o700)
        write_state(cut.state, village.folder)
        recovering.recover(village.context)
        assert not journal.is_there(store.folder_of(village.images, UUID))
        village.require_sound()
        now = village.contents()
        assert now in allowed, cut
        if cut.is_last:
            assert (now, village.linked()) == (after, linked), cut
        found.append(now)
    return found


@pytest.mark.parametrize("name", ALL)
def test_the_power_fails(tmp_path: Path, village: Village, name: str) -> None:
    """It is as before or as after; and as after, once the operation has ended."""
    case = ALL[name]
    _built(village, case)
    before = village.contents()
    kept = village.keep(tmp_path / "kept")
    events = record(Disk.load(village.folder), village.folder, lambda: case.operation(village))
    case.operation(village)
    village.require_sound()
    after, linked = village.contents(), village.linked()
    assert after != before or name == "detach"
    village.copy_of(kept)
    found = _fail_at_each_cut(village, events, after, linked, (before, after))
    assert before in found
    if village.tree().is_template:
        village.set_template(False)
    village.take("afterwards")
    village.require_sound()


@pytest.mark.parametrize("name", ["take", "restore and keep", "delete by merging"])
def test_the_power_fails_again_while_that_is_settled(tmp_path: Path, village: Village, name: str) -> None:
    case = ALL[name]
    _built(village, case)
    before = village.contents()
    events = record(Disk.load(village.folder), village.folder, lambda: case.operation(village))
    states = [cut.state for cut in cuts(Disk.load(village.folder), events, (Loss.DATA,))]
    ends: list[bool] = []
    for state in (states[each] for each in (4, len(states) // 2, -8)):
        shutil.rmtree(village.folder)
        village.folder.mkdir(0o700)
        write_state(state, village.folder)
        begun = village.keep(tmp_path / f"begun-{len(ends)}")
        events = record(Disk.load(village.folder), village.folder, lambda: recovering.recover(village.context))
        recovering.recover(village.context)
        settled = village.contents()
        village.copy_of(begun)
        _fail_at_each_cut(village, events, settled, village.linked(), (settled,))
        ends.append(settled == before)
    assert ends[0] is True
    assert ends[-1] is False


# --- what others write ------------------------------------------------------------------------------------


def test_memory_that_libvirt_has_written_is_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(_folder(tmp_path))
    domain = running_domain(place, monkeypatch)
    memory = place.folder / "1.mem"
    monkeypatch.setattr(
        domain, "saveFlags", lambda path, _xml, _flags: Path(path).write_bytes(b"memory"), raising=False
    )
    found = _after(tmp_path / "h", lambda: place.do(steps.SaveMemory(str(memory))))
    assert found[str(memory.relative_to(tmp_path / "h"))].data == b"memory"


def test_overlays_that_qemu_has_made_are_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(_folder(tmp_path))
    running_domain(place, monkeypatch)
    found = _after(tmp_path / "h", lambda: place.do(overlays(place)))
    assert found["images/live.qcow2"].data.startswith(b"QFI")


def _folder(tmp_path: Path) -> Path:
    folder = tmp_path / "h"
    folder.mkdir(0o700)
    return folder


def _after(folder: Path, operation: Callable[[], object]) -> State:
    """What a loss of power leaves once the operation has ended."""
    disk = Disk.load(folder)
    for event in record(Disk.load(folder), folder, operation):
        disk.apply(event)
    return disk.after(Loss.ALL, random.Random(0), {})


# --- the file system itself -------------------------------------------------------------------------------


def test_what_a_loss_of_power_takes() -> None:
    disk = Disk()
    for event in (
        Make(2, stat.S_IFREG | 0o600),
        Names(((ROOT, "a", 2),)),
        Write(2, 0, b"old"),
        Sync(2),
        Sync(ROOT),
        Write(2, 1, b"NEW"),
        Chmod(2, stat.S_IFREG | 0o400),
        Names(((ROOT, "b", 2), (ROOT, "a", 0))),
        Make(3, stat.S_IFREG | 0o600),
        Names(((ROOT, "c", 3),)),
        Write(3, 0, b"c"),
        Sync(3),
        Resize(3, 0),
    ):
        disk.apply(event)
    (at_end,) = [cut for cut in cuts(disk, [], (Loss.ALL,)) if cut.is_last]
    assert [(name, found.data, found.mode & 0o777) for name, found in at_end.state.items()] == [("a", b"old", 0o600)]
    (at_end,) = [cut for cut in cuts(disk, [], (Loss.DATA,)) if cut.is_last]
    assert [(name, found.data, found.mode & 0o777) for name, found in at_end.state.items()] == [
        ("b", b"old", 0o400),
        ("c", b"c", 0o600),
    ]
    (at_end,) = [cut for cut in cuts(disk, [], (Loss.NAMES,)) if cut.is_last]
    assert [(name, found.data, found.mode & 0o777) for name, found in at_end.state.items()] == [("a", b"oNEW", 0o400)]


def test_what_programs_do_there_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    (folder / "old").write_bytes(b"x" * 5000)

    def work() -> None:
        (folder / "sub").mkdir(0o700)
        shutil.copyfile(folder / "old", folder / "sub" / "new")
        (folder / "link").hardlink_to(folder / "old")
        (folder / "old").unlink()
        (folder / "sub" / "new").rename(folder / "moved")
        (folder / "moved").chmod(0o400)
        subprocess.run(["truncate", "-s", "3", folder / "link"], check=True)
        assert sorted(path.name for path in folder.iterdir()) == ["link", "moved", "sub"]
        subprocess.run(["sync", "-f", folder], check=False)
        with pytest.raises(FileExistsError):
            (folder / "sub").mkdir()
        (folder / "sub").rmdir()

    events = record(Disk.load(folder), folder, work)
    *_, at_end = cuts(Disk.load(folder), events, (Loss.ALL, Loss.NAMES, Loss.DATA))
    assert (folder / "old").read_bytes() == b"x" * 5000, "nothing was done to the folder below"
    shutil.rmtree(folder)
    folder.mkdir()
    disk = Disk.load(folder)
    assert [name for name, _ in at_end.state.items()] == ["link", "moved"]
    assert disk.events == []
