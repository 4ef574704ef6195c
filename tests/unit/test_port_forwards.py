"""Port forwards of slirp: what QEMU says it has, and whose are to be looked after."""

from __future__ import annotations

from guivm.engine.reader import texts_of
from guivm.engine.settings.port_forwards import Forward, open_ports
from guivm.engine.settings.stored_forwards import StoredForwards
from guivm.engine.types import HostId, VmInfo, VmKey, VmState

# QEMU 7.2, with connections of the guest's beside the forwards.
_USERNET = """\
Hub -1 (hostnet0):\r
  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r
  TCP[ESTABLISHED]   31       10.0.2.15 41022    192.0.2.7   443     0     0\r
  TCP[HOST_FORWARD]  29       127.0.0.1  2222       10.0.2.15    22     0     0\r
  UDP[HOST_FORWARD]  30               *  5353       10.0.2.15    53     0     0\r
  UDP[236 sec]       33       10.0.2.15 36404    192.0.2.53    53     0     0\r
  ICMP[10 sec]       34       10.0.2.15      -    192.0.2.9     -     0     0\r
"""


def test_what_qemu_listens_at_is_read_from_its_words() -> None:
    assert open_ports(_USERNET) == {("tcp", "127.0.0.1", 2222), ("udp", "", 5353)}
    assert open_ports("") == frozenset()
    assert open_ports("The command info usernet has not been found\r\n") == frozenset()


def test_a_forward_for_all_addresses_is_the_same_however_it_is_written() -> None:
    ports = {Forward("", "udp", address, 5353, 53).port for address in ("", "0.0.0.0", "*")}
    assert ports == {("udp", "", 5353)}
    assert ports <= open_ports(_USERNET)


def _vm(uuid: str, state: VmState = VmState.RUNNING, *, has_forwards: bool = True) -> VmInfo:
    return VmInfo(VmKey(HostId("qemu:///system"), uuid), uuid, state, has_forwards=has_forwards)


def test_all_that_run_are_due_once_after_a_connection() -> None:
    forwards = StoredForwards()
    vms = (_vm("a"), _vm("b", VmState.OFF), _vm("c", has_forwards=False), _vm("d", VmState.UNKNOWN))
    forwards.started("gone-with-the-connection-before")
    forwards.connected()
    waited = forwards.is_waiting
    assert [key.uuid for key in forwards.take_due(vms)] == ["a"]
    assert (waited, forwards.is_waiting) == (True, False)
    assert forwards.take_due(vms) == []


def test_only_what_started_is_due_later() -> None:
    forwards = StoredForwards()
    vms = (_vm("a"), _vm("b"), _vm("c", VmState.PAUSED), _vm("d", has_forwards=False))
    for uuid in ("b", "c", "d", "unknown"):
        forwards.started(uuid)
    assert [key.uuid for key in forwards.take_due(vms)] == ["b", "c"]
    assert forwards.take_due(vms) == []


def test_the_list_knows_who_has_forwards() -> None:
    mine = "<metadata><g:settings xmlns:g='https://guivm.org/xmlns/domain/1'>{}</g:settings></metadata>"
    passt = "<devices><interface type='user'><portForward proto='tcp'/></interface></devices>"
    document = "<domain><name>a</name><uuid>1</uuid><memory>1</memory>{}</domain>"
    assert texts_of(document.format(mine.format("<g:portForward/>"))).has_forwards
    for other in ("", mine.format(""), passt, mine.replace("guivm", "other").format("<g:portForward/>")):
        assert not texts_of(document.format(other)).has_forwards
