"""``<interface>``: network cards (formatdomain.html, "Network interfaces")."""

from __future__ import annotations

from guivm.engine.xml.address import Address
from guivm.engine.xml.device import BootableDevice, Reconnect, Rom, VirtioOptions
from guivm.engine.xml.node import XmlNode
from guivm.engine.xml.properties import HEX4, INTEGER, ON_OFF, YES_NO, Child, Children, attribute, child_text


class Bandwidth(XmlNode):
    """``<bandwidth>``: limits. KiB per second; bursts in KiB. Inbound is towards the guest."""

    __slots__ = ()

    inbound_average = attribute("inbound/@average", INTEGER)
    inbound_peak = attribute("inbound/@peak", INTEGER)
    inbound_burst = attribute("inbound/@burst", INTEGER)
    inbound_floor = attribute("inbound/@floor", INTEGER)
    outbound_average = attribute("outbound/@average", INTEGER)
    outbound_peak = attribute("outbound/@peak", INTEGER)
    outbound_burst = attribute("outbound/@burst", INTEGER)


class PortRange(XmlNode):
    """Ports of the host, and where in the guest they lead."""

    __slots__ = ()

    start = attribute("@start", INTEGER)
    end = attribute("@end", INTEGER)
    to = attribute("@to", INTEGER)  # first port in the guest; None: the same
    exclude = attribute("@exclude", YES_NO)


class PortForward(XmlNode):
    """``<portForward>``: of user-mode networking by passt."""

    __slots__ = ()

    protocol = attribute("@proto")  # "tcp", "udp"
    address = attribute("@address")  # of the host to listen at
    dev = attribute("@dev")
    ranges = Children(PortRange, "range")


class VirtualPort(XmlNode):
    """``<virtualport>``: how the port of a switch is set up."""

    __slots__ = ()

    type = attribute("@type")  # "openvswitch", "802.1Qbg", "802.1Qbh", "midonet"
    profile_id = attribute("parameters/@profileid")
    interface_id = attribute("parameters/@interfaceid")
    manager_id = attribute("parameters/@managerid", INTEGER)
    type_id = attribute("parameters/@typeid", INTEGER)
    type_id_version = attribute("parameters/@typeidversion", INTEGER)
    instance_id = attribute("parameters/@instanceid")


class VlanTag(XmlNode):
    __slots__ = ()

    id = attribute("@id", INTEGER)
    native_mode = attribute("@nativeMode")  # "tagged", "untagged"


class Vlan(XmlNode):
    """``<vlan>``: VLAN tags of the port."""

    __slots__ = ()

    trunk = attribute("@trunk", YES_NO)
    tags = Children(VlanTag, "tag")


class FilterParameter(XmlNode):
    __slots__ = ()

    name = attribute("@name")
    value = attribute("@value")


class FilterRef(XmlNode):
    """``<filterref>``: a network filter of the host, with its parameters."""

    __slots__ = ()

    filter = attribute("@filter")
    parameters = Children(FilterParameter, "parameter")


class IpAddress(XmlNode):
    """``<ip>``: an address given to the card."""

    __slots__ = ()

    address = attribute("@address")
    family = attribute("@family")  # "ipv4", "ipv6"
    prefix = attribute("@prefix", INTEGER)
    peer = attribute("@peer")


class HostOffloads(XmlNode):
    """``<host>`` under ``<driver>``: what the host's side of a virtio card leaves to others."""

    __slots__ = ()

    csum = attribute("@csum", ON_OFF)
    gso = attribute("@gso", ON_OFF)
    tso4 = attribute("@tso4", ON_OFF)
    tso6 = attribute("@tso6", ON_OFF)
    ecn = attribute("@ecn", ON_OFF)
    ufo = attribute("@ufo", ON_OFF)
    mergeable_buffers = attribute("@mrg_rxbuf", ON_OFF)


class GuestOffloads(XmlNode):
    """``<guest>`` under ``<driver>``: what the guest's driver of a virtio card may do."""

    __slots__ = ()

    csum = attribute("@csum", ON_OFF)
    tso4 = attribute("@tso4", ON_OFF)
    tso6 = attribute("@tso6", ON_OFF)
    ecn = attribute("@ecn", ON_OFF)
    ufo = attribute("@ufo", ON_OFF)


