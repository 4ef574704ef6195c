"""What ends with a QObject: told once, whoever else has let go of it."""

from __future__ import annotations

import gc
import weakref

import shiboken6
from PySide6.QtCore import QObject
from pytestqt.qtbot import QtBot

from guivm.console.lifetime import on_destroyed


class Link:
    """Stands for what lives on a thread."""

    def __init__(self, ended: list[str]) -> None:
        self._ended = ended

    def close(self) -> None:
        self._ended.append("closed")


def test_it_is_told_when_the_parent_is_deleted(qtbot: QtBot) -> None:
    ended: list[str] = []
    parent = QObject()
    on_destroyed(QObject(parent), Link(ended).close)
    gc.collect()
    assert ended == []
    shiboken6.delete(parent)
    assert ended == ["closed"]


def test_it_is_kept_until_then_and_no_longer(qtbot: QtBot) -> None:
    owner = QObject()
    link = Link([])
    gone = weakref.ref(link)
    on_destroyed(owner, link.close)
    del link
    assert gone() is not None
    del owner
    assert gone() is None
