"""Cycles that hold QObjects die on the GUI thread, whoever allocates."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator

import pytest
from PySide6.QtCore import QObject
from pytestqt.qtbot import QtBot

from guivm.views.garbage import GarbageCollector


class Cycle:
    def __init__(self) -> None:
        self.itself = self
        self.qt = QObject()


@pytest.fixture
def automatic() -> Iterator[None]:
    """Python's own collection, which tests of Qt do without."""
    gc.enable()
    yield
    gc.disable()


@pytest.mark.usefixtures("automatic")
def test_a_worker_that_allocates_collects_nothing(qtbot: QtBot) -> None:
    parent = QObject()
    collector = GarbageCollector(parent)
    died_on: list[int] = []
    cycle = Cycle()
    weakref.finalize(cycle, lambda: died_on.append(threading.get_ident()))
    del cycle

    kept: list[list[int]] = []

    def allocate() -> None:
        kept.extend([] for _ in range(200_000))  # far beyond every threshold

    worker = threading.Thread(target=allocate)
    worker.start()
    worker.join()
    assert not died_on
    collector.check()
    assert died_on == [threading.get_ident()]
    collector.stop()
    assert gc.isenabled()
