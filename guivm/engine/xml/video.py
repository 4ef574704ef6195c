"""``<video>``: graphics cards (formatdomain.html, "Video devices")."""

from __future__ import annotations

from guivm.engine.xml.device import Device
from guivm.engine.xml.properties import INTEGER, YES_NO, attribute


class Video(Device):
    __slots__ = ()

    model = attribute("model/@type")  # "virtio", "qxl", "vga", …
    heads = attribute("model/@heads", INTEGER)
    primary = attribute("model/@primary", YES_NO)
    vram_kib = attribute("model/@vram", INTEGER)
    video_memory_kib = attribute("model/@vgamem", INTEGER)
    accel_3d = attribute("model/acceleration/@accel3d", YES_NO)
    width = attribute("model/resolution/@x", INTEGER)
    height = attribute("model/resolution/@y", INTEGER)
