"""Runs that are thrown away, with this program killed at every moment, and VMs that end with nobody there."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import libvirt
import pytest

from guivm.engine.cloning import disposable, marks
from guivm.engine.context import HandlerContext
from guivm.engine.requests import StartDisposable
from guivm.engine.snapshots.starting import require_startable
from guivm.engine.xml.domain import DomainXml
from tests.helpers.branch_house import UUID, House
from tests.helpers.crash import Fault, Harm, Outcome, every, in_child
from tests.helpers.file_libvirt import FileConnection, FileDomain
from tests.helpers.image_oracles import write_pattern

_TPM = "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm></devices>"


class EndingDomain(FileDomain):
    """Runs as long as there is a file with its document, whatever becomes of the process."""

    @property
    def live(self) -> Path:
        return self._path.with_suffix(".live")

    def isActive(self) -> int:
        return int(self.live.exists())

    def state(self, flags: int) -> tuple[int, int]:
        return (libvirt.VIR_DOMAIN_RUNNING, 0) if self.isActive() else super().state(flags)

    def XMLDesc(self, flags: int) -> str:
        if flags & libvirt.VIR_DOMAIN_XML_INACTIVE or not self.isActive():
            return super().XMLDesc(flags)
        return self.live.read_text(encoding="utf-8")


class EndingConnection(FileConnection):
    def lookupByUUIDString(self, uuid: str) -> EndingDomain:
        return EndingDomain(super().lookupByUUIDString(uuid)._path)

    def listAllDomains(self, flags: int) -> list[FileDomain]:
        return [EndingDomain(domain._path) for domain in super().listAllDomains(flags)]

    def createXML(self, xml: str, _flags: int) -> EndingDomain:
        domain = self.lookupByUUIDString(UUID)
        domain.live.write_text(xml, encoding="utf-8")
        return domain

    def domainXMLToNative(self, *_arguments: object) -> str:
        library = self._folder.parent / "libvirt" / "lib"
        return f"qemu -chardev socket,id=charmonitor,path={library}/domain-1/monitor.sock"


class RunHouse(House):
    """With a TPM."""

    @property
    def context(self) -> HandlerContext:
        return replace(super().context, connection=cast(Any, EndingConnection(self.folder / "domains")))

    @property
    def tpm(self) -> Path:
        return self.folder / "libvirt" / "swtpm" / UUID / "state"

    def build(self) -> None:
        super().build()
        self.tpm.parent.mkdir(parents=True)
        self.tpm.write_text("keys")
        connection = self.context.connection
        connection.defineXML(self.domain.XMLDesc(0).replace("</devices>", _TPM))

    @property
    def domain(self) -> EndingDomain:
        return cast(EndingDomain, self.context.connection.lookupByUUIDString(UUID))

    def guest_works(self) -> None:
        """On whatever it runs."""
        for disk in DomainXml.parse(self.domain.XMLDesc(0)).devices.disks:
            write_pattern(Path(disk.path), 9, 0, 1 << 16, disk.driver_type or "")
        self.tpm.parent.mkdir(exist_ok=True)
        self.tpm.write_text("more keys")

    def start_disposable(self) -> None:
        disposable.start_disposable(self.context, StartDisposable(self.key))

    def run_disposable(self) -> None:
        """To its end, with nobody there."""
        self.start_disposable()
        self.guest_works()
        self.end()

    def start_ordinarily(self) -> None:
        """By another program."""
        self.domain.live.write_text(self.domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
        self.guest_works()

    def end(self) -> None:
        """It is switched off, or the computer was restarted."""
        self.domain.live.unlink(missing_ok=True)

    def tidy_up(self) -> None:
        disposable.clean_up_all(self.context)

    def all_files(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in self.folder.rglob("*")
            if path.is_file() and path.name != "lock"
        }


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunHouse:
    monkeypatch.setattr("guivm.engine.settings.port_forwards.apply_after_start", lambda _domain: None)
    value = RunHouse(tmp_path / "h")
    value.folder.mkdir()
    value.build()
    return value


def test_killed_at_any_moment_before_it_runs_or_later(house: RunHouse, tmp_path: Path) -> None:
    kept = house.keep(tmp_path / "kept")
    before = house.all_files()

    def attempt(fault: Fault) -> Outcome:
        house.copy_of(kept)
        return in_child(house.start_disposable, fault)

    ran = []
    for fault, outcome in every(Harm.KILLED, attempt):
        ran.append(bool(house.domain.isActive()))
        house.tidy_up()
        if ran[-1]:
            house.guest_works()
            house.tidy_up()
            assert marks.disposable_folders(house.domain.XMLDesc(0)), fault
            assert house.tpm.read_text() == "more keys", "it is at work"
            house.end()
            house.tidy_up()
        assert house.all_files() == before, (fault, outcome)
    assert len(ran) > 10
    assert ran[0] is False
    assert ran[-1] is True


def test_killed_at_any_moment_while_it_is_thrown_away(house: RunHouse, tmp_path: Path) -> None:
    before = house.all_files()
    house.run_disposable()
    ended = house.keep(tmp_path / "ended")

    def attempt(fault: Fault) -> Outcome:
        house.copy_of(ended)
        return in_child(house.tidy_up, fault)

    outcomes = []
    for fault, outcome in every(Harm.KILLED, attempt):
        outcomes.append(outcome)
        house.tidy_up()
        assert house.all_files() == before, fault
    assert outcomes.count(Outcome.KILLED) > 5


def test_its_tpm_is_its_own_again_before_it_is_started(house: RunHouse) -> None:
    """By the command line, say, before any window has looked after it."""
    before = house.all_files()
    house.run_disposable()
    require_startable(house.context, house.key)
    assert house.all_files() == before
    house.start_ordinarily()
    house.end()
    house.tidy_up()
    assert house.tpm.read_text() == "more keys"


@pytest.mark.parametrize("runs_on", [True, False])
def test_what_an_ordinary_run_has_told_the_tpm_since_is_kept(house: RunHouse, runs_on: bool) -> None:
    """Another program started it before this one could put the TPM back."""
    house.run_disposable()
    house.start_ordinarily()
    house.tpm.write_text("the disk's key")
    if not runs_on:
        house.end()
    house.tidy_up()
    assert house.tpm.read_text() == "the disk's key"
    assert not list(house.images.rglob(disposable.FOLDER))
    house.end()
    house.tidy_up()
    assert house.tpm.read_text() == "the disk's key"


def test_one_that_had_no_tpm_state_yet_has_none_again(house: RunHouse) -> None:
    shutil.rmtree(house.tpm.parent)
    before = house.all_files()
    house.run_disposable()
    assert house.tpm.exists()
    house.tidy_up()
    assert house.all_files() == before
    assert not house.tpm.parent.exists()
