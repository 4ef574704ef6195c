"""Runs of equal pixels, as ZRLE's tiles have them (RFC 6143 §7.7.6).

The length of a run is one more than the sum of its bytes, of which all but the last are 255. Where a run begins is
known only when the one before has been read; numpy finds the beginnings of many at once nevertheless.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from guivm.console.rfb.decoders.pixels import PIXEL, Pixels
from guivm.console.rfb.errors import RfbError

_FEW = 48  # runs that are read one by one before numpy is worth its calls
_SAMPLE = 8  # runs that are looked at to tell whether a tile has many
_SHORT = 64  # pixels; where all of the sample are shorter, a tile will hardly have only a few
_RUN = 0x80
_ON = 0xFF  # the length goes on
_CHUNK = 1024  # bytes of palette runs at once
_GROUP = 3072  # plain runs at once: more than most tiles have


def plain_runs(data: bytes, at: int, count: int) -> tuple[Pixels, int]:
    """``count`` pixels from runs of a pixel B, G, R and a length, and where they end. ``data[at - 1]`` must exist."""
    sample = data[at + 3 : at + 3 + 4 * _SAMPLE : 4]
    if count > _SHORT * _FEW // 2 and sample and max(sample) < _SHORT:
        groups, at = _many_plain(data, at, count, count)
        return groups[0] if len(groups) == 1 else np.concatenate(groups), at
    left = count
    parts: list[bytes] = []
    try:
        while left and len(parts) < _FEW:
            run = 1
            end = at + 3
            while data[end] == _ON:
                run += _ON
                end += 1
            run += data[end]
            left -= run
            if left < 0:
                raise _overflow(count)
            parts.append(data[at : at + 3] * run)
            at = end + 1
    except IndexError:
        raise short_tile() from None
    joined = b"\0" + b"".join(parts)
    first = np.ndarray((count - left,), PIXEL, joined, 0, (3,)) >> np.uint32(8)
    if not left:
        return first, at
    rest, at = _many_plain(data, at, left, count)
    return np.concatenate((first, *rest)), at


def _many_plain(data: bytes, at: int, left: int, count: int) -> tuple[list[Pixels], int]:
    """Groups of runs whose length is one byte, each closed by one whose length has more, or by too many of them."""
    parts: list[Pixels] = []
    while left > 0:
        group = min(left, _GROUP, (len(data) - at) // 4)
        if not group:
            raise short_tile()
        lengths: NDArray[np.uint8] = np.ndarray((group,), np.uint8, data, at + 3, (4,))
        long = int(lengths.argmax())
        if lengths[long] != _ON:
            long = group
        runs = np.add(lengths[:long], 1, dtype=np.intp)
        ends = runs.cumsum()
        last = int(ends.searchsorted(left))
        if last < long:
            long = last + 1
            if ends[last] != left:
                raise _overflow(count)
            left = 0
        else:
            left -= int(ends[-1]) if long else 0
        pixels = np.ndarray((long,), PIXEL, data, at - 1, (4,)) >> np.uint32(8)
        parts.append(pixels.repeat(runs[:long]))
        at += long * 4
        if left and long < group:
            end = at + 3
            run = 1
            while end < len(data) and data[end] == _ON:
                run += _ON
                end += 1
            if end == len(data):
                raise short_tile()
            run += data[end]
            left -= run
            if left < 0:
                raise _overflow(count)
            parts.append(np.full(run, int.from_bytes(data[at : at + 3], "little"), PIXEL))
            at = end + 1
    return parts, at


def palette_runs(data: bytes, at: int, count: int) -> tuple[NDArray[np.uint8], int]:
    """``count`` indexes from single ones and from runs (an index with bit 7, and a length), and where they end.

    An index may be as large as 127: the caller knows the palette.
    """
    left = count
    parts: list[bytes] = []
    try:
        while left and len(parts) < _FEW:
            index = data[at]
            at += 1
            if index < _RUN:
                parts.append(_INDEX[index])
                left -= 1
                continue
            run = 1
            while data[at] == _ON:
                run += _ON
                at += 1
            run += data[at]
            at += 1
            left -= run
            if left < 0:
                raise _overflow(count)
            parts.append(_INDEX[index - _RUN] * run)
    except IndexError:
        raise short_tile() from None
    while left:
        part, at = _many_indexes(data, at, left, count)
        parts.append(part.tobytes())
        left -= len(part)
    return np.frombuffer(b"".join(parts), np.uint8), at


_INDEX = [bytes([index]) for index in range(128)]


def _many_indexes(data: bytes, at: int, left: int, count: int) -> tuple[NDArray[np.uint8], int]:
    """The indexes of as many runs as a chunk of the data has, at most ``left`` of them.

    Which bytes are indexes and which are lengths: what follows a byte below 128 is an index, for it was one itself
    or the last of a length. What follows 255 belongs to a length. Any other byte changes from one to the other.
    """
    found = np.frombuffer(data, np.uint8, min(_CHUNK, len(data) - at), at)
    if not len(found):
        raise short_tile()
    toggles = (found >= _RUN) & (found != _ON)
    parity = np.bitwise_xor.accumulate(toggles.view(np.uint8))
    # For each byte the last one at or before it that settles what comes next, and what it settles, in one number.
    settled = _PLACES[: len(found)] + (parity ^ (found == _ON))
    settled[toggles] = 0
    state = parity ^ (np.maximum.accumulate(settled) & 1)  # behind each byte: 1 where a length goes on
    starts = np.flatnonzero(state[:-1] == 0) + 1
    starts = np.concatenate((_FIRST, starts))
    size = len(found)
    if state[-1]:
        # The last run is cut off by the end of the chunk.
        size = int(starts[-1])
        starts = starts[:-1]
        if not len(starts):
            # A single run that is longer than the chunk, or that the end of the data cuts off.
            raise _overflow(count) if len(found) == _CHUNK else short_tile()
    lengths = found[:size].astype(np.intp)
    indexes = found[starts]
    lengths[starts] = 1
    lengths = np.add.reduceat(lengths, starts)
    ends = lengths.cumsum()
    last = int(ends.searchsorted(left))
    if last < len(starts):
        if ends[last] != left:
            raise _overflow(count)
        if last + 1 < len(starts):
            size = int(starts[last + 1])
        indexes, lengths = indexes[: last + 1], lengths[: last + 1]
    return (indexes & np.uint8(0x7F)).repeat(lengths), at + size


_FIRST = np.zeros(1, np.intp)
_PLACES = np.arange(2, 2 * _CHUNK + 2, 2, dtype=np.int16)


def _overflow(count: int) -> RfbError:
    return RfbError(f"runs of pixels that are longer than their tile of {count} pixels")


def short_tile() -> RfbError:
    return RfbError("a ZRLE tile that ends before its last pixel")
