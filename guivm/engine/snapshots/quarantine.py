"""What plans moved aside, freed by age and only when nothing refers to it. Worker only.

A plan keeps files in ``.guivm-trash/UUID-TOKEN.moved/`` beside where they were (``naming.kept_path``). Their age is
that of the folder, which is made when they come into it, or of the newest file in it, should the clock have been set
back since that was written. A deleted VM's files are beside it under another name, for :mod:`guivm.engine.trash`.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from guivm.engine.context import HandlerContext
from guivm.engine.snapshots import journal, store
from guivm.engine.snapshots.graph import Graph
from guivm.engine.snapshots.naming import TRASH_NAME
from guivm.engine.snapshots.reading import read_graph, resolved
from guivm.engine.trash import RETENTION_DAYS
from guivm.errors import BusyError

_log = logging.getLogger(__name__)

_FOLDER = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}-[0-9a-f]{8}\.moved")
_UUID_LENGTH = 36
_DAY_S = 86_400.0


def purge_expired(context: HandlerContext, days: float = RETENTION_DAYS) -> int:
    """Free what was moved aside more than ``days`` ago; answers the bytes. Raises libvirtError or GuivmError."""
    if not context.host.is_local or context.connection.getType() != "QEMU":
        return 0
    limit = time.time() - days * _DAY_S
    folders = [folder for folder in _all_folders(context) if _older(folder, limit)]
    if not folders:
        return 0
    graph = read_graph(context)
    needed = _needed(context, graph)
    return sum(_purge_alone(context, folder, graph, needed) for folder in folders)


def _all_folders(context: HandlerContext) -> Iterator[Path]:
    """In every folder in which a VM of the host, or our store, keeps a file."""
    graph = read_graph(context)
    parents = {Path(path).parent for holder in graph.holders for path in holder.files}
    parents.update(Path(path).parent for path in graph.images)
    parents.update(store.folder_of(context.images_dir, uuid) for uuid in store.uuids(context.images_dir))
    for parent in sorted(parents):
        trash = parent / TRASH_NAME
        try:
            with os.scandir(trash) as entries:
                names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError:
            continue
        yield from (trash / name for name in sorted(names) if _FOLDER.fullmatch(name))


def _older(folder: Path, limit: float) -> bool:
    try:
        with os.scandir(folder) as entries:
            times = [entry.stat(follow_symlinks=False).st_mtime for entry in entries]
        return max(folder.stat().st_mtime, *times, 0.0) < limit
    except OSError:
        return False


def _needed(context: HandlerContext, graph: Graph) -> set[str]:
    """Every file that anybody names, or reads through images above it."""
    found = {*graph.images, *graph.others, *graph.unreadable}
    found.update(path for holder in graph.holders for path in holder.files)
    for tree in store.trees(context.images_dir).values():
        found.update(file.kept_at for file in (() if tree.undo is None else tree.undo.files) if _is_young(file.kept_at))
    return {resolved(path) for path in found}


def _is_young(path: str) -> bool:
    """What Undo could still bring back; an old one is offered no more once its files are gone."""
    return not _older(Path(path).parent, time.time() - RETENTION_DAYS * _DAY_S)


def _purge_alone(context: HandlerContext, folder: Path, graph: Graph, needed: set[str]) -> int:
    """Not while an operation on the VM is under way, or was cut short: it may be about to bring the files back."""
    uuid = folder.name[:_UUID_LENGTH]
    own = store.folder_of(context.images_dir, uuid)
    if not own.is_dir():
        return _purge(folder, graph, needed)
    try:
        with journal.locked(own, uuid):
            return 0 if journal.is_there(own) else _purge(folder, graph, needed)
    except BusyError:
        return 0


def _purge(folder: Path, graph: Graph, needed: set[str]) -> int:
    inside = [Path(resolved(path)) for path in folder.iterdir()]
    if graph.unreadable or any(str(each) in needed for path in inside for each in (path, *_within(path))):
        return 0
    freed = 0
    for path in folder.iterdir():
        try:
            size = _bytes(path)
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
            freed += size
        except OSError as error:
            _log.warning("“%s” could not be freed: %s", path, error)
    try:
        folder.rmdir()
        folder.parent.rmdir()
    except OSError:
        pass
    return freed


def _within(path: Path) -> Iterator[Path]:
    """What is in a folder."""
    for at, _, names in os.walk(path):
        yield from (Path(at) / name for name in names)


def _bytes(path: Path) -> int:
    if path.is_dir() and not path.is_symlink():
        return sum(each.lstat().st_size for each in _within(path))
    return path.lstat().st_blocks * 512
