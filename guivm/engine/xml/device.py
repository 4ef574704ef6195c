"""What all devices share, and parts that several kinds of device have."""

from __future__ import annotations

from guivm.engine.xml.address import Address
from guivm.engine.xml.node import XmlNode
from guivm.engine.xml.properties import INTEGER, ON_OFF, YES_NO, Child, attribute


class Device(XmlNode):
    """Base of the elements under ``<devices>``."""

    __slots__ = ()

    alias = attribute("alias/@name")
    address = Child(Address, "address")
    address_type = attribute("address/@type")


class BootableDevice(Device):
    """A device that the firmware can boot from."""

    __slots__ = ()

    boot_order = attribute("boot/@order", INTEGER)


class VirtioOptions(XmlNode):
    """What the ``<driver>`` of every virtio device can say (formatdomain.html, "Virtio-related options")."""

    __slots__ = ()

    iommu = attribute("driver/@iommu", ON_OFF)
    ats = attribute("driver/@ats", ON_OFF)
    packed = attribute("driver/@packed", ON_OFF)
    page_per_vq = attribute("driver/@page_per_vq", ON_OFF)


class Rom(XmlNode):
    """``<rom>``: the option ROM of a PCI device."""

    __slots__ = ()

    enabled = attribute("@enabled", YES_NO)
    bar = attribute("@bar", ON_OFF)
    file = attribute("@file")


class Reconnect(XmlNode):
    """``<reconnect>``: whether a lost socket is opened again."""

    __slots__ = ()

    enabled = attribute("@enabled", YES_NO)
    timeout_s = attribute("@timeout", INTEGER)
