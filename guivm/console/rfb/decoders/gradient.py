"""Tight's gradient filter undone (rfbproto "Tight Encoding", GradientFilter).

A pixel was sent as its difference to left + above - above left, clamped to what a colour can be. Without the
clamping a row would be nothing but a running sum; so that is what it is taken for, up to the first pixel where the
sum shows that it was clamped.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Colours = NDArray[np.uint8]
Wide = NDArray[np.int32]
Narrow = NDArray[np.int16]

_CLAMPED = 16  # pixels in one row, from which on the diagonal way is shorter
_BAND = 256  # rows that go the diagonal way at once
_LEAST, _MOST = np.int16(0), np.int16(0xFF)


def undo_gradient(differences: Colours, above: Colours) -> Colours:
    """``differences``: (rows, width, 3); ``above``: (width, 3), the row before them, zeros for the first.

    Answers the colours, (rows, width, 3).
    """
    rows, width = differences.shape[:2]
    out: Colours = np.empty_like(differences)
    # One column more on the left, which is 0: nothing is left of the first column.
    before: Wide = np.zeros((width + 1, 3), np.int32)
    before[1:] = above
    for row in range(rows):
        found = _row(differences[row], before)
        if found is None:
            last = before[1:]
            for top in range(row, rows, _BAND):  # memory goes with the square of the rows
                band = _diagonally(differences[top : top + _BAND], last)
                out[top : top + _BAND] = band
                last = band[-1].astype(np.int32)
            break
        before = found
        out[row] = before[1:]
    return out


def _row(differences: Colours, above: Wide) -> Wide | None:
    """One row with its column of zeros in front; None where too much of it was clamped."""
    row: Wide = np.zeros_like(above)
    start = 0  # the last column that is settled, counted with the zeros in front
    for _ in range(_CLAMPED):
        sums = differences[start:].cumsum(axis=0, dtype=np.int32)
        sums += above[start + 1 :]
        sums += row[start] - above[start]
        sums &= 0xFF
        row[start + 1 :] = sums
        guess = row[start:-1] + above[start + 1 :] - above[start:-1]
        clamped = np.logical_or.reduce((guess < 0) | (guess > 0xFF), axis=1)
        first = int(clamped.argmax())
        if not clamped[first]:
            return row
        row[start + first + 1] = (guess[first].clip(0, 0xFF) + differences[start + first]) & 0xFF
        start += first + 1
        if start == len(differences):
            return row
    return None


def _diagonally(differences: Colours, above: Wide) -> Colours:
    """Along the diagonals from lower left to upper right: on each, no pixel depends on another."""
    rows, width = differences.shape[:2]
    count = rows + width - 1
    # Row i is shifted i places, so that a diagonal becomes a line. What is left of the first column stays 0 by
    # itself; what is right of the last one is of no use and does no harm.
    skewed: Narrow = np.zeros((count, rows, 3), np.int16)
    for row in range(rows):
        skewed[row : row + width, row] = differences[row]
    # A place more in front of each diagonal has the pixel above its first row, which the next two diagonals need.
    # Two diagonals before all.
    found: Narrow = np.zeros((count + 2, rows + 1, 3), np.int16)
    found[1 : width + 1, 0] = above
    before_last, last = found[0].ravel(), found[1].ravel()
    for added, current in zip(skewed.reshape(count, -1), found[2:].reshape(count, -1), strict=True):
        guess = current[3:]
        np.add(last[3:], last[:-3], out=guess)
        np.subtract(guess, before_last[:-3], out=guess)
        np.maximum(guess, _LEAST, out=guess)
        np.minimum(guess, _MOST, out=guess)
        np.add(guess, added, out=guess)
        np.bitwise_and(guess, _MOST, out=guess)
        before_last, last = last, current
    out: Colours = np.empty_like(differences)
    for row in range(rows):
        out[row] = found[row + 2 : row + 2 + width, row + 1]
    return out
