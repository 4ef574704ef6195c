"""Plans for deleting branch snapshots: one, several, or with all that descends from them. Pure.

What others need of a deleted snapshot's image is kept in one of two ways, whichever writes less. *Pull*: the image
above takes in what it reads from the deleted one, and reads the same at every moment. *Merge*: what the image above
holds is written into the deleted one, which then stands for it; only where nobody else looks at either. Of a stretch
of deleted images below one that stays, the largest is the one that stays in the end: what is above it is merged into
it from below upwards, so that each image is written once, and it pulls what is below.

While the VM runs, its own QEMU does it: the image that is written to pulls; further down, all is merged into the lowest
of the deleted ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from guivm.engine.snapshots import steps as st
from guivm.engine.snapshots.definitions import with_files
from guivm.engine.snapshots.describing import quoted
from guivm.engine.snapshots.drafting import Draft, RefusedError, planned
from guivm.engine.snapshots.environment import Environment
from guivm.engine.snapshots.graph import Graph, Holder, Image
from guivm.engine.snapshots.tree import BranchSnapshot, BranchTree
from guivm.engine.snapshots.values import SnapshotId
from guivm.engine.types import VmState


def plan_delete(
    graph: Graph, tree: BranchTree, env: Environment, snapshots: tuple[SnapshotId, ...], children: bool = False
) -> st.Plan:
    """Delete snapshots; ``children``: and all that descend from them. What descends from a deleted one and stays
    descends from the nearest that is left."""
    chosen = frozenset(snapshots)
    gone = tree.below(chosen) if children else chosen
    leaving = tuple(s for s in tree.snapshots if s.id in gone)
    title = f"Delete {len(leaving)} snapshots" if len(leaving) != 1 else f"Delete the snapshot “{leaving[0].title}”"

    def plan() -> st.Plan:
        if not chosen:
            raise RefusedError("No snapshot was chosen.")
        if not chosen <= {snapshot.id for snapshot in tree.snapshots}:
            raise RefusedError("There is no such snapshot any more.", "Look at the list again.")
        return _Deletion(Draft(graph, tree, env, title), gone, leaving).plan()

    return planned(env, title, plan)


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Deleted images below one that stays: ``nodes`` from that one down, on ``base``, which stays too.

    ``target`` is the place in ``nodes`` of the one that will hold all.
    """

    nodes: tuple[Image, ...]
    base: Image | None
    target: int

    @property
    def result(self) -> Image:
        return self.nodes[self.target]


