"""A host of symbolic files: what a disk image holds is a mapping from cluster to value.

Steps of plans are done to it as ``qemu-img`` and libvirt would do them, and what they would refuse or ruin fails an
assertion. The graph is read from its "headers" and definitions, by other code than the planners' own simulation.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field, replace

from guivm.engine.snapshots import steps as st
from guivm.engine.snapshots.definitions import read_definition
from guivm.engine.snapshots.environment import Environment
from guivm.engine.snapshots.graph import Graph, HeldDisk, Holder, Image
from guivm.engine.snapshots.steps import Plan, Step, made_by
from guivm.engine.snapshots.tree import BranchTree
from guivm.engine.types import HostId, VmKey, VmState

CLUSTERS = 6
MIB = 1 << 20
Contents = dict[int, int]
Reading = dict[str, object]


@dataclass(slots=True)
class Disk:
    format: str
    contents: Contents = field(default_factory=dict)
    backing: str | None = None
    backing_format: str = ""
    virtual_bytes: int = CLUSTERS * MIB


def uuid_of(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


def store_of(uuid: str) -> str:
    return f"/i/.guivm-snapshots/{uuid}"


def tpm_of(uuid: str) -> str:
    return f"/l/swtpm/{uuid}"


def definition(
    uuid: str, name: str, disks: dict[str, tuple[str, str]], *, nvram: str = "", shared: dict[str, str] | None = None
) -> str:
    """A domain document; ``disks`` by target: (path, format), ``shared``: read-only ones."""
    lines = [
        f"<domain type='kvm'><name>{name}</name><uuid>{uuid}</uuid>",
        f"<os><type>hvm</type>{f'<nvram>{nvram}</nvram>' if nvram else ''}</os><devices>",
    ]
    for target, (path, form) in disks.items():
        lines.append(
            f"<disk type='file' device='disk'><driver name='qemu' type='{form}'/><source file='{path}'/>"
            f"<target dev='{target}' bus='virtio'/></disk>"
        )
    for target, path in (shared or {}).items():
        lines.append(
            f"<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{path}'/>"
            f"<target dev='{target}' bus='virtio'/><readonly/></disk>"
        )
    return "\n".join([*lines, "</devices></domain>"])


@dataclass(slots=True)
class World:
    """All files and VMs of a host. ``others``, ``unreadable`` and ``missing`` go into the graph as they are."""

    images: dict[str, Disk] = field(default_factory=dict)
    blobs: dict[str, object] = field(default_factory=dict)  # NVRAM, TPM state, memory
    frozen: set[str] = field(default_factory=set)
    definitions: dict[str, str] = field(default_factory=dict)
    trees: dict[str, BranchTree] = field(default_factory=dict)
    running: set[str] = field(default_factory=set)
    others: dict[str, str] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    tokens: int = 0

    def copy(self) -> World:
        return replace(
            self,
            images={path: replace(disk, contents=dict(disk.contents)) for path, disk in self.images.items()},
            blobs=dict(self.blobs),
            frozen=set(self.frozen),
            definitions=dict(self.definitions),
            trees=dict(self.trees),
            running=set(self.running),
        )

    def add_vm(
        self,
        number: int,
        name: str,
        disks: dict[str, Disk],
        *,
        nvram: bool = False,
        shared: dict[str, str] | None = None,
    ) -> str:
        uuid = uuid_of(number)
        paths = {}
        for target, disk in disks.items():
            path = f"/i/{name}-{target}.{'qcow2' if disk.format == 'qcow2' else 'img'}"
            self.images[path] = disk
            paths[target] = path, disk.format
        place = f"/l/nvram/{name}.fd" if nvram else ""
        if nvram:
            self.blobs[place] = f"nvram of {name}"
            self.blobs[tpm_of(uuid)] = f"tpm of {name}"
        self.definitions[uuid] = definition(uuid, name, paths, nvram=place, shared=shared)
        return uuid

    # --- as the planners see it -----------------------------------------------------------------------

    def tree(self, uuid: str) -> BranchTree:
        return self.trees.get(uuid) or BranchTree(uuid, read_definition(self.definitions[uuid]).name)

    def new_token(self) -> str:
        self.tokens += 1
        return f"{self.tokens:08x}"

    def env(self, uuid: str, **changes: object) -> Environment:
        runs = uuid in self.running
        made = Environment(
            key=VmKey(HostId("qemu:///session"), uuid),
            definition=self.definitions[uuid],
            store=store_of(uuid),
            token=self.new_token(),
            now_s=1000.0 + self.tokens,
            running=frozenset(self.running),
            live_definition=self.definitions[uuid] if runs else "",
            vm_state=VmState.RUNNING if runs else VmState.OFF,
            free={1: 1 << 50},
            store_file_system=1,
            sizes=dict.fromkeys(self.blobs, 4096),
            memory_bytes=1 << 30,
            tpm=tpm_of(uuid),
        )
        return replace(made, **changes)  # type: ignore[arg-type]

    def graph(self) -> Graph:
        holders = [self.current(uuid) for uuid in self.definitions]
        for uuid, tree in self.trees.items():
            holders.extend(tree.holders(uuid, read_definition(self.definitions[uuid]).name))
        images: dict[str, Image] = {}
        for top in [path for holder in holders for path in holder.files] + list(self.others):
            path = top
            while path in self.images and path not in images:
                disk = self.images[path]
                images[path] = Image(
                    path,
                    disk.format,
                    disk.virtual_bytes,
                    (len(disk.contents) + 1) * 1000,
                    disk.backing,
                    disk.backing_format,
                    file_system=1,
                )
                path = disk.backing or ""
        return Graph(images, tuple(holders), self.others, self.unreadable, self.missing)

    def current(self, uuid: str) -> Holder:
        known = read_definition(self.definitions[uuid])
        tree = self.trees.get(uuid)
        return Holder(
            uuid=uuid,
            vm_name=known.name,
            disks=tuple(HeldDisk(d.target, d.path, d.is_own) for d in known.disks if d.is_disk),
            parent=tree.current if tree else None,
            nvram=known.nvram,
            is_template=bool(tree and tree.is_template),
        )

    # --- what is read and written ---------------------------------------------------------------------

    def reads(self, path: str) -> Contents:
        chain = []
        name: str | None = path
        while name is not None:
            assert name in self.images, f"{name} is missing"
            chain.append(self.images[name])
            name = self.images[name].backing
        found: Contents = {}
        for disk in reversed(chain):
            found.update(disk.contents)
        return {cluster: value for cluster, value in found.items() if value}

    def reading(self, holder: Holder) -> Reading:
        """All that a holder reads, by what it is for."""
        found: Reading = {disk.target: self.reads(disk.path) for disk in holder.disks}
        tpm = tpm_of(holder.uuid) if holder.is_current else holder.tpm
        found["nvram"] = self.blobs.get(holder.nvram)
        found["tpm"] = self.blobs.get(tpm)
        if holder.memory:
            found["memory"] = self.blobs[holder.memory]
        return found

    def readings(self) -> dict[tuple[str, str | None], Reading]:
        return {(h.uuid, h.snapshot): self.reading(h) for h in self.graph().holders}

    def guest_writes(self, uuid: str, target: str, cluster: int, value: int) -> None:
        path = next(d.path for d in self.current(uuid).disks if d.target == target and d.written)
        assert path not in self.frozen, f"{path} is frozen"
        self.images[path].contents[cluster] = value

    def firmware_writes(self, uuid: str, value: int) -> None:
        known = read_definition(self.definitions[uuid])
        if known.nvram:
            self.blobs[known.nvram] = f"nvram {value}"
            self.blobs[tpm_of(uuid)] = f"tpm {value}"

    def _disks(self, uuid: str) -> Reading:
        return {d.target: self.reads(d.path) for d in self.current(uuid).disks if d.written}

    # --- steps ----------------------------------------------------------------------------------------

    def do_all(self, plan: Plan, uuid: str) -> None:
        for step in (*plan.prepare, *plan.finish):
            self.do(step, uuid)

    def take_back(self, plan: Plan, uuid: str) -> None:
        for step in plan.undo:
            self.do(step, uuid)
        for path in made_by(plan.prepare):
            self.images.pop(path, None)
            self.blobs.pop(path, None)
            self.frozen.discard(path)

    def do(self, step: Step, uuid: str) -> None:
        """As often as one likes."""
        match step:
            case st.MakeOverlay(path, base, base_format, size):
                self._overlay(path, base, base_format, size)
            case st.CopyFile(source, target):
                self.blobs[target] = self.blobs[source]
            case st.Freeze(path):
                assert path in self.images
                self.frozen.add(path)
            case st.Thaw(path):
                self.frozen.discard(path)
            case st.Pull(path, form, backing, backing_format):
                self._not_in_use(path)
                self._pull(path, form, backing, backing_format)
            case st.LivePull(target, path, backing):
                assert uuid in self.running
                assert any(d.target == target and d.path == path for d in self.current(uuid).disks)
                self._pull(path, "qcow2", backing, self.images[backing].format if backing else "")
            case st.LiveMerge(target=target, path=path, into=into, above=above):
                assert uuid in self.running
                top = next(d.path for d in self.current(uuid).disks if d.target == target)
                assert {path, into, above} <= {image.path for image in self.graph().chain(top)} or (
                    self.images[above].backing == into
                )
                self._live_merge(step)
            case st.Merge(path, form, into):
                self._not_in_use(into)
                self._writable(path, into)
                disk = self.images[path]
                assert (disk.backing, disk.format) == (into, form)
                assert disk.virtual_bytes == self.images[into].virtual_bytes
                self.images[into].contents.update(disk.contents)
            case st.SetBacking(path, form, backing, backing_format):
                self._not_in_use(path)
                self._writable(path)
                before = self.reads(path)
                disk = self.images[path]
                assert disk.format == form
                disk.backing, disk.backing_format = backing, backing_format
                assert self.reads(path) == before
            case st.Quarantine(path, target) | st.PutInPlace(path, target):
                self._move(path, target)
            case st.DefineVm(xml):
                self.definitions[read_definition(xml).uuid] = xml
            case st.WriteTree(document):
                tree = BranchTree.from_json(document)
                assert tree.uuid == uuid
                self.trees[uuid] = tree
            case st.SaveMemory(path):
                if uuid in self.running:
                    self.blobs[path] = self._disks(uuid)
                    self.running.discard(uuid)
                assert path in self.blobs
            case st.RunMemory():
                self._run_memory(step, uuid)
            case st.LiveOverlays():
                self._live_overlays(step, uuid)
            case st.StopVm():
                self.running.discard(uuid)
            case _:
                raise AssertionError(step)

    def half(self, step: Step, uuid: str) -> None:
        """The step, cut short where it can be."""
        match step:
            case st.Merge(path, _, into) | st.LiveMerge(path=path, into=into):
                for cluster in sorted(self.images[path].contents)[::2]:
                    self.images[into].contents[cluster] = self.images[path].contents[cluster]
            case st.Pull(path) | st.LivePull(path=path):
                view = self.reads(path)
                for cluster in sorted(view)[::2]:
                    self.images[path].contents[cluster] = view[cluster]
            case st.StopVm() | st.SaveMemory() | st.LiveOverlays():
                pass  # whole or not at all
            case _:
                self.do(step, uuid)

    def _overlay(self, path: str, base: str, base_format: str, size: int) -> None:
        assert self.images[base].format == base_format
        assert path not in self.images or not self.images[path].contents
        assert path not in self.blobs
        self.images[path] = Disk("qcow2", {}, base, base_format, size)

    def _writable(self, *paths: str) -> None:
        for path in paths:
            assert path not in self.frozen, f"{path} is frozen"

    def _not_in_use(self, path: str) -> None:
        """QEMU's locks: an image in a running VM's chain is nobody else's to write."""
        for uuid in self.running:
            for disk in self.current(uuid).disks:
                name: str | None = disk.path
                while name is not None:
                    assert name != path, f"{path} is in use by a running VM"
                    name = self.images[name].backing

    def _pull(self, path: str, form: str, backing: str | None, backing_format: str) -> None:
        self._writable(path)
        disk, view = self.images[path], self.reads(path)
        assert disk.format == form == "qcow2"
        below = {} if backing is None else self.reads(backing)
        for cluster in {*view, *below}:
            if view.get(cluster, 0) != below.get(cluster, 0):
                disk.contents[cluster] = view.get(cluster, 0)
        disk.backing, disk.backing_format = backing, backing_format
        assert self.reads(path) == view

    def _live_merge(self, step: st.LiveMerge) -> None:
        self._writable(step.into, step.above)
        disk, into, above = self.images[step.path], self.images[step.into], self.images[step.above]
        assert disk.backing == step.into
        assert above.backing in (step.path, step.into)
        assert (disk.format, into.format, above.format) == (step.format, step.into_format, step.above_format)
        assert disk.virtual_bytes == into.virtual_bytes
        before = self.reads(step.above)
        into.contents.update(disk.contents)
        above.backing, above.backing_format = step.into, step.into_format
        assert self.reads(step.above) == before

    def _move(self, path: str, target: str) -> None:
        known: dict[str, Disk] | dict[str, object] = (
            self.images if path in self.images or target in self.images else (self.blobs)
        )
        if path not in known:
            assert target in known, f"{path} is neither there nor moved"
            return
        assert target not in {**self.images, **self.blobs}, f"{target} is in the way"
        known[target] = known.pop(path)  # type: ignore[assignment]
        if path in self.frozen:
            self.frozen.discard(path)
            self.frozen.add(target)

    def _run_memory(self, step: st.RunMemory, uuid: str) -> None:
        if uuid in self.running or step.path not in self.blobs:
            return
        if any(self.images[path].contents for path in step.onto):
            return
        assert read_definition(step.xml).uuid == uuid
        told = {d.path for d in read_definition(step.xml).disks if d.is_own}
        assert told == {d.path for d in self.current(uuid).disks if d.written}
        assert self.blobs[step.path] == self._disks(uuid), "the memory does not fit the disks"
        assert not told & self.frozen
        self.running.add(uuid)

    def _live_overlays(self, step: st.LiveOverlays, uuid: str) -> None:
        assert uuid in self.running
        wanted = dict(step.disks)
        if all(d.path == wanted[d.target] for d in self.current(uuid).disks if d.target in wanted):
            return
        xml = self.definitions[uuid]
        for disk in self.current(uuid).disks:
            if disk.target in wanted:
                image = self.images[disk.path]
                self._overlay(wanted[disk.target], disk.path, image.format, image.virtual_bytes)
                assert f"'{wanted[disk.target]}'" in step.xml or f'"{wanted[disk.target]}"' in step.xml
                pattern = rf"type=(['\"]){image.format}\1([^>]*>\s*<source file=)(['\"]){re.escape(disk.path)}\3"
                xml, count = re.subn(pattern, rf"type=\1qcow2\1\2\3{wanted[disk.target]}\3", xml)
                assert count == 1
        for source, target in step.copies:
            self.blobs[target] = self.blobs[source]
        self.definitions[uuid] = xml

    # --- what must hold at rest -----------------------------------------------------------------------

    def check(self, left_alone: set[str]) -> None:
        """``left_alone``: files that plans said to leave where they are."""
        graph = self.graph()
        for holder in graph.holders:
            self.reading(holder)
            for disk in holder.disks:
                if holder.is_current and disk.written:
                    if not holder.is_template:
                        assert disk.path not in self.frozen, f"{holder.vm_name} cannot write {disk.path}"
                        assert graph.readers_of(disk.path) == (holder,), f"{disk.path} is read by others"
                    else:
                        assert disk.path in self.frozen
        for tree in self.trees.values():
            for snapshot in tree.snapshots:
                for path in snapshot.images:
                    assert path in self.frozen, f"{path} of a snapshot can be written"
        used = {*graph.images, *(path for holder in graph.holders for path in holder.files), *left_alone}
        used.update(tpm_of(uuid) for uuid in self.definitions)
        for path in (*self.images, *self.blobs):
            if "/.guivm-trash/" not in path:
                assert path in used, f"{path} is left behind"
                assert posixpath.normpath(path) == path
