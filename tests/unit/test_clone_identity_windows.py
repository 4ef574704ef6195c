"""Windows in a clone and Sysprep: what is done after what, whatever is cut short."""

from __future__ import annotations

import pytest

from guivm.engine.cloning import sysprep
from guivm.engine.cloning.agent import Ended, SilentError
from guivm.engine.cloning.sysprep import SYSPREP_S, Stage, State, advance
from guivm.engine.xml.domain import DomainXml
from guivm.errors import OperationError, UnsupportedError

CARDS = ("52:54:00:00:00:01", "52:54:00:00:00:02")
GENERALISED = "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE"


class CutError(Exception):
    """The application ends here."""


class Clone:
    """A Windows that does as it should. ``cut``: the application ends before that call."""

    def __init__(self, cut: int = -1) -> None:
        self.cut, self.calls = cut, 0
        self.kept: State | None = State(cards=CARDS)
        self.connected_later: set[str] = set()
        self.connected_now: set[str] = set()
        self.image = "IMAGE_STATE_COMPLETE"
        self.runs = 0
        self.is_listed = False  # among the guest's processes
        self.identity = "the source's"

    def _call(self) -> None:
        assert not self.connected_now or self.identity == "its own", "seen by others as its source"
        self.calls += 1
        if self.calls == self.cut:
            raise CutError

    def start_sysprep(self) -> int:
        self._call()
        self.runs += 1
        self.image = GENERALISED
        return 7

    def sysprep_ended(self, process: int) -> Ended | None:
        self._call()
        if process != 7:
            raise UnsupportedError("no such process")
        return Ended(0, "")

    def sysprep_runs(self) -> bool:
        self._call()
        return self.is_listed

    def image_state(self) -> str:
        self._call()
        return self.image

    def last_errors(self) -> str:
        self._call()
        return "SYSPRP Package X was installed for a user"

    def restart(self) -> None:
        self._call()
        if self.image == GENERALISED:
            self.image, self.identity = "IMAGE_STATE_SPECIALIZE_RESEAL_TO_OOBE", "its own"

    def unplug(self) -> tuple[str, ...]:
        self._call()
        return ()

    def plug(self, cards: tuple[str, ...], *, now: bool) -> None:
        self._call()
        self.connected_later |= set(cards)
        if now:
            self.connected_now |= set(cards)

    def are_unplugged(self, cards: tuple[str, ...]) -> bool:
        return not set(cards) <= self.connected_later

    def note(self, state: State | None) -> None:
        self._call()
        self.kept = state


def go_on(clone: Clone, now_s: int = 1000) -> None:
    for step in range(20):
        if clone.kept is None:
            return
        advance(clone.kept, clone, now_s + step * 30)
    pytest.fail("it does not end")


def test_it_is_disconnected_until_it_is_another() -> None:
    clone = Clone()
    go_on(clone)
    assert (clone.connected_later, clone.connected_now, clone.runs) == (set(CARDS), set(CARDS), 1)


@pytest.mark.parametrize("cut", range(1, 16))
def test_whenever_the_application_ends_the_next_one_goes_on(cut: int) -> None:
    clone = Clone(cut)
    try:
        go_on(clone)
        assert cut > clone.calls, "it was not cut"
    except CutError:
        assert clone.kept is not None
        go_on(clone)
    assert (clone.kept, clone.connected_now, clone.runs) == (None, set(CARDS), 1)


def test_a_sysprep_whose_number_was_lost_is_neither_begun_again_nor_given_up() -> None:
    clone = Clone()
    clone.is_listed = True
    state = State(Stage.RUNS, CARDS, since_s=1000)
    assert advance(state, clone, 1010) == state, "it runs, though nothing of Windows is changed yet"
    clone.is_listed, clone.image = False, GENERALISED
    sealed = advance(state, clone, 1020)
    assert sealed is not None
    assert (sealed.stage, clone.runs) == (Stage.SEALED, 0)
    clone.image = "IMAGE_STATE_UNDEPLOYABLE"
    with pytest.raises(OperationError, match="Sysprep"):
        advance(state, clone, 1030)


def test_an_agent_that_falls_silent_when_it_is_to_begin_is_asked_later() -> None:
    class Silent(Clone):
        def start_sysprep(self) -> int:
            super().start_sysprep()
            raise SilentError("later")

    clone = Silent()
    begun = advance(State(cards=CARDS), clone, 1000)
    assert begun == State(Stage.RUNS, CARDS, since_s=1000) == clone.kept
    go_on(clone)
    assert (clone.runs, clone.connected_now) == (1, set(CARDS))


def test_what_failed_without_cards_is_kept_until_it_is_dismissed() -> None:
    clone = Clone()
    with pytest.raises(OperationError, match="Sysprep"):
        advance(State(Stage.FAILED, (), why="so"), clone, 1000)
    assert clone.kept is not None


def test_what_failed_is_said_with_the_reason_and_stays_disconnected() -> None:
    clone = Clone()
    advance(State(cards=CARDS), clone, 1000)
    clone.image = "IMAGE_STATE_COMPLETE"
    assert clone.kept is not None
    with pytest.raises(OperationError, match="Sysprep") as caught:
        advance(clone.kept, clone, 1010)
    assert "Package X" in caught.value.details
    assert "/generalize" in caught.value.advice
    assert "disconnected" in caught.value.advice
    assert (clone.kept.stage, clone.connected_later) == (Stage.FAILED, set())
    with pytest.raises(OperationError, match="Sysprep") as again:
        advance(clone.kept, clone, 2000)
    assert "Package X" in again.value.details
    assert clone.runs == 1
    clone.connected_later = set(CARDS)  # by hand
    assert advance(clone.kept, clone, 3000) is None
    assert clone.kept is None


@pytest.mark.parametrize("silent", [False, True])
def test_it_is_not_waited_for_without_end(silent: bool) -> None:
    class Slow(Clone):
        def sysprep_ended(self, process: int) -> Ended | None:
            if silent:
                raise SilentError("later")
            return None

    clone = Slow()
    begun = advance(State(cards=CARDS), clone, 1000)
    clone.image = "IMAGE_STATE_UNDEPLOYABLE"
    assert begun is not None
    assert advance(begun, clone, 1000 + SYSPREP_S) == begun
    with pytest.raises(OperationError, match="Sysprep"):
        advance(begun, clone, 1001 + SYSPREP_S)
    assert not clone.connected_later


def test_an_agent_that_runs_nothing_is_an_error() -> None:
    class Strict(Clone):
        def start_sysprep(self) -> int:
            raise UnsupportedError("Its agent may not run programs (guest-exec).")

    clone = Strict()
    with pytest.raises(OperationError, match="Sysprep") as caught:
        advance(State(cards=CARDS), clone, 1000)
    assert "guest-exec" in caught.value.details


def test_cards_that_were_disconnected_stay_so() -> None:
    document = DomainXml.parse(
        "<domain><name>n</name><devices>"
        "<interface type='user'><mac address='52:54:00:00:00:01'/></interface>"
        "<interface type='user'><mac address='52:54:00:00:00:02'/><link state='down'/></interface>"
        "<interface type='user'><mac address='52:54:00:00:00:03'/><link state='up'/></interface>"
        "</devices></domain>"
    )
    sysprep.mark_due(document, "A copy", pull_links=True)
    assert [nic.link_state for nic in document.devices.interfaces] == ["down", "down", "down"]
    sysprep.plug_all(document)
    assert [nic.link_state for nic in document.devices.interfaces] == ["up", "down", "up"]
    assert "identity" not in document.to_text()
