"""What waits for the next start of a VM that real libvirt runs (QEMU, TCG), by what was changed in its definition."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator

import libvirt
import pytest

from guivm.engine.options.values import Change
from guivm.engine.settings.reading import pending_of
from guivm.engine.types import HostId, VmKey
from guivm.engine.xml.domain import DomainXml
from tests.helpers.daemon import SessionDaemon

_DOMAIN = """
<domain type='qemu'>
  <name>{name}</name>
  <memory unit='MiB'>64</memory><currentMemory unit='MiB'>{current}</currentMemory><vcpu>2</vcpu>
  <os{firmware}><type arch='x86_64' machine='q35'>hvm</type>{os}</os>
  <features><acpi/><apic/></features>
  {cpu}
  <devices><controller type='usb' model='none'/><memballoon model='virtio'/></devices>
</domain>"""
_PLAIN = """<firmware>
  <feature enabled='no' name='enrolled-keys'/><feature enabled='no' name='secure-boot'/>
</firmware>"""
_SECURE = _PLAIN.replace("'no'", "'yes'")
_NEHALEM = (
    "<cpu mode='custom' match='exact'><model>Nehalem</model><feature policy='disable' name='pclmuldq'/>"
    "<feature policy='optional' name='vmx'/></cpu>"
)
_CPU = r"<cpu [^>]*/>|<cpu .*?</cpu>"
_HOST_MODEL = "<cpu mode='host-model'><feature policy='disable' name='erms'/></cpu>"
MACHINES: dict[str, dict[str, object]] = {
    "host-model": {"cpu": _HOST_MODEL},
    "named": {"cpu": _NEHALEM},
    "usual": {},
    "maximum": {"cpu": "<cpu mode='maximum'><feature policy='disable' name='svm'/></cpu>"},
    "balloon": {"current": 48},
    "uefi": {"firmware": " firmware='efi'"},
    "uefi-plain": {"firmware": " firmware='efi'", "os": _PLAIN},
    "uefi-secure": {"firmware": " firmware='efi'", "os": _SECURE},
    "flash": {"os": "<loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader>"},
}


class Running:
    """One VM that runs, its processor stopped."""

    def __init__(self, connection: libvirt.virConnect, domain: libvirt.virDomain) -> None:
        self._connection, self._domain = connection, domain
        self._key = VmKey(HostId("real"), domain.UUIDString())

    def definition(self) -> str:
        """Without the files that libvirt from 9.2 on chooses for a firmware at once: to keep one means to want it."""
        text = str(self._domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
        if "<os firmware='efi'>" in text:
            text = re.sub("<loader .*?</loader>|<smm state='on'/>", "", text)
            text = re.sub("<nvram [^>]*>", "<nvram>", text)
        return text

    def define(self, old: str, new: str) -> None:
        """Change the definition, as virsh would."""
        text, count = re.subn(old, new, self.definition(), count=1, flags=re.DOTALL)
        assert count == 1, old
        self._connection.defineXML(text)

    def pending(self) -> tuple[Change, ...]:
        return pending_of(self._key, self._domain).changes

    def waiting(self) -> set[tuple[str, str, str]]:
        """Option, old and new, in the words that are shown."""
        return {(change.place.option, change.old, change.new) for change in self.pending()}


@pytest.fixture(scope="module")
def connection() -> Iterator[libvirt.virConnect]:
    with SessionDaemon() as daemon:
        value = libvirt.open(daemon.uri)
        yield value
        gc.collect()  # what errors hold of libvirt's must not outlive the daemon
        value.close()


@pytest.fixture
def running(connection: libvirt.virConnect, request: pytest.FixtureRequest) -> Iterator[Running]:
    name = str(request.param)
    values: dict[str, object] = {"name": name, "current": 64, "firmware": "", "os": "", "cpu": ""} | MACHINES[name]
    domain = connection.defineXML(_DOMAIN.format(**values))
    domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
    yield Running(connection, domain)
    domain.destroy()
    domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_NVRAM)


def starting(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("running", names, indirect=True)


@starting(*(name for name in MACHINES if name != "balloon"))
def test_nothing_waits_while_nobody_changes_anything(running: Running) -> None:
    assert running.pending() == ()


# --- processor --------------------------------------------------------------------------------------------


@starting("host-model")
def test_the_hosts_processor_and_what_is_said_of_it(running: Running) -> None:
    running.define("<feature policy='disable' name='erms'/>", "")
    assert [change.place.option for change in running.pending()] == ["features"]
    running.define(_CPU, _HOST_MODEL.replace("erms", "umip"))
    (change,) = running.pending()
    assert change.place.option == "features"
    assert "erms" in change.old
    assert "umip" in change.new
    running.define(_CPU, _NEHALEM)
    assert {"mode", "model"} & {change.place.option for change in running.pending()}
    assert any("Nehalem" in change.new for change in running.pending())
    running.define(_CPU, "<cpu mode='maximum'/>")
    assert "mode" in {change.place.option for change in running.pending()}
    running.define(_CPU, _HOST_MODEL)
    assert running.pending() == ()


@starting("named")
def test_a_named_processor_and_its_features(running: Running) -> None:
    running.define("<feature policy='disable' name='pclmuldq'/>", "")
    (change,) = running.pending()
    assert (change.place.resource, change.place.option) == ("cpu", "features")
    assert "pclmuldq" in change.old
    assert "pclmuldq" not in change.new
    running.define("<feature policy='optional' name='vmx'/>", "<feature policy='require' name='sse4.2'/>")
    assert any("sse4.2" in change.new for change in running.pending())
    running.define(_CPU, _HOST_MODEL)
    assert "mode" in {change.place.option for change in running.pending()}
    running.define(_CPU, _NEHALEM.replace("Nehalem", "Westmere"))
    assert {("model", "Nehalem", "Westmere")} == {(o, a[:7], b[:8]) for o, a, b in running.waiting()}
    running.define(_CPU, _NEHALEM)
    assert running.pending() == ()


@starting("usual", "maximum")
def test_another_processor_for_one_that_was_not_chosen(running: Running) -> None:
    running.define(_CPU, "<cpu mode='host-model'/>")
    assert {"mode", "model"} & {change.place.option for change in running.pending()}


# --- memory -----------------------------------------------------------------------------------------------


@starting("usual")
def test_memory_that_is_taken_at_the_next_start(running: Running) -> None:
    running.define("<currentMemory unit='KiB'>65536<", "<currentMemory unit='KiB'>49152<")
    assert running.waiting() == {("current", "64 MiB", "48 MiB")}


@starting("balloon")
def test_a_guest_that_gave_nothing_back_has_more_than_was_meant(running: Running) -> None:
    """There is no guest that could."""
    assert running.waiting() == {("current", "64 MiB", "48 MiB")}


# --- firmware ---------------------------------------------------------------------------------------------


@starting("uefi-plain")
def test_secure_boot_that_is_switched_on(running: Running) -> None:
    running.define("<firmware>.*?</firmware>", _SECURE)
    assert running.waiting() == {("firmware", "UEFI", "UEFI with Secure Boot")}
    running.define("<firmware>.*?</firmware>", _PLAIN)
    assert running.pending() == ()


@starting("uefi-secure")
def test_secure_boot_that_is_switched_off(running: Running) -> None:
    running.define("<firmware>.*?</firmware>", _PLAIN)
    assert running.waiting() == {("firmware", "UEFI with Secure Boot", "UEFI")}
    running.define("<os firmware='efi'>.*?</os>", "<os><type arch='x86_64' machine='q35'>hvm</type></os>")
    assert {option for option, _, _ in running.waiting()} == {"firmware"}


@starting("uefi")
def test_a_firmware_that_libvirt_chose(running: Running) -> None:
    running.define("<type ", "<nvram>/srv/other_VARS.fd</nvram><type ")
    assert any("/srv/other_VARS.fd" in change.new for change in running.pending())
    running.define("<nvram>.*?</nvram>", "")
    assert running.pending() == ()
    running.define("(<type .*?</type>)(.*?</firmware>)?", rf"\1{_PLAIN}")
    assert {option for option, _, _ in running.waiting()} == {"firmware"}


# --- pinning ----------------------------------------------------------------------------------------------


@starting("usual")
def test_a_pinning_that_was_taken_away_live_does_not_wait(running: Running) -> None:
    domain = running._domain
    count = domain.connect().getCPUMap(0)[0]
    both = libvirt.VIR_DOMAIN_AFFECT_LIVE | libvirt.VIR_DOMAIN_AFFECT_CONFIG
    first = tuple(number == 0 for number in range(count))
    everywhere = (True,) * count
    domain.pinVcpuFlags(0, first, both)
    domain.pinEmulator(first, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    assert {change.place.option for change in running.pending()} == {"emulator-pin"}
    domain.pinEmulator(everywhere, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    assert running.pending() == ()
    running.define("<vcpupin .*?/>", "")
    assert {change.place.option for change in running.pending()} == {"pinning"}
    domain.pinVcpuFlags(0, everywhere, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    assert running.pending() == ()
    assert DomainXml.parse(domain.XMLDesc(0)).cpu_tune.vcpu_pins[0].cpu_set, "libvirt keeps it"
