"""Making the connection that an endpoint names, without ever blocking for longer than its caller can wait."""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from guivm.engine.job_types import ConsoleEndpoint, SshTarget
from guivm.errors import ConsoleError

if TYPE_CHECKING:
    from guivm.console.vnc.tunnel import Tunnel

Wait = Callable[[socket.socket | None, int, float], int]
"""Sleep until poll events come on the socket, or until a deadline (monotonic); answers the events. May raise."""

_BACKLOG_PAUSE_S = 0.05


def dial(endpoint: ConsoleEndpoint, timeout_s: float, wait: Wait) -> tuple[socket.socket, Tunnel | None]:
    """A connected, non-blocking socket, and what has to live as long. Raises ConsoleError, and what ``wait`` raises.

    Looking up a host name is the one thing that cannot be interrupted.
    """
    deadline = time.monotonic() + timeout_s
    try:
        if endpoint.fd is not None:
            sock = socket.socket(fileno=endpoint.fd)
            sock.setblocking(False)
            return sock, None
        if endpoint.ssh is not None:
            return _tunnelled(endpoint, endpoint.ssh, deadline, wait)
        if endpoint.unix_path is not None:
            return _connect(socket.AF_UNIX, endpoint.unix_path, deadline, wait), None
        assert endpoint.tcp is not None
        host, port = endpoint.tcp
        failure: OSError | None = None
        for family, _kind, _proto, _name, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            try:
                return _connect(family, address, deadline, wait), None
            except OSError as error:
                failure = error
        raise failure or OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    except (OSError, UnicodeError) as error:  # UnicodeError: a host name IDNA has no form for
        raise ConsoleError(
            f"The display cannot be reached: {getattr(error, 'strerror', None) or error}.",
            advice="Reconnect once the virtual machine runs.",
            details=f"{endpoint.unix_path or endpoint.tcp or 'descriptor'}: {error}",
        ) from error


def _tunnelled(
    endpoint: ConsoleEndpoint, target: SshTarget, deadline: float, wait: Wait
) -> tuple[socket.socket, Tunnel]:
    from guivm.console.vnc.tunnel import tunnel_to_tcp, tunnel_to_unix

    if endpoint.unix_path is not None:
        tunnel, sock = tunnel_to_unix(target, endpoint.unix_path, deadline, wait)
        return sock, tunnel
    assert endpoint.tcp is not None
    tunnel = tunnel_to_tcp(target, *endpoint.tcp)
    return tunnel.stdio, tunnel


def _connect(family: int, address: object, deadline: float, wait: Wait) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        code = sock.connect_ex(address)  # type: ignore[arg-type]  # as getaddrinfo gave it
        while code == errno.EAGAIN:  # AF_UNIX: the listener's backlog is full; poll cannot tell when it is not
            wait(None, 0, min(deadline, time.monotonic() + _BACKLOG_PAUSE_S))
            _check(deadline)
            code = sock.connect_ex(address)  # type: ignore[arg-type]
        if code == errno.EINPROGRESS:
            while not wait(sock, select.POLLOUT, deadline):
                _check(deadline)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # A peer that vanished without a word is found after about a minute of silence.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    except BaseException:
        sock.close()
        raise
    return sock


def _check(deadline: float) -> None:
    if time.monotonic() >= deadline:
        raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
