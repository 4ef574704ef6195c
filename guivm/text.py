"""Cleaning of text that comes from guests, hosts and files: hostile until shown to be plain."""

from __future__ import annotations

import re
import unicodedata

# Bidirectional controls reorder what surrounds them (Unicode TR36, "Trojan Source"); category Cf holds them
# and the zero-width characters. Cc: control; Cs: lone surrogates; Co: private use; Zl/Zp: line separators.
_DROPPED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_ELLIPSIS = "…"
_DIGITS = re.compile(r"(\d+)")


def _without_dropped(text: str, keep: str = "") -> str:
    return "".join(c for c in text if c in keep or unicodedata.category(c) not in _DROPPED_CATEGORIES)


def clean_line(text: str, limit: int = 200) -> str:
    """Return ``text`` as one plain line of at most ``limit`` characters; white space runs become one space."""
    head = text[: limit * 4]
    spaced = head if head.isprintable() else "".join(" " if c in "\t\n\r\u2028\u2029" else c for c in head)
    kept = spaced if spaced.isprintable() else _without_dropped(spaced)  # printable text has none of them
    line = " ".join(kept.split())
    return line if len(line) <= limit else line[: limit - 1] + _ELLIPSIS


def clean_block(text: str, limit: int = 8192) -> str:
    """Return ``text`` as plain lines, at most ``limit`` characters; newlines and tabs are kept."""
    head = text[: limit * 2].replace("\r\n", "\n").replace("\r", "\n")
    kept = head if head.isprintable() else _without_dropped(head, keep="\n\t")
    kept = kept.strip("\n")
    return kept if len(kept) <= limit else kept[: limit - 1] + _ELLIPSIS


def natural_key(text: str) -> tuple[str | int, ...]:
    """Sort key in which "vm10" follows "vm9"; case does not matter."""
    parts: list[str | int] = list(_DIGITS.split(text.casefold()))  # letters and digits in turn
    parts[1::2] = [int(str(digits)[:18]) for digits in parts[1::2]]
    return tuple(parts)
