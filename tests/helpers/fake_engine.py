"""A small engine in memory that tells the truth (see tests/contract): for views and the command line.

Answers are given at once, on the submitting thread; ``hold`` keeps requests of a type waiting so that a test
decides when and how they end.
"""

from __future__ import annotations

import uuid as uuidlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from guivm.engine import requests as rq
from guivm.engine.events import (
    EngineEvent,
    HostChanged,
    HostRemoved,
    JobChanged,
    Listener,
    NetworksChanged,
    VmsChanged,
    VmsReset,
)
from guivm.engine.job_types import (
    ConsoleEndpoint,
    DeletedVm,
    DeletePlan,
    DiskInfo,
    FieldProblem,
    Firmware,
    HostCapabilities,
    KvmStatus,
    MediaInfo,
    MediaKind,
    NewVmField,
    NicInfo,
    Screenshot,
    SerialDevice,
    SerialEndpoint,
    VirtType,
    VmDetails,
)
from guivm.engine.jobs import Job, JobInfo
from guivm.engine.options.new_disks import CreatedDisk, ImageSize
from guivm.engine.options.values import VmSettings
from guivm.engine.types import HostId, HostInfo, HostState, VmInfo, VmKey, VmState
from guivm.errors import (
    GuivmError,
    HostError,
    ImageError,
    OperationError,
    UnsupportedError,
    VmNotFoundError,
    WrongStateError,
)
from tests.helpers import fake_snapshots

if TYPE_CHECKING:
    from tests.helpers.fake_networks import FakeNetworks
    from tests.helpers.fake_snapshots import FakeSnapshots
    from tests.helpers.settings_stage import FakeSettings

T = TypeVar("T")
GIB = 1024**3
LOCAL = HostId("test:///fake")


