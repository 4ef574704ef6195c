"""Differences between two documents as text for people: logs, previews, conflicts.

Both sides are laid out alike first, one element on a line and attributes sorted, so that only what means something
differs. Pure.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterator
from html import escape

from lxml import etree

from guivm.engine.xml.document import Element, XmlError, is_element, parse_xml
from guivm.engine.xml.secrets import replace_secrets

_SECRET_TEXTS = frozenset({"cookie"})
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


class _Secrets:
    """Names for passwords, so that a change is seen and the password is not."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def name(self, secret: str) -> str:
        if secret in self._names.values():  # hidden already
            return secret
        return self._names.setdefault(secret, f"(hidden {len(self._names) + 1})")


def unified(before: str, after: str, name: str) -> str:
    """Return a unified diff from ``before`` to ``after``, or an empty text when they mean the same.

    ``name`` stands in its header. Passwords are hidden; control characters and bidirectional controls are written as
    ``\\u202e``. A text that is no XML is compared as it stands.
    """
    secrets = _Secrets()
    old, new = pretty(before, secrets), pretty(after, secrets)
    if old == new:
        return ""
    title = visible(name)
    lines = difflib.unified_diff(old, new, f"{title} (before)", f"{title} (after)", lineterm="")
    return "".join(f"{line}\n" for line in lines)


def pretty(text: str, secrets: _Secrets | None = None) -> list[str]:
    """The document as lines: elements indented by two, attributes sorted, white space between elements dropped."""
    try:
        root = parse_xml(text)
    except XmlError:
        return [visible(line) for line in text.splitlines()]
    names = secrets or _Secrets()
    outside = [*reversed(list(root.itersiblings(preceding=True))), root, *root.itersiblings()]
    lines = (line for node in outside for line in _lines(node, 0, names))
    return [visible(replace_secrets(line, names.name)) for line in lines]


def visible(text: str) -> str:
    """``text`` with control, format and separator characters written as escapes; tabs too."""
    if text.isprintable():
        return text
    return "".join(
        f"\\u{ord(character):04x}" if unicodedata.category(character) in _HIDDEN_CATEGORIES else character
        for character in text
    )


def _lines(node: Element, depth: int, secrets: _Secrets) -> Iterator[str]:
    indent = "  " * depth
    if not is_element(node):
        yield from _text_lines(etree.tostring(node, encoding="unicode", with_tail=False), indent)
        return
    name = _name(node)
    start = f"{indent}<{name}" + "".join(_attributes(node))
    if len(node) == 0:
        text = (node.text or "").strip()
        if text and name in _SECRET_TEXTS:
            text = secrets.name(text)
        yield from f"{start}>{escape(text, quote=False)}</{name}>".splitlines() if text else [f"{start}/>"]
        return
    yield f"{start}>"
    yield from _text_lines(escape(node.text or "", quote=False), indent + "  ")
    for child in node:
        yield from _lines(child, depth + 1, secrets)
        yield from _text_lines(escape(child.tail or "", quote=False), indent + "  ")
    yield f"{indent}</{name}>"


def _text_lines(text: str, indent: str) -> Iterator[str]:
    yield from (indent + line.strip() for line in text.splitlines() if line.strip())


def _name(element: Element) -> str:
    local = etree.QName(element).localname
    return f"{element.prefix}:{local}" if element.prefix else local


def _attributes(element: Element) -> Iterator[str]:
    parent = element.getparent()
    known = {} if parent is None else parent.nsmap
    for prefix, uri in sorted(element.nsmap.items(), key=lambda item: item[0] or ""):
        if known.get(prefix) != uri:
            yield f' xmlns{":" + prefix if prefix else ""}="{_quoted(uri)}"'
    prefixes = {uri: prefix for prefix, uri in element.nsmap.items() if prefix}
    for key, value in sorted((str(key), str(value)) for key, value in element.attrib.items()):
        name = etree.QName(key)
        shown = f"{prefixes.get(name.namespace, 'xml')}:{name.localname}" if name.namespace else name.localname
        yield f' {shown}="{_quoted(value)}"'


def _quoted(value: str) -> str:
    return escape(value, quote=False).replace('"', "&quot;")
