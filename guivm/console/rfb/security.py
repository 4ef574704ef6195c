"""Agreeing on a way to log in: RFC 6143 §7.1.2 and §7.2, and VeNCrypt (rfbproto, "VeNCrypt").

Of what the server offers and we can do, the strongest is taken: TLS with certificates, TLS without, nothing; within
one strength the one that needs least from the person. A failure never falls back to something weaker.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from guivm.console.rfb import wire
from guivm.console.rfb.auth import CHALLENGE_BYTES, vnc_response
from guivm.console.rfb.errors import CredentialNeed, RfbAuthError, RfbError
from guivm.console.rfb.inbox import Inbox, Steps, TlsKind
from guivm.console.rfb.limits import MAX_NAME_BYTES, MAX_SECURITY_TYPES, check_length
from guivm.console.rfb.wire import Security, VeNCrypt
from guivm.text import clean_line

_NO_ANSWER_REASON = "The server gave no reason."
_VERSION = b"\0\2"  # of VeNCrypt


@dataclass(frozen=True, slots=True)
class Login:
    """What we can tell a server, and what we expect of it."""

    user: str | None = None
    password: str | None = field(default=None, repr=False)
    require_identity: bool = False  # only TLS with certificates will do
    plain_is_safe: bool = True  # the transport itself keeps secrets: a password may be said in clear


class _Proof(enum.Enum):
    """How a person is known to the server."""

    NONE = "none"
    VNC = "vnc"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class _Method:
    number: int
    proof: _Proof
    tls: TlsKind | None = None


_PLAIN_TYPES = (
    _Method(Security.NONE, _Proof.NONE),
    _Method(Security.VNC, _Proof.VNC),
)
_VENCRYPT_TYPES = (
    _Method(VeNCrypt.X509_NONE, _Proof.NONE, TlsKind.VERIFIED),
    _Method(VeNCrypt.X509_VNC, _Proof.VNC, TlsKind.VERIFIED),
    _Method(VeNCrypt.X509_PLAIN, _Proof.PLAIN, TlsKind.VERIFIED),
    _Method(VeNCrypt.TLS_NONE, _Proof.NONE, TlsKind.ANONYMOUS),
    _Method(VeNCrypt.TLS_VNC, _Proof.VNC, TlsKind.ANONYMOUS),
    _Method(VeNCrypt.TLS_PLAIN, _Proof.PLAIN, TlsKind.ANONYMOUS),
    _Method(VeNCrypt.PLAIN, _Proof.PLAIN),
)


class SecurityHandshake:
    """One run of it. ``tls`` says afterwards what protects the connection."""

    def __init__(self, inbox: Inbox, say: Callable[[bytes], None], minor: int, login: Login) -> None:
        self.tls: TlsKind | None = None
        self._inbox = inbox
        self._say = say
        self._minor = minor
        self._login = login

    def run(self) -> Steps[None]:
        """From the server's offer to its word that we are let in. Raises RfbAuthError."""
        offered = yield from self._offer()
        if Security.VENCRYPT in offered and self._minor >= 7:
            method = yield from self._vencrypt(offered)
        else:
            method = self._choose(_PLAIN_TYPES, offered)
            if self._minor >= 7:
                self._say(bytes((method.number,)))
        yield from self._prove(method)

    def _offer(self) -> Steps[Sequence[int]]:
        inbox = self._inbox
        if self._minor == 3:
            start = yield from inbox.take(4)
            (kind,) = wire.U32.unpack_from(inbox.data, start)
            offered: Sequence[int] = (kind,) if kind else ()
        else:
            start = yield from inbox.take(1)
            offered = tuple((yield from inbox.take_bytes(inbox.data[start])))
        if not offered:
            reason = yield from self._reason()
            raise RfbAuthError(reason, summary="The display's server refused the connection.", advice=reason)
        return offered

    def _vencrypt(self, others: Sequence[int]) -> Steps[_Method]:
        inbox = self._inbox
        self._say(bytes((Security.VENCRYPT,)))
        version = yield from inbox.take_bytes(2)
        if version < _VERSION:
            raise RfbError(f"version {version[0]}.{version[1]} of VeNCrypt, older than 0.2")
        self._say(_VERSION)
        start = yield from inbox.take(1)
        if inbox.data[start]:
            raise RfbAuthError(
                "version 0.2 of VeNCrypt was refused",
                summary="The display's server refused to speak of encryption.",
            )
        start = yield from inbox.take(1)
        count = inbox.data[start]
        check_length(count, MAX_SECURITY_TYPES, "a list of security types")
        data = yield from inbox.take_bytes(4 * count)
        offered = [kind for (kind,) in wire.U32.iter_unpack(data)]
        method = self._choose(_VENCRYPT_TYPES, offered, also=others)
        self._say(wire.U32.pack(method.number))
        if method.tls is not None:
            start = yield from inbox.take(1)
            if inbox.data[start] != 1:
                raise RfbAuthError(
                    f"security type {method.number} was refused",
                    summary="The display's server refused the encryption it offered.",
                )
            if inbox.end != inbox.pos:
                # Whatever came in clear behind the agreement would be taken for something the server said in secret.
                raise RfbError("bytes in clear where encryption was agreed on")
            yield method.tls
            self.tls = method.tls
        return method

    def _choose(self, known: Sequence[_Method], offered: Sequence[int], also: Sequence[int] = ()) -> _Method:
        login = self._login
        possible = [method for method in known if method.number in offered]
        usable = [
            method
            for method in possible
            if (method.tls is TlsKind.VERIFIED or not login.require_identity)
            and (method.proof is not _Proof.PLAIN or method.tls is not None or login.plain_is_safe)
        ]
        if not usable:
            self._refuse(possible, [*also, *offered])
        strongest = [method for method in usable if method.tls is usable[0].tls]  # the tables are in that order
        if strongest[0].proof is not _Proof.NONE and login.user is not None:
            return strongest[-1]  # by name and password, where that is possible
        return strongest[0]

    def _refuse(self, possible: Sequence[_Method], offered: Sequence[int]) -> NoReturn:
        kinds = ", ".join(str(kind) for kind in offered[:16])
        if possible and self._login.require_identity:
            raise RfbAuthError(
                f"no certificate among the security types {kinds}",
                summary="The display's server does not prove who it is.",
                advice="A server with a certificate was expected; ask whoever runs the host.",
            )
        if possible:
            raise RfbAuthError(
                f"security types {kinds}",
                summary="The display asks for a password that everybody on the network could read.",
                advice="Connect to the host through SSH, or have its display use TLS.",
            )
        raise RfbAuthError(
            f"security types {kinds}",
            summary="The display asks for a way to log in that is not known here.",
            advice=f"It offers the security types {kinds}; known are none (1), VNC password (2) and VeNCrypt (19).",
        )

    def _prove(self, method: _Method) -> Steps[None]:
        needs: CredentialNeed | None = None
        login = self._login
        if method.proof is _Proof.VNC:
            needs = CredentialNeed.PASSWORD
            if login.password is None:
                raise _missing(needs)
            challenge = yield from self._inbox.take_bytes(CHALLENGE_BYTES)
            self._say(vnc_response(login.password, challenge))
        elif method.proof is _Proof.PLAIN:
            needs = CredentialNeed.USER_AND_PASSWORD
            if login.password is None or login.user is None:
                raise _missing(needs)
            user, password = login.user.encode(), login.password.encode()
            self._say(wire.U32.pack(len(user)) + wire.U32.pack(len(password)) + user + password)
        if needs is not None or self._minor >= 8 or method.number not in (Security.NONE, Security.VNC):
            yield from self._result(needs)

    def _result(self, needs: CredentialNeed | None) -> Steps[None]:
        start = yield from self._inbox.take(4)
        (result,) = wire.U32.unpack_from(self._inbox.data, start)
        if result == 0:
            return
        reason = (yield from self._reason()) if self._minor >= 8 else _NO_ANSWER_REASON
        raise RfbAuthError(
            reason,
            summary="The display's server refused the log-in.",
            advice=reason,
            needs=needs,
            was_refused=needs is not None,
        )

    def _reason(self) -> Steps[str]:
        start = yield from self._inbox.take(4)
        (length,) = wire.U32.unpack_from(self._inbox.data, start)
        check_length(length, MAX_NAME_BYTES, "a reason")
        data = yield from self._inbox.take_bytes(length)
        return clean_line(data.decode("utf-8", "replace"), 300) or _NO_ANSWER_REASON


def _missing(needs: CredentialNeed) -> RfbAuthError:
    what = "a password" if needs is CredentialNeed.PASSWORD else "a user name and a password"
    return RfbAuthError(
        f"{what} is needed",
        summary=f"The display asks for {what}.",
        advice="None is known for it.",
        needs=needs,
    )
