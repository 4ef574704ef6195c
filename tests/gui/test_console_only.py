"""``guivm console VM``: finds the VM by name or UUID, or says why not."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QCoreApplication
from pytestqt.qtbot import QtBot

from guivm.engine.requests import Start
from guivm.engine.types import HostState, VmState
from guivm.errors import GuivmError, HostError, VmNotFoundError
from guivm.views.bridge import Bridge
from guivm.views.console_only import ConsoleOnly
from guivm.views.settings import Settings
from tests.helpers.fake_engine import LOCAL, FakeEngine


def shows_window(only: ConsoleOnly) -> bool:
    return only.window is not None and only.window.isVisible()


@pytest.fixture
def quits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    told: list[int] = []
    monkeypatch.setattr(QCoreApplication, "quit", lambda: told.append(1))
    return told


@pytest.mark.parametrize("by", ["name", "uuid"])
def test_shows_the_console_and_acts_on_its_vm(
    qtbot: QtBot, bridge: Bridge, settings: Settings, fake_engine: FakeEngine, by: str
) -> None:
    fake_engine.add_vm("other")
    key = fake_engine.add_vm("debian")
    only = ConsoleOnly(bridge, settings, "debian" if by == "name" else key.uuid.upper())
    window = only.window
    assert window is not None
    assert window.isVisible()
    assert not window.actions_of_vm.action("detach-console").isVisible()
    window.actions_of_vm.action("start").trigger()
    assert [r.key for r in fake_engine.requests_of(Start)] == [key]
    qtbot.waitUntil(lambda: window.windowTitle() == "debian")
    window.actions_of_vm.action("quit").trigger()
    assert only.window is None
    assert only.error is None


def test_waits_for_a_host_that_connects(
    qtbot: QtBot, bridge: Bridge, settings: Settings, fake_engine: FakeEngine
) -> None:
    fake_engine.set_host(LOCAL, state=HostState.CONNECTING)
    only = ConsoleOnly(bridge, settings, "debian")
    assert not shows_window(only)
    fake_engine.add_vm("debian", announce=False)
    fake_engine.set_host(LOCAL, state=HostState.CONNECTED)
    qtbot.waitUntil(lambda: shows_window(only))
    assert only.window is not None
    only.window.close()


def test_unknown_vm_ends_the_loop_with_words(
    qtbot: QtBot, bridge: Bridge, settings: Settings, fake_engine: FakeEngine, quits: list[int]
) -> None:
    only = ConsoleOnly(bridge, settings, "nobody")
    fake_engine.set_host(LOCAL, state=HostState.CONNECTED)  # the list arrives
    qtbot.waitUntil(lambda: quits == [1])
    assert isinstance(only.error, VmNotFoundError)
    assert "nobody" in str(only.error)


def test_host_that_cannot_be_reached(
    qtbot: QtBot, bridge: Bridge, settings: Settings, fake_engine: FakeEngine, quits: list[int]
) -> None:
    fake_engine.set_host(LOCAL, state=HostState.FAILED, problem="The daemon did not start.", details="why")
    only = ConsoleOnly(bridge, settings, "debian")
    qtbot.waitUntil(lambda: quits == [1])
    error: GuivmError | None = only.error
    assert isinstance(error, HostError)
    assert error.details == "why"


def test_same_name_on_two_hosts_is_not_guessed(
    qtbot: QtBot, bridge: Bridge, settings: Settings, fake_engine: FakeEngine, quits: list[int]
) -> None:
    fake_engine.add_vm("debian")
    fake_engine.add_vm("debian", host=fake_engine.open_host("test:///other"))
    only = ConsoleOnly(bridge, settings, "debian")
    qtbot.waitUntil(lambda: quits == [1])
    assert isinstance(only.error, VmNotFoundError)


def test_a_vm_that_goes_takes_its_window_along(
    qtbot: QtBot, bridge: Bridge, settings: Settings, fake_engine: FakeEngine
) -> None:
    key = fake_engine.add_vm("debian", VmState.OFF)
    only = ConsoleOnly(bridge, settings, "debian")
    fake_engine.remove_vm(key)
    qtbot.waitUntil(lambda: only.window is None)
