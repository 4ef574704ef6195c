"""Operations on snapshots that come to harm at every moment: nothing is lost, and what was begun is settled."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from guivm.engine.snapshots import journal, recovering, steps, store
from guivm.engine.snapshots.journal import Entry, Journal
from guivm.engine.snapshots.naming import TRASH_NAME
from guivm.engine.snapshots.steps import Step
from guivm.errors import GuivmError
from tests.helpers.branch_house import UUID, House
from tests.helpers.crash import Fault, Harm, Outcome, every, in_child
from tests.helpers.other_user import as_user


def _one(house: House) -> None:
    house.take("first")
    house.guest_writes(3)


def _two(house: House) -> None:
    _one(house)
    house.take("second")
    house.guest_writes(4, 1 << 16)


def _long(house: House) -> None:
    """Images of different sizes: what is above the first is larger, what is above the second smaller."""
    house.take("base")
    house.guest_writes(6, 0, 1 << 16)
    house.take("first")
    house.guest_writes(7, 1 << 17, 1 << 19)
    house.take("second")
    house.guest_writes(8, 1 << 18, 1 << 16)


def _restored(house: House) -> None:
    _two(house)
    house.restore("first")
    house.guest_writes(5)


@dataclass(frozen=True, slots=True)
class Case:
    """``uses``: steps that it must consist of, or the test is about something else than its name says."""

    prepare: Callable[[House], None]
    operation: Callable[[House], object]
    uses: tuple[type[Step], ...]


CASES = {
    "take": Case(_one, lambda house: house.take("another"), (steps.MakeOverlay, steps.CopyFile, steps.Freeze)),
    "restore": Case(_two, lambda house: house.restore("first"), (steps.PutInPlace, steps.Quarantine)),
    "restore and keep": Case(_two, lambda house: house.restore("first", "kept"), (steps.Freeze, steps.PutInPlace)),
    "undo": Case(_restored, lambda house: house.undo(), (steps.PutInPlace, steps.Quarantine)),
    "delete by merging": Case(_long, lambda house: house.delete("second"), (steps.Merge, steps.Quarantine)),
    "delete by pulling": Case(_long, lambda house: house.delete("first"), (steps.Pull, steps.Quarantine)),
    "delete with all below": Case(
        _two, lambda house: house.delete("first", children=True), (steps.Merge, steps.Quarantine)
    ),
}


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        *((name, Harm.KILLED) for name in CASES),
        *((name, Harm.DISK_FULL) for name in CASES),
        *((name, Harm.FAILS_ONCE) for name in ("take", "restore and keep", "delete by merging")),
    ],
)
def test_whatever_happens_it_is_as_before_or_as_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, harm: Harm
) -> None:
    case = CASES[name]
    house = House(tmp_path / "h")
    house.folder.mkdir()
    house.build()
    case.prepare(house)
    before = house.contents()
    kept = house.keep(tmp_path / "kept")
    house.copy_of(kept)
    entries = _entries_begun(monkeypatch)
    case.operation(house)
    assert {type(step) for step in (*entries[0].prepare, *entries[0].finish)} >= set(case.uses)
    house.require_sound()
    after = house.contents()
    assert after != before

    def attempt(fault: Fault) -> Outcome:
        house.copy_of(kept)
        return in_child(lambda: case.operation(house), fault)

    seen = set()
    for fault, outcome in every(harm, attempt):
        seen.add(outcome)
        recovering.recover(house.context)
        house.require_sound()
        now = house.contents()
        assert now in (before, after), f"{fault}: {now}"
        if outcome in (Outcome.NOT_REACHED, Outcome.ENDED_WELL):
            assert now == after
        assert not journal.is_there(store.folder_of(house.images, UUID))
    assert len(seen) > 1
    # What is left is of use.
    house.take("afterwards")
    house.require_sound()


def _entries_begun(monkeypatch: pytest.MonkeyPatch) -> list[Entry]:
    found: list[Entry] = []
    real = Journal.begin

    def begin(folder: Path, entry: Entry) -> Journal:
        found.append(entry)
        return real(folder, entry)

    monkeypatch.setattr(Journal, "begin", staticmethod(begin))
    return found


@pytest.mark.parametrize("name", ["restore and keep", "delete by merging"])
def test_settling_may_be_cut_short_too(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    house = House(tmp_path / "h")
    house.folder.mkdir()
    house.build()
    case.prepare(house)
    before = house.contents()
    kept = house.keep(tmp_path / "kept")
    ends = []
    for number in (4, 12, 22, 30):
        house.copy_of(kept)
        assert in_child(lambda: case.operation(house), Fault(Harm.KILLED, number)) is Outcome.KILLED
        begun = house.keep(tmp_path / f"begun-{number}")

        def attempt(fault: Fault, begun: House = begun) -> Outcome:
            house.copy_of(begun)
            return in_child(lambda: recovering.recover(house.context), fault)

        found = []
        for _ in every(Harm.KILLED, attempt):
            recovering.recover(house.context)
            house.require_sound()
            found.append(house.contents())
        assert all(each == found[0] for each in found)  # once decided, it stays so
        ends.append(found[0] == before)
    assert ends[0] is True
    assert ends[-1] is False


# --- permissions ------------------------------------------------------------------------------------------

_SOMEBODY = 65534


@pytest.fixture
def somebodys() -> Iterator[House]:
    """A house of somebody's who is not root, with two branches from its first snapshot."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        if os.geteuid() == 0:
            os.chown(name, _SOMEBODY, _SOMEBODY)
        with as_user(_SOMEBODY):
            house = House(Path(name) / "h")
            house.folder.mkdir()
            house.build()
            _restored(house)
        yield house


