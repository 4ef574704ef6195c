"""Pictures to a video file, through ffmpeg. No Qt.

ffmpeg reads Matroska with uncompressed pictures (RFC 9559, codec V_UNCOMPRESSED) from its standard input: each picture
has its time, so only pictures that differ need to be sent. ffmpeg repeats them to a constant frame rate.
"""

from __future__ import annotations

import contextlib
import enum
import os
import shutil
import struct
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from fcntl import F_SETPIPE_SZ, fcntl
from pathlib import Path
from typing import TYPE_CHECKING

from guivm.errors import GuivmError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from guivm.console.frame import Framebuffer

FPS = 30
MAX_CANVAS_SIDE = 8192  # pixels; encoders refuse more

_PROBE_TIMEOUT_S = 10.0
_FINISH_TIMEOUT_S = 10.0
_KILL_TIMEOUT_S = 2.0
_WORDS_BYTES = 16 << 10  # kept of what ffmpeg says
_PIPE_BYTES = 1 << 20


class VideoError(GuivmError):
    """A video cannot be made, or ended early."""


class VideoFormat(enum.Enum):
    """Containers; the values are file suffixes."""

    WEBM = ".webm"
    MP4 = ".mp4"


@dataclass(frozen=True, slots=True)
class VideoSupport:
    """What can be made here. ``problem`` says why nothing can."""

    encoders: tuple[tuple[VideoFormat, str], ...] = ()  # in order of preference, one for each format
    problem: VideoError | None = None

    @property
    def formats(self) -> tuple[VideoFormat, ...]:
        return tuple(kind for kind, _encoder in self.encoders)

    def encoder(self, kind: VideoFormat) -> str:
        """ffmpeg's name of the encoder. Raises VideoError."""
        for known, encoder in self.encoders:
            if known is kind:
                return encoder
        raise self.problem or VideoError(
            f"The ffmpeg that is installed cannot make {kind.value[1:].upper()} videos.",
            advice="Choose another format, or install an ffmpeg with more encoders.",
        )


# Encoders by preference, and what makes them fast enough for a live screen.
_ENCODERS: dict[VideoFormat, dict[str, Sequence[str]]] = {
    VideoFormat.WEBM: {
        "libvpx-vp9": (
            *("-deadline", "realtime", "-cpu-used", "8", "-row-mt", "1", "-tile-columns", "2"),
            *("-tune-content", "screen", "-crf", "28", "-b:v", "0", "-g", "300"),
        ),
        "libvpx": ("-deadline", "realtime", "-cpu-used", "8", "-crf", "12", "-b:v", "6M", "-g", "300"),
    },
    VideoFormat.MP4: {
        "libx264": ("-preset", "veryfast", "-crf", "20", "-g", "300"),
        "libopenh264": ("-b:v", "6M", "-g", "300"),
    },
}


