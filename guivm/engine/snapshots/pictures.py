"""The VM's screen at the moment of a snapshot, kept small beside the tree. Worker only."""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from guivm.engine.context import HandlerContext
from guivm.engine.files import write_new
from guivm.engine.job_types import Screenshot
from guivm.engine.requests import TakeScreenshot
from guivm.engine.snapshots.values import SnapshotId
from guivm.engine.types import VmKey
from guivm.errors import GuivmError

if TYPE_CHECKING:
    from PIL.Image import Image

_log = logging.getLogger(__name__)

WIDTH, HEIGHT = 800, 600
"""Largest size kept, in pixels: enough for the details and for a timeline on a screen with twice the resolution. A text
screen (720 × 400) stays as it is: sharper, smaller as PNG, and sooner done."""

_MAX_FILE_BYTES = 4 << 20
_MAX_PIXELS = 64 << 20


def path_of(folder: Path, snapshot: SnapshotId) -> Path:
    """Where a snapshot's picture is. Its name says nothing: an identity may hold any character."""
    return folder / f"{hashlib.sha256(snapshot.encode()).hexdigest()[:32]}.png"


def grab(context: HandlerContext, key: VmKey) -> bytes:
    """The first screen as a small PNG; empty when there is none to be had: no picture is worth failing for."""
    import libvirt

    from guivm.engine.display import take_screenshot

    try:
        shot = take_screenshot(context, TakeScreenshot(key))
        return shrunk(shot.data)
    except (GuivmError, libvirt.libvirtError, OSError, ValueError) as error:
        _log.info("no picture for a snapshot: %s", error)
        return b""


def shrunk(data: bytes) -> bytes:
    """The picture as PNG of at most WIDTH × HEIGHT. Raises OSError or ValueError for what is no picture."""
    from PIL import Image

    with Image.open(io.BytesIO(data), formats=("PNG", "PPM")) as image:
        if image.width * image.height > _MAX_PIXELS:
            raise ValueError("the picture is too large")
        return _png(image if image.mode == "RGB" else image.convert("RGB"))


def _png(image: Image) -> bytes:
    image.thumbnail((WIDTH, HEIGHT))
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=1)  # half the time for about the same size
    return out.getvalue()


def keep(folder: Path, snapshot: SnapshotId, data: bytes) -> bool:
    """Store a picture, replacing one of the same snapshot; False when it could not be."""
    if not data:
        return False
    path = path_of(folder, snapshot)
    try:
        path.unlink(missing_ok=True)
        write_new(path, data)
    except OSError as error:
        _log.warning("the picture of a snapshot could not be kept: %s", error)
        return False
    return True


def load(folder: Path, snapshot: SnapshotId) -> Screenshot | None:
    """The picture, or None when there is none."""
    path = path_of(folder, snapshot)
    try:
        if path.is_symlink() or path.stat().st_size > _MAX_FILE_BYTES:
            return None
        return Screenshot("image/png", path.read_bytes())
    except OSError:
        return None


def forget(folder: Path, snapshot: SnapshotId) -> None:
    """Remove the picture of a deleted snapshot."""
    with contextlib.suppress(OSError):
        path_of(folder, snapshot).unlink(missing_ok=True)
