"""Display servers; and all pages of the group. (formatdomain.html, "Graphical framebuffers")"""

from __future__ import annotations

import re
from typing import Any

from guivm.engine.options import video
from guivm.engine.options.devices import (
    Known,
    devices_of,
    has_spice,
    is_test,
    label_of,
    may_have,
    one_of,
    reader,
    when,
    words,
)
from guivm.engine.options.listening import get_listen, is_exposed, set_listen
from guivm.engine.options.option import (
    Custom,
    Group,
    Line,
    N,
    Number,
    Option,
    Resource,
    Secret,
    Situation,
    Switch,
    Value,
    stored,
)
from guivm.engine.options.phrase import Phrase
from guivm.engine.xml.domain import Devices, DomainXml
from guivm.engine.xml.graphics import Graphics

TYPES = (
    Known("vnc", N("VNC"), N("What this program shows best; every viewer knows it.")),
    Known("spice", N("SPICE"), N("Brings USB redirection and sound to a SPICE viewer; shown by other programs only.")),
)
_FOREIGN = (
    Known("sdl", N("SDL window")),
    Known("dbus", N("D-Bus")),
    Known("rdp", N("RDP")),
    Known("desktop", N("Desktop window")),
)

# --- display servers --------------------------------------------------------------------------------------


_is_vnc = when(Graphics.type, "vnc")
_is_spice = when(Graphics.type, "spice")
_is_server = when(Graphics.type, "vnc", "spice")


def _type_refusal(situation: Situation, graphics: Graphics, value: str) -> str:
    taken = any(other.type == value for other in situation.domain.devices.graphics)
    return N("This VM has such a display already.") if taken and graphics.type != value else ""


def _set_type(graphics: Graphics, value: Value | None) -> None:
    """What only the other kind could have goes; with the last SPICE display also the devices that need one."""
    new = "vnc" if value is None else str(value)
    if new == graphics.type:
        return
    was_spice = graphics.type == "spice"
    graphics.type = new
    if new != "spice":
        graphics.tls_port, graphics.default_mode = None, None
        graphics.channels.clear()
        graphics.image_compression = graphics.jpeg_compression = graphics.zlib_compression = None
        graphics.playback_compression, graphics.streaming_mode = None, None
        graphics.clipboard_copypaste = graphics.file_transfer = None
        graphics.mouse_mode = None
        graphics.gl_enable, graphics.gl_render_node = None, None
    if new != "vnc":
        graphics.websocket = graphics.audio_id = None
        graphics.share_policy, graphics.power_control = None, None
    if was_spice:
        drop_spice(devices_of(graphics))


def drop_spice(devices: Devices) -> None:
    """Take out what works over SPICE only, when no such display is left; libvirt would refuse to start with it."""
    if has_spice(devices):
        return
    for channel in devices.channels:
        if channel.type in ("spicevmc", "spiceport"):
            devices.channels.remove(channel)
    for redirected in devices.redirected_usbs:
        if redirected.type == "spicevmc":
            devices.redirected_usbs.remove(redirected)
    for card in devices.smart_cards:
        if card.type == "spicevmc":
            devices.smart_cards.remove(card)
    for audio in devices.audios:
        if audio.type == "spice":
            audio.type = "none"


def _listens(situation: Situation, graphics: Graphics) -> bool:
    return _is_server(situation, graphics) and graphics.listen_type not in ("none", "socket") and not graphics.socket


def _get_port(graphics: Graphics) -> Value | None:
    return None if graphics.autoport or graphics.port == -1 else graphics.port


def _set_port(graphics: Graphics, value: Value | None) -> None:
    graphics.autoport = True if value is None else None
    graphics.port = None if value is None else int(value)


def _set_tls_port(graphics: Graphics, value: Value | None) -> None:
    graphics.tls_port = None if value is None else int(value)
    if value is None and graphics.default_mode == "secure":
        graphics.default_mode = None


def _check_moment(text: str) -> str:
    right = re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", text, re.ASCII) is not None
    return "" if right else N("Write the moment as 2031-04-09T15:51:00.")


