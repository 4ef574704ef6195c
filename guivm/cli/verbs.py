"""What the verbs have in common: how one is declared, and the options that several take."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guivm.cli.session import Session

Run = Callable[["Session", argparse.Namespace], int]
"""Does a verb and prints; answers the exit code, or raises GuivmError."""

Begin = Callable[[argparse.Namespace, Sequence[str]], int | None]
"""All that needs no engine, with the URIs of ``--connect``; an exit code when that was all.

Raises GuivmError, or UsageError.
"""


class UsageError(Exception):
    """Options that do not go together; the text says which."""


@dataclass(frozen=True, slots=True)
class Verb:
    """What is to be done: ``begin``, then ``run``. A verb without ``run`` ends with ``begin``."""

    run: Run | None
    begin: Begin | None


class Verbs:
    """Takes the verbs in the order in which ``guivm --help`` lists them."""

    def __init__(self, parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
        """``common``: the options that the parser and every verb take."""
        self._verbs = parser.add_subparsers(dest="verb", metavar="VERB", title="verbs")
        self._common = common
        self._output = argparse.ArgumentParser(add_help=False)
        self._output.add_argument("--json", action="store_true", help="print JSON")

    def add(
        self, name: str, help_text: str, run: Run | None = None, *, begin: Begin | None = None, json_output: bool = True
    ) -> argparse.ArgumentParser:
        """Declare a verb; its own options go to the parser answered."""
        parser = self._verbs.add_parser(
            name,
            help=help_text,
            description=help_text[0].upper() + help_text[1:],
            parents=[self._common, self._output] if json_output else [self._common],
        )
        parser.set_defaults(chosen=Verb(run, begin))
        return parser


def chosen(arguments: argparse.Namespace) -> Verb | None:
    """The verb that was given, if one was."""
    verb: Verb | None = getattr(arguments, "chosen", None)
    return verb


def add_vm(parser: argparse.ArgumentParser) -> None:
    """The VM a verb is for: name or UUID."""
    parser.add_argument("vm", metavar="VM")


def size_bytes(text: str) -> int:
    """Parse ``512M``, ``20G``, ``1.5T`` into bytes (1024-based; a bare number is bytes)."""
    units = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
    lowered = text.strip().lower().removesuffix("b").removesuffix("i")
    number, unit = (lowered[:-1], lowered[-1]) if lowered and lowered[-1] in "kmgt" else (lowered, "")
    try:
        value = float(number) * 1024 ** units[unit]
        if not 0 < value < 2**63:
            raise ValueError
        return int(value)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"“{text}” is no size; write for example 512M or 20G") from None
