"""What all devices share."""

from __future__ import annotations

from guivm.engine.xml.node import XmlNode
from guivm.engine.xml.properties import INTEGER, attribute


class Device(XmlNode):
    """Base of the elements under ``<devices>``."""

    __slots__ = ()

    alias = attribute("alias/@name")
    boot_order = attribute("boot/@order", INTEGER)
    address_type = attribute("address/@type")
