"""The guest's sound, through whatever player of raw samples this computer has. No Qt; nothing blocks.

A player is a program that reads samples from its standard input: PulseAudio's (which PipeWire speaks, too), ALSA's, or
PipeWire's own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections import deque

from guivm.console.rfb.events import SoundBegan, SoundData, SoundEnded
from guivm.errors import ConsoleError

_END_S = 0.5
_SAMPLE_BYTES = 2
_STARTS, _STARTS_S = 5, 5.0  # so many players in so many seconds: a storm of beginnings is none of processes


def player_command(channels: int, rate: int) -> list[str] | None:
    """Arguments of the first player found on PATH, for signed 16-bit little-endian samples."""
    players = (
        ["paplay", "--raw", f"--rate={rate}", f"--channels={channels}", "--format=s16le", "--latency-msec=60"],
        ["aplay", "-q", "-t", "raw", "-f", "S16_LE", "-r", str(rate), "-c", str(channels), "-"],
        ["pw-cat", "--playback", "--raw", f"--rate={rate}", f"--channels={channels}", "--format=s16", "-"],
    )
    for player in players:
        path = shutil.which(player[0])
        if path is not None:
            return [path, *player[1:]]
    return None


class SoundPlayer:
    """One run of a player. What it does not take in time is left out: sound that is late is worth nothing."""

    def __init__(self, channels: int, rate: int) -> None:
        """Raises ConsoleError when there is no player."""
        command = player_command(channels, rate)
        if command is None:
            raise ConsoleError(
                "Nothing on this computer plays the guest's sound.",
                advice="Install pulseaudio-utils, alsa-utils or pipewire.",
            )
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            raise ConsoleError(
                f"The guest's sound cannot be played: {error.strerror or error}.", details=f"{command[0]}: {error}"
            ) from error
        assert self._process.stdin is not None
        self._fd = self._process.stdin.fileno()
        os.set_blocking(self._fd, False)
        self._frame = channels * _SAMPLE_BYTES
        self._rest = b""  # of the frame that was begun

    def play(self, samples: bytes) -> bool:
        """Whole frames. False: the player has ended."""
        data = self._rest + samples
        try:
            written = os.write(self._fd, data) if data else 0
        except BlockingIOError:
            written = 0
        except BrokenPipeError:
            return False
        # A pipe takes any number of bytes: a frame that was begun has to end, or the channels change places.
        self._rest = data[written : written + (len(self._rest) - written) % self._frame]
        return True

    def close(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.terminate()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class GuestSound:
    """From the session's sound events to a player that exists while there is something to hear."""

    def __init__(self, channels: int, rate: int) -> None:
        self._channels = channels
        self._rate = rate
        self._player: SoundPlayer | None = None
        self._starts: deque[float] = deque(maxlen=_STARTS)  # monotonic

    def hear(self, event: SoundBegan | SoundData | SoundEnded) -> str | None:
        """Answers why there will be no sound, or None."""
        if isinstance(event, SoundEnded):
            self.close()
            return None
        if self._player is None:
            now = time.monotonic()
            if len(self._starts) == _STARTS and now < self._starts[0] + _STARTS_S:
                return None
            self._starts.append(now)
            try:
                self._player = SoundPlayer(self._channels, self._rate)
            except ConsoleError as error:
                return str(error)
        if isinstance(event, SoundData) and not self._player.play(event.samples):
            self.close()
            return "The program that plays the guest's sound has ended."
        return None

    def close(self) -> None:
        if self._player is not None:
            self._player.close()
            self._player = None
