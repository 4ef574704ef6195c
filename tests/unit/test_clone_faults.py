"""Clones that come to harm at every moment: there is a whole one or nothing of one, and the source is as it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import libvirt
import pytest

from guivm.engine.cloning import handlers
from guivm.engine.context import HandlerContext
from guivm.engine.requests import CloneVm, SetTemplate
from guivm.engine.snapshots import journal, recovering, store
from guivm.engine.snapshots.values import CloneKind, CloneSpec
from guivm.engine.xml.domain import DomainXml
from tests.helpers.branch_house import UUID, House
from tests.helpers.crash import Fault, Harm, Outcome, every, in_child
from tests.helpers.file_libvirt import FileConnection, FileDomain
from tests.helpers.image_oracles import chain, check_images, digest
from tests.helpers.small_libvirt import refusal


class NamedConnection(FileConnection):
    """Finds domains by their name too."""

    def lookupByName(self, name: str) -> FileDomain:
        for domain in self.listAllDomains(0):
            if domain.name() == name:
                return domain
        raise refusal(libvirt.VIR_ERR_NO_DOMAIN, "Domain not found")


class CloneHouse(House):
    @property
    def context(self) -> HandlerContext:
        return replace(super().context, connection=cast(Any, NamedConnection(self.folder / "domains")))

    def clone(self, kind: CloneKind) -> None:
        handlers.clone_vm(self.context, CloneVm(self.key, CloneSpec("copy", kind)))

    def clones(self) -> list[DomainXml]:
        domains = self.context.connection.listAllDomains(0)
        return [DomainXml.parse(d.XMLDesc(0)) for d in domains if d.UUIDString() != UUID]

    def reads(self, document: DomainXml) -> tuple[str, ...]:
        """What a guest of a definition reads, UEFI's variables included."""
        disks = [digest(disk.path, disk.driver_type or "") for disk in document.devices.disks]
        return (*disks, Path(document.os.nvram or "").read_text())

    def require_whole_or_nothing(self) -> None:
        documents = [self.document(), *self.clones()]
        needed = self.needed()
        for document in documents:
            needed.add(Path(document.os.nvram or ""))
            for disk in document.devices.disks:
                needed.update(path for path, _ in chain(disk.path, disk.driver_type or ""))
        own = {store.folder_of(self.images, UUID) / name for name in (store.TREE_NAME, "lock")}
        there = {path for path in self.images.rglob("*") if not path.is_dir()}
        assert there - own == needed
        check_images([path for path in needed if path.suffix == ".qcow2"], self._sound)
        tops = [Path(disk.path) for document in documents for disk in document.devices.disks]
        assert len(set(tops)) == len(tops), "one image of two VMs"
        assert all(path.stat().st_mode & 0o200 for path in tops)


@pytest.mark.parametrize("harm", Harm)
@pytest.mark.parametrize("kind", CloneKind)
def test_whatever_happens_it_is_whole_or_nothing(tmp_path: Path, kind: CloneKind, harm: Harm) -> None:
    house = CloneHouse(tmp_path / "h")
    house.folder.mkdir()
    house.build()
    kept = house.keep(tmp_path / "kept")
    source = house.reads(house.document())

    def attempt(fault: Fault) -> Outcome:
        house.copy_of(kept)
        return in_child(lambda: house.clone(kind), fault)

    seen = set()
    for fault, outcome in every(harm, attempt):
        seen.add(outcome)
        recovering.recover(house.context)
        house.require_whole_or_nothing()
        assert house.reads(house.document()) == source
        assert all(house.reads(clone) == source for clone in house.clones()), fault
        assert all(clone.metadata.settings.identity_why for clone in house.clones()), "and it says what is still due"
        if outcome in (Outcome.NOT_REACHED, Outcome.ENDED_WELL):
            assert len(house.clones()) == 1
        assert not journal.is_there(store.folder_of(house.images, UUID))
    assert len(seen) > 1


@pytest.mark.parametrize("harm", Harm)
def test_a_template_is_one_or_is_none(tmp_path: Path, harm: Harm) -> None:
    house = CloneHouse(tmp_path / "h")
    house.folder.mkdir()
    house.build()
    kept = house.keep(tmp_path / "kept")

    def attempt(fault: Fault) -> Outcome:
        house.copy_of(kept)
        return in_child(lambda: handlers.set_template(house.context, SetTemplate(house.key, True)), fault)

    for _, outcome in every(harm, attempt):
        recovering.recover(house.context)
        is_template = house.tree().is_template
        assert all(bool(path.stat().st_mode & 0o222) != is_template for path, _ in house.disks())
        if outcome in (Outcome.NOT_REACHED, Outcome.ENDED_WELL):
            assert is_template
