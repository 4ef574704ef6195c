from __future__ import annotations

from pathlib import Path

import libvirt
import pytest

from guivm.engine.capabilities import CapabilityCache, KvmEvidence, gather_kvm_evidence, judge_kvm
from guivm.engine.types import HostId

HOST = HostId("qemu:///session")
MIB = 1024 * 1024

CAPABILITIES = """
<capabilities>
  <host><cpu><arch>x86_64</arch></cpu></host>
  <guest><os_type>hvm</os_type>
    <arch name='i686'><machine>isapc</machine><domain type='qemu'/></arch>
  </guest>
  <guest><os_type>hvm</os_type>
    <arch name='x86_64'>
      <machine maxCpus='255' canonical='pc-q35-7.2'>q35</machine><machine maxCpus='255'>pc-q35-7.2</machine>
      <domain type='qemu'/><domain type='kvm'/>
    </arch>
  </guest>
</capabilities>"""

DOMAIN_CAPABILITIES = """
<domainCapabilities>
  <vcpu max='288'/>
  <os supported='yes'><enum name='firmware'><value>bios</value><value>efi</value></enum></os>
  <devices>
    <graphics supported='yes'><enum name='type'><value>vnc</value><value>spice</value></enum></graphics>
    <video supported='yes'><enum name='modelType'><value>vga</value><value>virtio</value></enum></video>
    <channel supported='yes'><enum name='type'><value>unix</value></enum></channel>
    <tpm supported='yes'><enum name='backendModel'><value>emulator</value></enum></tpm>
  </devices>
</domainCapabilities>"""


class Connection:
    """As much of a virConnect as the table asks for. ``refused``: calls the driver does not know."""

    def __init__(self, refused: tuple[str, ...] = ()) -> None:
        self.refused = refused
        self.calls: list[str] = []

    def _answer(self, name: str, value: object) -> object:
        self.calls.append(name)
        if name in self.refused:
            raise libvirt.libvirtError("this function is not supported by the connection driver")
        return value

    def getCapabilities(self) -> object:
        return self._answer("getCapabilities", CAPABILITIES)

    def getDomainCapabilities(self, *_arguments: object) -> object:
        return self._answer("getDomainCapabilities", DOMAIN_CAPABILITIES)

    def getInfo(self) -> list[object]:
        return ["x86_64", 16000, 8, 2400, 1, 1, 4, 2]

    def getType(self) -> object:
        return self._answer("getType", "QEMU")

    def getVersion(self) -> object:
        return self._answer("getVersion", 7002022)

    def getLibVersion(self) -> int:
        return 9000000

    def getMaxVcpus(self, _kind: object) -> object:
        return self._answer("getMaxVcpus", 16)

    def getFreeMemory(self) -> object:
        return self._answer("getFreeMemory", 9000 * MIB)


def test_the_table_of_a_remote_qemu_host(tmp_path: Path) -> None:
    found = CapabilityCache().get(Connection(), HOST, is_local=False, images_dir=tmp_path)
    assert found.arch == "x86_64"
    assert found.kvm.usable, "what a remote host offers is believed"
    assert (found.memory_bytes, found.memory_free_bytes) == (16000 * MIB, 9000 * MIB)
    assert (found.cpus, found.max_vcpus) == (8, 288)
    assert found.machines == ("q35", "pc-q35-7.2")
    assert found.has_uefi
    assert found.uefi_reason == ""
    assert found.video_models == ("vga", "virtio")
    assert found.graphics_types == ("vnc", "spice")
    assert found.channel_types == ("unix",)
    assert found.has_tpm
    assert (found.libvirt_version, found.hypervisor_version) == ("9.0.0", "QEMU 7.2.22")
    assert found.images_dir == tmp_path
    assert found.images_free_bytes > 0


def test_a_driver_that_can_answer_little_gives_a_small_table(tmp_path: Path) -> None:
    refused = ("getCapabilities", "getDomainCapabilities", "getVersion", "getMaxVcpus", "getFreeMemory")
    found = CapabilityCache().get(Connection(refused), HOST, is_local=False, images_dir=tmp_path)
    assert found.arch == "x86_64"
    assert not found.kvm.usable
    assert not found.has_uefi
    assert found.uefi_reason
    assert (found.machines, found.video_models, found.has_tpm) == ((), (), False)
    assert found.max_vcpus == 8
    assert found.memory_free_bytes == found.memory_bytes


def test_the_host_is_asked_once(tmp_path: Path) -> None:
    connection, cache = Connection(), CapabilityCache()
    for _ in range(3):
        cache.get(connection, HOST, is_local=False, images_dir=tmp_path)
    assert connection.calls.count("getDomainCapabilities") == 1
    assert connection.calls.count("getFreeMemory") == 3, "what changes is asked anew"


def test_a_local_hosts_memory_is_what_the_kernel_says(tmp_path: Path) -> None:
    found = CapabilityCache().get(Connection(), HOST, is_local=True, images_dir=tmp_path)
    assert 0 < found.memory_free_bytes <= found.memory_bytes
    assert found.memory_bytes != 16000 * MIB


# --- KVM ------------------------------------------------------------------------------------------------------

VMX, NONE = frozenset({"fpu", "vmx"}), frozenset({"fpu", "vme"})


@pytest.mark.parametrize(
    ("evidence", "usable", "part"),
    [
        (KvmEvidence("x86_64", "ok", VMX), True, "nearly its own speed"),
        (KvmEvidence("x86_64", "ok", frozenset({"svm"})), True, "nearly its own speed"),
        (KvmEvidence("x86_64", "ok", NONE), False, "cannot be relied on"),
        (KvmEvidence("x86_64", "missing", NONE), False, "firmware"),
        (KvmEvidence("x86_64", "missing", VMX), False, "not loaded"),
        (KvmEvidence("x86_64", "denied", VMX), False, "group “kvm”"),
        (KvmEvidence("x86_64", "broken", VMX), False, "cannot be opened"),
        (KvmEvidence("aarch64", "ok", frozenset()), True, "nearly its own speed"),
        (KvmEvidence("aarch64", "missing", frozenset()), False, "/dev/kvm"),
    ],
)
def test_the_rule_for_kvm(evidence: KvmEvidence, usable: bool, part: str) -> None:
    status = judge_kvm(evidence)
    assert status.usable is usable
    assert part in status.reason
    assert status.reason.endswith(".")


def test_evidence_is_gathered(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor : 0\nflags\t\t: fpu vmx sse\nflags : none\n", encoding="ascii")
    device = tmp_path / "kvm"
    assert gather_kvm_evidence(device, cpuinfo).device == "missing"
    device.write_bytes(b"")
    found = gather_kvm_evidence(device, cpuinfo)
    assert (found.device, found.cpu_flags) == ("ok", frozenset({"fpu", "vmx", "sse"}))
    assert gather_kvm_evidence(tmp_path, tmp_path / "absent") == KvmEvidence(found.arch, "broken", frozenset())


def test_a_local_host_where_libvirt_offers_no_kvm_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guivm.engine.capabilities.gather_kvm_evidence", lambda: KvmEvidence("x86_64", "ok", VMX))
    with_kvm = CapabilityCache().get(Connection(), HOST, is_local=True, images_dir=tmp_path)
    assert with_kvm.kvm.usable
    without = CapabilityCache().get(Connection(("getCapabilities",)), HOST, is_local=True, images_dir=tmp_path)
    assert not without.kvm.usable
