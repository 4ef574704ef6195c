"""``<graphics>``: display servers (formatdomain.html, "Graphical framebuffers")."""

from __future__ import annotations

from guivm.engine.xml.device import Device
from guivm.engine.xml.node import XmlNode
from guivm.engine.xml.properties import INTEGER, ON_OFF, YES_NO, Children, attribute


class Listen(XmlNode):
    """``<listen>``: where a display server can be reached."""

    __slots__ = ()

    type = attribute("@type")  # "none", "socket", "address", "network"
    address = attribute("@address")
    network = attribute("@network")
    socket = attribute("@socket")


class GraphicsChannel(XmlNode):
    """Whether one of SPICE's channels is encrypted."""

    __slots__ = ()

    name = attribute("@name")  # "main", "display", "inputs", "cursor", "playback", "record", …
    mode = attribute("@mode")  # "any", "secure", "insecure"


class Graphics(Device):
    __slots__ = ()

    type = attribute("@type")  # "vnc", "spice", "egl-headless", "dbus", …
    port = attribute("@port", INTEGER)  # -1: chosen at start
    tls_port = attribute("@tlsPort", INTEGER)
    autoport = attribute("@autoport", YES_NO)
    websocket = attribute("@websocket", INTEGER)
    socket = attribute("@socket")
    password = attribute("@passwd")  # only in XML asked for with VIR_DOMAIN_XML_SECURE
    password_valid_to = attribute("@passwdValidTo")  # "2031-04-09T15:51:00", UTC
    password_connected = attribute("@connected")  # "keep", "disconnect", "fail"
    share_policy = attribute("@sharePolicy")  # "allow-exclusive", "force-shared", "ignore"
    power_control = attribute("@powerControl", YES_NO)
    keymap = attribute("@keymap")
    default_mode = attribute("@defaultMode")  # of the channels: "any", "secure", "insecure"
    listen_address = attribute("@listen")  # the address of the first <listen>, repeated by libvirt
    listen_type = attribute("listen/@type")  # of the first, like the next
    listen_socket = attribute("listen/@socket")
    listens = Children(Listen, "listen")
    channels = Children(GraphicsChannel, "channel")
    image_compression = attribute("image/@compression")  # "auto_glz", "auto_lz", "quic", "glz", "lz", "off"
    jpeg_compression = attribute("jpeg/@compression")  # "auto", "never", "always"
    zlib_compression = attribute("zlib/@compression")  # "auto", "never", "always"
    playback_compression = attribute("playback/@compression", ON_OFF)
    streaming_mode = attribute("streaming/@mode")  # "filter", "all", "off"
    clipboard_copypaste = attribute("clipboard/@copypaste", YES_NO)
    mouse_mode = attribute("mouse/@mode")  # "server", "client"
    file_transfer = attribute("filetransfer/@enable", YES_NO)
    gl_enable = attribute("gl/@enable", YES_NO)
    gl_render_node = attribute("gl/@rendernode")
    audio_id = attribute("audio/@id", INTEGER)
    dbus_address = attribute("@address")
    dbus_peer_to_peer = attribute("@p2p", YES_NO)
    display = attribute("@display")  # of "sdl", like the next two
    x_authority = attribute("@xauth")
    full_screen = attribute("@fullscreen", YES_NO)
