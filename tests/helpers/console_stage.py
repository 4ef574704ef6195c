"""A console page in a window, with displays of the fake engine behind it."""

from __future__ import annotations

import os
import socket

import numpy as np
from PySide6.QtCore import QObject
from PySide6.QtWidgets import QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from guivm.console.faces import ConsoleFace
from guivm.engine.job_types import ConsoleEndpoint
from guivm.engine.requests import OpenConsole
from guivm.engine.types import VmKey, VmState
from guivm.views.bridge import Bridge
from guivm.views.console_page import ConsolePage
from guivm.views.settings import Settings
from tests.helpers.fake_engine import FakeEngine
from tests.helpers.fake_source import FakeSource

BLUE = np.full((30, 40, 4), (255, 0, 0, 255), dtype=np.uint8)


class Displays:
    """Displays of the fake engine: each connection is a socket pair; sources are fakes."""

    def __init__(self) -> None:
        self.sources: list[FakeSource] = []
        self.endpoints: list[ConsoleEndpoint] = []
        self.ours: list[socket.socket] = []
        self.failure: Exception | None = None

    def open(self, key: VmKey) -> ConsoleEndpoint:
        if self.failure is not None:
            raise self.failure
        ours, theirs = socket.socketpair()
        self.ours.append(ours)
        return ConsoleEndpoint(fd=theirs.detach())

    def make_source(self, endpoint: ConsoleEndpoint, parent: QObject, *, tap: object = None) -> FakeSource:
        assert endpoint.fd is not None
        os.close(endpoint.fd)
        self.endpoints.append(endpoint)
        source = FakeSource(parent)
        self.sources.append(source)
        return source

    @property
    def all_given_back(self) -> bool:
        """Whether the other end of every connection was closed."""
        for ours in self.ours:
            ours.setblocking(False)
            try:
                if ours.recv(1) != b"":
                    return False
            except BlockingIOError:
                return False
        return True


class Stage:
    def __init__(self, qtbot: QtBot, bridge: Bridge, settings: Settings, engine: FakeEngine, key: VmKey) -> None:
        self.qtbot = qtbot
        self.engine = engine
        self.key = key
        self.window = QWidget()
        qtbot.addWidget(self.window)
        vm = engine.vm(key)
        assert vm is not None
        self.page = ConsolePage(bridge, settings, vm, self.window)
        QVBoxLayout(self.window).addWidget(self.page)
        self.window.resize(500, 400)
        self.window.show()
        qtbot.waitExposed(self.window)

    def become(self, state: VmState, **fields: object) -> None:
        self.engine.change_vm(self.key, state=state, **fields)
        vm = self.engine.vm(self.key)
        assert vm is not None
        self.page.set_vm(vm)

    def live(self, displays: Displays) -> FakeSource:
        """Wait for the connection and let a first picture arrive."""
        count = len(displays.sources)
        self.qtbot.waitUntil(lambda: self.page.has_source or len(displays.sources) > count)
        source = displays.sources[-1]
        source.show(BLUE)
        return source

    def shows(self, face: ConsoleFace) -> bool:
        return self.page.console is not None and self.page.console.face() is face

    def asked(self) -> int:
        return len(self.engine.requests_of(OpenConsole))
