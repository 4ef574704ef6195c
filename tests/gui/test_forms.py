"""Shared form pieces: rows, sizes with units, paths."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QLocale, QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent, QValidator
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog, QLineEdit
from pytestqt.qtbot import QtBot

from guivm.views.dialogs.memory_field import MemoryField, stops
from guivm.views.forms import ElidedLabel, Form, FormRow, PathField, SizeSpin, Tone, dropped_path, plain_tooltip


@pytest.fixture
def spin(qtbot: QtBot) -> SizeSpin:
    value = SizeSpin()
    qtbot.addWidget(value)
    value.setLocale(QLocale(QLocale.Language.C))
    return value


def shown_tone(row: FormRow) -> Tone:
    return row.note.tone


def test_a_problem_replaces_the_help_and_is_told_to_screen_readers(qtbot: QtBot) -> None:
    form = Form()
    qtbot.addWidget(form)
    edit = QLineEdit(form)
    row = form.add_row("&Name", edit, "How it is called.")
    assert row.label.buddy() is edit
    assert edit.accessibleName() == "Name"
    assert edit.accessibleDescription() == "How it is called."

    row.set_problem("The name is in use.")
    assert row.problem == "The name is in use."
    assert shown_tone(row) is Tone.PROBLEM
    assert edit.accessibleDescription() == "The name is in use."
    assert edit.property("invalid") is True

    row.set_problem("It is rather long.", is_warning=True)
    assert shown_tone(row) is Tone.WARNING
    assert edit.property("invalid") is False

    row.set_problem("")
    assert row.note.text == "How it is called."
    assert shown_tone(row) is Tone.HELP


def test_problems_are_cleaned_to_one_plain_line(qtbot: QtBot) -> None:
    form = Form()
    qtbot.addWidget(form)
    row = form.add_row("Name", QLineEdit(form))
    row.set_problem("<b>evil</b>\n\u202enext")
    assert row.problem == "<b>evil</b> next"


@pytest.mark.parametrize(
    ("text", "mib"),
    [
        ("2 GiB", 2048),
        ("2g", 2048),
        ("1.5 GiB", 1536),
        ("1,5 gib", 1536),
        ("768 MiB", 768),
        ("768m", 768),
        ("4", 4096),
        ("2048", 2048),
        ("0.5T", 512 * 1024),
        ("2097152k", 2048),
    ],
)
def test_sizes_are_read_with_and_without_unit(spin: SizeSpin, text: str, mib: int) -> None:
    assert spin.validate(text, 0)[0] is QValidator.State.Acceptable
    assert spin.valueFromText(text) == mib


@pytest.mark.parametrize("text", ["", "G", "two", "-1 GiB", "1 PiB", "999999999999 TiB", "3 b"])
def test_what_is_no_size_is_not_accepted(spin: SizeSpin, text: str) -> None:
    assert spin.validate(text, 0)[0] is not QValidator.State.Acceptable


@pytest.mark.parametrize(
    ("mib", "text"), [(2048, "2 GiB"), (1536, "1.5 GiB"), (1000, "1000 MiB"), (512, "512 MiB"), (1152, "1.125 GiB")]
)
def test_sizes_are_shown_with_the_unit_that_fits(spin: SizeSpin, mib: int, text: str) -> None:
    assert spin.textFromValue(mib) == text
    assert spin.valueFromText(text) == mib


def test_steps_lead_to_round_sizes(spin: SizeSpin) -> None:
    spin.setValue(1000)
    spin.stepBy(1)
    assert spin.value() == 1024
    spin.setValue(2048)
    spin.stepBy(1)
    assert spin.value() == 2560
    spin.stepBy(-1)
    assert spin.value() == 2048
    spin.stepBy(-1)
    assert spin.value() == 1792


def test_typing_a_size_changes_the_value(spin: SizeSpin, qtbot: QtBot) -> None:
    spin.show()
    spin.selectAll()
    QTest.keyClicks(spin, "3 GiB")
    assert spin.value() == 3072


def test_slider_and_box_follow_each_other(qtbot: QtBot) -> None:
    field = MemoryField("memory")
    qtbot.addWidget(field)
    field.set_limit_mib(8192)
    field.slider.setValue(field.slider.maximum())
    assert field.mib() == 8192
    field.spin.setValue(1024)
    assert stops(8192)[field.slider.value()] == 1024
    field.spin.setValue(1000)
    assert field.mib() == 1000  # the slider shows the nearest stop and does not move the value
    assert stops(8192)[field.slider.value()] == 1024


def test_more_than_the_host_has_can_be_typed(qtbot: QtBot) -> None:
    field = MemoryField("memory")
    qtbot.addWidget(field)
    field.set_limit_mib(4096)
    field.set_mib(1024 * 1024)
    assert field.mib() == 1024 * 1024
    assert field.slider.value() == field.slider.maximum()


def make_path_field(qtbot: QtBot, start: Path) -> PathField:
    field = PathField("iso", "ISO image", "All files (*)", lambda: start)
    qtbot.addWidget(field)
    return field


def test_paths_are_typed_with_home_and_urls(qtbot: QtBot, tmp_path: Path) -> None:
    field = make_path_field(qtbot, tmp_path)
    assert field.path() is None
    field.edit.setText("~/a.iso")
    assert field.path() == Path.home() / "a.iso"
    field.edit.setText("file:///tmp/a%20b.iso")
    assert field.path() == Path("/tmp/a b.iso")
    with qtbot.waitSignal(field.pathChanged) as changed:
        field.edit.setText(" /tmp/c.iso ")
    assert changed.args == [Path("/tmp/c.iso")]


def test_a_dropped_file_becomes_its_path(qtbot: QtBot, tmp_path: Path) -> None:
    field = make_path_field(qtbot, tmp_path)
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile("/tmp/a b.iso")])
    event = QDropEvent(
        QPointF(3, 3), Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    )
    field.edit.dropEvent(event)
    assert field.path() == Path("/tmp/a b.iso")
    mime.setUrls([QUrl("https://example.org/a.iso")])
    assert dropped_path(mime) is None
    mime.setUrls([QUrl.fromLocalFile("/a"), QUrl.fromLocalFile("/b")])
    assert dropped_path(mime) is None


def test_browse_opens_a_dialog_and_takes_its_file(qtbot: QtBot, tmp_path: Path) -> None:
    field = make_path_field(qtbot, tmp_path)
    field.show()
    field.browse.click()
    dialog = field.findChild(QFileDialog, "iso-dialog")
    assert dialog is not None
    assert Path(dialog.directory().absolutePath()) == tmp_path
    dialog.fileSelected.emit(str(tmp_path / "x.iso"))
    assert field.path() == tmp_path / "x.iso"
    dialog.close()


def test_elided_text_keeps_the_whole_as_plain_tooltip(qtbot: QtBot) -> None:
    label = ElidedLabel("/a/very/long/path/<b>that</b>/goes/on/and/on/and/on.qcow2")
    qtbot.addWidget(label)
    label.resize(80, 20)
    label.show()
    assert "&lt;b&gt;" in label.toolTip()
    label.resize(2000, 20)
    qtbot.waitUntil(lambda: label.toolTip() == "")
    assert plain_tooltip("") == ""
