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
from guivm.engine.snapshots.graph import Graph, HeldDisk, Image
from guivm.engine.snapshots.planning import CloneTarget, Environment
from guivm.engine.snapshots.tree import BranchTree
from guivm.engine.types import VmState
from guivm.text import clean_line

_RESERVE_BYTES = 1 << 20
_AS_AFTER_POWER_FAILURE = "The clone starts as after a power failure at that moment."


@dataclass(frozen=True, slots=True)
class CloneSource:
    """What is copied. ``disks``: all drives with a file, of the current state or of a snapshot.

    ``inside``: name of a snapshot within the images. ``is_frozen``: nobody writes to the images, whatever runs.
    ``nvram``, ``tpm``: of that moment; empty: none, or not wanted. ``loses_memory``: the guest ran at that moment.
    ``why_not_live``: why disks that change meanwhile cannot be copied; empty: they can. ``quiesce``: the guest's agent
    can bring its file systems to rest.
    """

    disks: tuple[HeldDisk, ...]
    inside: str = ""
    is_frozen: bool = False
    nvram: str = ""
    tpm: str = ""
    loses_memory: bool = False
    why_not_live: str = ""
    quiesce: bool = False


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
    live = draft.env.runs and not source.is_frozen and not source.inside
    if live and source.why_not_live:
        raise RefusedError(
            f"“{name}” runs: its disks change meanwhile. {source.why_not_live}",
            "Shut it down first, or take a snapshot and clone that.",
        )
    if draft.env.runs and source.inside and (source.nvram or source.tpm):
        raise RefusedError(f"“{name}” runs: it may change the state of its firmware meanwhile.", "Shut it down first.")
    if live:
        return _live_clone(draft, clone, source)
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
            _require_free(draft, target)
            draft.copy(path, target)
    draft.define(with_files(clone.definition, files, nvram=clone.nvram))
    return draft.plan()


def _live_clone(draft: Draft, clone: CloneTarget, source: CloneSource) -> st.Plan:
    """Of the current state of a VM that runs, or is paused."""
    draft.refuse_changed_drives()
    runs = draft.env.vm_state is VmState.RUNNING
    draft.warn_left_alone(source.disks, "the clone's own images")
    files: dict[str, tuple[str, str]] = {}
    images: list[str] = []
    for disk in draft.own_disks():
        image = draft.looked_at(disk.path, depth=0)
        draft.refuse_other_format(disk, image)
        path = draft.clone_path(clone.folder or posixpath.dirname(image.path), clone.name, disk.target)
        require_plain(path)
        files[disk.target] = path, "qcow2"
        images.append(image.path)
        if image.format != "qcow2":
            draft.warnings.append(f"{quoted(image.path)} is {image.format}; its copy is qcow2, so that it stays small.")
        draft.need(clone.file_system if clone.folder else image.file_system, _most_bytes(draft, image))
    copies: list[tuple[str, str]] = []
    for path, target in ((source.nvram, clone.nvram), (source.tpm, clone.tpm)):
        if path and target:
            _require_free(draft, target)
            copies.append((path, target))
    disks = tuple((target, path) for target, (path, _) in files.items())
    quiesce = source.quiesce and runs
    if disks:
        draft.prepare.append(st.LiveCopy(disks, tuple(images), tuple(copies), quiesce, not runs))
    else:
        draft.prepare.extend(st.CopyFile(path, target) for path, target in copies)
    draft.warnings.append(
        "The guest's memory is not cloned; its agent brings its file systems to rest for that moment."
        if quiesce
        else f"The guest's memory is not cloned. {_AS_AFTER_POWER_FAILURE}"
    )
    draft.define(with_files(clone.definition, files, nvram=clone.nvram))
    return draft.plan(pauses=runs)


def _most_bytes(draft: Draft, image: Image) -> int:
    return min(chain_bytes(draft.graph, image.path, None), image.virtual_bytes) + _RESERVE_BYTES


def _require_free(draft: Draft, target: str) -> None:
    if target in draft.taken:
        raise RefusedError(f"A file already stands at {quoted(target)}.", "Move or rename that file first.")


def _copy_disk(draft: Draft, clone: CloneTarget, source: CloneSource, disk: HeldDisk) -> tuple[str, str]:
    image = draft.looked_at(disk.path, depth=0)
    if source.inside and not image.internal_snapshots:
        raise RefusedError(f"{quoted(disk.path)} does not hold the snapshot.")
    folder = clone.folder or posixpath.dirname(image.path)
    path = _image_path(draft, folder, clone.name, disk.target, image.format)
    require_plain(path)
    in_use = draft.env.runs and not source.is_frozen
    draft.prepare.append(
        st.ConvertImage(image.path, image.format, path, image.format, source.inside, image.virtual_bytes, in_use)
    )
    system = clone.file_system if clone.folder else image.file_system
    draft.need(system, _most_bytes(draft, image))
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
