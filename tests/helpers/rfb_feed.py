"""Drives an RfbSession the way a transport does."""

from __future__ import annotations

from guivm.console.frame import Framebuffer
from guivm.console.rfb.session import RfbSession
from tests.helpers.rfb_server import greeting_38


def feed(session: RfbSession, data: bytes, step: int = 0) -> None:
    """Put ``data`` into the session's buffers, at most ``step`` bytes (0: as many as fit) at a time."""
    view = memoryview(data)
    while view:
        room = step or len(view)
        count = 0
        for buffer in session.buffers():
            part = view[count : count + min(len(buffer), room - count)]
            buffer[: len(part)] = part
            count += len(part)
            if len(part) < len(buffer):
                break
        view = view[count:]
        session.received(count)


def connected(width: int, height: int, name: bytes = b"QEMU (test)") -> RfbSession:
    """A session after the handshake, with its output and events taken."""
    session = RfbSession()
    feed(session, greeting_38(width, height, name))
    session.take_output()
    session.take_events()
    return session


def framebuffer(session: RfbSession) -> Framebuffer:
    assert session.framebuffer is not None
    return session.framebuffer
