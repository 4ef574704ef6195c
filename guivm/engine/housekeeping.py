"""Whenever a host is connected (again): settle what was left half-done, by an earlier run or when the connection was
lost. Worker only."""

from __future__ import annotations

import logging

from guivm.engine.context import HandlerContext
from guivm.engine.libvirt_errors import text_of
from guivm.errors import GuivmError

_log = logging.getLogger(__name__)


def tidy_up(context: HandlerContext) -> None:
    """Roll back creations cut short, finish or undo what else was cut short, free what was deleted long ago.

    Nobody waits for it and nobody asked for it: a failure is only logged.
    """
    import libvirt

    from guivm.engine import create, delete
    from guivm.engine.cloning import disposable, identity
    from guivm.engine.snapshots import quarantine, recovering

    try:
        create.recover(context)
        recovering.recover(context)
        disposable.clean_up_all(context)
        delete.recover(context)
        delete.purge_expired(context, (context.images_dir,))
        quarantine.purge_expired(context)
        identity.reset_all_due(context)
    except GuivmError as error:
        _log.warning("tidying up %s: %s %s", context.host.id, error, error.details)
    except libvirt.libvirtError as error:
        _log.warning("tidying up %s: %s", context.host.id, text_of(error))
    except OSError as error:
        _log.warning("tidying up %s: %s", context.host.id, error)
