"""VNC authentication: the password's bits, reversed per byte, as a DES key (RFC 6143 §7.2.2)."""

from __future__ import annotations

CHALLENGE_BYTES = 16


def vnc_response(password: str, challenge: bytes) -> bytes:
    """Answer to the server's 16-byte challenge. Only the first eight bytes of the password count."""
    # Imported here: few servers ask for it, and OpenSSL is heavy.
    from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
    from cryptography.hazmat.primitives.ciphers import Cipher, modes

    raw = password.encode("utf-8", "replace")[:8].ljust(8, b"\0")
    key = bytes(int(f"{byte:08b}"[::-1], 2) for byte in raw)
    # Three equal keys make triple DES the single DES that the protocol wants; ECB because it says so.
    encryptor = Cipher(TripleDES(key * 3), modes.ECB()).encryptor()
    return encryptor.update(challenge) + encryptor.finalize()
