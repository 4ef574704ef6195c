"""Preferences keep their types, whatever stands in the file."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QByteArray, QSettings
from pytestqt.qtbot import QtBot

from guivm.views import settings as s
from guivm.views.settings import Setting, Settings


def reopened(path: Path) -> Settings:
    return Settings(QSettings(str(path), QSettings.Format.IniFormat))


def test_defaults(settings: Settings) -> None:
    assert settings.get(s.PAGE) == "overview"
    assert settings.get(s.THUMBNAILS) is True
    assert settings.get(s.EXTRA_HOSTS) == []
    assert settings.get(s.GEOMETRY).isEmpty()


def test_values_survive(qapp: object, tmp_path: Path) -> None:
    path = tmp_path / "s.ini"
    first = reopened(path)
    first.set(s.PAGE, "console")
    first.set(s.THUMBNAILS, False)
    first.set(s.EXTRA_HOSTS, ["qemu:///system\nLab"])
    first.set(s.GEOMETRY, QByteArray(b"\x00\x01\xff"))
    first.set(Setting("n", 3), 7)
    first.sync()
    second = reopened(path)
    assert second.get(s.PAGE) == "console"
    assert second.get(s.THUMBNAILS) is False
    assert second.get(s.EXTRA_HOSTS) == ["qemu:///system\nLab"]
    assert second.get(s.GEOMETRY) == QByteArray(b"\x00\x01\xff")
    assert second.get(Setting("n", 3)) == 7


def test_several_hosts_and_none(settings: Settings) -> None:
    settings.set(s.EXTRA_HOSTS, ["a\n", "b\nB"])
    assert settings.get(s.EXTRA_HOSTS) == ["a\n", "b\nB"]
    settings.set(s.EXTRA_HOSTS, [])
    assert settings.get(s.EXTRA_HOSTS) == []


def test_nonsense_in_the_file_falls_back_to_the_default(qapp: object, tmp_path: Path) -> None:
    path = tmp_path / "s.ini"
    path.write_text("[n]\nnumber=many\n", encoding="utf-8")
    assert reopened(path).get(Setting("n/number", 3)) == 3


def test_changed_is_told_once_and_only_for_changes(qtbot: QtBot, settings: Settings) -> None:
    told: list[str] = []
    settings.changed.connect(told.append)
    settings.set(s.PAGE, "console")
    settings.set(s.PAGE, "console")
    settings.reset(s.PAGE)
    settings.reset(s.PAGE)
    assert told == ["window/page", "window/page"]
    assert settings.get(s.PAGE) == "overview"
