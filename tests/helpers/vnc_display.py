"""A display for automation's tests: answers requests with its picture, writes down what it is told, in a thread."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable

from guivm.engine.job_types import ConsoleEndpoint
from tests.helpers import rfb_server as srv
from tests.helpers.rfb_server import KeyMessage, Pixels, PointerMessage, ScriptedServer

Input = KeyMessage | PointerMessage | str
"""A string is what was pasted."""


class VncDisplay:
    """``on_input`` is called in the display's thread for each key, pointer or paste message; it may show a picture."""

    def __init__(self, picture: Pixels, *, extended_keys: bool = True, first_bytes: bytes = b"") -> None:
        """``first_bytes``: sent right after the opening, for a server that misbehaves."""
        self.inputs: list[Input] = []
        self.on_input: Callable[[Input], None] | None = None
        self.nudges = 0
        self.problem: Exception | None = None
        self._server = ScriptedServer(timeout_s=20)
        self._extended_keys = extended_keys
        self._first_bytes = first_bytes
        self._lock = threading.Lock()
        self._picture = picture
        self._is_changed = False
        self._is_asked = False
        self._thread = threading.Thread(target=self._run, name="vnc-display")

    def endpoint(self) -> ConsoleEndpoint:
        """To be asked for once; starts the display."""
        self._thread.start()
        return self._server.endpoint()

    def close(self) -> None:
        with self._lock, contextlib.suppress(OSError):
            self._server.sock.shutdown(socket.SHUT_RDWR)  # wakes the thread, as closing would not
        if self._thread.ident is not None:
            self._thread.join()
        self._server.close()

    def __enter__(self) -> VncDisplay:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def show(self, picture: Pixels) -> None:
        """From any thread."""
        with self._lock:
            if picture.shape != self._picture.shape:
                height, width = picture.shape[:2]
                self._server.send(srv.update(srv.rect(0, 0, width, height, srv.DESKTOP_SIZE)))
            self._picture = picture
            self._is_changed = True
            self._answer(full=False)

    def key_presses(self) -> list[tuple[int | None, bool]]:
        """QEMU's key numbers, or keysyms, that went down or up."""
        return [
            (message.keysym if message.number is None else message.number, message.pressed)
            for message in self.inputs
            if isinstance(message, KeyMessage)
        ]

    def pointers(self) -> list[tuple[int, int, int]]:
        return [(m.x, m.y, m.buttons) for m in self.inputs if isinstance(m, PointerMessage)]

    def _answer(self, *, full: bool) -> None:
        if full or (self._is_asked and self._is_changed):
            self._is_asked = self._is_changed = False
            self._server.send(srv.update(srv.raw(0, 0, self._picture)))

    def _run(self) -> None:
        try:
            self._talk()
        except (EOFError, OSError):
            return  # the client has left
        except (AssertionError, struct.error) as error:
            self.problem = error

    def _talk(self) -> None:
        server = self._server
        height, width = self._picture.shape[:2]
        server.send(srv.greeting_38(width, height))
        assert server.read(12) == srv.VERSION_38
        assert server.read(2) == b"\x01\x01"
        server.send(self._first_bytes)
        while True:
            message = server.message()
            if isinstance(message, srv.EncodingsMessage):
                if self._extended_keys and srv.EXTENDED_KEY in message.encodings:
                    server.send(srv.update(srv.rect(0, 0, 0, 0, srv.EXTENDED_KEY)))
            elif isinstance(message, srv.RequestMessage):
                with self._lock:
                    self._is_asked = self._is_asked or message.incremental
                    self._answer(full=not message.incremental)
            elif isinstance(message, KeyMessage) and message.number == 0:
                self.nudges += 1
            elif isinstance(message, srv.CutMessage):
                self._take(message.data.decode("latin-1"))
            elif isinstance(message, KeyMessage | PointerMessage):
                self._take(message)

    def _take(self, message: Input) -> None:
        self.inputs.append(message)
        if self.on_input is not None:
            self.on_input(message)
