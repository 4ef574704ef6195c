"""Files of runs that are thrown away, on real libvirt with real QEMU (TCG, nothing to boot)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import libvirt
import libvirt_qemu
import pytest
from lxml import etree

from guivm.engine.cloning import disposable, handlers, marks, templates
from guivm.engine.reader import Reader
from guivm.engine.requests import (
    SetTemplate,
    StartDisposable,
)
from guivm.engine.snapshots.firmware_state import nvram_path, tpm_folder
from guivm.engine.snapshots.situation import read_situation
from guivm.engine.types import VmKey
from guivm.engine.xml.domain import DomainXml
from guivm.errors import GuivmError, WrongStateError
from tests.helpers.clone_house import House, clone_house, session_connection


@pytest.fixture(scope="module")
def connection() -> Iterator[libvirt.virConnect]:
    with session_connection() as value:
        yield value


@pytest.fixture
def house(connection: libvirt.virConnect, tmp_path: Path) -> Iterator[House]:
    with clone_house(connection, tmp_path) as value:
        yield value


def write_as_guest(house: House, key: VmKey, value: int, target: str = "vda") -> None:
    """Through the running QEMU, as the guest would."""
    live = etree.fromstring(house.domain(key).XMLDesc(0))
    index = live.xpath(f"string(devices/disk[target/@dev='{target}']/source/@index)")
    command = f'qemu-io libvirt-{index!s}-format "write -P {value} 0 1M"'
    libvirt_qemu.qemuMonitorCommand(house.domain(key), command, libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP)


def test_a_run_that_is_thrown_away_leaves_nothing(house: House) -> None:
    source = house.bios()
    stored = house.document(source).to_text()
    before = house.hashes()
    disposable.start_disposable(house.context, StartDisposable(source))
    assert house.document(source).to_text() == stored
    write_as_guest(house, source, 7)
    write_as_guest(house, source, 8, "vdb")
    kept = {path: found for path, found in house.hashes().items() if path in before}
    assert kept == before, "the images are not written to"
    seen = Reader(house.host, house.connection).read(source.uuid)
    assert seen is not None
    assert seen.is_disposable
    assert not seen.can_have_pending
    with pytest.raises(WrongStateError, match="thrown away"):
        marks.refuse_disposable(house.domain(source), "Its state cannot be saved")
    with pytest.raises(GuivmError):
        disposable.start_disposable(house.context, StartDisposable(source))
    while_it_runs = house.hashes()
    disposable.clean_up_all(house.context)
    assert house.hashes() == while_it_runs, "what is in use stays"
    house.domain(source).destroy()
    disposable.clean_up(house.context, source)
    assert house.hashes() == before
    assert not [path for path in house.images.iterdir() if path.name == disposable.FOLDER]
    assert house.document(source).to_text() == stored
    ended = Reader(house.host, house.connection).read(source.uuid)
    assert ended is not None
    assert not ended.is_disposable
    house.run_briefly(source)


def test_what_a_run_left_behind_is_removed_later(house: House) -> None:
    """Nobody was there when it ended; then it ran in the ordinary way."""
    source = house.bios()
    before = house.hashes()
    disposable.start_disposable(house.context, StartDisposable(source))
    write_as_guest(house, source, 7)
    house.domain(source).destroy()
    house.domain(source).create()
    disposable.clean_up_all(house.context)
    assert house.hashes() == before
    house.domain(source).destroy()
    disposable.start_disposable(house.context, StartDisposable(source))
    house.domain(source).destroy()
    disposable.start_disposable(house.context, StartDisposable(source))
    house.domain(source).destroy()
    disposable.clean_up_all(house.context)
    assert house.hashes() == before


def test_firmware_and_tpm_forget_what_a_run_told_them(house: House) -> None:
    tpm = "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>"
    source = house.define("source", {"vda": (house.image("source.qcow2", 1), "qcow2")}, uefi=True, more=tpm)
    house.run_briefly(source)
    seen = read_situation(house.context, source)
    state, variables = Path(tpm_folder(house.context, seen)), Path(nvram_path(house.context, seen))
    (state / "marker").write_bytes(b"before")
    kept = variables.read_bytes()
    disposable.start_disposable(house.context, StartDisposable(source))
    live = DomainXml.parse(house.domain(source).XMLDesc(0))
    assert Path(live.os.nvram or "").parent.parent.name == disposable.FOLDER
    (state / "marker").write_bytes(b"told in the run")
    house.domain(source).destroy()
    disposable.clean_up(house.context, source)
    assert (state / "marker").read_bytes() == b"before"
    assert {path.name for path in state.parent.iterdir()} == {source.uuid}
    assert variables.read_bytes() == kept
    house.run_briefly(source)


def test_a_run_that_cannot_begin_leaves_nothing(house: House) -> None:
    source = house.bios()
    before = house.hashes()
    house.domain(source).create()
    house.domain(source).managedSave(0)
    with pytest.raises(WrongStateError, match="saved state"):
        disposable.start_disposable(house.context, StartDisposable(source))
    house.domain(source).managedSaveRemove(0)
    handlers.set_template(house.context, SetTemplate(source, True))
    with pytest.raises(WrongStateError, match="template"):
        disposable.start_disposable(house.context, StartDisposable(source))
    with pytest.raises(WrongStateError, match="template"):
        templates.require_no_template(house.context, source)
    handlers.set_template(house.context, SetTemplate(source, False))
    templates.require_no_template(house.context, source)
    assert {path: found for path, found in house.hashes().items() if "tree.json" not in path} == before
    medium = "<disk type='file' device='cdrom'><source file='/no/such.iso'/><target dev='sda' bus='sata'/></disk>"
    broken = house.define("broken", {"vda": (house.image("broken.qcow2", 1), "qcow2")}, more=medium)
    before = house.hashes()
    with pytest.raises(libvirt.libvirtError, match=r"such\.iso"):
        disposable.start_disposable(house.context, StartDisposable(broken))
    assert house.hashes() == before
