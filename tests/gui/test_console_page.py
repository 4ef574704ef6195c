"""The console page: connected while looked at, back after every interruption, and never a descriptor lost."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel, QPushButton
from pytestqt.qtbot import QtBot

from guivm.console.faces import ConsoleFace
from guivm.engine.requests import OpenConsole
from guivm.engine.types import VmState
from guivm.errors import ConsoleError, OperationError, UnsupportedError
from guivm.views.bridge import Bridge
from guivm.views.endpoint_connector import FIRST_DELAY_MS, LAST_DELAY_MS
from guivm.views.settings import CONSOLE_SCALE, Settings
from tests.helpers.console_stage import BLUE, Displays, Stage
from tests.helpers.fake_engine import FakeEngine

S = VmState


@pytest.fixture
def stage(qtbot: QtBot, bridge: Bridge, settings: Settings, fake_engine: FakeEngine, displays: Displays) -> Stage:
    return Stage(qtbot, bridge, settings, fake_engine, fake_engine.add_vm("debian", S.RUNNING))


def test_a_running_vm_connects_and_shows_its_picture(stage: Stage, displays: Displays) -> None:
    stage.live(displays)
    assert stage.shows(ConsoleFace.LIVE)
    assert stage.page.current_image().pixelColor(5, 5).blue() == 255
    assert stage.asked() == 1


def test_off_says_what_to_do_without_loading_the_console(
    qtbot: QtBot, bridge: Bridge, settings: Settings, fake_engine: FakeEngine, displays: Displays
) -> None:
    stage = Stage(qtbot, bridge, settings, fake_engine, fake_engine.add_vm("debian", S.OFF))
    assert stage.page.console is None
    button = stage.page.findChild(QPushButton, "console-start")
    assert button is not None
    assert button.isVisible()
    with qtbot.waitSignal(stage.page.actionRequested) as asked:
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    assert asked.args == ["start"]
    stage.become(S.RUNNING)
    stage.live(displays)
    assert stage.shows(ConsoleFace.LIVE)
    stage.become(S.OFF)
    assert button.isVisible()
    assert displays.sources[0].closed


def test_pause_keeps_the_last_frame(stage: Stage, displays: Displays) -> None:
    stage.live(displays)
    stage.become(S.PAUSED)
    assert stage.shows(ConsoleFace.PAUSED)
    assert not stage.page.current_image().isNull()
    assert stage.page.has_source
    stage.become(S.RUNNING)
    assert stage.shows(ConsoleFace.LIVE)
    assert stage.asked() == 1


def test_a_lost_host_is_unknown_and_the_connection_is_left_alone(stage: Stage, displays: Displays) -> None:
    source = stage.live(displays)
    stage.become(S.UNKNOWN)
    assert stage.shows(ConsoleFace.UNKNOWN)
    assert not source.closed
    stage.become(S.RUNNING)
    assert stage.shows(ConsoleFace.LIVE)
    assert stage.asked() == 1


def test_a_cut_connection_comes_back_by_itself(qtbot: QtBot, stage: Stage, displays: Displays) -> None:
    source = stage.live(displays)
    source.fail(ConsoleError("The display server went away."))
    assert stage.shows(ConsoleFace.RECONNECTING)
    assert "went away" in stage.page.problem
    qtbot.waitUntil(lambda: len(displays.sources) == 2)
    displays.sources[1].show(BLUE)
    assert stage.shows(ConsoleFace.LIVE)
    assert stage.page.problem == ""


def test_delays_grow_to_a_bound(qtbot: QtBot, stage: Stage, displays: Displays) -> None:
    source = stage.live(displays)
    displays.failure = OperationError("No display yet.")
    delays = [stage.page.connector.delay_ms]
    source.fail(ConsoleError("Cut."))
    while stage.page.connector.delay_ms < LAST_DELAY_MS:
        stage.page.connector.ask()
        before = stage.page.connector.delay_ms
        qtbot.waitUntil(lambda before=before: stage.page.connector.delay_ms != before or before == LAST_DELAY_MS)  # type: ignore[misc]
        delays.append(stage.page.connector.delay_ms)
    assert delays[0] == FIRST_DELAY_MS
    assert delays == sorted(delays)
    assert delays[-1] == LAST_DELAY_MS


def test_reconnect_button_does_not_wait(qtbot: QtBot, stage: Stage, displays: Displays) -> None:
    source = stage.live(displays)
    displays.failure = OperationError("Not now.")
    source.fail(ConsoleError("Cut."))
    qtbot.waitUntil(lambda: stage.asked() >= 3)
    displays.failure = None
    assert stage.page.console is not None
    button = stage.page.console.findChild(QPushButton, "console-reconnect")
    assert button is not None
    assert button.isVisible()
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(displays.sources) == 2)
    assert stage.page.connector.delay_ms == FIRST_DELAY_MS


def test_a_restart_of_the_vm_reconnects_at_once(qtbot: QtBot, stage: Stage, displays: Displays) -> None:
    source = stage.live(displays)
    displays.failure = OperationError("No.")
    source.fail(ConsoleError("Cut."))
    qtbot.waitUntil(lambda: stage.page.connector.delay_ms >= 4 * FIRST_DELAY_MS)
    displays.failure = None
    stage.become(S.OFF)
    stage.become(S.RUNNING)
    assert stage.page.connector.delay_ms == FIRST_DELAY_MS
    qtbot.waitUntil(lambda: len(displays.sources) == 2)


def test_unsupported_display_is_said_once_and_not_tried_again(
    qtbot: QtBot, bridge: Bridge, settings: Settings, fake_engine: FakeEngine, displays: Displays
) -> None:
    displays.failure = UnsupportedError("Its display is SPICE, which cannot be shown yet.")
    stage = Stage(qtbot, bridge, settings, fake_engine, fake_engine.add_vm("debian", S.RUNNING))
    qtbot.waitUntil(lambda: "SPICE" in stage.page.problem)
    assert not stage.page.connector.is_waiting
    stage.become(S.PAUSED)
    assert stage.asked() == 1


def test_no_graphics_asks_for_nothing(
    qtbot: QtBot, bridge: Bridge, settings: Settings, fake_engine: FakeEngine, displays: Displays
) -> None:
    stage = Stage(qtbot, bridge, settings, fake_engine, fake_engine.add_vm("d", S.RUNNING, has_graphics=False))
    assert stage.asked() == 0
    assert stage.page.console is None


def test_a_display_not_known_yet_is_asked_for(
    qtbot: QtBot, bridge: Bridge, settings: Settings, fake_engine: FakeEngine, displays: Displays
) -> None:
    fake_engine.hold(OpenConsole)
    key = fake_engine.add_vm("d", S.RUNNING, has_graphics=False, is_complete=False)
    stage = Stage(qtbot, bridge, settings, fake_engine, key)
    assert stage.shows(ConsoleFace.CONNECTING)
    assert stage.asked() == 1
    stage.become(S.RUNNING, has_graphics=True, is_complete=True)
    assert stage.asked() == 1, "the answer to the first question will do"
    stage.become(S.RUNNING, has_graphics=False, is_complete=True)
    fake_engine.fail_held(UnsupportedError("It has no display."))
    title = stage.page.findChild(QLabel, "console-idle-title")
    assert title is not None
    assert title.isVisible()
    assert title.text() == "No display"


def test_looking_away_gives_the_connection_back_after_a_while(qtbot: QtBot, stage: Stage, displays: Displays) -> None:
    source = stage.live(displays)
    stage.page._linger.setInterval(10)
    stage.page.hide()
    qtbot.waitUntil(lambda: source.closed)
    stage.page.show()
    qtbot.waitUntil(lambda: len(displays.sources) == 2)


def test_a_short_look_elsewhere_keeps_the_connection(stage: Stage, displays: Displays) -> None:
    source = stage.live(displays)
    stage.page.hide()
    stage.page.show()
    assert not source.closed
    assert stage.asked() == 1


def test_a_kept_console_stays_connected_unseen(stage: Stage, displays: Displays) -> None:
    source = stage.live(displays)
    stage.page.set_kept(True)
    stage.page.hide()
    assert not stage.page._linger.isActive()
    assert not source.closed


def test_an_answer_that_comes_too_late_is_closed(
    qtbot: QtBot, bridge: Bridge, settings: Settings, fake_engine: FakeEngine, displays: Displays
) -> None:
    fake_engine.hold(OpenConsole)
    stage = Stage(qtbot, bridge, settings, fake_engine, fake_engine.add_vm("debian", S.RUNNING))
    qtbot.waitUntil(lambda: len(fake_engine.held()) == 1)
    stage.become(S.OFF)
    monkey = fake_engine._vms[stage.key]
    fake_engine.change_vm(stage.key, state=S.RUNNING)  # the engine still answers the old request
    assert monkey.state is S.OFF
    fake_engine.release()
    qtbot.waitUntil(lambda: bool(displays.ours) and displays.all_given_back)
    assert displays.sources == []


def test_an_answer_for_a_page_that_is_gone_is_closed(
    qtbot: QtBot, bridge: Bridge, settings: Settings, fake_engine: FakeEngine, displays: Displays
) -> None:
    fake_engine.hold(OpenConsole)
    stage = Stage(qtbot, bridge, settings, fake_engine, fake_engine.add_vm("debian", S.RUNNING))
    qtbot.waitUntil(lambda: len(fake_engine.held()) == 1)
    stage.page.deleteLater()
    with qtbot.waitSignal(stage.page.destroyed):
        pass
    fake_engine.release()
    qtbot.waitUntil(lambda: bool(displays.ours) and displays.all_given_back)


@pytest.mark.parametrize(("key", "action"), [("P", "pause"), ("F", "fullscreen"), ("S", "take-snapshot")])
def test_host_key_commands(qtbot: QtBot, stage: Stage, displays: Displays, key: str, action: str) -> None:
    stage.live(displays)
    assert stage.page.console is not None
    with qtbot.waitSignal(stage.page.actionRequested) as asked:
        stage.page.console.hostCommand.emit(key)
    assert asked.args == [action]


def test_capture_is_told_and_released_when_looking_away(qtbot: QtBot, stage: Stage, displays: Displays) -> None:
    stage.live(displays)
    console = stage.page.console
    assert console is not None
    with qtbot.waitSignal(stage.page.captureChanged) as told:
        QTest.mouseClick(console, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, QPoint(250, 200))
    assert told.args == [True]
    with qtbot.waitSignal(stage.page.captureChanged) as told:
        stage.page.hide()
    assert told.args == [False]


def test_scale_follows_the_setting(stage: Stage, displays: Displays, settings: Settings) -> None:
    stage.live(displays)
    console = stage.page.console
    assert console is not None
    settings.set(CONSOLE_SCALE, "actual")
    assert console.scale_mode().value == "actual"
    settings.set(CONSOLE_SCALE, "nonsense")
    assert console.scale_mode().value == "fit"
