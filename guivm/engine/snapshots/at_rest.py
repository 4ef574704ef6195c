"""The guest's file systems at rest for a moment, through its agent, and never left so. Worker only.

libvirt waits for the answer to a freeze for as long as the administrator says, by default until the guest ends; the
agent does one thing after another, so it may still be freezing when nobody waits any more. Then it is asked to thaw
until it answers. An agent whose freeze fails thaws what it froze; a Windows guest's ends a freeze by itself after
seconds, and refuses to thaw then (QEMU ``qga/commands-posix.c``, ``qga/vss-win32/requester.cpp``).
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from guivm.engine.cloning.agent import Agent, SilentError
from guivm.engine.libvirt_errors import is_connection_lost
from guivm.errors import OperationError, UnsupportedError

if TYPE_CHECKING:
    import libvirt

_log = logging.getLogger(__name__)

THAW_S = 60.0
_LOOK_S = 0.2


def require_agent(domain: libvirt.virDomain) -> None:
    """Before anything is frozen: one that does not answer now is told at once.

    Raises SilentError, UnsupportedError, libvirtError.
    """
    Agent(domain).ask({"execute": "guest-ping"})


@contextmanager
def at_rest(domain: libvirt.virDomain) -> Iterator[None]:
    """While the block runs. Raises libvirtError, GuivmError; then it may still be at rest, and whoever takes back, or
    connects next, has to :func:`thaw` it."""
    import libvirt

    try:
        domain.fsFreeze()
        yield
    except BaseException as error:
        if not isinstance(error, libvirt.libvirtError) or not is_connection_lost(error):
            with contextlib.suppress(OperationError):
                thaw(domain, THAW_S)
        raise
    thaw(domain, THAW_S)


def thaw(domain: libvirt.virDomain, wait_s: float) -> None:
    """Harmless for a guest that is not at rest. Asks again and again for ``wait_s`` seconds.

    Raises OperationError when it may still be at rest; libvirtError.
    """
    import libvirt

    agent = Agent(domain)
    deadline_s = time.monotonic() + wait_s
    while True:
        try:
            agent.ask({"execute": "guest-fsfreeze-thaw"})
            return
        except UnsupportedError as error:
            refusal = error
        if not domain.isActive() or _is_thawed(agent):
            _log.info("the guest was not thawed: %s %s", refusal, refusal.details)
            return
        if time.monotonic() >= deadline_s or domain.state(0)[0] == libvirt.VIR_DOMAIN_PAUSED:
            raise OperationError(
                "The guest's file systems may still be at rest: its agent does not answer.",
                advice="Look at the guest. If it writes nothing any more, reset it or force it off.",
                details=refusal.details,
            ) from refusal
        time.sleep(_LOOK_S)


def _is_thawed(agent: Agent) -> bool:
    """By what it says itself, having refused to thaw; one that cannot freeze says nothing of the kind."""
    try:
        return agent.ask({"execute": "guest-fsfreeze-status"}) != "frozen"
    except SilentError:
        return False
    except UnsupportedError:
        return True
