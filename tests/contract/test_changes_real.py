"""A VM that real libvirt runs (QEMU, TCG) waits for nothing until somebody changes its definition."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from guivm.engine.options import catalogue
from guivm.engine.options.changes import changes
from guivm.engine.xml.domain import DomainXml
from tests.helpers.daemon import SessionDaemon

WAIT_S = 60.0

_DOMAIN = """
<domain type='qemu'>
  <name>{name}</name>
  <title>Changes</title>
  <memory unit='MiB'>64</memory>
  <vcpu current='1'>4</vcpu>
  <iothreads>2</iothreads>
  <os{firmware}>
    <type arch='x86_64' machine='{machine}'>hvm</type>
    <bootmenu enable='yes' timeout='100'/>
  </os>
  <features><acpi/><apic/>{features}</features>
  {cpu}
  <clock offset='localtime'><timer name='rtc' tickpolicy='catchup'/><timer name='hpet' present='no'/></clock>
  <devices>
    <disk type='file' device='cdrom'><driver name='qemu' type='raw'/><target dev='sda' bus='{bus}'/><readonly/></disk>
    <controller type='usb' model='qemu-xhci' ports='8'/>
    <controller type='scsi' model='virtio-scsi'/>
    <interface type='user'><model type='virtio'/><link state='down'/></interface>
    <interface type='user'><model type='e1000'/></interface>
    <serial type='pty'/>
    <console type='pty'/>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <channel type='spicevmc'><target type='virtio' name='com.redhat.spice.0'/></channel>
    <input type='tablet' bus='usb'/>
    <input type='keyboard' bus='virtio'/>
    <graphics type='vnc' passwd='secret'><listen type='none'/></graphics>
    <graphics type='spice'><listen type='none'/></graphics>
    <sound model='ich9'><codec type='micro'/></sound>
    <video><model type='qxl'/></video>
    <redirdev bus='usb' type='spicevmc'/>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
    <watchdog model='i6300esb' action='reset'/>
    <memballoon model='virtio'><stats period='5'/></memballoon>
  </devices>
</domain>"""

MACHINES = {
    "q35": {"machine": "q35", "firmware": "", "features": "", "cpu": "<cpu mode='maximum'/>", "bus": "sata"},
    "pc": {
        "machine": "pc",
        "firmware": "",
        "features": "<vmport state='off'/>",
        "cpu": "<cpu><topology sockets='1' dies='1' cores='4' threads='1'/></cpu>",
        "bus": "ide",
    },
    "uefi": {
        "machine": "q35",
        "firmware": " firmware='efi'",
        "features": "",
        "cpu": "<cpu mode='custom' match='exact'><model>Nehalem</model><feature policy='optional' name='vmx'/></cpu>",
        "bus": "sata",
    },
}


@pytest.fixture(scope="module")
def daemon() -> Iterator[SessionDaemon]:
    with SessionDaemon() as value:
        yield value


def virsh(daemon: SessionDaemon, *arguments: str) -> str:
    done = subprocess.run(
        daemon.wrap(["virsh", "-c", "qemu:///session", *arguments]),
        env=daemon.env,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(params=sorted(MACHINES))
def running(daemon: SessionDaemon, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Name of a VM that runs, its CPU stopped."""
    name = str(request.param)
    file = tmp_path / "domain.xml"
    file.write_text(_DOMAIN.format(name=name, **MACHINES[name]), encoding="utf-8")
    virsh(daemon, "define", str(file))
    virsh(daemon, "start", name, "--paused")
    yield name
    virsh(daemon, "destroy", name)
    virsh(daemon, "undefine", name, "--nvram")


def both(daemon: SessionDaemon, name: str) -> tuple[DomainXml, DomainXml]:
    live = virsh(daemon, "dumpxml", name)
    defined = virsh(daemon, "dumpxml", name, "--inactive", "--security-info")
    return DomainXml.parse(live), DomainXml.parse(defined)


def test_untouched_it_waits_for_nothing(daemon: SessionDaemon, running: str, tmp_path: Path) -> None:
    live, defined = both(daemon, running)
    assert changes(live, defined) == ()
    # What another program changes is seen, and only that.
    for option, value in (("count", 2), ("maximum", 8)):
        found = next(known for known in catalogue.resource("cpu").options if known.id == option)
        found.set(defined, value)
    defined.devices.interfaces[1].link_state = "down"
    file = tmp_path / "changed.xml"
    file.write_text(defined.to_text(), encoding="utf-8")
    virsh(daemon, "define", str(file))
    live, defined = both(daemon, running)
    waiting = changes(live, defined)
    assert {change.place.resource for change in waiting} == {"cpu", "nic"}
    assert {change.label for change in waiting if change.place.resource == "cpu"} == {"CPUs", "Room for"}
