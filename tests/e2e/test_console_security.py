"""Ways to log in, against servers of others: QEMU's VNC server and TigerVNC's Xvnc (both with GnuTLS)."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from PySide6.QtCore import QSize
from pytestqt.qtbot import QtBot

from guivm.console.faces import ConsoleFace
from guivm.console.picture.auto_resize import DELAY_MS
from guivm.console.rfb.errors import CredentialNeed, RfbAuthError
from guivm.console.rfb_source import RfbSource
from guivm.console.source import SourceSecurity, SourceState
from guivm.console.widget import ConsoleWidget
from guivm.engine.job_types import ConsoleEndpoint
from guivm.errors import ConsoleError
from tests.e2e.test_console_qemu import Qemu
from tests.helpers.certificates import Authority

pytestmark = pytest.mark.e2e

NAME = "vm-host.example"


@contextmanager
def _opened(qtbot: QtBot, endpoint: ConsoleEndpoint) -> Iterator[RfbSource]:
    """A source in its first state that is not CONNECTING."""
    source = RfbSource(endpoint)
    try:
        with qtbot.waitSignal(source.stateChanged, timeout=20_000):
            source.open()
        yield source
    finally:
        source.close()
        source.deleteLater()


@contextmanager
def _qemu(directory: Path, vnc: str, *objects: str) -> Iterator[ConsoleEndpoint]:
    """A QEMU whose VNC server on the UNIX socket of the endpoint has these options."""
    arguments = [word for value in objects for word in ("-object", value)]
    qemu = Qemu(directory, "-S", *arguments, "-vnc", f"unix:{directory}/secured,{vnc}")
    try:
        yield ConsoleEndpoint(unix_path=str(directory / "secured"))
    finally:
        qemu.close()


def _with(endpoint: ConsoleEndpoint, **changes: object) -> ConsoleEndpoint:
    from dataclasses import replace

    return replace(endpoint, **changes)  # type: ignore[arg-type]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    value = Authority(tmp_path / "pki")
    value.issue(NAME)
    return value


def _x509(authority: Authority) -> str:
    return f"tls-creds-x509,id=tls,dir={authority.path.parent},endpoint=server,verify-peer=off"


def test_qemu_with_certificates(qtbot: QtBot, tmp_path: Path, authority: Authority) -> None:
    with _qemu(tmp_path, "tls-creds=tls", _x509(authority)) as plain:
        good = _with(plain, ca_file=str(authority.path), server_name=NAME, require_identity=True)
        with _opened(qtbot, good) as source:
            assert source.state is SourceState.CONNECTED, source.error
            assert source.security is SourceSecurity.VERIFIED
            assert source.framebuffer is not None
            assert source.framebuffer.pixels.any()
        with _opened(qtbot, _with(good, server_name="other.example")) as source:
            assert isinstance(source.error, RfbAuthError)
            assert "not “other.example”" in source.error.summary
        stranger = Authority(tmp_path / "stranger", "Somebody else")
        with _opened(qtbot, _with(good, ca_file=str(stranger.path))) as source:
            assert isinstance(source.error, RfbAuthError)
            assert "nobody this computer trusts" in source.error.summary
        with _opened(qtbot, _with(good, ca_file=None)) as source:
            assert isinstance(source.error, RfbAuthError)
            assert "nobody this computer trusts" in source.error.summary


def test_qemu_with_an_expired_certificate(qtbot: QtBot, tmp_path: Path, authority: Authority) -> None:
    authority.issue(NAME, days_left=-1)
    expired = _x509(authority) + ",sanity-check=off"
    with (
        _qemu(tmp_path, "tls-creds=tls", expired) as plain,
        _opened(qtbot, _with(plain, ca_file=str(authority.path), server_name=NAME)) as source,
    ):
        assert isinstance(source.error, RfbAuthError)
        assert "expired" in source.error.summary


def test_qemu_with_certificates_and_password(qtbot: QtBot, tmp_path: Path, authority: Authority) -> None:
    secret = "secret,id=p,data=sesame"
    with _qemu(tmp_path, "tls-creds=tls,password-secret=p", _x509(authority), secret) as plain:
        good = _with(plain, ca_file=str(authority.path), server_name=NAME, password="sesame")
        with _opened(qtbot, good) as source:
            assert source.state is SourceState.CONNECTED, source.error
            assert source.security is SourceSecurity.VERIFIED
        with _opened(qtbot, _with(good, password="wrong")) as source:
            assert isinstance(source.error, RfbAuthError)
            assert source.error.needs is CredentialNeed.PASSWORD
            assert source.error.was_refused
        with _opened(qtbot, _with(good, password=None)) as source:
            assert isinstance(source.error, RfbAuthError)
            assert source.error.needs is CredentialNeed.PASSWORD
            assert not source.error.was_refused


def test_qemu_that_wants_our_certificate(qtbot: QtBot, tmp_path: Path, authority: Authority) -> None:
    wants = f"tls-creds-x509,id=tls,dir={authority.path.parent},endpoint=server,verify-peer=on"
    certificate, key = authority.issue("client.example", "ours")
    with _qemu(tmp_path, "tls-creds=tls", wants) as plain:
        good = _with(plain, ca_file=str(authority.path), server_name=NAME)
        with _opened(qtbot, _with(good, client_certificate=str(certificate), client_key=str(key))) as source:
            assert source.state is SourceState.CONNECTED, source.error
        with _opened(qtbot, good) as source:
            assert isinstance(source.error, ConsoleError)


def test_qemu_with_anonymous_tls(qtbot: QtBot, tmp_path: Path) -> None:
    with _qemu(tmp_path, "tls-creds=tls", "tls-creds-anon,id=tls,endpoint=server") as plain:
        with _opened(qtbot, plain) as source:
            assert source.state is SourceState.CONNECTED, source.error
            assert source.security is SourceSecurity.LOCAL
        with _opened(qtbot, _with(plain, require_identity=True)) as source:
            assert isinstance(source.error, RfbAuthError)
            assert "does not prove who it is" in source.error.summary


# --- Xvnc -----------------------------------------------------------------------------------------------------------


@contextmanager
def _xvnc(directory: Path, *arguments: str) -> Iterator[ConsoleEndpoint]:
    """An X server of TigerVNC's on a free display, its VNC on a UNIX socket."""
    path = directory / "xvnc"
    read, write = os.pipe()
    with (directory / "xvnc.log").open("wb") as log:
        server = subprocess.Popen(
            [
                *("Xvnc", "-displayfd", str(write), "-geometry", "640x480", "-depth", "24", "-nolisten", "tcp"),
                *("-rfbport", "-1", "-rfbunixpath", str(path), *arguments),
            ],
            pass_fds=[write],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    os.close(write)
    try:
        with os.fdopen(read) as lines:
            assert lines.readline(), (directory / "xvnc.log").read_text()
        yield ConsoleEndpoint(unix_path=str(path))
    finally:
        server.terminate()
        server.wait(10)


def _password_file(directory: Path, password: str) -> Path:
    """What ``vncpasswd`` writes: the password as one block of DES, with a key that everybody knows."""
    key = bytes.fromhex("e84ad660c4721ae0")
    encryptor = Cipher(TripleDES(key * 3), modes.ECB()).encryptor()
    path = directory / "passwd"
    path.write_bytes(encryptor.update(password.encode().ljust(8, b"\0")))
    return path


@pytest.mark.parametrize("kind", ["None", "VncAuth", "TLSNone", "TLSVnc", "X509None", "X509Vnc"])
def test_tigervnc(qtbot: QtBot, tmp_path: Path, authority: Authority, kind: str) -> None:
    certificate, key = authority.issue(NAME)
    with _xvnc(
        tmp_path,
        *("-SecurityTypes", kind, "-PasswordFile", str(_password_file(tmp_path, "sesame"))),
        *("-X509Cert", str(certificate), "-X509Key", str(key)),
    ) as plain:
        good = _with(plain, ca_file=str(authority.path), server_name=NAME, password="sesame")
        with _opened(qtbot, good) as source:
            assert source.state is SourceState.CONNECTED, source.error
            expected = SourceSecurity.VERIFIED if kind.startswith("X509") else SourceSecurity.LOCAL
            assert source.security is expected
        if kind.lower().endswith("vnc") or kind == "VncAuth":
            with _opened(qtbot, _with(good, password="wrong")) as source:
                assert isinstance(source.error, RfbAuthError)
                assert source.error.needs is CredentialNeed.PASSWORD


def test_tigervnc_takes_the_strongest_of_many(qtbot: QtBot, tmp_path: Path, authority: Authority) -> None:
    certificate, key = authority.issue(NAME)
    kinds = "None,VncAuth,Plain,TLSNone,TLSPlain,X509Plain,X509None"
    with (
        _xvnc(tmp_path, "-SecurityTypes", kinds, "-X509Cert", str(certificate), "-X509Key", str(key)) as plain,
        _opened(qtbot, _with(plain, ca_file=str(authority.path), server_name=NAME)) as source,
    ):
        assert source.state is SourceState.CONNECTED, source.error
        assert source.security is SourceSecurity.VERIFIED


def test_tigervnc_by_name_and_password(qtbot: QtBot, tmp_path: Path) -> None:
    """Xvnc asks PAM, which knows no such person: the refusal is told, and what would be needed."""
    with _xvnc(tmp_path, "-SecurityTypes", "TLSPlain", "-PlainUsers", "*", "-pam_service", "other") as plain:
        with _opened(qtbot, plain) as source:
            assert isinstance(source.error, RfbAuthError)
            assert source.error.needs is CredentialNeed.USER_AND_PASSWORD
            assert not source.error.was_refused
        with _opened(qtbot, _with(plain, user="nobody-known", password="wrong")) as source:
            assert isinstance(source.error, RfbAuthError)
            assert source.error.needs is CredentialNeed.USER_AND_PASSWORD
            assert source.error.was_refused


def test_tigervnc_takes_the_size_we_ask_for(qtbot: QtBot, tmp_path: Path) -> None:
    with _xvnc(tmp_path, "-SecurityTypes", "None") as plain, _opened(qtbot, plain) as source:
        assert source.state is SourceState.CONNECTED, source.error
        with qtbot.waitSignal(source.resized, timeout=10_000) as caught:
            source.request_size(1003, 701)
        framebuffer = caught.args[0]
        assert (framebuffer.width, framebuffer.height) == (1003, 701)
        assert [(head.width, head.height) for head in source.heads] == [(1003, 701)]


def test_tigervnc_follows_the_window(qtbot: QtBot, tmp_path: Path) -> None:
    """The console asks for its own size in device pixels, and then shows every guest pixel as one."""
    with _xvnc(tmp_path, "-SecurityTypes", "None") as plain:
        console = ConsoleWidget()
        qtbot.addWidget(console, before_close_func=lambda _console: console.set_source(None))
        console.set_face(ConsoleFace.LIVE)
        console.resize(1011, 613)
        console.show()
        qtbot.waitExposed(console)
        console.set_auto_resize(True)
        source = RfbSource(plain)
        console.set_source(source)
        source.open()
        frame = 4  # of the capture mark, on both sides together
        expected = QSize((1011 - frame) // 8 * 8, 613 - frame)
        qtbot.waitUntil(lambda: console.picture_size() == expected, timeout=10_000)
        assert console.zoom() == 1.0
        console.resize(805, 444)
        smaller = QSize((805 - frame) // 8 * 8, 444 - frame)
        qtbot.waitUntil(lambda: console.picture_size() == smaller, timeout=10_000)
        console.set_auto_resize(False)
        console.resize(700, 500)
        with qtbot.assertNotEmitted(source.resized, wait=2 * DELAY_MS):
            pass


def test_over_tcp_it_is_told_that_everybody_can_read(qtbot: QtBot, tmp_path: Path) -> None:
    """127.0.0.1 is this computer; whatever else an address is, it is a network."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        assert ConsoleEndpoint(tcp=listener.getsockname()).is_local
    assert not ConsoleEndpoint(tcp=("192.0.2.1", 5900)).is_local
