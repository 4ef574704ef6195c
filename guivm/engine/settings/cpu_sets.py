"""CPU sets as libvirt writes them: "0-3,^2,8" (formatdomain.html, "CPU Allocation"). Pure."""

from __future__ import annotations

from collections.abc import Iterable

_MAX_CPUS = 65_536


def parse_cpu_set(text: str) -> frozenset[int]:
    """The numbers of a set. Raises ValueError with a sentence."""
    chosen: set[int] = set()
    for part in text.split(","):
        word = part.strip()
        excluded = word.startswith("^")
        first, dash, last = word.removeprefix("^").partition("-")
        if not _is_number(first) or (dash and not _is_number(last)):
            raise ValueError(f"“{word}” is no CPU and no range of CPUs; write “0-3,8”.")
        low, high = int(first), int(last) if dash else int(first)
        if high < low or high >= _MAX_CPUS:
            raise ValueError(f"“{word}” is no range of CPUs.")
        numbers = range(low, high + 1)
        chosen = chosen - set(numbers) if excluded else chosen | set(numbers)
    if not chosen:
        raise ValueError("No CPU is left in the set.")
    return frozenset(chosen)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 6


def cpu_map(numbers: Iterable[int], count: int) -> tuple[bool, ...]:
    """As libvirt's binding wants it: one truth value for each of the host's ``count`` CPUs. ValueError beyond them."""
    wanted = frozenset(numbers)
    beyond = sorted(number for number in wanted if number >= count)
    if beyond:
        raise ValueError(f"The host has no CPU {beyond[0]}.")
    return tuple(number in wanted for number in range(count))
