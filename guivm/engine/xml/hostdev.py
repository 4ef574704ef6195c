"""``<hostdev>`` and ``<redirfilter>``: devices of the host given to the guest (formatdomain.html)."""

from __future__ import annotations

from guivm.engine.xml.address import Address
from guivm.engine.xml.device import BootableDevice, Rom
from guivm.engine.xml.node import XmlNode
from guivm.engine.xml.properties import HEX4, INTEGER, ON_OFF, YES_NO, Child, Children, Flag, attribute


class HostDeviceServer(XmlNode):
    """A portal of an iSCSI target."""

    __slots__ = ()

    name = attribute("@name")
    port = attribute("@port", INTEGER)


class HostDeviceSource(XmlNode):
    """``<source>``: which device."""

    __slots__ = ()

    startup_policy = attribute("@startupPolicy")  # of USB: "mandatory", "requisite", "optional"
    guest_reset = attribute("@guestReset")  # of USB: "off", "uninitialized", "on"
    write_filtering = attribute("@writeFiltering", YES_NO)  # of PCI
    vendor_id = attribute("vendor/@id", HEX4)  # of USB, like the next
    product_id = attribute("product/@id", HEX4)
    address = Child(Address, "address")
    adapter = attribute("adapter/@name")  # of SCSI: "scsi_host0"
    protocol = attribute("@protocol")  # of SCSI: "adapter", "iscsi"; of a SCSI host: "vhost"
    name = attribute("@name")  # of iSCSI, like the next
    hosts = Children(HostDeviceServer, "host")
    wwpn = attribute("@wwpn")  # of "vhost"


class HostDevice(BootableDevice):
    """A USB, PCI, mediated or SCSI device of the host."""

    __slots__ = ()

    mode = attribute("@mode")  # "subsystem"
    type = attribute("@type")  # "usb", "pci", "mdev", "scsi", "scsi_host"
    managed = attribute("@managed", YES_NO)  # of PCI: libvirt takes it from the host's driver and gives it back
    model = attribute("@model")  # of "mdev": "vfio-pci", "vfio-ccw", "vfio-ap"
    display = attribute("@display", ON_OFF)  # of "mdev", like the next
    ramfb = attribute("@ramfb", ON_OFF)
    raw_io = attribute("@rawio", YES_NO)  # of "scsi", like the next
    sg_io = attribute("@sgio")
    source = Child(HostDeviceSource, "source")
    driver_name = attribute("driver/@name")  # of PCI: "vfio"
    rom = Child(Rom, "rom")
    teaming_type = attribute("teaming/@type")
    teaming_persistent = attribute("teaming/@persistent")
    read_only = Flag("readonly")
    shareable = Flag("shareable")
    acpi_index = attribute("acpi/@index", INTEGER)


class UsbFilterRule(XmlNode):
    """Which devices may be redirected; the first rule that fits counts. "-1" fits any."""

    __slots__ = ()

    device_class = attribute("@class")  # "0x08"
    vendor = attribute("@vendor")
    product = attribute("@product")
    version = attribute("@version")  # "1.10"
    allow = attribute("@allow", YES_NO)


class UsbFilter(XmlNode):
    """``<redirfilter>``."""

    __slots__ = ()

    rules = Children(UsbFilterRule, "usbdev")
