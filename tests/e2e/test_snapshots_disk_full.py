"""A guest runs while the file system of its images is really full: it stands still, goes on, and nothing is lost."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.helpers.full_disk import command

_DEADLINE_S = 120.0


@pytest.mark.parametrize("place", ["beside", "inside"])
def test_snapshots_of_a_running_guest_when_the_disk_is_full(place: str) -> None:
    """``beside``: they are files of their own; ``inside``: within its image."""
    done = subprocess.run(
        command(place),
        cwd=Path(__file__).parents[2],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
