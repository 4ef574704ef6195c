"""libvirt's RELAX NG schemas as a source of documents: the smallest that have a thing, or arbitrary ones."""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lxml import etree

SCHEMAS = Path("/usr/share/libvirt/schemas")

_RNG = "{http://relaxng.org/ns/structure/1.0}"


@dataclass(frozen=True, eq=False)
class Pattern:
    """One element of the schema. ``name``: of an element or attribute (lxml's form; "*" for any), or of a define."""

    kind: str
    name: str
    text: str
    children: tuple[Pattern, ...]
    source: bytes = b""


class Grammar:
    """A schema with its includes."""

    def __init__(self, file: str) -> None:
        self.validate = etree.RelaxNG(etree.parse(SCHEMAS / file))
        self._defines: dict[str, list[Pattern]] = {}
        self._reached: dict[tuple[int, tuple[str, ...]], bool] = {}
        self._costs: dict[int, float] = {}
        self.start = Pattern("choice", "", "", tuple(self._load(file)))

    def _load(self, file: str) -> Iterator[Pattern]:
        for node in etree.parse(SCHEMAS / file).getroot().iterchildren(f"{_RNG}*"):
            match node.tag.removeprefix(_RNG):
                case "include":
                    yield from self._load(node.get("href", ""))
                case "define":
                    self._defines.setdefault(node.get("name", ""), []).append(_pattern(node))
                case "start":
                    yield _pattern(node)

    def content(self, pattern: Pattern) -> tuple[Pattern, ...]:
        return tuple(self._defines.get(pattern.name, ())) if pattern.kind == "ref" else pattern.children

    def reaches(self, pattern: Pattern, steps: tuple[str, ...]) -> bool:
        """True when what stands at ``steps`` can be part of what the pattern describes."""
        key = (id(pattern), steps)
        if key not in self._reached:
            self._reached[key] = False  # what contains itself adds nothing
            self._reached[key] = self._reaches(pattern, steps)
        return self._reached[key]

    def _reaches(self, pattern: Pattern, steps: tuple[str, ...]) -> bool:
        match pattern.kind:
            case "element":
                named = not steps[0].startswith(("@", "#")) if pattern.name == "*" else steps[0] == pattern.name
                return named and (len(steps) == 1 or any(self.reaches(c, steps[1:]) for c in pattern.children))
            case "attribute":
                return steps[0] == f"@{pattern.name}" or (pattern.name == "*" and steps[0].startswith("@"))
            case "text" | "data" | "value":
                return steps == ("#text",)
            case "notAllowed":
                return False
        return any(self.reaches(child, steps) for child in self.content(pattern))

    def cost(self, pattern: Pattern) -> float:
        """How much has to be written at least; without end for what must contain itself."""
        if id(pattern) not in self._costs:
            self._costs[id(pattern)] = math.inf
            cost = self._cost(pattern)
            if cost == math.inf:
                del self._costs[id(pattern)]  # perhaps only on this way round
                return cost
            self._costs[id(pattern)] = cost
        return self._costs[id(pattern)]

    def _cost(self, pattern: Pattern) -> float:
        match pattern.kind:
            case "notAllowed":
                return math.inf
            case "optional" | "zeroOrMore":
                return 0
            case "choice":
                return min(self.cost(child) for child in pattern.children)
        own = 1 if pattern.kind in ("element", "attribute", "data") else 0
        return own + sum(self.cost(child) for child in self.content(pattern))


def _pattern(node: etree._Element) -> Pattern:
    kind = node.tag.removeprefix(_RNG)
    name = node.get("name", "")
    if kind in ("element", "attribute"):
        namespaces = [] if kind == "attribute" else [n.get("ns") for n in (node, *node.iterancestors()) if n.get("ns")]
        name = f"{{{namespaces[0]}}}{name}" if namespaces else name or "*"
    if kind == "define":
        kind = "group"
    if kind == "data":
        return Pattern(kind, node.get("type", ""), "", (), etree.tostring(node))
    inner = node.iterchildren(f"{_RNG}*")
    return Pattern(kind, name, node.text or "", tuple(_pattern(c) for c in inner if c.tag != f"{_RNG}anyName"))


