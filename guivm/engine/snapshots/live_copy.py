"""Copies of a running VM's disks as they are at one moment, by its own QEMU, while the guest goes on. Worker only.

libvirt's backup in push mode: nothing about the VM's own images changes, so whatever happens there is only a copy to be
removed. Before the guest changes what is not copied yet, QEMU copies that; where the copy has no room, the guest's
write fails, and the VM stands still until it is let go on without the copy. Formats:
https://libvirt.org/formatbackup.html, https://libvirt.org/html/libvirt-libvirt-domain.html#virDomainGetJobStats.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from lxml import etree

from guivm.engine import qemu_img
from guivm.engine.cloning.agent import SilentError
from guivm.engine.context import HandlerContext
from guivm.engine.files import fsync_file, make_private_folder, rename_new
from guivm.engine.jobs import JobProgress
from guivm.engine.libvirt_errors import code_of, is_connection_lost
from guivm.engine.snapshots import doing
from guivm.engine.snapshots.at_rest import at_rest, require_agent
from guivm.engine.snapshots.run import Run, Share
from guivm.engine.snapshots.steps import LiveCopy, Step
from guivm.engine.snapshots.support import version_of
from guivm.engine.xml.document import XmlError, parse_xml
from guivm.errors import CancelledError, InUseError, OperationError, UnsupportedError

if TYPE_CHECKING:
    import libvirt

_log = logging.getLogger(__name__)

_FAILED = "The disks of the running virtual machine could not be copied."
_SINCE = (7, 2, 0)  # backups without a checkpoint, of images of every format
_FIRST_LOOK_S = 0.02
_LOOK_S = 0.25
_SETTLE_S = 60.0


def why_not(context: HandlerContext) -> str:
    """Why the disks of a running VM cannot be copied here, in a sentence; or empty. Raises libvirtError."""
    import libvirt

    if version_of(context.connection.getLibVersion()) < _SINCE:
        return "This version of libvirt cannot copy disks that change meanwhile."
    try:
        text = str(context.connection.getDomainCapabilities())
    except libvirt.libvirtError as error:
        if is_connection_lost(error):
            raise
        return ""  # it is seen when it begins, and nothing has changed by then
    try:
        node = parse_xml(text, "domainCapabilities").find("features/backup")
    except XmlError:
        return ""
    if node is not None and node.get("supported") == "no":
        return "This version of QEMU cannot copy disks that change meanwhile."
    return ""


def live_copy(run: Run, step: LiveCopy, share: Share) -> None:
    """All drives and files of the step as they are at one moment, durable, under their names only when they are whole.

    Raises libvirtError, GuivmError, OSError; CancelledError when that was wished.
    """
    domain = run.domain
    parts = [(target, _part_of(path)) for target, path in step.disks]
    for target, part in parts:
        _make_image(part, int(domain.blockInfo(target, 0)[0]))
    try:
        _begin(run, step, domain, parts)
        _follow(run, domain)
    finally:
        _wake(step, domain)
    share(1.0)
    for (_, path), (_, part) in zip(step.disks, parts, strict=True):
        qemu_img.repair_leaks(os.fspath(part), "qcow2")
        fsync_file(part)
        rename_new(part, Path(path))


def _part_of(path: str) -> Path:
    return Path(f"{path}.part")


def _make_image(part: Path, size: int) -> None:
    """An empty image that only its owner may read."""
    make_private_folder(part.parent)
    part.unlink(missing_ok=True)
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    qemu_img.work(("create", "-q", "-f", "qcow2", "--", os.fspath(part), str(size)), _FAILED)


# --- the moment -------------------------------------------------------------------------------------------


def _begin(run: Run, step: LiveCopy, domain: libvirt.virDomain, parts: list[tuple[str, Path]]) -> None:
    import libvirt

    from guivm.engine.snapshots.doing_libvirt import noted, standing

    if not domain.isActive():
        raise OperationError("The virtual machine does not run any more.", advice="Try again: it is off now.")
    runs = domain.state(0)[0] == libvirt.VIR_DOMAIN_RUNNING
    rests = runs and step.quiesce and _agent_answers(run, domain)
    with (
        noted(run) if runs else nullcontext(),
        at_rest(domain) if rests else nullcontext(),
        standing(run, domain) if runs else nullcontext(),
    ):
        for source, target in step.copies:
            doing.copy(Path(source), Path(target))
        domain.backupBegin(_request(parts), None, libvirt.VIR_DOMAIN_BACKUP_BEGIN_REUSE_EXTERNAL)


def _agent_answers(run: Run, domain: libvirt.virDomain) -> bool:
    try:
        require_agent(domain)
    except (SilentError, UnsupportedError) as error:
        _log.info("the guest's file systems are not brought to rest: %s", error)
        run.remarks.append("The guest's agent did not answer: the clone starts as after a power failure.")
        return False
    return True


def _request(parts: list[tuple[str, Path]]) -> str:
    root = etree.Element("domainbackup", mode="push")
    disks = etree.SubElement(root, "disks")
    for name, part in parts:
        disk = etree.SubElement(disks, "disk", name=name, type="file", backup="yes")
        etree.SubElement(disk, "driver", type="qcow2")
        etree.SubElement(disk, "target", file=os.fspath(part))
    return etree.tostring(root, encoding="unicode")


# --- while it goes on -------------------------------------------------------------------------------------


def _follow(run: Run, domain: libvirt.virDomain) -> None:
    """Until libvirt says that all is copied. Raises what :func:`live_copy` does."""
    import libvirt

    cancelled, woken = threading.Event(), threading.Event()

    def cancel() -> None:
        cancelled.set()
        woken.set()

    job = run.context.job
    job.on_cancel(cancel)
    began_s, wait_s, is_aborted = time.monotonic(), _FIRST_LOOK_S, False
    try:
        while True:
            stats: dict[str, int] = domain.jobStats(0)
            if stats.get("type", libvirt.VIR_DOMAIN_JOB_NONE) == libvirt.VIR_DOMAIN_JOB_NONE:
                break
            if cancelled.is_set() and not is_aborted:
                is_aborted = True
                with contextlib.suppress(libvirt.libvirtError):  # it may have ended by now
                    domain.abortJob()
            job.report(_progress(stats, time.monotonic() - began_s))
            woken.wait(wait_s)
            woken.clear()
            wait_s = min(2 * wait_s, _LOOK_S)
        ended: dict[str, object] = domain.jobStats(
            libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED | libvirt.VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED
        )
    except libvirt.libvirtError as error:
        if not is_connection_lost(error) and not domain.isActive():
            raise OperationError(
                "The virtual machine ended while its disks were copied.", advice="Try again: it is off now."
            ) from None
        raise
    finally:
        job.on_cancel(None)
    is_backup = ended.get("operation") == libvirt.VIR_DOMAIN_JOB_OPERATION_BACKUP
    if is_backup and ended.get("type") == libvirt.VIR_DOMAIN_JOB_COMPLETED:
        return
    if is_aborted:
        raise CancelledError("Cancelled.")
    raise qemu_img.failure(str(ended.get("errmsg", "")) if is_backup else "", _FAILED)


def _progress(stats: dict[str, int], passed_s: float) -> JobProgress:
    total, done = int(stats.get("disk_total", 0)), int(stats.get("disk_processed", 0))
    speed = done / passed_s if passed_s > 0.5 and done else None
    left_s = (total - done) / speed if speed else None
    return JobProgress(
        done, total, unit_bytes=True, speed_per_s=speed, remaining_s=left_s, step="Copying the disks as they were"
    )


def _wake(step: LiveCopy, domain: libvirt.virDomain) -> None:
    """A guest that QEMU stopped because the copy had no room goes on: what it was about to write is written then."""
    import libvirt

    with contextlib.suppress(libvirt.libvirtError):
        stopped = [libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_IOERROR]
        if not step.paused and not _under_way(domain) and list(domain.state(0)) == stopped:
            domain.resume()


# --- afterwards -------------------------------------------------------------------------------------------


def end_live_copy(run: Run, step: Step | None) -> None:
    """One that QEMU goes on with after the process that asked for it has ended.

    Raises libvirtError; InUseError when it does not end.
    """
    import libvirt

    if not isinstance(step, LiveCopy):
        return
    domain = run.domain
    deadline_s = time.monotonic() + _SETTLE_S
    ours = {os.fspath(_part_of(path)) for _, path in step.disks}
    while domain.isActive() and not ours.isdisjoint(_under_way(domain)):
        with contextlib.suppress(libvirt.libvirtError):
            domain.abortJob()
        if time.monotonic() > deadline_s:
            raise InUseError("The disks are still being copied.", advice="Wait until that has ended.")
        time.sleep(_FIRST_LOOK_S)
    if domain.isActive():
        _wake(step, domain)


def _under_way(domain: libvirt.virDomain) -> set[str]:
    """The images that a backup of libvirt's is being written to. Raises libvirtError, XmlError."""
    import libvirt

    try:
        text = str(domain.backupGetXMLDesc(0))
    except libvirt.libvirtError as error:
        gone = (libvirt.VIR_ERR_NO_DOMAIN_BACKUP, libvirt.VIR_ERR_OPERATION_INVALID)
        if is_connection_lost(error) or code_of(error) not in gone:
            raise
        return set()
    return {node.get("file", "") for node in parse_xml(text, "domainbackup").iterfind("disks/disk/target")}
