"""What rules are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from guivm.engine.options.facts import HostFacts
from guivm.engine.options.values import Place, SettingProblem
from guivm.engine.xml.domain import DomainXml
from guivm.text import clean_line

Rule: TypeAlias = Callable[[DomainXml, HostFacts], Iterator[SettingProblem]]


def error(place: Place, message: str, *, command: str = "") -> SettingProblem:
    return SettingProblem(place, clean_line(message, 500), command=command)


def warning(place: Place, message: str, *, command: str = "") -> SettingProblem:
    return SettingProblem(place, clean_line(message, 500), is_warning=True, command=command)


def gib(kib: int) -> str:
    """KiB for people, rounded: "15.6 GiB"."""
    amount, unit = float(kib), "KiB"
    for larger in ("MiB", "GiB", "TiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.1f}".removesuffix(".0") + f" {unit}"
