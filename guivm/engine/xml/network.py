"""``<network>``: a virtual network, typed (formatnetwork.html)."""

from __future__ import annotations

from guivm.engine.xml.address import Address
from guivm.engine.xml.document import new_element, parse_xml, to_text
from guivm.engine.xml.interface import Bandwidth, VirtualPort, Vlan
from guivm.engine.xml.metadata import Metadata
from guivm.engine.xml.node import XmlNode
from guivm.engine.xml.properties import INTEGER, ON_OFF, YES_NO, Child, Children, attribute, child_text


class ForwardInterface(XmlNode):
    """A card of the host that the network may use."""

    __slots__ = ()

    dev = attribute("@dev")
    connections = attribute("@connections", INTEGER)  # reported by libvirt


class Forward(XmlNode):
    """``<forward>``: how the network reaches the world. No element: it does not."""

    __slots__ = ()

    mode = attribute("@mode")  # "nat", "route", "open", "bridge", "private", "vepa", "passthrough", "hostdev"
    dev = attribute("@dev")
    managed = attribute("@managed", YES_NO)  # of "hostdev"
    nat_ipv6 = attribute("nat/@ipv6", YES_NO)
    nat_address_start = attribute("nat/address/@start")
    nat_address_end = attribute("nat/address/@end")
    nat_port_start = attribute("nat/port/@start", INTEGER)
    nat_port_end = attribute("nat/port/@end", INTEGER)
    interfaces = Children(ForwardInterface, "interface")
    addresses = Children(Address, "address")
    physical_function = attribute("pf/@dev")  # of SR-IOV
    driver_name = attribute("driver/@name")


class Lease(XmlNode):
    """``<lease>``: how long an address is given."""

    __slots__ = ()

    expiry = attribute("@expiry", INTEGER)  # 0: for ever
    unit = attribute("@unit")  # "seconds", "minutes" (the default), "hours"


class DhcpRange(XmlNode):
    __slots__ = ()

    start = attribute("@start")
    end = attribute("@end")
    lease = Child(Lease, "lease")


class DhcpHost(XmlNode):
    """A fixed address for one card."""

    __slots__ = ()

    mac = attribute("@mac")
    id = attribute("@id")  # DUID, of IPv6
    name = attribute("@name")
    ip = attribute("@ip")
    lease = Child(Lease, "lease")


class NetworkIp(XmlNode):
    """``<ip>``: the host's address on the network, and what it gives out there."""

    __slots__ = ()

    address = attribute("@address")
    family = attribute("@family")  # "ipv4" (the default), "ipv6"
    netmask = attribute("@netmask")
    prefix = attribute("@prefix", INTEGER)
    local_pointer = attribute("@localPtr", YES_NO)
    tftp_root = attribute("tftp/@root")
    dhcp_ranges = Children(DhcpRange, "dhcp/range")
    dhcp_hosts = Children(DhcpHost, "dhcp/host")
    bootp_file = attribute("dhcp/bootp/@file")
    bootp_server = attribute("dhcp/bootp/@server")


class DnsForwarder(XmlNode):
    __slots__ = ()

    address = attribute("@addr")
    domain = attribute("@domain")


class DnsHostName(XmlNode):
    __slots__ = ()

    name = child_text("")


class DnsHost(XmlNode):
    __slots__ = ()

    ip = attribute("@ip")
    names = Children(DnsHostName, "hostname")


class Dns(XmlNode):
    """``<dns>``: the name server of the network."""

    __slots__ = ()

    enable = attribute("@enable", YES_NO)
    forward_plain_names = attribute("@forwardPlainNames", YES_NO)
    forwarders = Children(DnsForwarder, "forwarder")
    hosts = Children(DnsHost, "host")


class PortGroup(XmlNode):
    """Settings that cards of a group share."""

    __slots__ = ()

    name = attribute("@name")
    default = attribute("@default", YES_NO)
    trust_guest_rx_filters = attribute("@trustGuestRxFilters", YES_NO)
    virtual_port = Child(VirtualPort, "virtualport")
    bandwidth = Child(Bandwidth, "bandwidth")
    vlan = Child(Vlan, "vlan")


class Route(XmlNode):
    __slots__ = ()

    family = attribute("@family")
    address = attribute("@address")
    netmask = attribute("@netmask")
    prefix = attribute("@prefix", INTEGER)
    gateway = attribute("@gateway")
    metric = attribute("@metric", INTEGER)


class NetworkXml(XmlNode):
    """A network document. Edits touch only their own node."""

    __slots__ = ()

    name = child_text("name")
    uuid = child_text("uuid")
    title = child_text("title")  # libvirt 9.7, like the next
    description = child_text("description")
    metadata = Child(Metadata, "metadata")
    connections = attribute("@connections", INTEGER)  # reported by libvirt
    ipv6 = attribute("@ipv6", YES_NO)  # between guests, without an address of the host
    trust_guest_rx_filters = attribute("@trustGuestRxFilters", YES_NO)
    forward = Child(Forward, "forward")
    bridge = attribute("bridge/@name")
    bridge_stp = attribute("bridge/@stp", ON_OFF)
    bridge_delay_s = attribute("bridge/@delay", INTEGER)
    bridge_zone = attribute("bridge/@zone")  # of firewalld
    bridge_mac_table_manager = attribute("bridge/@macTableManager")
    mtu = attribute("mtu/@size", INTEGER)
    mac = attribute("mac/@address")
    domain_name = attribute("domain/@name")
    domain_local_only = attribute("domain/@localOnly", YES_NO)
    dns = Child(Dns, "dns")
    ips = Children(NetworkIp, "ip")
    routes = Children(Route, "route")
    port_groups = Children(PortGroup, "portgroup")
    virtual_port = Child(VirtualPort, "virtualport")
    bandwidth = Child(Bandwidth, "bandwidth")
    vlan = Child(Vlan, "vlan")
    port_isolated = attribute("port/@isolated", YES_NO)

    @classmethod
    def parse(cls, text: str) -> NetworkXml:
        """Read a ``<network>`` document. Raises XmlError."""
        return cls(parse_xml(text, "network"))

    @classmethod
    def new(cls) -> NetworkXml:
        """An empty network, to be filled."""
        return cls(new_element("network"))

    def to_text(self) -> str:
        """The document as text for ``virNetworkDefineXML``."""
        return to_text(self.make())
