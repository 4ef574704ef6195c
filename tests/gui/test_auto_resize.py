"""The guest follows the window: asked once for each size, never in a loop."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot

from guivm.console.picture.auto_resize import AutoResize
from guivm.console.source import SourceFeature
from guivm.console.widget import ConsoleFace, ConsoleWidget, ScaleMode
from tests.helpers.fake_source import FakeSource
from tests.helpers.rfb_server import picture


@pytest.fixture(autouse=True)
def _no_button_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever other tests left pressed."""
    monkeypatch.setattr(QGuiApplication, "mouseButtons", lambda: Qt.MouseButton.NoButton)


@pytest.fixture
def source() -> FakeSource:
    value = FakeSource()
    value._features = SourceFeature.RESIZE
    return value


@pytest.fixture
def policy(qtbot: QtBot, source: FakeSource) -> Iterator[AutoResize]:
    value = AutoResize()
    value.set_view(805, 607)
    value.set_enabled(True)
    value.set_source(source)
    yield value
    value.set_source(None)
    value.deleteLater()
    source.deleteLater()


def test_asked_as_soon_as_there_is_somebody_to_ask(policy: AutoResize, source: FakeSource) -> None:
    assert source.sizes == []
    source.show(picture(640, 480))
    assert policy.is_active
    assert source.sizes == [(800, 607)], "widths are multiples of 8"


def test_not_without_the_feature_and_not_without_the_wish(policy: AutoResize, source: FakeSource) -> None:
    source.set_features(SourceFeature.POWER)
    source.show(picture(640, 480))
    assert not policy.is_active
    assert source.sizes == []
    source.set_features(SourceFeature.RESIZE)
    assert len(source.sizes) == 1
    policy.set_enabled(False)
    assert not policy.is_active
    policy.set_view(900, 700)
    assert not policy._timer.isActive()


def test_changes_are_collected(qtbot: QtBot, policy: AutoResize, source: FakeSource) -> None:
    source.show(picture(640, 480))
    source.sizes.clear()
    for width in range(810, 1010, 10):
        policy.set_view(width, 700)
    assert source.sizes == []
    qtbot.waitUntil(lambda: bool(source.sizes))
    assert source.sizes == [(1000, 700)]
    policy.set_view(1000, 700)
    assert not policy._timer.isActive(), "the same size again is no change"


def test_a_guest_that_wants_another_size_is_left_alone(policy: AutoResize, source: FakeSource) -> None:
    source.show(picture(640, 480))
    source.show(picture(800, 600))
    source.show(picture(1024, 768))
    assert source.sizes == [(800, 607)]
    assert not policy._timer.isActive()


def test_a_guest_that_has_the_size_is_not_asked(policy: AutoResize, source: FakeSource) -> None:
    source.show(picture(800, 607))
    assert source.sizes == []


@pytest.mark.parametrize(
    ("view", "asked"),
    [((100, 50), (320, 200)), ((20000, 17000), (16384, 16384)), ((1921, 1081), (1920, 1081))],
)
def test_limits(policy: AutoResize, source: FakeSource, view: tuple[int, int], asked: tuple[int, int]) -> None:
    policy.set_view(*view)
    source.show(picture(640, 480))
    assert source.sizes == [asked]


def test_not_while_something_is_dragged(
    qtbot: QtBot, policy: AutoResize, source: FakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.show(picture(640, 480))
    source.sizes.clear()
    looked: list[bool] = []
    pressed = [Qt.MouseButton.LeftButton]

    def buttons() -> Qt.MouseButton:
        looked.append(True)
        return pressed[0]

    monkeypatch.setattr(QGuiApplication, "mouseButtons", buttons)
    policy.set_view(1000, 700)
    qtbot.waitUntil(lambda: len(looked) == 2)
    assert source.sizes == []
    pressed[0] = Qt.MouseButton.NoButton
    qtbot.waitUntil(lambda: source.sizes == [(1000, 700)])


def test_a_lost_release_does_not_last_for_ever(
    qtbot: QtBot, policy: AutoResize, source: FakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.show(picture(640, 480))
    monkeypatch.setattr(QGuiApplication, "mouseButtons", lambda: Qt.MouseButton.LeftButton)
    policy._timer.setInterval(1)
    policy.set_view(1000, 700)
    qtbot.waitUntil(lambda: source.sizes[-1] == (1000, 700))


def test_the_console_asks_for_its_device_pixels(qtbot: QtBot, source: FakeSource) -> None:
    console = ConsoleWidget()
    qtbot.addWidget(console)
    console.resize(804, 604)  # with two pixels of frame on each side
    console.set_face(ConsoleFace.LIVE)
    console.set_scale_mode(ScaleMode.ACTUAL)
    console.set_source(source)
    console.show()
    qtbot.waitExposed(console)
    source.show(picture(1200, 900))
    assert console._bars.horizontal.isVisible()
    console.set_auto_resize(True)
    assert console.is_auto_resize()
    assert source.sizes == [(800, 600)]
    assert console._bars.horizontal.isHidden(), "the picture fits until the guest has answered"
    assert console.scale_mode() is ScaleMode.ACTUAL, "what was chosen is remembered"
    source.show(picture(792, 600))
    assert console.zoom() == 1, "nearly as large: not blurred for a few pixels"
    console.resize(1004, 704)
    qtbot.waitUntil(lambda: len(source.sizes) == 2)
    assert source.sizes[-1] == (1000, 700)
    console.set_auto_resize(False)
    source.show(picture(1200, 900))
    assert console._bars.horizontal.isVisible()
    console.set_source(None)


def test_a_second_source_is_asked_as_well(policy: AutoResize, source: FakeSource) -> None:
    source.show(picture(640, 480))
    other = FakeSource()
    other._features = SourceFeature.RESIZE
    policy.set_source(other)
    assert not policy.is_active
    other.show(picture(640, 480))
    assert other.sizes == [(800, 607)]
    policy.set_source(None)
    other.deleteLater()
