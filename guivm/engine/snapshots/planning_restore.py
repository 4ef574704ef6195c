"""Plans for going back to a branch snapshot, and for undoing that. Pure.

What is replaced is moved aside and named in a receipt in the tree, so that undoing is moving it back.
"""

from __future__ import annotations

import posixpath
from collections.abc import Collection
from dataclasses import dataclass, replace

from guivm.engine.snapshots import naming
from guivm.engine.snapshots import steps as st
from guivm.engine.snapshots.definitions import Definition, read_definition, with_files
from guivm.engine.snapshots.describing import quoted
from guivm.engine.snapshots.drafting import Draft, RefusedError, planned
from guivm.engine.snapshots.environment import Environment, NewSnapshot
from guivm.engine.snapshots.graph import Graph, Image
from guivm.engine.snapshots.planning_take import Files, copy_state, keepable_disks, kept_snapshot, save_memory
from guivm.engine.snapshots.tree import BranchSnapshot, BranchTree, KeptFile, RestoreReceipt
from guivm.engine.snapshots.values import SnapshotId
from guivm.engine.trash import RETENTION_DAYS
from guivm.engine.types import VmState
from guivm.text import clean_line


def plan_restore(
    graph: Graph, tree: BranchTree, env: Environment, snapshot: SnapshotId, keep: NewSnapshot | None = None
) -> st.Plan:
    """Make the VM what it was; a running one is ended. ``keep``: a snapshot of its current state, taken before."""
    wanted = tree.find(snapshot)
    title = f"Restore the snapshot “{wanted.title if wanted else snapshot}”"

    def plan() -> st.Plan:
        if wanted is None:
            raise RefusedError("There is no such snapshot any more.", "Look at the list again.")
        return _Restore(Draft(graph, tree, env, title), wanted, read_definition(wanted.definition), keep).plan()

    return planned(env, title, plan)


def plan_undo_restore(graph: Graph, tree: BranchTree, env: Environment, gone: Collection[str] = ()) -> st.Plan:
    """Bring back what the last restore replaced, as the tree's receipt tells. ``gone``: files moved aside that are not
    there any more. The state of now is moved aside in turn, and undoing once more brings it back."""
    receipt = tree.undo
    title = f"Undo restoring “{receipt.title}”" if receipt else "Undo the last restore"

    def plan() -> st.Plan:
        if receipt is None:
            raise RefusedError("There is no restore to be undone.")
        kept = {f.kept_at: replace(f.image, path=f.kept_at) for f in receipt.files if f.image is not None}
        known = Graph({**graph.images, **kept}, graph.holders, graph.others, graph.unreadable, graph.missing)
        draft = Draft(known, tree, env, title)
        _check_receipt(draft, receipt, gone)
        return _undo(draft, receipt)

    return planned(env, title, plan)


