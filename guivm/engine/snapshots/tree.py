"""The tree of a VM's own snapshots as a value, and as the JSON text that ``store.py`` keeps. Pure.

Two kinds of things are in it: the snapshots of a VM whose snapshots are branches (:class:`BranchSnapshot`), and what we
know beyond libvirt of snapshots inside the images (:class:`InternalRecord`). Text that is read may be damaged or made
by somebody else: anything unknown, missing or out of bounds is a ValueError, never a guess.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NoReturn, TypeVar

from guivm.engine.snapshots.graph import HeldDisk, Holder, Image
from guivm.engine.snapshots.values import SnapshotId
from guivm.engine.types import VmState
from guivm.text import clean_block, clean_line

VERSION = 2  # 1 knew no snapshots taken by a policy

MAX_CHARACTERS = 64 << 20
MAX_SNAPSHOTS = 20_000

_TITLE_LIMIT = 200
_NOTES_LIMIT = 65_536
_MAX_DISKS = 1000
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MAX_SIZE = 1 << 62


@dataclass(frozen=True, slots=True)
class BranchSnapshot:
    """A snapshot whose images are frozen files.

    ``disks``: all drives of the VM with a file; those with ``written`` belong to the snapshot, the others are only
    named. ``definition`` is the VM's stored definition at that moment; ``memory_definition`` that of the running VM
    whose memory is in ``memory``. The disk paths in both are of that moment: what counts is ``disks``.
    """

    id: SnapshotId
    parent: SnapshotId | None
    title: str
    taken_s: float
    definition: str = field(repr=False)
    disks: tuple[HeldDisk, ...] = ()
    notes: str = ""
    nvram: str = ""
    tpm: str = ""
    memory: str = ""
    memory_definition: str = field(default="", repr=False)
    vm_state: VmState = VmState.OFF
    pause_s: float | None = None
    has_picture: bool = False
    scheduled: bool = False  # taken by the VM's policy, and given no title or notes by a person since

    @property
    def images(self) -> tuple[str, ...]:
        """Paths of the images that belong to it."""
        return tuple(disk.path for disk in self.disks if disk.written)

    @property
    def extras(self) -> tuple[str, ...]:
        """Its files that are no images."""
        return tuple(path for path in (self.nvram, self.tpm, self.memory) if path)

    def holder(self, uuid: str, vm_name: str) -> Holder:
        """The same for a graph. Nobody writes to a snapshot's images."""
        return Holder(
            uuid=uuid,
            vm_name=vm_name,
            disks=tuple(HeldDisk(disk.target, disk.path, written=False) for disk in self.disks),
            snapshot=self.id,
            parent=self.parent,
            title=self.title,
            nvram=self.nvram,
            tpm=self.tpm,
            memory=self.memory,
        )


