"""The keyboard layouts this computer knows, with their names in words (xkeyboard-config's ``rules/evdev.xml``)."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from guivm.console.typing.errors import TypingError
from guivm.text import clean_line

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_ROOT = "/usr/share/X11/xkb"
_FILES = ("evdev.xml", "base.xml")
_MAX_BYTES = 8 << 20  # of the list; it has 250 KB
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_ID = re.compile(r"([A-Za-z0-9_.-]{1,64})(?:\(([A-Za-z0-9_.-]{1,64})\))?")


@dataclass(frozen=True, slots=True)
class Layout:
    """A keyboard layout: XKB's names for it, and one in words."""

    layout: str
    variant: str = ""
    description: str = ""

    def __post_init__(self) -> None:
        # The names become parts of file names in libxkbcommon.
        for name in (self.layout, self.variant):
            if name and (not _NAME.fullmatch(name) or name.startswith(".")):
                raise TypingError(f"“{name}” is no name of a keyboard layout.", advice="Choose one from the list.")
        if not self.layout:
            raise TypingError("A keyboard layout needs a name.", advice="Choose one from the list.")

    @property
    def id(self) -> str:
        """``"de"``, ``"de(nodeadkeys)"``: what settings keep and the command line takes."""
        return f"{self.layout}({self.variant})" if self.variant else self.layout

    @classmethod
    def parse(cls, text: str) -> Layout:
        """The layout of an id; without description. TypingError when the text is none."""
        match = _ID.fullmatch(text.strip())
        if match is None:
            raise TypingError(
                f"“{text}” is no name of a keyboard layout.", advice="Examples: us, de, fr(bepo), us(dvorak)."
            )
        return cls(match[1], match[2] or "")


US = Layout("us", "", "English (US)")


def layouts(root: Path | None = None) -> tuple[Layout, ...]:
    """Every layout and variant, sorted by description; only :data:`US` where no list is installed.

    ``root``: xkeyboard-config's directory; by default that of the system. Read once.
    """
    return _layouts(root or Path(os.environ.get("XKB_CONFIG_ROOT") or _ROOT))


def find_layout(text: str, root: Path | None = None) -> Layout:
    """The layout of an id with its description. TypingError when this computer does not know it."""
    wanted = Layout.parse(text)
    for layout in layouts(root):
        if layout.id == wanted.id:
            return layout
    raise TypingError(
        f"The keyboard layout “{wanted.id}” is not known on this computer.", advice="Choose another layout."
    )


@functools.lru_cache(maxsize=4)
def _layouts(root: Path) -> tuple[Layout, ...]:
    for name in _FILES:
        tree = _tree(root / "rules" / name)
        if tree is not None and (found := sorted(set(_of_tree(tree)), key=_order)):
            return tuple(found)
    return (US,)


def _order(layout: Layout) -> tuple[str, str]:
    return layout.description.casefold(), layout.id


def _tree(path: Path) -> Element | None:
    from xml.etree.ElementTree import ParseError, fromstring

    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        return fromstring(data) if len(data) <= _MAX_BYTES else None
    except (OSError, ParseError):
        return None


def _of_tree(tree: Element) -> Iterator[Layout]:
    for entry in tree.iterfind("./layoutList/layout"):
        item = entry.find("configItem")
        if item is None:
            continue
        name = _word(item, "name")
        yield from _valid(name, "", item)
        for variant in entry.iterfind("./variantList/variant/configItem"):
            yield from _valid(name, _word(variant, "name"), variant)


def _valid(layout: str, variant: str, item: Element) -> Iterator[Layout]:
    if layout == "custom":  # a place for a person's own tables; there is nothing in it
        return
    try:
        yield Layout(layout, variant, clean_line(_word(item, "description")) or layout)
    except TypingError:
        return


def _word(item: Element, tag: str) -> str:
    return (item.findtext(tag) or "").strip()
