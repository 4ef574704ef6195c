"""Drives one decoder over an inbox, in pieces of any size."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from guivm.console.frame import Framebuffer
from guivm.console.rfb.decoders import Decoder
from guivm.console.rfb.inbox import Inbox, Steps, T

_LAST_RECT = -224


class Starved(Exception):  # noqa: N818
    """The steps want more than there is."""


def run(steps: Steps[T], inbox: Inbox, data: bytes, sizes: Iterable[int] = ()) -> T:
    """Answer what the steps return. ``sizes``: of the pieces, the last one again and again; none: as large as can be.

    All of ``data`` must have been consumed in the end.
    """
    sizes = list(sizes) or [1 << 30]
    pieces = itertools.chain(sizes, itertools.repeat(sizes[-1]))
    view = memoryview(data)
    try:
        want = next(steps)
        while True:
            if isinstance(want, int):
                assert 0 < want <= inbox.capacity
                while inbox.end - inbox.pos < want:
                    space = inbox.space()
                    part = view[: min(next(pieces), len(space))]
                    if not part:
                        raise Starved
                    space[: len(part)] = part
                    inbox.end += len(part)
                    view = view[len(part) :]
            else:
                assert isinstance(want, list)
                for target in want:
                    assert len(target) > 0
                    if len(view) < len(target):
                        raise Starved
                    target[:] = view[: len(target)]
                    view = view[len(target) :]
            want = next(steps)
    except StopIteration as stop:
        assert not view, f"{len(view)} bytes were not asked for"
        assert inbox.pos == inbox.end, f"{inbox.end - inbox.pos} bytes are left in the inbox"
        result: T = stop.value
        return result


@dataclass(frozen=True)
class Rectangle:
    """``first``: its first byte, with which Tight says what kind it is."""

    x: int
    y: int
    width: int
    height: int
    encoding: int
    first: int


def decode(
    decoder: Decoder, data: bytes, width: int, height: int, sizes: Iterable[int] = (), *, margin: int = 3
) -> NDArray[np.uint8]:
    """The pixels (height, width, 4) of a rectangle that lies ``margin`` pixels inside its framebuffer.

    Nothing around the rectangle may have changed.
    """
    target = Framebuffer(width + 2 * margin, height + 2 * margin)
    target.pixels[...] = 77
    inbox = Inbox()
    run(decoder.decode(inbox, target, margin, margin, width, height), inbox, data, sizes)
    found = target.pixels[margin : margin + height, margin : margin + width].copy()
    target.pixels[margin : margin + height, margin : margin + width] = 77
    assert (target.pixels == 77).all(), "pixels around the rectangle were written"
    return found


def play(
    decoders: Mapping[int, Decoder],
    stream: bytes,
    width: int,
    height: int,
    sizes: Iterable[int] = (),
    *,
    updates: int = 1,
) -> tuple[NDArray[np.uint8], list[Rectangle]]:
    """A screen of this size after the updates of ``stream``, of which every byte must belong to one."""
    target = Framebuffer(width, height)
    inbox = Inbox()
    found: list[Rectangle] = []

    def steps() -> Steps[None]:
        for _ in range(updates):
            start = yield from inbox.take(4)
            kind, count = struct.unpack_from(">BxH", inbox.data, start)
            assert kind == 0
            for _ in range(count):
                start = yield from inbox.take(12)
                x, y, w, h, encoding = struct.unpack_from(">HHHHi", inbox.data, start)
                if encoding == _LAST_RECT:
                    break
                assert x + w <= width
                assert y + h <= height
                if inbox.end == inbox.pos:
                    yield 1
                found.append(Rectangle(x, y, w, h, encoding, inbox.data[inbox.pos]))
                yield from decoders[encoding].decode(inbox, target, x, y, w, h)

    run(steps(), inbox, stream, sizes)
    return target.pixels, found
