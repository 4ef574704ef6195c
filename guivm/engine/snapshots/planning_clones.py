"""Plans for linked clones, for detaching them, and for templates. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from guivm.engine.snapshots import steps as st
from guivm.engine.snapshots.definitions import read_definition, with_files
from guivm.engine.snapshots.describing import chain_bytes, quoted
from guivm.engine.snapshots.drafting import Draft, RefusedError, planned
from guivm.engine.snapshots.environment import Environment, NewSnapshot
from guivm.engine.snapshots.graph import Graph, HeldDisk, Image
from guivm.engine.snapshots.planning_take import Files, add_take, run_again
from guivm.engine.snapshots.simulate import whose
from guivm.engine.snapshots.tree import BranchTree
from guivm.engine.snapshots.values import SnapshotId
from guivm.text import clean_line


@dataclass(frozen=True, slots=True)
class CloneTarget:
    """The VM that a linked clone becomes.

    ``definition`` has its own name, UUID, addresses and so on, but still the drives of the source (at the time of the
    snapshot it is made from). ``folder`` is where its images go, on ``file_system``. ``nvram`` and ``tpm``: where its
    copies of the source's go; empty: it gets none.
    """

    uuid: str
    name: str
    definition: str = field(repr=False)
    folder: str = ""
    file_system: int = 0
    nvram: str = ""
    tpm: str = ""


def plan_linked_clone(
    graph: Graph,
    tree: BranchTree,
    env: Environment,
    clone: CloneTarget,
    snapshot: SnapshotId | None = None,
    base: NewSnapshot | None = None,
) -> st.Plan:
    """A new VM whose images are overlays on frozen ones: of a snapshot, of a template, or, with ``base``, of the
    current state, which is kept in that new snapshot. All but the clone is about the source."""
    title = f"Make the linked clone “{clean_line(clone.name)}”"

    def plan() -> st.Plan:
        return _linked_clone(Draft(graph, tree, env, title), clone, snapshot, base)

    return planned(env, title, plan)


def _linked_clone(draft: Draft, clone: CloneTarget, snapshot: SnapshotId | None, base: NewSnapshot | None) -> st.Plan:
    if draft.graph.current(clone.uuid) is not None:
        raise RefusedError("A virtual machine with the identity of the clone exists already.")
    if read_definition(clone.definition).uuid != clone.uuid:
        raise ValueError("the clone's definition has another UUID")
    draft.refuse_mixing()
    if snapshot is not None:
        source = draft.tree.find(snapshot)
        if source is None:
            raise RefusedError("There is no such snapshot any more.", "Look at the list again.")
        draft.require_ours(source.extras)
        files = _clone_disks(draft, clone, source.disks)
        _copy_state(draft, clone, source.nvram, source.tpm)
    elif draft.current.is_template:
        draft.own_disks()
        files = _clone_disks(draft, clone, draft.current.disks)
        _copy_state(draft, clone, draft.nvram, draft.tpm)
        draft.finish.extend(st.Freeze(disk.path) for disk in draft.current.disks if disk.written)
    elif base is None:
        raise RefusedError(
            f"A linked clone needs images that nobody writes to: those of a snapshot of “{draft.current.vm_name}”, "
            "or of a template.",
            "Take a snapshot first, or make a full clone.",
        )
    else:
        return _clone_of_current(draft, clone, base)
    draft.define(with_files(clone.definition, files, nvram=clone.nvram))
    return draft.plan()


def _clone_of_current(draft: Draft, clone: CloneTarget, base: NewSnapshot) -> st.Plan:
    """The source's own images become a snapshot; the clone stands on them beside the source."""
    files = _clone_disks(draft, clone, draft.current.disks)
    after = add_take(draft, base)
    kept = after.find(base.id)
    assert kept is not None
    if draft.env.runs and not base.memory:  # the copies exist only when the overlays do
        _copy_state(draft, clone, kept.nvram, kept.tpm, draft.finish)
    else:
        _copy_state(draft, clone, kept.nvram, kept.tpm)
    draft.write_tree(after)
    run_again(draft, after, base)
    draft.define(with_files(clone.definition, files, nvram=clone.nvram))
    draft.warnings.append(f"“{draft.current.vm_name}” gets the snapshot “{kept.title}”, which the clone needs.")
    return draft.plan(pauses=draft.env.runs)


def _clone_disks(draft: Draft, clone: CloneTarget, disks: Iterable[HeldDisk]) -> Files:
    listed = tuple(disks)
    draft.warn_left_alone(listed, "the clone's own images")
    files: Files = {}
    defined = {disk.target for disk in read_definition(clone.definition).disks}
    for disk in listed:
        if not disk.written:
            continue
        if disk.target not in defined:
            raise RefusedError(f"The clone's definition has no drive {clean_line(disk.target, 40)}.")
        image = draft.looked_at(disk.path)
        path = draft.clone_path(clone.folder, clone.name, disk.target)
        draft.overlay(path, image, clone.file_system)
        files[disk.target] = path, "qcow2"
    return files


