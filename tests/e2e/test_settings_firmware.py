"""BIOS, UEFI, Secure Boot and back, and variables as new, with real libvirt, QEMU (TCG) and OVMF."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import libvirt
import pytest

from guivm.engine import requests as rq
from guivm.engine.engine import LibvirtEngine
from guivm.engine.options.firmware import SECURE, UEFI, get_firmware, set_firmware
from guivm.engine.options.values import Place, Reach
from guivm.engine.types import HostState, VmKey, VmState
from guivm.engine.xml.domain import DomainXml
from guivm.errors import GuivmError, WrongStateError
from tests.helpers.daemon import SessionDaemon
from tests.helpers.recorder import Recorder

WAIT_S = 60.0
_MARK = b"written by the guest's firmware"

_DOMAIN = """
<domain type='qemu'>
  <name>firm</name><memory unit='MiB'>128</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <features><acpi/></features>
  <devices><controller type='usb' model='none'/><memballoon model='none'/></devices>
</domain>"""


class Machine:
    """A VM without anything to boot."""

    def __init__(self, engine: LibvirtEngine, recorder: Recorder, key: VmKey) -> None:
        self.engine, self.recorder, self.key = engine, recorder, key

    def choose(self, value: str | None) -> rq.ApplySettings:
        base = self.engine.submit(rq.ReadSettings(self.key)).result(WAIT_S).xml
        draft = DomainXml.parse(base)
        set_firmware(draft, value)
        return rq.ApplySettings(self.key, base, draft.to_text())

    def start(self, *, reset: bool = False) -> DomainXml:
        """What runs then."""
        self.engine.submit(rq.Start(self.key, reset_nvram=reset)).result(WAIT_S)
        self.recorder.wait_for_state(self.key, VmState.RUNNING)
        return DomainXml.parse(self.engine.submit(rq.ReadSettings(self.key)).result(WAIT_S).live_xml)

    def change_and_start(self, base: str, xml: str) -> None:
        for request in (rq.ApplySettings(self.key, base, xml), rq.Start(self.key)):
            self.engine.submit(request).result(WAIT_S)

    def stop(self) -> None:
        self.engine.submit(rq.ForceOff(self.key)).result(WAIT_S)
        self.recorder.wait_for_state(self.key, VmState.OFF)

    def pending(self) -> set[str]:
        found = self.engine.submit(rq.ReadPending(self.key)).result(WAIT_S).changes
        return {change.place.option for change in found}

    def warnings(self, value: str) -> list[str]:
        xml = self.choose(value).xml
        found = self.engine.submit(rq.CheckSettings(self.key, xml)).result(WAIT_S)
        return [problem.message for problem in found if problem.place == Place("system", option="firmware")]


@pytest.fixture
def machine() -> Iterator[Machine]:
    with SessionDaemon() as daemon:
        recorder, engine = Recorder(), LibvirtEngine(warm_up=False)
        engine.add_listener(recorder)
        host = engine.open_host(daemon.uri)
        recorder.wait_for_host(host, HostState.CONNECTED)
        connection = libvirt.open(daemon.uri)
        key = VmKey(host, connection.defineXML(_DOMAIN).UUIDString())
        connection.close()
        recorder.wait_for_state(key, VmState.OFF)
        yield Machine(engine, recorder, key)
        gc.collect()  # what errors hold of libvirt's must not outlive the daemon
        engine.stop(WAIT_S)


def test_each_firmware_starts_and_leaves_nothing_of_the_one_before(machine: Machine) -> None:
    live = machine.start()
    assert get_firmware(live) is None
    # As it runs, it waits; BIOS has no variables.
    applied = machine.engine.submit(machine.choose(UEFI)).result(WAIT_S)
    assert {outcome.reach for outcome in applied.outcomes} == {Reach.NEXT_START}
    assert machine.pending() == {"firmware"}
    with pytest.raises(WrongStateError):
        machine.engine.submit(rq.Start(machine.key, reset_nvram=True)).result(WAIT_S)
    machine.stop()

    live = machine.start()
    assert get_firmware(live) == UEFI
    assert not live.os.loader_secure
    variables = Path(live.os.nvram or "")
    assert variables.is_file()
    assert machine.pending() == set()
    assert any("keys of Secure Boot" in words for words in machine.warnings(SECURE))
    machine.engine.submit(machine.choose(SECURE)).result(WAIT_S)
    assert machine.pending() == {"firmware"}
    machine.stop()

    live = machine.start()
    assert get_firmware(live) == SECURE
    assert live.os.loader_secure
    assert live.features.smm
    assert live.os.nvram == str(variables), "the boot entries of an installed system are in it"
    assert machine.pending() == set()
    machine.stop()

    machine.engine.submit(machine.choose(None)).result(WAIT_S)
    live = machine.start()
    assert get_firmware(live) is None
    assert (live.os.loader, live.os.nvram, live.os.firmware) == (None, None, None)
    assert not live.os.firmware_features
    assert machine.pending() == set()
    machine.stop()


def test_variables_as_new(machine: Machine) -> None:
    machine.engine.submit(machine.choose(UEFI)).result(WAIT_S)
    live = machine.start()
    variables, template = Path(live.os.nvram or ""), Path(live.os.nvram_template or "")
    machine.stop()
    size = variables.stat().st_size
    assert size == template.stat().st_size
    with variables.open("r+b") as file:
        file.seek(size - 64)
        file.write(_MARK)
    machine.start()
    machine.stop()
    assert _MARK in variables.read_bytes(), "an ordinary start keeps them"
    machine.start(reset=True)
    machine.stop()
    assert _MARK not in variables.read_bytes()
    assert variables.stat().st_size == size
    assert [path.name for path in variables.parent.iterdir()] == [variables.name], "and no copy of the old ones"


def test_variables_get_the_keys_of_secure_boot(machine: Machine) -> None:
    """Microsoft's certificates are in the template that is chosen for it, and only there."""
    machine.engine.submit(machine.choose(UEFI)).result(WAIT_S)
    variables = Path(machine.start().os.nvram or "")
    machine.stop()
    key = b"Microsoft Corporation"
    assert key not in variables.read_bytes()
    machine.engine.submit(machine.choose(SECURE)).result(WAIT_S)
    machine.start()
    machine.stop()
    assert key not in variables.read_bytes(), "what the warning says"
    machine.start(reset=True)
    machine.stop()
    assert key in variables.read_bytes()


def test_a_firmware_that_cannot_be_started_is_refused_and_can_be_changed_back(machine: Machine) -> None:
    """Secure Boot without the machine for it."""
    base = machine.engine.submit(rq.ReadSettings(machine.key)).result(WAIT_S).xml
    draft = DomainXml.parse(base)
    set_firmware(draft, SECURE)
    draft.features.smm = False
    xml = draft.to_text()
    problems = machine.engine.submit(rq.CheckSettings(machine.key, xml)).result(WAIT_S)
    assert any("SMM" in problem.message and not problem.is_warning for problem in problems)
    # libvirt from 9.2 on looks for the files when it is told, earlier ones when the VM starts.
    with pytest.raises(GuivmError, match=r"could not be (changed|started)"):
        machine.change_and_start(base, xml)
    machine.recorder.wait_for_state(machine.key, VmState.OFF)
    machine.engine.submit(machine.choose(None)).result(WAIT_S)
    machine.start()
    machine.stop()