def probe_video(ffmpeg: str = "ffmpeg") -> VideoSupport:
    """Look what ffmpeg there is. Runs it: not for the GUI thread."""
    if shutil.which(ffmpeg) is None:
        return VideoSupport(
            problem=VideoError(
                "Video needs ffmpeg, which is not installed.",
                advice="Install the package “ffmpeg”, for example with “sudo apt install ffmpeg”.",
            )
        )
    try:
        done = subprocess.run(
            [ffmpeg, "-hide_banner", "-loglevel", "error", "-encoders"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PROBE_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return VideoSupport(problem=_unusable(str(error)))
    if done.returncode != 0:
        return VideoSupport(problem=_unusable(done.stderr.decode("utf-8", "replace")))
    # Lines like " V....D libvpx-vp9           libvpx VP9 (codec vp9)".
    lines = [line.split() for line in done.stdout.decode("utf-8", "replace").splitlines()]
    known = {fields[1] for fields in lines if len(fields) > 1}
    found = [
        (kind, encoder)
        for kind, choices in _ENCODERS.items()
        if (encoder := next((name for name in choices if name in known), ""))
    ]
    if not found:
        return VideoSupport(problem=_unusable("none of its encoders is for WebM or MP4"))
    return VideoSupport(tuple(found))


def _unusable(details: str) -> VideoError:
    return VideoError(
        "The ffmpeg that is installed cannot be used.",
        advice="Install the package “ffmpeg” of your distribution.",
        details=details,
    )


class VideoEncoder:
    """One ffmpeg that writes one file. For one thread, but for :meth:`cancel`.

    The file is made at once, so that the name is ours, and removed when no video came of it.
    """

    def __init__(
        self, path: Path, kind: VideoFormat, encoder: str, width: int, height: int, *, ffmpeg: str = "ffmpeg"
    ) -> None:
        """``width``, ``height``: of the canvas, pixels; odd ones grow by one. Raises VideoError."""
        if not (0 < width <= MAX_CANVAS_SIDE and 0 < height <= MAX_CANVAS_SIDE):
            raise VideoError(f"A screen of {width} by {height} pixels is too large for a video.")
        self.path = path
        self.width, self.height = width + width % 2, height + height % 2
        self._words = bytearray()
        self._cancelled = False
        self._removed = False
        _claim(path)
        command = [
            *(ffmpeg, "-hide_banner", "-loglevel", "error", "-nostdin", "-y"),
            *("-probesize", "32", "-analyzeduration", "0", "-f", "matroska", "-i", "pipe:0", "-an"),
            # The conversion comes before the repetition, so that it is done once for each picture.
            *("-vf", f"scale=out_color_matrix=bt709:out_range=tv,format=yuv420p,fps={FPS}:start_time=0"),
            *("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"),
            *("-c:v", encoder, *_ENCODERS[kind][encoder]),
            *("-f", kind.value[1:], f"file:{path}"),
        ]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,  # a Ctrl+C in our terminal is not meant for it
            )
        except OSError as error:
            path.unlink(missing_ok=True)
            raise _unusable(str(error)) from error
        assert self._process.stdin is not None
        self._pipe = self._process.stdin.fileno()
        with contextlib.suppress(OSError):
            fcntl(self._pipe, F_SETPIPE_SZ, _PIPE_BYTES)
        self._listener = threading.Thread(target=self._listen, name="guivm-ffmpeg-words", daemon=True)
        self._listener.start()
        self._begun = False

    def add(self, time_ms: int, picture: NDArray[np.uint8]) -> None:
        """A picture of the canvas (height, width, 4), B G R X; times go up. Waits for ffmpeg. Raises VideoError."""
        body = picture.reshape(-1).data
        head = b"" if self._begun else _matroska_head(self.width, self.height)
        self._begun = True
        try:
            self._write(head + _cluster_head(time_ms, len(body)))
            self._write(body)
        except OSError as error:
            raise self._failure() from error

    def finish(self) -> None:
        """End the file; on disk when it returns. Raises VideoError; then the file is gone, unless it can be played."""
        self._close_pipe()
        try:
            code = self._process.wait(_FINISH_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._end_process()
            self._remove()
            raise VideoError("The video could not be finished: ffmpeg does not end.", details=self._said()) from None
        self._end_process()
        if code != 0 or self._cancelled:
            raise self._failure()
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise VideoError(f"The video could not be written: {error.strerror}.", details=str(error)) from error

    def cancel(self) -> None:
        """From any thread: end at once; whoever is in :meth:`add` or :meth:`finish` gets an error."""
        self._cancelled = True
        with contextlib.suppress(OSError):
            self._process.kill()

    def discard(self) -> None:
        """End at once and remove the file. Safe after anything."""
        self.cancel()
        self._end_process()
        self._remove()

    def _write(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._pipe, view) :]

    def _listen(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as stream:
            while data := os.read(stream.fileno(), 4096):
                if len(self._words) < _WORDS_BYTES:
                    self._words += data[: _WORDS_BYTES - len(self._words)]

    def _said(self) -> str:
        return self._words.decode("utf-8", "replace")

    def _close_pipe(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def _end_process(self) -> None:
        self._close_pipe()
        if self._process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0 if self._cancelled else _KILL_TIMEOUT_S)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._listener.join()

    def _failure(self) -> VideoError:
        """ffmpeg has ended, or is made to: why, in words. The file goes."""
        self._end_process()
        self._remove()
        said = self._said()
        if self._cancelled:
            return VideoError("The video was cancelled.", details=said)
        if "No space left" in said or "File too large" in said:
            return VideoError(
                "The video was ended: the disk is full.", advice="Make room, or save it elsewhere.", details=said
            )
        return VideoError(
            "The video was ended: ffmpeg failed.",
            advice="The details hold its own words.",
            details=said or f"It ended with code {self._process.returncode}.",
        )

    def _remove(self) -> None:
        """Once: the name may be another file's by now."""
        if self._removed:
            return
        self._removed = True
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)


def _claim(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError as error:
        raise VideoError(
            f"“{path.name}” exists already.", advice="Choose another name; nothing is ever overwritten."
        ) from error
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else "") or str(error)
        raise VideoError(f"The video cannot be made: {reason}.", details=str(error)) from error


def fitted(framebuffer: Framebuffer, width: int, height: int) -> NDArray[np.uint8]:
    """A copy of the guest's picture in the middle of a canvas: as large as a whole factor allows, or made smaller.

    Only a canvas smaller than the picture costs sharpness: there each pixel is the mean of those it stands for.
    """
    import numpy as np

    pixels = framebuffer.pixels
    if framebuffer.width > width or framebuffer.height > height:
        pixels = _shrunk(pixels, width, height)
    factor = max(1, min(width // pixels.shape[1], height // pixels.shape[0]))
    if factor > 1:
        pixels = pixels.repeat(factor, axis=0).repeat(factor, axis=1)
    canvas = np.zeros((height, width, 4), dtype=np.uint8)
    top, left = (height - pixels.shape[0]) // 2, (width - pixels.shape[1]) // 2
    canvas[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return canvas


def _shrunk(pixels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    import numpy as np

    rows, columns = pixels.shape[:2]
    scale = min(width / columns, height / rows)
    new_width, new_height = max(1, int(columns * scale)), max(1, int(rows * scale))
    xs = np.arange(new_width + 1) * columns // new_width
    ys = np.arange(new_height + 1) * rows // new_height
    sums = np.add.reduceat(np.add.reduceat(pixels, ys[:-1], axis=0, dtype=np.uint32), xs[:-1], axis=1, dtype=np.uint32)
    areas = np.diff(ys)[:, None, None] * np.diff(xs)[None, :, None]
    shrunk: NDArray[np.uint8] = (sums // areas).astype(np.uint8)
    return shrunk


# --- Matroska (RFC 9559): as much of it as a stream of pictures needs ---------------------------------------


def _element(identifier: int, body: bytes) -> bytes:
    return _identifier(identifier) + _size(len(body)) + body


def _identifier(identifier: int) -> bytes:
    return identifier.to_bytes((identifier.bit_length() + 7) // 8, "big")


def _size(size: int) -> bytes:
    return (size | 1 << 56).to_bytes(8, "big")


def _number(identifier: int, value: int) -> bytes:
    return _element(identifier, value.to_bytes(8, "big"))


def _matroska_head(width: int, height: int) -> bytes:
    ebml = _element(0x1A45DFA3, _element(0x4282, b"matroska") + _number(0x4287, 4) + _number(0x4285, 2))
    segment = _identifier(0x18538067) + b"\x01" + b"\xff" * 7  # of unknown size
    info = _element(0x1549A966, _number(0x2AD7B1, 1_000_000))  # times are milliseconds
    video = _number(0xB0, width) + _number(0xBA, height) + _element(0x2EB524, b"BGRA")
    track = _number(0xD7, 1) + _number(0x73C5, 1) + _number(0x83, 1) + _element(0x86, b"V_UNCOMPRESSED")
    tracks = _element(0x1654AE6B, _element(0xAE, track + _element(0xE0, video)))
    return ebml + segment + info + tracks


def _cluster_head(time_ms: int, length: int) -> bytes:
    """All of a cluster of one picture but the picture."""
    block = struct.pack(">BhB", 0x81, 0, 0x80)  # track 1, at the cluster's time, a key frame
    head = _number(0xE7, time_ms) + _identifier(0xA3) + _size(len(block) + length) + block
    return _identifier(0x1F43B675) + _size(len(head) + length) + head
