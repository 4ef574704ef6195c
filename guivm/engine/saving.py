"""SaveState: libvirt's managed save, with progress and cancel. Worker only."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from guivm.engine.context import HandlerContext
from guivm.engine.jobs import JobProgress
from guivm.engine.libvirt_errors import lookup
from guivm.engine.operations import require_state
from guivm.engine.requests import SaveState
from guivm.engine.types import VmKey, VmState
from guivm.errors import CancelledError, GuivmError, WrongStateError
from guivm.text import clean_line

if TYPE_CHECKING:
    import libvirt

_POLL_S = 0.25


def save_state(context: HandlerContext, request: SaveState) -> None:
    """Handler of SaveState. Cancelled, the VM goes on as before and nothing is kept on disk."""
    import libvirt

    from guivm.engine.cloning.marks import refuse_disposable

    domain = context.domain(request.key)
    require_state(domain, (VmState.RUNNING, VmState.PAUSED), "Only a running virtual machine can be saved.")
    if not domain.isPersistent():
        raise WrongStateError(
            f"“{clean_line(domain.name())}” exists only while it runs.", advice="Its state cannot be kept."
        )
    refuse_disposable(domain, "Its state cannot be saved")
    watcher = SaveWatcher(context, request.key)
    watcher.start()
    try:
        domain.managedSave(0)
    except libvirt.libvirtError as error:
        if watcher.aborted:
            raise CancelledError(
                "Saving was cancelled; the virtual machine goes on.", details=str(error.get_error_message())
            ) from error
        raise
    finally:
        watcher.stop()


class SaveWatcher(threading.Thread):
    """Asks how far the save is, and aborts it when the person wants that. Lives as long as the save."""

    def __init__(self, context: HandlerContext, key: VmKey) -> None:
        super().__init__(name=f"{threading.current_thread().name}-save", daemon=True)
        self._context = context
        self._key = key
        self._job = context.job
        self._condition = threading.Condition()
        self._done = False
        self._cancel = False
        self.aborted = False

    def stop(self) -> None:
        """The save has ended; waits for the answer to a question under way."""
        with self._condition:
            self._done = True
            self._condition.notify_all()
        self.join()
        self._job.on_cancel(None)

    def run(self) -> None:
        try:
            with self._context.another_connection() as connection:
                self._watch(lookup(connection, self._key.uuid))
        except GuivmError:
            return  # the save goes on without progress, and its own call tells what is wrong

    def _watch(self, domain: libvirt.virDomain) -> None:
        import libvirt

        self._job.on_cancel(self._on_cancel)
        while True:
            with self._condition:
                if not self._done:
                    self._condition.wait(_POLL_S)  # woken at once by the end and by the wish to cancel
                if self._done:
                    return
                abort = self._cancel and not self.aborted
            try:
                if abort:
                    domain.abortJob()
                    self.aborted = True
                else:
                    self._report(domain)
            except libvirt.libvirtError:
                continue  # just before its beginning and just after its end there is no such job: ask again

    def _on_cancel(self) -> None:
        with self._condition:
            self._cancel = True
            self._condition.notify_all()

    def _report(self, domain: libvirt.virDomain) -> None:
        import libvirt

        stats: dict[str, int] = domain.jobStats(0)
        total = int(stats.get(libvirt.VIR_DOMAIN_JOB_DATA_TOTAL, 0))
        if stats.get("type", 0) == libvirt.VIR_DOMAIN_JOB_NONE or total <= 0:
            return
        done = int(stats.get(libvirt.VIR_DOMAIN_JOB_DATA_PROCESSED, 0))
        left = int(stats.get(libvirt.VIR_DOMAIN_JOB_DATA_REMAINING, 0))
        speed = stats.get(libvirt.VIR_DOMAIN_JOB_MEMORY_BPS)
        elapsed_s = time.monotonic() - self._job.info.started_s
        per_s = float(speed) if speed else (done / elapsed_s if elapsed_s > 0 else None)
        self._job.report(
            JobProgress(
                done=total - left,
                total=total,
                speed_per_s=per_s,
                remaining_s=left / per_s if per_s else None,
                step="Writing memory",
            )
        )
