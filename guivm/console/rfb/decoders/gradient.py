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

_CLAMPED = 6  # clamped pixels in one row, from which on the diagonal way is shorter


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
            out[row:] = _diagonally(differences[row:], before[1:])
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
        clamped: NDArray[np.bool_] = ((guess < 0) | (guess > 0xFF)).any(axis=1)
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
    # Row i is shifted i columns to the right, so that a diagonal becomes a column; columns first, to have it whole.
    skewed: NDArray[np.int16] = np.zeros((rows + width - 1, rows, 3), np.int16)
    for row in range(rows):
        skewed[row : row + width, row] = differences[row]
    # One place more in front for the row above: diagonal d has above[d] there. Two diagonals of zeros before all.
    last: NDArray[np.int16] = np.zeros((rows + 1, 3), np.int16)
    before_last: NDArray[np.int16] = np.zeros((rows + 1, 3), np.int16)
    for diagonal in range(rows + width - 1):
        current: NDArray[np.int16] = np.zeros((rows + 1, 3), np.int16)
        # The row above pixel (0, diagonal) is at column diagonal; it is needed by the next diagonal's reckoning.
        last[0] = above[diagonal] if diagonal < width else 0
        left = max(0, diagonal - width + 1)  # rows whose pixel on this diagonal is inside
        right = min(rows, diagonal + 1)
        guess = last[left + 1 : right + 1] + last[left:right] - before_last[left:right]
        np.clip(guess, 0, 0xFF, out=guess)
        guess += skewed[diagonal, left:right]
        guess &= 0xFF
        current[left + 1 : right + 1] = guess
        skewed[diagonal, left:right] = guess
        last, before_last = current, last
    out: Colours = np.empty_like(differences)
    for row in range(rows):
        out[row] = skewed[row : row + width, row]
    return out
