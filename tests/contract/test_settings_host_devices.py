"""What this host cannot give, and what it has no device for: what the settings say of it, and what libvirt says.

The reason that greys a choice is true: libvirt refuses the definition exactly then. What only lacks its device is
stored, checked against libvirt's schema, for a host that has it.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import libvirt
import pytest

from guivm.engine import requests as rq
from guivm.engine.engine import LibvirtEngine
from guivm.engine.options import catalogue
from guivm.engine.options.facts import HostFacts
from guivm.engine.options.folders import share_memory
from guivm.engine.options.nic_modes import mode_items, set_mode
from guivm.engine.options.option import Choice, Option, Situation
from guivm.engine.options.values import Place
from guivm.engine.types import HostState, VmKey, VmState
from guivm.engine.xml.domain import DomainXml
from tests.helpers.daemon import SessionDaemon
from tests.helpers.recorder import Recorder

WAIT_S = 30.0
MDEV = "c2177883-f1bb-47f0-914d-32a22e3a8804"
_NAME = "host devices"

_DOMAIN = f"""
<domain type='qemu'>
  <name>{_NAME}</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <features><acpi/></features>
  <devices>
    <interface type='user'><mac address='52:54:00:0a:00:01'/><model type='virtio'/></interface>
    <disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='/srv/disk.img'/>
      <target dev='vda' bus='virtio'/></disk>
  </devices>
