"""What plans moved aside, freed by age and only when nothing refers to it. Worker only.

A plan keeps files in ``.guivm-trash/UUID-TOKEN.moved/`` beside where they were (``naming.kept_path``). Their age is
that of the folder, which is made when they come into it. A deleted VM's files are beside it under another name, for
:mod:`guivm.engine.trash`.
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
from guivm.engine.snapshots import store
from guivm.engine.snapshots.graph import Graph
from guivm.engine.snapshots.naming import TRASH_NAME
from guivm.engine.snapshots.reading import read_graph, resolved
from guivm.engine.trash import RETENTION_DAYS

_log = logging.getLogger(__name__)

_FOLDER = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}-[0-9a-f]{8}\.moved")
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
    return sum(_purge(folder, graph, needed) for folder in folders)


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
        return folder.stat().st_mtime < limit
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


def _purge(folder: Path, graph: Graph, needed: set[str]) -> int:
    inside = list(folder.iterdir())
    if graph.unreadable or any(resolved(path) in needed for path in inside):
        return 0
    freed = 0
    for path in inside:
        try:
            freed += _bytes(path)
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        except OSError as error:
            _log.warning("“%s” could not be freed: %s", path, error)
    try:
        folder.rmdir()
        folder.parent.rmdir()
    except OSError:
        pass
    return freed


def _bytes(path: Path) -> int:
    if path.is_dir() and not path.is_symlink():
        return sum((Path(at) / name).lstat().st_size for at, _, names in os.walk(path) for name in names)
    return path.lstat().st_blocks * 512
