"""One module per encoding. A decoder reads one rectangle from the inbox into the framebuffer.

The session has already checked that the rectangle lies inside the framebuffer; it may be empty. A decoder bounds
every length the server names before memory is set aside, and raises RfbError at the first violation.
"""

from __future__ import annotations

from typing import Protocol

from guivm.console.frame import Framebuffer
from guivm.console.rfb.inbox import Inbox, Steps


class Decoder(Protocol):
    """State that lives as long as the connection (zlib streams) belongs to the instance."""

    def decode(self, inbox: Inbox, target: Framebuffer, x: int, y: int, width: int, height: int) -> Steps[None]:
        """Read one rectangle; on return exactly its bytes have been consumed."""
