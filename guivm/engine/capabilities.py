"""What a host can do: ReadCapabilities, and the rule for KVM. Worker only.

Formats: https://libvirt.org/formatcaps.html and https://libvirt.org/formatdomaincaps.html.
"""

from __future__ import annotations

import os
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from guivm.engine.job_types import HostCapabilities, KvmStatus
from guivm.engine.libvirt_errors import is_connection_lost
from guivm.engine.requests import ReadCapabilities
from guivm.engine.types import HostId

if TYPE_CHECKING:
    import libvirt
    from lxml import etree

    from guivm.engine.context import HandlerContext

T = TypeVar("T")

_X86 = ("x86_64", "i686", "i386", "amd64")
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Static:
    """The part that does not change as long as the connection lives."""

    arch: str
    kvm_offered: bool
    memory_bytes: int
    cpus: int
    max_vcpus: int
    machines: tuple[str, ...]
    has_uefi: bool
    uefi_reason: str
    video_models: tuple[str, ...]
    graphics_types: tuple[str, ...]
    channel_types: tuple[str, ...]
    has_tpm: bool
    libvirt_version: str
    hypervisor_version: str
    is_test: bool  # the test driver


class CapabilityCache:
    """One link's capabilities; read once, whoever asks first. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._static: _Static | None = None
        self._beside: dict[type[object], object] = {}

    def beside(self, kind: type[T]) -> T:
        """What else is remembered as long as the link lives: one value of each kind, made when first asked for."""
        with self._lock:
            found = self._beside.get(kind)
            if not isinstance(found, kind):
                found = self._beside[kind] = kind()
        return found

    def get(
        self, connection: libvirt.virConnect, host: HostId, *, is_local: bool, images_dir: Path
    ) -> HostCapabilities:
        """Capabilities with the present free memory and space. Blocks, the first time for seconds."""
        with self._lock:
            if self._static is None:
                self._static = _read_static(connection)
            static = self._static
        is_here = is_local and not static.is_test
        memory_bytes, memory_free_bytes = _memory(connection, static, is_local=is_here)
        return HostCapabilities(
            host=host,
            arch=static.arch,
            kvm=_kvm(static, is_local=is_here),
            memory_bytes=memory_bytes,
            memory_free_bytes=memory_free_bytes,
            cpus=static.cpus,
            max_vcpus=static.max_vcpus,
            machines=static.machines,
            has_uefi=static.has_uefi,
            uefi_reason=static.uefi_reason,
            video_models=static.video_models,
            graphics_types=static.graphics_types,
            channel_types=static.channel_types,
            has_tpm=static.has_tpm,
            libvirt_version=static.libvirt_version,
            hypervisor_version=static.hypervisor_version,
            images_dir=images_dir,
            images_free_bytes=shutil.disk_usage(images_dir).free,
        )


def read_capabilities(context: HandlerContext, request: ReadCapabilities) -> HostCapabilities:
    """Handler of ReadCapabilities."""
    return context.capabilities.get(
        context.connection, request.host, is_local=context.host.is_local, images_dir=context.images_dir
    )


# --- KVM --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class KvmEvidence:
    """What this computer shows of KVM. ``device``: "ok", "missing", "denied" or "broken"."""

    arch: str
    device: str
    cpu_flags: frozenset[str]


def gather_kvm_evidence(device: Path = Path("/dev/kvm"), cpuinfo: Path = Path("/proc/cpuinfo")) -> KvmEvidence:
    """Look at the device and the processor of this computer."""
    try:
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
        found = "ok"
    except FileNotFoundError:
        found = "missing"
    except PermissionError:
        found = "denied"
    except OSError:
        found = "broken"
    flags: frozenset[str] = frozenset()
    try:
        with cpuinfo.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                name, _, value = line.partition(":")
                if name.strip() == "flags":
                    flags = frozenset(value.split())
                    break
    except OSError:
        pass
    return KvmEvidence(os.uname().machine, found, flags)


def judge_kvm(evidence: KvmEvidence) -> KvmStatus:
    """KVM counts as usable only if the device opens and, on x86, the processor shows ``vmx`` or ``svm``.

    A device alone proves nothing: under a nested hypervisor of the PVM kind it opens and creates VMs, but an
    ordinary Linux kernel hangs in them.
    """
    has_extensions = bool(evidence.cpu_flags & {"vmx", "svm"})
    if evidence.arch in _X86 and not has_extensions:
        if evidence.device == "ok":
            return KvmStatus(
                False,
                "The processor shows neither VT-x nor AMD-V, as within another virtual machine; "
                "KVM cannot be relied on, so software emulation is used.",
            )
        return KvmStatus(
            False,
            "The processor shows neither VT-x nor AMD-V. If it has them, switch them on in the firmware set-up, "
            "or in the settings of the virtual machine this is.",
        )
    if evidence.device == "ok":
        return KvmStatus(True, "The processor runs guests itself, at nearly its own speed.")
    if evidence.device == "denied":
        return KvmStatus(
            False, "You may not use /dev/kvm. Ask an administrator to add you to the group “kvm”, then log in again."
        )
    if evidence.device == "missing":
        return KvmStatus(False, "There is no /dev/kvm: the kernel's module for virtualisation is not loaded.")
    return KvmStatus(False, "/dev/kvm cannot be opened: something else may be using the processor's virtualisation.")


def _kvm(static: _Static, *, is_local: bool) -> KvmStatus:
    if static.is_test:
        return KvmStatus(False, "The test driver runs no guests.")
    if is_local:
        status = judge_kvm(gather_kvm_evidence())
        if not status.usable:
            return status
    if static.kvm_offered:
        return KvmStatus(True, "The processor runs guests itself, at nearly its own speed.")
    return KvmStatus(False, "libvirt offers no KVM on this host.")


# --- reading ----------------------------------------------------------------------------------------------


def _version(number: int) -> str:
    """libvirt's encoding: major * 1,000,000 + minor * 1,000 + release."""
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"


