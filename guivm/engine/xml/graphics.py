"""``<graphics>``: display servers (formatdomain.html, "Graphical framebuffers")."""

from __future__ import annotations

from guivm.engine.xml.device import Device
from guivm.engine.xml.properties import INTEGER, YES_NO, attribute


class Graphics(Device):
    __slots__ = ()

    type = attribute("@type")  # "vnc", "spice", …
    port = attribute("@port", INTEGER)  # -1: chosen at start
    autoport = attribute("@autoport", YES_NO)
    websocket = attribute("@websocket", INTEGER)
    socket = attribute("@socket")
    password = attribute("@passwd")
    password_valid_to = attribute("@passwdValidTo")
    share_policy = attribute("@sharePolicy")
    keymap = attribute("@keymap")
    listen_address = attribute("@listen")
    listen_type = attribute("listen/@type")  # "none", "socket", "address", "network"
    listen_socket = attribute("listen/@socket")
    gl_enable = attribute("gl/@enable", YES_NO)
