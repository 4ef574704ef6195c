"""``<controller>``, ``<hub>``, ``<iommu>``: what other devices are plugged into (formatdomain.html, "Controllers")."""

from __future__ import annotations

from guivm.engine.xml.device import Device, VirtioOptions
from guivm.engine.xml.properties import HEX1, INTEGER, ON_OFF, MemorySize, attribute, child_text


class Controller(VirtioOptions, Device):
    __slots__ = ()

    type = attribute("@type")  # "pci", "usb", "sata", "scsi", "virtio-serial", …
    index = attribute("@index", INTEGER)
    model = attribute("@model")
    ports = attribute("@ports", INTEGER)
    vectors = attribute("@vectors", INTEGER)
    queues = attribute("driver/@queues", INTEGER)
    commands_per_lun = attribute("driver/@cmd_per_lun", INTEGER)
    max_sectors = attribute("driver/@max_sectors", INTEGER)
    ioeventfd = attribute("driver/@ioeventfd", ON_OFF)
    io_thread = attribute("driver/@iothread", INTEGER)
    master_start_port = attribute("master/@startport", INTEGER)  # of companion USB controllers
    model_name = attribute("model/@name")  # the PCI device behind a PCI controller
    target_chassis_number = attribute("target/@chassisNr", INTEGER)
    target_chassis = attribute("target/@chassis", INTEGER)
    target_port = attribute("target/@port", HEX1)
    target_bus_number = attribute("target/@busNr", INTEGER)
    target_index = attribute("target/@index", INTEGER)
    target_hotplug = attribute("target/@hotplug", ON_OFF)
    target_node = child_text("target/node", INTEGER)
    pci_hole64_kib = MemorySize("pcihole64")


class Hub(Device):
    __slots__ = ()

    type = attribute("@type")  # "usb"


class Iommu(Device):
    """``<iommu>``: an IOMMU for the guest."""

    __slots__ = ()

    model = attribute("@model")  # "intel", "virtio", "smmuv3"
    interrupt_remapping = attribute("driver/@intremap", ON_OFF)
    caching_mode = attribute("driver/@caching_mode", ON_OFF)
    eim = attribute("driver/@eim", ON_OFF)
    iotlb = attribute("driver/@iotlb", ON_OFF)
    address_width_bits = attribute("driver/@aw_bits", INTEGER)