def _read_static(connection: libvirt.virConnect) -> _Static:
    """Each question on its own: a driver that cannot answer one may answer the others."""
    import libvirt

    from guivm.engine.reader import parse_domain

    def ask(question: str, *arguments: object) -> object:
        try:
            answer: object = getattr(connection, question)(*arguments)
        except libvirt.libvirtError as error:
            if is_connection_lost(error):
                raise
            return None
        return answer

    def root_of(xml: object) -> etree._Element | None:
        return parse_domain(xml) if isinstance(xml, str) else None

    host = root_of(ask("getCapabilities"))
    info = connection.getInfo()
    arch = (host.findtext("host/cpu/arch") if host is not None else None) or str(info[0])
    domain = root_of(ask("getDomainCapabilities", None, arch, None, None, 0))
    kvm_offered = host is not None and any(
        element.get("type") == "kvm" for element in host.iterfind(f"guest/arch[@name='{arch}']/domain")
    )
    firmware = _enum(domain, "os/enum[@name='firmware']/value")
    kind = str(ask("getType") or "")
    number = ask("getVersion")
    vcpus = domain.find("vcpu") if domain is not None else None
    max_vcpus = int(vcpus.get("max", "0")) if vcpus is not None else 0
    if not max_vcpus:
        answer = ask("getMaxVcpus", None)
        max_vcpus = answer if isinstance(answer, int) else int(info[2])
    tpm = domain.find("devices/tpm") if domain is not None else None
    has_uefi = "efi" in firmware
    return _Static(
        arch=arch,
        kvm_offered=kvm_offered,
        memory_bytes=int(info[1]) * _MIB,
        cpus=int(info[2]),
        max_vcpus=max_vcpus,
        machines=_machines(host, arch),
        has_uefi=has_uefi,
        uefi_reason="" if has_uefi else "The host has no UEFI firmware for guests; install the package “ovmf” there.",
        video_models=_enum(domain, "devices/video/enum[@name='modelType']/value"),
        graphics_types=_enum(domain, "devices/graphics/enum[@name='type']/value"),
        channel_types=_enum(domain, "devices/channel/enum[@name='type']/value"),
        has_tpm=tpm is not None
        and tpm.get("supported") == "yes"
        and "emulator" in _enum(tpm, "enum[@name='backendModel']/value"),
        libvirt_version=_version(int(connection.getLibVersion())),
        hypervisor_version=f"{kind} {_version(number)}" if isinstance(number, int) else kind,
        is_test=kind.upper() == "TEST",
    )


def _enum(element: etree._Element | None, path: str) -> tuple[str, ...]:
    return () if element is None else tuple(value.text or "" for value in element.iterfind(path))


def _machines(host: etree._Element | None, arch: str) -> tuple[str, ...]:
    """Machine types by canonical name first, then aliases, each once, in libvirt's order."""
    if host is None:
        return ()
    names: dict[str, None] = {}
    for machine in host.iterfind(f"guest/arch[@name='{arch}']/machine"):
        names.setdefault((machine.text or "").strip())
    return tuple(name for name in names if name)


def _memory(connection: libvirt.virConnect, static: _Static, *, is_local: bool) -> tuple[int, int]:
    """Bytes installed, and bytes that programs can still have.

    Locally both are the kernel's own: MemAvailable counts the caches it would give up, which libvirt's figure does
    not, and libvirt's total misses memory that was plugged in after the start.
    """
    import libvirt

    if is_local:
        local = _meminfo()
        if "MemTotal" in local and "MemAvailable" in local:
            return local["MemTotal"], local["MemAvailable"]
    try:
        return static.memory_bytes, int(connection.getFreeMemory())
    except libvirt.libvirtError as error:
        if is_connection_lost(error):
            raise
        return static.memory_bytes, static.memory_bytes


def _meminfo(path: Path = Path("/proc/meminfo")) -> dict[str, int]:
    """The kernel's figures in bytes; empty when they cannot be read."""
    found: dict[str, int] = {}
    try:
        with path.open(encoding="ascii", errors="replace") as lines:
            for line in lines:
                name, _, value = line.partition(":")
                number = value.split()[:1]
                if number and number[0].isdigit():
                    found[name] = int(number[0]) * 1024
    except OSError:
        return {}
    return found