_MODES = (
    Known("any", N("Encrypted or not")),
    Known("secure", N("Only encrypted"), N("Needs the TLS port, and certificates on the host.")),
    Known("insecure", N("Not encrypted")),
)
_SHARING = (
    Known("allow-exclusive", N("One may shut the others out")),
    Known("force-shared", N("Several at the same time")),
    Known("ignore", N("Every request is granted")),
)
_COMPRESSION = (Known("auto", N("Automatic")), Known("never", N("Never")), Known("always", N("Always")))
_IMAGES = (
    Known("auto_glz", N("Automatic, GLZ")),
    Known("auto_lz", N("Automatic, LZ")),
    Known("quic", N("QUIC"), N("For photographs.")),
    Known("glz", N("GLZ")),
    Known("lz", N("LZ")),
    Known("off", N("Off"), N("For fast networks.")),
)
_STREAMING = (Known("filter", N("What looks like video")), Known("all", N("All that moves")), Known("off", N("Off")))
_KEYMAPS = tuple(
    Known(name, name)
    for name in (
        *(
            "en-us",
            "en-gb",
            "de",
            "de-ch",
            "fr",
            "fr-be",
            "fr-ca",
            "fr-ch",
            "es",
            "it",
            "pt",
            "pt-br",
            "nl",
            "sv",
            "da",
        ),
        *("no", "fi", "is", "pl", "cz", "hu", "hr", "sl", "lt", "lv", "et", "ru", "mk", "tr", "ar", "ja", "fo", "th"),
    )
)

_DISPLAY_OPTIONS: tuple[Option[Graphics], ...] = (
    Option(
        "type",
        N("Kind"),
        N(
            "How viewers reach the screen: VNC is known everywhere, SPICE adds USB and sound for its own viewers. "
            "Leaving SPICE takes out the devices that need it."
        ),
        *one_of(
            TYPES,
            Graphics.type,
            write=_set_type,
            path="graphics/type",
            default=None,
            refuse=_type_refusal,
            more=False,
        ),
        keywords="vnc spice remote viewer server",
    ),
    Option(
        "listen",
        N("Reachable at"),
        N(
            "Kept to this computer, nobody else can reach the screen; at an address anybody who reaches it may look "
            "and type: 0.0.0.0 is every network, so set a password and TLS."
        ),
        Custom("listen", "none, socket, address:IP, network:NAME"),
        get_listen,
        set_listen,
        shown=_is_server,
        keywords="listen address socket remote access 0.0.0.0 network tls",
        default=N("127.0.0.1: this host only"),
    ),
    Option(
        "port",
        N("Port"),
        N("A fixed port is easy to find for viewers and for attackers; left open, a free one is taken at each start."),
        Number(1, 65535),
        _get_port,
        _set_port,
        shown=_listens,
        more=True,
        keywords="5900 autoport",
        default=N("a free one at each start"),
    ),
    Option(
        "password",
        N("Password"),
        N(
            "Asked of every viewer; VNC uses only its first 8 characters and no encryption, so it is a latch, not a "
            "lock."
        ),
        Secret(),
        *stored(Graphics.password),
        live=True,
        shown=_is_server,
        keywords="passwd secret login",
        default=N("none"),
    ),
    Option(
        "password-expires",
        N("Password valid until"),
        N("After this moment (UTC, as 2031-04-09T15:51:00) nobody gets in any more; who is in stays."),
        Line("2031-04-09T15:51:00", 32, _check_moment),
        *stored(Graphics.password_valid_to),
        live=True,
        more=True,
        shown=_is_server,
        default=N("for ever"),
    ),
    Option(
        "tls-port",
        N("TLS port"),
        N(
            "Viewers connect encrypted here; the host needs certificates, set up in libvirt's qemu.conf. VNC's "
            "encryption is set up there, too."
        ),
        Number(-1, 65535),
        reader(Graphics.tls_port),
        _set_tls_port,
        more=True,
        shown=lambda s, g: _is_spice(s, g) and _listens(s, g),
        keywords="tls encryption secure",
        default=N("none"),
    ),
    Option(
        "encryption",
        N("Encryption"),
        N("Whether SPICE's channels must be encrypted; without it, what is typed can be read on the way."),
        *one_of(_MODES, Graphics.default_mode),
        more=True,
        shown=_is_spice,
        refusal=lambda _s, g: "" if g.tls_port else N("It needs a TLS port."),
        keywords="tls secure",
    ),
    Option(
        "websocket",
        N("WebSocket port"),
        N("For viewers in a browser (noVNC); -1 takes a free one. One more door to guard."),
        Number(-1, 65535),
        *stored(Graphics.websocket),
        more=True,
        shown=lambda s, g: _is_vnc(s, g) and _listens(s, g),
        keywords="novnc browser",
        default=N("none"),
    ),
    Option(
        "sharing",
        N("Several viewers"),
        N("Whether more than one may look at the same time, and whether one may shut the others out."),
        *one_of(_SHARING, Graphics.share_policy),
        more=True,
        shown=_is_vnc,
        keywords="share exclusive",
    ),
    Option(
        "keymap",
        N("Keyboard layout"),
        N("Leave it open: viewers then send keys, not letters. For old viewers only, and it must match the guest's."),
        *one_of(_KEYMAPS, Graphics.keymap, default=N("By key, not by letter"), free=True),
        more=True,
        shown=_is_server,
        keywords="keyboard layout language",
    ),
    Option(
        "clipboard",
        N("Shared clipboard"),
        N("What is copied on one side can be pasted on the other, passwords included; needs the agent in the guest."),
        Switch(True),
        *stored(Graphics.clipboard_copypaste),
        more=True,
        shown=_is_spice,
        keywords="copy paste",
    ),
    Option(
        "file-transfer",
        N("Files by drag and drop"),
        N("Lets a viewer drop files into the guest; switch off where nothing may go in."),
        Switch(True),
        *stored(Graphics.file_transfer),
        more=True,
        shown=_is_spice,
    ),
    Option(
        "image-compression",
        N("Compression of pictures"),
        N("Less traffic against more work for the host."),
        *one_of(_IMAGES, Graphics.image_compression),
        more=True,
        shown=_is_spice,
    ),
    Option(
        "jpeg-compression",
        N("JPEG for slow networks"),
        N("Much less traffic, and pictures lose detail."),
        *one_of(_COMPRESSION, Graphics.jpeg_compression),
        more=True,
        shown=_is_spice,
    ),
    Option(
        "streaming",
        N("Video streaming"),
        N("Sends moving parts as a video: smoother on slow networks, less sharp."),
        *one_of(_STREAMING, Graphics.streaming_mode),
        more=True,
        shown=_is_spice,
    ),
)


