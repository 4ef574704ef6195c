"""Operations that were cut short: taken back when they had only begun, else gone on with. Worker only."""

from __future__ import annotations

import logging
from pathlib import Path

from guivm.engine.context import HandlerContext
from guivm.engine.snapshots import journal, store
from guivm.engine.snapshots.doing import mend
from guivm.engine.snapshots.doing_libvirt import await_decided, has_switched, let_go_on, refuse_while_used
from guivm.engine.snapshots.executing import Run, finish, in_words, take_back
from guivm.engine.types import VmKey
from guivm.errors import GuivmError, InUseError

_log = logging.getLogger(__name__)


def settle(context: HandlerContext, key: VmKey, folder: Path) -> None:
    """Under the lock of ``folder``. Raises GuivmError when it cannot be settled now: nothing else may be done then."""
    import libvirt

    notes = journal.open_journal(folder)
    if notes is None:
        return
    run = Run(context, key, folder, notes)
    try:
        await_decided(run)
        let_go_on(run, notes)
        if not notes.entry.is_decided and has_switched(run, notes.entry):
            notes.decide()
        if notes.entry.is_decided:
            refuse_while_used(run, notes.entry)
            mend(notes.entry.under_way)
    except (libvirt.libvirtError, OSError) as error:
        raise in_words(error) from error
    if notes.entry.is_decided:
        _log.warning("going on with “%s”", notes.entry.title)
        finish(run, notes)
    else:
        _log.warning("taking “%s” back", notes.entry.title)
        take_back(run, notes)


def recover(context: HandlerContext) -> None:
    """All VMs of the host, once it is connected. What a living process is doing is left alone.

    Raises libvirtError when they cannot be listed; OperationError when the folders of their snapshots cannot.
    """
    if context.kept_here is None:
        return
    known = {str(domain.UUIDString()) for domain in context.connection.listAllDomains(0)}
    for uuid in store.uuids(context.images_dir):
        folder = store.folder_of(context.images_dir, uuid)
        if uuid not in known or not journal.is_there(folder):
            continue
        try:
            with journal.locked(folder, uuid):
                settle(context, VmKey(context.host.id, uuid), folder)
        except InUseError as error:
            _log.info("an operation on %s is left alone: %s", uuid, error)
        except GuivmError as error:
            _log.warning("an operation on %s could not be settled: %s %s", uuid, error, error.details)