class FakeEngine:
    """``requests`` records every request in order. Public attributes may be set by tests before use."""

    def __init__(self, *, connected: bool = True, with_host: bool = True) -> None:
        self.requests: list[rq.Request[Any]] = []
        self.stopped = False
        self.media: dict[Path, MediaInfo | GuivmError] = {}
        self.plans: dict[VmKey, DeletePlan] = {}
        self.screenshot = Screenshot("image/x-portable-pixmap", b"P6\n2 1\n255\n\xff\x00\x00\x00\x00\xff")
        self.details: dict[VmKey, VmDetails] = {}
        self.endpoint: ConsoleEndpoint | None = None  # what OpenConsole answers
        self.serial_devices: tuple[SerialDevice, ...] = (SerialDevice("serial0", "serial", 0, "Serial port 1"),)
        self.open_serial: Callable[[rq.OpenSerial], SerialEndpoint] = _no_serial  # answers OpenSerial
        self.qemu_command = ""  # what ReadQemuCommand answers; empty: that there is none
        self.extra_problems: tuple[FieldProblem, ...] = ()
        self.capabilities = HostCapabilities(
            host=LOCAL,
            arch="x86_64",
            kvm=KvmStatus(False, "This computer's processor offers no hardware virtualisation."),
            memory_bytes=16 * GIB,
            memory_free_bytes=9 * GIB,
            cpus=8,
            max_vcpus=255,
            machines=("q35", "pc"),
            has_uefi=True,
            uefi_reason="",
            video_models=("vga", "virtio"),
            graphics_types=("vnc", "spice"),
            channel_types=("unix", "qemu-vdagent"),
            has_tpm=False,
            libvirt_version="9.0.0",
            hypervisor_version="QEMU 7.2.0",
            images_dir=Path("/home/user/.local/share/guivm/images"),
            images_free_bytes=84 * GIB,
        )
        self._settings: FakeSettings | None = None
        self._networks: FakeNetworks | None = None
        self._snapshots: FakeSnapshots | None = None
        self._listeners: list[Listener] = []
        self._hosts: dict[HostId, HostInfo] = {}
        self._vms: dict[VmKey, VmInfo] = {}
        self._held_types: set[type] = set()
        self._held: list[tuple[rq.Request[Any], Job[Any]]] = []
        self._failures: dict[type, GuivmError] = {}
        if with_host:
            state = HostState.CONNECTED if connected else HostState.CONNECTING
            self._hosts[LOCAL] = HostInfo(LOCAL, LOCAL, "This computer", state)

    # --- what tests do --------------------------------------------------------------------------------

    @property
    def settings(self) -> FakeSettings:
        """The definitions of its VMs."""
        from tests.helpers.settings_stage import FakeSettings

        if self._settings is None:
            self._settings = FakeSettings()
        return self._settings

    @property
    def networks(self) -> FakeNetworks:
        """Its virtual networks."""
        from tests.helpers.fake_networks import FakeNetworks

        if self._networks is None:
            self._networks = FakeNetworks(lambda host: self.emit(NetworksChanged(host)))
        return self._networks

    @property
    def snapshots(self) -> FakeSnapshots:
        """The snapshots and clones of its VMs."""
        from tests.helpers.fake_snapshots import FakeSnapshots

        if self._snapshots is None:
            self._snapshots = FakeSnapshots(self)
        return self._snapshots

    def add_vm(
        self,
        name: str,
        state: VmState = VmState.OFF,
        *,
        host: HostId = LOCAL,
        uuid: str = "",
        announce: bool = True,
        **fields: Any,
    ) -> VmKey:
        """Add a VM as if somebody had defined it elsewhere."""
        key = VmKey(host, uuid or str(uuidlib.uuid5(uuidlib.NAMESPACE_DNS, f"{host}/{name}")))
        values: dict[str, Any] = {"vcpus": 2, "memory_kib": 2 * 1024 * 1024, "has_graphics": True}
        self._vms[key] = VmInfo(key=key, name=name, state=state, **(values | fields))
        if announce:
            self.emit(VmsChanged(host, (self._vms[key],)))
        return key

    def change_vm(self, key: VmKey, **fields: Any) -> None:
        """Change a VM as if by another program; says so."""
        vm = replace(self._vms[key], **fields)
        self._vms[key] = self._counted(replace(vm, is_disposable=vm.is_disposable and vm.state.is_active))
        self.emit(VmsChanged(key.host, (self._vms[key],)))

    def remove_vm(self, key: VmKey) -> None:
        del self._vms[key]
        self.emit(VmsChanged(key.host, (), (key.uuid,)))

    def set_host(self, host: HostId, **fields: Any) -> None:
        """Change a host; VMs become UNKNOWN when it is not connected any more."""
        old = self._hosts[host]
        self._hosts[host] = replace(old, **fields)
        self.emit(HostChanged(self._hosts[host]))
        if old.state is HostState.CONNECTED and self._hosts[host].state is not HostState.CONNECTED:
            self.emit(VmsChanged(host, self.vms(host)))
        elif self._hosts[host].state is HostState.CONNECTED:
            self.emit(VmsReset(host, self.vms(host)))

    def emit(self, event: EngineEvent) -> None:
        for listener in tuple(self._listeners):
            listener(event)

    def hold(self, *types: type) -> None:
        """Keep requests of these types waiting until :meth:`release` or :meth:`fail_held`."""
        self._held_types.update(types)

    def held(self) -> list[rq.Request[Any]]:
        return [request for request, _ in self._held]

    def held_jobs(self) -> list[Job[Any]]:
        return [job for _, job in self._held]

    def release(self) -> None:
        """Answer everything that waits, and hold nothing any more."""
        self._held_types.clear()
        waiting, self._held = self._held, []
        for request, job in waiting:
            self._answer(request, job)

    def fail_held(self, error: GuivmError) -> None:
        waiting, self._held = self._held, []
        for _, job in waiting:
            job.fail(error)

    def fail_next(self, request_type: type, error: GuivmError) -> None:
        """The next request of this type ends with ``error``."""
        self._failures[request_type] = error

    def requests_of(self, request_type: type[T]) -> list[T]:
        return [request for request in self.requests if isinstance(request, request_type)]

    # --- engine.api.Engine ----------------------------------------------------------------------------

    def add_listener(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def remove_listener(self, listener: Listener) -> None:
        if listener in self._listeners:
            self._listeners.remove(listener)

    def open_host(self, uri: str, label: str = "") -> HostId:
        host = HostId(uri)
        if host not in self._hosts:
            self._hosts[host] = HostInfo(host, uri, label or uri, HostState.CONNECTED)
            self.emit(HostChanged(self._hosts[host]))
            self.emit(VmsReset(host, ()))
        return host

    def close_host(self, host: HostId) -> None:
        if self._hosts.pop(host, None) is not None:
            self._vms = {key: vm for key, vm in self._vms.items() if key.host != host}
            self.emit(HostRemoved(host))

    def hosts(self) -> tuple[HostInfo, ...]:
        return tuple(self._hosts.values())

    def vms(self, host: HostId) -> tuple[VmInfo, ...]:
        return tuple(self._seen(vm) for vm in self._vms.values() if vm.key.host == host)

    def vm(self, key: VmKey) -> VmInfo | None:
        vm = self._vms.get(key)
        return None if vm is None else self._seen(vm)

    def submit(self, request: rq.Request[T]) -> Job[T]:
        self.requests.append(request)
        target = request.target
        host, vm = (target.host, target) if isinstance(target, VmKey) else (target, None)
        job: Job[T] = Job(host, vm, self._title(request), on_change=self._job_listener(request))
        if type(request) in self._held_types:
            job.begin()
            self._held.append((request, job))
        else:
            self._answer(request, job)
        return job

    def stop(self, timeout_s: float = 5.0) -> None:
        self.stopped = True

    # --- answers --------------------------------------------------------------------------------------

    def _seen(self, vm: VmInfo) -> VmInfo:
        host = self._hosts.get(vm.key.host)
        connected = host is not None and host.state is HostState.CONNECTED
        return vm if connected else replace(vm, state=VmState.UNKNOWN, reason="")

    def _counted(self, vm: VmInfo) -> VmInfo:
        """With the number of changes that wait, where :attr:`settings` has its definition."""
        if not vm.can_have_pending:
            return replace(vm, pending=0)
        if self._settings is None or vm.key not in self._settings.xml:
            return vm
        found = self._settings.pending(vm.key, self.capabilities, running=True)
        return replace(vm, pending=len(found.changes))

    def _count_again(self, key: VmKey) -> None:
        if self._counted(self._vms[key]) != self._vms[key]:
            self.change_vm(key)

    def _job_listener(self, request: rq.Request[Any]) -> Callable[[JobInfo], None] | None:
        if request.quiet:
            return None
        return lambda info: self.emit(JobChanged(info))

    def _title(self, request: rq.Request[Any]) -> str:
        target = request.target
        vm = self._vms.get(target) if isinstance(target, VmKey) else None
        return f"{type(request).__name__} “{vm.name}”" if vm else type(request).__name__

    def _answer(self, request: rq.Request[Any], job: Job[Any]) -> None:
        if not job.info.state.is_final:
            job.begin()
        failure = self._failures.pop(type(request), None)
        try:
            if failure is not None:
                raise failure
            result = self._do(request)
        except GuivmError as error:
            job.fail(error)
        else:
            job.succeed(result)

    def _existing(self, key: VmKey) -> VmInfo:
        host = self._hosts.get(key.host)
        if host is None or host.state is not HostState.CONNECTED:
            raise HostError("The host is not connected.")
        if key not in self._vms:
            raise VmNotFoundError("The virtual machine is gone.")
        return self._vms[key]

    def _switch(self, key: VmKey, allowed: tuple[VmState, ...], to: VmState) -> None:
        vm = self._existing(key)
        if vm.state not in allowed:
            raise WrongStateError(f"“{vm.name}” is {vm.state.value}.")
        self.change_vm(key, state=to)

    def _do(self, request: rq.Request[Any]) -> Any:
        s = VmState
        match request:
            case rq.Start(key) if self._existing(key).is_template:
                raise WrongStateError(f"“{self._existing(key).name}” is a template.")
            case rq.Start(key):
                self._switch(key, (s.OFF, s.SAVED, s.CRASHED), s.RUNNING)
            case rq.Pause(key):
                self._switch(key, (s.RUNNING,), s.PAUSED)
            case rq.Resume(key):
                self._switch(key, (s.PAUSED, s.SUSPENDED), s.RUNNING)
            case rq.ShutDown(key):
                self._switch(key, (s.RUNNING,), s.OFF)
            case rq.Reboot(key) | rq.Reset(key):
                self._switch(key, (s.RUNNING, s.PAUSED), s.RUNNING)
            case rq.ForceOff(key):
                self._switch(key, (s.RUNNING, s.PAUSED, s.SUSPENDED, s.SHUTTING_DOWN), s.OFF)
            case rq.SaveState(key):
                self._switch(key, (s.RUNNING, s.PAUSED), s.SAVED)
            case rq.RestoreState(key):
                self._switch(key, (s.SAVED,), s.RUNNING)
            case rq.DiscardSavedState(key):
                self._switch(key, (s.SAVED,), s.OFF)
            case rq.SetAutostart(key, on):
                self._existing(key)
                self.change_vm(key, autostart=on)
            case rq.Rename(key, name):
                self._rename(key, name)
            case rq.SetTitle(key, title):
                self._existing(key)
                self.change_vm(key, title=title)
            case rq.SetNotes(key, notes):
                self._existing(key)
                self.change_vm(key, notes=notes)
            case rq.PlanDelete(key):
                return self.plans.get(key) or DeletePlan(key, self._existing(key).name, ())
            case rq.Delete(key):
                return self._delete(key)
            case rq.UndoDelete(deleted):
                return self.add_vm(deleted.name, host=deleted.key.host, uuid=deleted.key.uuid)
            case rq.PurgeDeleted(deleted):
                return sum(file.size_bytes for file in deleted.files)
            case rq.ReadDetails(key):
                return self.details.get(key) or self._details(self._existing(key))
            case rq.TakeScreenshot(key):
                if not self._existing(key).state.is_active:
                    raise WrongStateError("The virtual machine is off.")
                return self.screenshot
            case rq.OpenConsole(key):
                return self._console(key)
            case rq.ListSerialDevices(key):
                self._require_active(key)
                return self.serial_devices
            case rq.OpenSerial(key):
                self._require_active(key)
                return self.open_serial(request)
            case rq.ReadSettings(key) | rq.ReadPending(key) | rq.CheckSettings(key) | rq.ApplySettings(key):
                from tests.helpers.settings_stage import answer

                running = self._existing(key).state.is_active
                answered = answer(self.settings, request, self.capabilities, running=running)
                if isinstance(request, rq.ReadPending | rq.ApplySettings):
                    self._count_again(key)
                if isinstance(answered, VmSettings) and self._networks is not None:
                    networks = self._networks.facts(key.host)
                    answered = replace(answered, facts=replace(answered.facts, networks=networks))
                return answered
            case rq.ReadQemuCommand():
                if not self.qemu_command:
                    raise UnsupportedError("This host starts no QEMU, so there is no command line.")
                return self.qemu_command
            case rq.ReadNetworkFacts(host):
                return self.networks.facts(host)
            case rq.CreateDisk(disk=disk):
                return CreatedDisk(disk.path, 1, 2, disk.secret_uuid)
            case rq.DiscardDisk() | rq.GiveAccess():
                return None
            case rq.MeasureImage(path=path):
                return ImageSize(str(path), "qcow2", 20 * GIB, 3 * GIB)
            case rq.ListNetworks() | rq.ProposeNetwork() | rq.CheckNetwork() | rq.CreateNetwork() | rq.NetworkRequest():
                return self.networks.answer(request)
            case rq.ReadCapabilities(host):
                return replace(self.capabilities, host=host)
            case rq.InspectMedia(_, path):
                return self._media(path)
            case rq.CheckNewVm(spec):
                return self._check(spec.host, spec.name)
            case rq.CreateVm(spec):
                problems = [p for p in self._check(spec.host, spec.name) if not p.is_warning]
                if problems:
                    raise OperationError(problems[0].message)
                return self.add_vm(spec.name, host=spec.host, vcpus=spec.vcpus, memory_kib=spec.memory_kib)
            case rq.CreateSampleGuest(host):
                return self.add_vm("sample-guest", s.RUNNING, host=host)
            case rq.ResetIdentity(key):
                self.change_vm(key, identity=None)
                return ("Its guest was given an identity of its own.",)
            case rq.DismissIdentity(key):
                return self.change_vm(key, identity=None)
            case rq.VmRequest(key) if fake_snapshots.answers(request):
                answered = self.snapshots.answer(request, self._existing(key))
                if isinstance(request, rq.SetTemplate):
                    self.change_vm(key, is_template=request.on)
                elif isinstance(request, rq.StartDisposable):
                    self.change_vm(key, is_disposable=True)
                return answered
            case _:
                raise UnsupportedError(f"The fake engine knows no {type(request).__name__}.")

    def _rename(self, key: VmKey, name: str) -> None:
        vm = self._existing(key)
        if vm.state.is_active:
            raise WrongStateError("A running virtual machine cannot be renamed.")
        if not name.strip() or "/" in name:
            raise OperationError("That is no name for a virtual machine.")
        if any(other.name == name for other in self.vms(key.host) if other.key != key):
            raise OperationError(f"The name “{name}” is in use.")
        self.change_vm(key, name=name)

    def _delete(self, key: VmKey) -> DeletedVm:
        vm = self._existing(key)
        if vm.state.is_active:
            raise WrongStateError("A running virtual machine cannot be deleted.")
        self.remove_vm(key)
        return DeletedVm(key, vm.name, f"<domain><name>{vm.name}</name></domain>", vm.autostart, ())

    def _console(self, key: VmKey) -> ConsoleEndpoint:
        vm = self._existing(key)
        if not vm.state.is_active:
            raise WrongStateError("The virtual machine is off.")
        if self.endpoint is None:
            raise UnsupportedError("The fake engine has no displays.")
        return self.endpoint

    def _require_active(self, key: VmKey) -> None:
        if not self._existing(key).state.is_active:
            raise WrongStateError("The virtual machine is off.")

    def _media(self, path: Path) -> MediaInfo:
        known = self.media.get(path)
        if known is None:
            suffix = path.suffix.lower()
            if suffix == ".iso":
                return MediaInfo(path, MediaKind.ISO, "iso", 4 * GIB)
            if suffix == ".qcow2":
                return MediaInfo(path, MediaKind.DISK, "qcow2", 20 * GIB)
            raise ImageError(f"“{path.name}” cannot be read.", advice="Choose another file.")
        if isinstance(known, GuivmError):
            raise known
        return known

    def _check(self, host: HostId, name: str) -> tuple[FieldProblem, ...]:
        problems: list[FieldProblem] = []
        if not name.strip():
            problems.append(FieldProblem(NewVmField.NAME, "Give the virtual machine a name."))
        elif any(vm.name == name for vm in self.vms(host)):
            problems.append(FieldProblem(NewVmField.NAME, f"The name “{name}” is in use on this host."))
        return (*problems, *self.extra_problems)

    @staticmethod
    def _details(vm: VmInfo) -> VmDetails:
        return VmDetails(
            key=vm.key,
            virt_type=VirtType.TCG,
            arch="x86_64",
            machine="pc-q35-7.2",
            firmware=Firmware.BIOS,
            vcpus=vm.vcpus,
            memory_kib=vm.memory_kib,
            disks=(
                DiskInfo("vda", "disk", "virtio", f"/home/user/images/{vm.name}.qcow2", "qcow2", 20 * GIB, 3 * GIB),
                DiskInfo("sda", "cdrom", "sata", "", "raw", read_only=True),
            ),
            nics=(NicInfo("user", "", "virtio", "52:54:00:12:34:56"),),
            graphics=("vnc",),
            video="virtio",
            xml="<domain/>",
        )


def _no_serial(_request: rq.OpenSerial) -> SerialEndpoint:
    raise UnsupportedError("The virtual machine has no serial console.")


__all__ = ["GIB", "LOCAL", "FakeEngine"]
