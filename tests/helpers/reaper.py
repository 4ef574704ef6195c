"""``python -m tests.helpers.reaper COMMAND…``: run a command, and take the exit status of whatever it orphans.

libvirt's guests are orphans, and it takes one for alive until somebody has taken its exit status. The first process of
some containers is slow to do that: each end of a guest then takes one to two seconds. PR_SET_CHILD_SUBREAPER(2const).

The exit code is the command's, 128 + N when signal N ended it. SIGINT and SIGTERM are left to the command: send them to
the process group. It dies with this process.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PR_SET_CHILD_SUBREAPER = 36


def main() -> int:
    prctl = ctypes.CDLL(None).prctl
    prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    child = os.fork()
    if child == 0:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        os.execvp(sys.argv[1], sys.argv[1:])
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    while True:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return 128 - code if code < 0 else code


if __name__ == "__main__":
    sys.exit(main())
