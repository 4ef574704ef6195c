"""A person's desk for end-to-end tests: a screen, libvirt's session daemon, the application, virsh beside it."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import libvirt
from lxml import etree

from tests.helpers.daemon import SessionDaemon
from tests.helpers.driven_app import DrivenApp


class Desk:
    """``display``: an X server. The application runs as the daemon's pretended user and uses qemu:///session."""

    def __init__(self, daemon: SessionDaemon, display: str, directory: Path) -> None:
        self.daemon = daemon
        self.directory = directory
        self.files = directory / "files"
        self.files.mkdir()
        self._display = display

    def open_app(self, *uris: str) -> DrivenApp:
        """Start the application and wait until its window is shown and its host connected."""
        app = DrivenApp(
            uris,
            env=self.daemon.env | {"DISPLAY": self._display},
            log=self.directory / "app.log",
            prefix=self.daemon.wrap([]),
        )
        try:
            app.wait("window.isVisible() and window.isActiveWindow()")
            app.wait("app.engine.hosts()[0].state.value == 'connected'")
        except BaseException:
            app.kill()
            raise
        return app

    def virsh(self, *arguments: str) -> str:
        done = subprocess.run(
            self.daemon.wrap(["virsh", "-q", "-c", "qemu:///session", *arguments]),
            env=self.daemon.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, f"virsh {arguments}: {done.stderr}"
        return done.stdout.strip()

    def serial_path(self, vm: str) -> str:
        """Path of the pseudo terminal at the first serial port of a running VM."""
        source = etree.fromstring(self.virsh("dumpxml", vm).encode()).find("devices/serial/source")
        assert source is not None, "the VM has no serial port"
        return source.get("path", "")

    @contextmanager
    def vnc_socket(self, vm: str) -> Iterator[Path]:
        """Offer the VM's display to other VNC clients on a UNIX socket, one after another."""
        path = self.directory / "vnc"
        connection = libvirt.open(self.daemon.uri)
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        server.bind(str(path))
        server.listen(1)

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client, socket.socket(fileno=connection.lookupByName(vm).openGraphicsFD(0)) as display:
                    back = threading.Thread(target=_copy, args=(display, client), name="vnc-relay")
                    back.start()
                    _copy(client, display)
                    back.join()

        accepting = threading.Thread(target=serve, name="vnc-accept")
        accepting.start()
        try:
            yield path
        finally:
            server.shutdown(socket.SHUT_RDWR)
            server.close()
            accepting.join(10)
            connection.close()
            path.unlink()

    def vncdotool_capture(self, vm: str, picture: Path) -> None:
        """Let vncdotool take a picture of the VM's display: an independent witness."""
        with self.vnc_socket(vm) as path:
            # In a process of its own: its reactor lives as long as the process does.
            subprocess.run(
                [sys.executable, "-m", "vncdotool.command", "-s", str(path), "capture", str(picture)],
                check=True,
                timeout=60,
                capture_output=True,
            )


def _copy(source: socket.socket, target: socket.socket) -> None:
    """Until either end is closed; then both are shut down."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
