"""Settings of a running guest (real QEMU, TCG): what is applied, the guest has; what fails, it has not. One boot."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable, Iterator

import pytest

from guivm.engine import requests as rq
from guivm.engine.options.values import Reach
from guivm.engine.xml.domain import DomainXml
from guivm.errors import ChangedOutsideError, OperationError
from tests.helpers.daemon import wait_until
from tests.helpers.guests import sample_guest
from tests.helpers.live_guest import WAIT_S, Guest, live_guest, reach_of

MIB = 1 << 20
NIC = "52:54:00:aa:bb:01"
SECOND_NIC = "52:54:00:aa:bb:02"

# i440FX: every slot takes a hot-plugged device.
_GUEST = """
<domain type='qemu'>
  <name>live</name><memory unit='MiB'>256</memory><vcpu current='1'>2</vcpu>
  <metadata><guivm:settings xmlns:guivm='https://guivm.org/xmlns/domain/1'>
    <guivm:portForward mac='{mac}' protocol='tcp' hostPort='{port}' guestPort='8000'/>
  </guivm:settings></metadata>
  <os><type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{kernel}</kernel><initrd>{initrd}</initrd><cmdline>{arguments}</cmdline></os>
  <features><acpi/></features><cpu mode='maximum'/>
  <devices>
    <disk type='file' device='cdrom'><driver name='qemu' type='raw'/>
      <source file='{medium}'/><target dev='hda' bus='ide'/><readonly/></disk>
    <interface type='user'><mac address='{mac}'/><model type='virtio'/></interface>
    <serial type='pty'><target port='0'/></serial>
    <graphics type='vnc' passwd='first'><listen type='none'/></graphics>
    <memballoon model='virtio'/>
  </devices>