@dataclass(frozen=True, slots=True)
class InternalRecord:
    """What we know of a snapshot that libvirt keeps, by the exact name that libvirt has for it."""

    name: str
    title: str = ""
    notes: str = ""
    pause_s: float | None = None
    has_picture: bool = False
    scheduled: bool = False


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file or folder that a restore moved aside. ``image``: what its header said, when it is a disk image."""

    path: str
    kept_at: str
    image: Image | None = None


@dataclass(frozen=True, slots=True)
class RestoreReceipt:
    """What the last restore replaced, so that it can be undone.

    ``current`` is the snapshot that the state before descended from, ``definition`` its definition. ``needs`` are the
    images below the ones moved aside: when one of them is moved or changed, there is nothing to undo any more.
    """

    restored: SnapshotId | None
    title: str
    when_s: float
    current: SnapshotId | None
    definition: str = field(repr=False)
    files: tuple[KeptFile, ...] = ()
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BranchTree:
    """All of it for one VM. Snapshots stand with parents before children."""

    uuid: str
    vm_name: str = ""
    snapshots: tuple[BranchSnapshot, ...] = ()
    current: SnapshotId | None = None
    is_template: bool = False
    internal: tuple[InternalRecord, ...] = ()
    undo: RestoreReceipt | None = None

    def find(self, snapshot: SnapshotId) -> BranchSnapshot | None:
        return next((s for s in self.snapshots if s.id == snapshot), None)

    def record(self, name: str) -> InternalRecord | None:
        """What we know of a snapshot of libvirt's."""
        return next((r for r in self.internal if r.name == name), None)

    @property
    def files(self) -> tuple[str, ...]:
        """Every file that its snapshots need, and what is kept so that the last restore can be undone."""
        found: dict[str, None] = {}
        for snapshot in self.snapshots:
            found.update(dict.fromkeys((*snapshot.images, *snapshot.extras)))
        if self.undo is not None:
            found.update(dict.fromkeys((*(file.kept_at for file in self.undo.files), *self.undo.needs)))
        return tuple(found)

    def holders(self, uuid: str, vm_name: str) -> tuple[Holder, ...]:
        """Its snapshots for a graph."""
        return tuple(snapshot.holder(uuid, vm_name) for snapshot in self.snapshots)

    def with_snapshot(self, snapshot: BranchSnapshot) -> BranchTree:
        """With one more, which the current state descends from now."""
        return replace(self, snapshots=(*self.snapshots, snapshot), current=snapshot.id)

    def below(self, chosen: frozenset[SnapshotId]) -> frozenset[SnapshotId]:
        """The chosen snapshots and all that descend from them."""
        found = set(chosen)
        for snapshot in self.snapshots:
            if snapshot.parent in found:
                found.add(snapshot.id)
        return frozenset(found)

    def without(self, gone: frozenset[SnapshotId]) -> BranchTree:
        """Without these; what descends from them descends from the nearest that stays."""
        stands_for: dict[SnapshotId, SnapshotId | None] = {}
        kept = []
        for snapshot in self.snapshots:  # parents first
            parent = snapshot.parent
            if parent is not None:
                parent = stands_for.get(parent, parent)
            if snapshot.id in gone:
                stands_for[snapshot.id] = parent
            else:
                kept.append(snapshot if parent == snapshot.parent else replace(snapshot, parent=parent))
        current = None if self.current is None else stands_for.get(self.current, self.current)
        return replace(self, snapshots=tuple(kept), current=current)

    def renamed(self, paths: Mapping[str, str]) -> BranchTree:
        """With other paths for images of its snapshots."""
        changed = [
            replace(s, disks=tuple(replace(d, path=paths.get(d.path, d.path)) for d in s.disks))
            if any(d.path in paths for d in s.disks)
            else s
            for s in self.snapshots
        ]
        return replace(self, snapshots=tuple(changed))

    def to_json(self) -> str:
        """ASCII, so that any file name survives. Equal definitions are stored once."""
        texts: dict[str, int] = {}

        def text(definition: str) -> int:
            return texts.setdefault(definition, len(texts))

        snapshots = [_snapshot_value(s, text(s.definition), text(s.memory_definition)) for s in self.snapshots]
        undo = None if self.undo is None else _receipt_value(self.undo, text(self.undo.definition))
        return json.dumps(
            {
                "version": VERSION,
                "uuid": self.uuid,
                "vm_name": self.vm_name,
                "current": self.current,
                "is_template": self.is_template,
                "snapshots": snapshots,
                "internal": [
                    {
                        "name": r.name,
                        "title": r.title,
                        "notes": r.notes,
                        "pause_s": r.pause_s,
                        "has_picture": r.has_picture,
                        "scheduled": r.scheduled,
                    }
                    for r in self.internal
                ],
                "undo": undo,
                "definitions": list(texts),
            },
            separators=(",", ":"),
            allow_nan=False,
        )

    @classmethod
    def from_json(cls, text: str) -> BranchTree:
        """Raises ValueError for anything that :meth:`to_json` would not have written."""
        if len(text) > MAX_CHARACTERS:
            raise ValueError("it is too long")
        try:
            value = json.loads(text, parse_constant=_refuse, object_pairs_hook=_object)
        except RecursionError as error:
            raise ValueError("it is nested too deeply") from error
        top = _Fields(value, "version uuid vm_name current is_template snapshots internal undo definitions")
        version = top.whole("version")
        if not 1 <= version <= VERSION:
            raise ValueError("it is of another version")
        definitions = tuple(_is_text(d, MAX_CHARACTERS) for d in top.items("definitions", 2 * MAX_SNAPSHOTS + 2))
        tree = cls(
            uuid=_match(_UUID, top.text("uuid", 36)),
            vm_name=clean_line(top.text("vm_name", 1000)),
            snapshots=tuple(_snapshot(v, definitions, version) for v in top.items("snapshots", MAX_SNAPSHOTS)),
            current=top.id_or_none("current"),
            is_template=top.flag("is_template"),
            internal=tuple(_record(v, version) for v in top.items("internal", MAX_SNAPSHOTS)),
            undo=None if top.get("undo") is None else _receipt(top.get("undo"), definitions),
        )
        _check(tree)
        return tree