def _copy_state(draft: Draft, clone: CloneTarget, nvram: str, tpm: str, steps: list[st.Step] | None = None) -> None:
    for source, target in ((nvram, clone.nvram), (tpm, clone.tpm)):
        if source and target:
            if target in draft.taken:
                raise RefusedError(f"A file already stands at {quoted(target)}.", "Move or rename that file first.")
            draft.copy(source, target, steps)


# --- detach -----------------------------------------------------------------------------------------------


def plan_detach(graph: Graph, tree: BranchTree, env: Environment) -> st.Plan:
    """Copy into the VM's own images all that they read from images of others, so that it stands alone."""
    title = "Detach from the images of other virtual machines"

    def plan() -> st.Plan:
        draft = Draft(graph, tree, env, title)
        for image in _lowest_own(draft):
            _pull_all(draft, image)
        if not draft.prepare:
            raise RefusedError(f"“{draft.current.vm_name}” stands alone already.")
        return draft.plan()

    return planned(env, title, plan)


def _lowest_own(draft: Draft) -> list[Image]:
    """Images of the VM or of its snapshots that are on one that is neither's."""
    holders = (draft.current, *draft.graph.snapshots(draft.current.uuid))
    own_paths = [d.path for d in draft.current.disks if d.written]
    own_paths += [path for snapshot in draft.tree.snapshots for path in snapshot.images]
    own = {disk.path for holder in holders for disk in holder.disks}
    found = []
    for path in dict.fromkeys(own_paths):
        image = draft.looked_at(path, depth=0)
        if image.backing is not None and image.backing not in own:
            found.append(image)
    return found


def _pull_all(draft: Draft, image: Image) -> None:
    draft.refuse_inside_snapshots(image)
    readers = draft.graph.readers_of(image.path)
    if draft.current in readers:
        draft.refuse_saved_state()
    for holder in draft.graph.holders_of(image.path):
        if holder.uuid != draft.current.uuid:
            raise RefusedError(f"{quoted(image.path)} is also used by {whose(holder)[0].lower()}{whose(holder)[1:]}.")
    running = [h for h in readers if h.is_current and h.uuid in draft.env.running]
    target = next((d.target for d in draft.current.disks if d.path == image.path), None)
    is_top = target is not None and not draft.current.is_template
    frozen = not is_top or any(not h.is_current for h in draft.graph.holders_of(image.path))
    most = chain_bytes(draft.graph, image.backing, None)
    packed = max(
        (i.allocated_bytes for i in draft.graph.chain(image.path) if i.format != "raw" and i != image), default=0
    )
    draft.need(image.file_system, most, max(0, packed - image.allocated_bytes) // 2)
    if running == [draft.current] and target is not None and not frozen:
        draft.prepare.append(st.LivePull(target, image.path, None, image.backing or "", image.backing_format))
    elif running:
        raise RefusedError(
            f"{quoted(image.path)} is in use: “{running[0].vm_name}” runs.", f"Shut “{running[0].vm_name}” down first."
        )
    elif frozen:
        draft.prepare += [st.Thaw(image.path), st.Pull(image.path, image.format, None), st.Freeze(image.path)]
        draft.undo.append(st.Freeze(image.path))
    else:
        draft.prepare.append(st.Pull(image.path, image.format, None))


# --- templates --------------------------------------------------------------------------------------------


def plan_template(graph: Graph, tree: BranchTree, env: Environment, on: bool) -> st.Plan:
    """Make a VM one that can only be cloned, or an ordinary one again when nothing depends on its images."""
    title = "Convert to a template" if on else "Convert back to an ordinary virtual machine"

    def plan() -> st.Plan:
        draft = Draft(graph, tree, env, title)
        if on:
            _make_template(draft)
        else:
            _end_template(draft)
        draft.write_tree(replace(draft.tree, is_template=on))
        return draft.plan()

    return planned(env, title, plan)


def _make_template(draft: Draft) -> None:
    if draft.current.is_template:
        raise RefusedError(f"“{draft.current.vm_name}” is a template already.")
    if draft.env.runs:
        raise RefusedError(f"“{draft.current.vm_name}” runs.", "Shut it down first.")
    draft.refuse_saved_state()
    disks = draft.own_disks()
    draft.warn_left_alone(draft.current.disks, "the template")
    for disk in disks:
        draft.looked_at(disk.path, depth=0)
    draft.finish.extend(st.Freeze(disk.path) for disk in disks)


def _end_template(draft: Draft) -> None:
    if not draft.current.is_template:
        raise RefusedError(f"“{draft.current.vm_name}” is no template.")
    draft.refuse_blind()
    for disk in draft.own_disks():
        draft.free_to_move(disk.path, current=True)
        draft.finish.append(st.Thaw(disk.path))