class InterfaceSource(XmlNode):
    """``<source>``: what the card is plugged into; which parts count depends on the card's type."""

    __slots__ = ()

    network = attribute("@network")
    port_group = attribute("@portgroup")
    port_id = attribute("@portid")  # active XML only
    bridge = attribute("@bridge")
    dev = attribute("@dev")
    mode = attribute("@mode")  # of "direct": "vepa", "bridge", "private", "passthrough"; of "vhostuser": "server", …
    type = attribute("@type")  # of "vhostuser": "unix"
    path = attribute("@path")  # of "vhostuser": its socket
    name = attribute("@name")
    host = attribute("@address")  # of "udp", "mcast", "client", "server"
    port = attribute("@port", INTEGER)
    local_host = attribute("local/@address")  # of "udp"
    local_port = attribute("local/@port", INTEGER)
    host_device = Child(Address, "address")  # of "hostdev": PCI or USB
    vendor_id = attribute("vendor/@id", HEX4)  # of "hostdev" over USB
    product_id = attribute("product/@id", HEX4)
    reconnect = Child(Reconnect, "reconnect")


class Interface(VirtioOptions, BootableDevice):
    __slots__ = ()

    type = attribute("@type")  # "user", "network", "bridge", "direct", "hostdev", "vhostuser", "ethernet", …
    managed = attribute("@managed", YES_NO)  # of "hostdev"
    trust_guest_rx_filters = attribute("@trustGuestRxFilters", YES_NO)
    mac = attribute("mac/@address")
    mac_type = attribute("mac/@type")  # "generated", "static"
    mac_check = attribute("mac/@check", YES_NO)
    model = attribute("model/@type")
    source_node = Child(InterfaceSource, "source")
    source_network = attribute("source/@network")
    source_bridge = attribute("source/@bridge")
    source_dev = attribute("source/@dev")
    source_mode = attribute("source/@mode")
    virtual_port = Child(VirtualPort, "virtualport")
    target_dev = attribute("target/@dev")
    target_managed = attribute("target/@managed", YES_NO)
    guest_dev = attribute("guest/@dev")
    backend_type = attribute("backend/@type")  # "passt"; None: slirp
    backend_log_file = attribute("backend/@logFile")
    backend_tap = attribute("backend/@tap")
    backend_vhost = attribute("backend/@vhost")
    port_forwards = Children(PortForward, "portForward")
    driver_name = attribute("driver/@name")  # "vhost", "qemu"; "vfio" for "hostdev"
    tx_mode = attribute("driver/@txmode")  # "iothread", "timer"
    queues = attribute("driver/@queues", INTEGER)
    rx_queue_size = attribute("driver/@rx_queue_size", INTEGER)
    tx_queue_size = attribute("driver/@tx_queue_size", INTEGER)
    ioeventfd = attribute("driver/@ioeventfd", ON_OFF)
    event_idx = attribute("driver/@event_idx", ON_OFF)
    rss = attribute("driver/@rss", ON_OFF)
    rss_hash_report = attribute("driver/@rss_hash_report", ON_OFF)
    host_offloads = Child(HostOffloads, "driver/host")
    guest_offloads = Child(GuestOffloads, "driver/guest")
    bandwidth = Child(Bandwidth, "bandwidth")
    vlan = Child(Vlan, "vlan")
    mtu = attribute("mtu/@size", INTEGER)
    link_state = attribute("link/@state")  # "up", "down"
    filter_ref = Child(FilterRef, "filterref")
    port_isolated = attribute("port/@isolated", YES_NO)
    coalesce_rx_frames = attribute("coalesce/rx/frames/@max", INTEGER)
    send_buffer_bytes = child_text("tune/sndbuf", INTEGER)
    script = attribute("script/@path")
    down_script = attribute("downscript/@path")
    ips = Children(IpAddress, "ip")
    rom = Child(Rom, "rom")
    teaming_type = attribute("teaming/@type")  # "persistent", "transient"
    teaming_persistent = attribute("teaming/@persistent")  # alias of the other card
    acpi_index = attribute("acpi/@index", INTEGER)

    @property
    def source(self) -> str:
        """Network, bridge or host device it is plugged into, or empty."""
        return self.source_network or self.source_bridge or self.source_dev or ""
