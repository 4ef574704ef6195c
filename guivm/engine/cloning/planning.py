"""The plan of a full clone: every drive copied, firmware state copied, and the new VM defined at the end. Pure.

Linked clones, templates and detaching are planned in :mod:`guivm.engine.snapshots.planning_clones`.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from guivm.engine.snapshots import steps as st
from guivm.engine.snapshots.definitions import with_files
from guivm.engine.snapshots.describing import chain_bytes, quoted
from guivm.engine.snapshots.drafting import Draft, RefusedError, planned, require_plain
from guivm.engine.snapshots.graph import Graph, HeldDisk
from guivm.engine.snapshots.planning import CloneTarget, Environment
from guivm.engine.snapshots.tree import BranchTree
from guivm.text import clean_line

_RESERVE_BYTES = 1 << 20
_AS_AFTER_POWER_FAILURE = "The clone starts as after a power failure at that moment."


@dataclass(frozen=True, slots=True)
class CloneSource:
    """What is copied. ``disks``: all drives with a file, of the current state or of a snapshot.

    ``inside``: name of a snapshot within the images. ``is_frozen``: nobody writes to the images, whatever runs.
    ``nvram``, ``tpm``: of that moment; empty: none, or not wanted. ``loses_memory``: the guest ran at that moment.
    """

    disks: tuple[HeldDisk, ...]
    inside: str = ""
    is_frozen: bool = False
    nvram: str = ""
    tpm: str = ""
    loses_memory: bool = False


def plan_full_clone(
    graph: Graph, tree: BranchTree, env: Environment, clone: CloneTarget, source: CloneSource
) -> st.Plan:
    """``clone.folder`` empty: each image beside the one it is a copy of. The source is not changed."""
    title = f"Make the clone “{clean_line(clone.name)}”"

    def plan() -> st.Plan:
        return _full_clone(Draft(graph, tree, env, title), clone, source)

    return planned(env, title, plan)


def _full_clone(draft: Draft, clone: CloneTarget, source: CloneSource) -> st.Plan:
    if draft.graph.current(clone.uuid) is not None:
        raise RefusedError("A virtual machine with the identity of the clone exists already.")
    name = draft.current.vm_name
    if draft.env.runs and not source.is_frozen:
        what = "the snapshot is in an image that it writes to" if source.inside else "its disks change while it runs"
        raise RefusedError(
            f"“{name}” runs: {what}.",
            "Shut it down first." if source.inside else "Shut it down first, or take a snapshot and clone that.",
        )
    if source.disks == draft.current.disks and not source.inside:
        for disk in draft.own_disks():
            draft.refuse_other_format(disk, draft.looked_at(disk.path, depth=0))
        if draft.env.has_saved_state:
            draft.warnings.append(f"The saved state of “{name}” is not cloned. {_AS_AFTER_POWER_FAILURE}")
    elif source.loses_memory:
        draft.warnings.append(f"The guest's memory is not cloned. {_AS_AFTER_POWER_FAILURE}")
    draft.warn_left_alone(source.disks, "the clone's own images")
    files: dict[str, tuple[str, str]] = {}
    for disk in source.disks:
        if disk.written:
            files[disk.target] = _copy_disk(draft, clone, source, disk)
    for path, target in ((source.nvram, clone.nvram), (source.tpm, clone.tpm)):
        if path and target:
            if target in draft.taken:
                raise RefusedError(f"A file already stands at {quoted(target)}.", "Move or rename that file first.")
            draft.copy(path, target)
    draft.define(with_files(clone.definition, files, nvram=clone.nvram))
    return draft.plan()


def _copy_disk(draft: Draft, clone: CloneTarget, source: CloneSource, disk: HeldDisk) -> tuple[str, str]:
    image = draft.looked_at(disk.path, depth=0)
    if source.inside and not image.internal_snapshots:
        raise RefusedError(f"{quoted(disk.path)} does not hold the snapshot.")
    folder = clone.folder or posixpath.dirname(image.path)
    path = _image_path(draft, folder, clone.name, disk.target, image.format)
    require_plain(path)
    draft.prepare.append(
        st.ConvertImage(image.path, image.format, path, image.format, source.inside, image.virtual_bytes)
    )
    system = clone.file_system if clone.folder else image.file_system
    draft.need(system, min(chain_bytes(draft.graph, image.path, None), image.virtual_bytes) + _RESERVE_BYTES)
    return path, image.format


def _image_path(draft: Draft, folder: str, name: str, target: str, form: str) -> str:
    """A copy keeps its format, and its name says which."""
    path = draft.clone_path(folder, name, target)
    if form == "qcow2":
        return path
    stem, number = path.removesuffix(".qcow2"), 1
    while True:
        path = f"{stem}.img" if number == 1 else f"{stem}-{number}.img"
        if path not in draft.taken:
            draft.taken.add(path)
            return path
        number += 1