def _unreadable(house: House, sibling: list[Path]) -> list[Path]:
    for path in sibling:
        path.chmod(0)
    return sibling


def _of_another(_house: House, sibling: list[Path]) -> list[Path]:
    for path in sibling:
        if os.geteuid() == 0:
            os.chown(path, 0, 0)
        path.chmod(0o600 if os.geteuid() == 0 else 0)
    return sibling


def _of_another_to_be_read(_house: House, sibling: list[Path]) -> list[Path]:
    for path in sibling:
        if os.geteuid() == 0:
            os.chown(path, 0, 0)
        path.chmod(0o444)
    return sibling


def _folder(house: House, _sibling: list[Path]) -> list[Path]:
    house.images.chmod(0o500)
    return [house.images]


def _own_folder(house: House, _sibling: list[Path]) -> list[Path]:
    folder = store.folder_of(house.images, UUID)
    folder.chmod(0o500)
    return [folder]


OPERATIONS: dict[str, Callable[[House], object]] = {
    "take": lambda house: house.take("another"),
    "restore": lambda house: house.restore("first"),
    "restore the sibling": lambda house: house.restore("second"),
    "restore and keep": lambda house: house.restore("first", "kept"),
    "undo": lambda house: house.undo(),
    "delete": lambda house: house.delete("first"),
    "delete the sibling": lambda house: house.delete("second"),
    "delete all": lambda house: house.delete("first", children=True),
}


@pytest.mark.parametrize("forbid", [_unreadable, _of_another, _of_another_to_be_read, _folder, _own_folder])
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_sibling_or_folder_that_is_forbidden_loses_nothing(
    somebodys: House, name: str, forbid: Callable[[House, list[Path]], list[Path]]
) -> None:
    """The operation is refused or done, never half."""
    house = somebodys
    before = house.contents()
    second = house.tree().find(house.find("second"))
    assert second is not None
    modes = {path: path.stat().st_mode for path in house.images.rglob("*")} | {
        house.images: house.images.stat().st_mode
    }
    forbidden = forbid(house, [Path(path) for path in second.images])
    was_done = True
    with as_user(_SOMEBODY):
        try:
            OPERATIONS[name](house)
        except GuivmError:
            was_done = False
            assert not journal.is_there(store.folder_of(house.images, UUID))
    for path in forbidden:
        for place in (path, *house.images.glob(f"{TRASH_NAME}/*.moved/*-{path.name}")):
            if place.exists():
                place.chmod(modes[path])
                if os.geteuid() == 0:
                    os.chown(place, _SOMEBODY, _SOMEBODY)
    with as_user(_SOMEBODY):
        house.require_sound()
        now = house.contents()
        if not was_done:
            assert now == before
        for title in (now.reads.keys() & before.reads.keys()) - {""}:
            assert now.reads[title] == before.reads[title]
        house.take("afterwards")
        house.require_sound()
