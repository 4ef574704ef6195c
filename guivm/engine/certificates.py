"""Where this computer keeps the certificates for displays: the places other viewers of libvirt's guests look at.

The person's own come before the system's: https://libvirt.org/kbase/tlscerts.html, and ``libvirt-vnc`` for VNC.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Certificates:
    """Paths of PEM files; None: there is none. ``certificate`` and ``key`` are ours, and only together."""

    authority: str | None = None
    certificate: str | None = None
    key: str | None = None


def vnc_certificates(home: Path | None = None, system: Path = Path("/etc/pki")) -> Certificates:
    """What there is now. ``home``: the person's home directory."""
    own = (home or Path.home()) / ".pki"
    authority = _first(own / "CA" / "cacert.pem", system / "CA" / "cacert.pem")
    for place in (own, system):
        certificate = place / "libvirt-vnc" / "clientcert.pem"
        key = place / "libvirt-vnc" / "private" / "clientkey.pem"
        if certificate.is_file() and key.is_file():
            return Certificates(authority, str(certificate), str(key))
    return Certificates(authority)


def _first(*paths: Path) -> str | None:
    return next((str(path) for path in paths if path.is_file()), None)
