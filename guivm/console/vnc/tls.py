"""TLS to a display: what is asked of it, and its failures in words.

Certificates are always verified, for the name of the server too. The anonymous kind (VeNCrypt's TLS types) has none
to verify: it needs the anonymous Diffie-Hellman suites, which OpenSSL offers only at security level 0 and up to
TLS 1.2.
"""

from __future__ import annotations

import ssl

from guivm.console.rfb.errors import RfbAuthError
from guivm.console.rfb.inbox import TlsKind
from guivm.engine.job_types import ConsoleEndpoint
from guivm.errors import ConsoleError

_ANONYMOUS_SUITES = "ADH:AECDH:@SECLEVEL=0"

# OpenSSL's X509_V_ERR_* (x509_vfy.h) that a person can do something about.
_NOT_YET_VALID, _EXPIRED = 9, 10
_UNKNOWN_ISSUERS = (2, 18, 19, 20, 21)
_WRONG_NAMES = (62, 64)


def server_name(endpoint: ConsoleEndpoint) -> str:
    """The name that the server's certificate has to carry."""
    if endpoint.server_name is not None:
        return endpoint.server_name
    if endpoint.ssh is not None:
        return endpoint.ssh.host
    return endpoint.tcp[0] if endpoint.tcp is not None else "localhost"


def make_context(kind: TlsKind, endpoint: ConsoleEndpoint) -> ssl.SSLContext:
    """Raises ConsoleError when a certificate file of the endpoint is unreadable."""
    if kind is TlsKind.ANONYMOUS:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # there is no certificate; the UI says that nobody is identified
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(_ANONYMOUS_SUITES)
        return context
    try:
        context = ssl.create_default_context(cafile=endpoint.ca_file)
        if endpoint.client_certificate is not None:
            context.load_cert_chain(endpoint.client_certificate, endpoint.client_key)
    except OSError as error:  # ssl.SSLError is one
        raise ConsoleError(
            "A certificate file for the display cannot be read.",
            advice="Check the certificates of this computer.",
            details=f"{endpoint.ca_file or ''} {endpoint.client_certificate or ''}: {error}",
        ) from error
    return context


def in_words(error: OSError, name: str) -> ConsoleError:
    """Why no encrypted connection came about."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _unverified(error, name)
    words = error.reason if isinstance(error, ssl.SSLError) and error.reason else error.strerror or str(error)
    return ConsoleError(
        f"The display's server and this computer agree on no encryption ({words}).",
        advice="Reconnect; if it happens again, ask whoever runs the host.",
        details=str(error),
    )


def _unverified(error: ssl.SSLCertVerificationError, name: str) -> ConsoleError:
    code = error.verify_code
    advice = "Do not go on if you did not expect this; ask whoever runs the host."
    if code == _EXPIRED:
        summary = "The certificate of the display's server has expired."
        advice = "Whoever runs the host has to renew it; check the clock of this computer, too."
    elif code == _NOT_YET_VALID:
        summary = "The certificate of the display's server is not valid yet."
        advice = "Check the clocks of the host and of this computer."
    elif code in _WRONG_NAMES:
        summary = f"The display's server is not “{name}”: its certificate is for another name."
    elif code in _UNKNOWN_ISSUERS:
        summary = "The certificate of the display's server was issued by nobody this computer trusts."
        advice = "Give the certificate of the authority that issued it, if you trust it."
    else:
        summary = f"The certificate of the display's server is refused: {error.verify_message}."
    return RfbAuthError(f"certificate: {error.verify_message} ({code})", summary=summary, advice=advice)