@dataclass(slots=True)
class _Restore:
    draft: Draft
    wanted: BranchSnapshot
    definition: Definition  # the snapshot's
    keep: NewSnapshot | None

    def plan(self) -> st.Plan:
        draft, wanted, env = self.draft, self.wanted, self.draft.env
        self._check()
        if self.keep is not None:
            keepable_disks(draft, self.keep)
        files = self._overlays()
        nvram = self._prepare_copy(wanted.nvram, draft.current.nvram or self.definition.nvram)
        tpm = self._prepare_copy(wanted.tpm, draft.current.tpm or env.tpm)
        kept = None if self.keep is None else self._keep(self.keep)
        saved = kept is not None and bool(kept.memory)
        if env.runs and not saved:
            draft.finish.append(st.StopVm())
            draft.loses.append("What the running guest has in its memory, and has not written to its disks, is lost.")
            if kept is not None:
                copy_state(draft, kept, draft.finish)
        moved = [*_swap(draft, draft.nvram, nvram), *_swap(draft, draft.tpm, tpm)]
        place = draft.current.nvram if self.definition.nvram else ""  # a renamed VM keeps its file's place
        draft.define(with_files(wanted.definition, files, name=draft.definition.name, nvram=place))
        if kept is None:
            receipt = set_aside(draft, moved, wanted.id, wanted.title)
            draft.write_tree(replace(draft.tree, current=wanted.id, undo=receipt))
            draft.loses.append(
                f"What “{draft.current.vm_name}” has changed on its disks{_since(draft)} is replaced. "
                f"It is kept aside for {RETENTION_DAYS:.0f} days, in which the restore can be undone."
            )
        else:
            draft.finish.extend(st.Freeze(disk.path) for disk in kept.disks if disk.written)
            draft.write_tree(replace(draft.tree.with_snapshot(kept), current=wanted.id, undo=None))
        if wanted.memory:
            xml = with_files(wanted.memory_definition, files, nvram=place)
            onto = tuple(path for path, _ in files.values())
            draft.finish.append(st.RunMemory(wanted.memory, xml, wanted.vm_state is VmState.PAUSED, onto))
        elif wanted.vm_state.is_active:
            draft.warnings.append("The snapshot holds no memory: the guest starts as after a power failure.")
        return draft.plan(pauses=saved, stops=env.runs)

    def _check(self) -> None:
        draft, wanted = self.draft, self.wanted
        draft.refuse_mixing()
        draft.refuse_template()
        draft.refuse_saved_state()
        draft.require_ours(wanted.extras)
        draft.require_there(wanted.extras)
        if self.definition.uuid != draft.env.key.uuid:
            raise RefusedError("The snapshot is of another virtual machine.")
        if wanted.tpm and not (draft.current.tpm or draft.env.tpm):
            raise RefusedError("Where the virtual machine's TPM keeps its state is not known.")
        if wanted.nvram and not (draft.current.nvram or self.definition.nvram):
            raise RefusedError("Where the virtual machine keeps UEFI's variables is not known.")
        if wanted.memory:
            name = read_definition(wanted.memory_definition).name
            if name != draft.definition.name:  # libvirt: virDomainDefCheckABIStability compares the names
                raise RefusedError(
                    f"The memory in the snapshot can only be run while the virtual machine is called "
                    f"“{clean_line(name)}”.",
                    f"Rename it to “{clean_line(name)}”, restore, and rename it again.",
                )

    def _overlays(self) -> Files:
        """Fresh images on those of the snapshot, beside the ones they replace."""
        draft, files = self.draft, Files()
        now = {disk.target: disk.path for disk in draft.current.disks if disk.written}
        for disk in self.wanted.disks:
            if not disk.written:
                if disk.path not in draft.graph.images:
                    draft.warnings.append(
                        f"Drive {clean_line(disk.target, 40)} was {quoted(disk.path)}, which is not there now."
                    )
                continue
            base = draft.looked_at(disk.path)
            beside = draft.graph.images.get(now.get(disk.target, ""), base)
            path = draft.overlay_path(beside.path)
            draft.overlay(path, base, beside.file_system)
            files[disk.target] = path, "qcow2"
        return files

    def _prepare_copy(self, source: str, place: str) -> tuple[str, str]:
        """A copy beside the place where it is to go: both names; empty when there is nothing to copy."""
        if not source:
            return "", ""
        prepared = self.draft.beside(place)
        self.draft.copy(source, prepared)
        return prepared, place

    def _keep(self, new: NewSnapshot) -> BranchSnapshot:
        """The current state as a snapshot, its images as they are: nothing is to be written on them any more."""
        draft = self.draft
        if draft.env.runs and new.memory:
            save_memory(draft, new)
        kept = kept_snapshot(draft, new)
        if kept.memory or not draft.env.runs:
            copy_state(draft, kept, draft.prepare)
        return kept


def _swap(draft: Draft, now: str, prepared: tuple[str, str]) -> list[KeptFile]:
    """Move what is there aside, and put what was prepared in its place."""
    moved = []
    source, place = prepared
    if now:
        draft.free_to_move(now, current=True)
        moved.append(draft.move_aside(now))
    if source:
        draft.finish.append(st.PutInPlace(source, place))
    return moved


def _since(draft: Draft) -> str:
    current = None if draft.tree.current is None else draft.tree.find(draft.tree.current)
    return f" since “{current.title}”" if current else ""


