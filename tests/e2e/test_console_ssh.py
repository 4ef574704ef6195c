"""Displays behind SSH: a real sshd, a real ssh, and QEMU behind them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from guivm.console.rfb_source import RfbSource
from guivm.console.source import SourceSecurity, SourceState
from guivm.console.vnc.link import LinkTimes
from guivm.engine.job_types import ConsoleEndpoint
from guivm.errors import ConsoleError
from tests.e2e.test_console_qemu import Qemu
from tests.helpers.ssh_host import SshHost

pytestmark = pytest.mark.e2e


@pytest.fixture
def host(tmp_path: Path) -> SshHost:
    return SshHost(tmp_path / "ssh")


@contextmanager
def _opened(qtbot: QtBot, endpoint: ConsoleEndpoint, times: LinkTimes | None = None) -> Iterator[RfbSource]:
    source = RfbSource(endpoint, times=times)
    try:
        with qtbot.waitSignal(source.stateChanged, timeout=30_000):
            source.open()
        yield source
    finally:
        source.close()
        source.deleteLater()
    assert not _children(), "ssh ends with the console"


def _children() -> list[str]:
    """Our processes that are ssh."""
    found = []
    for path in Path("/proc/self/task").glob("*/children"):
        for pid in path.read_text().split():
            name = Path(f"/proc/{pid}/comm").read_text().strip()
            found += [name] if name.startswith("ssh") else []
    return found


def test_socket_and_port(qtbot: QtBot, tmp_path: Path, host: SshHost) -> None:
    qemu = Qemu(tmp_path, "-S", "-vnc", "127.0.0.1:0,to=200,id=port")
    try:
        (server,) = [one for one in qemu.ask("query-vnc-servers") if one["id"] == "port"]
        port = int(server["server"][0]["service"])
        for endpoint in (
            ConsoleEndpoint(unix_path=str(qemu.vnc), ssh=host.target),
            ConsoleEndpoint(tcp=("127.0.0.1", port), ssh=host.target),
        ):
            with _opened(qtbot, endpoint) as source:
                assert source.state is SourceState.CONNECTED, source.error
                assert source.security is SourceSecurity.SSH
                assert source.framebuffer is not None
                # Packed by QEMU, as it is for a network; exact all the same.
                assert np.array_equal(source.framebuffer.pixels[:, :, 2::-1], qemu.screendump(tmp_path))
    finally:
        qemu.close()


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def test_failures_say_what_ssh_said(qtbot: QtBot, tmp_path: Path, host: SshHost) -> None:
    behind_port = ConsoleEndpoint(tcp=("127.0.0.1", _free_port()), ssh=host.target)
    behind_socket = ConsoleEndpoint(unix_path=str(tmp_path / "nothing"), ssh=host.target)

    def refused(endpoint: ConsoleEndpoint, *words: str) -> None:
        with _opened(qtbot, endpoint) as source:
            assert isinstance(source.error, ConsoleError)
            assert "through SSH" in source.error.summary
            assert any(word in source.error.details for word in words), source.error.details

    refused(behind_port, "Connection refused", "stdio forwarding failed")
    refused(behind_socket, "open failed")
    host.write_config(key="other_key")
    refused(behind_port, "Permission denied")
    refused(behind_socket, "Permission denied")
    host.write_config(known_hosts="none")
    refused(behind_port, "Host key verification failed")


def test_ssh_that_cannot_be_used(qtbot: QtBot, tmp_path: Path, host: SshHost) -> None:
    missing = replace(host.target, command=str(tmp_path / "no-ssh"))
    with _opened(qtbot, ConsoleEndpoint(tcp=("127.0.0.1", 5900), ssh=missing)) as source:
        assert isinstance(source.error, ConsoleError)
        assert "SSH cannot be started" in source.error.summary
    hostile = replace(host.target, host="-oProxyCommand=true")
    with _opened(qtbot, ConsoleEndpoint(tcp=("127.0.0.1", 5900), ssh=hostile)) as source:
        assert isinstance(source.error, ConsoleError)
        assert "not the name of a host" in source.error.summary


def test_ssh_that_hangs(qtbot: QtBot, tmp_path: Path, host: SshHost) -> None:
    """A program that neither connects nor ends; and one that talks without end."""
    for script in ("sleep 1000", "yes >&2; sleep 1000"):
        command = tmp_path / "stuck"
        command.write_text(f"#!/bin/sh\nexec sh -c '{script}'\n")
        command.chmod(0o755)
        stuck = replace(host.target, command=str(command))
        times = LinkTimes(connect=0.3, handshake=0.3)
        for endpoint in (
            ConsoleEndpoint(unix_path="/nowhere", ssh=stuck),
            ConsoleEndpoint(tcp=("127.0.0.1", 1), ssh=stuck),
        ):
            with _opened(qtbot, endpoint, times) as source:
                assert isinstance(source.error, ConsoleError)
