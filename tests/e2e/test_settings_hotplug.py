"""Memory modules of a running guest (real QEMU, TCG): the guest has what was plugged in, and lets it go. One boot."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from guivm.engine import requests as rq
from guivm.engine.options import catalogue
from guivm.engine.options.option import Situation
from guivm.engine.options.values import Reach
from guivm.engine.xml.domain import DomainXml
from tests.helpers.daemon import wait_until
from tests.helpers.guests import sample_guest
from tests.helpers.live_guest import WAIT_S, Guest, live_guest, reach_of

MIB = 1024  # KiB
MODULE = 128 * MIB

# libvirt 9.0 plugs memory only into NUMA nodes.
_GUEST = """
<domain type='qemu'>
  <name>hotplug</name>
  <maxMemory slots='2' unit='MiB'>1024</maxMemory><memory unit='MiB'>256</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{kernel}</kernel><initrd>{initrd}</initrd><cmdline>{arguments}</cmdline></os>
  <features><acpi/></features>
  <cpu mode='maximum'><numa><cell id='0' cpus='0' memory='256' unit='MiB'/></numa></cpu>
  <devices>
    <serial type='pty'><target port='0'/></serial>
    <memballoon model='virtio'/>
  </devices>
</domain>"""
_DIMM = catalogue.resource("dimm")


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    built = sample_guest()
    xml = _GUEST.format(kernel=built.kernel, initrd=built.initrd, arguments=built.arguments)
    with live_guest(xml, tmp_path_factory.mktemp("hotplug")) as value:
        # Debian's kernels from 6.12 on use new memory at once, and what the kernel itself puts there keeps it.
        value.run("echo offline >/sys/devices/system/memory/auto_online_blocks")
        yield value


def plug(guest: Guest, kib: int) -> set[Reach]:
    facts = guest.engine.submit(rq.ReadSettings(guest.key)).result(WAIT_S).facts

    def edit(draft: DomainXml) -> None:
        assert _DIMM.add is not None
        module = _DIMM.add(Situation(facts, draft, is_running=True))
        (size,) = (option for option in _DIMM.options if option.id == "size")
        size.set(module, kib)

    return reach_of(guest.apply(edit), "dimm")


def amounts(domain: DomainXml) -> tuple[int | None, int | None, list[int | None]]:
    return domain.memory_kib, domain.current_memory_kib, [module.size_kib for module in domain.devices.memories]


def blocks(guest: Guest) -> int:
    """How many blocks of memory the guest sees."""
    return int(guest.run("ls -d /sys/devices/system/memory/memory[0-9]* | wc -l"))


def test_a_module_is_plugged_in_and_taken_out(guest: Guest) -> None:
    before = blocks(guest)
    assert plug(guest, MODULE) == {Reach.LIVE}
    for domain in guest.settings():
        assert amounts(domain) == (384 * MIB, 384 * MIB, [MODULE])
    assert guest.engine.submit(rq.ReadPending(guest.key)).result(WAIT_S).changes == ()
    wait_until(lambda: blocks(guest) > before, "the guest to see the module")

    def unplug(draft: DomainXml) -> None:
        assert _DIMM.remove is not None
        _DIMM.remove(draft, draft.devices.memories[0])

    assert reach_of(guest.apply(unplug), "dimm") == {Reach.LIVE}
    for domain in guest.settings():
        assert amounts(domain) == (256 * MIB, 256 * MIB, [])
    assert blocks(guest) == before
    assert guest.engine.submit(rq.ReadPending(guest.key)).result(WAIT_S).changes == ()


def test_a_module_that_the_guest_keeps_waits(guest: Guest) -> None:
    """Its memory is in use by the kernel itself, which cannot be moved elsewhere."""
    before = blocks(guest)
    assert plug(guest, MODULE) == {Reach.LIVE}
    wait_until(lambda: blocks(guest) > before, "the guest to see the module")
    guest.run("for b in /sys/devices/system/memory/memory*/state; do echo online_kernel >$b; done 2>/dev/null")
    guest.run("mkdir -p /t; mount -t tmpfs -o size=300M none /t; head -c 230M /dev/zero >/t/full")

    def unplug(draft: DomainXml) -> None:
        assert _DIMM.remove is not None
        _DIMM.remove(draft, draft.devices.memories[0])

    applied = guest.apply(unplug)
    assert reach_of(applied, "dimm") == {Reach.NEXT_START}
    (outcome,) = (outcome for outcome in applied.outcomes if outcome.change.place.resource == "dimm")
    assert outcome.reason
    definition, live = guest.settings()
    assert (len(definition.devices.memories), len(live.devices.memories)) == (0, 1)
    pending = guest.engine.submit(rq.ReadPending(guest.key)).result(WAIT_S)
    assert "dimm" in {change.place.resource for change in pending.changes}
