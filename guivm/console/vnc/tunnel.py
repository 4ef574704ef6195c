"""Displays that listen on their host only, reached through OpenSSH's client.

A TCP port: ``ssh -W``, whose standard input and output are the connection. A UNIX socket, which ``-W`` cannot name:
``ssh -L`` to a socket in a private directory, and a remote ``cat`` that tells when the forwarding stands (it echoes
what we say to it) and lets everything end when we do (its input ends). See ssh(1), ssh_config(5).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from guivm.engine.job_types import SshTarget
from guivm.errors import ConsoleError
from guivm.text import clean_block

Wait = Callable[[socket.socket | None, int, float], int]

_STDERR_BYTES = 64 << 10
_END_S = 1.0


class Tunnel:
    """One ssh process. :meth:`close` ends it and removes what it needed."""

    def __init__(self, target: SshTarget, forwarding: list[str], command: list[str]) -> None:
        """Start ``ssh``. ``forwarding``: options; ``command``: what is run on the host. Raises OSError."""
        arguments = [*_base(target), *forwarding, "--", target.host, *command]
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self.stdio = ours
        # A file of fixed size in memory: what ssh says can neither block it nor grow without bound.
        self._stderr = os.memfd_create("ssh-stderr", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(self._stderr, _STDERR_BYTES)
            fcntl.fcntl(self._stderr, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
            self._process = subprocess.Popen(
                arguments, stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=self._stderr, start_new_session=True
            )
        except BaseException:
            ours.close()
            os.close(self._stderr)
            raise
        finally:
            theirs.close()

    def words(self) -> str:
        """What ssh said; if nothing yet, once it has ended or had a second to. Plain text."""
        words = self._read_words()
        if not words:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_S)
            words = self._read_words()
        return words

    def _read_words(self) -> str:
        data = os.pread(self._stderr, _STDERR_BYTES, 0)
        return clean_block(data.rstrip(b"\0").decode("utf-8", "replace").strip(), 2000)

    def failure(self) -> ConsoleError:
        """Why there is no connection."""
        words = self.words()
        last = words.splitlines()[-1] if words else "ssh said nothing"
        return ConsoleError(
            f"The display cannot be reached through SSH: {last.rstrip('.')}.",
            advice="Check that “ssh” to the host works in a terminal without asking for a password.",
            details=words,
        )

    def close(self) -> None:
        """End it, waiting no longer than about a second. Safe to call twice."""
        self.stdio.close()
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._stderr >= 0:
            os.close(self._stderr)
            self._stderr = -1


def tunnel_to_tcp(target: SshTarget, host: str, port: int) -> Tunnel:
    """``tunnel.stdio`` is the connection, or ends if none comes about. Raises ConsoleError."""
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return _start(target, ["-W", place], [])


def tunnel_to_unix(target: SshTarget, path: str, deadline: float, wait: Wait) -> tuple[Tunnel, socket.socket]:
    """The connection is the socket; it is non-blocking. Raises ConsoleError, OSError and what ``wait`` raises."""
    if ":" in path:
        raise ConsoleError("The display's socket has a name that SSH cannot forward.", details=path)
    directory = tempfile.mkdtemp(prefix="guivm-")  # for us only (mode 0700)
    local = Path(directory) / "display"
    sock: socket.socket | None = None
    tunnel: Tunnel | None = None
    try:
        forwarding = ["-L", f"{local}:{path}", "-o", "ExitOnForwardFailure=yes", "-o", "StreamLocalBindUnlink=yes"]
        # Within a shared connection the forwarding would belong to the other process, and stay.
        tunnel = _start(target, [*forwarding, "-o", "ControlPath=none"], ["cat"])
        tunnel.stdio.send(b"\n")
        while not wait(tunnel.stdio, select.POLLIN, deadline):
            _check(deadline)
        if not _echoed(tunnel.stdio):
            raise tunnel.failure()
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.connect(str(local))
    except BaseException:
        if sock is not None:
            sock.close()
        if tunnel is not None:
            tunnel.close()
        raise
    finally:
        shutil.rmtree(directory, ignore_errors=True)  # the connection stands, or never will
    return tunnel, sock


def _echoed(stdio: socket.socket) -> bool:
    try:
        return bool(stdio.recv(64))
    except ConnectionResetError:
        return False


def _check(deadline: float) -> None:
    import errno
    import time

    if time.monotonic() >= deadline:
        raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))


def _start(target: SshTarget, forwarding: list[str], command: list[str]) -> Tunnel:
    if target.host.startswith("-") or (target.user or "").startswith("-"):
        raise ConsoleError("That is not the name of a host.", details=f"{target.user}@{target.host}")
    try:
        return Tunnel(target, forwarding, command)
    except OSError as error:
        raise ConsoleError(
            f"SSH cannot be started: {error.strerror or error}.",
            advice="Install the OpenSSH client.",
            details=f"{target.command}: {error}",
        ) from error


def _base(target: SshTarget) -> list[str]:
    # Nobody can answer a question; nothing of this computer is offered to the host.
    options = ["BatchMode=yes", "ConnectTimeout=10", "ServerAliveInterval=15", "ControlMaster=no", "EscapeChar=none"]
    if not target.verify:
        options.append("StrictHostKeyChecking=no")
    if target.known_hosts is not None:
        options.append(f'UserKnownHostsFile="{target.known_hosts}"')
    arguments = [target.command, "-a", "-x", "-T"]
    for option in options:
        arguments += ["-o", option]
    if target.user is not None:
        arguments += ["-l", target.user]
    if target.port is not None:
        arguments += ["-p", str(target.port)]
    if target.keyfile is not None:
        arguments += ["-i", target.keyfile]
    return arguments