</domain>"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answer_of(port: int) -> bytes:
    """What a listener behind the port says; empty when nobody listens there, or the guest does not."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as line:
            return line.recv(64)
    except OSError:
        return b""


def wait_for_answer(port: int) -> None:
    """The guest needs its lease first, and its listener a moment between two connections."""
    wait_until(lambda: answer_of(port) == b"hello from the guest\n", f"the guest to answer at port {port}")


def is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    built, directory, port = sample_guest(), tmp_path_factory.mktemp("live"), free_port()
    for name in ("first.iso", "second.iso"):
        (directory / name).write_bytes(name.encode().ljust(MIB, b"\0"))
    xml = _GUEST.format(
        kernel=built.kernel, initrd=built.initrd, arguments=built.arguments, mac=NIC, port=port,
        medium=directory / "first.iso",
    )  # fmt: skip
    with live_guest(xml, directory, port) as value:
        value.run("while true; do echo hello from the guest | nc -l -p 8000; done & true")
        yield value


def test_memory_is_given_back_and_taken_again(guest: Guest) -> None:
    def shrink(draft: DomainXml) -> None:
        draft.current_memory_kib = 200 * 1024

    applied = guest.apply(shrink)
    assert reach_of(applied, "memory") == {Reach.LIVE}
    definition, live = guest.settings()
    assert (definition.current_memory_kib, live.current_memory_kib) == (200 * 1024, 200 * 1024)

    def grow(draft: DomainXml) -> None:
        draft.current_memory_kib = 256 * 1024

    assert reach_of(guest.apply(grow), "memory") == {Reach.LIVE}
    assert guest.settings()[1].current_memory_kib == 256 * 1024


def test_a_processor_is_plugged_in(guest: Guest) -> None:
    def edit(draft: DomainXml) -> None:
        draft.vcpu.current = 2

    # Linux itself may leave it at that: from 2026 on it takes no processor where it knows no hypervisor, as under TCG.
    look = "cat /sys/bus/acpi/devices/LNXCPU:01/status 2>/dev/null"
    assert guest.run(look) in ("", "0")
    assert reach_of(guest.apply(edit), "cpu") == {Reach.LIVE}
    definition, live = guest.settings()
    assert [domain.vcpu.current or domain.vcpu.maximum for domain in (definition, live)] == [2, 2]
    wait_until(lambda: guest.run(look) == "15", "the guest's second processor")


def test_a_drive_is_plugged_in_written_to_and_taken_out(guest: Guest) -> None:
    image = guest.directory / "data.img"
    image.write_bytes(bytes(4 * MIB))

    def plug(draft: DomainXml) -> None:
        disk = draft.devices.disks.add()
        disk.type, disk.device = "file", "disk"
        disk.driver_name, disk.driver_type = "qemu", "raw"
        disk.source_file, disk.target_dev, disk.target_bus = str(image), "vdb", "virtio"

    assert reach_of(guest.apply(plug), "disk") == {Reach.LIVE}
    wait_until(lambda: "vda" in guest.run("ls /dev"), "the guest's drive")
    guest.run("yes guivm | head -c 4194304 >/dev/vda; sync")

    def unplug(draft: DomainXml) -> None:
        (disk,) = (disk for disk in draft.devices.disks if disk.target_dev == "vdb")
        draft.devices.disks.remove(disk)

    assert reach_of(guest.apply(unplug), "disk") == {Reach.LIVE}
    assert "vda" not in guest.run("ls /dev")
    for domain in guest.settings():
        assert [disk.target_dev for disk in domain.devices.disks] == ["hda"]
    written = (b"guivm\n" * MIB)[: 4 * MIB]
    assert hashlib.sha256(image.read_bytes()).digest() == hashlib.sha256(written).digest()


def test_a_cable_is_pulled_and_put_back(guest: Guest) -> None:
    wait_for_answer(guest.port)

    def pull(draft: DomainXml) -> None:
        draft.devices.interfaces[0].link_state = "down"

    assert reach_of(guest.apply(pull), "nic") == {Reach.LIVE}
    assert guest.settings()[1].devices.interfaces[0].link_state == "down"
    wait_until(lambda: guest.run("cat /sys/class/net/eth0/carrier") == "0", "the guest to see it")

    def put_back(draft: DomainXml) -> None:
        draft.devices.interfaces[0].link_state = None

    assert reach_of(guest.apply(put_back), "nic") == {Reach.LIVE}
    wait_until(lambda: guest.run("cat /sys/class/net/eth0/carrier") == "1", "the guest to see it")


def test_a_medium_is_changed_and_ejected(guest: Guest) -> None:
    read = "dd if=/dev/sr0 bs=16 count=1 2>/dev/null | tr -d '\\0'"
    guest.run("modprobe -a ata_piix sr_mod")

    def insert(name: str | None) -> Callable[[DomainXml], None]:
        def edit(draft: DomainXml) -> None:
            draft.devices.disks[0].source_file = str(guest.directory / name) if name else None

        return edit

    assert guest.run(read) == "first.iso"
    assert reach_of(guest.apply(insert("second.iso")), "cdrom") == {Reach.LIVE}
    wait_until(lambda: guest.run(read) == "second.iso", "the guest to read the other medium")
    assert reach_of(guest.apply(insert(None)), "cdrom") == {Reach.LIVE}
    assert [domain.devices.disks[0].path for domain in guest.settings()] == ["", ""]
    assert guest.run(read) == ""
    assert reach_of(guest.apply(insert("first.iso")), "cdrom") == {Reach.LIVE}


def test_a_forward_opens_and_closes_with_its_card(guest: Guest) -> None:
    wait_for_answer(guest.port)  # made when the guest was started
    port = free_port()

    def add(draft: DomainXml) -> None:
        forward = draft.metadata.settings.port_forwards.add()
        forward.mac, forward.protocol, forward.host_port, forward.guest_port = NIC, "tcp", port, 8000

    guest.apply(add)
    wait_for_answer(port)
    assert all(len(domain.metadata.settings.port_forwards) == 2 for domain in guest.settings())

    def remove(draft: DomainXml) -> None:
        forwards = draft.metadata.settings.port_forwards
        forwards.remove(forwards[1])

    guest.apply(remove)
    assert not is_open(port)
    assert is_open(guest.port)


def test_a_forward_of_a_port_in_use_waits(guest: Guest) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = int(taken.getsockname()[1])

        def add(draft: DomainXml) -> None:
            forward = draft.metadata.settings.port_forwards.add()
            forward.mac, forward.protocol, forward.host_port, forward.guest_port = NIC, "tcp", port, 8000

        (outcome,) = guest.apply(add).outcomes
        assert (outcome.change.place.resource, outcome.change.place.option) == ("nic", "port-forwards")
        assert outcome.reach is Reach.NEXT_START
        assert f"could not open port {port}" in outcome.reason

    def remove(draft: DomainXml) -> None:
        forwards = draft.metadata.settings.port_forwards
        forwards.remove(forwards[1])

    guest.apply(remove)


def test_a_card_is_plugged_in_and_out_with_its_forward(guest: Guest) -> None:
    port = free_port()

    def plug(draft: DomainXml) -> None:
        nic = draft.devices.interfaces.add()
        nic.type, nic.mac, nic.model = "user", SECOND_NIC, "virtio"
        forward = draft.metadata.settings.port_forwards.add()
        forward.mac, forward.protocol, forward.host_port, forward.guest_port = SECOND_NIC, "tcp", port, 8000

    assert Reach.LIVE in reach_of(guest.apply(plug), "nic")
    wait_until(lambda: SECOND_NIC in guest.run("cat /sys/class/net/*/address"), "the guest's second card")
    assert is_open(port)

    def unplug(draft: DomainXml) -> None:
        nics, forwards = draft.devices.interfaces, draft.metadata.settings.port_forwards
        nics.remove(nics[1])
        forwards.remove(forwards[1])

    assert Reach.LIVE in reach_of(guest.apply(unplug), "nic")
    assert not is_open(port)
    assert [len(domain.devices.interfaces) for domain in guest.settings()] == [1, 1]


def test_pins_throttling_and_a_password(guest: Guest) -> None:
    def edit(draft: DomainXml) -> None:
        pin = draft.cpu_tune.vcpu_pins.add()
        pin.vcpu, pin.cpu_set = 0, "0"
        draft.devices.disks[0].io_tune.total_iops = 500
        draft.devices.graphics[0].password = "secret"
        draft.title = "A title"

    applied = guest.apply(edit)
    assert {outcome.reach for outcome in applied.outcomes} == {Reach.LIVE}
    for domain in guest.settings():
        assert [(pin.vcpu, pin.cpu_set) for pin in domain.cpu_tune.vcpu_pins] == [(0, "0")]
        assert domain.devices.disks[0].io_tune.total_iops == 500
        assert (domain.devices.graphics[0].password, domain.title) == ("secret", "A title")

    def back(draft: DomainXml) -> None:
        draft.cpu_tune.vcpu_pins.clear()
        draft.devices.disks[0].io_tune.remove()
        draft.title = None

    outcomes = guest.apply(back).outcomes
    assert {outcome.reach for outcome in outcomes} == {Reach.LIVE}, outcomes
    assert guest.engine.submit(rq.ReadPending(guest.key)).result(WAIT_S).changes == ()
    for domain in guest.settings():
        assert not domain.cpu_tune.vcpu_pins
        assert domain.devices.disks[0].io_tune.total_iops is None
        assert domain.title is None


def test_what_cannot_be_changed_now_waits_with_a_reason(guest: Guest) -> None:
    def edit(draft: DomainXml) -> None:
        draft.memory_kib = 512 * 1024
        draft.devices.interfaces[0].model = "e1000"

    applied = guest.apply(edit)
    assert applied.outcomes
    assert {outcome.reach for outcome in applied.outcomes} == {Reach.NEXT_START}
    assert all(outcome.reason for outcome in applied.outcomes)
    pending = guest.engine.submit(rq.ReadPending(guest.key)).result(WAIT_S)
    places = {change.place for change in pending.changes}
    assert {outcome.change.place for outcome in applied.outcomes} <= places

    def back(draft: DomainXml) -> None:
        draft.memory_kib = 256 * 1024
        draft.devices.interfaces[0].model = "virtio"

    guest.apply(back)


def test_half_of_it_fails_and_nothing_is_left(guest: Guest) -> None:
    """Memory shrinks and a drive is plugged in; then the definition is refused."""
    image = guest.directory / "half.img"
    image.write_bytes(bytes(MIB))
    before = guest.settings()[0].to_text()

    def edit(draft: DomainXml) -> None:
        draft.current_memory_kib = 224 * 1024
        disk = draft.devices.disks.add()
        disk.type, disk.device = "file", "disk"
        disk.driver_name, disk.driver_type = "qemu", "raw"
        disk.source_file, disk.target_dev, disk.target_bus = str(image), "vdc", "virtio"
        draft.on_crash = "nonsense"  # not in libvirt's schema

    with pytest.raises(OperationError, match=r"Taken back: .*drive vdc") as caught:
        guest.apply(edit)
    assert "Could not" not in caught.value.summary
    definition, live = guest.settings()
    assert definition.to_text() == before
    assert live.current_memory_kib == 256 * 1024
    assert [disk.target_dev for disk in live.devices.disks] == ["hda"]
    wait_until(lambda: "vda" not in guest.run("ls /dev"), "the guest to see it")


def test_a_change_from_elsewhere_is_not_overwritten(guest: Guest) -> None:
    base = guest.engine.submit(rq.ReadSettings(guest.key)).result(WAIT_S).xml
    guest.engine.submit(rq.SetTitle(guest.key, "From elsewhere")).result(WAIT_S)
    draft = DomainXml.parse(base)
    draft.current_memory_kib = 128 * 1024
    with pytest.raises(ChangedOutsideError) as caught:
        guest.engine.submit(rq.ApplySettings(guest.key, base, draft.to_text())).result(WAIT_S)
    assert "+  <title>From elsewhere</title>" in caught.value.theirs
    assert "128" not in caught.value.theirs
    assert str(128 * 1024) in caught.value.ours
    assert guest.settings()[1].current_memory_kib == 256 * 1024
