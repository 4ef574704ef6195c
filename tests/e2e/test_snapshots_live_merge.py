"""Snapshots of a running guest whose images are files are deleted, wherever in the chain they are, while it runs."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterator

import pytest

from tests.e2e.test_snapshot_faults import House
from tests.helpers.daemon import SessionDaemon, wait_until
from tests.helpers.snapshot_child import DONE, FAILED, GUIVM, KILLED, LIBVIRTD, QEMU, VICTIMS, Nursery

_MUCH = 12 << 20  # for QEMU's job to take seconds when it is slow


@pytest.fixture
def house(daemon: SessionDaemon) -> Iterator[House]:
    value = House(daemon, _MUCH + (1 << 20))
    yield value
    value.connection.close()


@pytest.fixture
def nursery(house: House) -> Iterator[Nursery]:
    with Nursery(house.daemon, house.images) as value:
        yield value


def take(house: House, nursery: Nursery, *titles: str) -> None:
    """Snapshots of the disks, one after the other; the guest writes before and after each."""
    for title in titles:
        house.guest_writes()
        house.marks[title] = house.mark
        assert nursery.run("take", house.uuid, title, False) == DONE
    house.guest_writes()


def ids(house: House, *titles: str) -> list[str]:
    return [each.id for each in house.tree().snapshots if each.title in titles]


def titles(house: House) -> list[str]:
    return [each.title for each in house.tree().snapshots]


def job(house: House) -> dict[str, int]:
    """What goes on on the second drive."""
    return dict(house.domain.blockJobInfo("vdb", 0) or {})


def look(house: House) -> None:
    """Who runs and who is kept reads what it did."""
    house.require_running()
    house.require_snapshots()


def test_the_first_a_middle_one_and_several_go_while_the_guest_runs(house: House, nursery: Nursery) -> None:
    house.start()
    qemu = house.qemu()
    take(house, nursery, "a", "b", "c", "d", "e")
    for gone, left in ((("a",), "bcde"), (("c", "d"), "be")):
        assert nursery.run("delete", house.uuid, *ids(house, *gone)) == DONE
        assert titles(house) == [*left]
        look(house)
        house.guest_writes()
    take(house, nursery, "f")
    assert nursery.run("delete", house.uuid, *ids(house, "b", "f")) == DONE  # one merged, one pulled
    assert titles(house) == ["e"]
    look(house)
    assert house.qemu() == qemu
    house.end()
    assert nursery.run("restore", house.uuid, *ids(house, "e"), "") == DONE
    house.mark = house.marks["e"]
    house.end()
    house.start()
    house.require_running()


@pytest.mark.parametrize("victim", VICTIMS)
def test_somebody_is_killed_at_each_step(house: House, nursery: Nursery, victim: str) -> None:
    """One after the other: each victim at every third step."""
    house.start()
    for number in itertools.count(VICTIMS.index(victim), len(VICTIMS)):
        older, newer = f"o{number}", f"n{number}"
        take(house, nursery, older, newer)
        (deleted,) = ids(house, older)
        code = nursery.run("delete", house.uuid, deleted, moment=number, victim=victim)
        house.settle(victim)
        house.require_running(victim)
        house.require_snapshots()
        if ids(house, older):
            assert code in (KILLED, FAILED)
        assert nursery.run("delete", house.uuid, *ids(house, older, newer)) == DONE
        look(house)
        if code == DONE:
            break
    house.end()


@pytest.mark.parametrize("victim", VICTIMS)
def test_somebody_is_killed_in_the_middle_of_a_merge(house: House, nursery: Nursery, victim: str) -> None:
    house.start()
    take(house, nursery, "a")
    house.write_much(_MUCH)
    take(house, nursery, "b")
    qemu = house.qemu()
    child = nursery.begin("delete", house.uuid, *ids(house, "a"), special="slow")
    wait_until(lambda: 0 < job(house).get("cur", 0) < job(house).get("end", 0), "the merge to be in its middle")
    if victim == GUIVM:
        os.kill(child, signal.SIGKILL)
    elif victim == LIBVIRTD:
        house.daemon.kill()
    else:
        os.kill(qemu, signal.SIGKILL)
    code = nursery.end()
    assert code == {GUIVM: KILLED, LIBVIRTD: FAILED, QEMU: DONE}[victim], "without the guest it is gone on with at once"
    if victim == LIBVIRTD:
        house.daemon.restart()
        house.reconnect()
    if victim != QEMU:
        assert job(house)["cur"] < job(house)["end"], "QEMU goes on by itself"
        house.domain.blockJobSetSpeed("vdb", 0, 0)
    house.settle(victim if victim == QEMU else GUIVM)
    assert bool(house.domain.isActive()) is (victim != QEMU)
    assert titles(house) == ["b"]
    house.require_running(victim)
    house.require_snapshots()
    house.end()
