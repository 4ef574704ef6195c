"""Character devices: ``<channel>``, ``<serial>``, ``<console>``, ``<parallel>`` (formatdomain.html, "Consoles, …")."""

from __future__ import annotations

from guivm.engine.xml.device import Device
from guivm.engine.xml.properties import INTEGER, ON_OFF, YES_NO, attribute


class CharDevice(Device):
    __slots__ = ()

    type = attribute("@type")  # "pty", "unix", "spicevmc", "qemu-vdagent", …
    source_path = attribute("source/@path")
    source_mode = attribute("source/@mode")
    log_file = attribute("log/@file")
    log_append = attribute("log/@append", ON_OFF)
    target_type = attribute("target/@type")
    target_port = attribute("target/@port", INTEGER)


class Serial(CharDevice):
    __slots__ = ()

    target_model = attribute("target/model/@name")


class Console(CharDevice):
    __slots__ = ()


class Channel(CharDevice):
    """A named pipe between host and guest: the guest agent, the clipboard agent."""

    __slots__ = ()

    target_name = attribute("target/@name")
    target_state = attribute("target/@state")  # "connected", "disconnected"; active XML only
    clipboard_copypaste = attribute("source/clipboard/@copypaste", YES_NO)
    mouse_mode = attribute("source/mouse/@mode")  # "client", "server"
