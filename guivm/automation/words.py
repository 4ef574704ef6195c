"""One line of a script as words: quoting as in a POSIX shell, ``$NAME``, and ``#`` comments. Pure.

The rules are those of :mod:`shlex` in its POSIX mode, but for two: ``#`` begins a comment only where a word could
begin, and a variable is put in outside single quotes (``\\$`` is a plain dollar sign there).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BLANK = " \t"


class WordError(ValueError):
    """The line cannot be split; the text says what is wrong with it."""


def is_name(text: str) -> bool:
    """Whether a variable can be called so."""
    return _NAME.fullmatch(text) is not None


def split_words(line: str, variables: Mapping[str, str]) -> list[str]:
    """The words of ``line``. Raises WordError."""
    found: list[str] = []
    at = 0
    while at < len(line):
        if line[at] in _BLANK:
            at += 1
        elif line[at] == "#":
            break
        else:
            word, at = _word(line, at, variables)
            found.append(word)
    return found


def _word(line: str, at: int, variables: Mapping[str, str]) -> tuple[str, int]:
    """The word that begins at ``at``, and where it ends."""
    parts: list[str] = []
    quoted = False  # in double quotes
    while at < len(line):
        c = line[at]
        if c == '"':
            quoted = not quoted
            at += 1
        elif not quoted and c in _BLANK:
            break
        elif not quoted and c == "'":
            end = line.find("'", at + 1)
            if end < 0:
                raise WordError("A single quote is not closed.")
            parts.append(line[at + 1 : end])
            at = end + 1
        elif c == "\\":
            if at + 1 == len(line):
                raise WordError("The line ends with a backslash.")
            escaped = line[at + 1]
            parts.append(escaped if not quoted or escaped in '"\\$' else c + escaped)
            at += 2
        elif c == "$" and (value := _variable(line, at, variables)) is not None:
            parts.append(value[0])
            at = value[1]
        else:
            parts.append(c)
            at += 1
    if quoted:
        raise WordError("A double quote is not closed.")
    return "".join(parts), at


def _variable(line: str, at: int, variables: Mapping[str, str]) -> tuple[str, int] | None:
    """Value and end of the variable at the dollar sign; None where the sign is only itself."""
    braced = line.startswith("{", at + 1)
    match = _NAME.match(line, at + 1 + braced)
    if match is None:
        return None
    end = match.end()
    if braced:
        if not line.startswith("}", end):
            return None
        end += 1
    if match[0] not in variables:
        raise WordError(f"“{match[0]}” has no value. Set it, or write '$' in single quotes for a dollar sign.")
    return variables[match[0]], end
