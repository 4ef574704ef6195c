"""Plans for a VM with 1,000 snapshots in branches (``snapshots_shape``), and reading its tree.

*Planner*: the pure planner, from what has been read to all steps and the graph expected afterwards. *Dialog*: the whole
request that a dialog waits for: libvirt's documents, the tree's file, the headers of 1,001 images, the plan. Its
reference is what nobody can do without: the same file parsed as JSON, the same headers read. Images and tree are real
files; libvirt's VM is off.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

import libvirt

from guivm import paths
from guivm.engine import requests as rq
from guivm.engine.capabilities import CapabilityCache
from guivm.engine.cloning.looking import prepare
from guivm.engine.cloning.planning import plan_full_clone
from guivm.engine.context import HandlerContext
from guivm.engine.jobs import Job
from guivm.engine.snapshots import branches, planning, store
from guivm.engine.snapshots.graph import Graph, HeldDisk
from guivm.engine.snapshots.planning import NewSnapshot
from guivm.engine.snapshots.situation import read_situation
from guivm.engine.snapshots.steps import Plan
from guivm.engine.snapshots.tree import BranchSnapshot, BranchTree
from guivm.engine.snapshots.values import CloneKind, CloneSpec, OperationPlan, SnapshotId
from guivm.engine.types import HostInfo, HostState, VmKey, VmState
from tests.bench.report import Target, TargetOn
from tests.bench.snapshots_shape import COUNT, middle, parents
from tests.bench.snapshots_stage import Act, Line, Notes, Stage, Times, note, require, rounds, run_tool

_NAME = "tree"
_HEADER = 104  # of a qcow2 image of version 3
_XML = """
<domain type='qemu'><name>{name}</name><memory unit='MiB'>64</memory>
  <vcpu>2</vcpu><os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features>
  <devices><disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{disk}'/>
      <target dev='vda' bus='virtio'/></disk>
    <interface type='user'><model type='virtio'/></interface><serial type='pty'/><input type='tablet' bus='usb'/>
    <graphics type='vnc'><listen type='none'/></graphics><video><model type='virtio'/></video><sound model='ich9'/>
  </devices>
