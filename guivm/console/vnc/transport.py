"""The non-blocking stream of one console: a socket, later perhaps TLS over it."""

from __future__ import annotations

import select
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING

from guivm.console.rfb.errors import RfbError

if TYPE_CHECKING:
    import ssl


class Transport:
    """Owns the socket. Nothing blocks; BlockingIOError means: wait for :attr:`events`, then try again."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.events = select.POLLIN
        self._tls: ssl.SSLSocket | None = None

    def close(self) -> None:
        self.sock.close()

    @property
    def has_more(self) -> bool:
        """Bytes are decrypted already, and no poll will tell of them."""
        return self._tls is not None and self._tls.pending() > 0

    def receive(self, buffers: Sequence[memoryview]) -> int:
        """Fill buffers in order; 0: the other side has closed. Raises BlockingIOError, OSError, RfbError."""
        if self._tls is not None:
            return self._receive_tls(self._tls, buffers[0])
        return self.sock.recv_into(buffers[0]) if len(buffers) == 1 else self.sock.recvmsg_into(buffers)[0]

    def send(self, data: bytes) -> int:
        """Send what goes without waiting. Raises BlockingIOError, OSError, RfbError."""
        if self._tls is not None:
            return self._send_tls(self._tls, data)
        return self.sock.send(data, socket.MSG_NOSIGNAL)

    # --- TLS ------------------------------------------------------------------------------------------

    def start_tls(self, context: ssl.SSLContext, server_name: str) -> None:
        """Wrap the socket; :meth:`shake_hands` does the rest."""
        self._tls = context.wrap_socket(self.sock, do_handshake_on_connect=False, server_hostname=server_name)
        self.sock = self._tls

    def shake_hands(self) -> bool:
        """One step; False: wait for :attr:`events`. Raises ssl.SSLError and OSError."""
        import ssl

        assert self._tls is not None
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self.events = select.POLLIN
            return False
        except ssl.SSLWantWriteError:
            self.events = select.POLLOUT
            return False
        self.events = select.POLLIN
        return True

    def _receive_tls(self, tls: ssl.SSLSocket, buffer: memoryview) -> int:
        import ssl

        try:
            return tls.recv_into(buffer)
        except ssl.SSLWantReadError:
            self.events = select.POLLIN
        except ssl.SSLWantWriteError:
            self.events = select.POLLIN | select.POLLOUT
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return 0
        except ssl.SSLError as error:
            raise _broken(error) from error
        raise BlockingIOError

    def _send_tls(self, tls: ssl.SSLSocket, data: bytes) -> int:
        import ssl

        try:
            return tls.send(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            raise BrokenPipeError from None
        except ssl.SSLError as error:
            raise _broken(error) from error


def _broken(error: ssl.SSLError) -> RfbError:
    return RfbError(f"encryption: {error.reason or error}", summary="The display's encrypted connection broke.")
