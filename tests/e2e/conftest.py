"""End-to-end: the real application on a private screen, real libvirt, real QEMU."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.daemon import SessionDaemon
from tests.helpers.desk import Desk
from tests.helpers.xserver import x_server


@pytest.fixture(scope="session")
def display() -> Iterator[str]:
    with x_server() as name:
        yield name


@pytest.fixture
def daemon() -> Iterator[SessionDaemon]:
    with SessionDaemon() as value:
        yield value


@pytest.fixture
def desk(daemon: SessionDaemon, display: str, tmp_path: Path) -> Desk:
    return Desk(daemon, display, tmp_path)
