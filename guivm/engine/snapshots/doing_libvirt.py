"""The steps that libvirt does, and what becomes of them when this process or libvirt's ends in the middle. Worker only.

Format of a memory file: libvirt's ``src/qemu/qemu_saveimage.h``.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from guivm.engine import qemu_img
from guivm.engine.files import fsync_directory, fsync_file, make_private_folder
from guivm.engine.libvirt_errors import code_of, is_connection_lost, text_of
from guivm.engine.saving import SaveWatcher
from guivm.engine.snapshots import doing, steps
from guivm.engine.snapshots.at_rest import at_rest, require_agent, thaw
from guivm.engine.snapshots.defining import define, make_durable
from guivm.engine.snapshots.journal import Entry, Journal
from guivm.engine.snapshots.reading import holds_data, read_image
from guivm.engine.snapshots.run import Run, Share
from guivm.engine.snapshots.steps import Step
from guivm.engine.xml.domain import DomainXml
from guivm.errors import CancelledError, InUseError, OperationError

if TYPE_CHECKING:
    import libvirt

_log = logging.getLogger(__name__)

_WHOLE = b"LibvirtQemudSave"
_SETTLE_S = 60.0
_LOOK_S = 0.1
_THAW_LATER_S = 20.0


def do_with_libvirt(run: Run, step: Step, share: Share) -> None:
    """Raises libvirtError, GuivmError or OSError."""
    import libvirt

    match step:
        case steps.DefineVm(xml=xml):
            define(run.context.connection, xml)
            make_durable(run.context.host.uri)
        case steps.SaveMemory(path=path):
            _save_memory(run, Path(path))
        case steps.RunMemory():
            _run_memory(run, step)
        case steps.LiveOverlays():
            _live_overlays(run, step)
        case steps.LivePull():
            _live_pull(run, step, share)
        case steps.LiveMerge():
            from guivm.engine.snapshots.live_merge import live_merge

            live_merge(run, step, share)
        case steps.LiveCopy():
            from guivm.engine.snapshots.live_copy import live_copy

            live_copy(run, step, share)
        case steps.StopVm():
            with contextlib.suppress(libvirt.libvirtError):
                run.domain.destroyFlags(0)
            if run.domain.isActive():
                raise OperationError("The virtual machine could not be ended.")
        case steps.StartVm():
            if not run.domain.isActive():
                run.domain.createWithFlags(0)
        case _:
            raise TypeError(type(step).__name__)


# --- memory -----------------------------------------------------------------------------------------------


def _save_memory(run: Run, path: Path) -> None:
    import libvirt

    domain = run.domain
    if not domain.isActive():
        raise OperationError("The virtual machine is off: there is no memory to keep.")
    make_private_folder(path.parent)
    watcher = SaveWatcher(run.context, run.key)
    watcher.start()
    run.guest_stops()
    try:
        domain.saveFlags(os.fspath(path), None, 0)
    except libvirt.libvirtError as error:
        run.guest_goes_on()
        if watcher.aborted:
            raise CancelledError("Cancelled; the virtual machine goes on.", details=text_of(error)) from error
        raise
    finally:
        watcher.stop()
    fsync_file(path)
    fsync_directory(path.parent)


def _run_memory(run: Run, step: steps.RunMemory) -> None:
    """Again: a VM that runs has been restored already; one whose overlays hold data has gone on, and ended since.

    libvirt may have been ended between reading the memory and letting the guest go on: then the guest stands still, by
    nobody's wish, and libvirt still gives the reading as the reason.
    """
    import libvirt

    if run.domain.isActive():
        stands_since_read = (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_MIGRATION)
        if not step.paused and tuple(run.domain.state(0)) == stands_since_read:
            run.domain.resume()
        return
    if not Path(step.path).exists() or any(holds_data(path) for path in step.onto):
        return
    flags = libvirt.VIR_DOMAIN_SAVE_PAUSED if step.paused else libvirt.VIR_DOMAIN_SAVE_RUNNING
    run.context.connection.restoreFlags(step.path, step.xml, flags)
    run.guest_goes_on()


def run_memory_back(run: Run, step: steps.RunMemory) -> None:
    """Undo SaveMemory: the guest goes on as it was, unless it could only come to harm."""
    path = Path(step.path)
    if not path.exists():
        return
    if not is_whole_memory(path):
        _log.warning("“%s” is not whole: the virtual machine ended while its memory was written", path)
        return
    if not run.domain.isActive() and _used_since(step.xml, path):
        _log.warning("“%s” fits the disks no more: the virtual machine has been used since", path)
        return
    _run_memory(run, step)


def is_whole_memory(path: Path) -> bool:
    """Whether libvirt wrote it to its end."""
    with path.open("rb") as stream:
        return stream.read(len(_WHOLE)) == _WHOLE


def _used_since(xml: str, memory: Path) -> bool:
    """Whether one of the images is newer than the memory. QEMU lets go of them before libvirt ends the file."""
    saved_ns = memory.stat().st_mtime_ns
    for disk in DomainXml.parse(xml).devices.disks:
        if disk.path and not disk.read_only:
            with contextlib.suppress(OSError):
                if Path(disk.path).stat().st_mtime_ns > saved_ns:
                    return True
    return False


def await_decided(run: Run) -> None:
    """Until libvirt knows whether the VM runs.

    One that was being started when libvirt was ended is active, as starting up, for a moment after libvirt has come
    back; then libvirt ends it. Raises libvirtError; InUseError when it stays so.
    """
    import libvirt

    deadline_s = time.monotonic() + _SETTLE_S
    undecided = (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_STARTING_UP)
    try:
        while tuple(run.domain.state(0)) == undecided:
            if time.monotonic() > deadline_s:
                raise InUseError("The virtual machine is being started.", advice="Wait until that has ended.")
            time.sleep(_LOOK_S)
    except libvirt.libvirtError as error:
        if is_connection_lost(error) or code_of(error) != libvirt.VIR_ERR_NO_DOMAIN:
            raise


def end_save(run: Run) -> None:
    """A save that libvirt goes on with after the process that asked for it has ended: it is aborted, or has just ended.

    Raises InUseError when it does not end.
    """
    import libvirt

    deadline_s = time.monotonic() + _SETTLE_S
    domain = run.domain
    while domain.isActive() and _has_job(domain):
        with contextlib.suppress(libvirt.libvirtError):
            domain.abortJob()
        if time.monotonic() > deadline_s:
            raise InUseError(
                "The virtual machine's memory is still being written.", advice="Wait until that has ended."
            )
        time.sleep(_LOOK_S)


def _has_job(domain: libvirt.virDomain) -> bool:
    import libvirt

    try:
        return bool(domain.jobStats(0).get("type", 0) != libvirt.VIR_DOMAIN_JOB_NONE)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_OPERATION_INVALID:  # it is off by now
            return False
        raise


# --- overlays while it runs -------------------------------------------------------------------------------


def _live_overlays(run: Run, step: steps.LiveOverlays) -> None:
    import libvirt

    domain = run.domain
    flags = (
        libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY
        | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC
        | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA
    )
    was_running = domain.state(0)[0] == libvirt.VIR_DOMAIN_RUNNING
    if step.quiesce:
        require_agent(domain)
    with (
        noted(run) if was_running or step.quiesce else nullcontext(),
        at_rest(domain) if step.quiesce else nullcontext(),
        standing(run, domain) if was_running else nullcontext(),
    ):
        for source, target in step.copies:
            doing.copy(Path(source), Path(target))
        domain.snapshotCreateXML(step.xml, flags)
    for _, path in step.disks:  # made by QEMU; what the guest writes must be found after a loss of power
        with contextlib.suppress(PermissionError):  # libvirt's, which opens it for QEMU only
            fsync_file(Path(path))
        fsync_directory(Path(path).parent)


@contextmanager
def noted(run: Run) -> Iterator[None]:
    """The guest does not go on as usual while the block runs; whoever finds the journal afterwards lets it."""
    if run.notes is not None:
        run.notes.guest_stops()
    yield
    if run.notes is not None:
        run.notes.guest_goes_on()


@contextmanager
def standing(run: Run, domain: libvirt.virDomain) -> Iterator[None]:
    """A running guest stands still while the block runs. Inside of :func:`noted`."""
    run.guest_stops()
    try:
        domain.suspend()
        yield
    finally:
        domain.resume()
        run.guest_goes_on()


def let_go_on(run: Run, notes: Journal) -> None:
    """A guest that was made to stand still, or whose file systems are at rest, and could not be let go on then.

    Resuming waits for a snapshot that libvirt is still taking. Raises libvirtError, OSError; OperationError when its
    agent does not answer.
    """
    import libvirt

    entry = notes.entry
    if not entry.guest_stopped:
        return
    domain = run.domain
    if not domain.isActive():
        return
    try:
        domain.resume()
    except libvirt.libvirtError:
        if domain.isActive() and domain.state(0)[0] == libvirt.VIR_DOMAIN_PAUSED:
            raise
    if any(isinstance(step, steps.LiveOverlays | steps.LiveCopy) and step.quiesce for step in entry.prepare):
        thaw(domain, _THAW_LATER_S)
    notes.guest_goes_on()


def has_switched(run: Run, entry: Entry) -> bool:
    """Whether the VM's disks are on overlays of *prepare* already: they must stay, and the rest follows.

    libvirt may have been ended between QEMU's switch and its own note of it: then only the overlays tell. Raises
    libvirtError; InUseError when it cannot be told while the VM runs.
    """
    step = entry.prepare[-1] if entry.prepare else None
    if not isinstance(step, steps.LiveOverlays) or entry.done < len(entry.prepare) - 1:
        return False
    domain = run.domain
    paths = [path for _, path in step.disks]
    if any(path in _named(domain) for path in paths) or any(holds_data(path) for path in paths):
        return True
    if domain.isActive() and any(os.path.lexists(path) and qemu_img.is_in_use(path, "qcow2") for path in paths):
        raise InUseError(
            "It cannot be told which images the running virtual machine writes to.", advice="Shut it down first."
        )
    return False


def _named(domain: libvirt.virDomain) -> set[str]:
    """Paths of the drives, as it runs and as it is defined."""
    import libvirt

    documents = [str(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))]
    if domain.isActive():
        documents.append(str(domain.XMLDesc(0)))
    return {disk.path for text in documents for disk in DomainXml.parse(text).devices.disks if disk.path}


def refuse_while_used(run: Run, entry: Entry) -> None:
    """A VM that was started while its operation was cut short, on images that the rest of it changes.

    Raises InUseError, libvirtError.
    """
    domain = run.domain
    if not domain.isActive():
        return
    live = {os.path.realpath(d.path) for d in DomainXml.parse(str(domain.XMLDesc(0))).devices.disks if d.path}
    for step in entry.finish[max(0, entry.done - len(entry.prepare)) :]:
        touched: tuple[str, ...] = ()
        match step:
            case steps.StopVm() | steps.RunMemory() | steps.StartVm():
                return
            case steps.Merge(path=path, into=into):
                touched = (path, into)
            case steps.PutInPlace(path=path, target=target):
                touched = (path, target)
            case steps.Freeze(path=path) | steps.Thaw(path=path) | steps.Pull(path=path) | steps.SetBacking(path=path):
                touched = (path,)
            case steps.Quarantine(path=path):
                touched = (path,)
            case _:
                pass
        if not live.isdisjoint(touched):
            raise InUseError(
                f"“{entry.title}” is not finished yet, and “{entry.vm_name}” has been started meanwhile.",
                advice="Shut it down first, then try again.",
            )


# --- pulling while it runs --------------------------------------------------------------------------------


def _live_pull(run: Run, step: steps.LivePull, share: Share) -> None:
    """By QEMU while the VM runs; when it has ended meanwhile, as any other image."""
    from guivm.engine.snapshots.live_pull import live_pull

    if run.domain.isActive():
        require_running(run)
        live_pull(run.context, run.key, step, share)
        _flush(run, step)
        return
    _back_on(step)
    above = read_image(step.path, "qcow2")
    while step.backing is not None and above.backing is not None and above.backing != step.backing:
        above = read_image(above.backing, above.backing_format)
    doing.pull(run, steps.Pull(step.path, "qcow2", step.backing, above.backing_format if step.backing else ""), share)


def require_running(run: Run) -> None:
    """Raises InUseError for a VM that stands still: libvirt does not ask QEMU to stop it once more."""
    import libvirt

    if run.domain.state(0)[0] != libvirt.VIR_DOMAIN_RUNNING:
        raise InUseError(
            "The virtual machine is paused, so QEMU cannot be made to write the merged image to the disk.",
            advice="Let it go on, or shut it down, then try again.",
        )


def _flush(run: Run, step: steps.LivePull) -> None:
    """Have QEMU write all it holds of the image, and the host too, before anything below is moved.

    QEMU does whenever its processors are stopped (``do_vm_stop``); with the cache mode "unsafe" only to the host.
    Raises InUseError for a VM that stands still.
    """
    require_running(run)
    with noted(run), standing(run, run.domain):
        pass
    fsync_file(Path(step.path))


def _back_on(step: steps.LivePull) -> None:
    """Of a VM that is off: an image whose tables may never have been written reads through its old base again."""
    if step.was and read_image(step.path, "qcow2").backing == step.backing != step.was:
        doing.do_set_backing(steps.SetBacking(step.path, "qcow2", step.was, step.was_format))


def end_live_pull(run: Run, step: Step | None) -> None:
    """One that QEMU goes on with after the process that asked for it has ended, or that ended with QEMU.

    An image that stands on its new base already is written first: a loss of power must find all of it. Raises
    InUseError when that cannot be had now.
    """
    import libvirt

    if not isinstance(step, steps.LivePull):
        return
    if not run.domain.isActive():
        _back_on(step)
    else:
        from guivm.engine.snapshots.live_pull import pull_under_way

        try:
            if pull_under_way(run.domain, step.target):
                run.domain.blockJobAbort(step.target, 0)
        except libvirt.libvirtError as error:  # it may have ended by itself
            if is_connection_lost(error):
                raise
        if read_image(step.path, "qcow2").backing == step.backing != step.was:
            _flush(run, step)
