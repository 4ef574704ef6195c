"""Plans in words: what steps do to files, and what they are called. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping

from guivm.engine.snapshots import steps as st
from guivm.engine.snapshots.graph import Graph
from guivm.engine.snapshots.values import FileAction, FileEffect
from guivm.text import clean_line

_PATH_LIMIT = 4096


def quoted(path: str) -> str:
    """A path in a sentence."""
    return f"“{clean_line(path, 400)}”"


def size_in_words(amount: int) -> str:
    """Bytes, rounded: "1.5 GiB"."""
    if amount < 1024:
        return f"{amount} bytes"
    number, unit = amount / 1024, "KiB"
    for larger in ("MiB", "GiB", "TiB", "PiB"):
        if number < 1024:
            break
        number, unit = number / 1024, larger
    return f"{number:.1f}".removesuffix(".0") + f" {unit}"


def words_of(step: st.Step, known: Mapping[str, str] | None = None) -> str:
    """The step in a few words, or empty when people need not hear of it. ``known``: better words for some paths."""

    def name(path: str | None) -> str:
        return (known or {}).get(path or "") or f"“{clean_line(posixpath.basename(path or ''), 200)}”"

    match step:
        case st.MakeOverlay(path, base):
            return f"Make {name(path)}, which holds what changes from {name(base)} on"
        case st.CopyFile(source, target) | st.ConvertImage(source=source, target=target):
            return f"Copy {name(source)}" if name(source) == name(target) else f"Copy {name(source)} to {name(target)}"
        case st.Freeze(path):
            return f"Protect {name(path)} from being written"
        case st.Pull(path, _, None) | st.LivePull(_, path, None):
            return f"Copy into {name(path)} all that it reads from other images, so that it stands alone"
        case st.Pull(path, _, backing) | st.LivePull(_, path, backing):
            return f"Copy into {name(path)} what it reads from the images above {name(backing)}"
        case st.Merge(path, _, into) | st.LiveMerge(path=path, into=into):
            return f"Merge {name(path)} into {name(into)}"
        case st.SetBacking(path, _, backing):
            return f"Put {name(path)} on {name(backing)}"
        case st.Quarantine(path):
            return f"Move {name(path)} aside"
        case st.PutInPlace(path, target):
            return f"Put {name(target)} into place"
        case st.SaveMemory():
            return "Pause the guest and write its memory to a file"
        case st.RunMemory():
            return "Let the guest go on from its memory"
        case st.LiveOverlays(disks=disks):
            return f"Let the running guest write to {', '.join(name(path) for _, path in disks)} from now on"
        case st.LiveCopy(sources=sources, paused=paused):
            stands = "the guest stays paused" if paused else "the guest stands still only for that moment"
            return f"Copy {', '.join(name(path) for path in sources)} as at one moment; {stands}"
        case st.StopVm():
            return "End the virtual machine at once"
        case st.StartVm():
            return "Start the virtual machine"
        case st.DefineVm():
            return "Store the changed definition"
        case st.WriteTree() | st.Thaw():
            return ""


def effects_of(steps: Iterable[st.Step], graph: Graph, sizes: Mapping[str, int]) -> tuple[FileEffect, ...]:
    """What becomes of every file, in order; one that is prepared under another name first counts once."""
    listed = tuple(steps)
    finals = {step.path: step.target for step in listed if isinstance(step, st.PutInPlace)}
    made: set[str] = set()
    effects: dict[tuple[FileAction, str], FileEffect] = {}
    for step in listed:
        for effect in _effects(step, graph, sizes, finals, made):
            effects.setdefault((effect.action, effect.path), effect)
    return tuple(effects.values())


def _effects(
    step: st.Step, graph: Graph, sizes: Mapping[str, int], finals: Mapping[str, str], made: set[str]
) -> Iterator[FileEffect]:
    match step:
        case st.MakeOverlay(path=path) | st.SaveMemory(path=path):
            made.add(path)
            yield _effect(FileAction.CREATE, path)
        case st.CopyFile(source, target):
            made.add(target)
            yield _effect(FileAction.COPY, finals.get(target, target), source, sizes.get(source))
        case st.ConvertImage(source=source, target=target):
            made.add(target)
            yield _effect(FileAction.COPY, target, source, chain_bytes(graph, source, None))
        case st.LiveOverlays(disks=disks, copies=copies):
            for _, path in disks:
                made.add(path)
                yield _effect(FileAction.CREATE, path)
            for source, target in copies:
                made.add(target)
                yield _effect(FileAction.COPY, target, source, sizes.get(source))
        case st.LiveCopy(disks=disks, sources=sources, copies=copies):
            for (_, path), source in zip(disks, sources, strict=True):
                made.add(path)
                yield _effect(FileAction.COPY, path, source, chain_bytes(graph, source, None))
            for source, target in copies:
                made.add(target)
                yield _effect(FileAction.COPY, target, source, sizes.get(source))
        case st.PutInPlace(path, target):
            if path not in made:
                image = graph.images.get(path)
                yield _effect(FileAction.CREATE, target, path, image.allocated_bytes if image else sizes.get(path))
        case st.Freeze(path):
            if path not in made:
                yield _effect(FileAction.FREEZE, path)
        case st.Pull(path, _, backing) | st.LivePull(_, path, backing):
            image = graph.images.get(path)
            below = None if image is None else image.backing
            yield _effect(FileAction.CHANGE, path, amount=chain_bytes(graph, below, backing))
        case st.SetBacking(path=path):
            yield _effect(FileAction.CHANGE, path)
        case st.Merge(path, _, into):
            image = graph.images.get(path)
            yield _effect(FileAction.MERGE, into, path, None if image is None else image.allocated_bytes)
        case st.LiveMerge(path=path, into=into, above=above):
            image = graph.images.get(path)
            yield _effect(FileAction.MERGE, into, path, None if image is None else image.allocated_bytes)
            yield _effect(FileAction.CHANGE, above)
        case st.Quarantine(path, kept_at):
            image = graph.images.get(path)
            yield _effect(FileAction.QUARANTINE, path, kept_at, image.allocated_bytes if image else sizes.get(path))
        case _:
            pass  # no file of a VM


def chain_bytes(graph: Graph, path: str | None, end: str | None) -> int:
    """What the images from ``path`` down to above ``end`` take up."""
    total = 0
    for image in () if path is None else graph.chain(path):
        if image.path == end:
            break
        total += image.allocated_bytes
    return total


def _effect(action: FileAction, path: str, other: str = "", amount: int | None = None) -> FileEffect:
    return FileEffect(action, clean_line(path, _PATH_LIMIT), clean_line(other, _PATH_LIMIT), amount)
