"""The tree that ``snapshots`` plans for and shows: always the same, as two people's habits would make it."""

from __future__ import annotations

import random
from collections.abc import Sequence

COUNT = 1000
DEPTH = 50
"""Most of a snapshot and all above it."""


def parents() -> tuple[int | None, ...]:
    """A snapshot's parent by numbers; None for the first. Parents come before children."""
    chance = random.Random(COUNT)
    found: list[int | None] = [None]
    depths = [1]
    for number in range(1, COUNT):
        parent = number - 1  # half of them go on from the one before, the others from any
        while depths[parent] >= DEPTH or (parent == number - 1 and chance.random() < 0.5):
            parent = chance.randrange(number)
        found.append(parent)
        depths.append(depths[parent] + 1)
    return tuple(found)


def middle(tree: Sequence[int | None]) -> int:
    """A snapshot in the middle of a chain: half as deep as the tree may be, and something stands on it."""
    depths: list[int] = []
    for parent in tree:
        depths.append(1 if parent is None else depths[parent] + 1)
    return next(number for number in range(len(tree)) if depths[number] == DEPTH // 2 and number in tree)
