"""Values of options as text that people read and type: for the command line, lists of changes, and assistive tools."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from guivm.engine.options.option import (
    Block,
    Choice,
    Custom,
    HostPath,
    Item,
    Line,
    N,
    Number,
    Option,
    Secret,
    Situation,
    Size,
    Switch,
    Value,
)
from guivm.engine.options.sizes import parse_size, size_words
from guivm.engine.xml.node import XmlNode
from guivm.text import clean_line

HIDDEN = N("(hidden)")
"""Stands for every password."""

_LIMIT = 400
_DEFAULT_WORDS = ("default", "")
_TRUE = ("yes", "on", "true", "1")
_FALSE = ("no", "off", "false", "0")


def show(
    option: Option[Any], value: Value | None, situation: Situation | None = None, node: XmlNode | None = None
) -> str:
    """One plain line; empty where nothing is set and nothing is known of libvirt's default. Passwords never.

    With ``situation`` and ``node`` a choice is shown by its label, otherwise by its value.
    """
    if isinstance(option.editor, Secret):
        return HIDDEN if value is not None else ""
    if isinstance(option.editor, Choice) and situation is not None and node is not None:
        label = next((i.label for i in option.editor.items(situation, node) if _is_same(i.value, value)), "")
        if label:
            return clean_line(label, _LIMIT)
    if isinstance(option.editor, Custom) and situation is not None and value is not None:
        in_words = option.editor.words
        value = dict(option.editor.labels).get(str(value), in_words(str(value)) if in_words is not None else value)
    if value is None:
        return _default_words(option)
    match option.editor:
        case Switch():
            return N("yes") if value else N("no")
        case Size(unit=unit):
            return size_words(int(value), unit)
        case Number(unit=words):
            return f"{value} {words}" if words else str(value)
    return clean_line(str(value), _LIMIT)


def parse(
    option: Option[Any], text: str, situation: Situation | None = None, node: XmlNode | None = None
) -> Value | None:
    """The value somebody typed; "default" is libvirt's own, and so is "none" where that is no value itself.

    With ``situation`` and ``node`` a choice is also known by its label, and one that cannot be had is refused.
    Raises ValueError with a sentence.
    """
    word = text.strip()
    lowered = word.lower()
    if lowered in _DEFAULT_WORDS and not isinstance(option.editor, Line | Block | Secret):
        return None
    match option.editor:
        case Choice() as editor:
            items = () if situation is None or node is None else editor.items(situation, node)
            return _chosen(editor, items, word)
        case Line() as line:
            return _line(line, text)
        case Block(max_length=limit) | Secret(max_length=limit):
            return _at_most(text, limit)
    if lowered == "none":
        return None
    match option.editor:
        case Switch():
            if lowered not in (*_TRUE, *_FALSE):
                raise ValueError(N("Write “yes” or “no”."))
            return lowered in _TRUE
        case Number() as number:
            return _number(number, lowered)
        case Size() as size:
            return _size(size, word)
        case HostPath():
            if not word.startswith("/"):
                raise ValueError(N("Give the whole path, beginning with “/”."))
            return word
        case Custom(labels=labels):
            return next((value for value, label in labels if label.lower() == lowered), word)


def _is_same(a: Value | None, b: Value | None) -> bool:
    return a == b and type(a) is type(b)  # True is no 1 here


def _default_words(option: Option[Any]) -> str:
    if option.default:
        return option.default
    match option.editor:
        case Switch(default=True):
            return N("yes")
        case Switch(default=False):
            return N("no")
        case Line() | Block() | Secret() | HostPath() | Custom():
            return ""
    return N("default")


def _chosen(editor: Choice, items: Sequence[Item], word: str) -> Value | None:
    """By value, by label, by the beginning of just one label; "none" where no item is called that."""
    lowered = word.lower()
    known = [item for item in items if _words(item.value) == lowered] or [
        item for item in items if item.label.lower() == lowered
    ]
    if not known:
        begun = [item for item in items if item.label.lower().startswith(lowered)]
        known = begun if len(begun) == 1 and not editor.free else []
    if known:
        if known[0].refusal:
            raise ValueError(known[0].refusal)
        return known[0].value
    if lowered == "none":
        return None
    if items and not editor.free:
        raise ValueError(f"Choose one of: {', '.join(_words(item.value) for item in items)}.")
    if not items and lowered in ("yes", "no"):
        return lowered == "yes"
    return word


def _words(value: Value | None) -> str:
    if value is None:
        return "default"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value).lower()


def _at_most(text: str, limit: int) -> str | None:
    if len(text) > limit:
        raise ValueError(f"The text is too long; use at most {limit} characters.")
    return text or None


def _line(line: Line, text: str) -> str | None:
    found = _at_most(text, line.max_length)
    problem = line.check(found) if line.check is not None and found is not None else ""
    if "\n" in text:
        problem = N("The text has a line break.")
    if problem:
        raise ValueError(problem)
    return found


def _number(number: Number, word: str) -> int:
    digits = word.removesuffix(number.unit.lower()).strip() if number.unit else word
    try:
        found = int(digits) if len(digits) <= 32 else None
    except ValueError:
        found = None
    if found is None:
        raise ValueError(f"“{word}” is no number.")
    if not number.minimum <= found <= number.maximum:
        raise ValueError(f"Choose a number from {number.minimum} to {number.maximum}.")
    return found


def _size(size: Size, word: str) -> int:
    found = parse_size(word, size.unit)
    if not size.minimum <= found <= size.maximum:
        least, most = size_words(size.minimum, size.unit), size_words(size.maximum, size.unit)
        raise ValueError(f"Choose an amount from {least} to {most}.")
    return found
