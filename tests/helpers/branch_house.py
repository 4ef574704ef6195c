"""A VM with UEFI, two drives and snapshots of ours, all of it files; and what must hold for it whatever happens."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from guivm.engine.context import HandlerContext
from guivm.engine.snapshots import branches, store
from guivm.engine.snapshots.tree import BranchTree
from guivm.engine.snapshots.values import SnapshotId
from guivm.engine.xml.domain import DomainXml
from tests.helpers.file_libvirt import file_context, key_of
from tests.helpers.image_oracles import chain, check_images, digest, make_image, write_pattern

UUID = "11111111-2222-4333-8444-555555555555"

_VM = """<domain type='qemu'><name>house</name><uuid>{uuid}</uuid><memory unit='MiB'>64</memory>
<os><type arch='x86_64' machine='q35'>hvm</type>
<loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE.fd</loader><nvram>{nvram}</nvram></os>
<devices>
<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{one}'/><target dev='vda' bus='virtio'/>
</disk>
<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{two}'/><target dev='vdb' bus='virtio'/>
</disk>
</devices></domain>"""


@dataclass(frozen=True, slots=True)
class Contents:
    """What everybody reads: by title of the snapshot, "" for the current state. ``parents`` by title."""

    reads: dict[str, tuple[str, ...]]
    parents: dict[str, str]


class House:
    """Below ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.images = folder / "images"
        self.key = key_of(UUID)
        self._sound: set[bytes] = set()

    @property
    def context(self) -> HandlerContext:
        return file_context(self.folder)

    def build(self) -> None:
        """The VM as it is made."""
        context = self.context
        one = make_image(self.images / "one.qcow2")
        two = make_image(self.images / "two.img", "raw")
        nvram = self.images / "house_VARS.fd"
        nvram.write_bytes(b"first variables")
        write_pattern(one, 1, 0, 1 << 18)
        write_pattern(two, 2, 0, 1 << 18, "raw")
        context.connection.defineXML(_VM.format(uuid=UUID, nvram=nvram, one=one, two=two))

    # --- what a person does ---------------------------------------------------------------------------

    def take(self, title: str) -> SnapshotId:
        return branches.take(self.context, self.key, title, "", memory=False, quiesce=False).id

    def restore(self, title: str, keep: str = "") -> None:
        branches.restore(self.context, self.key, self.find(title), keep)

    def undo(self) -> None:
        branches.undo(self.context, self.key)

    def delete(self, *titles: str, children: bool = False) -> None:
        branches.delete(self.context, self.key, tuple(self.find(t) for t in titles), children=children)

    def guest_writes(self, value: int, at: int = 0, length: int = 1 << 17) -> None:
        """On both drives, and in the variables."""
        for path, form in self.disks():
            write_pattern(path, value, at, length, form)
        self.nvram().write_bytes(f"variables {value}".encode())

    # --- what there is --------------------------------------------------------------------------------

    def tree(self) -> BranchTree:
        return store.load(self.images, UUID) or BranchTree(UUID, "house")

    def find(self, title: str) -> SnapshotId:
        return next(s.id for s in self.tree().snapshots if s.title == title)

    def document(self) -> DomainXml:
        return DomainXml.parse(self.context.connection.lookupByUUIDString(UUID).XMLDesc(0))

    def disks(self) -> list[tuple[Path, str]]:
        return [(Path(disk.path), disk.driver_type or "") for disk in self.document().devices.disks]

    def nvram(self) -> Path:
        return Path(self.document().os.nvram or "")

    def contents(self) -> Contents:
        tree = self.tree()
        titles = {s.id: s.title for s in tree.snapshots}
        reads = {"": (*(digest(path, form) for path, form in self.disks()), self.nvram().read_text())}
        parents = {"": titles.get(tree.current or SnapshotId(""), "")}
        for each in tree.snapshots:
            disks = [digest(path, "raw" if path.endswith(".img") else "qcow2") for path in each.images]
            reads[each.title] = (*disks, Path(each.nvram).read_text())
            parents[each.title] = titles.get(each.parent or SnapshotId(""), "")
        return Contents(reads, parents)

    def needed(self) -> set[Path]:
        """Every file that somebody needs, images below included."""
        tree = self.tree()
        tops = [*self.disks()]
        found = {self.nvram()}
        for each in tree.snapshots:
            tops += [(Path(path), "raw" if path.endswith(".img") else "qcow2") for path in each.images]
            found.update(Path(path) for path in each.extras)
        for path, form in tops:
            found.update(path for path, _ in chain(path, form))
        return found

    def require_sound(self) -> None:
        """The oracles that hold whatever was done, once nothing is under way."""
        needed = self.needed()
        folder = store.folder_of(self.images, UUID)
        check_images([path for path in needed if path.suffix == ".qcow2"], self._sound)
        there = {path for path in self.images.rglob("*") if not path.is_dir()}
        own = {folder / store.TREE_NAME, folder / "lock"}
        stray = {p for p in there - needed - own if not any(part.endswith(".moved") for part in p.parts)}
        assert not stray, stray
        tops = [path for path, _ in self.disks()]
        frozen = {Path(path) for each in self.tree().snapshots for path in each.images}
        assert len(set(tops)) == len(tops)
        for path in tops:
            assert path not in frozen, "a snapshot's image is written to"
            assert bool(path.stat().st_mode & 0o222) is not self.tree().is_template
        for path in frozen:
            assert not path.stat().st_mode & 0o222, f"{path} is not protected"

    def copy_of(self, other: House) -> None:
        """Become what another house is: same paths, so only for one that was moved away. See :meth:`keep`."""
        shutil.rmtree(self.folder)
        _copy_all(other.folder, self.folder)

    def keep(self, where: Path) -> House:
        """A copy of all files elsewhere, to be brought back by :meth:`copy_of`."""
        _copy_all(self.folder, where)
        return House(where)


def _copy_all(source: Path, target: Path) -> None:
    """Hard links stay such: an operation cut short can leave two names of one file."""
    subprocess.run(["cp", "-a", "--", source, target], check=True)
