"""Snapshots and clones of the fake engine's VMs: trees in memory, plans with effects, pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from guivm.engine import requests as rq
from guivm.engine.job_types import Screenshot
from guivm.engine.snapshots.policy import checked
from guivm.engine.snapshots.values import (
    ClonedVm,
    CloneKind,
    FileAction,
    FileEffect,
    OperationPlan,
    RestoredSnapshot,
    SnapshotId,
    SnapshotInfo,
    SnapshotMode,
    SnapshotPolicy,
    SnapshotTree,
    TakenSnapshot,
)
from guivm.engine.types import VmInfo, VmKey, VmState
from guivm.errors import OperationError, UnsupportedError, WrongStateError

if TYPE_CHECKING:
    from tests.helpers.fake_engine import FakeEngine

MIB = 1024**2
GIB = 1024**3
_IMAGES = "/home/user/.local/share/guivm/images"
NOW_S = 1_760_000_000.0
_REQUESTS = (
    rq.ReadSnapshots,
    rq.ReadSnapshotPicture,
    rq.TakeSnapshot,
    rq.RestoreSnapshot,
    rq.UndoRestore,
    rq.DeleteSnapshots,
    rq.EditSnapshot,
    rq.ReadSnapshotPolicy,
    rq.SetSnapshotPolicy,
    rq.CloneVm,
    rq.SetTemplate,
    rq.DetachClone,
    rq.StartDisposable,
    rq.PlanOperation,
)


def answers(request: rq.Request[Any]) -> bool:
    """Whether it is one about snapshots or clones."""
    return isinstance(request, _REQUESTS)


_SAVED = "It has a saved state: continue from it or discard it first."


@dataclass
class _Kept:
    tree: SnapshotTree
    before: SnapshotTree | None = None  # what the last restore replaced


@dataclass
class FakeSnapshots:
    """``refusals``: what plans and operations of a type are refused with, as (reason, advice). ``plan_fields``: put
    into every plan. Times begin at :data:`NOW_S` and go on by a minute with each snapshot."""

    engine: FakeEngine
    pictures: dict[SnapshotId, Screenshot] = field(default_factory=dict)
    refusals: dict[type, tuple[str, str]] = field(default_factory=dict)
    plan_fields: dict[str, Any] = field(default_factory=dict)
    linked: dict[VmKey, VmKey] = field(default_factory=dict)  # clone → source
    policies: dict[VmKey, SnapshotPolicy] = field(default_factory=dict)
    pause_s: float = 1.2
    _kept: dict[VmKey, _Kept] = field(default_factory=dict)
    _serial: int = 0

    # --- what tests do --------------------------------------------------------------------------------

    def put(self, key: VmKey, *snapshots: SnapshotInfo, **fields: Any) -> SnapshotTree:
        """Give a VM these snapshots; the last one is the parent of its current state unless ``current`` is named."""
        fields.setdefault("current", snapshots[-1].id if snapshots else None)
        fields.setdefault("mode", snapshots[-1].mode if snapshots else None)
        self._kept[key] = _Kept(SnapshotTree(key, snapshots, **fields))
        return self._kept[key].tree

    def change(self, key: VmKey, **fields: Any) -> SnapshotTree:
        self._kept[key] = replace(self._of(key), tree=replace(self.tree(key), **fields))
        return self.tree(key)

    def tree(self, key: VmKey) -> SnapshotTree:
        return self._of(key).tree

    # --- answers --------------------------------------------------------------------------------------

    def answer(self, request: Any, vm: VmInfo) -> Any:
        key = vm.key
        match request:
            case rq.ReadSnapshots():
                return self._read(vm)
            case rq.ReadSnapshotPicture(snapshot=snapshot):
                return self.pictures.get(snapshot)
            case rq.PlanOperation(operation=operation):
                return self._plan(operation, vm)
            case rq.TakeSnapshot():
                self._check(request)
                return self._take(request, vm)
            case rq.RestoreSnapshot():
                self._check(request)
                return self._restore(request, vm)
            case rq.UndoRestore():
                before = self._of(key).before
                if before is None:
                    raise OperationError("There is no restore to be undone.")
                self._kept[key] = _Kept(replace(before, can_undo_restore=""))
            case rq.DeleteSnapshots(snapshots=chosen):
                self._check(request)
                if not chosen:
                    raise OperationError("No snapshot was chosen.")
                for each in chosen:
                    self._find(key, each)
                self._delete(request)
            case rq.EditSnapshot(snapshot=snapshot, title=title, notes=notes):
                self._find(key, snapshot)
                if not title.strip():
                    raise OperationError("The title is empty.")
                changed = [
                    replace(
                        info,
                        title=title,
                        notes=notes,
                        scheduled=info.scheduled and (info.title, info.notes) == (title, notes),
                    )
                    if info.id == snapshot
                    else info
                    for info in self.tree(key).snapshots
                ]
                self.change(key, snapshots=tuple(changed))
            case rq.ReadSnapshotPolicy():
                return self.policies.get(key)
            case rq.SetSnapshotPolicy(policy=policy):
                self._check(request)
                if policy is not None:
                    self.policies[key] = checked(policy)
                else:
                    self.policies.pop(key, None)
            case rq.CloneVm():
                self._check(request)
                return self._clone(request, vm)
            case rq.SetTemplate(on=on):
                self._check(request)
                self.change(key, is_template=on)
            case rq.DetachClone():
                self._check(request)
                self.linked.pop(key, None)
            case rq.StartDisposable():
                if vm.state.is_active:
                    raise WrongStateError(f"“{vm.name}” is running already.")
                self.engine.change_vm(key, state=VmState.RUNNING)
        return None

    def _of(self, key: VmKey) -> _Kept:
        return self._kept.setdefault(key, _Kept(SnapshotTree(key)))

    def _read(self, vm: VmInfo) -> SnapshotTree:
        tree = self.tree(vm.key)
        if tree.mode is SnapshotMode.FOREIGN and not tree.cannot_take:
            tree = replace(tree, cannot_take="Its snapshots were made by another tool; use that to take more.")
        if vm.state is VmState.SAVED and not tree.cannot_take:
            tree = replace(tree, cannot_take=_SAVED)
        needed = tuple(found.name for clone, source in self.linked.items() if source == vm.key
                       if (found := self.engine.vm(clone)) is not None)  # fmt: skip
        source = self.engine.vm(self.linked[vm.key]) if vm.key in self.linked else None
        based_on = () if source is None else (self._image(source),)
        before = self._of(vm.key).before
        undo = "" if before is None else self._find(vm.key, tree.current).title
        return replace(
            tree,
            needed_by=tree.needed_by or needed,
            based_on=tree.based_on or based_on,
            can_undo_restore=tree.can_undo_restore or undo,
        )

    def _find(self, key: VmKey, snapshot: SnapshotId | None) -> SnapshotInfo:
        for info in self.tree(key).snapshots:
            if info.id == snapshot:
                return info
        raise OperationError("The snapshot is gone.", advice="Read the list again.")

    def _check(self, request: object) -> None:
        if type(request) in self.refusals:
            reason, advice = self.refusals[type(request)]
            raise UnsupportedError(reason, advice=advice)

    def _take(self, request: rq.TakeSnapshot, vm: VmInfo, title: str = "") -> TakenSnapshot:
        tree = self.tree(vm.key)
        if tree.cannot_take or vm.state is VmState.SAVED:
            raise UnsupportedError(tree.cannot_take or _SAVED)
        self._serial += 1
        running = vm.state.is_active
        memory = request.memory and running and not tree.cannot_keep_memory
        info = SnapshotInfo(
            SnapshotId(f"taken-{self._serial}"),
            tree.current,
            title or request.title,
            request.notes,
            NOW_S + 60 * self._serial,
            memory,
            vm.state,
            tree.mode or SnapshotMode.INTERNAL,
            size_bytes=vm.memory_kib * 512 if memory else 0,
            pause_s=self.pause_s if running else None,
            scheduled=request.scheduled,
        )
        self.change(
            vm.key,
            snapshots=(*tree.snapshots, info),
            current=info.id,
            changed=False,
            mode=tree.mode or SnapshotMode.INTERNAL,
        )
        return TakenSnapshot(info.id, info.title, info.pause_s or 0.0)

    def _restore(self, request: rq.RestoreSnapshot, vm: VmInfo) -> RestoredSnapshot:
        info = self._find(vm.key, request.snapshot)
        if info.cannot_restore:
            raise UnsupportedError(info.cannot_restore)
        kept: SnapshotId | None = None
        if request.keep_title:
            kept = self._take(rq.TakeSnapshot(vm.key, request.keep_title), vm).id
        before = self.tree(vm.key)
        self.change(vm.key, current=info.id, changed=False)
        self._of(vm.key).before = before
        self.engine.change_vm(vm.key, state=VmState.RUNNING if info.has_memory else VmState.OFF)
        return RestoredSnapshot(info.id, kept, can_undo=True)

    def _doomed(self, request: rq.DeleteSnapshots) -> set[SnapshotId]:
        doomed = set(request.snapshots)
        if request.children:
            for info in self.tree(request.key).snapshots:
                if info.parent in doomed:
                    doomed.add(info.id)
        return doomed

    def _delete(self, request: rq.DeleteSnapshots) -> None:
        tree = self.tree(request.key)
        doomed = self._doomed(request)
        home: dict[SnapshotId, SnapshotId | None] = {}
        for info in tree.snapshots:
            above = info.parent
            home[info.id] = home.get(above) if above in doomed and above is not None else above
        kept = tuple(replace(info, parent=home[info.id]) for info in tree.snapshots if info.id not in doomed)
        current = tree.current
        if current in doomed and current is not None:
            current = home[current]
        self.change(request.key, snapshots=kept, current=current, mode=tree.mode if kept else None)
        self._of(request.key).before = None

    def _clone(self, request: rq.CloneVm, vm: VmInfo) -> ClonedVm:
        spec = request.spec
        if any(other.name == spec.name for other in self.engine.vms(vm.key.host)):
            raise OperationError(f"The name “{spec.name}” is in use.")
        key = self.engine.add_vm(
            spec.name, host=vm.key.host, vcpus=vm.vcpus, memory_kib=vm.memory_kib, has_graphics=vm.has_graphics
        )
        if spec.kind is CloneKind.LINKED:
            self.linked[key] = vm.key
        remarks = ("The port forward 127.0.0.1:8080 was moved to 8081.",)
        return ClonedVm(key, spec.name, remarks)

    # --- plans ----------------------------------------------------------------------------------------

    def _plan(self, operation: Any, vm: VmInfo) -> OperationPlan:
        if operation.key != vm.key:
            raise OperationError("The plan is about another virtual machine.")
        title = f"{type(operation).__name__} {getattr(operation, 'title', '')}".strip()
        plan = OperationPlan(vm.key, title, free_bytes=84 * GIB)
        if isinstance(operation, rq.UndoRestore) and self._of(vm.key).before is None:
            plan = replace(plan, refused="There is no restore that could be undone.")
        makers: dict[type, Callable[[Any, VmInfo, OperationPlan], OperationPlan]] = {
            rq.TakeSnapshot: self._plan_take,
            rq.RestoreSnapshot: self._plan_restore,
            rq.DeleteSnapshots: self._plan_delete,
            rq.CloneVm: self._plan_clone,
            rq.DetachClone: self._plan_detach,
            rq.SetSnapshotPolicy: self._plan_policy,
        }
        make = makers.get(type(operation))
        if make is not None:
            plan = make(operation, vm, plan)
        if type(operation) in self.refusals:
            reason, advice = self.refusals[type(operation)]
            plan = replace(plan, refused=reason, advice=advice)
        return replace(plan, **self.plan_fields)

    @staticmethod
    def _image(vm: VmInfo, mark: str = "") -> str:
        return f"{_IMAGES}/{vm.name}{mark}.qcow2"

    def _plan_take(self, operation: rq.TakeSnapshot, vm: VmInfo, plan: OperationPlan) -> OperationPlan:
        memory = vm.memory_kib * 512 if operation.memory and vm.state.is_active else 0
        effects = [
            FileEffect(FileAction.FREEZE, self._image(vm)),
            FileEffect(FileAction.CREATE, self._image(vm, ".4f1c"), bytes=200 * 1024),
        ]
        if memory:
            effects.append(FileEffect(FileAction.CREATE, f"{_IMAGES}/4f1c.mem", bytes=memory))
        return replace(
            plan,
            effects=tuple(effects),
            needs_bytes=memory + 200 * 1024,
            pauses_guest=vm.state.is_active,
            steps=("Write the memory to a file", "Put the disk on a new image", "Let it go on") if memory
            else ("Put the disk on a new image",),
            refused=self._read(vm).cannot_take,
        )  # fmt: skip

    def _plan_restore(self, operation: rq.RestoreSnapshot, vm: VmInfo, plan: OperationPlan) -> OperationPlan:
        info = self._find(vm.key, operation.snapshot)
        loses: tuple[str, ...] = ()
        if not operation.keep_title:
            loses = ("What was written to its disks since the last snapshot.",)
            if vm.state.is_active:
                loses += ("What runs in it now: its memory is not kept.",)
        trash = f"{_IMAGES}/.guivm-trash/{vm.name}.9a2e.qcow2"
        return replace(
            plan,
            effects=(
                FileEffect(FileAction.CREATE, self._image(vm, ".77b0"), bytes=200 * 1024),
                FileEffect(FileAction.QUARANTINE, self._image(vm, ".9a2e"), trash, 3 * GIB),
            ),
            needs_bytes=200 * 1024,
            loses=loses,
            stops_guest=vm.state.is_active,
            steps=(
                "Make a new image on the snapshot's",
                "Set the replaced image aside",
                "Define the VM on the new one",
            ),
            refused=info.cannot_restore,
        )

    def _plan_delete(self, operation: rq.DeleteSnapshots, vm: VmInfo, plan: OperationPlan) -> OperationPlan:
        doomed = [info for info in self.tree(vm.key).snapshots if info.id in self._doomed(operation)]
        effects: list[FileEffect] = []
        steps: list[str] = []
        for info in doomed:
            effects.append(FileEffect(FileAction.MERGE, self._image(vm, f".{info.id}"), self._image(vm), 700 * MIB))
            effects.append(FileEffect(FileAction.QUARANTINE, self._image(vm), "", info.size_bytes))
            steps.append(f"Merge the images of “{info.title}” into those that need them")
        refused = next((info.cannot_delete for info in doomed if info.cannot_delete), "")
        return replace(
            plan,
            effects=tuple(effects),
            steps=tuple(steps),
            needs_bytes=700 * MIB * len(doomed),
            frees_bytes=sum(info.size_bytes or 0 for info in doomed),
            refused=refused,
        )

    def _plan_policy(self, operation: rq.SetSnapshotPolicy, vm: VmInfo, plan: OperationPlan) -> OperationPlan:
        if operation.policy is None:
            return replace(plan, steps=("The timer is stopped and removed.",))
        checked(operation.policy)
        one = self._plan_take(rq.TakeSnapshot(vm.key, "one", memory=False), vm, plan)
        return replace(
            plan,
            needs_bytes=one.needs_bytes * operation.policy.keep,
            steps=("systemd looks once an hour whether a snapshot is due.",),
        )

    def _plan_clone(self, operation: rq.CloneVm, vm: VmInfo, plan: OperationPlan) -> OperationPlan:
        spec = operation.spec
        linked = spec.kind is CloneKind.LINKED
        target = f"{spec.directory or _IMAGES}/{spec.name}.qcow2"
        size = 200 * 1024 if linked else 3 * GIB
        effects: tuple[FileEffect, ...] = (
            FileEffect(FileAction.CREATE if linked else FileAction.COPY, target, self._image(vm), size),
        )
        if linked:
            effects = (FileEffect(FileAction.FREEZE, self._image(vm)), *effects)
        warnings: tuple[str, ...] = ()
        if spec.keep_macs:
            warnings = ("Both have the same network addresses: do not run them on one network at the same time.",)
        return replace(plan, effects=effects, needs_bytes=size, warnings=warnings,
                       steps=("Copy the disk", "Define the clone"))  # fmt: skip

    def _plan_detach(self, _operation: rq.DetachClone, vm: VmInfo, plan: OperationPlan) -> OperationPlan:
        if vm.key not in self.linked:
            return replace(plan, refused=f"“{vm.name}” is no linked clone: it stands alone already.")
        return replace(
            plan,
            effects=(FileEffect(FileAction.CHANGE, self._image(vm), bytes=3 * GIB),),
            needs_bytes=3 * GIB,
            steps=("Copy what it reads from its source",),
        )


def vm_of(engine: FakeEngine, key: VmKey) -> VmInfo:
    """What the engine knows of the VM; AssertionError when it is gone."""
    found = engine.vm(key)
    assert found is not None
    return found


def snapshot(
    name: str, parent: str | None = None, *, age_s: float = 3600.0, title: str = "", **fields: Any
) -> SnapshotInfo:
    """One for tests: id ``name``, taken ``age_s`` seconds before :data:`NOW_S`."""
    values: dict[str, Any] = {
        "notes": "",
        "has_memory": False,
        "vm_state": VmState.OFF,
        "mode": SnapshotMode.BRANCH,
        "size_bytes": 300 * MIB,
    }
    return SnapshotInfo(
        id=SnapshotId(name),
        parent=None if parent is None else SnapshotId(parent),
        title=title or name,
        taken_s=NOW_S - age_s,
        **(values | fields),
    )
