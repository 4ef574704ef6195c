"""When the thread of a console has to do something although nothing came: deadlines, reminders, measurements."""

from __future__ import annotations

import time
from dataclasses import dataclass

from guivm.console.rfb.encoding_choice import EncodingChooser
from guivm.console.rfb.errors import RfbError
from guivm.console.rfb.session import Phase, RfbSession


@dataclass(frozen=True, slots=True)
class LinkTimes:
    """Deadlines and rates, seconds."""

    connect: float = 10.0
    handshake: float = 10.0
    stall: float = 30.0  # a message that was begun must bring ``stall_bytes`` in this time, or end
    stall_bytes: int = 4096
    picture: float = 30.0  # a first picture has to be on its way after so long
    move_interval: float = 1 / 60
    nudge: float = 0.06  # how long a visible QEMU may be silent before it is reminded of us


class StallWatch:
    """One message must not drip for ever, and a first picture must come."""

    def __init__(self, session: RfbSession, times: LinkTimes) -> None:
        self.received = 0  # bytes, since the last look that was content
        self._session = session
        self._times = times
        self._message = 0
        self._since = 0.0
        self._idle_since: float | None = None  # connected, and without a picture

    def check(self, now: float, *, has_picture: bool) -> float | None:
        """Deadline of what is waited for, or None where there is none. Raises RfbError."""
        session, times = self._session, self._times
        if session.phase is not Phase.MESSAGE:
            self._message = 0
            return None if has_picture or session.phase is not Phase.IDLE else self._check_picture(now)
        enough = self.received >= times.stall_bytes
        if self._message != session.messages or (enough and now >= self._since + times.stall):
            self._message, self._since, self.received = session.messages, now, 0
        elif now >= self._since + times.stall:
            raise RfbError(
                f"a message did not end: {self.received} bytes in {times.stall:g} s",
                summary="The display's server stopped in the middle of a message.",
            )
        return self._since + times.stall

    def _check_picture(self, now: float) -> float:
        if self._idle_since is None:
            self._idle_since = now
        deadline = self._idle_since + self._times.picture
        if now >= deadline:
            raise RfbError(
                f"no picture came in {self._times.picture:g} s",
                summary="The display's server sends no picture.",
                advice="Reconnect to try again.",
            )
        return deadline


class Nudger:
    """Keeps an idle QEMU awake, see :meth:`RfbSession.nudge`; says nothing while updates come by themselves."""

    def __init__(self, session: RfbSession, interval_s: float) -> None:
        self._session = session
        self._interval = interval_s
        self._quiet_since = 0.0  # when the server last said something of its own accord, or was reminded
        self._updates_seen = 0

    def check(self, now: float) -> float | None:
        """Nudge if it is time to. Answers when it will be next (monotonic), or None."""
        session = self._session
        if not session.can_nudge or session.phase is not Phase.IDLE:
            return None
        if session.updates != self._updates_seen:
            self._updates_seen = session.updates
            self._quiet_since = now
        elif now >= self._quiet_since + self._interval:
            self._quiet_since = now
            session.nudge()
        return self._quiet_since + self._interval


class Gauge:
    """Measures a network and lets the chooser's choice be asked for."""

    def __init__(self, session: RfbSession, chooser: EncodingChooser, *, asks_once: bool) -> None:
        self.chooser = chooser
        self._session = session
        self._asks_once = asks_once
        self._received_at = 0.0
        self._asked_at = 0.0  # when something was said that the server has to answer

    def sent(self) -> None:
        """Something went out."""
        self._asked_at = time.monotonic()

    def received(self, count: int, *, in_message: bool) -> None:
        """So much came; ``in_message``: a message was under way when the thread began to wait for it."""
        now = time.monotonic()
        if self._session.phase is Phase.HANDSHAKE:
            if self._asked_at:
                self.chooser.round_trip(now - self._asked_at)
                self._asked_at = 0.0
        elif in_message:
            self.chooser.received(count, now - self._received_at)
            self.apply()
        self._received_at = now

    def apply(self) -> None:
        """Ask for what the chooser has chosen, if it is something else than before."""
        if not self._asks_once or self._session.phase is Phase.HANDSHAKE:
            self._session.set_choice(self.chooser.choice)
