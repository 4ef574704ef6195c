"""Which images of others a VM reads from, as its tree of snapshots tells."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from guivm.engine.requests import ReadSnapshots
from guivm.engine.snapshots import handlers
from tests.helpers.branch_house import House
from tests.helpers.image_oracles import make_image


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path)
    house.build()
    return house


def told(house: House) -> tuple[str, ...] | None:
    return handlers.read_snapshots(house.context, ReadSnapshots(house.key)).based_on


def put_on_base(house: House) -> str:
    """Its first image becomes an overlay of one that is not its own."""
    base = make_image(house.images / "base.qcow2")
    one = house.images / "one.qcow2"
    one.unlink()
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", os.fspath(base), os.fspath(one)]
    subprocess.run(command, check=True)
    return os.path.realpath(base)


def test_a_vm_with_snapshots_stands_alone(house: House) -> None:
    assert told(house) == ()
    house.take("First")
    house.take("Second")
    assert told(house) == ()


def test_a_linked_clone_names_what_it_reads_with_snapshots_and_without(house: House) -> None:
    base = put_on_base(house)
    assert told(house) == (base,)
    house.take("First")
    house.take("Second")
    assert told(house) == (base,)


def test_what_a_guest_writes_into_a_raw_image_names_no_file(house: House) -> None:
    put_on_base(house)
    forged = (house.images / "one.qcow2").read_bytes()[:4096]
    (house.images / "one.qcow2").unlink()
    make_image(house.images / "one.qcow2")
    with (house.images / "two.img").open("r+b") as image:
        image.write(forged)
    assert told(house) == ()
    house.take("First")
    assert told(house) == ()


def test_of_another_computers_vm_nothing_is_known(house: House) -> None:
    context = house.context
    away = replace(context, host=replace(context.host, is_local=False))
    assert handlers.read_snapshots(away, ReadSnapshots(house.key)).based_on is None
