"""A sample guest that real libvirt runs (QEMU, TCG), with a shell on its serial line, for tests of its settings."""

from __future__ import annotations

import gc
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from guivm.engine import requests as rq
from guivm.engine.engine import LibvirtEngine
from guivm.engine.options.values import AppliedSettings, Reach
from guivm.engine.types import HostState, VmKey, VmState
from guivm.engine.xml.domain import DomainXml
from tests.helpers.daemon import SessionDaemon
from tests.helpers.recorder import Recorder

WAIT_S = 120.0


class Guest:
    """``port``: of the host, forwarded to the guest's 8000, where a test has one."""

    def __init__(self, engine: LibvirtEngine, key: VmKey, line: socket.socket, directory: Path, port: int) -> None:
        self.engine, self.key, self.line, self.directory, self.port = engine, key, line, directory, port
        self._marks = 0

    def run(self, command: str) -> str:
        """What a shell command of the guest prints."""
        self._marks += 1
        end = f"end-{self._marks}."
        self.line.sendall(f"{command}; echo end-$((0+{self._marks})).\n".encode())
        return self.hear(end).partition(end)[0].strip()

    def hear(self, wanted: str) -> str:
        heard = b""
        while wanted.encode() not in heard:
            piece = self.line.recv(65536)
            assert piece, f"the line ended; the guest said {heard!r}"
            heard += piece
        return heard.decode("utf-8", "replace").replace("\r", "")

    def settings(self) -> tuple[DomainXml, DomainXml]:
        """The definition and the running VM's document."""
        read = self.engine.submit(rq.ReadSettings(self.key)).result(WAIT_S)
        return DomainXml.parse(read.xml), DomainXml.parse(read.live_xml)

    def apply(self, edit: Callable[[DomainXml], None]) -> AppliedSettings:
        base = self.engine.submit(rq.ReadSettings(self.key)).result(WAIT_S).xml
        draft = DomainXml.parse(base)
        edit(draft)
        return self.engine.submit(rq.ApplySettings(self.key, base, draft.to_text())).result(WAIT_S)


def reach_of(applied: AppliedSettings, resource: str) -> set[Reach]:
    return {outcome.reach for outcome in applied.outcomes if outcome.change.place.resource == resource}


@contextmanager
def live_guest(definition: str, directory: Path, port: int = 0) -> Iterator[Guest]:
    """Define and start a guest whose first serial port is a pty, and end all of it afterwards."""
    import libvirt

    with SessionDaemon() as daemon:
        engine, recorder = LibvirtEngine(warm_up=False), Recorder()
        engine.add_listener(recorder)
        host = engine.open_host(daemon.uri)
        recorder.wait_for_host(host, HostState.CONNECTED)
        connection = libvirt.open(daemon.uri)
        key = VmKey(host, connection.defineXML(definition).UUIDString())
        connection.close()
        recorder.wait_for_state(key, VmState.OFF)
        engine.submit(rq.Start(key)).result(WAIT_S)
        fd = engine.submit(rq.OpenSerial(key)).result(WAIT_S).fd
        with socket.socket(fileno=fd) as line:
            line.settimeout(WAIT_S)
            guest = Guest(engine, key, line, directory, port)
            guest.hear(":~")
            guest.run("PS1=; stty -echo cols 200")
            yield guest
        engine.submit(rq.ForceOff(key)).result(WAIT_S)
        gc.collect()  # what errors hold of libvirt's must not outlive the daemon
        engine.stop(WAIT_S)
