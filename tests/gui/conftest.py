"""What several tests of the window stand on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.helpers.console_stage import Displays
from tests.helpers.fake_engine import FakeEngine


@pytest.fixture
def displays(fake_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Displays]:
    value = Displays()
    monkeypatch.setattr(fake_engine, "_console", value.open)
    monkeypatch.setattr("guivm.console.rfb_source.make_source", value.make_source)
    yield value
    for ours in value.ours:
        ours.close()
