"""Amounts of memory and disk as text: "1.5 GiB", "20G"."""

from __future__ import annotations

import math
import re
from fractions import Fraction

from guivm.engine.options.option import N, SizeUnit

_LETTERS = "kmgtpe"


def size_words(amount: int, unit: SizeUnit) -> str:
    """Exact where it can be: "1.5 GiB", "2049 MiB", "0 KiB"; never rounded, so that it can be read back."""
    count = amount * unit.value
    for power, name in ((6, "EiB"), (5, "PiB"), (4, "TiB"), (3, "GiB"), (2, "MiB"), (1, "KiB")):
        hundred = Fraction(count * 100, 1024**power)
        if count >= 1024**power and hundred.denominator == 1:
            whole, cents = divmod(hundred.numerator, 100)
            return f"{whole}{f'.{cents:02}'.rstrip('0') if cents else ''} {name}"
    return f"{count} bytes" if count % 1024 else f"{count // 1024} KiB"


def parse_size(text: str, unit: SizeUnit) -> int:
    """Read "2GiB", "1.5 G", "512M", "100 bytes" (1024-based; "GB" is 10⁹), rounded up to ``unit``.

    Raises ValueError.
    """
    match = re.fullmatch(r"\s*(\d{1,24}(?:[.,]\d{1,12})?)\s*(?:([kmgtpe])(i?b)?|(b|bytes?))\s*", text.lower(), re.ASCII)
    if match is None:
        raise ValueError(N("Write an amount with its unit, for example “512 MiB” or “20 GiB”."))
    power = 0 if match[2] is None else _LETTERS.index(match[2]) + 1
    base = 1000 if match[3] == "b" else 1024
    count = Fraction(match[1].replace(",", ".")) * Fraction(base) ** power
    return math.ceil(count / unit.value)
