"""Pulling the images below a running VM's image into it, by its own QEMU. Worker only.

Format of the job's answer: https://libvirt.org/html/libvirt-libvirt-domain.html#virDomainGetBlockJobInfo.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from guivm.engine.context import HandlerContext
from guivm.engine.images import free_bytes
from guivm.engine.snapshots.reading import read_image
from guivm.engine.snapshots.steps import LivePull
from guivm.engine.types import VmKey
from guivm.errors import CancelledError, InUseError, NoSpaceError, OperationError

if TYPE_CHECKING:
    import libvirt

_LOOK_S = 0.25
TIGHT_BYTES = 2 << 20  # QEMU copies in pieces; less than one may be left when there was no room for the next


def live_pull(context: HandlerContext, key: VmKey, step: LivePull, share: Callable[[float], None]) -> None:
    """Until the image stands on ``step.backing``. A job of that kind already under way is adopted.

    The image reads the same at every moment; cancelled or failed, what was copied stays in it and does no harm.
    Raises libvirtError, CancelledError, NoSpaceError, OperationError.
    """
    import libvirt

    domain = context.domain(key)
    if read_image(step.path, "qcow2").backing == step.backing:
        return
    if not pull_under_way(domain, step.target):
        domain.blockRebase(step.target, step.backing, 0, 0)
    cancelled = threading.Event()
    woken = threading.Event()

    def cancel() -> None:
        cancelled.set()
        woken.set()

    context.job.on_cancel(cancel)
    aborted = False
    try:
        while info := block_job(domain, step.target):
            if cancelled.is_set() and not aborted:
                domain.blockJobAbort(step.target, 0)
                aborted = True
                continue
            end = int(info.get("end", 0))
            share(int(info.get("cur", 0)) / end if end else 0.0)
            woken.wait(_LOOK_S)
            woken.clear()
    except libvirt.libvirtError:
        if not domain.isActive():
            raise OperationError(
                "The virtual machine ended while its images were merged.", advice="Nothing is lost: try again."
            ) from None
        raise
    finally:
        context.job.on_cancel(None)
    if read_image(step.path, "qcow2").backing != step.backing:
        if aborted:
            raise CancelledError("Cancelled.")
        failed = "QEMU did not merge the images."  # libvirt does not tell why
        if free_bytes(Path(step.path).parent) < TIGHT_BYTES:
            raise NoSpaceError(failed, advice="The disk is full: free some space, then try again. Nothing is lost.")
        raise OperationError(failed, advice="Nothing is lost: try again.")


def pull_under_way(domain: libvirt.virDomain, target: str) -> bool:
    """Raises libvirtError; InUseError when a job of another kind is under way."""
    import libvirt

    job = block_job(domain, target)
    if job and job.get("type") != libvirt.VIR_DOMAIN_BLOCK_JOB_TYPE_PULL:
        raise InUseError("Another operation on this drive is under way.", advice="Wait until it has ended.")
    return bool(job)


def block_job(domain: libvirt.virDomain, target: str) -> dict[str, int]:
    """The block job under way on a drive, or an empty answer."""
    found = domain.blockJobInfo(target, 0)
    return found if isinstance(found, dict) else {}
