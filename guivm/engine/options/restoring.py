"""Puts single differences of a draft back to what its base has, where the base has it."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

from guivm.engine.options.differences import Difference, split_path
from guivm.engine.xml.document import (
    Element,
    descend,
    is_blank,
    is_element,
    own_text,
    remove_attribute,
    remove_child,
    set_own_text,
)
from guivm.engine.xml.domain import DomainXml
from guivm.engine.xml.properties import Flag, Size, Switch


def restore(
    draft: DomainXml, base: DomainXml, differences: Sequence[Difference], pairs: Mapping[Element, Element]
) -> None:
    """Undo ``differences`` (``before``: the base) in ``draft``. ``pairs``: elements of the base, and theirs there."""
    restorer = _Restorer(draft, base, pairs)
    for difference in differences:
        if difference.properties:
            restorer.put_field_back(difference)
        elif difference.before is None:
            restorer.take_out(difference)
        else:
            restorer.put_back(difference)


class _Restorer:
    def __init__(self, draft: DomainXml, base: DomainXml, pairs: Mapping[Element, Element]) -> None:
        self._draft = draft.make()
        self._base = base.make()
        self._pairs = dict(pairs) | {self._base: self._draft}

    # --- one difference -------------------------------------------------------------------------------

    def take_out(self, difference: Difference) -> None:
        """An item that the base has not; elements that only held it go, too."""
        assert difference.after is not None
        element = difference.after.find()
        while element is not None and element is not self._draft:
            parent = element.getparent()
            remove_child(element)
            known = {id(mine) for mine in self._pairs.values()}
            if parent is None or id(parent) in known or not is_blank(parent) or self._is_in_base(parent):
                return
            element = parent

    def put_back(self, difference: Difference) -> None:
        """An item that only the base has."""
        assert difference.before is not None
        element = difference.before.find()
        assert element is not None
        made = self._pairs.get(element)
        if made is not None and self._is_attached(made):  # for a field that is kept in it (<listen type=…>)
            remove_child(made)
        self._insert_copy(element)

    def put_field_back(self, difference: Difference) -> None:
        (declared,), before, after = difference.properties, difference.before, difference.after
        assert before is not None
        assert after is not None
        steps, attribute = split_path(declared.path)
        theirs = descend(before.find(), steps)
        if theirs is None:
            declared.__set__(after, False) if isinstance(declared, Flag) else declared.__set__(after, None)
            own = before.find()
            if own is not None:
                self._counterpart(own)
            return
        if isinstance(declared, Flag | Switch):
            mine = self._find(theirs)
            if mine is not None and isinstance(declared, Flag):
                return
            if mine is None:
                self._insert_copy(theirs)
                return
        mine = self._counterpart(theirs)
        names = [attribute] if attribute else []
        names += ["unit"] if isinstance(declared, Size) else []
        for name in names:
            value = theirs.get(name)
            if value is None:
                remove_attribute(mine, name)
            else:
                mine.set(name, value)
        if not attribute:
            set_own_text(mine, own_text(theirs) or None)

    # --- elements -------------------------------------------------------------------------------------

    def _is_in_base(self, element: Element) -> bool:
        path = [str(element.tag), *(str(above.tag) for above in element.iterancestors())]
        found: Element | None = self._base
        for tag in reversed(path[:-1]):
            found = None if found is None else next((c for c in found if c.tag == tag), None)
        return found is not None

    def _find(self, element: Element) -> Element | None:
        """The draft's element for one of the base's, if it has it."""
        known = self._pairs.get(element)
        if known is not None and self._is_attached(known):
            return known
        parent = element.getparent()
        holder = None if parent is None else self._find(parent)
        if holder is None or parent is None:
            return None
        alike = [child for child in holder if child.tag == element.tag]
        place = [child for child in parent if child.tag == element.tag].index(element)
        return alike[place] if place < len(alike) else None

    def _is_attached(self, element: Element) -> bool:
        return element is self._draft or any(above is self._draft for above in element.iterancestors())

    def _counterpart(self, element: Element) -> Element:
        """The same, made where it is missing."""
        found = self._find(element)
        if found is not None:
            return found
        empty = _empty_like(element)
        self._insert(element, empty)
        self._pairs[element] = empty
        return empty

    def _insert_copy(self, element: Element) -> None:
        twin = copy.deepcopy(element)
        twin.tail = None
        self._insert(element, twin)
        self._pairs[element] = twin

    def _insert(self, element: Element, twin: Element) -> None:
        """Put ``twin`` where ``element`` is in the base: behind the nearest of its elder siblings that is there."""
        parent = element.getparent()
        assert parent is not None
        holder = self._counterpart(parent)
        previous = next(
            (mine for s in element.itersiblings(preceding=True) if (mine := self._sibling(s, holder)) is not None), None
        )
        if previous is not None:
            tail = previous.tail
            is_last = previous.getnext() is None
            previous.addnext(twin)
            twin.tail = tail
            previous.tail = _indentation(holder) if is_last and not (tail or "").strip() else tail
            return
        first = holder[0] if len(holder) else None
        holder.insert(0, twin)
        twin.tail = holder.text if first is not None and not (holder.text or "").strip() else None
        if first is None and not (holder.text or "").strip():
            depth = sum(1 for _ in holder.iterancestors())
            holder.text, twin.tail = "\n" + "  " * (depth + 1), "\n" + "  " * depth

    def _sibling(self, element: Element, holder: Element) -> Element | None:
        if not is_element(element):
            return None
        known = self._pairs.get(element)
        if known is None:
            parent = element.getparent()
            assert parent is not None
            if sum(1 for child in parent if child.tag == element.tag) == 1:
                known = next((child for child in holder if child.tag == element.tag), None)
        return known if known is not None and known.getparent() is holder else None


def _indentation(holder: Element) -> str | None:
    return holder.text if not (holder.text or "").strip() else None


def _empty_like(element: Element) -> Element:
    """An empty element of the same name and prefix."""
    twin = copy.copy(element)
    twin.attrib.clear()
    for child in list(twin):
        twin.remove(child)
    twin.text, twin.tail = None, None
    return twin
