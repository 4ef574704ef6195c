"""The typed network XML, and libvirt's own opinion of what it writes."""

from __future__ import annotations

from pathlib import Path

import libvirt
import pytest

from guivm.engine.xml.document import XmlError
from guivm.engine.xml.network import NetworkXml

LAB = Path(__file__).parent.parent / "data" / "xml" / "network.xml"


def test_a_network_reads_as_it_says() -> None:
    network = NetworkXml.parse(LAB.read_text(encoding="utf-8"))
    assert (network.name, network.forward.mode, network.bridge, network.bridge_stp) == ("lab", "nat", "virbr7", True)
    assert (network.forward.nat_port_start, network.forward.nat_port_end) == (1024, 65535)
    assert (network.mtu, network.domain_name, network.domain_local_only) == (9000, "lab.example", True)
    assert [(item.domain, item.address) for item in network.dns.forwarders] == [
        (None, "198.51.100.53"),
        ("example.org", "198.51.100.54"),
    ]
    assert [name.name for name in network.dns.hosts[0].names] == ["two", "two.lab.example"]
    ipv4, ipv6 = network.ips
    assert (ipv4.address, ipv4.netmask, ipv4.tftp_root, ipv4.bootp_file) == (
        *("192.168.77.1", "255.255.255.0"),
        *("/srv/tftp", "pxelinux.0"),
    )
    assert [(r.start, r.end, r.lease.expiry, r.lease.unit) for r in ipv4.dhcp_ranges] == [
        ("192.168.77.100", "192.168.77.200", 2, "hours")
    ]
    assert [(h.mac, h.name, h.ip) for h in ipv4.dhcp_hosts] == [("52:54:00:a1:b2:d0", "two", "192.168.77.2")]
    assert (ipv6.family, ipv6.prefix) == ("ipv6", 64)
    assert [(r.address, r.gateway) for r in network.routes] == [("198.51.100.0", "192.168.77.254")]
    assert network.port_groups[0].bandwidth.inbound_burst == 5120


def test_an_edit_touches_only_its_own_node() -> None:
    text = LAB.read_text(encoding="utf-8")
    network = NetworkXml.parse(text)
    network.ips[0].dhcp_ranges[0].end = "192.168.77.150"
    written = network.to_text() + "\n"
    expected = text.replace("192.168.77.200", "192.168.77.150")
    assert written.replace('"', "'") == expected
    host = network.ips[0].dhcp_hosts.add()
    host.ip = "192.168.77.3"
    network.ips[0].dhcp_hosts.remove(host)
    assert network.to_text() + "\n" == written


def test_libvirt_keeps_what_is_written() -> None:
    network = NetworkXml.new()
    network.name = "new"
    network.forward.mode = "nat"
    network.forward.nat_port_start, network.forward.nat_port_end = 2000, 3000
    network.bridge, network.bridge_stp, network.bridge_delay_s = "virbr99", True, 0
    network.domain_name, network.domain_local_only = "new.example", True
    network.dns.enable = True
    name = network.dns.hosts.add()
    name.ip = "192.168.78.9"
    name.names.add().name = "nine"
    ip = network.ips.add()
    ip.address, ip.prefix = "192.168.78.1", 24
    leased = ip.dhcp_ranges.add()
    leased.start, leased.end, leased.lease.expiry = "192.168.78.100", "192.168.78.200", 30
    host = ip.dhcp_hosts.add()
    host.mac, host.name, host.ip = "52:54:00:a1:b2:d9", "nine", "192.168.78.9"
    group = network.port_groups.add()
    group.name, group.bandwidth.inbound_average = "slow", 1000
    connection = libvirt.open("test:///default")
    try:
        kept = NetworkXml.parse(
            connection.networkDefineXMLFlags(network.to_text(), libvirt.VIR_NETWORK_DEFINE_VALIDATE).XMLDesc()
        )
    finally:
        connection.close()
    assert (kept.forward.nat_port_start, kept.forward.nat_port_end) == (2000, 3000)
    assert (kept.bridge, kept.bridge_stp, kept.domain_local_only, kept.dns.enable) == ("virbr99", True, True, True)
    assert kept.dns.hosts[0].names[0].name == "nine"
    assert (kept.ips[0].prefix, kept.ips[0].dhcp_hosts[0].ip) == (24, "192.168.78.9")
    assert (kept.ips[0].dhcp_ranges[0].lease.expiry, kept.port_groups[0].bandwidth.inbound_average) == (30, 1000)


def test_another_kind_of_document_is_refused() -> None:
    with pytest.raises(XmlError):
        NetworkXml.parse("<domain/>")
