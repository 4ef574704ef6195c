"""Sees libvirt write the definition of a VM, by inotify on the directory where it keeps them. No Qt.

Most of what changes a definition alone (``virsh setvcpus --config``, ``virsh autostart``) causes no event.

libvirt writes ``NAME.xml.new`` and renames it (virFileRewrite); a VM that starts with the host has a link of the same
name in ``autostart/``, made with the first of them. The directory is told in https://libvirt.org/drvqemu.html; a
driver in our own process has it for itself, so that nobody else writes there.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from guivm.engine import hosts

if TYPE_CHECKING:
    from inotify_simple import INotify

_SYSTEM = Path("/etc/libvirt/qemu")
_SUFFIX = ".xml"
_AUTOSTART = "autostart"

Told = Callable[[frozenset[str] | None], None]


def directory_of(uri: str) -> Path | None:
    """Where the host of a URI keeps its definitions; None when that is not on this computer, or not known."""
    parts = urlsplit(uri)
    if parts.scheme.partition("+")[0] != "qemu" or not hosts.is_local(uri) or parts.query:
        return None
    if parts.path == "/system" or (parts.path == "/session" and os.geteuid() == 0):  # root has no other daemon
        return _SYSTEM
    if parts.path == "/session":
        import platformdirs

        return Path(platformdirs.user_config_dir("libvirt")) / "qemu"
    return None


class DefinitionWatch:
    """Tells names of VMs whose definition, or start with the host, was written; None when too much was at once.

    ``told`` is called on libvirt's event thread, which waits for the descriptor: no thread of ours is needed.
    """

    def __init__(self, directory: Path, told: Told) -> None:
        """Raises OSError when the directory is not there or cannot be read. The event loop must run."""
        import libvirt
        from inotify_simple import INotify, flags

        self._told = told
        self._autostart = directory / _AUTOSTART
        self._directory_mask = int(flags.MOVED_TO | flags.CREATE | flags.ONLYDIR)
        self._autostart_mask = int(flags.MOVED_TO | flags.CREATE | flags.DELETE | flags.ONLYDIR)
        self._lock = threading.Lock()
        self._notify: INotify | None = INotify()
        try:
            self._wd = self._notify.add_watch(directory, self._directory_mask)
            self._watch_autostart(self._notify)
            self._handle = libvirt.virEventAddHandle(
                self._notify.fileno(), libvirt.VIR_EVENT_HANDLE_READABLE, self._on_readable, None
            )
        except BaseException:
            self._notify.close()
            raise

    def close(self) -> None:
        """Tell nothing any more. Any thread."""
        import libvirt

        with self._lock:
            notify, self._notify = self._notify, None
        if notify is not None:
            libvirt.virEventRemoveHandle(self._handle)
            notify.close()

    def _watch_autostart(self, notify: INotify) -> list[str]:
        """The files in that directory; it is made with the first VM that starts with the host."""
        try:
            notify.add_watch(self._autostart, self._autostart_mask)
            return [path.name for path in self._autostart.iterdir()]
        except OSError:
            return []

    def _on_readable(self, _handle: int, _fd: int, _events: int, _opaque: object) -> None:
        """On libvirt's event thread."""
        from inotify_simple import flags

        files: set[str] = set()
        lost = False
        with self._lock:
            if self._notify is None:
                return
            for event in self._notify.read(timeout=0):
                lost = lost or bool(event.mask & flags.Q_OVERFLOW)
                if event.mask & flags.ISDIR:
                    if event.name == _AUTOSTART:
                        files.update(self._watch_autostart(self._notify))
                elif event.wd != self._wd or event.mask & flags.MOVED_TO:
                    files.add(event.name)
        names = frozenset(file.removesuffix(_SUFFIX) for file in files if file.endswith(_SUFFIX))
        if lost or names:
            self._told(None if lost else names)