# Tried in order as samples of a data type.
_SAMPLES = (
    *("1", "/a", "a", "vda", "52:54:00:11:22:33", "192.168.1.2", "5d3f2c1e-7b6a-4c3d-9e8f-0a1b2c3d4e5f", "0x1", "1.1"),
    *("naa.5000c50015ea71ac", "5000c50015ea71ac", "unix:path=/a", "00:01:00:01:5e:ad:be:ef:52:54:00:11:22:33", "100"),
    *("1000", "1024", "qemu", "2031-04-09T15:51:00", "2", "512", "KiB", "0644", "0xfe", "3", "0" * 32, "ipv4"),
    *("bridge", "2001:db8::1", "53:54:00:11:22:33", "00:02:00:00:00:01:01", "00:03:00:01:52:54:00:11:22:33", "[a] /a"),
    *("00:04:5d:3f:2c:1e:7b:6a:4c:3d:9e:8f:0a:1b:2c:3d:4e:5f", "tcp", "sync_pt", "-1"),
)


@functools.cache
def _sample(source: bytes) -> str:
    wrapped = b"<element name='x' xmlns='http://relaxng.org/ns/structure/1.0'>" + source + b"</element>"
    schema = etree.fromstring(wrapped)
    schema.set("datatypeLibrary", "http://www.w3.org/2001/XMLSchema-datatypes")
    grammar = etree.RelaxNG(schema)
    for text in _SAMPLES:
        element = etree.Element("x")
        element.text = text
        if grammar.validate(element):
            return text
    raise AssertionError(f"no sample for {source.decode()}")


class Writer:
    """Makes a document from the schema: what is required, and what stands at ``steps``."""

    def __init__(self, grammar: Grammar) -> None:
        self._grammar = grammar

    def document(self, steps: tuple[str, ...]) -> etree._Element:
        holder = etree.Element("holder")
        self.emit(self._grammar.start, holder, steps)
        return holder[0]

    def emit(self, pattern: Pattern, parent: etree._Element, steps: tuple[str, ...]) -> None:
        if steps and not self._grammar.reaches(pattern, steps):
            steps = ()
        match pattern.kind:
            case "element":
                name = pattern.name if pattern.name != "*" else steps[0] if steps else "{urn:example:any}any"
                element = etree.SubElement(parent, name)
                self._all(pattern.children, element, steps[1:])
            case "attribute":
                name = pattern.name if pattern.name != "*" else steps[0][1:] if steps else "any"
                parent.set(name, self._text(pattern))
            case "text" | "data" | "value":
                parent.text = self._text(pattern)
            case "choice":
                self._choose(pattern, parent, steps)
            case "optional" | "zeroOrMore":
                if steps or self.wants(pattern):
                    self._all(pattern.children, parent, steps)
            case _:
                self._all(self._grammar.content(pattern), parent, steps)

    def wants(self, pattern: Pattern) -> bool:
        """Whether to write something that need not be there."""
        return False

    def pick(self, choices: list[Pattern]) -> Pattern:
        """One of several that would do."""
        return min(choices, key=self._grammar.cost)

    def _choose(self, pattern: Pattern, parent: etree._Element, steps: tuple[str, ...]) -> None:
        fitting = [c for c in pattern.children if c.kind != "notAllowed"]
        if steps:
            fitting = [c for c in fitting if self._grammar.reaches(c, steps)]
        self.emit(self.pick(fitting), parent, steps)

    def _all(self, patterns: tuple[Pattern, ...], parent: etree._Element, steps: tuple[str, ...]) -> None:
        for pattern in patterns:
            reached = bool(steps) and self._grammar.reaches(pattern, steps)
            self.emit(pattern, parent, steps if reached else ())
            if reached:
                steps = ()

    def _text(self, pattern: Pattern) -> str:
        match pattern.kind:
            case "value":
                return pattern.text
            case "data":
                return _sample(pattern.source)
            case "choice":
                return self._text(self.pick(list(pattern.children)))
            case "text":
                return "text"
        inner = self._grammar.content(pattern)
        return self._text(inner[0]) if inner else "1"


class RandomWriter(Writer):
    """Makes an arbitrary document, the same for the same seed."""

    def __init__(self, grammar: Grammar, seed: int) -> None:
        super().__init__(grammar)
        self._random = random.Random(seed)
        self._left = 300  # things that need not be there, and are

    def wants(self, pattern: Pattern) -> bool:
        if self._random.random() > 0.3:
            return False
        self._left -= 1
        return self._left > 0 and self._grammar.cost(pattern.children[0]) < math.inf

    def pick(self, choices: list[Pattern]) -> Pattern:
        if self._left <= 0:
            return super().pick(choices)
        return self._random.choice([choice for choice in choices if self._grammar.cost(choice) < math.inf])


@functools.cache
def grammar(root: str) -> Grammar:
    return Grammar(f"{root}.rng")
