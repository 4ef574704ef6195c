"""Logging in over bytes: which way is chosen, what is said, and what is never said."""

from __future__ import annotations

import struct

import pytest

from guivm.console.rfb.errors import CredentialNeed, RfbAuthError, RfbError
from guivm.console.rfb.inbox import TlsKind
from guivm.console.rfb.security import Login
from guivm.console.rfb.session import Phase, RfbSession
from tests.helpers import rfb_server as srv
from tests.helpers.rfb_feed import feed

OK = b"\0\0\0\0"
PLAIN, TLS_NONE, TLS_VNC, TLS_PLAIN, X509_NONE, X509_VNC, X509_PLAIN = range(256, 263)


def _offer(*subtypes: int) -> bytes:
    """Up to VeNCrypt's list."""
    return b"\0\2" + b"\0" + bytes([len(subtypes)]) + struct.pack(f">{len(subtypes)}I", *subtypes)


def _begin(login: Login, *subtypes: int, kinds: bytes = b"\x01\x13", step: int = 0) -> RfbSession:
    session = RfbSession(login=login)
    feed(session, srv.VERSION_38 + bytes([len(kinds)]) + kinds, step)
    assert session.take_output() == srv.VERSION_38 + b"\x13"
    feed(session, _offer(*subtypes), step)
    return session


def _wanted(session: RfbSession) -> TlsKind | None:
    return session.tls_wanted


def _chosen(session: RfbSession) -> int:
    output = session.take_output()
    assert output[:2] == b"\0\2"
    return int(struct.unpack(">I", output[2:])[0])


@pytest.mark.parametrize(
    ("login", "offered", "chosen"),
    [
        (Login(), (PLAIN, TLS_NONE, TLS_VNC, TLS_PLAIN, X509_NONE, X509_VNC, X509_PLAIN), X509_NONE),
        (Login("me", "secret"), (TLS_NONE, X509_VNC, X509_PLAIN), X509_PLAIN),
        (Login(password="secret"), (TLS_NONE, X509_VNC, X509_PLAIN), X509_VNC),
        (Login(), (TLS_NONE, X509_VNC), X509_VNC),
        (Login(), (TLS_NONE, TLS_VNC), TLS_NONE),
        (Login("me", "secret"), (TLS_VNC, TLS_PLAIN), TLS_PLAIN),
        (Login("me", "secret", plain_is_safe=False), (PLAIN, TLS_VNC), TLS_VNC),
    ],
)
def test_the_strongest_that_is_possible(login: Login, offered: tuple[int, ...], chosen: int) -> None:
    assert _chosen(_begin(login, *offered)) == chosen


@pytest.mark.parametrize("step", [0, 1])
def test_tls_none(step: int) -> None:
    session = _begin(Login(), TLS_NONE, step=step)
    session.take_output()
    assert _wanted(session) is None
    feed(session, b"\x01", step)
    assert _wanted(session) is TlsKind.ANONYMOUS
    session.tls_started()
    assert _wanted(session) is None
    feed(session, OK, step)
    assert session.security is TlsKind.ANONYMOUS
    assert session.take_output() == b"\x01"
    feed(session, srv.server_init(8, 8), step)
    assert session.phase is Phase.IDLE


@pytest.mark.parametrize("step", [0, 1])
def test_certificates_and_a_name(step: int) -> None:
    session = _begin(Login("Łucja", "pass"), X509_PLAIN, step=step)
    session.take_output()
    feed(session, b"\x01")
    assert session.tls_wanted is TlsKind.VERIFIED
    assert session.take_output() == b"", "nothing secret before it is encrypted"
    session.tls_started()
    name = "Łucja".encode()
    assert session.take_output() == struct.pack(">II", len(name), 4) + name + b"pass"
    feed(session, OK + srv.server_init(8, 8), step)
    assert session.security is TlsKind.VERIFIED


def test_certificates_and_a_password() -> None:
    session = _begin(Login(password="secret"), X509_VNC)
    feed(session, b"\x01")
    session.tls_started()
    session.take_output()
    feed(session, bytes(range(16)))
    assert session.take_output().hex() == "ee22539f33a5983ec12f9c2edbc995dd"


def test_plain_where_nobody_listens() -> None:
    session = _begin(Login("me", "pass"), PLAIN)
    assert session.take_output() == b"\0\2" + struct.pack(">III", PLAIN, 2, 4) + b"mepass"
    feed(session, OK + srv.server_init(8, 8))
    assert session.security is None


def test_no_password_in_clear_over_a_network() -> None:
    with pytest.raises(RfbAuthError, match="everybody on the network"):
        _begin(Login("me", "pass", plain_is_safe=False), PLAIN)


def test_identity_that_is_required() -> None:
    with pytest.raises(RfbAuthError, match="does not prove who it is"):
        _begin(Login(require_identity=True), TLS_NONE, PLAIN)
    with pytest.raises(RfbAuthError, match="does not prove who it is"):
        feed(RfbSession(login=Login(require_identity=True)), srv.VERSION_38 + b"\x02\x01\x02")


@pytest.mark.parametrize(
    ("subtype", "login", "needs"),
    [
        (TLS_VNC, Login(), CredentialNeed.PASSWORD),
        (X509_VNC, Login(), CredentialNeed.PASSWORD),
        (TLS_PLAIN, Login(), CredentialNeed.USER_AND_PASSWORD),
        (TLS_PLAIN, Login(password="known"), CredentialNeed.USER_AND_PASSWORD),
        (X509_PLAIN, Login("me"), CredentialNeed.USER_AND_PASSWORD),
    ],
)
def test_what_is_missing(subtype: int, login: Login, needs: CredentialNeed) -> None:
    session = _begin(login, subtype)
    feed(session, b"\x01")
    with pytest.raises(RfbAuthError) as caught:
        session.tls_started()
    assert caught.value.needs is needs
    assert not caught.value.was_refused


def test_what_was_refused() -> None:
    session = _begin(Login("me", "wrong"), TLS_PLAIN)
    feed(session, b"\x01")
    session.tls_started()
    with pytest.raises(RfbAuthError, match="go away") as caught:
        feed(session, b"\0\0\0\x01" + struct.pack(">I", 7) + b"go away")
    assert caught.value.needs is CredentialNeed.USER_AND_PASSWORD
    assert caught.value.was_refused


def test_bytes_in_clear_behind_the_agreement_are_refused() -> None:
    """Else whoever sits between could put words into the server's mouth."""
    with pytest.raises(RfbError, match="bytes in clear"):
        feed(_begin(Login(), X509_NONE), b"\x01" + OK)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\0\1", "0.1 of VeNCrypt"),
        (b"\0\2\xff", "refused to speak of encryption"),
        (b"\0\2\0\0", "not known here"),
        (b"\0\2\0\2" + struct.pack(">II", 263, 264), "19, 263, 264"),
        (b"\0\2\0\1" + struct.pack(">I", TLS_NONE) + b"\0", "refused the encryption"),
    ],
)
def test_servers_that_do_not_agree(data: bytes, words: str) -> None:
    with pytest.raises(RfbError, match=words):
        feed(RfbSession(), srv.VERSION_38 + b"\x01\x13" + data)
