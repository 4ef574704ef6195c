"""What rules are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from guivm.engine.options.facts import HostFacts
from guivm.engine.options.option import N
from guivm.engine.options.phrase import Phrase
from guivm.engine.options.values import AccessFix, EditFix, Place, SettingProblem
from guivm.engine.xml.domain import DomainXml
from guivm.text import clean_line

Rule: TypeAlias = Callable[[DomainXml, HostFacts], Iterator[SettingProblem]]


def error(place: Place, message: str, *, command: str = "", fix: EditFix | AccessFix | None = None) -> SettingProblem:
    return SettingProblem(place, clean_line(message, 500), fix=fix, command=command)


def warning(place: Place, message: str, *, command: str = "", fix: EditFix | None = None) -> SettingProblem:
    return SettingProblem(place, clean_line(message, 500), is_warning=True, fix=fix, command=command)


def use(place: Place, value: str | int, words: str = "") -> EditFix:
    """The fix that gives an option another value, which ``words`` are for."""
    return EditFix(place, value, Phrase(N("Use {}"), clean_line(words or str(value), 120)))


def gib(kib: int) -> str:
    """KiB for people, rounded: "15.6 GiB"."""
    amount, unit = float(kib), "KiB"
    for larger in ("MiB", "GiB", "TiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.1f}".removesuffix(".0") + f" {unit}"
