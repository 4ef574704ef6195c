"""Both sides of RFB's opening, up to where the client says hello (RFC 6143 §7.1 and §7.2). No sockets.

The gate logs in to a display with :func:`log_in` and lets its own client in, with no password, with :func:`let_in`;
from there on both streams continue alike, and bytes can simply be passed on. Both are steps over an inbox
(:mod:`guivm.console.rfb.inbox`).
"""

from __future__ import annotations

from collections.abc import Callable

from guivm.console.rfb import wire
from guivm.console.rfb.errors import RfbError
from guivm.console.rfb.inbox import Inbox, Steps
from guivm.console.rfb.security import Login, SecurityHandshake

Say = Callable[[bytes], None]


def log_in(inbox: Inbox, say: Say, login: Login) -> Steps[None]:
    """As a client, up to just before ClientInit. Raises RfbError."""
    minor = wire.parse_version((yield from inbox.take_bytes(12)))
    say(wire.version_reply(minor))
    yield from SecurityHandshake(inbox, say, minor, login).run()


def let_in(inbox: Inbox, say: Say) -> Steps[None]:
    """As a server without password, up to just before ClientInit. Raises RfbError."""
    say(wire.version_reply(8))
    minor = wire.parse_version((yield from inbox.take_bytes(12)))
    if minor == 3:
        say(wire.U32.pack(wire.Security.NONE))
        return
    say(bytes((1, wire.Security.NONE)))
    if (yield from inbox.take_bytes(1)) != bytes((wire.Security.NONE,)):
        raise RfbError("a client that chose what was not offered")
    if minor >= 8:
        say(wire.U32.pack(0))