def _check(tree: BranchTree) -> None:
    """What holds between the parts. Raises ValueError."""
    seen: set[SnapshotId] = set()
    for snapshot in tree.snapshots:
        if snapshot.id in seen or (snapshot.parent is not None and snapshot.parent not in seen):
            raise ValueError(f"snapshot {snapshot.id} stands twice or before its parent")
        seen.add(snapshot.id)
        if len({disk.target for disk in snapshot.disks}) != len(snapshot.disks):
            raise ValueError(f"snapshot {snapshot.id} names a drive twice")
    if tree.current is not None and tree.current not in seen:
        raise ValueError("the current state descends from a snapshot that is not there")
    if len({record.name for record in tree.internal}) != len(tree.internal):
        raise ValueError("a record of a snapshot stands twice")
    if tree.internal and tree.snapshots:
        raise ValueError("two kinds of snapshots are mixed")


# --- to JSON ----------------------------------------------------------------------------------------------


def _snapshot_value(s: BranchSnapshot, definition: int, memory_definition: int) -> dict[str, object]:
    return {
        "id": s.id,
        "parent": s.parent,
        "title": s.title,
        "notes": s.notes,
        "taken_s": s.taken_s,
        "definition": definition,
        "disks": [{"target": d.target, "path": d.path, "written": d.written} for d in s.disks],
        "nvram": s.nvram,
        "tpm": s.tpm,
        "memory": s.memory,
        "memory_definition": memory_definition,
        "vm_state": s.vm_state.value,
        "pause_s": s.pause_s,
        "has_picture": s.has_picture,
        "scheduled": s.scheduled,
    }


def _receipt_value(r: RestoreReceipt, definition: int) -> dict[str, object]:
    return {
        "restored": r.restored,
        "title": r.title,
        "when_s": r.when_s,
        "current": r.current,
        "definition": definition,
        "files": [{"path": f.path, "kept_at": f.kept_at, "image": _image_value(f.image)} for f in r.files],
        "needs": list(r.needs),
    }


def _image_value(image: Image | None) -> dict[str, object] | None:
    if image is None:
        return None
    return {
        "format": image.format,
        "virtual_bytes": image.virtual_bytes,
        "allocated_bytes": image.allocated_bytes,
        "backing": image.backing,
        "backing_format": image.backing_format,
    }


# --- from JSON --------------------------------------------------------------------------------------------


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


class _Fields:
    """An object that has exactly the fields named, read one by one. Raises ValueError."""

    __slots__ = ("_values",)

    def __init__(self, value: object, names: str) -> None:
        if not isinstance(value, dict) or set(value) != set(names.split()):
            raise ValueError("an object has other fields than it should")
        self._values: dict[str, object] = value

    def get(self, name: str) -> object:
        return self._values[name]

    def text(self, name: str, limit: int) -> str:
        return _is_text(self._values[name], limit)

    def flag(self, name: str) -> bool:
        return _is(bool, self._values[name])

    def whole(self, name: str) -> int:
        value = self._values[name]
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_SIZE:
            raise ValueError(f"{name} is no amount")
        return value

    def seconds(self, name: str) -> float:
        value = self._values[name]
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{name} is no time")
        if not 0 <= value < 1e13:  # nor is infinity or what is no number
            raise ValueError(f"{name} is out of bounds")
        return float(value)

    def seconds_or_none(self, name: str) -> float | None:
        return None if self._values[name] is None else self.seconds(name)

    def id_or_none(self, name: str) -> SnapshotId | None:
        return None if self._values[name] is None else self.id(name)

    def id(self, name: str) -> SnapshotId:
        return SnapshotId(_match(_ID, self.text(name, 64)))

    def path(self, name: str) -> str:
        return _is_path(self._values[name])

    def path_or_empty(self, name: str) -> str:
        return "" if self._values[name] == "" else self.path(name)

    def items(self, name: str, limit: int) -> Iterator[object]:
        values = _is(list, self._values[name])
        if len(values) > limit:
            raise ValueError(f"there are too many {name}")
        yield from values

    def of(self, name: str, texts: tuple[str, ...]) -> str:
        number = self.whole(name)
        if number >= len(texts):
            raise ValueError(f"{name} is not there")
        return texts[number]


_T = TypeVar("_T")