def _display_summary(situation: Situation, graphics: Graphics) -> str:
    listen = str(get_listen(graphics) or "")
    place = {"none": N("this program only"), "": N("this host only")}.get(listen, listen.removeprefix("address:"))
    if listen.startswith("socket"):
        place = N("a socket of this host")
    return words(
        place if _is_server(situation, graphics) else "",
        N("reachable from other computers") if is_exposed(graphics) else "",
    )


def _displays(domain: DomainXml) -> list[Graphics]:
    """All but the one that only draws (egl-headless), which belongs to the graphics card's OpenGL."""
    return [each for each in domain.devices.graphics if each.type != "egl-headless"]


def _missing_types(situation: Situation) -> list[str]:
    present = {each.type for each in situation.domain.devices.graphics}
    return [
        each.value for each in TYPES if each.value not in present and may_have(situation, "graphics/type", each.value)
    ]


def _add_display(situation: Situation) -> Graphics:
    graphics = situation.domain.devices.graphics.add()
    graphics.type = (_missing_types(situation) or ["vnc"])[0]
    if is_test(situation):
        graphics.autoport = True
    else:
        # No TCP listener; a descriptor can only be passed on the same computer.
        graphics.listen_type = "none" if situation.facts.is_local else "socket"
    return graphics


def _remove_display(domain: DomainXml, graphics: Graphics) -> None:
    """With the last SPICE display go the devices that need one."""
    was_spice = graphics.type == "spice"
    domain.devices.graphics.remove(graphics)
    if was_spice:
        drop_spice(domain.devices)


def _display_refusal(situation: Situation) -> str:
    if _missing_types(situation):
        return ""
    if situation.facts.offers_any("graphics") is False:
        return N("This host's QEMU has neither VNC nor SPICE.")
    return N("A VM has one display of each kind that its host offers, and this one has them all.")


RESOURCES: tuple[Resource[Any], ...] = (
    Resource(
        id="display",
        title=N("Display"),
        group=Group.DISPLAY,
        icon="display",
        help="display",
        nodes=_displays,
        options=_DISPLAY_OPTIONS,
        summary=_display_summary,
        name=lambda graphics: Phrase(N("Display {}"), Phrase(label_of((*TYPES, *_FOREIGN), graphics.type))),
        identity=lambda graphics: graphics.type or "",
        keywords="vnc spice screen console viewer graphics",
        add=_add_display,
        remove=_remove_display,
        add_refusal=_display_refusal,
    ),
    *video.RESOURCES,
)
