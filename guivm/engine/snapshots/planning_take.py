"""Plans for taking a branch snapshot: the images are frozen, and the VM writes to fresh overlays from then on. Pure."""

from __future__ import annotations

from guivm.engine.snapshots import steps as st
from guivm.engine.snapshots.definitions import overlays_request, with_files
from guivm.engine.snapshots.drafting import Draft, RefusedError, planned
from guivm.engine.snapshots.environment import Environment, NewSnapshot
from guivm.engine.snapshots.graph import Graph, HeldDisk, Image
from guivm.engine.snapshots.simulate import OVERLAY_BYTES
from guivm.engine.snapshots.tree import BranchSnapshot, BranchTree
from guivm.text import clean_line

Files = dict[str, tuple[str, str]]
"""New images of a definition's drives: (path, format) by target."""


def plan_take(graph: Graph, tree: BranchTree, env: Environment, new: NewSnapshot) -> st.Plan:
    """Take a snapshot of a VM that is off; of a running one with its memory (it stands still while that is written), or
    of its disks alone (it stands still for a moment)."""
    title = f"Take the snapshot “{clean_line(new.title)}”"

    def plan() -> st.Plan:
        draft = Draft(graph, tree, env, title)
        after = add_take(draft, new)
        draft.write_tree(after)
        run_again(draft, after, new)
        return draft.plan(pauses=env.runs)

    return planned(env, title, plan)


def add_take(draft: Draft, new: NewSnapshot) -> BranchTree:
    """All steps but writing the tree, which is answered, and :func:`run_again`."""
    disks = keepable_disks(draft, new)
    draft.warn_left_alone(draft.current.disks, "the snapshot")
    files: Files = {disk.target: (draft.overlay_path(disk.path), "qcow2") for disk, _ in disks}
    live = draft.env.runs and not new.memory
    if draft.env.runs and new.memory:
        save_memory(draft, new)
    kept = kept_snapshot(draft, new)
    if live:
        copies = [(s, t) for s, t in ((draft.nvram, kept.nvram), (draft.tpm, kept.tpm)) if t]
        for source, _ in copies:
            size = draft.env.sizes.get(source, 0)
            draft.need(draft.env.store_file_system, size, size)
        chosen = tuple((target, path) for target, (path, _) in files.items())
        for _, image in disks:
            draft.need(image.file_system, OVERLAY_BYTES, OVERLAY_BYTES // 2)
        request = overlays_request(draft.definition, chosen)
        if chosen:
            draft.prepare.append(st.LiveOverlays(chosen, request, new.quiesce, tuple(copies), _was_paused(draft)))
        else:
            draft.prepare.extend(st.CopyFile(source, target) for source, target in copies)
        if not new.quiesce:
            draft.warnings.append(
                "The guest's memory is not kept: restored, it starts as after a power failure at that moment."
            )
    else:
        for disk, image in disks:
            draft.overlay(files[disk.target][0], image)
        copy_state(draft, kept, draft.prepare)
    draft.finish.extend(st.Freeze(disk.path) for disk, _ in disks)
    draft.define(with_files(draft.env.definition, files))
    return draft.tree.with_snapshot(kept)


def keepable_disks(draft: Draft, new: NewSnapshot) -> list[tuple[HeldDisk, Image]]:
    """The drives that a snapshot of the current state is about. Refuses what cannot be kept."""
    draft.refuse_mixing()
    draft.refuse_template()
    draft.refuse_saved_state()
    draft.refuse_changed_drives()
    if draft.tree.find(new.id) is not None:
        raise ValueError("the new snapshot's identity is in use")
    if new.memory and not draft.env.runs:
        raise RefusedError("The virtual machine is off: there is no memory to keep.")
    disks = [(disk, draft.looked_at(disk.path)) for disk in draft.own_disks()]
    for disk, image in disks:
        draft.refuse_inside_snapshots(image)
        draft.refuse_other_format(disk, image)
    return disks


def kept_snapshot(draft: Draft, new: NewSnapshot) -> BranchSnapshot:
    """The current state as a snapshot. Its files are still to be made."""
    env = draft.env
    return BranchSnapshot(
        id=new.id,
        parent=draft.tree.current,
        title=clean_line(new.title),
        notes=new.notes,
        taken_s=env.now_s,
        definition=env.definition,
        disks=draft.current.disks,
        nvram=draft.own_path(new.id, "nvram") if draft.nvram else "",
        tpm=draft.own_path(new.id, "tpm") if draft.tpm else "",
        memory=_memory_path(draft, new) if new.memory else "",
        memory_definition=env.live_definition if new.memory else "",
        vm_state=env.vm_state,
        has_picture=new.has_picture,
        scheduled=new.scheduled,
    )


def _memory_path(draft: Draft, new: NewSnapshot) -> str:
    for step in draft.prepare:
        if isinstance(step, st.SaveMemory):
            return step.path
    return draft.own_path(new.id, "mem")


def save_memory(draft: Draft, new: NewSnapshot) -> None:
    """The guest's memory to a file; the VM is off from then on. Taken back, the guest goes on from it."""
    path = draft.own_path(new.id, "mem")
    draft.prepare.append(st.SaveMemory(path))
    draft.undo.append(st.RunMemory(path, draft.env.live_definition, _was_paused(draft)))
    draft.need(draft.env.store_file_system, draft.env.memory_bytes, draft.env.memory_least_bytes)


def copy_state(draft: Draft, kept: BranchSnapshot, steps: list[st.Step]) -> None:
    """NVRAM and TPM state of the VM, which is off by then."""
    if kept.nvram:
        draft.copy(draft.nvram, kept.nvram, steps)
    if kept.tpm:
        draft.copy(draft.tpm, kept.tpm, steps)


def run_again(draft: Draft, after: BranchTree, new: NewSnapshot) -> None:
    """The guest goes on, on its overlays, after its memory was kept."""
    kept = after.find(new.id)
    if kept is None or not kept.memory:
        return
    overlays = {step.base: step.path for step in draft.prepare if isinstance(step, st.MakeOverlay)}
    files: Files = {d.target: (overlays[d.path], "qcow2") for d in kept.disks if d.written}
    xml = with_files(kept.memory_definition, files)
    onto = tuple(path for path, _ in files.values())
    draft.finish.append(st.RunMemory(kept.memory, xml, _was_paused(draft), onto))


def _was_paused(draft: Draft) -> bool:
    return draft.env.vm_state.value == "paused"
