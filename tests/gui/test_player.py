"""The player's window: keyboard, scrubber, pictures, videos, and files that cannot be played."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QColor, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QFileDialog, QSlider, QToolButton
from pytestqt.qtbot import QtBot

from guivm.console.recording.format import Chunk, RecordingHeader, RecordingWriter, write_recording
from guivm.console.recording.video_encoder import VideoFormat
from guivm.console.replay_source import ReplayState
from guivm.views.player_bar import Scrubber, clock_text
from guivm.views.player_window import PlayerWindow
from tests.helpers.recordings import HEADER, SECOND, connection, numbered, numbered_session, plain, record

Key = Qt.Key
Player = Callable[..., PlayerWindow]


@pytest.fixture
def player(qtbot: QtBot, tmp_path: Path) -> Iterator[Player]:
    windows: list[PlayerWindow] = []

    def make(recording: Path, ffmpeg: str = "ffmpeg") -> PlayerWindow:
        window = PlayerWindow(recording, pictures_dir=tmp_path / "pictures", videos_dir=tmp_path, ffmpeg=ffmpeg)
        windows.append(window)
        window.show()
        qtbot.waitUntil(lambda: window.source.replay_state is not ReplayState.LOADING, timeout=5000)
        return window

    yield make
    for window in windows:
        window.close()


@pytest.fixture
def long_session(tmp_path: Path) -> Path:
    """200 pictures, one each second."""
    return numbered_session(tmp_path / "a.guivm-rec", 200, SECOND)


def at(window: PlayerWindow, second: int) -> bool:
    fb = window.source.framebuffer
    exact = window.source.position_us == second * SECOND
    return exact and fb is not None and np.array_equal(fb.pixels, numbered(second))


def press(window: PlayerWindow, key: Qt.Key, *modifiers: Qt.KeyboardModifier) -> None:
    window.activateWindow()
    combined = Qt.KeyboardModifier.NoModifier
    for modifier in modifiers:
        combined |= modifier
    QTest.keyClick(window, key, combined)


def test_opens_with_title_and_first_picture(player: Player, long_session: Path) -> None:
    window = player(long_session)
    assert window.windowTitle().startswith("Debian")
    assert window.view.currentWidget() is window.console
    assert window.bar.position.text() == "0:00"
    assert window.bar.duration.text() == "3:19"
    assert window.play_action.text() == "Play"


def test_the_keyboard_does_everything(qtbot: QtBot, player: Player, long_session: Path) -> None:
    window = player(long_session)
    for key, modifiers, second in (
        (Key.Key_Right, (), 5),
        (Key.Key_Right, (), 10),
        (Key.Key_Left, (), 5),
        (Key.Key_Right, (Qt.KeyboardModifier.ShiftModifier,), 65),
        (Key.Key_Left, (Qt.KeyboardModifier.ShiftModifier,), 5),
        (Key.Key_Left, (), 0),
        (Key.Key_Left, (), 0),
        (Key.Key_Period, (), 1),
        (Key.Key_End, (), 199),
        (Key.Key_Home, (), 0),
    ):
        press(window, key, *modifiers)
        qtbot.waitUntil(partial(at, window, second), timeout=5000)
    press(window, Key.Key_Space)
    qtbot.waitUntil(lambda: window.source.replay_state is ReplayState.PLAYING, timeout=5000)
    assert window.play_action.text() == "Pause"
    press(window, Key.Key_Space)
    qtbot.waitUntil(lambda: window.source.replay_state is ReplayState.PAUSED, timeout=5000)
    for key, text in ((Key.Key_Plus, "2"), (Key.Key_Plus, "4"), (Key.Key_Minus, "2")):
        press(window, key)
        assert window.bar.speed_button.text().startswith(text)
    for _ in range(9):
        press(window, Key.Key_Minus)
    assert window.bar.speed_button.text().startswith("0")
    press(window, Key.Key_I)
    assert window.skip_action.isChecked()


def test_jumps_add_up_however_long_one_takes(qtbot: QtBot, player: Player, long_session: Path) -> None:
    window = player(long_session)
    for _ in range(12):
        window.forward_action.trigger()
    qtbot.waitUntil(lambda: at(window, 60), timeout=5000)


def test_full_screen_hides_its_bar_while_it_plays(qtbot: QtBot, player: Player, long_session: Path) -> None:
    window = player(long_session)
    press(window, Key.Key_F11)
    assert window.isFullScreen()
    assert window.bars.isVisible()
    window._hide_bar.timeout.emit()
    assert window.bars.isVisible()  # paused: somebody wants to do something
    window.source.play()
    qtbot.waitUntil(lambda: window.source.replay_state is ReplayState.PLAYING, timeout=5000)
    QTest.mouseMove(window, QPoint(10, 10))
    window._on_bar_due()
    assert not window.bars.isVisible()
    assert window.view.height() == window.stage.height()
    QTest.mouseMove(window.stage, QPoint(30, 30))
    qtbot.waitUntil(window.bars.isVisible, timeout=5000)
    press(window, Key.Key_Escape)
    assert not window.isFullScreen()
    assert window.view.height() < window.stage.height()


def test_a_click_plays_and_pauses_and_nothing_is_captured(qtbot: QtBot, player: Player, long_session: Path) -> None:
    window = player(long_session)
    QTest.mouseClick(window.stage, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, QPoint(50, 50))
    qtbot.waitUntil(lambda: window.source.replay_state is ReplayState.PLAYING, timeout=5000)
    QTest.mouseClick(window.stage, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, QPoint(50, 50))
    qtbot.waitUntil(lambda: window.source.replay_state is ReplayState.PAUSED, timeout=5000)


def test_the_scrubber(qtbot: QtBot, player: Player, long_session: Path) -> None:
    window = player(long_session)
    scrubber = window.bar.scrubber
    window.source.play()
    qtbot.waitUntil(lambda: window.source.replay_state is ReplayState.PLAYING, timeout=5000)
    middle = scrubber.rect().center()
    QTest.mousePress(scrubber, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, middle)
    qtbot.waitUntil(lambda: abs(window.source.position_us - 99.5 * SECOND) < 3 * SECOND, timeout=5000)
    assert window.source.replay_state is ReplayState.PAUSED
    QTest.mouseMove(scrubber, QPoint(0, middle.y()))
    qtbot.waitUntil(lambda: at(window, 0), timeout=5000)
    QTest.mouseRelease(scrubber, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, QPoint(0, middle.y()))
    qtbot.waitUntil(lambda: window.source.replay_state is ReplayState.PLAYING, timeout=5000)


def test_scrubber_counts_any_length(qtbot: QtBot) -> None:
    scrubber = Scrubber()
    qtbot.addWidget(scrubber)
    scrubber.resize(400, 30)
    for duration in (0, 1, 5 * SECOND, 366 * 86_400 * SECOND):
        scrubber.set_duration(duration)
        scrubber.show_time(duration)
        assert scrubber.time_at(400) == duration
        assert scrubber.time_at(-5) == 0


def test_clock() -> None:
    assert [clock_text(s * SECOND) for s in (-1, 0, 61, 3599, 3600, 360_000)] == [
        "0:00",
        "0:00",
        "1:01",
        "59:59",
        "1:00:00",
        "100:00:00",
    ]


def test_marks_are_shown(qtbot: QtBot, tmp_path: Path, player: Player) -> None:
    path = tmp_path / "a.guivm-rec"
    with path.open("xb") as stream:
        writer = RecordingWriter(stream.write, HEADER)
        writer.begin_segment()
        for chunk in connection([(0, numbered(0)), (SECOND, numbered(1))]):
            writer.write(chunk.time_us, chunk.data)
        writer.mark(2 * SECOND, "<b>Log-in</b>")
        writer.finish(4 * SECOND)
    window = player(path)
    assert [mark.text for mark in window.source.marks] == ["<b>Log-in</b>"]
    assert not window.grab().isNull()


def test_everything_has_a_name_and_an_accessible_name(player: Player, long_session: Path) -> None:
    window = player(long_session)
    widgets = [*window.bars.findChildren(QAbstractButton), *window.bars.findChildren(QSlider)]
    assert len(widgets) >= 9
    for widget in widgets:
        assert widget.objectName()
        assert widget.accessibleName()
    names = [button.objectName() for button in window.bar.findChildren(QToolButton)]
    assert len(set(names)) == len(names)


def test_screenshot(qtbot: QtBot, tmp_path: Path, player: Player, long_session: Path) -> None:
    window = player(long_session)
    window.seek(7 * SECOND)
    qtbot.waitUntil(lambda: at(window, 7), timeout=5000)
    for _ in range(2):
        press(window, Key.Key_S)
    qtbot.waitUntil(lambda: len(window.messages.texts) == 2, timeout=5000)
    first, second = sorted((tmp_path / "pictures").iterdir())
    assert first.name.startswith("Debian 2026-03-0")
    assert ".30.07" in first.name
    assert {first.suffix, second.suffix} == {".png"}
    blue, green, red = numbered(7)[0, 0, :3].tolist()
    assert QImage(str(first)).pixelColor(3, 3) == QColor(red, green, blue)


def test_export_from_the_menu_to_the_file(qtbot: QtBot, tmp_path: Path, player: Player) -> None:
    window = player(numbered_session(tmp_path / "a.guivm-rec", 20, 50_000))
    window.export_action.trigger()
    qtbot.waitUntil(lambda: window.findChild(QFileDialog) is not None, timeout=10_000)
    dialog = window.findChild(QFileDialog)
    assert isinstance(dialog, QFileDialog)
    assert dialog.nameFilters()[0].endswith("(*.webm)")
    dialog.close()
    path = tmp_path / "out.mp4"
    window._on_video_chosen(str(path))
    assert window.export_row.is_busy
    assert not window.export_action.isEnabled()
    qtbot.waitUntil(lambda: not window.export_row.is_busy, timeout=20_000)
    qtbot.waitUntil(lambda: bool(window.messages.texts), timeout=5000)
    assert "out.mp4" in window.messages.texts[-1]
    assert path.stat().st_size > 0
    assert window.export_action.isEnabled()
    window._on_video_chosen(str(path))
    qtbot.waitUntil(lambda: "exists already" in window.messages.texts[-1], timeout=10_000)


def test_cancelling_an_export(qtbot: QtBot, tmp_path: Path, player: Player) -> None:
    rng = np.random.default_rng(1)
    pictures = [(n * 40_000, rng.integers(0, 256, (240, 320, 4), dtype=np.uint8)) for n in range(80)]
    window = player(record(tmp_path / "a.guivm-rec", pictures))
    window._probe.ask()
    with qtbot.waitSignal(window._probe.found, timeout=10_000):
        pass
    window.findChildren(QFileDialog)[0].close()
    window.export(tmp_path / "out.webm", VideoFormat.WEBM)
    QTest.mouseClick(window.export_row.cancel_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not window.export_row.is_busy, timeout=10_000)
    assert window.messages.texts == ("The export was cancelled.",)
    assert not (tmp_path / "out.webm").exists()
    window.export(tmp_path / "out.webm", VideoFormat.WEBM)  # and closing while one is under way


def test_without_ffmpeg_it_says_what_to_install(qtbot: QtBot, player: Player, long_session: Path) -> None:
    window = player(long_session, ffmpeg="ffmpeg-that-is-not-there")
    window.export_action.trigger()
    qtbot.waitUntil(lambda: bool(window.messages.texts), timeout=10_000)
    assert "not installed" in window.messages.texts[0]
    assert window.export_action.isEnabled()


def test_a_file_that_cannot_be_played(qtbot: QtBot, tmp_path: Path, player: Player) -> None:
    path = tmp_path / "letter.guivm-rec"
    path.write_bytes(b"Dear recorder")
    window = player(path)
    assert window.view.currentWidget() is window.failure
    assert "not a session recording" in window.failure.text.text()
    assert not window.bar.isVisible()
    assert not window.play_action.isEnabled()
    assert window.messages.texts == ()
    press(window, Key.Key_Space)
    assert window.source.replay_state is ReplayState.FAILED


def test_a_damaged_file_plays_to_the_damage(qtbot: QtBot, tmp_path: Path, player: Player) -> None:
    chunks = [*connection([(0, plain(64, 48, 1, 2, 3))]), Chunk(2 * SECOND, b"\xee"), Chunk(90 * SECOND, b"x")]
    path = tmp_path / "a.guivm-rec"
    write_recording(path, RecordingHeader(64, 48, "", HEADER.started), [chunks])
    window = player(path)
    qtbot.waitUntil(lambda: bool(window.messages.texts), timeout=5000)
    assert len(window.messages.texts) == 1
    assert window.bar.duration.text() == "0:02"
    assert window.windowTitle().startswith("a.guivm-rec")
    window.seek(9 * SECOND)
    qtbot.waitUntil(lambda: window.source.replay_state is ReplayState.ENDED, timeout=5000)
    assert window.play_action.text() == "Play again"
