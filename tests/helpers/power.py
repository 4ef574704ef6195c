"""A file system in memory that knows what a loss of power may take: whatever was not synced.

A file's bytes and permissions are durable by an fsync of the file, names by one of the directory that has them, as
fsync(2) says. Real file systems keep more of it, each its own part; :class:`Loss` names parts that some of them keep.
"""

from __future__ import annotations

import enum
import hashlib
import os
import random
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = 1
_BLOCK = 4096


class Loss(enum.Enum):
    """What of that which was not synced is lost."""

    ALL = "all"
    DATA = "data"  # names and permissions survive: files are empty, or as they were when they were synced
    NAMES = "names"  # what was written survives in the files that can still be found
    SOME = "some"  # names up to some moment, and any blocks, by chance


# --- what is done -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Make:
    """A new file or directory (``mode`` with the file's type) that has no name yet. ``target``: of a symbolic link."""

    node: int
    mode: int
    target: bytes = b""


@dataclass(frozen=True, slots=True)
class Names:
    """Names given and taken (0) at one moment: (directory, name, node)."""

    changes: tuple[tuple[int, str, int], ...]


@dataclass(frozen=True, slots=True)
class Write:
    node: int
    at: int
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Resize:
    node: int
    size: int


@dataclass(frozen=True, slots=True)
class Chmod:
    node: int
    mode: int


@dataclass(frozen=True, slots=True)
class Sync:
    """fsync of a file or of a directory."""

    node: int


Event = Make | Names | Write | Resize | Chmod | Sync


# --- what there is ----------------------------------------------------------------------------------------


@dataclass(slots=True)
class Node:
    """``kept_data``, ``kept_mode`` and ``kept_names`` are durable."""

    mode: int
    target: bytes = b""
    data: bytearray = field(default_factory=bytearray)
    names: dict[str, int] = field(default_factory=dict)
    kept_mode: int = 0
    kept_data: bytes = b""
    kept_names: dict[str, int] = field(default_factory=dict)
    unsynced: list[Write | Resize] = field(default_factory=list)

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.mode)


@dataclass(frozen=True, slots=True)
class Found:
    """A file, directory or link after the power has come back. The same ``node``: the same file."""

    node: int
    mode: int
    data: bytes = field(default=b"", repr=False)


State = dict[str, Found]
"""By path below the root."""


class Disk:
    """Nodes by number, changed by events only, which are all kept."""

    def __init__(self) -> None:
        self.nodes: dict[int, Node] = {ROOT: Node(stat.S_IFDIR | 0o700, kept_mode=stat.S_IFDIR | 0o700)}
        self.events: list[Event] = []
        self._last = ROOT

    @classmethod
    def load(cls, folder: Path) -> Disk:
        """With all that is in a folder, synced. It has no events yet."""
        disk = cls()
        known: dict[tuple[int, int], int] = {}

        def add(path: Path, parent: int) -> None:
            status = path.lstat()
            node = known.get((status.st_dev, status.st_ino)) or disk.new_number()
            if (status.st_dev, status.st_ino) not in known:
                known[status.st_dev, status.st_ino] = node
                target = os.fsencode(path.readlink()) if path.is_symlink() else b""
                disk.apply(Make(node, status.st_mode, target))
                if stat.S_ISREG(status.st_mode):
                    disk.apply(Write(node, 0, path.read_bytes()))
            disk.apply(Names(((parent, path.name, node),)))
            if stat.S_ISDIR(status.st_mode):
                for each in sorted(path.iterdir()):
                    add(each, node)

        for each in sorted(folder.iterdir()):
            add(each, ROOT)
        for node in disk.nodes:
            disk.apply(Sync(node))
        disk.events.clear()
        return disk

    def new_number(self) -> int:
        self._last += 1
        return self._last

    def apply(self, event: Event) -> None:
        self.events.append(event)
        match event:
            case Make(number, mode, target):
                self.nodes[number] = Node(mode, target, kept_mode=mode)
            case Names(changes):
                for folder, name, number in changes:
                    if number:
                        self.nodes[folder].names[name] = number
                    else:
                        del self.nodes[folder].names[name]
            case Write() | Resize():
                node = self.nodes[event.node]
                _change(node.data, event)
                node.unsynced.append(event)
            case Chmod(number, mode):
                self.nodes[number].mode = mode
            case Sync(number):
                node = self.nodes[number]
                node.kept_mode = node.mode
                node.kept_names = dict(node.names)
                if node.unsynced:
                    node.kept_data = bytes(node.data)
                    node.unsynced.clear()

    def after(self, loss: Loss, chance: random.Random, names: dict[int, dict[str, int]]) -> State:
        """What is left when the power fails now. ``names``: all directories at some moment, for :attr:`Loss.SOME`."""
        found: State = {}
        chosen: dict[int, Found] = {}

        def add(folder: int, path: str) -> None:
            node = self.nodes[folder]
            inside = {Loss.ALL: node.kept_names, Loss.NAMES: node.kept_names, Loss.DATA: node.names}.get(loss)
            for name, number in sorted((names.get(folder, {}) if inside is None else inside).items()):
                if number not in chosen:
                    chosen[number] = self._left(number, loss, chance)
                found[f"{path}{name}"] = chosen[number]
                if self.nodes[number].is_folder:
                    add(number, f"{path}{name}/")

        add(ROOT, "")
        return found

    def _left(self, number: int, loss: Loss, chance: random.Random) -> Found:
        node = self.nodes[number]
        if stat.S_ISLNK(node.mode):
            return Found(number, node.mode, node.target)
        match loss:
            case Loss.ALL:
                return Found(number, node.kept_mode, node.kept_data)
            case Loss.DATA:
                return Found(number, node.mode, node.kept_data)
            case Loss.NAMES:
                return Found(number, node.mode, bytes(node.data))
            case Loss.SOME:
                data = bytearray(node.kept_data)
                for event in node.unsynced:
                    for part in _blocks(event):
                        if chance.random() < 0.5:
                            _change(data, part)
                return Found(number, chance.choice((node.mode, node.kept_mode)), bytes(data))


