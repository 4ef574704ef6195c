"""Where a display listens, as one value. (formatdomain.html, "Graphical framebuffers", "listen")

As a text: ``none`` (only descriptors handed over by libvirt), ``socket`` or ``socket:PATH`` (a UNIX socket),
``address:IP``, ``network:NAME`` (at the host's address in a virtual network).
"""

from __future__ import annotations

import ipaddress
import re

from guivm.engine.options.devices import checked
from guivm.engine.options.option import N, Value
from guivm.engine.xml.graphics import Graphics

_NAME = re.compile(r"[\w.:-]{1,64}")


def get_listen(graphics: Graphics) -> Value | None:
    """None: libvirt's default, this host only."""
    first = next(iter(graphics.listens), None)
    if first is not None:
        kind = first.type or "address"
        detail = {"socket": first.socket, "address": first.address, "network": first.network}.get(kind)
        if kind == "address" and not detail:
            detail = graphics.listen_address
        if kind == "address" and not detail:
            return None
        return f"{kind}:{detail}" if detail else kind
    if graphics.socket:
        return f"socket:{graphics.socket}"
    return f"address:{graphics.listen_address}" if graphics.listen_address else None


def check_listen(text: str) -> str:
    """Why a text is no place to listen at, or ""."""
    kind, colon, detail = text.partition(":")
    match kind:
        case "none" if not colon:
            return ""
        case "socket" if not colon or detail.startswith("/"):
            return ""
        case "network" if _NAME.fullmatch(detail):
            return ""
        case "address":
            try:
                ipaddress.ip_address(detail)
            except ValueError:
                return N("Give an IP address to listen at, as “address:127.0.0.1”.")
            return ""
    return N("Use none, socket, address:IP or network:NAME.")


def set_listen(graphics: Graphics, value: Value | None) -> None:
    """Raises ValueError with a sentence."""
    if value == get_listen(graphics):
        return
    text = "" if value is None else checked(check_listen, str(value))
    kind, _, detail = text.partition(":")
    graphics.listens.clear()
    graphics.listen_address = graphics.socket = None
    if kind in ("none", "socket"):
        graphics.port = graphics.tls_port = graphics.websocket = None
        graphics.autoport = None
    elif graphics.port is None and graphics.type in ("vnc", "spice"):
        graphics.autoport = True
    if not text:
        return
    listen = graphics.listens.add()
    listen.type = kind
    if kind == "socket":
        listen.socket = detail or None
    elif kind == "address":
        listen.address = detail
    elif kind == "network":
        listen.network = detail


def is_exposed(graphics: Graphics) -> bool:
    """Whether other computers can reach this display."""
    text = str(get_listen(graphics) or "")
    if text.startswith("network:"):
        return True
    if not text.startswith("address:"):
        return False
    try:
        return not ipaddress.ip_address(text.removeprefix("address:")).is_loopback
    except ValueError:
        return True
