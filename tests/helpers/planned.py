"""Plans on symbolic VMs, in few words, and carried out there."""

from __future__ import annotations

from guivm.engine.snapshots import steps as st
from guivm.engine.snapshots.definitions import read_definition
from guivm.engine.snapshots.planning import (
    CloneTarget,
    NewSnapshot,
    plan_delete,
    plan_restore,
    plan_take,
)
from guivm.engine.snapshots.steps import Plan
from guivm.engine.snapshots.values import SnapshotId
from tests.helpers.symbolic_vms import Disk, World, definition, tpm_of, uuid_of

ANN = uuid_of(1)
BOB = uuid_of(2)
ANN_DISK = "/i/ann-vda.qcow2"


def new(name: str, *, memory: bool = False, quiesce: bool = False) -> NewSnapshot:
    return NewSnapshot(SnapshotId(name), name.upper(), memory=memory, quiesce=quiesce)


def plan_taking(world: World, name: str = "s1", *, memory: bool = False, **env: object) -> Plan:
    return plan_take(world.graph(), world.tree(ANN), world.env(ANN, **env), new(name, memory=memory))


def take(world: World, name: str, writes: int = 0) -> None:
    """A snapshot, after which the guest writes to that many clusters."""
    done(world, plan_taking(world, name))
    for cluster in range(writes):
        world.guest_writes(ANN, "vda", cluster, 100 + cluster)


def plan_restoring(world: World, name: str, keep: NewSnapshot | None = None, **env: object) -> Plan:
    return plan_restore(world.graph(), world.tree(ANN), world.env(ANN, **env), SnapshotId(name), keep)


def plan_deleting(world: World, *names: str, children: bool = False, **env: object) -> Plan:
    chosen = tuple(SnapshotId(name) for name in names)
    return plan_delete(world.graph(), world.tree(ANN), world.env(ANN, **env), chosen, children)


def done(world: World, plan: Plan, uuid: str = ANN) -> None:
    assert plan.shown.refused == ""
    world.do_all(plan, uuid)
    world.check(set())


def refused(plan: Plan) -> str:
    assert (plan.prepare, plan.finish, plan.undo, plan.expected) == ((), (), (), None)
    return plan.shown.refused


def kinds(steps: tuple[st.Step, ...]) -> list[str]:
    return [type(step).__name__ for step in steps]


def add_linked(world: World, base: str, *, run: bool = False) -> str:
    """Another VM with an overlay of its own on an image."""
    world.add_vm(2, "bob", {"vda": Disk("qcow2", {5: 5}, base, world.images[base].format)})
    if run:
        world.running.add(BOB)
    return "/i/bob-vda.qcow2"


def clone_of(world: World) -> CloneTarget:
    uuid, name, place = uuid_of(9), "cleo", "/l/nvram/cleo.fd"
    known = read_definition(world.definitions[ANN])
    disks = {disk.target: (disk.path, disk.format) for disk in known.disks}
    return CloneTarget(uuid, name, definition(uuid, name, disks, nvram=place), "/i", 1, place, tpm_of(uuid))
