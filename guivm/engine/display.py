"""OpenConsole and TakeScreenshot. Worker only.

Graphics in the domain XML: https://libvirt.org/formatdomain.html#graphical-framebuffers.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from guivm.engine.context import HandlerContext
from guivm.engine.job_types import ConsoleEndpoint, Screenshot, SshTarget
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
_QEMU_7 = 7_000_000  # as virConnectGetVersion counts
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
    """Where the display listens, as it is reached from here: directly, or through the connection's SSH."""
    host = context.host
    ssh = None if host.is_local else ssh_target(host.uri)
    sockets = [element.get("socket"), *(listen.get("socket") for listen in element.iterfind("listen"))]
    path = next((socket for socket in sockets if socket), None)
    if path is not None and (host.is_local or ssh is not None):
        return _complete(context, ConsoleEndpoint(unix_path=path, ssh=ssh, password=_password(domain, index)))
    port = int(element.get("port", "-1"))
    if port > 0:
        addresses = [element.get("listen"), *(listen.get("address") for listen in element.iterfind("listen"))]
        address = next((value for value in addresses if value), "")
        if host.is_local or ssh is not None:  # with SSH: as the host itself sees it
            machine = "127.0.0.1" if address in _ANY_ADDRESS else address
        elif address in ("127.0.0.1", "::1", "localhost"):
            raise UnsupportedError(
                "The display listens on the host only, and this connection has no SSH to reach it through.",
                advice="Connect to the host with an address of the kind qemu+ssh://user@host/system.",
            )
        else:
            machine = _machine_of(host.uri) if address in _ANY_ADDRESS else address
        return _complete(context, ConsoleEndpoint(tcp=(machine, port), ssh=ssh, password=_password(domain, index)))
    if host.is_local:
        raise ConsoleError("The host did not open the display.", details=refusal)
    raise UnsupportedError(
        "The display of this virtual machine listens nowhere, and a remote host cannot pass it on.",
        advice="Open the console on the host itself, or let the display listen on 127.0.0.1 of the host.",
        details=refusal,
    )


def _complete(context: HandlerContext, endpoint: ConsoleEndpoint) -> ConsoleEndpoint:
    """With this computer's certificates, and what the host's QEMU cannot bear."""
    from guivm.engine.certificates import vnc_certificates

    ours = vnc_certificates()
    return replace(
        endpoint,
        ca_file=ours.authority,
        client_certificate=ours.certificate,
        client_key=ours.key,
        encodings_once=not endpoint.is_local and _version(context) < _QEMU_7,
    )


def _version(context: HandlerContext) -> int:
    import libvirt

    try:
        return int(context.connection.getVersion())
    except libvirt.libvirtError as error:
        if is_connection_lost(error):
            raise
        return 0  # not known: taken for an old one


def _machine_of(uri: str) -> str:
    from urllib.parse import urlsplit

    return urlsplit(uri).hostname or "localhost"


def ssh_target(uri: str) -> SshTarget | None:
    """How the connection of a URI reaches its host, or None when that is not by SSH.

    Of libvirt's parameters (https://libvirt.org/uri.html) those that OpenSSH has a word for.
    """
    from urllib.parse import parse_qs, unquote, urlsplit

    parts = urlsplit(uri)
    if not parts.scheme.endswith(("+ssh", "+libssh", "+libssh2")) or not parts.hostname:
        return None
    given = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    return SshTarget(
        parts.hostname,
        parts.port,
        None if parts.username is None else unquote(parts.username),
        keyfile=given.get("keyfile"),
        known_hosts=given.get("known_hosts"),
        verify=given.get("no_verify", "0") == "0" and given.get("known_hosts_verify") != "ignore",
        command=given.get("command", "ssh"),
    )


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