@dataclass(slots=True)
class _Deletion:
    draft: Draft
    gone: frozenset[SnapshotId]
    leaving: tuple[BranchSnapshot, ...]
    doomed: dict[str, None] = field(default_factory=dict)  # images that belong to nobody any more
    needed: set[str] = field(default_factory=set)  # images that somebody reads who stays
    above: dict[str, dict[str, None]] = field(default_factory=dict)  # among the needed, as the steps change it
    renamed: dict[str, Image] = field(default_factory=dict)  # merged images, and what stands for them

    def plan(self) -> st.Plan:
        draft = self.draft
        draft.refuse_mixing()
        draft.refuse_blind()
        for snapshot in self.leaving:
            draft.require_ours(snapshot.extras)
            draft.loses.append(f"The snapshot “{snapshot.title}” cannot be restored any more.")
        self._sort_images()
        stretches = [self._stretch(image) for image in self._lowest_kept()]
        for stretch in stretches:
            self._pull(stretch)
        after = draft.tree.without(self.gone)
        if self._ends_undo(after, stretches):
            after = replace(after, undo=None)
            draft.loses.append("The last restore cannot be undone any more.")
        draft.write_tree(after)
        for stretch in stretches:
            self._merge(stretch)
        self._rename(after)
        self._clear(stretches)
        return draft.plan()

    # --- who needs what -------------------------------------------------------------------------------

    def _stays(self, holder: Holder) -> bool:
        return holder.uuid != self.draft.current.uuid or holder.is_current or holder.snapshot not in self.gone

    def _sort_images(self) -> None:
        draft, graph = self.draft, self.draft.graph
        staying = [holder for holder in graph.holders if self._stays(holder)]
        named = {path: holder for holder in staying for path in holder.files}
        for snapshot in self.leaving:
            for path in snapshot.images:
                other = named.get(path)
                if other is not None and other.uuid != draft.current.uuid:
                    draft.refuse_needed(path, other)
                if other is None:
                    draft.refuse_mentioned(path)
                    self.doomed[path] = None
        mentioned = [path for path, name in graph.others.items() if name != draft.current.vm_name]
        for top in (*named, *mentioned):
            above: str | None = None
            for image in graph.chain(top):
                if above is not None:
                    self.above.setdefault(image.path, {})[above] = None
                if image.path in self.needed:
                    break
                self.needed.add(image.path)
                above = image.path
        for path in [path for path in self.doomed if path not in graph.images]:
            if graph.overlays(path):
                raise RefusedError(
                    f"{quoted(path)} is missing, and other images need it.", "Bring the file back first."
                )
            draft.warnings.append(f"{quoted(path)} is missing already.")
            del self.doomed[path]

    def _lowest_kept(self) -> Iterator[Image]:
        """Images that stay and are on one that does not, in a fixed order."""
        for path in self.doomed:
            for above in sorted(self.above.get(path, ())):
                if above not in self.doomed:
                    yield self.draft.graph.images[above]

    # --- one stretch ----------------------------------------------------------------------------------

    def _stretch(self, kept: Image) -> _Stretch:
        draft, images = self.draft, self.draft.graph.images
        draft.looked_at(kept.path, depth=0)
        nodes = [kept]
        while (below := nodes[-1].backing) is not None and below in self.doomed:
            nodes.append(images[below])
        base = None if below is None else images[below]
        readers = [holder for holder in draft.graph.readers_of(kept.path) if self._stays(holder)]
        self._refuse_others(kept, nodes[1], readers)
        draft.refuse_inside_snapshots(kept)
        if draft.current in readers:
            draft.refuse_saved_state()
        running = [h for h in readers if h.is_current and h.uuid in draft.env.running]
        if not running:
            target = self._best(nodes, readers)
        elif self._is_live_top(kept, running):
            target = 0
        else:
            target = len(nodes) - 1
            self._refuse_live_merge(nodes, readers, running)
        return _Stretch(tuple(nodes), base, target)

    def _refuse_others(self, kept: Image, deleted: Image, readers: list[Holder]) -> None:
        """Linked clones, and whatever else of other VMs stands directly on a deleted image."""
        uuid = self.draft.current.uuid
        for holder in self.draft.graph.holders_of(kept.path):
            if holder.uuid != uuid:
                self.draft.refuse_needed(deleted.path, holder)
        if readers and all(holder.uuid != uuid for holder in readers):
            self.draft.refuse_needed(deleted.path, readers[0])

    def _refuse_live_merge(self, nodes: list[Image], readers: list[Holder], running: list[Holder]) -> None:
        """What QEMU cannot merge into the lowest image while it runs on all of them."""
        draft, kept, reader = self.draft, nodes[0], running[0]
        own = running == [draft.current] and self._is_named_only_here(kept, readers)
        if not own or not all(self._may_hold(nodes, place) for place in range(1, len(nodes))):
            raise RefusedError(
                f"{quoted(kept.path)}, into which a snapshot is to be merged, is in use: “{reader.vm_name}” runs.",
                f"Shut “{reader.vm_name}” down first.",
            )
        if draft.env.vm_state is not VmState.RUNNING:
            raise RefusedError(
                f"“{reader.vm_name}” is paused, so QEMU cannot be made to write the merged image to the disk.",
                "Let it go on, or shut it down, first.",
            )

    def _is_live_top(self, image: Image, running: list[Holder]) -> bool:
        return running == [self.draft.current] and self._target_of(image) is not None

    def _target_of(self, image: Image) -> str | None:
        """The drive of the current state whose image this is."""
        return next((d.target for d in self.draft.current.disks if d.path == image.path), None)

    def _best(self, nodes: list[Image], readers: list[Holder]) -> int:
        """Place of the largest image that may hold all in the end. Nothing may stand on it but what is merged in."""
        kept = nodes[0]
        if not self._is_named_only_here(kept, readers):
            return 0
        best = 0
        for place, image in enumerate(nodes[1:], 1):
            if not self._may_hold(nodes, place):
                break
            written = sum(above.allocated_bytes for above in nodes[:place])
            has_space = written <= self.draft.env.free.get(image.file_system, written)
            if has_space and image.allocated_bytes > nodes[best].allocated_bytes:
                best = place
        return best

    def _is_named_only_here(self, kept: Image, readers: list[Holder]) -> bool:
        """Else a header of another VM's image would have to be changed, or another VM names the image otherwise."""
        current = self.draft.current
        if any(holder.uuid != current.uuid for holder in readers):
            return False
        return self.draft.graph.others.get(kept.path, current.vm_name) == current.vm_name

    def _may_hold(self, nodes: list[Image], place: int) -> bool:
        """Whether this image can take in the ones above it."""
        image = nodes[place]
        fits = image.virtual_bytes == nodes[0].virtual_bytes and not image.internal_snapshots and not image.encrypted
        return fits and len(self.above[image.path]) <= 1

    def _is_frozen(self, path: str) -> bool:
        """A snapshot's or template's image, or one below: not one that a VM writes to."""
        holders = self.draft.graph.holders_of(path)
        return not any(holder.is_current and not holder.is_template for holder in holders)

    # --- steps ----------------------------------------------------------------------------------------

    def _pull(self, stretch: _Stretch) -> None:
        """In *prepare*: nobody reads anything else than before."""
        draft, result, base = self.draft, stretch.result, stretch.base
        below = stretch.nodes[stretch.target + 1 :]
        if not below:
            return
        most = sum(image.allocated_bytes for image in below)
        packed = max((i.allocated_bytes for i in below if i.format != "raw"), default=0)
        draft.need(result.file_system, most, max(0, packed - result.allocated_bytes) // 2)
        base_path = None if base is None else base.path
        target = self._target_of(result)
        if draft.env.runs and target is not None and not self._is_frozen(result.path):
            draft.prepare.append(
                st.LivePull(target, result.path, base_path, result.backing or "", result.backing_format)
            )
        else:
            draft.prepare.extend(self._writing(result.path, _pull(result, base)))
            if self._is_frozen(result.path):
                draft.undo.append(st.Freeze(result.path))
        self._put(result.path, below[0].path, base_path)
        for image in below:
            if self.above.get(image.path):
                break
            self._put(image.path, image.backing or "", None)

    def _merge(self, stretch: _Stretch) -> None:
        """In *finish*: the target takes in what is above it, the nearest first."""
        draft, target = self.draft, stretch.result
        if stretch.target == 0:
            return
        draft.need(target.file_system, *[sum(i.allocated_bytes for i in stretch.nodes[: stretch.target])] * 2)
        draft.finish.append(st.Thaw(target.path))
        for image in reversed(stretch.nodes[: stretch.target]):
            draft.finish.append(st.Thaw(image.path))
            by_qemu = self._live_merge(image, target)
            if by_qemu is None:
                draft.finish.append(st.Merge(image.path, image.format, target.path))
            else:
                draft.finish.extend(self._writing(by_qemu.above, by_qemu))
                self._put(by_qemu.above, image.path, target.path)
            for above in tuple(self.above.get(image.path, ())):
                step = st.SetBacking(above, draft.graph.images[above].format, target.path, target.format)
                draft.finish.extend(self._writing(above, step))
                self._put(above, image.path, target.path)
            self.above.get(target.path, {}).pop(image.path, None)
        kept = stretch.nodes[0]
        if self._is_frozen(kept.path):
            draft.finish.append(st.Freeze(target.path))
        self.renamed[kept.path] = target

    def _live_merge(self, image: Image, target: Image) -> st.LiveMerge | None:
        """By the running VM's QEMU, when both are in its chain; it also puts what is above on the target."""
        if not self.draft.env.runs:
            return None
        graph = self.draft.graph
        for disk in self.draft.current.disks:
            chain = {each.path for each in graph.chain(disk.path)}
            for above in self.above.get(image.path, ()) if image.path in chain else ():
                if above in chain:
                    form = graph.images[above].format
                    return st.LiveMerge(disk.target, image.path, image.format, target.path, target.format, above, form)
        return None

    def _writing(self, path: str, step: st.Step) -> tuple[st.Step, ...]:
        return (st.Thaw(path), step, st.Freeze(path)) if self._is_frozen(path) else (step,)

    def _put(self, path: str, old: str, new: str | None) -> None:
        self.above.get(old, {}).pop(path, None)
        if new is not None:
            self.above.setdefault(new, {})[path] = None

    def _rename(self, after: BranchTree) -> None:
        """The definition and the tree name what stands for the merged images."""
        if not self.renamed:
            return
        draft = self.draft
        files = {
            disk.target: (self.renamed[disk.path].path, self.renamed[disk.path].format)
            for disk in draft.current.disks
            if disk.path in self.renamed
        }
        if files:
            draft.define(with_files(draft.env.definition, files))
        renamed = after.renamed({path: image.path for path, image in self.renamed.items()})
        if renamed != after:
            snapshots = tuple(map(self._redefined, after.snapshots, renamed.snapshots))
            draft.write_tree(replace(renamed, snapshots=snapshots))

    def _redefined(self, before: BranchSnapshot, after: BranchSnapshot) -> BranchSnapshot:
        """Its definition says of what format the merged images are, too: a raw one cannot tell itself."""
        files = {
            disk.target: (self.renamed[disk.path].path, self.renamed[disk.path].format)
            for disk in before.disks
            if disk.path in self.renamed
        }
        return replace(after, definition=with_files(after.definition, files)) if files else after

    def _clear(self, stretches: list[_Stretch]) -> None:
        """What nobody needs any more is moved aside."""
        draft = self.draft
        results = {stretch.result.path for stretch in stretches}
        for path in (*self.renamed, *(path for path in self.doomed if path not in results)):
            draft.move_aside(path)
        for snapshot in self.leaving:
            for path in snapshot.extras:
                if path in draft.env.sizes:
                    draft.move_aside(path)

    def _ends_undo(self, after: BranchTree, stretches: list[_Stretch]) -> bool:
        """Whether what the last restore replaced is on an image that is moved or changed."""
        undo = after.undo
        if undo is None:
            return False
        merged = {image.path for s in stretches if s.target for image in s.nodes[: s.target + 1]}
        return undo.current in self.gone or any(path in self.doomed or path in merged for path in undo.needs)


def _pull(image: Image, base: Image | None) -> st.Pull:
    if base is None:
        return st.Pull(image.path, image.format, None)
    return st.Pull(image.path, image.format, base.path, base.format)
