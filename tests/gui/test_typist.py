"""Typing at a pace."""

from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot

from guivm.console.input.typist import MAX_RATE, Typist, expected_seconds
from guivm.console.typing import US, KeyEvent, events, find_layout, plan


class Guest:
    def __init__(self) -> None:
        self.events: list[KeyEvent] = []

    def send(self, code: int, keysym: int, pressed: bool) -> None:
        self.events.append(KeyEvent(code, keysym, pressed))

    def held(self) -> set[int]:
        down: set[int] = set()
        for event in self.events:
            (down.add if event.pressed else down.discard)(event.code)
        return down


@pytest.mark.parametrize("text", ["Hi!", "^é→x", "→", "", "a→"])
def test_all_is_typed_and_counted(qtbot: QtBot, text: str) -> None:
    guest = Guest()
    typist = Typist(guest.send)
    progress: list[tuple[int, int]] = []
    typist.progressed.connect(lambda done, total: progress.append((done, total)))
    made = plan(text, find_layout("de"))
    with qtbot.waitSignal(typist.finished, timeout=5000) as finished:
        typist.start(made, MAX_RATE)
        assert typist.is_typing
    assert finished.args == [True]
    assert guest.events == list(events(made))
    assert progress[-1] == (len(text), len(text))
    assert progress == sorted(progress)
    typist.deleteLater()


def test_cancel_releases_what_is_held(qtbot: QtBot) -> None:
    guest = Guest()
    typist = Typist(guest.send)
    with qtbot.waitSignal(typist.progressed, timeout=5000):
        typist.start(plan("ABCDEF", US), 1)
    assert guest.held() == {42}
    with qtbot.waitSignal(typist.finished, timeout=5000) as finished:
        typist.cancel()
    assert finished.args == [False]
    assert guest.held() == set()
    assert guest.events[-1] == KeyEvent(42, 0xFFE1, False)
    count = len(guest.events)
    typist.cancel()
    assert len(guest.events) == count
    typist.deleteLater()


def test_a_new_text_replaces_the_one_under_way(qtbot: QtBot) -> None:
    guest = Guest()
    typist = Typist(guest.send)
    ends: list[bool] = []
    typist.finished.connect(ends.append)
    with qtbot.waitSignal(typist.progressed, timeout=5000):
        typist.start(plan("AB", US), 1)
    with qtbot.waitSignal(typist.finished, timeout=5000, check_params_cb=lambda completely: completely):
        typist.start(plan("c", US), MAX_RATE)
    assert ends == [False, True]
    assert guest.held() == set()
    assert guest.events[-2:] == list(events(plan("c", US)))
    typist.deleteLater()


def test_the_one_who_sends_may_cancel(qtbot: QtBot) -> None:
    """A display that is gone stops the typing from inside."""
    sent: list[int] = []

    def send(code: int, keysym: int, pressed: bool) -> None:
        sent.append(code)
        typist.cancel()

    typist = Typist(send)
    with qtbot.waitSignal(typist.finished, timeout=5000) as finished:
        typist.start(plan("abc", US))
    assert finished.args == [False]
    assert not typist.is_typing
    assert set(sent) == {30}
    typist.deleteLater()


def test_the_time_it_takes() -> None:
    assert expected_seconds(plan("", US), 10) == 0
    assert expected_seconds(plan("a" * 50, US), 10) == 5
    # Each A after the first needs two events, and each event its own time.
    assert expected_seconds(plan("aa", US), MAX_RATE) == pytest.approx(0.04)
    assert expected_seconds(plan("a" * 10, US), 10_000) == expected_seconds(plan("a" * 10, US), MAX_RATE)
