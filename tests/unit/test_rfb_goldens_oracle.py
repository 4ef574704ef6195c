"""The goldens as another client sees them: vncdotool's, which shares nothing with ours. The oracle of the pixels."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.helpers.rfb_goldens_pixels import SCENES, Golden, Scene
from tests.helpers.rfb_server import greeting_38

if TYPE_CHECKING:
    from numpy.typing import NDArray

_KNOWN = (1, 2, 5, 16)  # what vncdotool can decode: CopyRect, RRE, Hextile, ZRLE
GOLDENS = [
    pytest.param(scene, golden, id=f"{scene.name}: {golden.name}")
    for scene in SCENES
    for golden in scene.goldens
    if golden.encoding in _KNOWN
]


class _Transport:
    """What the client says goes nowhere."""

    def write(self, data: bytes) -> None:
        pass


def _vncdotool(scene: Scene, stream: bytes) -> NDArray[np.uint8]:
    from vncdotool import rfb

    pixels = np.zeros((scene.height, scene.width, 4), np.uint8)

    class Client(rfb.RFBClient):  # type: ignore[misc]
        def vncConnectionMade(self) -> None:
            pass

        def updateRectangle(self, x: int, y: int, width: int, height: int, data: bytes) -> None:
            found = np.frombuffer(data, np.uint8).reshape(height, width, -1)
            pixels[y : y + height, x : x + width, : found.shape[2]] = found

        def fillRectangle(self, x: int, y: int, width: int, height: int, color: bytes) -> None:
            pixels[y : y + height, x : x + width, : len(color)] = list(color)

        def copyRectangle(self, from_x: int, from_y: int, x: int, y: int, width: int, height: int) -> None:
            pixels[y : y + height, x : x + width] = pixels[from_y : from_y + height, from_x : from_x + width].copy()

    client = Client()
    client.factory = SimpleNamespace(shared=1, password=None, username=None)
    client.makeConnection(_Transport())
    client.dataReceived(greeting_38(scene.width, scene.height))
    client.setPixelFormat(rfb.PixelFormat(32, 24, False, True, 255, 255, 255, 16, 8, 0))
    client.dataReceived(stream)
    return pixels


@pytest.mark.filterwarnings("ignore:.* will change in a future release:FutureWarning")
@pytest.mark.parametrize(("scene", "golden"), GOLDENS)
def test_vncdotool_sees_the_same(scene: Scene, golden: Golden) -> None:
    width, height = golden.size
    expected = np.frombuffer(scene.picture, np.uint8).reshape(scene.height, scene.width, 4)
    found = _vncdotool(scene, golden.stream)
    assert np.array_equal(found[:height, :width, :3], expected[:height, :width, :3])
