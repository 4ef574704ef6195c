"""A VNC server in a process of its own that replays updates as fast as one viewer asks for them.

``python -m tests.bench.replay_server full|tiles|rects WIDTH HEIGHT`` or ``… recorded FILE``. Listens on a free port of
127.0.0.1 for one connection, without a password. Speaks lines of JSON on stdout and takes commands on stdin:

========== =========================================================================================================
``port``   said first
``asked``  said when the viewer has its first picture: the pixel format it set (hexadecimal) and its encodings
``ready``  command: paint the square in the middle in the READY colour; said again when that is sent
``go N``   command: send N updates, then the MARKER square; ``began_ns`` and ``ended_ns`` (CLOCK_MONOTONIC; the first
           byte of the first update, the last of the marker handed to the kernel), ``bytes`` are said
``end``    command, as is the end of stdin
========== =========================================================================================================

Updates are never made while they are served: the bytes lie in a memory file and go out by sendfile(2), without a copy
on this side. Each update needs a request of the viewer's after the one before it, however many it sends.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import time
from pathlib import Path
from struct import Struct, unpack_from

from tests.bench.console_streams import MARKER, PIXEL_FORMAT, READY, Stream, made_stream, recorded_stream, spot_update

_INIT = Struct(">HH13s3xI")
_NAME = b"replay"
_FIXED = {0: 20, 3: 10, 4: 8, 5: 6, 150: 10}  # whole lengths of client messages by type

Piece = tuple[int, int]  # offset and length in the memory file


class _ClientLeftError(Exception):
    pass


class ReplayServer:
    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._file = os.memfd_create("replay")
        self._size = 0
        self._setup = self._keep(stream.setup)
        self._updates = [self._keep(update) for update in stream.updates]
        self._spots = {
            colour: self._keep(spot_update(stream.width, stream.height, colour)) for colour in (READY, MARKER)
        }
        self._next = 0
        self._asked = PIXEL_FORMAT  # the format in force: the server's own until the viewer sets one
        self._encodings: tuple[int, ...] = ()
        self._requested = False
        self._input = b""

    def _keep(self, data: bytes) -> Piece:
        piece = (self._size, len(data))
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]
        self._size += len(data)
        return piece

    def serve(self) -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=1) as listener:
            _say(port=listener.getsockname()[1])
            self._sock, _ = listener.accept()
        with self._sock:
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._greet()
            self._wait_for_request()
            self._send(self._setup)
            _say(asked=self._asked.hex(), encodings=self._encodings)
            try:
                while (command := self._next_command()) and command[0] != "end":
                    if command[0] == "ready":
                        self._update(self._spots[READY])
                        _say(ready=True)
                    else:
                        self._go(int(command[1]))
            except (_ClientLeftError, BrokenPipeError, ConnectionResetError):
                _say(left=True)

    def _greet(self) -> None:
        sock = self._sock
        sock.sendall(b"RFB 003.008\n")
        self._exactly(12)
        sock.sendall(b"\1\1")  # one way to log in: none
        self._exactly(1)
        sock.sendall(b"\0\0\0\0")
        self._exactly(1)
        sock.sendall(_INIT.pack(self._stream.width, self._stream.height, PIXEL_FORMAT, len(_NAME)) + _NAME)

    def _go(self, count: int) -> None:
        updates = self._updates
        if not self._stream.circular and self._next + count > len(updates):
            raise SystemExit("The recording is too short for so many runs.")
        self._wait_for_request()
        began = time.monotonic_ns()
        sent = 0
        for _ in range(count):
            piece = updates[self._next % len(updates)]
            self._next += 1
            self._update(piece)
            sent += piece[1]
        self._update(self._spots[MARKER])
        _say(began_ns=began, ended_ns=time.monotonic_ns(), bytes=sent)

    def _update(self, piece: Piece) -> None:
        self._wait_for_request()
        self._send(piece)

    def _send(self, piece: Piece) -> None:
        offset, left = piece
        self._requested = False
        while left:
            sent = os.sendfile(self._sock.fileno(), self._file, offset, left)
            offset += sent
            left -= sent

    # --- what the viewer says -------------------------------------------------------------------------

    def _wait_for_request(self) -> None:
        while not self._requested:
            self._more()
            self._read_messages()

    def _next_command(self) -> list[str]:
        """Empty at the end of stdin. Meanwhile the viewer's messages are read, so that it never has to wait."""
        poller = select.poll()
        poller.register(sys.stdin, select.POLLIN)
        poller.register(self._sock, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poller.poll()}
            if self._sock.fileno() in ready:
                self._more()
                self._read_messages()
            if sys.stdin.fileno() in ready:
                return sys.stdin.readline().split()

    def _more(self) -> None:
        data = self._sock.recv(65536)
        if not data:
            raise _ClientLeftError
        self._input += data

    def _exactly(self, count: int) -> bytes:
        while len(self._input) < count:
            self._more()
        data, self._input = self._input[:count], self._input[count:]
        return data

    def _read_messages(self) -> None:
        while self._input:
            kind = self._input[0]
            size = _FIXED.get(kind, 0)
            if kind == 2 and len(self._input) >= 4:
                size = 4 + 4 * unpack_from(">H", self._input, 2)[0]
            elif kind == 6 and len(self._input) >= 8:
                size = 8 + abs(unpack_from(">i", self._input, 4)[0])
            elif not size and kind not in (2, 6):
                raise SystemExit(f"The viewer sent a message of unknown type {kind}.")
            if not size or len(self._input) < size:
                return
            message, self._input = self._input[:size], self._input[size:]
            if kind == 0:
                self._asked = message[4:17]
            elif kind == 2:
                self._encodings = unpack_from(f">{(size - 4) // 4}i", message, 4)
            elif kind == 3:
                self._requested = True


def _say(**words: object) -> None:
    print(json.dumps(words), flush=True)


def main() -> None:
    kind, *rest = sys.argv[1:]
    stream = recorded_stream(Path(rest[0])) if kind == "recorded" else made_stream(kind, int(rest[0]), int(rest[1]))
    ReplayServer(stream).serve()


if __name__ == "__main__":
    main()