def set_aside(draft: Draft, moved: list[KeptFile], restored: SnapshotId | None, title: str) -> RestoreReceipt:
    """Move the images of the current state aside that nobody else needs, and write down all that was moved."""
    images = list(_replaced(draft))
    if images:
        draft.refuse_blind()
    files = [*moved, *(draft.move_aside(image.path) for image in images)]
    gone = {image.path for image in images}
    needs = dict.fromkeys(
        below.path for image in images for below in draft.graph.chain(image.path) if below.path not in gone
    )
    return RestoreReceipt(
        restored=restored,
        title=title,
        when_s=draft.env.now_s,
        current=draft.tree.current,
        definition=draft.env.definition,
        files=tuple(files),
        needs=tuple(needs),
    )


def _replaced(draft: Draft) -> list[Image]:
    """Images that hold nothing but the current state: overlays of ours, from the top down to what others read."""
    frozen = {path for snapshot in draft.tree.snapshots for path in snapshot.images}
    found: dict[str, Image] = {}
    for disk in draft.current.disks:
        chain = list(draft.graph.chain(disk.path))
        if not disk.written or not chain or disk.path in found or disk.path in frozen:
            continue
        ours = naming.is_overlay_name(disk.path) or any(image.path in frozen for image in chain)
        others = [h for h in draft.graph.readers_of(disk.path) if h.uuid != draft.current.uuid]
        if others and ours:
            draft.refuse_needed(disk.path, others[0])
        if not ours or draft.graph.overlays(disk.path):
            draft.warnings.append(f"{quoted(disk.path)} belongs to no snapshot: it is left where it is.")
            continue
        draft.refuse_mentioned(disk.path)
        found[disk.path] = chain[0]
        for image in chain[1:]:
            readers = draft.graph.readers_of(image.path)
            if not naming.is_overlay_name(image.path) or any(h is not draft.current for h in readers):
                break
            found[image.path] = image
    return list(found.values())


# --- undo -------------------------------------------------------------------------------------------------


def _check_receipt(draft: Draft, receipt: RestoreReceipt, gone: Collection[str]) -> None:
    draft.refuse_mixing()
    draft.refuse_template()
    draft.refuse_saved_state()
    definition = read_definition(receipt.definition)
    if definition.uuid != draft.env.key.uuid:
        raise RefusedError("What was moved aside is of another virtual machine.")
    if receipt.current is not None and draft.tree.find(receipt.current) is None:
        raise RefusedError("The snapshot that the replaced state descends from has been deleted.")
    for path in receipt.needs:
        if path not in draft.graph.images:
            raise RefusedError(f"{quoted(path)}, which the replaced state needs, is not there any more.")
        draft.looked_at(path)
    for file in receipt.files:
        if file.kept_at in gone:
            raise RefusedError(f"{quoted(file.kept_at)} is not there any more.")
        trash = posixpath.join(posixpath.dirname(file.path), naming.TRASH_NAME, "")
        if not file.kept_at.startswith(trash):
            raise RefusedError(f"{quoted(file.kept_at)} is not where files are kept aside.")


def _undo(draft: Draft, receipt: RestoreReceipt) -> st.Plan:
    env = draft.env
    if env.runs:
        draft.finish.append(st.StopVm())
        draft.loses.append("What the running guest has in its memory, and has not written to its disks, is lost.")
    state = {path for path in (draft.nvram, draft.tpm) if path}
    moved = [kept for path in sorted(state) for kept in _swap(draft, path, ("", ""))]
    for file in receipt.files:
        if file.path in draft.taken and file.path not in state and file.path != draft.current.nvram:
            raise RefusedError(f"Another file now stands at {quoted(file.path)}.", "Move or rename that file first.")
        draft.finish.append(st.PutInPlace(file.kept_at, file.path))
    draft.define(with_files(receipt.definition, {}, name=draft.definition.name))
    again = set_aside(draft, moved, receipt.restored, receipt.title)
    draft.write_tree(replace(draft.tree, current=receipt.current, undo=again))
    draft.loses.append(
        f"What “{draft.current.vm_name}” has changed on its disks since the restore is replaced. "
        f"It is kept aside for {RETENTION_DAYS:.0f} days; undoing once more brings it back."
    )
    return draft.plan(stops=env.runs)
