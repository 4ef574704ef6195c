"""How a display is reached: by descriptor, address, socket, or through the connection's SSH."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import libvirt
import pytest

from guivm.engine.certificates import Certificates, vnc_certificates
from guivm.engine.context import HandlerContext
from guivm.engine.display import open_console, ssh_target
from guivm.engine.job_types import ConsoleEndpoint, SshTarget
from guivm.engine.requests import OpenConsole
from guivm.engine.types import HostId, HostInfo, HostState, VmKey
from guivm.errors import UnsupportedError

KEY = VmKey(HostId("host"), "00000000-0000-0000-0000-000000000001")


@dataclass
class _Connection:
    version: int = 7_002_000

    def getVersion(self) -> int:
        return self.version


@dataclass
class _Domain:
    graphics: str

    def state(self, _flags: int) -> list[int]:
        return [libvirt.VIR_DOMAIN_RUNNING, 0]

    def isActive(self) -> bool:
        return True

    def XMLDesc(self, flags: int) -> str:
        secret = " passwd='sesame'" if flags & libvirt.VIR_DOMAIN_XML_SECURE else ""
        return f"<domain><devices><graphics type='vnc'{secret} {self.graphics}</devices></domain>"


@dataclass
class _Context:
    host: HostInfo
    graphics: str
    connection: _Connection

    def domain(self, _key: VmKey) -> _Domain:
        return _Domain(self.graphics)


def _open(uri: str, graphics: str, version: int = 7_002_000) -> ConsoleEndpoint:
    host = HostInfo(HostId(uri), uri, "host", HostState.CONNECTED, is_local=False)
    context = _Context(host, graphics, _Connection(version))
    return open_console(cast(HandlerContext, context), OpenConsole(KEY))


PORT = "port='5907' listen='{}'><listen type='address' address='{}'/></graphics>"
LOOPBACK = PORT.format("127.0.0.1", "127.0.0.1")
ANYWHERE = PORT.format("0.0.0.0", "0.0.0.0")
SOCKET = "socket='/run/vm.sock'><listen type='socket' socket='/run/vm.sock'/></graphics>"
NOWHERE = "port='-1'><listen type='none'/></graphics>"
SSH = "qemu+ssh://ann@server.example:2222/system"


@pytest.mark.parametrize("graphics", [LOOPBACK, ANYWHERE])
def test_a_port_through_ssh(graphics: str) -> None:
    endpoint = _open(SSH, graphics)
    assert endpoint.tcp == ("127.0.0.1", 5907)
    assert endpoint.ssh == SshTarget("server.example", 2222, "ann")
    assert endpoint.password == "sesame"
    assert not endpoint.is_local
    assert not endpoint.encodings_once


def test_a_socket_through_ssh() -> None:
    endpoint = _open(SSH, SOCKET)
    assert endpoint.unix_path == "/run/vm.sock"
    assert endpoint.ssh is not None


def test_an_address_of_the_host_through_ssh() -> None:
    assert _open(SSH, PORT.format("10.0.0.5", "10.0.0.5")).tcp == ("10.0.0.5", 5907)


def test_an_open_port_without_ssh() -> None:
    endpoint = _open("qemu+tls://server.example/system", ANYWHERE)
    assert endpoint.tcp == ("server.example", 5907)
    assert endpoint.ssh is None


@pytest.mark.parametrize("graphics", [LOOPBACK, SOCKET, NOWHERE])
def test_what_cannot_be_reached_without_ssh(graphics: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        _open("qemu+tls://server.example/system", graphics)
    assert caught.value.advice


def test_a_display_that_listens_nowhere() -> None:
    with pytest.raises(UnsupportedError, match="listens nowhere"):
        _open(SSH, NOWHERE)


@pytest.mark.parametrize(("version", "once"), [(6_002_000, True), (7_000_000, False), (9_000_000, False)])
def test_an_old_qemu_is_asked_for_encodings_once(version: int, once: bool) -> None:
    assert _open(SSH, LOOPBACK, version).encodings_once is once


@pytest.mark.parametrize(
    ("uri", "target"),
    [
        ("qemu+ssh://server/system", SshTarget("server")),
        ("qemu+libssh2://a%40b@server:22/session", SshTarget("server", 22, "a@b")),
        (
            "qemu+ssh://server/system?keyfile=/k/id&no_verify=1&command=/opt/ssh",
            SshTarget("server", keyfile="/k/id", verify=False, command="/opt/ssh"),
        ),
        ("qemu+libssh://server/system?known_hosts=/k/hosts", SshTarget("server", known_hosts="/k/hosts")),
        ("qemu+tls://server/system", None),
        ("qemu:///system", None),
        ("qemu+ssh:///system", None),
    ],
)
def test_ssh_target(uri: str, target: SshTarget | None) -> None:
    assert ssh_target(uri) == target


def test_certificates(tmp_path: Path) -> None:
    home, system = tmp_path / "home", tmp_path / "pki"
    assert vnc_certificates(home, system) == Certificates()
    for path in ("CA/cacert.pem", "libvirt-vnc/clientcert.pem"):
        (system / path).parent.mkdir(parents=True, exist_ok=True)
        (system / path).touch()
    assert vnc_certificates(home, system) == Certificates(str(system / "CA/cacert.pem")), "a key belongs to it"
    (system / "libvirt-vnc/private").mkdir()
    (system / "libvirt-vnc/private/clientkey.pem").touch()
    assert vnc_certificates(home, system).key == str(system / "libvirt-vnc/private/clientkey.pem")
    (home / ".pki/CA").mkdir(parents=True)
    (home / ".pki/CA/cacert.pem").touch()
    assert vnc_certificates(home, system).authority == str(home / ".pki/CA/cacert.pem")


@pytest.mark.parametrize(
    ("endpoint", "local"),
    [
        (ConsoleEndpoint(fd=3), True),
        (ConsoleEndpoint(unix_path="/x"), True),
        (ConsoleEndpoint(tcp=("127.0.0.2", 1)), True),
        (ConsoleEndpoint(tcp=("::1", 1)), True),
        (ConsoleEndpoint(tcp=("localhost", 1)), True),
        (ConsoleEndpoint(tcp=("192.0.2.1", 1)), False),
        (ConsoleEndpoint(unix_path="/x", ssh=SshTarget("host")), False),
    ],
)
def test_what_is_local(endpoint: ConsoleEndpoint, local: bool) -> None:
    assert endpoint.is_local is local
