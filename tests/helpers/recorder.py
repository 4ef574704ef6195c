"""Hears an engine and lets a test wait for what it heard."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from guivm.engine.events import EngineEvent, HostChanged, HostRemoved, JobChanged, VmsChanged, VmsReset
from guivm.engine.jobs import JobInfo
from guivm.engine.types import HostId, HostInfo, HostState, VmInfo, VmKey, VmState

EventT = TypeVar("EventT", bound=EngineEvent)

DEADLINE_S = 30.0


class Recorder:
    """A listener. ``events`` are all events in order; thread-safe."""

    def __init__(self) -> None:
        self.events: list[EngineEvent] = []
        self._condition = threading.Condition()

    def __call__(self, event: EngineEvent) -> None:
        with self._condition:
            self.events.append(event)
            self._condition.notify_all()

    def wait_for(self, condition: Callable[[], bool], what: str = "it", deadline_s: float = DEADLINE_S) -> None:
        """Until ``condition`` holds; it is asked anew after each event."""
        end = time.monotonic() + deadline_s
        with self._condition:
            while not condition():
                left = end - time.monotonic()
                assert left > 0, f"timed out waiting for {what}; heard {self.events[-12:]}"
                self._condition.wait(left)

    def of(self, kind: type[EventT]) -> list[EventT]:
        with self._condition:
            return [event for event in self.events if isinstance(event, kind)]

    def clear(self) -> None:
        with self._condition:
            self.events.clear()

    # --- what the events add up to --------------------------------------------------------------------

    def vms(self, host: HostId) -> dict[str, VmInfo]:
        """UUID → VM, as a listener that believes every event sees them."""
        seen: dict[str, VmInfo] = {}
        with self._condition:
            for event in self.events:
                match event:
                    case VmsReset(host=of, vms=vms) if of == host:
                        seen = {vm.key.uuid: vm for vm in vms}
                    case VmsChanged(host=of, changed=changed, removed=removed) if of == host:
                        seen |= {vm.key.uuid: vm for vm in changed}
                        for uuid in removed:
                            seen.pop(uuid, None)
                    case HostRemoved(host=of) if of == host:
                        seen = {}
        return seen

    def states(self, key: VmKey) -> list[VmState]:
        """The states of one VM in the order heard, repetitions left out."""
        states: list[VmState] = []
        with self._condition:
            for event in self.events:
                vms = (
                    event.changed if isinstance(event, VmsChanged) else event.vms if isinstance(event, VmsReset) else ()
                )
                states += [vm.state for vm in vms if vm.key == key and (not states or states[-1] is not vm.state)]
        return states

    def host_states(self, host: HostId) -> list[HostState]:
        return [event.host.state for event in self.of(HostChanged) if event.host.id == host]

    def job_infos(self, job_id: int) -> list[JobInfo]:
        return [event.job for event in self.of(JobChanged) if event.job.id == job_id]

    # --- waiting --------------------------------------------------------------------------------------

    def wait_for_host(self, host: HostId, state: HostState, deadline_s: float = DEADLINE_S) -> HostInfo:
        """Until the last word about the host is ``state``, and its list complete."""

        def last() -> list[HostInfo]:
            return [event.host for event in self.of(HostChanged) if event.host.id == host][-1:]

        self.wait_for(
            lambda: any(info.state is state and info.is_complete for info in last()),
            f"host to be {state.value}",
            deadline_s,
        )
        return last()[0]

    def wait_for_state(self, key: VmKey, state: VmState, deadline_s: float = DEADLINE_S) -> None:
        """Until the last word about the VM is ``state``."""
        self.wait_for(lambda: self.states(key)[-1:] == [state], f"VM to be {state.value}", deadline_s)

    def wait_for_job(self, job_id: int) -> list[JobInfo]:
        """Until the job's end was announced; its announcements in order."""
        self.wait_for(lambda: any(info.state.is_final for info in self.job_infos(job_id)), "the job to end")
        return self.job_infos(job_id)
