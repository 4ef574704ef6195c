"""``<address>``: where a device sits in the guest, or which device of the host is meant (formatdomain.html)."""

from __future__ import annotations

from guivm.engine.xml.node import XmlNode
from guivm.engine.xml.properties import HEX1, HEX2, HEX4, INTEGER, ON_OFF, attribute


class Address(XmlNode):
    """An address of any type; which parts count depends on ``type``.

    The parts of PCI addresses have names of their own because they are written in hexadecimal.
    """

    __slots__ = ()

    type = attribute("@type")  # "pci", "drive", "virtio-serial", "ccid", "usb", "isa", "dimm", "unassigned", …
    pci_domain = attribute("@domain", HEX4)
    pci_bus = attribute("@bus", HEX2)
    pci_slot = attribute("@slot", HEX2)
    pci_function = attribute("@function", HEX1)
    multifunction = attribute("@multifunction", ON_OFF)
    controller = attribute("@controller", INTEGER)
    bus = attribute("@bus", INTEGER)
    target = attribute("@target", INTEGER)
    unit = attribute("@unit", INTEGER)
    port = attribute("@port")  # a USB port may lie behind hubs: "1.2"
    device = attribute("@device", INTEGER)  # of a USB device of the host, on its bus
    slot = attribute("@slot", INTEGER)  # of a DIMM or smart card
    base = attribute("@base", HEX4)
    io_base = attribute("@iobase", HEX4)
    irq = attribute("@irq", HEX1)
    uuid = attribute("@uuid")  # of a mediated device
    reg = attribute("@reg", HEX4)  # spapr-vio
    cssid = attribute("@cssid", HEX2)  # ccw, like the next two
    ssid = attribute("@ssid", HEX1)
    devno = attribute("@devno", HEX4)

    @property
    def pci(self) -> str:
        """``0000:00:1f.2``, or empty when this is no complete PCI address."""
        bus, slot = self.pci_bus, self.pci_slot
        if bus is None or slot is None:
            return ""
        return f"{self.pci_domain or 0:04x}:{bus:02x}:{slot:02x}.{self.pci_function or 0:x}"

    def set_pci(self, domain: int, bus: int, slot: int, function: int) -> None:
        """Write the four parts of a PCI address."""
        self.pci_domain, self.pci_bus, self.pci_slot, self.pci_function = domain, bus, slot, function
