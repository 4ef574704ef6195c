"""Random lives of VMs with snapshots, clones and other users of their images: nothing is ever lost but what is named.

Every plan is done to symbolic images, whole and cut short at each step, and each time everybody must read what they
read before.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as some

from guivm.engine.snapshots import steps as st
from guivm.engine.snapshots.definitions import read_definition
from guivm.engine.snapshots.graph import Holder
from guivm.engine.snapshots.planning import (
    CloneTarget,
    NewSnapshot,
    plan_delete,
    plan_detach,
    plan_linked_clone,
    plan_restore,
    plan_take,
    plan_template,
    plan_undo_restore,
)
from guivm.engine.snapshots.simulate import differences
from guivm.engine.snapshots.steps import Plan
from guivm.engine.snapshots.values import FileAction, SnapshotId
from tests.helpers.symbolic_vms import CLUSTERS, Disk, Reading, World, definition, tpm_of, uuid_of

Readings = dict[tuple[str, str | None], Reading]
Lost = set[tuple[str, str | None]]


class Life:
    """One random life. ``draw(n)`` is a number below n."""

    def __init__(self, draw: Callable[[int], int]) -> None:
        self.draw = draw
        self.world = World()
        self.left_alone = {"/i/base.qcow2"}  # the person's own
        self.done: Counter[str] = Counter()
        self.clones = 0
        self.replaced: dict[str, Reading] = {}  # what undoing a VM's last restore must bring back
        self._begin()

    def _begin(self) -> None:
        """Two VMs on one base, a third that uses an ISO image too, one shared read-only disk."""
        world = self.world
        world.images["/i/base.qcow2"] = Disk("qcow2", {0: 1, 1: 1, 2: 1})
        world.images["/i/tools.img"] = Disk("raw", {0: 9})
        world.frozen.add("/i/base.qcow2")
        on_base = Disk("qcow2", {1: 2}, "/i/base.qcow2", "qcow2")
        world.add_vm(1, "ann", {"vda": on_base, "vdb": self._own_disk()}, nvram=True, shared={"vdc": "/i/tools.img"})
        other = Disk("qcow2", {2: 3}, "/i/base.qcow2", "qcow2")
        world.add_vm(2, "bob", {"vda": other})
        world.add_vm(3, "cid", {"vda": self._own_disk()}, nvram=True)
        world.others["/i/tools.img"] = "cid"

    def _own_disk(self) -> Disk:
        contents = {c: 1 + self.draw(9) for c in range(self.draw(CLUSTERS))}
        return Disk("raw" if self.draw(2) else "qcow2", contents)

    # --- what happens ---------------------------------------------------------------------------------

    def happen(self) -> None:
        kinds = (
            *(self.write,) * 3,
            *(self.take,) * 4,
            *(self.restore,) * 3,
            *(self.delete,) * 3,
            *(self.undo, self.clone, self.detach, self.template, self.power, self.power),
        )
        kinds[self.draw(len(kinds))]()

    def _vm(self) -> str:
        uuids = list(self.world.definitions)
        return uuids[self.draw(len(uuids))]

    def write(self) -> None:
        uuid = self._vm()
        current = self.world.current(uuid)
        if current.is_template:
            return
        for _ in range(1 + self.draw(3)):
            disks = [d for d in current.disks if d.written]
            target = disks[self.draw(len(disks))].target
            self.world.guest_writes(uuid, target, self.draw(CLUSTERS), self.draw(100))
        self.world.firmware_writes(uuid, self.draw(100))

    def power(self) -> None:
        uuid = self._vm()
        if uuid in self.world.running:
            self.world.running.discard(uuid)
        elif not self.world.current(uuid).is_template:
            self.world.running.add(uuid)

    def _new(self, uuid: str, title: str) -> NewSnapshot:
        self.clones += 1
        memory = uuid in self.world.running and self.draw(2) == 1
        return NewSnapshot(SnapshotId(f"s{self.clones}"), title, memory=memory, quiesce=self.draw(2) == 1)

    def take(self) -> None:
        uuid = self._vm()
        new = self._new(uuid, "taken")
        was = self.world.reading(self.world.current(uuid))
        plan = plan_take(self.world.graph(), self.world.tree(uuid), self.world.env(uuid), new)
        if self.go(plan, uuid, "take", set()):
            self.done["take with memory" if new.memory else "take"] += 1
            self._is_kept(uuid, new.id, was)

    def _is_kept(self, uuid: str, snapshot: SnapshotId, was: Reading) -> None:
        kept = next(h for h in self.world.graph().snapshots(uuid) if h.snapshot == snapshot)
        assert was.items() <= self.world.reading(kept).items()

    def _snapshot(self, uuid: str) -> SnapshotId | None:
        snapshots = self.world.tree(uuid).snapshots
        return snapshots[self.draw(len(snapshots))].id if snapshots else None

    def restore(self) -> None:
        uuid = self._vm()
        wanted = self._snapshot(uuid)
        if wanted is None:
            return
        before = self.world.reading(self.world.current(uuid))
        keep = self._new(uuid, "kept") if self.draw(2) else None
        plan = plan_restore(self.world.graph(), self.world.tree(uuid), self.world.env(uuid), wanted, keep)
        if not self.go(plan, uuid, "restore and keep" if keep else "restore", {(uuid, None)}):
            return
        holder = next(h for h in self.world.graph().snapshots(uuid) if h.snapshot == wanted)
        now = self.world.reading(self.world.current(uuid))
        assert now.items() <= self.world.reading(holder).items()
        assert (uuid in self.world.running) == bool(holder.memory)
        assert self.world.tree(uuid).current == wanted
        if keep is not None:
            self._is_kept(uuid, keep.id, before)
            return
        self.replaced[uuid] = before
        if self.draw(2):
            undone = self.world.copy()
            self.world, saved = undone, self.world
            plan = plan_undo_restore(undone.graph(), undone.tree(uuid), undone.env(uuid))
            assert self.go(plan, uuid, "undo", {(uuid, None)}), plan.shown.refused
            assert undone.reading(undone.current(uuid)) == before
            self.world = saved

    def undo(self) -> None:
        uuid = self._vm()
        before = self.world.reading(self.world.current(uuid))
        plan = plan_undo_restore(self.world.graph(), self.world.tree(uuid), self.world.env(uuid))
        if self.go(plan, uuid, "undo", {(uuid, None)}):
            assert self.world.reading(self.world.current(uuid)) == self.replaced[uuid]
            self.replaced[uuid] = before

    def delete(self) -> None:
        uuid = self._vm()
        tree = self.world.tree(uuid)
        chosen = {s for s in (self._snapshot(uuid) for _ in range(1 + self.draw(3))) if s is not None}
        children = self.draw(3) == 0
        plan = plan_delete(self.world.graph(), tree, self.world.env(uuid), tuple(sorted(chosen)), children)
        gone = tree.below(frozenset(chosen)) if children else frozenset(chosen)
        if self.go(plan, uuid, "delete", {(uuid, snapshot) for snapshot in gone}):
            assert [s.id for s in self.world.tree(uuid).snapshots] == [s.id for s in tree.snapshots if s.id not in gone]

    def clone(self) -> None:
        uuid = self._vm()
        snapshot = self._snapshot(uuid) if self.draw(2) else None
        base = self._new(uuid, "base") if snapshot is None and not self.world.current(uuid).is_template else None
        self.clones += 1
        name, new = f"clone{self.clones}", uuid_of(100 + self.clones)
        tree = self.world.tree(uuid)
        source = next((s for s in tree.snapshots if s.id == snapshot), None)
        text = source.definition if source else self.world.definitions[uuid]
        known = read_definition(text)
        disks = {d.target: (d.path, d.format) for d in known.disks if d.is_own}
        shared = {d.target: d.path for d in known.disks if not d.is_own}
        nvram = f"/l/nvram/{name}.fd" if known.nvram else ""
        xml = definition(new, name, disks, nvram=nvram, shared=shared)
        target = CloneTarget(new, name, xml, "/i", 1, nvram, tpm_of(new) if known.nvram else "")
        holder = self.world.current(uuid) if snapshot is None else self._holder(uuid, snapshot)
        was = self.world.reading(holder)
        plan = plan_linked_clone(self.world.graph(), tree, self.world.env(uuid), target, snapshot, base)
        if self.go(plan, uuid, "clone", set()):
            was.pop("memory", None)
            assert self.world.reading(self.world.current(new)) == was

    def _holder(self, uuid: str, snapshot: SnapshotId) -> Holder:
        return next(h for h in self.world.graph().snapshots(uuid) if h.snapshot == snapshot)

    def detach(self) -> None:
        uuid = self._vm()
        plan = plan_detach(self.world.graph(), self.world.tree(uuid), self.world.env(uuid))
        if self.go(plan, uuid, "detach", set()):
            graph = self.world.graph()
            holders = (graph.current(uuid), *graph.snapshots(uuid))
            own = {disk.path for holder in holders if holder for disk in holder.disks}
            for path in own:
                assert {image.path for image in graph.chain(path)} <= own

    def template(self) -> None:
        uuid = self._vm()
        on = not self.world.current(uuid).is_template
        plan = plan_template(self.world.graph(), self.world.tree(uuid), self.world.env(uuid), on)
        self.go(plan, uuid, "template on" if on else "template off", set())

    # --- plans are done, and cut short ----------------------------------------------------------------

    def go(self, plan: Plan, uuid: str, kind: str, lost: Lost) -> bool:
        """Do the plan; False when it is refused. ``lost``: who may read something else from now on."""
        if plan.shown.refused:
            assert (plan.prepare, plan.finish, plan.expected) == ((), (), None)
            self.done[f"refused: {kind}"] += 1
            return False
        self.done[kind] += 1
        self.done.update(type(step).__name__ for step in (*plan.prepare, *plan.finish))
        before = self.world.copy()
        was = before.readings()
        self._cut_short_before_the_mark(plan, uuid, before, was)
        self.world.do_all(plan, uuid)
        self._cut_short_after_the_mark(plan, uuid, before, was, lost)
        self._same_for_all(self.world, was, lost)
        assert plan.expected is not None
        assert differences(plan.expected, self.world.graph()) == ()
        self._accounted_for(plan, before)
        for warning in plan.shown.warnings:
            if "left where it is" in warning:
                self.left_alone.update(re.findall("“(/[^”]*)”", warning))
        self.world.check(self.left_alone)
        return True

    def _cut_short_before_the_mark(self, plan: Plan, uuid: str, before: World, was: Readings) -> None:
        for count, step in enumerate(plan.prepare):
            world = before.copy()
            for earlier in plan.prepare[:count]:
                world.do(earlier, uuid)
                assert not isinstance(earlier, st.LiveOverlays)  # it is the last
            world.half(step, uuid)
            self._same_for_all(world, was, set())
            world.take_back(plan, uuid)
            self._same_for_all(world, was, set())
            assert set(world.images) == set(before.images)
            assert set(world.blobs) == set(before.blobs)
            assert world.running == before.running
            assert world.frozen == before.frozen
            assert world.definitions == before.definitions

    def _cut_short_after_the_mark(self, plan: Plan, uuid: str, before: World, was: Readings, lost: Lost) -> None:
        world = before.copy()
        for step in plan.prepare:
            world.do(step, uuid)
        for count, step in enumerate(plan.finish):
            resumed = world.copy()
            resumed.half(step, uuid)
            self._same_for_all(resumed, was, lost)
            for again in plan.finish[count:]:
                resumed.do(again, uuid)
                resumed.do(again, uuid)
            assert resumed == self.world
            world.do(step, uuid)

    @staticmethod
    def _same_for_all(world: World, was: Readings, lost: Lost) -> None:
        there = {(h.uuid, h.snapshot): h for h in world.graph().holders}
        for who, reading in was.items():
            if who in lost:
                continue
            assert who in there, f"{who} is gone"
            assert world.reading(there[who]) == reading, f"{who} reads something else"

    def _accounted_for(self, plan: Plan, before: World) -> None:
        """Every file that is new, gone or changed is in what people are shown."""
        shown = {(effect.action, effect.path) for effect in plan.shown.effects}
        paths = {effect.path for effect in plan.shown.effects}
        kept = {effect.other for effect in plan.shown.effects if effect.action is FileAction.QUARANTINE}
        now, then = {**self.world.images, **self.world.blobs}, {**before.images, **before.blobs}
        for path in set(now) - set(then) - kept:
            assert (FileAction.CREATE, path) in shown or (FileAction.COPY, path) in shown, path
        brought_back = {effect.other for effect in plan.shown.effects if effect.action is FileAction.CREATE}
        for path in set(then) - set(now) - brought_back:
            assert (FileAction.QUARANTINE, path) in shown, path
        for path in set(now) & set(then):
            if now[path] != then[path]:
                assert path in paths, path
        for path in self.world.frozen - before.frozen - kept:
            assert path in paths, path


@settings(max_examples=120)
@given(some.randoms(use_true_random=False), some.integers(3, 14))
def test_everybody_reads_the_same(source: random.Random, length: int) -> None:
    life = Life(source.randrange)
    for _ in range(length):
        life.happen()


def test_a_long_life_meets_everything() -> None:
    """So that the property above is not about refusals only."""
    source = random.Random(5)
    done: Counter[str] = Counter()
    for _ in range(15):
        life = Life(source.randrange)
        for _ in range(60):
            life.happen()
        done += life.done
    kinds = ("take", "take with memory", "restore", "restore and keep", "undo", "delete", "clone", "detach")
    assert min(done[kind] for kind in (*kinds, "template on", "template off")) >= 2, done
    steps = (
        "Merge",
        "Pull",
        "LivePull",
        "LiveMerge",
        "SetBacking",
        "LiveOverlays",
        "SaveMemory",
        "RunMemory",
        "StopVm",
    )
    assert min(done[step] for step in steps) >= 2, done
