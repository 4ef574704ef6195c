"""Character devices: ``<channel>``, ``<serial>``, ``<console>``, ``<parallel>`` (formatdomain.html, "Consoles, …")."""

from __future__ import annotations

from guivm.engine.xml.device import BootableDevice, Device, Reconnect
from guivm.engine.xml.node import XmlNode
from guivm.engine.xml.properties import INTEGER, ON_OFF, YES_NO, Child, Children, attribute


class CharSource(XmlNode):
    """``<source>``: one end of the line on the host. UDP has two: one to bind, one to connect to."""

    __slots__ = ()

    mode = attribute("@mode")  # "bind", "connect"
    path = attribute("@path")
    append = attribute("@append", ON_OFF)
    host = attribute("@host")
    service = attribute("@service")  # a port, or the name of one
    tls = attribute("@tls", YES_NO)
    channel = attribute("@channel")  # of "spiceport" and "dbus"
    master = attribute("@master")  # of "nmdm", like the next
    slave = attribute("@slave")
    reconnect = Child(Reconnect, "reconnect")


class CharLine(XmlNode):
    """What every device that carries bytes says of its other end."""

    __slots__ = ()

    type = attribute("@type")  # "pty", "unix", "tcp", "udp", "file", "dev", "spicevmc", "qemu-vdagent", …
    source = Child(CharSource, "source")
    sources = Children(CharSource, "source")
    source_path = attribute("source/@path")
    source_mode = attribute("source/@mode")
    protocol = attribute("protocol/@type")  # of "tcp": "raw", "telnet", "telnets", "tls"
    log_file = attribute("log/@file")
    log_append = attribute("log/@append", ON_OFF)


class CharDevice(CharLine, Device):
    __slots__ = ()

    target_type = attribute("target/@type")
    target_port = attribute("target/@port", INTEGER)


class TtyDevice(CharDevice):
    """A line that a terminal on the host can be attached to."""

    __slots__ = ()

    tty = attribute("@tty")  # active XML only
    target_model = attribute("target/model/@name")


class Serial(TtyDevice):
    __slots__ = ()


class Console(TtyDevice):
    __slots__ = ()


class Parallel(TtyDevice):
    __slots__ = ()


class Channel(CharDevice):
    """A named pipe between host and guest: the guest agent, the clipboard agent."""

    __slots__ = ()

    target_name = attribute("target/@name")
    target_state = attribute("target/@state")  # "connected", "disconnected"; active XML only
    target_address = attribute("target/@address")  # of "guestfwd"
    clipboard_copypaste = attribute("source/clipboard/@copypaste", YES_NO)
    mouse_mode = attribute("source/mouse/@mode")  # "client", "server"


class RedirectedUsb(CharLine, BootableDevice):
    """``<redirdev>``: a port for USB devices of the viewer's computer."""

    __slots__ = ()

    bus = attribute("@bus")  # "usb"
