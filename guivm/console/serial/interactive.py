"""A serial line in the terminal the program was started from: ``guivm serial VM``. No Qt."""

from __future__ import annotations

import os
import select
import sys
import termios
import tty

from guivm.engine.job_types import SerialEndpoint
from guivm.errors import ConsoleError, UnsupportedError

LEAVE = 0x1D
"""Ctrl+], as virsh and telnet have it."""

_CHUNK = 65_536


def run_serial(endpoint: SerialEndpoint, *, stdin: int | None = None, stdout: int | None = None) -> None:
    """Connect the line with standard input and output, until Ctrl+], or the end of either. Takes the descriptor over.

    The terminal is put into raw mode and always put back. Raises ConsoleError when the host closed the line, and
    UnsupportedError when standard input is no terminal.
    """
    source = sys.stdin.fileno() if stdin is None else stdin
    target = sys.stdout.fileno() if stdout is None else stdout
    try:
        if not os.isatty(source):
            raise UnsupportedError(
                "The serial console needs a terminal to type in.", advice="Run this command in a terminal window."
            )
        before = termios.tcgetattr(source)
        try:
            tty.setraw(source)
            left = _carry(endpoint.fd, source, target)
        finally:
            termios.tcsetattr(source, termios.TCSADRAIN, before)
    finally:
        os.close(endpoint.fd)
    if not left:
        raise ConsoleError("The host closed the serial line.", advice="See whether the virtual machine still runs.")


def _carry(line: int, source: int, target: int) -> bool:
    """True when the person left, False when the line ended."""
    os.set_blocking(line, False)
    to_guest = b""
    leaving = False
    while True:
        if leaving and not to_guest:
            return True
        poller = select.poll()
        poller.register(line, select.POLLIN | (select.POLLOUT if to_guest else 0))
        if not to_guest and not leaving:
            poller.register(source, select.POLLIN)
        ready = dict(poller.poll())
        if ready.get(source, 0):
            typed = os.read(source, _CHUNK)
            end = typed.find(LEAVE)
            leaving = not typed or end >= 0
            to_guest = typed if end < 0 else typed[:end]
        happened = ready.get(line, 0)
        try:
            if happened & select.POLLOUT:
                to_guest = to_guest[os.write(line, to_guest) :]
            if happened & ~select.POLLOUT:
                data = os.read(line, _CHUNK)
                if not data:
                    return False
                _write_all(target, data)
        except BlockingIOError:
            continue
        except ConnectionError:
            return False


def _write_all(target: int, data: bytes) -> None:
    while data:
        data = data[os.write(target, data) :]
