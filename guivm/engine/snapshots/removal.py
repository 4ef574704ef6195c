"""What of a VM's snapshots goes with the VM when it is deleted (``engine/delete.py``). Worker only."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from guivm.engine.context import HandlerContext
from guivm.engine.references import collect_references
from guivm.engine.snapshots import journal, policy_timers, store
from guivm.engine.snapshots.executing import held
from guivm.engine.snapshots.inside import hidden
from guivm.engine.types import VmKey
from guivm.errors import InUseError

_TPM_SUFFIX = ".tpm"


def snapshot_files(context: HandlerContext, uuid: str) -> tuple[Path, ...]:
    """Images, variables and memory of the VM's own snapshots; empty when it has none. Raises OperationError."""
    if context.kept_here is None:
        return ()
    tree = store.load(context.images_dir, uuid)
    if tree is None:
        return ()
    files = [path for each in tree.snapshots for path in (*each.images, each.nvram, each.memory) if path]
    return tuple(Path(path) for path in dict.fromkeys(files))


@contextmanager
def at_rest(context: HandlerContext, key: VmKey, vm_name: str) -> Iterator[None]:
    """While the block runs nobody else works on the VM's files; nothing of them is half-done, or needed by others.

    Raises InUseError, and what settling an operation that was cut short raises.
    """
    if context.kept_here is None or not store.folder_of(context.images_dir, key.uuid).exists():
        yield
        return
    with held(context, key, vm_name):
        files = snapshot_files(context, key.uuid)
        if files:
            references = collect_references(context.connection, context.images_dir)
            for path in files:
                for use in references.users(path, but=key.uuid):
                    raise InUseError(
                        f"“{vm_name}” cannot be deleted: “{use.vm_name}” needs its images.",
                        advice=f"Detach “{use.vm_name}” from it, or delete that one first.",
                        details=os.fspath(path),
                    )
        yield


def tree_files(context: HandlerContext, uuid: str, chosen: list[Path]) -> tuple[Path, ...]:
    """What has to go along with the ``chosen`` files: the tree itself and its pictures, once the images go.

    Raises InUseError when only some of the snapshots' files were chosen: the rest would be of no use.
    """
    files = [path for path in snapshot_files(context, uuid) if path.exists()]
    if context.kept_here is None or not chosen or (files and not set(files) & set(chosen)):
        return ()
    left = [path for path in files if path not in chosen]
    if left:
        raise InUseError(
            "The files of its snapshots can only be deleted together.",
            advice="Choose all of them, or none.",
            details="\n".join(os.fspath(path) for path in left),
        )
    folder = store.folder_of(context.images_dir, uuid)
    if not folder.is_dir():
        return ()
    return tuple(sorted(path for path in folder.iterdir() if path.name == store.TREE_NAME or path.suffix == ".png"))


def forget(context: HandlerContext, uuid: str) -> None:
    """After the files are gone for good: the timer of its policy, and what is left in the VM's folder, unless it has a
    tree (again)."""
    if context.kept_here is None:
        return
    if not _is_there(context, uuid):
        policy_timers.drop(VmKey(context.host.id, uuid))
    folder = store.folder_of(context.images_dir, uuid)
    if (folder / store.TREE_NAME).exists() or (folder / journal.JOURNAL_NAME).exists():
        return
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if path.suffix == _TPM_SUFFIX and path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name in (journal.LOCK_NAME, hidden.NAME) or path.suffix == ".png":
                path.unlink()
        folder.rmdir()


def _is_there(context: HandlerContext, uuid: str) -> bool:
    """Whether a VM of that UUID was defined anew."""
    return any(domain.UUIDString() == uuid for domain in context.connection.listAllDomains(0))