def _is(kind: type[_T], value: object) -> _T:
    if not isinstance(value, kind):
        raise ValueError(f"no {kind.__name__} where there should be one")
    return value


def _is_text(value: object, limit: int) -> str:
    text = _is(str, value)
    if len(text) > limit:
        raise ValueError("a text is too long")
    return text


def _is_path(value: object) -> str:
    """Absolute and normalised."""
    path = _is_text(value, 4096)
    if not path.startswith("/") or path.startswith("//") or "\0" in path or posixpath.normpath(path) != path:
        raise ValueError("a path is not absolute and plain")
    path.encode("utf-8", "surrogateescape")  # a name that Linux can have; else UnicodeError, a ValueError
    return path


def _match(pattern: re.Pattern[str], text: str) -> str:
    if pattern.fullmatch(text) is None:
        raise ValueError("an identity is not of its form")
    return text


def _snapshot(value: object, definitions: tuple[str, ...], version: int) -> BranchSnapshot:
    fields = _Fields(
        value,
        "id parent title notes taken_s definition disks nvram tpm memory memory_definition"
        " vm_state pause_s has_picture" + _since_2(version),
    )
    return BranchSnapshot(
        id=fields.id("id"),
        parent=fields.id_or_none("parent"),
        title=clean_line(fields.text("title", 8 * _TITLE_LIMIT), _TITLE_LIMIT),
        taken_s=fields.seconds("taken_s"),
        definition=fields.of("definition", definitions),
        disks=tuple(_disk(v) for v in fields.items("disks", _MAX_DISKS)),
        notes=clean_block(fields.text("notes", 8 * _NOTES_LIMIT), _NOTES_LIMIT),
        nvram=fields.path_or_empty("nvram"),
        tpm=fields.path_or_empty("tpm"),
        memory=fields.path_or_empty("memory"),
        memory_definition=fields.of("memory_definition", definitions),
        vm_state=VmState(fields.text("vm_state", 40)),
        pause_s=fields.seconds_or_none("pause_s"),
        has_picture=fields.flag("has_picture"),
        scheduled=version >= 2 and fields.flag("scheduled"),
    )


def _since_2(version: int) -> str:
    return " scheduled" if version >= 2 else ""


def _disk(value: object) -> HeldDisk:
    fields = _Fields(value, "target path written")
    return HeldDisk(clean_line(fields.text("target", 200)), fields.path("path"), fields.flag("written"))


def _record(value: object, version: int) -> InternalRecord:
    fields = _Fields(value, "name title notes pause_s has_picture" + _since_2(version))
    return InternalRecord(
        name=fields.text("name", 4096),
        title=clean_line(fields.text("title", 8 * _TITLE_LIMIT), _TITLE_LIMIT),
        notes=clean_block(fields.text("notes", 8 * _NOTES_LIMIT), _NOTES_LIMIT),
        pause_s=fields.seconds_or_none("pause_s"),
        has_picture=fields.flag("has_picture"),
        scheduled=version >= 2 and fields.flag("scheduled"),
    )


def _receipt(value: object, definitions: tuple[str, ...]) -> RestoreReceipt:
    fields = _Fields(value, "restored title when_s current definition files needs")
    return RestoreReceipt(
        restored=fields.id_or_none("restored"),
        title=clean_line(fields.text("title", 8 * _TITLE_LIMIT), _TITLE_LIMIT),
        when_s=fields.seconds("when_s"),
        current=fields.id_or_none("current"),
        definition=fields.of("definition", definitions),
        files=tuple(_kept(v) for v in fields.items("files", 3 * _MAX_DISKS)),
        needs=tuple(_is_path(v) for v in fields.items("needs", 100 * _MAX_DISKS)),
    )


def _kept(value: object) -> KeptFile:
    fields = _Fields(value, "path kept_at image")
    path = fields.path("path")
    return KeptFile(path, fields.path("kept_at"), _image(fields.get("image"), path))


def _image(value: object, path: str) -> Image | None:
    if value is None:
        return None
    fields = _Fields(value, "format virtual_bytes allocated_bytes backing backing_format")
    return Image(
        path=path,
        format=fields.text("format", 40),
        virtual_bytes=fields.whole("virtual_bytes"),
        allocated_bytes=fields.whole("allocated_bytes"),
        backing=None if fields.get("backing") is None else fields.path("backing"),
        backing_format=fields.text("backing_format", 40),
    )
