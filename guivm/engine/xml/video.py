"""``<video>``: graphics cards (formatdomain.html, "Video devices")."""

from __future__ import annotations

from guivm.engine.xml.device import Device, VirtioOptions
from guivm.engine.xml.properties import INTEGER, ON_OFF, YES_NO, attribute


class Video(VirtioOptions, Device):
    __slots__ = ()

    model = attribute("model/@type")  # "virtio", "qxl", "vga", "bochs", "ramfb", "none", …
    heads = attribute("model/@heads", INTEGER)
    primary = attribute("model/@primary", YES_NO)
    blob = attribute("model/@blob", ON_OFF)  # of "virtio"; libvirt 9.2
    ram_kib = attribute("model/@ram", INTEGER)  # of "qxl"
    vram_kib = attribute("model/@vram", INTEGER)
    vram64_kib = attribute("model/@vram64", INTEGER)  # of "qxl", like the next
    video_memory_kib = attribute("model/@vgamem", INTEGER)
    accel_3d = attribute("model/acceleration/@accel3d", YES_NO)
    accel_2d = attribute("model/acceleration/@accel2d", YES_NO)
    render_node = attribute("model/acceleration/@rendernode")
    width = attribute("model/resolution/@x", INTEGER)
    height = attribute("model/resolution/@y", INTEGER)
    driver_name = attribute("driver/@name")  # "qemu", "vhostuser"
    vga_conf = attribute("driver/@vgaconf")  # "io", "on", "off"
