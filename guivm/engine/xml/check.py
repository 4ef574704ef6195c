"""Shows beforehand that guivm does not damage a definition: read everything, change nothing, compare.

A document is parsed, every typed property of every node in it is read, it is written again as every define does it,
and both are compared in canonical form (W3C Canonical XML 1.0 with comments). Pure but for ``run_check``.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from lxml import etree

from guivm.engine.xml.diff import visible
from guivm.engine.xml.document import (
    MAX_CHARACTERS,
    Element,
    XmlError,
    decode_xml,
    element_children,
    parse_xml,
    to_text,
)
from guivm.engine.xml.domain import DomainXml
from guivm.engine.xml.fields import fields
from guivm.engine.xml.network import NetworkXml
from guivm.engine.xml.node import XmlNode
from guivm.text import clean_line

_KINDS: dict[str, type[XmlNode]] = {"domain": DomainXml, "inactiveDomain": DomainXml, "network": NetworkXml}


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What came of a check.

    ``kind``: tag of the root: "domain", "network", "pool", "volume", "domainsnapshot", …; empty when it could not be
    parsed. ``differences``: lines of a unified diff between the canonical forms, empty when there are none.
    ``problem``: why the document, or a value in it, could not be read, or empty. ``values``: how many typed values
    were found.
    """

    kind: str
    differences: tuple[str, ...] = ()
    problem: str = ""
    values: int = 0

    @property
    def passed(self) -> bool:
        return not self.differences and not self.problem


def check_text(text: str) -> CheckResult:
    """Check one document of any kind."""
    try:
        root = parse_xml(text)
        before = _canonical(root)
    except XmlError as error:
        return CheckResult("", problem=_reason(error))
    kind = clean_line(str(root.tag), 80)
    values, problem = _read_all(root)
    try:
        after = _canonical(parse_xml(to_text(root)))
    except XmlError as error:
        return CheckResult(kind, problem=_reason(error), values=values)
    return CheckResult(kind, tuple(_differences(before, after)), problem, values)


def check_bytes(data: bytes) -> CheckResult:
    """Check the content of a file in any encoding."""
    try:
        return check_text(decode_xml(data))
    except XmlError as error:
        return CheckResult("", problem=_reason(error))


def run_check(paths: Iterable[str], out: TextIO) -> int:
    """Check files ("-": standard input) and write the outcome of each to ``out``.

    Returns 1 when one differs or cannot be read, else 0. Blocks on files.
    """
    failed = False
    for path in paths:
        result = check_file(path)
        failed = failed or not result.passed
        name = clean_line(path, 4096)
        if result.problem:
            out.write(f"{name}: {result.problem}\n")
        if result.differences:
            out.write(f"{name}: {result.kind}: would be changed\n")
            out.writelines(f"{line}\n" for line in result.differences)
        if result.passed:
            out.write(f"{name}: {result.kind}: unchanged, {result.values} settings read\n")
    return 1 if failed else 0


def check_file(path: str) -> CheckResult:
    """Check one file, or standard input for "-". Blocks."""
    limit = MAX_CHARACTERS * 4 + 1  # bytes of the longest characters; more is refused by its length
    try:
        if path == "-":
            data = sys.stdin.buffer.read(limit)
        else:
            with Path(path).open("rb") as file:
                data = file.read(limit)
    except OSError as error:
        return CheckResult("", problem=f"The file cannot be read. {error.strerror or error}")
    return check_bytes(data)


def _reason(error: XmlError) -> str:
    return clean_line(f"{error.summary} {error.details}", 500)


def _typed_nodes(root: Element) -> Iterator[XmlNode]:
    """The root as a typed node, or the definitions that snapshots, checkpoints and status files carry."""
    for element in [root] if root.tag in _KINDS else element_children(root):
        kind = _KINDS.get(str(element.tag))
        if kind is not None:
            yield kind(element)


def _read_all(root: Element) -> tuple[int, str]:
    """How many typed values are set, and what is wrong with the first that cannot be read."""
    count, problem = 0, ""
    for node in _typed_nodes(root):
        for field in fields(node):
            try:
                count += field.value not in (None, False)
            except XmlError as error:
                problem = problem or clean_line(f"{_reason(error)} ({field.where})", 500)
    return count, problem


def _canonical(root: Element) -> str:
    try:
        return etree.tostring(root.getroottree(), method="c14n", with_comments=True).decode("utf-8")
    except etree.LxmlError as error:
        raise XmlError("The XML has no canonical form.", details=str(error)) from error


def _differences(before: str, after: str) -> Iterator[str]:
    if before == after:
        return
    old, new = (text.replace("><", ">\n<").split("\n") for text in (before, after))
    for line in difflib.unified_diff(old, new, "file", "as guivm writes it", lineterm="", n=1):
        yield visible(line)
