"""A raw image can hold anything a guest wishes: it is never taken for what its contents claim."""

from __future__ import annotations

from pathlib import Path

import pytest
from lxml import etree

from guivm.engine import qemu_img
from guivm.engine.snapshots import store
from guivm.engine.snapshots.graph import Graph
from guivm.engine.snapshots.reading import read_graph
from tests.helpers.branch_house import UUID, House
from tests.helpers.image_oracles import Qcow2, make_image, write_pattern


@pytest.fixture
def house(tmp_path: Path) -> House:
    value = House(tmp_path / "h")
    value.folder.mkdir()
    value.build()
    return value


def secret(house: House) -> Path:
    """A file of the host's."""
    path = house.folder / "secret"
    path.write_bytes(b"s" * (1 << 20))
    return path


def forge(house: House, path: Path, form: str) -> None:
    """The guest writes the header of an image on a file of the host's to the beginning of its drive."""
    forged = make_image(house.folder / "forged.qcow2")
    arguments = ("rebase", "-u", "-f", "qcow2", "-F", "raw", "-b", str(secret(house)), "--", str(forged))
    qemu_img.work(arguments, "failed")
    raw = house.folder / "forged.raw"
    raw.write_bytes(forged.read_bytes()[: 1 << 18])
    qemu_img.work(("convert", "-n", "-f", "raw", "-O", form, "--", str(raw), str(path)), "failed")
    forged.unlink()
    raw.unlink()


def detach(house: House) -> None:
    """The VM has its second drive no more: only its snapshots have."""
    connection, overlay = house.context.connection, house.disks()[1][0]
    root = etree.fromstring(connection.lookupByUUIDString(UUID).XMLDesc(0))
    devices = root.find("devices")
    assert devices is not None
    devices.remove(devices.findall("disk")[1])
    connection.defineXML(etree.tostring(root, encoding="unicode"))
    assert len(house.disks()) == 1
    overlay.unlink()


def graph_of(house: House) -> Graph:
    return read_graph(house.context)


def test_a_raw_image_that_only_a_snapshot_has_is_raw_whatever_is_in_it(house: House) -> None:
    raw = house.images / "two.img"
    forge(house, raw, "raw")
    assert Qcow2.read(raw).backing == str(house.folder / "secret")
    house.take("first")
    detach(house)
    graph = graph_of(house)
    assert (graph.images[str(raw)].format, graph.images[str(raw)].backing) == ("raw", None)
    assert str(house.folder / "secret") not in graph.images
    before = house.contents().reads["first"]
    house.restore("first")
    overlay = Qcow2.read(house.disks()[1][0])
    assert (overlay.backing, overlay.backing_format) == (str(raw), "raw")
    assert house.contents().reads["first"] == before == house.contents().reads[""]
    house.require_sound()


def test_so_it_is_when_its_vm_is_not_defined_any_more(house: House) -> None:
    raw = house.images / "two.img"
    forge(house, raw, "raw")
    house.take("first")
    detach(house)
    (house.folder / "domains" / f"{UUID}.xml").unlink()
    graph = graph_of(house)
    assert (graph.images[str(raw)].format, graph.images[str(raw)].backing) == ("raw", None)
    assert str(house.folder / "secret") not in graph.images


def test_a_raw_image_that_a_later_snapshot_was_merged_into_stays_raw(house: House) -> None:
    raw = house.images / "two.img"
    write_pattern(raw, 2, 0, 1 << 20, "raw")  # larger than what is above it
    house.take("first")
    forge(house, house.disks()[1][0], "qcow2")
    house.take("second")
    detach(house)
    before = house.contents().reads["second"]
    house.delete("first")
    (second,) = house.tree().snapshots
    assert str(raw) in second.images  # it was merged into it, not the other way round
    graph = graph_of(house)
    assert (graph.images[str(raw)].format, graph.images[str(raw)].backing) == ("raw", None)
    house.restore("second")
    assert Qcow2.read(house.disks()[1][0]).backing_format == "raw"
    assert house.contents().reads["second"] == before == house.contents().reads[""]
    house.require_sound()


def test_a_damaged_definition_of_one_snapshot_does_not_hide_the_others(house: House) -> None:
    house.take("first")
    tree = house.tree()
    document = tree.to_json().replace("<domain", "<domain<raw", 1)
    store.write_text(store.folder_of(house.images, UUID), document)
    assert {holder.title for holder in graph_of(house).holders} == {"", "first"}
