"""Snapshots of VMs whose UEFI variables are in qcow2, where libvirt keeps them so; what the table of modes says holds.

The guest is paused as long as it runs, so that its firmware writes nothing while it is compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import libvirt
import pytest

from guivm.engine import requests as rq
from guivm.engine.snapshots import support
from guivm.engine.snapshots.situation import distribution
from guivm.engine.snapshots.values import SnapshotMode
from guivm.engine.types import VmKey, VmState
from guivm.engine.xml.domain import DomainXml
from tests.helpers.snapshot_world import World, check, contents, make_image, snapshot_world, tool, write

pytestmark = pytest.mark.e2e

_CODE, _VARIABLES = Path("/usr/share/OVMF/OVMF_CODE_4M.fd"), Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
_VM = """
<domain type='qemu'><name>uefi</name><memory unit='MiB'>64</memory>
  <os><type arch='x86_64' machine='q35'>hvm</type>
    <loader readonly='yes' type='pflash'>{code}</loader><nvram format='qcow2'>{variables}</nvram></os>
  <features><acpi/></features>
  <devices>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{disk}'/>
      <target dev='vda' bus='virtio'/></disk>
    <controller type='usb' model='none'/><memballoon model='none'/>
  </devices>
</domain>"""


class Machine:
    """One VM with a drive and with variables of its own. ``form``: the format libvirt takes the variables for."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._variables = world.images / "variables"
        xml = _VM.format(code=_CODE, variables=self._variables, disk=make_image(world.images / "disk.qcow2"))
        domain = world.connection.defineXML(xml)
        self.key = VmKey(world.host, domain.UUIDString())
        world.recorder.wait_for_state(self.key, VmState.OFF)
        self.form = self.document.os.nvram_format or "raw"  # before 9.2 libvirt knows no other
        tool("qemu-img", "convert", "-f", "raw", "-O", self.form, _VARIABLES, self._variables)

    @property
    def document(self) -> DomainXml:
        return self.world.document(self.key)

    @property
    def domain(self) -> libvirt.virDomain:
        return self.world.domain(self.key)

    @property
    def platform(self) -> support.Platform:
        version = support.version_of(self.world.connection.getLibVersion())
        return support.Platform(version, distribution=distribution())

    @property
    def may_be_inside(self) -> bool:
        return not support.why_not_internal(self.document, self.platform) and not support.memory_doubt(self.platform)

    def state(self) -> tuple[str, ...]:
        """What the drive and the variables read now."""
        return (*self.world.reads(self.key), contents(self._variables, self.form))

    def change(self, pattern: int) -> tuple[str, ...]:
        """Write to both while it is off; what they read then."""
        before = self.state()
        write(self.world.disk(self.key), pattern)
        write(self._variables, pattern, 4, self.form)
        assert not set(before) & set(self.state())
        return self.state()

    def start_paused(self) -> None:
        self.world.start(self.key)
        self.world.ask(rq.Pause(self.key))
        self.world.recorder.wait_for_state(self.key, VmState.PAUSED)

    def check(self) -> None:
        assert self.world.tree(self.key).problems == ()
        check(self.world.disk(self.key))
        check(self._variables, self.form)


@pytest.fixture
def machine() -> Iterator[Machine]:
    with snapshot_world() as world:
        yield Machine(world)


def test_drive_variables_and_memory_come_back_together(machine: Machine) -> None:
    world, key = machine.world, machine.key
    machine.start_paused()
    at_paused = machine.state()
    paused = world.take(key, "paused")
    world.force_off(key)
    assert world.tree(key).mode is (SnapshotMode.INTERNAL if machine.may_be_inside else SnapshotMode.BRANCH)
    at_off = machine.change(1)
    off = world.take(key, "off")
    changed = machine.change(2)

    world.ask(rq.RestoreSnapshot(key, paused))
    world.recorder.wait_for_state(key, VmState.PAUSED)
    assert machine.state() == at_paused
    world.ask(rq.UndoRestore(key))
    world.recorder.wait_for_state(key, VmState.OFF)
    assert machine.state() == changed

    world.ask(rq.RestoreSnapshot(key, off))
    assert machine.state() == at_off
    machine.check()
    world.ask(rq.DeleteSnapshots(key, (off,)))
    assert machine.state() == at_off
    world.ask(rq.RestoreSnapshot(key, paused))
    world.recorder.wait_for_state(key, VmState.PAUSED)
    assert machine.state() == at_paused
    world.force_off(key)
    world.ask(rq.DeleteSnapshots(key, (paused,)))
    assert machine.state() == at_paused
    assert world.tree(key).snapshots == ()
    machine.check()


def test_libvirt_itself_does_what_the_table_of_modes_says(machine: Machine) -> None:
    """Inside the images: all of it where the table trusts libvirt, nothing where it has never been able to."""
    machine.start_paused()
    asked = "<domainsnapshot><name>inside</name></domainsnapshot>"
    if machine.platform.libvirt < support.UEFI_INTERNAL_SINCE:
        with pytest.raises(libvirt.libvirtError, match="pflash"):
            machine.domain.snapshotCreateXML(asked, 0)
    elif machine.may_be_inside:
        at_taken = machine.state()
        snapshot = machine.domain.snapshotCreateXML(asked, 0)
        machine.world.force_off(machine.key)
        machine.change(1)
        machine.domain.revertToSnapshot(snapshot, 0)
        assert machine.state() == at_taken
        machine.world.force_off(machine.key)
        snapshot.delete(0)
        machine.check()
