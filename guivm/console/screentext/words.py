"""Letters that look the same in several scripts, and lines of text."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

_CYRILLIC = re.compile("[\u0400-\u052f]")
_GREEK = re.compile("[\u0370-\u03ff]")


def line_of(cells: Sequence[str]) -> str:
    """One line; ``cells`` as in :class:`guivm.console.screentext.matching.Reading`. Trailing blanks are left out.

    A word with a letter that only Cyrillic (or Greek) has is Cyrillic (or Greek) throughout; a word without any
    letter of its own goes with the one before it, or else after it.
    """
    end = len(cells)
    while end and not cells[end - 1]:
        end -= 1
    used = cells[:end]
    if all(len(cell) <= 1 for cell in used) or not any(_script(cell[:1]) for cell in used):
        return "".join(cell[:1] or " " for cell in used)
    words = _words(used)
    scripts = [_script_of(used[start:stop]) for start, stop in words]
    line = [cell[:1] or " " for cell in used]
    for number, (start, stop) in enumerate(words):
        around = (*scripts[number::-1], *scripts[number + 1 :])
        script = next((script for script in around if script is not None), None)
        if script in (_CYRILLIC, _GREEK):
            line[start:stop] = [_in_script(cell, script) for cell in used[start:stop]]
    return "".join(line)


def _words(cells: Sequence[str]) -> list[tuple[int, int]]:
    words: list[tuple[int, int]] = []
    for at, cell in enumerate(cells):
        if cell and cell[0].isalpha():
            if words and words[-1][1] == at:
                words[-1] = words[-1][0], at + 1
            else:
                words.append((at, at + 1))
    return words


_LATIN = re.compile("[A-Za-z\u00c0-\u024f]")


def _script(character: str) -> re.Pattern[str] | None:
    return next((script for script in (_CYRILLIC, _GREEK) if script.match(character)), None)


def _script_of(word: Sequence[str]) -> re.Pattern[str] | None:
    """The script of the letters that have no twin; None when all have one."""
    for cell in word:
        if len(cell) == 1:
            return _script(cell) or _LATIN
        if _script(cell[0]):
            return _script(cell[0])
    return None


def _in_script(cell: str, script: re.Pattern[str]) -> str:
    match: Callable[[str], object] = script.match
    return next((character for character in cell if match(character)), cell[0])
