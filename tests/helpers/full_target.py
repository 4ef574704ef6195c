"""A clone of a running guest onto a file system that becomes full meanwhile: ``python -m tests.helpers.full_target``.

In a process of its own, in mounts of its own (:func:`command`): a few MiB of memory hold the clone.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import libvirt

from guivm.engine.cloning import handlers
from guivm.engine.requests import CloneVm
from guivm.engine.snapshots import journal, store
from guivm.engine.snapshots.values import CloneSpec
from guivm.errors import NoSpaceError
from tests.helpers.clone_house import House
from tests.helpers.counting_guest import Counting
from tests.helpers.daemon import SessionDaemon


def command() -> list[str]:
    """What runs it."""
    users = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *users, "--mount", "--", sys.executable, "-m", "tests.helpers.full_target"]


def main() -> None:
    with tempfile.TemporaryDirectory() as name, SessionDaemon() as daemon:
        folder = Path(name)
        small = folder / "small"
        small.mkdir()
        house = House(libvirt.open(daemon.uri), folder)
        guest = Counting(house)
        guest.goes_on(150)  # all of its blocks hold something
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "none", small], check=True)
        try:
            clone(house, guest, small)
        finally:
            guest.domain.destroy()
            house.connection.close()
            subprocess.run(["umount", small], check=True)


def clone(house: House, guest: Counting, small: Path) -> None:
    assert guest.domain.state(0)[0] == libvirt.VIR_DOMAIN_RUNNING
    try:
        handlers.clone_vm(house.context, CloneVm(guest.key, CloneSpec("copy", directory=os.fspath(small))))
    except NoSpaceError as error:
        print(error, error.details, file=sys.stderr)
    else:
        raise AssertionError("there was room")
    guest.goes_on(20)
    assert not list(small.iterdir())
    assert house.names() == {"source"}
    assert not journal.is_there(store.folder_of(house.images, guest.key.uuid))


if __name__ == "__main__":
    main()
