"""Where an element of a document is found in the settings. Pure."""

from __future__ import annotations

from guivm.engine.options.parts import all_parts
from guivm.engine.options.values import Place
from guivm.engine.xml.document import Element
from guivm.engine.xml.domain import DomainXml
from guivm.engine.xml.node import XmlNode


class Places:
    """Of one document, as it is when this is made."""

    def __init__(self, domain: DomainXml) -> None:
        self._known: list[tuple[Element, Place]] = []
        for part in all_parts(domain):
            element = part.node.find()
            if element is not None and part.resource.is_device:
                self._known.append((element, part.place()))

    def of(self, device: XmlNode | Element, option: str = "") -> Place:
        """The place of a device; of one that no page shows, its tag and number."""
        element = device.find() if isinstance(device, XmlNode) else device
        for known, place in self._known:
            if known is element:
                return Place(place.resource, place.device, option)
        if element is None:
            return Place("", "", option)
        parent = element.getparent()
        alike = [] if parent is None else [child for child in parent if child.tag == element.tag]
        index = next((number for number, child in enumerate(alike) if child is element), 0)
        return Place(str(element.tag), str(index), option)