def _change(data: bytearray, event: Write | Resize) -> None:
    size = event.size if isinstance(event, Resize) else event.at
    if size > len(data):
        data.extend(bytes(size - len(data)))
    if isinstance(event, Resize):
        del data[size:]
    else:
        data[event.at : event.at + len(event.data)] = event.data


def _blocks(event: Write | Resize) -> Iterator[Write | Resize]:
    if isinstance(event, Resize):
        yield event
        return
    for begin in range(0, len(event.data), _BLOCK):
        yield Write(event.node, event.at + begin, event.data[begin : begin + _BLOCK])


# --- cuts -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cut:
    """The power fails before the event ``number``; ``what`` tells which that is. ``is_last``: after all of them."""

    loss: Loss
    number: int
    what: str
    is_last: bool
    state: State = field(repr=False)


def cuts(start: Disk, events: list[Event], losses: tuple[Loss, ...], seed: int = 0) -> Iterator[Cut]:
    """Each state that a loss of power can leave, once: before each sync, and for names that survive, before each of
    their changes. ``start`` is changed."""
    chance = random.Random(seed)
    seen: set[bytes] = set()
    history = [_names(start)]
    for number, event in enumerate([*events, None]):
        is_last = event is None
        if is_last or isinstance(event, Sync | Names):
            for loss in losses:
                if loss is not Loss.DATA and isinstance(event, Names):
                    continue
                state = start.after(loss, chance, chance.choice(history))
                mark = _mark(state)
                if mark not in seen or is_last:
                    seen.add(mark)
                    yield Cut(loss, number, _words(start, event), is_last, state)
        if event is not None:
            start.apply(event)
            if isinstance(event, Names):
                history.append(_names(start))
            elif isinstance(event, Sync) and start.nodes[event.node].is_folder:
                history = [_names(start)]


def _names(disk: Disk) -> dict[int, dict[str, int]]:
    return {number: dict(node.names) for number, node in disk.nodes.items() if node.is_folder}


def _mark(state: State) -> bytes:
    whole = hashlib.sha256()
    for path, found in state.items():
        whole.update(f"{path}\0{found.node} {found.mode} {len(found.data)}\0".encode())
        whole.update(hashlib.sha256(found.data).digest())
    return whole.digest()


def _words(disk: Disk, event: Event | None) -> str:
    if event is None:
        return "the end"
    if isinstance(event, Sync):
        paths = [path for path, found in disk.after(Loss.DATA, random.Random(), {}).items() if found.node == event.node]
        return f"sync of {paths}"
    return str(event)


def write_state(state: State, folder: Path) -> None:
    """On an ordinary file system, in an empty folder."""
    files: dict[int, Path] = {}
    for name, found in state.items():
        path = folder / name
        if found.node in files:
            path.hardlink_to(files[found.node])
        elif stat.S_ISDIR(found.mode):
            path.mkdir()
        elif stat.S_ISLNK(found.mode):
            path.symlink_to(os.fsdecode(found.data))
        else:
            path.write_bytes(found.data)
            files[found.node] = path
    for name, found in state.items():
        if not stat.S_ISLNK(found.mode):
            (folder / name).chmod(stat.S_IMODE(found.mode))
