"""What headers and holders say after steps, without doing them; and how two graphs differ. Pure.

What an image takes up on disk is carried over or summed up, so it is a guess afterwards; :func:`differences` does not
look at it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from guivm.engine.snapshots import steps as st
from guivm.engine.snapshots.definitions import Definition, read_definition
from guivm.engine.snapshots.graph import Graph, HeldDisk, Holder, Image
from guivm.engine.snapshots.tree import BranchTree
from guivm.text import clean_line


@dataclass(frozen=True, slots=True)
class Known:
    """What need not be read again. ``trees``: trees by their document. ``paths``: names in definitions that lead to
    other files (symbolic links, storage volumes), by drive or path."""

    trees: Mapping[str, BranchTree] = field(default_factory=dict)
    paths: Mapping[str, str] = field(default_factory=dict)


def simulate(graph: Graph, steps: Iterable[st.Step], known: Known | None = None, *, uuid: str = "") -> Graph:
    """The graph after the steps. ``uuid``: the VM that SaveMemory, LiveOverlays and LivePull are about.

    Raises XmlError or ValueError for a document that cannot be read, KeyError for an image that is not there.
    """
    state = _State(dict(graph.images), {(h.uuid, h.snapshot): h for h in graph.holders}, known or Known(), uuid)
    for step in steps:
        state.do(step)
    return Graph(state.images, tuple(state.holders.values()), graph.others, graph.unreadable, graph.missing)


@dataclass(slots=True)
class _State:
    images: dict[str, Image]
    holders: dict[tuple[str, str | None], Holder]
    known: Known
    uuid: str

    def do(self, step: st.Step) -> None:
        match step:
            case st.MakeOverlay(path, base, base_format, virtual_bytes):
                self._overlay(path, base, base_format, virtual_bytes)
            case st.ConvertImage():
                self._convert(step)
            case st.Pull(path, _, backing, backing_format):
                self._pull(path, backing, backing_format)
            case st.LivePull(_, path, backing):
                below = None if backing is None else self.images[backing].format
                self._pull(path, backing, below or "")
            case st.Merge(path, _, into):
                self._merge(path, into)
            case st.LiveMerge():
                self._merge(step.path, step.into)
                above = replace(self.images[step.above], backing=step.into, backing_format=step.into_format)
                self.images[step.above] = above
            case st.SetBacking(path, _, backing, backing_format):
                self.images[path] = replace(self.images[path], backing=backing, backing_format=backing_format)
            case st.Quarantine(path, target) | st.PutInPlace(path, target):
                self._move(path, target)
            case st.DefineVm(xml):
                self._define(read_definition(xml))
            case st.WriteTree(document):
                self._write_tree(self.known.trees.get(document) or BranchTree.from_json(document))
            case st.LiveOverlays(disks=disks):
                self._live_overlays(dict(disks))
            case st.LiveCopy(disks=disks, sources=sources):
                for (_, path), source in zip(disks, sources, strict=True):
                    self._convert(st.ConvertImage(source, self.images[source].format, path, "qcow2"))
            case (
                st.CopyFile() | st.Freeze() | st.Thaw() | st.SaveMemory() | st.RunMemory() | st.StopVm() | st.StartVm()
            ):
                pass  # no image's header and nobody's disk

    def _overlay(self, path: str, base: str, base_format: str, virtual_bytes: int) -> None:
        self.images[path] = Image(
            path, "qcow2", virtual_bytes, OVERLAY_BYTES, base, base_format, file_system=self._beside(path, base)
        )

    def _beside(self, path: str, other: str) -> int:
        """File system of a new file: that of a file in the same folder, else of the one it is made from."""
        folder = posixpath.dirname(path)
        if posixpath.dirname(other) != folder:
            for image in self.images.values():
                if posixpath.dirname(image.path) == folder:
                    return image.file_system
        return self.images[other].file_system

    def _convert(self, step: st.ConvertImage) -> None:
        source = self.images[step.source]
        self.images[step.target] = Image(
            path=step.target,
            format=step.target_format,
            virtual_bytes=step.virtual_bytes or source.virtual_bytes,
            allocated_bytes=min(source.virtual_bytes, sum(i.allocated_bytes for i in self._between(step.source, None))),
            file_system=self._beside(step.target, step.source),
        )

    def _pull(self, path: str, backing: str | None, backing_format: str) -> None:
        image = self.images[path]
        taken = image.allocated_bytes + sum(i.allocated_bytes for i in self._between(image.backing, backing))
        self.images[path] = replace(
            image,
            backing=backing,
            backing_format=backing_format if backing else "",
            allocated_bytes=max(image.allocated_bytes, min(taken, image.virtual_bytes)),
        )

    def _merge(self, path: str, into: str) -> None:
        target = self.images[into]
        grown = min(target.virtual_bytes, target.allocated_bytes + self.images[path].allocated_bytes)
        self.images[into] = replace(target, allocated_bytes=grown)

    def _between(self, path: str | None, end: str | None) -> Iterator[Image]:
        seen: set[str] = set()
        while path is not None and path != end and path not in seen and path in self.images:
            seen.add(path)
            yield self.images[path]
            path = self.images[path].backing

    def _move(self, path: str, target: str) -> None:
        image = self.images.pop(path, None)
        if image is not None:
            self.images[target] = replace(image, path=target)

    def _define(self, definition: Definition) -> None:
        before = self.holders.get((definition.uuid, None))
        old = {} if before is None else {disk.target: disk.path for disk in before.disks}
        disks = []
        for disk in definition.disks:
            path = self.known.paths.get(disk.path or disk.target, disk.path) or old.get(disk.target, "")
            if disk.is_disk and path:
                disks.append(HeldDisk(disk.target, path, disk.is_own))
        name = clean_line(definition.name)
        nvram = self.known.paths.get(definition.nvram, definition.nvram)
        if before is None:
            self.holders[definition.uuid, None] = Holder(definition.uuid, name, tuple(disks), nvram=nvram)
        else:
            self.holders[definition.uuid, None] = replace(before, vm_name=name, disks=tuple(disks), nvram=nvram)

    def _write_tree(self, tree: BranchTree) -> None:
        current = self.holders.get((tree.uuid, None))
        name = tree.vm_name if current is None else current.vm_name
        self.holders = {key: h for key, h in self.holders.items() if key[0] != tree.uuid or h.is_current}
        self.holders.update(((h.uuid, h.snapshot), h) for h in tree.holders(tree.uuid, name))
        if current is not None:
            self.holders[tree.uuid, None] = replace(current, parent=tree.current, is_template=tree.is_template)

    def _live_overlays(self, paths: Mapping[str, str]) -> None:
        current = self.holders[self.uuid, None]
        for disk in current.disks:
            if disk.target in paths:
                base = self.images[disk.path]
                self._overlay(paths[disk.target], base.path, base.format, base.virtual_bytes)
        disks = tuple(replace(disk, path=paths.get(disk.target, disk.path)) for disk in current.disks)
        self.holders[self.uuid, None] = replace(current, disks=disks)


OVERLAY_BYTES = 256 << 10
"""About what an empty qcow2 image takes up."""


def differences(expected: Graph, seen: Graph) -> tuple[str, ...]:
    """Where the holders of ``expected``, or the images they read, are not as expected: sentences. Empty: all is well.

    Who and what is in ``seen`` alone does not count: another VM may have been made meanwhile.
    """
    found: list[str] = []
    there = {(h.uuid, h.snapshot): h for h in seen.holders}
    looked_at: set[str] = set()
    for holder in expected.holders:
        other = there.get((holder.uuid, holder.snapshot))
        if other is None:
            found.append(f"{whose(holder)} is gone.")
            continue
        found.extend(_holder_differences(holder, other))
        for disk in holder.disks:
            for image in expected.chain(disk.path):
                if image.path in looked_at:
                    break
                looked_at.add(image.path)
                found.extend(_image_differences(image, seen.images.get(image.path)))
    return tuple(found)


def whose(holder: Holder) -> str:
    """A holder in words, to begin a sentence with."""
    if holder.is_current:
        return f"“{holder.vm_name}”"
    return f"The snapshot “{holder.title}” of “{holder.vm_name}”"


def _holder_differences(expected: Holder, seen: Holder) -> Iterator[str]:
    there = {disk.target: disk.path for disk in seen.disks}
    for disk in expected.disks:
        path = there.pop(disk.target, "")
        if path != disk.path:
            yield f"Drive {disk.target} of {_within(expected)} is {_name(path)} and not {_name(disk.path)}."
    for target, path in there.items():
        yield f"Drive {target} of {_within(expected)}, {_name(path)}, is not expected."
    if expected.parent != seen.parent:
        yield f"{whose(expected)} descends from another snapshot than expected."
    if expected.is_template != seen.is_template:
        yield f"{whose(expected)} {'is no' if expected.is_template else 'is a'} template."


def _within(holder: Holder) -> str:
    words = whose(holder)
    return words if holder.is_current else words[0].lower() + words[1:]


def _name(path: str | None) -> str:
    return f"“{clean_line(path, 400)}”" if path else "nothing"


def _image_differences(expected: Image, seen: Image | None) -> Iterator[str]:
    name = _name(expected.path)
    if seen is None:
        yield f"{name} is not there or is needed by nobody."
        return
    if seen.format != expected.format:
        yield f"{name} is in the format {clean_line(seen.format)} and not {clean_line(expected.format)}."
    if seen.virtual_bytes != expected.virtual_bytes:
        yield f"{name} is a disk of {seen.virtual_bytes} bytes and not {expected.virtual_bytes}."
    if seen.backing != expected.backing:
        yield f"{name} is on {_name(seen.backing)} and not on {_name(expected.backing)}."
    elif expected.backing and seen.backing_format != expected.backing_format:
        yield f"{name} takes {_name(expected.backing)} for {clean_line(seen.backing_format) or 'no format'}."
