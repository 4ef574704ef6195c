"""Pictures in files and on the screen: reading, finding, comparing. numpy and Pillow; no input or output but files."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from guivm.automation.statements import MAX_COORDINATE, Point
from guivm.console.frame import Rect
from guivm.errors import GuivmError, OperationError

if TYPE_CHECKING:
    from PIL.Image import Image

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

_MAX_FILE_BYTES = 64 << 20
_MAX_PIXELS = 1 << 26
_PROBES = 24  # pixels of the picture that are looked for at every place of the screen
_BUDGET = 1 << 28  # pixels compared at the places that are left; then the search gives up
_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".bmp": "BMP", ".gif": "GIF", ".ppm": "PPM"}


class Picture:
    """A picture to look for: ``rgb`` is uint8 (height, width, 3); ``opaque`` is false where anything fits."""

    def __init__(self, rgb: Pixels, opaque: Mask | None = None) -> None:
        self.rgb = rgb
        self.height, self.width = rgb.shape[:2]
        shape = (self.height, self.width)
        self.opaque: Mask = np.ones(shape, np.bool_) if opaque is None else opaque
        self._places = _probes(self)

    @property
    def probes(self) -> NDArray[np.intp]:
        """(count, 2): rows and columns of pixels that tell this picture from others, the best first."""
        return self._places


def read_picture(path: Path) -> Picture:
    """Raises OperationError for a file that is missing, too large, or no picture."""
    from PIL import Image, UnidentifiedImageError

    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise OperationError(f"The picture “{path}” is larger than 64 MiB.")
        with Image.open(path, formats=sorted(set(_FORMATS.values()))) as image:
            if image.width * image.height > _MAX_PIXELS or max(image.size) > MAX_COORDINATE:
                raise OperationError(f"The picture “{path}” is {image.width} by {image.height} pixels: too large.")
            rgba = np.asarray(image.convert("RGBA"), dtype=np.uint8)
    except (UnidentifiedImageError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise OperationError(f"“{path}” is no picture that can be read.", details=str(error)) from error
    except OSError as error:
        raise OperationError(f"The picture “{path}” cannot be read: {error.strerror or error}.") from error
    opaque = rgba[:, :, 3] >= 128
    if not opaque.any():
        raise OperationError(f"The picture “{path}” is transparent everywhere.")
    return Picture(np.ascontiguousarray(rgba[:, :, :3]), opaque)


def check_name(path: Path) -> None:
    """Raises OperationError for a file name under which no picture can be saved."""
    if path.suffix.lower() not in _FORMATS:
        raise OperationError(
            f"A picture cannot be saved as “{path.name}”.", advice=f"Possible endings: {', '.join(_FORMATS)}."
        )


def save(image: Image, path: Path) -> None:
    """In the format of the file's suffix; what was there is replaced only by a whole picture. Raises OperationError."""
    check_name(path)
    temporary: Path | None = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".capture-", delete=False) as file:
            temporary = Path(file.name)
            image.save(file, _FORMATS[path.suffix.lower()])
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
        temporary = None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OperationError(f"The picture cannot be saved as “{path}”: {reason}.") from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()


def cut(screen: Pixels, region: Rect | None) -> Pixels:
    """The part of the screen in ``region``; empty where that is outside."""
    if region is None:
        return screen
    return screen[region.y : region.y + region.height, region.x : region.x + region.width]


def check_region(size: tuple[int, int], region: Rect | None) -> None:
    """Raises GuivmError for a region that is not on a screen of ``size`` (width, height)."""
    if region is not None and (region.x + region.width > size[0] or region.y + region.height > size[1]):
        raise GuivmError(
            f"The region {region.x} {region.y} {region.width} {region.height} is not on the screen, "
            f"which is {size[0]} by {size[1]}."
        )


def changed(before: Pixels, after: Pixels) -> int:
    """How many pixels differ; all of them when the sizes do."""
    if before.shape != after.shape:
        return max(before.size, after.size) // 3
    return int(np.count_nonzero((before != after).any(axis=2)))


def histogram_distance(screen: Image, picture: Image) -> float:
    """vncdotool's measure of difference: root mean square of the differences between two RGB histograms."""
    first = np.asarray(screen.convert("RGB").histogram(), dtype=np.float64)
    second = np.asarray(picture.convert("RGB").histogram(), dtype=np.float64)
    return float(np.sqrt(np.mean((first - second) ** 2)))


def find(screen: Pixels, picture: Picture, tolerance: int) -> Point | None:
    """The first place (top left, by rows) where no channel of any opaque pixel is off by more than ``tolerance``.

    Exact but for its bound: a few telling pixels of the picture are looked for at every place, and only the places
    that have all of them are compared in full. A picture that nearly fits nearly everywhere may exhaust the bound
    and is then not found.
    """
    rows = screen.shape[0] - picture.height + 1
    columns = screen.shape[1] - picture.width + 1
    if rows <= 0 or columns <= 0:
        return None
    low = np.clip(picture.rgb.astype(np.int16) - tolerance, 0, 255).astype(np.uint8)
    high = np.clip(picture.rgb.astype(np.int16) + tolerance, 0, 255).astype(np.uint8)
    fits = np.ones((rows, columns), np.bool_)
    for row, column in picture.probes:
        window = screen[row : row + rows, column : column + columns]
        for channel in range(3):
            values = window[:, :, channel]
            fits &= values >= low[row, column, channel]
            fits &= values <= high[row, column, channel]
        if not fits.any():
            return None
    budget = _BUDGET
    transparent = None if picture.opaque.all() else ~picture.opaque[:, :, np.newaxis]
    for y, x in np.argwhere(fits):
        part = screen[y : y + picture.height, x : x + picture.width]
        good = (part >= low) & (part <= high)
        if transparent is not None:
            good |= transparent
        if good.all():
            return Point(int(x), int(y))
        budget -= picture.height * picture.width
        if budget <= 0:
            return None
    return None


def _probes(picture: Picture) -> NDArray[np.intp]:
    """Rare colours first: they rule out the most places. Among equals, pixels spread over the picture."""
    places = np.argwhere(picture.opaque)
    packed = picture.rgb.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    _, kinds, counts = np.unique(packed[picture.opaque], return_inverse=True, return_counts=True)
    spread = np.random.default_rng(1).permutation(len(places))
    order = spread[np.argsort(counts[kinds.ravel()[spread]], kind="stable")]
    half = _PROBES // 2
    chosen = np.concatenate([order[:half], spread[:half]])
    result: NDArray[np.intp] = places[np.unique(chosen)]
    return result
