"""What a console offers beyond its picture: keys, clipboard, screenshots, recordings, status line, logging in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog, QLineEdit
from pytestqt.qtbot import QtBot

from guivm.console.frame import ClipboardPolicy, Head, KeyboardLeds, Quality, SourceSecurity
from guivm.console.input.desktop_shortcuts import DEFAULT_SHORTCUTS
from guivm.console.rfb.errors import CredentialNeed, RfbAuthError
from guivm.engine.types import VmState
from guivm.views.bridge import Bridge
from guivm.views.console_heads import HeadWindow
from guivm.views.dialogs.run_script import RunScriptDialog
from guivm.views.dialogs.type_text import TypeTextDialog
from guivm.views.messages import Message, Severity
from guivm.views.player_window import PlayerWindow
from guivm.views.settings import (
    AUTO_RESIZE,
    DESKTOP_SHORTCUTS,
    DISPLAY_QUALITY,
    KEY_COMBOS,
    PICTURE_DIR,
    TYPING_LAYOUT,
    Settings,
    for_vm,
)
from tests.helpers.console_stage import BLUE, Displays, Stage
from tests.helpers.fake_engine import FakeEngine

S = VmState
CTRL, ALT, DEL = 29, 56, 111


@pytest.fixture
def stage(
    qtbot: QtBot, bridge: Bridge, settings: Settings, fake_engine: FakeEngine, displays: Displays, tmp_path: Path
) -> Iterator[Stage]:
    settings.set(PICTURE_DIR, str(tmp_path / "pictures"))
    value = Stage(qtbot, bridge, settings, fake_engine, fake_engine.add_vm("debian", S.RUNNING))
    yield value
    value.page.features.close()


@pytest.fixture
def told(stage: Stage) -> list[Message]:
    messages: list[Message] = []
    stage.page.features.told.connect(messages.append)
    return messages


def run(stage: Stage, action_id: str) -> None:
    stage.page.features.run(action_id, stage.window)


# --- keys -------------------------------------------------------------------------------------------------


def test_ctrl_alt_del_is_pressed_and_released_in_order(stage: Stage, displays: Displays) -> None:
    source = stage.live(displays)
    run(stage, "send-ctrl-alt-del")
    pressed = [(code, down) for code, _keysym, down in source.keys]
    assert pressed == [(CTRL, True), (ALT, True), (DEL, True), (DEL, False), (ALT, False), (CTRL, False)]


def test_an_action_waits_for_the_picture(stage: Stage, displays: Displays) -> None:
    run(stage, "send-ctrl-alt-del")
    source = stage.live(displays)
    assert len(source.keys) == 6


def test_view_only_sends_nothing(stage: Stage, displays: Displays, told: list[Message]) -> None:
    source = stage.live(displays)
    run(stage, "view-only")
    assert stage.page.features.is_on("view-only")
    assert stage.page.features.status.view_only.isVisible()
    run(stage, "send-ctrl-alt-del")
    assert source.keys == []
    assert told[-1].severity is Severity.INFO
    run(stage, "view-only")
    run(stage, "send-ctrl-alt-del")
    assert len(source.keys) == 6


def test_the_send_keys_menu_has_the_persons_own_first(
    qtbot: QtBot, settings: Settings, stage: Stage, displays: Displays
) -> None:
    from guivm.views.send_keys_menu import SendKeysMenu

    stage.live(displays)
    settings.set(KEY_COMBOS, ["Ctrl+Alt+F2 = Second console", "no such key"])
    menu = SendKeysMenu(settings, stage.window)
    menu.aboutToShow.emit()
    texts = [action.text() for action in menu.actions()]
    assert texts[0] == "Second console (Ctrl+Alt+F2)"
    assert "Ctrl+Alt+Del" in texts
    with qtbot.waitSignal(menu.chosen) as chosen:
        menu.actions()[0].trigger()
    assert chosen.args == ["Ctrl+Alt+F2"]
    menu.aboutToShow.emit()
    assert [action.text() for action in menu.actions()] == texts


# --- pictures ---------------------------------------------------------------------------------------------


def test_a_screenshot_is_saved_under_the_vms_name(
    qtbot: QtBot, stage: Stage, displays: Displays, told: list[Message], tmp_path: Path
) -> None:
    stage.live(displays)
    run(stage, "screenshot")
    qtbot.waitUntil(lambda: bool(told))
    (path,) = (tmp_path / "pictures").iterdir()
    assert path.name.startswith("debian ")
    assert path.suffix == ".png"
    image = QImage(str(path))
    assert (image.width(), image.height()) == (40, 30)
    assert image.pixelColor(3, 3).blue() == 255
    assert told[0].severity is Severity.SUCCESS
    assert str(path) in told[0].text


def test_a_screenshot_goes_into_the_clipboard(stage: Stage, displays: Displays) -> None:
    stage.live(displays)
    run(stage, "copy-screenshot")
    image = QGuiApplication.clipboard().image()
    assert (image.width(), image.height()) == (40, 30)


def test_a_folder_that_cannot_be_written_is_said(
    qtbot: QtBot, settings: Settings, stage: Stage, displays: Displays, told: list[Message], tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    settings.set(PICTURE_DIR, str(blocked / "pictures"))
    stage.live(displays)
    run(stage, "screenshot")
    qtbot.waitUntil(lambda: bool(told))
    assert told[0].severity is Severity.ERROR
    told.clear()
    run(stage, "record-session")
    qtbot.waitUntil(lambda: bool(told))
    assert told[0].severity is Severity.ERROR
    assert not stage.page.features.is_on("record-session")
    assert not stage.page.features.status.record.isVisible()


# --- recording --------------------------------------------------------------------------------------------


def test_a_session_is_recorded_over_a_connection_of_its_own(
    qtbot: QtBot, stage: Stage, displays: Displays, told: list[Message], tmp_path: Path
) -> None:
    stage.live(displays)
    run(stage, "record-session")
    assert stage.page.features.is_on("record-session")
    qtbot.waitUntil(lambda: len(displays.sources) == 2)
    assert displays.sources[0].closed
    displays.sources[1].show(BLUE)
    assert stage.page.features.status.record.isVisible()
    stage.window.hide()
    assert stage.page.has_source, "what is recorded goes on while nobody looks"
    run(stage, "record-session")
    qtbot.waitUntil(lambda: bool(told))
    assert told[-1].severity is Severity.SUCCESS
    assert [path.suffix for path in (tmp_path / "pictures").iterdir()] == [".guivm-rec"]
    assert not stage.page.features.status.record.isVisible()
    label, play = told[-1].actions[0]
    assert label == "Play"
    play()
    player = stage.window.findChild(PlayerWindow)
    assert player is not None
    assert player.isVisible()
    with qtbot.waitSignal(player.destroyed):
        player.close()


# --- clipboard --------------------------------------------------------------------------------------------


def test_the_clipboard_is_not_shared_until_somebody_says_so(stage: Stage, displays: Displays) -> None:
    clipboard = QGuiApplication.clipboard()
    source = stage.live(displays)
    assert source.policy is ClipboardPolicy.OFF
    clipboard.setText("secret")
    source.clipboardReceived.emit("from the guest")
    assert source.clipboards == []
    assert clipboard.text() == "secret"


def test_the_clipboard_follows_its_policy(stage: Stage, displays: Displays, settings: Settings) -> None:
    clipboard = QGuiApplication.clipboard()
    clipboard.setText("one")
    source = stage.live(displays)
    stage.page.features.status.clipboardChosen.emit("to-guest")
    assert source.policy is ClipboardPolicy.TO_GUEST
    assert source.clipboards == ["one"]
    source.clipboardReceived.emit("from the guest")
    assert clipboard.text() == "one"
    stage.page.features.status.clipboardChosen.emit("both")
    source.clipboardReceived.emit("from the guest")
    assert clipboard.text() == "from the guest"
    assert source.clipboards == ["one"], "what came from the guest does not go back to it"
    clipboard.setText("two")
    assert source.clipboards == ["one", "two"]
    assert "both ways" in stage.page.features.status.clipboard.text()


def test_a_policy_is_remembered_for_its_vm(
    qtbot: QtBot, bridge: Bridge, settings: Settings, fake_engine: FakeEngine, displays: Displays, stage: Stage
) -> None:
    stage.page.features.preferences.set_clipboard("from-guest")
    again = Stage(qtbot, bridge, settings, fake_engine, stage.key)
    assert again.page.features.preferences.clipboard == "from-guest"
    other = Stage(qtbot, bridge, settings, fake_engine, fake_engine.add_vm("fedora", S.OFF))
    assert other.page.features.preferences.clipboard == "off"


# --- preferences ------------------------------------------------------------------------------------------


def test_auto_resize_and_quality_reach_the_console(stage: Stage, displays: Displays, settings: Settings) -> None:
    settings.set(DISPLAY_QUALITY, "fast")
    source = stage.live(displays)
    qualities = [source.quality]
    settings.set(DISPLAY_QUALITY, "best")
    qualities.append(source.quality)
    assert qualities == [Quality.FAST, Quality.BEST]
    run(stage, "auto-resize")
    assert settings.get(for_vm(AUTO_RESIZE, stage.key.uuid))
    assert stage.page.features.is_on("auto-resize")
    run(stage, "sound")
    assert source.sound


def test_the_desktops_shortcuts_are_those_the_console_knows() -> None:
    assert tuple(DESKTOP_SHORTCUTS.default) == DEFAULT_SHORTCUTS


def test_zooming_is_remembered(stage: Stage, displays: Displays, settings: Settings) -> None:
    stage.live(displays)
    console = stage.page.console
    assert console is not None
    console.set_zoom(1.0)
    run(stage, "zoom-in")
    assert console.zoom() == pytest.approx(1.1)
    run(stage, "zoom-out")
    run(stage, "zoom-out")
    assert console.zoom() == pytest.approx(0.9)


# --- status line ------------------------------------------------------------------------------------------


def test_the_status_line_tells_who_has_the_keyboard(qtbot: QtBot, stage: Stage, displays: Displays) -> None:
    source = stage.live(displays)
    console, status = stage.page.console, stage.page.features.status
    assert console is not None
    assert status.isVisible()
    assert "Click" in status.capture.text()
    assert "40 × 30" in status.size_label.text()
    console.capture()
    assert "Right Ctrl" in status.capture.text()
    source.ledsChanged.emit(KeyboardLeds.CAPS_LOCK | KeyboardLeds.NUM_LOCK)
    assert status.locks.text() == "Caps Num"
    source.securityChanged.emit(SourceSecurity.PLAIN)
    assert status.security.isVisible()
    assert "not encrypted" in status.security.toolTip()
    source.securityChanged.emit(SourceSecurity.LOCAL)
    assert not status.security.isVisible()
    stage.become(S.OFF)
    assert not status.isVisible()


def test_what_the_guest_refuses_is_said(stage: Stage, displays: Displays, told: list[Message]) -> None:
    source = stage.live(displays)
    source.refused.emit("The guest cannot show 4000 by 3000 pixels.")
    assert told[-1].summary == "The guest cannot show 4000 by 3000 pixels."


# --- logging in -------------------------------------------------------------------------------------------


def test_a_display_with_a_password_asks_for_it(qtbot: QtBot, stage: Stage, displays: Displays) -> None:
    qtbot.waitUntil(lambda: bool(displays.sources))
    error = RfbAuthError("a password is needed", advice="It wants a password.", needs=CredentialNeed.PASSWORD)
    displays.sources[0].fail(error)
    field = stage.page.findChild(QLineEdit, "credentials-password")
    user = stage.page.findChild(QLineEdit, "credentials-user")
    assert field is not None
    assert user is not None
    assert field.isVisible()
    assert not user.isVisible()
    assert stage.asked() == 1, "it does not try again by itself"
    QTest.keyClicks(field, "open sesame")
    QTest.keyClick(field, Qt.Key.Key_Return)
    stage.live(displays)
    assert displays.endpoints[-1].password == "open sesame"
    assert not field.isVisible()


# --- macros -----------------------------------------------------------------------------------------------


def test_a_macro_is_recorded_as_a_script(
    qtbot: QtBot, stage: Stage, displays: Displays, told: list[Message], tmp_path: Path
) -> None:
    stage.live(displays)
    console = stage.page.console
    assert console is not None
    run(stage, "record-macro")
    assert stage.page.features.is_on("record-macro")
    console.capture()
    QTest.keyClicks(console, "ls")
    QTest.keyClick(console, Qt.Key.Key_Return)
    console.release_capture()
    run(stage, "record-macro")
    assert not stage.page.features.is_on("record-macro")
    dialog = stage.window.findChild(QFileDialog, "save-macro")
    assert dialog is not None
    dialog.fileSelected.emit(str(tmp_path / "list.guivm"))
    dialog.close()
    qtbot.waitUntil(lambda: told[-1].severity is Severity.SUCCESS)
    text = (tmp_path / "list.guivm").read_text()
    assert "typeline ls" in text


def test_a_macro_of_nothing_is_none(stage: Stage, displays: Displays, told: list[Message]) -> None:
    stage.live(displays)
    run(stage, "record-macro")
    run(stage, "record-macro")
    assert "no macro" in told[-1].summary
    assert stage.window.findChild(QFileDialog, "save-macro") is None


# --- several screens --------------------------------------------------------------------------------------


def test_each_screen_gets_a_window_that_shows_its_part(qtbot: QtBot, stage: Stage, displays: Displays) -> None:
    source = stage.live(displays)
    picture = np.zeros((30, 80, 4), np.uint8)
    picture[:, 40:] = (0, 0, 255, 0)  # red at the right
    source.show(picture)
    source.set_heads((Head(1, 0, 0, 40, 30), Head(2, 40, 0, 40, 30)))
    run(stage, "open-screens")
    left, right = (stage.window.findChild(HeadWindow, f"head-window-{index}") for index in (0, 1))
    assert left is not None
    assert right is not None
    assert right.isVisible()
    assert right.windowTitle() == "debian, screen 2"
    assert right.console.current_image().pixelColor(3, 3).red() == 255
    assert left.console.current_image().pixelColor(3, 3).red() == 0
    assert right.console.current_image().width() == 40
    position = right.console.guest_to_widget(10, 5)
    assert position is not None
    QTest.mouseClick(right.console, Qt.MouseButton.LeftButton, pos=position.toPoint())
    assert source.pointers[-1][:2] == (50, 5)
    assert right.source is not None
    with qtbot.waitSignal(right.source.damaged):
        source.draw(60, 0, BLUE[:10, :10])
    assert right.console.current_image().pixelColor(22, 3).blue() == 255
    right.close()
    assert not right.isVisible()
    assert left.isVisible()


def test_one_screen_needs_no_window(stage: Stage, displays: Displays, told: list[Message]) -> None:
    stage.live(displays)
    run(stage, "open-screens")
    assert "only one" in told[-1].summary


# --- dialogs and videos -----------------------------------------------------------------------------------


def test_type_text_types_into_the_guest_and_remembers_the_layout(
    qtbot: QtBot, stage: Stage, displays: Displays, settings: Settings
) -> None:
    source = stage.live(displays)
    settings.set(for_vm(TYPING_LAYOUT, stage.key.uuid), "us")
    run(stage, "type-text")
    dialog = stage.window.findChild(TypeTextDialog)
    assert dialog is not None
    dialog.text.set_text("a")
    qtbot.waitUntil(dialog.primary.isEnabled)
    with qtbot.waitSignal(dialog.finished):
        dialog.primary.click()
    assert [(code, down) for code, _keysym, down in source.keys] == [(30, True), (30, False)]


def test_a_script_is_chosen_beside_the_console(stage: Stage, displays: Displays) -> None:
    stage.live(displays)
    run(stage, "run-script")
    dialog = stage.window.findChild(RunScriptDialog)
    assert dialog is not None
    assert dialog.isVisible()
    stage.page.features.close()
    assert not dialog.isVisible()


def test_a_video_is_recorded_to_a_file(
    qtbot: QtBot, stage: Stage, displays: Displays, told: list[Message], tmp_path: Path
) -> None:
    source = stage.live(displays)
    run(stage, "record-video")
    assert stage.page.features.is_on("record-video")
    qtbot.waitUntil(lambda: stage.page.features.tools.recordings.has_video)
    source.draw(0, 0, BLUE[:10, :10])
    run(stage, "record-video")
    qtbot.waitUntil(lambda: bool(told), timeout=20_000)
    assert told[-1].severity is Severity.SUCCESS, told[-1].text
    (path,) = (tmp_path / "pictures").iterdir()
    assert path.suffix in (".webm", ".mp4")
    assert path.stat().st_size > 0
