"""Names of pictures, and writing them."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import pytest
from PySide6.QtGui import QColor, QImage
from pytestqt.qtbot import QtBot

from guivm.console.screenshots import ScreenshotError, ScreenshotSaver, file_name, free_path, save_image

WHEN = datetime(2026, 11, 22, 16, 54, 21)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Debian 12", "Debian 12 2026-11-22 16.54.21.png"),
        ("../../etc/passwd", "-..-etc-passwd 2026-11-22 16.54.21.png"),
        ("...", "guivm 2026-11-22 16.54.21.png"),
        ("", "guivm 2026-11-22 16.54.21.png"),
        ("a\n\u202eb\0c", "a bc 2026-11-22 16.54.21.png"),
    ],
)
def test_names(name: str, expected: str) -> None:
    assert file_name(name, WHEN, ".png") == expected


def test_long_names_fit() -> None:
    name = file_name("ü" * 5000, WHEN, ".png")
    assert len(name.encode()) <= 220
    assert name.endswith(" 2026-11-22 16.54.21.png")


def _picture() -> QImage:
    image = QImage(40, 30, QImage.Format.Format_RGB32)
    image.fill(QColor(10, 20, 30))
    return image


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.png").symlink_to(tmp_path / "nowhere")
    paths = [save_image(_picture(), tmp_path, "a.png") for _ in range(3)]
    assert [path.name for path in paths] == ["a (2).png", "a (3).png", "a (4).png"]
    assert all(QImage(str(path)).pixelColor(5, 5) == QColor(10, 20, 30) for path in paths)
    assert not (tmp_path / "nowhere").exists()


def test_free_path_keeps_the_suffix(tmp_path: Path) -> None:
    (tmp_path / "a 16.54.21.guivm-rec").touch()
    assert free_path(tmp_path, "a 16.54.21.guivm-rec").name == "a 16.54.21 (2).guivm-rec"


def test_failures_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ScreenshotError, match="no picture"):
        save_image(QImage(), tmp_path, "a.png")
    (tmp_path / "file").touch()
    with pytest.raises(ScreenshotError) as caught:
        save_image(_picture(), tmp_path / "file" / "b", "a.png")
    assert "folder" in caught.value.advice

    def full(_fd: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ScreenshotError, match="No space left"):
        save_image(_picture(), tmp_path / "made", "a.png")
    assert list((tmp_path / "made").iterdir()) == []


def test_saver_tells_on_its_thread(qtbot: QtBot, tmp_path: Path) -> None:
    saver = ScreenshotSaver()
    with qtbot.waitSignal(saver.saved, timeout=5000) as caught:
        saver.save(_picture(), tmp_path, "Debian", WHEN)
    assert caught.args == [tmp_path / "Debian 2026-11-22 16.54.21.png"]
    with qtbot.waitSignal(saver.failed, timeout=5000):
        saver.save(QImage(), tmp_path, "Debian")
    saver.save(_picture(), tmp_path, "Debian", WHEN)
    saver.close()
    assert len(list(tmp_path.iterdir())) == 2
    saver.deleteLater()
