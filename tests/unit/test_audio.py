"""Playing sound: which program is taken, and what becomes of samples that nobody takes in time."""

from __future__ import annotations

from pathlib import Path

import pytest

from guivm.console.vnc.audio import SoundPlayer, player_command
from guivm.errors import ConsoleError


def _player(directory: Path, name: str, script: str) -> None:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory))
    return directory


def test_the_first_that_is_there(programs: Path) -> None:
    assert player_command(2, 48_000) is None
    with pytest.raises(ConsoleError, match="Nothing on this computer"):
        SoundPlayer(2, 48_000)
    for name in ("pw-cat", "aplay", "paplay"):
        _player(programs, name, "exit 0")
        command = player_command(2, 48_000)
        assert command is not None
        assert command[0] == str(programs / name)
        assert any("48000" in word for word in command)


def test_samples_arrive(programs: Path, tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    _player(programs, "paplay", f"trap 'exit 0' TERM; exec /bin/cat > {heard}")
    player = SoundPlayer(2, 48_000)
    assert player.play(b"abcdefgh")
    process = player._process
    assert process.stdin is not None
    process.stdin.close()
    process.wait(10)
    player.close()
    assert heard.read_bytes() == b"abcdefgh"


def test_a_player_that_does_not_read_loses_whole_frames(programs: Path) -> None:
    """More than a pipe holds: neither blocks, nor changes left and right."""
    _player(programs, "paplay", "exec /bin/sleep 1000")
    player = SoundPlayer(2, 48_000)
    try:
        for _ in range(100):
            assert player.play(bytes(4 * 1000))
            assert len(player._rest) < 4
    finally:
        player.close()


def test_a_player_that_ends(programs: Path) -> None:
    _player(programs, "paplay", "exit 1")
    player = SoundPlayer(2, 48_000)
    player._process.wait(10)
    assert not player.play(b"abcd")
    player.close()
