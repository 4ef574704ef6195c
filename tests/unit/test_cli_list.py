"""``guivm list`` prints what is known of every VM, and so waits until it is."""

from __future__ import annotations

import json
import threading

import pytest

from guivm.cli.main import build_parser
from guivm.cli.session import Session
from guivm.cli.verbs import chosen
from guivm.engine.types import HostState, VmInfo, VmState
from guivm.errors import HostError
from tests.helpers.fake_engine import LOCAL, FakeEngine
from tests.helpers.settings_stage import DOMAIN, with_difference

DEADLINE_S = 30.0


class Waiting:
    """``complete_vms`` of a host that is not complete, on a thread of its own."""

    def __init__(self, engine: FakeEngine) -> None:
        self.engine = engine
        self.result: list[VmInfo] | HostError | None = None
        engine.set_host(LOCAL, is_complete=False)
        self._session = Session(engine, as_json=False)
        self._session.connect([LOCAL])
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.result = self._session.complete_vms()
        except HostError as error:
            self.result = error

    def end(self) -> None:
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


def test_it_waits_for_details(engine: FakeEngine) -> None:
    key = engine.add_vm("a", vcpus=0, is_complete=False)
    waiting = Waiting(engine)
    assert waiting.result is None
    engine.change_vm(key, title="T", vcpus=2, is_complete=True)
    assert waiting.result is None
    engine.set_host(LOCAL, is_complete=True)
    waiting.end()
    assert waiting.result == list(engine.vms(LOCAL))


def test_a_host_that_is_lost_meanwhile_is_an_error(engine: FakeEngine) -> None:
    waiting = Waiting(engine)
    engine.set_host(LOCAL, state=HostState.RECONNECTING, problem="It went away.", is_complete=True)
    waiting.end()
    assert isinstance(waiting.result, HostError)
    assert "It went away." in str(waiting.result)


@pytest.mark.parametrize("words", [["list"], ["show", "web"]])
def test_json_tells_how_many_changes_wait(
    engine: FakeEngine, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Though the list has not come by that number yet."""
    key = engine.add_vm("web", VmState.RUNNING)
    engine.settings.put(key, DOMAIN, with_difference(DOMAIN))
    vm = engine.vm(key)
    assert vm is not None
    assert vm.pending == 0
    arguments = build_parser().parse_args([*words, "--json"])
    verb = chosen(arguments)
    assert verb is not None
    assert verb.run is not None
    session = Session(engine, as_json=True)
    session.connect([LOCAL])
    for state, count in ((VmState.RUNNING, 2), (VmState.OFF, 0)):
        engine.change_vm(key, state=state)
        assert verb.run(session, arguments) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told[0] if words == ["list"] else told)["pending"] == count
