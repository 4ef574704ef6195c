"""OpenConsole and TakeScreenshot. Worker only.

Graphics in the domain XML: https://libvirt.org/formatdomain.html#graphical-framebuffers.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from guivm.engine.context import HandlerContext
from guivm.engine.job_types import ConsoleEndpoint, Screenshot
from guivm.engine.libvirt_errors import is_connection_lost, text_of
from guivm.engine.operations import require_state
from guivm.engine.reader import parse_domain
from guivm.engine.requests import OpenConsole, TakeScreenshot
from guivm.engine.types import VmState
from guivm.errors import ConsoleError, UnsupportedError

if TYPE_CHECKING:
    import libvirt
    from lxml import etree

SCREENSHOT_LIMIT = 64 * 1024 * 1024
_CHUNK = 262_120  # what one packet of libvirt's remote protocol carries (VIR_NET_MESSAGE_LEGACY_PAYLOAD_MAX)

_ACTIVE = (VmState.RUNNING, VmState.PAUSED, VmState.SUSPENDED, VmState.SHUTTING_DOWN)
_ANY_ADDRESS = ("", "0.0.0.0", "::", "*")  # noqa: S104  (recognised, never bound)


def open_console(context: HandlerContext, request: OpenConsole) -> ConsoleEndpoint:
    """Handler of OpenConsole. A descriptor where the host can pass one, else where the server listens."""
    import libvirt

    domain = context.domain(request.key)
    require_state(domain, _ACTIVE, "Start it to see its display.")
    graphics = [*parse_domain(domain.XMLDesc(0)).iterfind("devices/graphics")]
    index = next((i for i, element in enumerate(graphics) if element.get("type") == "vnc"), None)
    if index is None:
        kinds = ", ".join(sorted({element.get("type", "") for element in graphics}))
        raise UnsupportedError(
            "The virtual machine has no VNC display." if not kinds else f"Its display is {kinds}, not VNC.",
            advice="Add a VNC display to it while it is off.",
        )
    refusal = ""
    if context.host.is_local:
        try:
            # Who may open the descriptor is settled by the connection; a VNC password would only be in the way.
            fd = domain.openGraphicsFD(index, libvirt.VIR_DOMAIN_OPEN_GRAPHICS_SKIPAUTH)
            os.set_inheritable(fd, False)
            return ConsoleEndpoint(fd=fd)
        except libvirt.libvirtError as error:
            if is_connection_lost(error):
                raise
            refusal = text_of(error)
    return _listening(context, domain, graphics[index], index, refusal)


def _listening(
    context: HandlerContext, domain: libvirt.virDomain, element: etree._Element, index: int, refusal: str
) -> ConsoleEndpoint:
    sockets = [element.get("socket"), *(listen.get("socket") for listen in element.iterfind("listen"))]
    path = next((socket for socket in sockets if socket), None)
    if path is not None and context.host.is_local:
        return ConsoleEndpoint(unix_path=path, password=_password(domain, index))
    port = int(element.get("port", "-1"))
    if port > 0:
        addresses = [element.get("listen"), *(listen.get("address") for listen in element.iterfind("listen"))]
        address = next((value for value in addresses if value), "")
        if context.host.is_local:
            machine = "127.0.0.1" if address in _ANY_ADDRESS else address
        elif address in ("127.0.0.1", "::1", "localhost"):
            raise UnsupportedError(
                "The display listens on the host only, and this version reaches it over no tunnel.",
                advice="Open the console on the host itself.",
            )
        else:
            machine = _machine_of(context.host.uri) if address in _ANY_ADDRESS else address
        return ConsoleEndpoint(tcp=(machine, port), password=_password(domain, index))
    if context.host.is_local:
        raise ConsoleError("The host did not open the display.", details=refusal)
    raise UnsupportedError(
        "The display of this virtual machine listens nowhere, and a remote host cannot pass it on.",
        advice="Open the console on the host itself.",
        details=refusal,
    )


def _machine_of(uri: str) -> str:
    from urllib.parse import urlsplit

    return urlsplit(uri).hostname or "localhost"


def _password(domain: libvirt.virDomain, index: int) -> str | None:
    """The display's password, which only the secure XML has; not asked for when a descriptor is passed."""
    import libvirt

    try:
        xml = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_SECURE)
    except libvirt.libvirtError as error:
        if is_connection_lost(error):
            raise
        return None  # a read-only connection may not see it
    return parse_domain(xml).findall("devices/graphics")[index].get("passwd")


def take_screenshot(context: HandlerContext, request: TakeScreenshot) -> Screenshot:
    """Handler of TakeScreenshot: the first screen, as the host's driver encodes it."""
    import libvirt

    domain = context.domain(request.key)
    require_state(domain, _ACTIVE, "Start it to see its screen.")
    stream = context.connection.newStream(0)
    open_ = False
    try:
        mime = str(domain.screenshot(stream, 0, 0))
        open_ = True
        data = _receive(context, stream)
        stream.finish()
        open_ = False
    finally:
        if open_:
            with contextlib.suppress(libvirt.libvirtError):
                stream.abort()
    return Screenshot(mime, data)


def _receive(context: HandlerContext, stream: libvirt.virStream) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while chunk := stream.recv(_CHUNK):
        context.job.check_cancelled()
        size += len(chunk)
        if size > SCREENSHOT_LIMIT:
            raise UnsupportedError("The picture of the screen is larger than 64 MiB.")
        chunks.append(chunk)
    return b"".join(chunks)
