"""What a verb works with: an engine, its hosts, and answers that are waited for."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from guivm.cli.output import print_json, progress_line, vm_values
from guivm.errors import HostError, OperationError, VmNotFoundError

if TYPE_CHECKING:
    from guivm.engine.api import Engine
    from guivm.engine.events import EngineEvent
    from guivm.engine.jobs import Job
    from guivm.engine.requests import Request
    from guivm.engine.types import HostId, VmInfo, VmKey

T = TypeVar("T")

_CONNECT_TIMEOUT_S = 60


class Session:
    """One run of a verb. Main thread."""

    def __init__(self, engine: Engine, *, as_json: bool) -> None:
        self.as_json = as_json
        self.hosts: tuple[HostId, ...] = ()
        self._engine = engine
        self._changed = threading.Condition()
        self._told = 0  # events
        engine.add_listener(self._on_event)

    def close(self) -> None:
        self._engine.remove_listener(self._on_event)
        self._engine.stop()

    def connect(self, uris: Sequence[str]) -> None:
        """To these hosts, or to this computer's own engine. Raises HostError unless all can be reached."""
        from guivm.engine.hosts import default_uri
        from guivm.engine.types import HostState

        self.hosts = tuple(self._engine.open_host(uri) for uri in (uris or [default_uri()]))

        def settled() -> bool:
            return all(info.state is not HostState.CONNECTING for info in self._engine.hosts())

        if not self.wait_for(settled, _CONNECT_TIMEOUT_S):
            raise HostError("The host does not answer.", advice="Check that libvirt runs there.")
        self._check_hosts()

    def _check_hosts(self) -> None:
        from guivm.engine.types import HostState

        for info in self._engine.hosts():
            if info.state is not HostState.CONNECTED:
                raise HostError(info.problem or "The host cannot be reached.", details=info.details)

    def complete_vms(self) -> list[VmInfo]:
        """Of all hosts, when of every VM is known what only its definition tells. Raises HostError."""
        while not self._are_complete():
            if not self.wait_for(partial(self._has_news, self._told), _CONNECT_TIMEOUT_S):
                raise HostError("The host does not answer.", advice="Check that libvirt runs there.")
        self._check_hosts()
        return self.vms()

    def _has_news(self, told: int) -> bool:
        return self._told != told or self._are_complete()

    def _are_complete(self) -> bool:
        return all(info.is_complete for info in self._engine.hosts())

    def vms(self) -> list[VmInfo]:
        """Of all hosts; some perhaps without details (``VmInfo.is_complete``)."""
        return [vm for host in self.hosts for vm in self._engine.vms(host)]

    def vm(self, key: VmKey) -> VmInfo | None:
        """As it is now."""
        return self._engine.vm(key)

    def find(self, wanted: str) -> VmInfo:
        """By name or UUID. Raises VmNotFoundError, or OperationError when there are several."""
        vms = self.vms()
        found = [vm for vm in vms if vm.key.uuid == wanted.lower()] or [vm for vm in vms if vm.name == wanted]
        if not found:
            raise VmNotFoundError(f"There is no virtual machine “{wanted}”.", advice="See “guivm list”.")
        if len(found) > 1:
            raise OperationError(f"“{wanted}” exists on several hosts.", advice="Name its UUID.")
        return found[0]

    def ask(self, request: Request[T]) -> T:
        """Wait for the answer, with progress on a terminal; Ctrl+C cancels the job. Raises GuivmError."""
        job = self._engine.submit(request)
        try:
            return _await(job)
        except KeyboardInterrupt:
            job.cancel()
            _await(job)
            raise

    def wait_for(self, is_so: Callable[[], bool], timeout_s: float) -> bool:
        """Until ``is_so``, asked whenever the engine tells of a change; False when the time is over."""
        until_s = time.monotonic() + timeout_s
        while True:
            told = self._told
            if is_so():  # without our lock: the engine tells of changes holding locks that it may want
                return True
            with self._changed:
                if not self._changed.wait_for(lambda: self._told != told, until_s - time.monotonic()):  # noqa: B023
                    return is_so()

    def print_vm(self, vm: VmInfo) -> None:
        """With --json, the VM as it is now."""
        if self.as_json:
            print_json(vm_values(self.vm(vm.key) or vm))

    def _on_event(self, _event: EngineEvent) -> None:
        with self._changed:
            self._told += 1
            self._changed.notify_all()


def _await(job: Job[T]) -> T:
    show = sys.stderr.isatty()
    width = 0
    while True:
        try:
            result = job.result(timeout=0.25)
        except TimeoutError:
            if show:
                line = progress_line(job.info)
                print("\r" + line.ljust(width), end="", file=sys.stderr, flush=True)
                width = max(width, len(line))
            continue
        finally:
            if width and job.info.state.is_final:
                print("\r" + " " * width + "\r", end="", file=sys.stderr, flush=True)
        return result
