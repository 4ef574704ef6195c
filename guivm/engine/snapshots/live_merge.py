"""Merging an image in the middle of a running VM's chain into the one below, by its own QEMU. Worker only.

``virDomainBlockCommit``: https://libvirt.org/html/libvirt-libvirt-domain.html#virDomainBlockCommit.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from guivm.engine import qemu_img
from guivm.engine.files import fsync_file
from guivm.engine.images import free_bytes
from guivm.engine.snapshots import doing, steps
from guivm.engine.snapshots.doing_libvirt import noted, require_running, standing
from guivm.engine.snapshots.live_pull import TIGHT_BYTES, block_job
from guivm.engine.snapshots.reading import read_image
from guivm.engine.snapshots.run import Run, Share
from guivm.errors import InUseError, NoSpaceError, OperationError

if TYPE_CHECKING:
    import libvirt

_LOOK_S = 0.25


def live_merge(run: Run, step: steps.LiveMerge, share: Share) -> None:
    """Until ``step.above`` stands on ``step.into``, which is on the disk by then. A job under way is adopted.

    Behind the mark, so it cannot be cancelled: ``into`` is no snapshot's any more, and whatever is above reads the same
    at every moment. When the VM ends meanwhile, the rest is done without it. Raises libvirtError, GuivmError, OSError.
    """
    import libvirt

    domain = run.domain
    try:
        if domain.isActive():
            _by_qemu(run, domain, step, share)
            return
    except libvirt.libvirtError:
        if domain.isActive():
            raise
    _by_ourselves(run, step, share)


def _by_qemu(run: Run, domain: libvirt.virDomain, step: steps.LiveMerge, share: Share) -> None:
    require_running(run)
    if not _is_under_way(domain, step.target) and read_image(step.above, step.above_format).backing != step.into:
        domain.blockCommit(step.target, step.into, step.path, 0, 0)
    while info := block_job(domain, step.target):
        end = int(info.get("end", 0))
        share(int(info.get("cur", 0)) / end if end else 0.0)
        time.sleep(_LOOK_S)
    if read_image(step.above, step.above_format).backing != step.into:
        if not domain.isActive():
            _by_ourselves(run, step, share)
            return
        failed = "QEMU did not merge the images."  # libvirt does not tell why
        if free_bytes(Path(step.into).parent) < TIGHT_BYTES:
            raise NoSpaceError(failed, advice="The disk is full: free some space, then try again. Nothing is lost.")
        raise OperationError(failed, advice="Nothing is lost: try again.")
    require_running(run)
    with noted(run), standing(run, domain):
        pass  # QEMU writes all it holds whenever its processors are stopped
    fsync_file(Path(step.into))
    fsync_file(Path(step.above))


def _is_under_way(domain: libvirt.virDomain, target: str) -> bool:
    """Raises libvirtError; InUseError when a job of another kind is under way."""
    import libvirt

    job = block_job(domain, target)
    if job and job.get("type") != libvirt.VIR_DOMAIN_BLOCK_JOB_TYPE_COMMIT:
        raise InUseError("Another operation on this drive is under way.", advice="Wait until it has ended.")
    return bool(job)


def _by_ourselves(run: Run, step: steps.LiveMerge, share: Share) -> None:
    """Of a VM that is off, from the beginning.

    QEMU names ``into`` in the header above before all of its tables need be on the disk. ``path`` still holds all, so
    it is put back between the two first.
    """
    if read_image(step.above, step.above_format).backing == step.into:
        doing.do_set_backing(steps.SetBacking(step.above, step.above_format, step.path, step.format))
    qemu_img.repair_leaks(step.into, step.into_format)
    doing.do(run, steps.Merge(step.path, step.format, step.into), share)
    doing.do_set_backing(steps.SetBacking(step.above, step.above_format, step.into, step.into_format))