</domain>"""
_TARGET = Target(100.0, TargetOn.OURS)
_PLAIN = "plain JSON, headers"
_READ = f"{COUNT} snapshots: read the tree"
_TAKE = "take"
_RESTORE = "restore"
_RESTORE_KEPT = "restore, keep the present"
_DELETE = "delete in the middle of a chain"
_DELETE_BELOW = "delete one with children"
_DELETE_MANY = "delete every other"
_LINK = "linked clone"
_COPY = "full clone"
_KINDS = (_TAKE, _RESTORE, _RESTORE_KEPT, _DELETE, _DELETE_BELOW, _DELETE_MANY, _LINK, _COPY)
_PLANNER = f"{COUNT} snapshots, planner: {{}}"
_DIALOG = f"{COUNT} snapshots, dialog: {{}}"

LINES = (
    *(Line(_PLANNER.format(kind), "ms", target=_TARGET) for kind in _KINDS),
    *(Line(_DIALOG.format(kind), "ms", _PLAIN) for kind in _KINDS),
    Line(_READ, "ms", _PLAIN),
)


class _Tree:
    """The VM, and all its files."""

    def __init__(self, stage: Stage) -> None:
        self._folder = stage.folder
        self.parents = parents()
        self.ids = [SnapshotId(f"{number:016x}") for number in range(COUNT)]
        self.images = [self._path(str(each)) for each in self.ids]
        self._write_images()
        domain = stage.world.connection.defineXML(_XML.format(name=_NAME, disk=self.images[-1]))
        self.key = VmKey(stage.world.host, domain.UUIDString())
        stage.world.recorder.wait_for_state(self.key, VmState.OFF)
        self._write_tree(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE), domain.UUIDString())

    def _path(self, identity: str) -> str:
        return os.fspath(self._folder / f"{_NAME}.{identity}.qcow2")

    def _write_images(self) -> None:
        """Each as ``qemu-img`` makes it; only the name of the image below is put into a copy of its work."""
        base, overlay = Path(self._path("base")), Path(self._path("f" * 16))
        run_tool("qemu-img", "create", "-q", "-f", "qcow2", "--", base, "1G")
        below = self._path("e" * 16)
        run_tool("qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b", below, "-F", "qcow2", "--", overlay, "1G")
        made = overlay.read_bytes()
        require(made.count(below.encode()) == 1, "qemu-img writes another header than was expected.")
        for number, parent in enumerate([*self.parents, COUNT - 1]):
            path = Path(self.images[number] if number < COUNT else self._path("current"))
            if parent is None:
                base.rename(path)
            else:
                path.write_bytes(made.replace(below.encode(), self.images[parent].encode()))
            if number < COUNT:
                path.chmod(0o444)
        overlay.unlink()
        self.images.append(self._path("current"))

    def _write_tree(self, xml: str, uuid: str) -> None:
        top = self.images[-1]
        snapshots = tuple(
            BranchSnapshot(
                identity,
                None if parent is None else self.ids[parent],
                f"Snapshot {number}",
                1_700_000_000.0 + number,
                xml.replace(top, self.images[number]),
                (HeldDisk("vda", self.images[number]),),
            )
            for number, (identity, parent) in enumerate(zip(self.ids, self.parents, strict=True))
        )
        self.file = store.folder_of(paths.images_dir(), uuid) / store.TREE_NAME
        store.save(self.file.parent, BranchTree(uuid, _NAME, snapshots, self.ids[-1]))

    def read_plainly(self) -> None:
        json.loads(self.file.read_text("ascii"))
        for path in self.images:
            with Path(path).open("rb") as stream:
                stream.read(_HEADER)


def _context(stage: Stage) -> HandlerContext:
    host = stage.world.host
    return HandlerContext(
        host=HostInfo(host, host, "This computer", HostState.CONNECTED),
        connection=stage.world.connection,
        job=Job(host, None, "bench"),
        cache_dir=paths.cache_dir(),
        images_dir=paths.images_dir(),
        capabilities=CapabilityCache(),
    )


def _requests(tree: _Tree, chosen: SnapshotId) -> dict[str, rq.PlanOperation]:
    """What there can be a plan for, as a dialog asks for it."""
    key = tree.key
    return {
        _TAKE: rq.PlanOperation(key, rq.TakeSnapshot(key, "new")),
        _RESTORE: rq.PlanOperation(key, rq.RestoreSnapshot(key, chosen)),
        _RESTORE_KEPT: rq.PlanOperation(key, rq.RestoreSnapshot(key, chosen, "before")),
        _DELETE: rq.PlanOperation(key, rq.DeleteSnapshots(key, (chosen,))),
        _DELETE_BELOW: rq.PlanOperation(key, rq.DeleteSnapshots(key, (chosen,), children=True)),
        _DELETE_MANY: rq.PlanOperation(key, rq.DeleteSnapshots(key, tuple(tree.ids[::2]))),
        _LINK: rq.PlanOperation(key, rq.CloneVm(key, _spec(CloneKind.LINKED, chosen))),
        _COPY: rq.PlanOperation(key, rq.CloneVm(key, _spec(CloneKind.FULL, chosen))),
    }


def _spec(kind: CloneKind, snapshot: SnapshotId) -> CloneSpec:
    return CloneSpec("copy", kind, snapshot)


def _planners(stage: Stage, tree: _Tree, chosen: SnapshotId) -> dict[str, Callable[[], Plan]]:
    """The same, from what has been read. Each has a graph of its own: a graph keeps what was asked of it."""
    context = _context(stage)
    around = branches.look(context, read_situation(context, tree.key))
    known, kept, env = around.graph, around.tree, around.env
    new = NewSnapshot(SnapshotId("0" * 15 + "x"), "new")
    linked = prepare(context, around, _spec(CloneKind.LINKED, chosen), linked=True)
    full = prepare(context, around, _spec(CloneKind.FULL, chosen), linked=False)

    def graph() -> Graph:
        return Graph(dict(known.images), known.holders, known.others, known.unreadable, known.missing)

    return {
        _TAKE: lambda: planning.plan_take(graph(), kept, env, new),
        _RESTORE: lambda: planning.plan_restore(graph(), kept, env, chosen),
        _RESTORE_KEPT: lambda: planning.plan_restore(graph(), kept, env, chosen, new),
        _DELETE: lambda: planning.plan_delete(graph(), kept, env, (chosen,)),
        _DELETE_BELOW: lambda: planning.plan_delete(graph(), kept, env, (chosen,), True),
        _DELETE_MANY: lambda: planning.plan_delete(graph(), kept, env, tuple(tree.ids[::2])),
        _LINK: lambda: planning.plan_linked_clone(graph(), kept, linked.env, linked.target, chosen),
        _COPY: lambda: plan_full_clone(graph(), kept, full.env, full.target, full.source),
    }


def _planned(plan: Callable[[], Plan]) -> None:
    _require_made(plan().shown)


def _asked(stage: Stage, request: rq.PlanOperation) -> None:
    _require_made(stage.world.ask(request))


def _require_made(shown: OperationPlan) -> None:
    require(not shown.refused, f"“{shown.title}” was refused: {shown.refused}")


def measure(stage: Stage, runs: int, _chance: random.Random) -> Times:
    tree, times = _Tree(stage), Times()
    chosen = tree.ids[middle(tree.parents)]
    requests, planners = _requests(tree, chosen), _planners(stage, tree, chosen)

    def timed(notes: Notes, what: str, act: Act) -> None:
        note(notes, what, 1000.0 * stage.timed(act))

    for _, kept in rounds("plans", 2 * runs, times):
        for kind in _KINDS:
            timed(kept.ours, _PLANNER.format(kind), partial(_planned, planners[kind]))
            timed(kept.ours, _DIALOG.format(kind), partial(_asked, stage, requests[kind]))
        timed(kept.peer, _PLAIN, tree.read_plainly)
        timed(kept.ours, _READ, lambda: stage.world.ask(rq.ReadSnapshots(tree.key)))
    for what in (*(_DIALOG.format(kind) for kind in _KINDS), _READ):
        times.peer[what] = times.peer[_PLAIN]
    return times