</domain>"""


@dataclass(frozen=True)
class World:
    engine: LibvirtEngine
    connection: libvirt.virConnect
    key: VmKey
    facts: HostFacts
    xml: str

    def draft(self) -> Situation:
        return Situation(self.facts, DomainXml.parse(self.xml))

    def refuses(self, draft: DomainXml) -> str:
        """libvirt's words when it does not take the definition, its schema included."""
        try:
            self.connection.defineXMLFlags(draft.to_text(), libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
        except libvirt.libvirtError as error:
            return str(error)
        return ""

    def problems(self, draft: DomainXml) -> dict[Place, str]:
        found = self.engine.submit(rq.CheckSettings(self.key, draft.to_text())).result(WAIT_S)
        return {problem.place: problem.message for problem in found}


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with SessionDaemon() as daemon:
        recorder, engine = Recorder(), LibvirtEngine(warm_up=False)
        engine.add_listener(recorder)
        host = engine.open_host(daemon.uri)
        recorder.wait_for_host(host, HostState.CONNECTED)
        connection = libvirt.open(daemon.uri)
        key = VmKey(host, connection.defineXML(_DOMAIN).UUIDString())
        recorder.wait_for_state(key, VmState.OFF)
        read = engine.submit(rq.ReadSettings(key)).result(WAIT_S)
        yield World(engine, connection, key, read.facts, read.xml)
        gc.collect()  # what errors hold of libvirt's must not outlive the daemon
        connection.close()
        engine.stop()


@pytest.fixture(autouse=True)
def as_before(world: World) -> Iterator[None]:
    yield
    world.connection.defineXML(world.xml)


def option_of(resource: str, name: str) -> Option[Any]:
    return next(option for option in catalogue.resource(resource).options if option.id == name)


def refusal_of(situation: Situation, option: Option[Any], node: Any, value: str) -> str:
    """Why a value cannot be chosen; where it is not offered at all, that."""
    assert isinstance(option.editor, Choice)
    return next((item.refusal for item in option.editor.items(situation, node) if item.value == value), "not offered")


def test_virtiofs(world: World) -> None:
    situation = world.draft()
    resource, driver = catalogue.resource("filesystem"), option_of("filesystem", "driver")
    assert resource.add is not None
    folder = resource.add(situation)
    reason = refusal_of(situation, driver, folder, "virtiofs")
    folder.driver_type, folder.access_mode = "virtiofs", None
    message = world.problems(situation.domain)[Place("filesystem", folder.target_dir or "", "driver")]
    assert "shared memory" in message
    share_memory(situation.domain)
    assert Place("filesystem", folder.target_dir or "", "driver") not in world.problems(situation.domain)
    words = world.refuses(situation.domain)
    assert bool(reason) == bool(words), words
    if words:
        assert "session mode" in words, "and not for what was written"


def test_a_folder_by_9p_is_what_is_proposed_here(world: World) -> None:
    situation = world.draft()
    resource = catalogue.resource("filesystem")
    assert resource.add is not None
    folder = resource.add(situation)
    if refusal_of(situation, option_of("filesystem", "driver"), folder, "virtiofs"):
        assert folder.driver_type in (None, "path")
    assert world.refuses(situation.domain) == ""


def test_nvme(world: World) -> None:
    situation = world.draft()
    disk, bus = situation.domain.devices.disks[0], option_of("disk", "bus")
    reason = refusal_of(situation, bus, disk, "nvme")
    bus.set(disk, "nvme")
    assert bool(reason) == bool(world.refuses(situation.domain))


def test_an_nvme_drive_of_the_host_is_kept_as_it_is(world: World) -> None:
    source = (
        "<source type='pci' managed='yes' namespace='1'>"
        "<address domain='0x0000' bus='0x01' slot='0x00' function='0x0'/></source>"
    )
    draft = DomainXml.parse(
        world.xml.replace("<disk type='file'", "<disk type='nvme'").replace("<source file='/srv/disk.img'/>", source)
    )
    assert world.refuses(draft) == ""
    read = world.engine.submit(rq.ReadSettings(world.key)).result(WAIT_S)
    kept = DomainXml.parse(read.xml)
    assert (kept.devices.disks[0].type, kept.devices.disks[0].source.namespace) == ("nvme", 1)
    assert not [place for place in world.problems(kept) if place.option == "source"]
    kept.title = "Another title"
    assert world.refuses(kept) == ""
    now = DomainXml.parse(world.engine.submit(rq.ReadSettings(world.key)).result(WAIT_S).xml)
    assert now.devices.disks[0].source.namespace == 1


def test_a_virtual_function(world: World) -> None:
    situation = world.draft()
    card = situation.domain.devices.interfaces[0]
    (item,) = (item for item in mode_items(situation, card) if str(item.value).startswith("hostdev:"))
    assert item.refusal
    set_mode(card, "hostdev:0000:01:10.1")
    assert world.refuses(situation.domain) == ""
    kept = DomainXml.parse(world.engine.submit(rq.ReadSettings(world.key)).result(WAIT_S).xml)
    (card,) = kept.devices.interfaces
    assert (card.type, card.mac, card.source_node.host_device.pci) == ("hostdev", "52:54:00:0a:00:01", "0000:01:10.1")


@pytest.mark.parametrize(
    ("name", "device"), [("hostdev-pci", "0000:01:00.0"), ("hostdev-mdev", MDEV)], ids=["pci", "mdev"]
)
def test_a_device_given_to_the_guest(world: World, name: str, device: str) -> None:
    situation = world.draft()
    resource = catalogue.resource(name)
    assert resource.add_refusal is not None
    assert "ordinary user" in resource.add_refusal(situation)
    hostdev = situation.domain.devices.host_devices.add()
    hostdev.mode, hostdev.type = "subsystem", name.removeprefix("hostdev-")
    if name == "hostdev-mdev":
        hostdev.model = "vfio-pci"
    hostdev.managed = name == "hostdev-pci"
    option_of(name, "device").set(hostdev, device)
    assert Place(name, device, "device") in world.problems(situation.domain), "the host has no such device"
    assert world.refuses(situation.domain) == ""
    kept = DomainXml.parse(world.engine.submit(rq.ReadSettings(world.key)).result(WAIT_S).xml)
    (hostdev,) = resource.nodes(kept)
    assert option_of(name, "device").get(hostdev) == device


def test_passt(world: World) -> None:
    situation = world.draft()
    card, backend = situation.domain.devices.interfaces[0], option_of("nic", "backend")
    reason = refusal_of(situation, backend, card, "passt")
    option_of("nic", "port-forwards").set(card, "tcp:127.0.0.1:2222:22")
    backend.set(card, "passt")
    assert bool(reason) == bool(world.refuses(situation.domain))
