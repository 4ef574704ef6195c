"""A real libvirt session daemon of its own, run as a pretended ordinary user, for tests on real QEMU."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import libvirt

_START_TIMEOUT_S = 30.0


@contextmanager
def session_daemon() -> Iterator[str]:
    """Run ``libvirtd`` with private directories; yields the URI that reaches it from this process.

    The directories lie under /tmp: the path of a UNIX socket holds 107 bytes. All VMs are destroyed at the end.
    """
    root = Path(tempfile.mkdtemp(prefix="gv-", dir="/tmp"))
    environment = dict(os.environ, HOME=str(root))
    for name, directory in (
        ("XDG_RUNTIME_DIR", "r"),
        ("XDG_CONFIG_HOME", "c"),
        ("XDG_CACHE_HOME", "k"),
        ("XDG_DATA_HOME", "d"),
    ):
        (root / directory).mkdir(mode=0o700)
        environment[name] = str(root / directory)
    argv = ["libvirtd"]
    if os.geteuid() == 0:
        argv = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--", *argv]
    with (root / "log").open("wb") as log:
        daemon = subprocess.Popen(argv, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    socket = root / "r" / "libvirt" / "libvirt-sock"
    uri = f"qemu+unix:///session?socket={socket}"
    try:
        _wait_until_it_answers(daemon, uri, root / "log")
        yield uri
        _destroy_all(uri)
    finally:
        daemon.send_signal(signal.SIGTERM)
        try:
            daemon.wait(10)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
        shutil.rmtree(root, ignore_errors=True)


def _wait_until_it_answers(daemon: subprocess.Popen[bytes], uri: str, log: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    while True:
        try:
            libvirt.open(uri).close()
        except libvirt.libvirtError as error:
            if daemon.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"libvirtd does not answer: {error}\n{log.read_text()}") from error
            os.sched_yield()
        else:
            return


def _destroy_all(uri: str) -> None:
    connection = libvirt.open(uri)
    try:
        for domain in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
            domain.destroy()
    finally:
        connection.close()
