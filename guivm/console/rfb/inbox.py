"""The receive buffer, and how parsers ask for more.

A parser is a generator. It takes bytes straight out of the :class:`Inbox`; when there are not enough it yields
what it wants: a number (at least so many bytes must be in the inbox; 0: nothing but to be interrupted), a list of
memoryviews (the next bytes of the stream belong there, not into the inbox: no copy), or TLS: everything after what was
said so far is encrypted.
"""

from __future__ import annotations

import enum
from collections.abc import Generator
from typing import TypeVar

from guivm.console.rfb.limits import BUFFER_BYTES

T = TypeVar("T")


class TlsKind(enum.Enum):
    ANONYMOUS = "anonymous"  # without certificates: encryption, but no identity
    VERIFIED = "verified"  # the server's certificate is checked


Want = int | list[memoryview] | TlsKind
Steps = Generator[Want, None, T]


class Inbox:
    """Bytes ``data[pos:end]`` are received and not yet parsed. No single demand may exceed the capacity."""

    __slots__ = ("capacity", "data", "end", "pos", "view", "work", "work_limit")

    def __init__(self, capacity: int = BUFFER_BYTES) -> None:
        self.capacity = capacity
        self.data = bytearray(capacity)
        self.view = memoryview(self.data)
        self.pos = 0
        self.end = 0
        self.work = 0  # pixels written by decoders since the last interruption
        self.work_limit: int | None = None  # more than so many: a parser should yield 0

    def space(self) -> memoryview:
        """Free space behind the data, as large as can be: what is held is less than one demand, and moves."""
        pos, end = self.pos, self.end
        if pos:
            held = end - pos
            if held:
                self.view[:held] = bytes(self.view[pos:end])  # the ranges may overlap
            self.pos, self.end = 0, held
        return self.view[self.end :]

    def take(self, count: int) -> Steps[int]:
        """Wait for ``count`` bytes; answer the offset in ``data`` where they start, valid until the next yield."""
        if self.end - self.pos < count:
            yield count
        start = self.pos
        self.pos = start + count
        return start

    def take_bytes(self, count: int) -> Steps[bytes]:
        """Wait for ``count`` bytes of any (already bounded) number; answer a copy."""
        if count <= self.capacity:
            start = yield from self.take(count)
            return bytes(self.view[start : start + count])
        whole = bytearray(count)
        yield from self.take_into([memoryview(whole)])
        return bytes(whole)

    def take_into(self, targets: list[memoryview]) -> Steps[None]:
        """Fill ``targets`` (not empty) in order: from the inbox what is there already, the rest from the wire."""
        view = self.view
        for index, target in enumerate(targets):
            size = len(target)
            have = self.end - self.pos
            if have < size:
                target[:have] = view[self.pos : self.end]
                self.pos = self.end
                yield [target[have:], *targets[index + 1 :]]
                return
            target[:] = view[self.pos : self.pos + size]
            self.pos += size
