"""What all plans have in common: what they are told, what they refuse, the space they need, and their words. Pure.

A :class:`Draft` is filled by one planner and becomes one :class:`~guivm.engine.snapshots.steps.Plan`. Everything in
the plan that people see is made from the steps themselves, so that it cannot say anything else.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from guivm.engine.images import MAX_CHAIN
from guivm.engine.snapshots import naming
from guivm.engine.snapshots import steps as st
from guivm.engine.snapshots.definitions import Definition, read_definition
from guivm.engine.snapshots.describing import effects_of, quoted, size_in_words, words_of
from guivm.engine.snapshots.environment import Environment
from guivm.engine.snapshots.graph import Graph, HeldDisk, Holder, Image
from guivm.engine.snapshots.simulate import OVERLAY_BYTES, Known, simulate, whose
from guivm.engine.snapshots.tree import BranchTree, KeptFile
from guivm.engine.snapshots.values import OperationPlan, SnapshotId
from guivm.errors import GuivmError
from guivm.text import clean_line

MAX_BACKING_NAME_BYTES = 1023
"""Longest name of a backing file that a qcow2 header holds (QEMU's docs/interop/qcow2.txt)."""

_NOT_PLAIN = re.compile("[\x00-\x1f\x7f\ud800-\udfff]|[\ufffe\uffff]\\Z")

_NVRAM = "the UEFI variables"
_TPM = "the TPM's state"
_MEMORY = "the memory of the snapshot"


class RefusedError(Exception):
    """A plan that cannot be made, and why. Never leaves the planners. ``needs_bytes``: more than are free."""

    def __init__(self, reason: str, advice: str = "", *, needs_bytes: int = 0, free_bytes: int = 0) -> None:
        super().__init__(reason)
        self.reason = clean_line(reason, 1000)
        self.advice = clean_line(advice, 500)
        self.needs_bytes = needs_bytes
        self.free_bytes = free_bytes


def planned(env: Environment, title: str, plan: Callable[[], st.Plan]) -> st.Plan:
    """What ``plan`` makes, or a plan that only says why there is none."""
    try:
        return plan()
    except RefusedError as refusal:
        shown = OperationPlan(
            env.key,
            title,
            needs_bytes=refusal.needs_bytes,
            free_bytes=refusal.free_bytes,
            refused=refusal.reason,
            advice=refusal.advice,
        )
        return st.Plan(shown)
    except GuivmError as error:  # a definition that cannot be read
        return st.Plan(OperationPlan(env.key, title, refused=error.summary, advice=error.advice))


@dataclass(slots=True)
class _Space:
    most: int = 0
    least: int = 0


class Draft:
    """A plan being made."""

    def __init__(self, graph: Graph, tree: BranchTree, env: Environment, title: str) -> None:
        if not naming.is_token(env.token):
            raise ValueError("the token is not eight hexadecimal digits")
        self.graph = graph
        self.tree = tree
        self.env = env
        self.title = title
        self.prepare: list[st.Step] = []
        self.finish: list[st.Step] = []
        self.undo: list[st.Step] = []
        self.loses: list[str] = []
        self.warnings: list[str] = []
        self.trees: dict[str, BranchTree] = {}
        self.current = self._own_current()
        self.definition = read_definition(env.definition)
        self._taken: set[str] | None = None
        self._words = {self.current.nvram: _NVRAM, self.current.tpm: _TPM, env.tpm: _TPM}
        for snapshot in tree.snapshots:
            self._words |= {snapshot.nvram: _NVRAM, snapshot.tpm: _TPM, snapshot.memory: _MEMORY}
        self._words.pop("", None)
        self._space: dict[int, _Space] = {}
        self._frees = 0
        self._kept = 0

    def _own_current(self) -> Holder:
        current = self.graph.current(self.env.key.uuid)
        if current is None:
            raise RefusedError("The virtual machine is not defined any more.")
        return current

    # --- names ----------------------------------------------------------------------------------------

    @property
    def taken(self) -> set[str]:
        """Names that are in use, or will be."""
        if self._taken is None:
            graph = self.graph
            self._taken = {*graph.images, *graph.others, *graph.unreadable, *graph.missing, *self.env.taken}
            self._taken.update(path for holder in graph.holders for path in holder.files)
        return self._taken

    def overlay_path(self, replaced: str) -> str:
        return self._use(naming.overlay_path(replaced, self.env.token, self.taken))

    def clone_path(self, folder: str, name: str, target: str) -> str:
        return self._use(naming.clone_path(folder, name, target, self.taken))

    def beside(self, path: str) -> str:
        return self._use(naming.beside(path, self.env.token, self.taken))

    def own_path(self, snapshot: SnapshotId, kind: str) -> str:
        return self._use(naming.own_path(self.env.store, snapshot, kind, self.taken))

    def _use(self, path: str) -> str:
        self.taken.add(path)
        return path

    # --- steps ----------------------------------------------------------------------------------------

    def overlay(self, path: str, base: Image, file_system: int | None = None) -> None:
        """A new overlay on an image that was :meth:`looked_at`."""
        self.prepare.append(st.MakeOverlay(path, base.path, base.format, base.virtual_bytes))
        self.need(base.file_system if file_system is None else file_system, OVERLAY_BYTES, OVERLAY_BYTES // 2)

    def copy(self, source: str, target: str, steps: list[st.Step] | None = None) -> None:
        """A copy of NVRAM or TPM state."""
        (self.prepare if steps is None else steps).append(st.CopyFile(source, target))
        self._words[target] = self._words.get(source, "")
        size = self.env.sizes.get(source, 0)
        self.need(self.env.store_file_system, size, size)

    def move_aside(self, path: str) -> KeptFile:
        """Quarantine in *finish*. Images must have been checked to be :meth:`free_to_move`."""
        kept_at = naming.kept_path(path, f"{self.env.key.uuid}-{self.env.token}.moved", self._kept)
        self._kept += 1
        self.finish.append(st.Quarantine(path, kept_at))
        image = self.graph.images.get(path)
        self._frees += self.env.sizes.get(path, 0) if image is None else image.allocated_bytes
        return KeptFile(path, kept_at, image)

    @property
    def nvram(self) -> str:
        """The VM's file of UEFI variables, when it is there."""
        return self.current.nvram if self.current.nvram in self.env.sizes else ""

    @property
    def tpm(self) -> str:
        """The folder with the state of the VM's TPM, when it is there."""
        path = self.current.tpm or self.env.tpm
        return path if path in self.env.sizes else ""

    def define(self, xml: str) -> None:
        self.finish.append(st.DefineVm(xml))

    def write_tree(self, tree: BranchTree) -> None:
        document = tree.to_json()
        self.trees[document] = tree
        self.finish.append(st.WriteTree(document))

    # --- what is refused ------------------------------------------------------------------------------

    def refuse_mixing(self) -> None:
        """Branches of a VM that has snapshots of another kind."""
        if self.env.libvirt_snapshots or self.tree.internal:
            raise RefusedError(
                f"“{self.current.vm_name}” has snapshots of another kind; two kinds are never mixed in one VM.",
                "Delete those first.",
            )

    def refuse_template(self) -> None:
        if self.current.is_template or self.tree.is_template:
            raise RefusedError(
                f"“{self.current.vm_name}” is a template: it can only be cloned.",
                "Convert it back to an ordinary virtual machine first.",
            )

    def refuse_saved_state(self) -> None:
        """Memory kept by libvirt fits only the disks it was saved with."""
        if self.env.has_saved_state:
            raise RefusedError(
                f"“{self.current.vm_name}” has a saved state, which would no longer fit its disks.",
                "Start it, or discard its saved state, first.",
            )

    def looked_at(self, path: str, *, depth: int = 1) -> Image:
        """The image, when it and all below it are sound enough for ``depth`` more above it."""
        chain = list(self.graph.chain(path))
        for image in chain:
            require_plain(image.path)
            if image.encrypted:
                raise RefusedError(
                    f"{quoted(image.path)} is encrypted, which snapshots and clones here cannot handle yet."
                )
            if image.format not in ("qcow2", "raw"):
                raise RefusedError(
                    f"{quoted(image.path)} is in the format {clean_line(image.format, 40)}.",
                    "Convert it to qcow2 first.",
                )
        below = chain[-1].backing if chain else path
        if below is not None:
            self._refuse_broken(below, chain)
        if len(chain) + depth > MAX_CHAIN:
            raise RefusedError(
                f"{quoted(path)} is the top of {len(chain)} images that are on one another; "
                f"more than {MAX_CHAIN} are not admitted.",
                "Delete snapshots, or detach the linked clone, first.",
            )
        return chain[0]

    def _refuse_broken(self, below: str, chain: list[Image]) -> None:
        needed = f", which {quoted(chain[-1].path)} needs," if chain else ""
        if any(image.path == below for image in chain):
            raise RefusedError(f"{quoted(below)} is, in the end, its own backing file.", "Repair the images first.")
        if below in self.graph.unreadable:
            raise RefusedError(f"{quoted(below)}{needed} cannot be read.", "Check its permissions.")
        raise RefusedError(f"{quoted(below)}{needed} is missing.", "Bring the file back first.")

    def own_disks(self) -> tuple[HeldDisk, ...]:
        """The VM's drives that are its own to write, checked to be files that can be frozen. In the VM's order."""
        defined = {disk.target: disk for disk in self.definition.disks}
        held = {disk.target: disk for disk in self.current.disks}
        for disk in self.definition.disks:
            drive = f"Drive {clean_line(disk.target, 40)}"
            if not disk.is_own:
                continue
            path = held[disk.target].path if disk.target in held else ""
            if disk.kind not in ("file", "volume") or not path or path.startswith("/dev/"):
                raise RefusedError(f"{drive} is no file on this computer, so it cannot be kept as it is.")
            if disk.is_sliced:
                raise RefusedError(f"{drive} is only a part of a file.")
        own = tuple(disk for disk in self.current.disks if disk.written)
        for mine in own:
            if mine.target not in defined or not defined[mine.target].is_own:
                raise RefusedError(f"Drive {clean_line(mine.target, 40)} has changed meanwhile.", "Try again.")
            self._require_alone(mine)
        return own

    def _require_alone(self, disk: HeldDisk) -> None:
        """The image is named by this one drive, apart from snapshots."""
        if sum(other.path == disk.path for other in self.current.disks) > 1:
            raise RefusedError(f"{quoted(disk.path)} is used by two drives of “{self.current.vm_name}”.")
        for holder in self.graph.holders_of(disk.path):
            if holder.uuid != self.current.uuid:
                raise RefusedError(
                    f"{quoted(disk.path)} is also used by {_lower(whose(holder))}.", "Give each its own disk first."
                )

    def refuse_other_format(self, disk: HeldDisk, image: Image) -> None:
        """A definition that takes an image for what it is not."""
        declared = next((d.format for d in self.definition.disks if d.target == disk.target), "")
        if declared and declared != image.format:
            raise RefusedError(
                f"{quoted(disk.path)} is in the format {clean_line(image.format, 40)}, "
                f"but the definition says {clean_line(declared, 40)}."
            )

    def refuse_inside_snapshots(self, image: Image) -> None:
        if image.internal_snapshots:
            raise RefusedError(
                f"{quoted(image.path)} holds snapshots inside it; two kinds are never mixed in one VM.",
                "Delete those first.",
            )

    def refuse_changed_drives(self) -> None:
        """A running VM whose drives are not those of its stored definition."""
        if not self.env.runs:
            return
        if not self.env.live_definition:
            raise RefusedError("What the running virtual machine uses could not be read.")
        live = {(d.target, d.path) for d in read_definition(self.env.live_definition).disks if d.is_own}
        stored = {(d.target, d.path) for d in self.definition.disks if d.is_own}
        if live != stored:
            raise RefusedError(
                f"The drives of “{self.current.vm_name}” have been changed since it was started.",
                "Shut it down first, so that the changes take effect.",
            )

    def free_to_move(self, path: str, gone: frozenset[SnapshotId] = frozenset(), *, current: bool = False) -> None:
        """Refuses when anybody needs the file but this VM's snapshots that are ``gone`` and, with ``current``, its
        current state."""
        for holder in self.graph.readers_of(path):
            if holder.uuid == self.current.uuid and (current if holder.is_current else holder.snapshot in gone):
                continue
            self.refuse_needed(path, holder)
        self.refuse_mentioned(path)

    def refuse_needed(self, path: str, holder: Holder) -> None:
        advice = ""
        if holder.uuid != self.current.uuid:
            advice = f"Detach “{holder.vm_name}” from it, or delete that virtual machine, first."
        raise RefusedError(f"{quoted(path)} is needed by {_lower(whose(holder))}.", advice)

    def refuse_mentioned(self, path: str) -> None:
        """A file that a VM names elsewhere than as a drive. A running VM's own chain is mentioned in its definition."""
        name = self.graph.others.get(path)
        own = path in self.graph.images or path in (self.current.nvram, self.current.tpm, self.env.tpm)
        if name is not None and not (own and name == self.current.vm_name):
            raise RefusedError(f"{quoted(path)} is also used by “{name}”.")

    def refuse_blind(self) -> None:
        """Images that cannot be read could need what is moved or changed."""
        for path, name in self.graph.unreadable.items():
            raise RefusedError(
                f"{quoted(path)} of “{name}” cannot be read, so it is not known whether it needs these images.",
                "Make it readable, or remove it from that virtual machine, first.",
            )
        for path, name in self.graph.missing.items():
            self.warnings.append(f"{quoted(path)} of “{name}” is missing. If it needs these images, it will not work.")

    def require_ours(self, paths: Iterable[str]) -> None:
        """Files of a snapshot that are no images lie in our own folder; a tree that says otherwise is not ours."""
        for path in paths:
            if posixpath.dirname(path) != self.env.store:
                raise RefusedError(f"{quoted(path)} is not in the folder of the snapshots.")

    def require_there(self, paths: Iterable[str]) -> None:
        for path in paths:
            if path not in self.env.sizes:
                raise RefusedError(f"{quoted(path)} is missing.", "Bring the file back first.")

    def warn_left_alone(self, disks: Iterable[HeldDisk], what: str) -> None:
        """Drives that are read only or shared."""
        for disk in disks:
            if not disk.written:
                drive = clean_line(disk.target, 40)
                self.warnings.append(
                    f"Drive {drive}, {quoted(disk.path)}, is read-only or shared: it is no part of {what}."
                )

    # --- space ----------------------------------------------------------------------------------------

    def need(self, file_system: int, most: int, least: int = 0) -> None:
        """Bytes to be written: at most, and surely."""
        space = self._space.setdefault(file_system, _Space())
        space.most += most
        space.least += least

    def _fullest(self) -> tuple[int, int]:
        """Bytes needed and free where it is tightest. Refuses what surely does not fit."""
        free = self.env.free
        known = [(space, free[system]) for system, space in self._space.items() if system in free]
        for space, left in known:
            if space.least > left:
                raise RefusedError(
                    f"About {size_in_words(max(space.most, space.least))} more would be needed, "
                    f"but only {size_in_words(left)} are free.",
                    "Free some space on that disk first.",
                    needs_bytes=max(space.most, space.least),
                    free_bytes=left,
                )
            if space.most > left:
                self.warnings.append(
                    f"Up to {size_in_words(space.most)} may be needed, and {size_in_words(left)} are free. "
                    "If that is not enough, all stays as it is."
                )
        if not known:
            return sum(space.most for space in self._space.values()), 0
        space, left = max(known, key=lambda pair: pair[0].most - pair[1])
        return space.most, left

    # --- the plan -------------------------------------------------------------------------------------

    def plan(self, *, pauses: bool = False, stops: bool = False) -> st.Plan:
        """What has been drafted. Refuses when it does not fit on the disk."""
        steps = (*self.prepare, *self.finish)
        needs, free = self._fullest()
        shown = OperationPlan(
            key=self.env.key,
            title=self.title,
            effects=effects_of(steps, self.graph, self.env.sizes),
            needs_bytes=needs,
            free_bytes=free,
            frees_bytes=self._frees,
            loses=tuple(self.loses),
            warnings=tuple(dict.fromkeys(self.warnings)),
            pauses_guest=pauses,
            stops_guest=stops,
            steps=tuple(dict.fromkeys(words for step in steps if (words := words_of(step, self._words)))),
        )
        known = Known(self.trees, self._aliases())
        expected = simulate(self.graph, steps, known, uuid=self.env.key.uuid)
        return st.Plan(shown, tuple(self.prepare), tuple(self.finish), tuple(self.undo), expected)

    def _aliases(self) -> dict[str, str]:
        """Names in the definitions that lead to other files."""
        return aliases(self.definition, self.current)


def aliases(definition: Definition, holder: Holder) -> dict[str, str]:
    """Where the definition's names lead, as the graph has it: by path, or by the drive's target when it has none."""
    held = {disk.target: disk.path for disk in holder.disks}
    found = {d.path or d.target: held[d.target] for d in definition.disks if d.target in held}
    if definition.nvram and holder.nvram:
        found[definition.nvram] = holder.nvram
    return {name: path for name, path in found.items() if name != path}


def require_plain(path: str) -> None:
    """Refuses names that a definition or an image's header cannot hold."""
    if _NOT_PLAIN.search(path):
        raise RefusedError(
            f"The name of {quoted(path)} has characters that a definition cannot hold.", "Give the file another name."
        )
    if len(path.encode()) > MAX_BACKING_NAME_BYTES:
        raise RefusedError(
            f"The name of {quoted(path)} is longer than an image's header can hold.",
            "Move the file to a folder with a shorter name.",
        )


def _lower(words: str) -> str:
    return words[0].lower() + words[1:]
