"""Virtual networks: what makes sense, what is free, and what an edit writes."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from pathlib import Path

import libvirt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guivm.engine.networks import rules
from guivm.engine.networks.definition import differences, new_network, spec_of, write
from guivm.engine.networks.host_addresses import local_addresses, local_routes, taken_by_routes
from guivm.engine.networks.live import live_steps
from guivm.engine.networks.rules import Surroundings, TakenSubnet
from guivm.engine.networks.values import FixedAddress, NetworkField, NetworkMode, NetworkSpec
from guivm.engine.xml.network import NetworkXml

LAB = Path(__file__).parent.parent / "data" / "xml" / "network.xml"
F = NetworkField
GOOD = NetworkSpec("lab", NetworkMode.NAT, "192.168.100.0/24", "192.168.100.2 - 192.168.100.254")
AROUND = Surroundings(
    names=("default",),
    bridges=(("virbr0", "the network “default”"), ("br0", "the host")),
    subnets=(
        TakenSubnet(ipaddress.ip_network("192.168.122.0/24"), "the network “default”"),
        TakenSubnet(ipaddress.ip_network("10.0.0.0/16"), "the host's interface eth0"),
        TakenSubnet(ipaddress.ip_network("10.99.0.0/16"), "the host's interface tun0", is_remote=True),
    ),
    addresses=((ipaddress.ip_address("172.20.0.1"), "the host's interface eth1"),),
    devices=("eth0",),
)
MAC = "52:54:00:00:00:01"


def fixed(*values: tuple[str, str, str]) -> NetworkSpec:
    return replace(GOOD, fixed=tuple(FixedAddress(*each) for each in values))


@pytest.mark.parametrize(
    ("spec", "field", "words"),
    [
        (replace(GOOD, name=" "), F.NAME, "name"),
        (replace(GOOD, name="a/b"), F.NAME, "/"),
        (replace(GOOD, name="default"), F.NAME, "already"),
        (replace(GOOD, name="x" * 81), F.NAME, "80"),
        (replace(GOOD, name="a\u202eb"), F.NAME, "unprintable"),
        (replace(GOOD, ipv4="nonsense"), F.IPV4, "write it like"),
        (replace(GOOD, ipv4="192.168.100.1"), F.IPV4, "/24"),
        (replace(GOOD, ipv4="fd00::/64"), F.IPV4, "IPv6"),
        (replace(GOOD, ipv4="127.0.0.0/8"), F.IPV4, "meaning of its own"),
        (replace(GOOD, ipv4="192.168.100.0/31"), F.IPV4, "too small"),
        (replace(GOOD, ipv4="192.168.100.255/24"), F.IPV4, "broadcast"),
        (replace(GOOD, ipv4="192.168.122.128/25"), F.IPV4, "default"),
        (replace(GOOD, ipv4="10.0.7.0/24"), F.IPV4, "eth0"),
        (replace(GOOD, ipv4="172.20.0.1/24"), F.IPV4, "eth1"),
        (replace(GOOD, ipv4="", dhcp4=""), F.IPV4, "isolated"),
        (replace(GOOD, mode=NetworkMode.ISOLATED, ipv4=""), F.DHCP4, "range first"),
        (replace(GOOD, dhcp4="192.168.100.9"), F.DHCP4, "first and the last"),
        (replace(GOOD, dhcp4="192.168.100.9 - 192.168.100.5"), F.DHCP4, "before"),
        (replace(GOOD, dhcp4="192.168.101.2 - 192.168.101.9"), F.DHCP4, "not within"),
        (replace(GOOD, dhcp4="192.168.100.200 - 192.168.100.255"), F.DHCP4, "no guest's"),
        (replace(GOOD, dhcp4="192.168.100.1 - 192.168.100.9"), F.DHCP4, "own address"),
        (
            replace(GOOD, dhcp4="192.168.100.2 - 192.168.100.9, 192.168.100.9 - 192.168.100.20"),
            F.DHCP4,
            "overlaps",
        ),
        (replace(GOOD, dhcp4="fd00::1 - fd00::2"), F.DHCP4, "IPv4"),
        (replace(GOOD, ipv6="192.168.100.0/24"), F.IPV6, "IPv4"),
        (replace(GOOD, ipv6="fd00::/64", dhcp6="fd01::2 - fd01::9"), F.DHCP6, "not within"),
        (replace(GOOD, bridge="averylongbridgename"), F.BRIDGE, "15"),
        (replace(GOOD, bridge="br 0"), F.BRIDGE, "letters"),
        (replace(GOOD, bridge="virbr0"), F.BRIDGE, "default"),
        (replace(GOOD, bridge="br0"), F.BRIDGE, "host"),
        (replace(GOOD, mode=NetworkMode.ISOLATED, device="eth0"), F.DEVICE, "NAT or routed"),
        (replace(GOOD, device="not a name"), F.DEVICE, "no name"),
        (replace(GOOD, domain="lab..example"), F.DOMAIN, "letters"),
        (fixed(("52:54", "", "192.168.100.9")), F.FIXED, "no MAC"),
        (fixed(("53:54:00:00:00:01", "", "192.168.100.9")), F.FIXED, "groups"),
        (fixed((MAC, "a b", "192.168.100.9")), F.FIXED, "no host name"),
        (fixed((MAC, "", "nonsense")), F.FIXED, "no IPv4"),
        (fixed((MAC, "", "192.168.101.9")), F.FIXED, "not within"),
        (fixed((MAC, "", "192.168.100.1")), F.FIXED, "host's own"),
        (fixed((MAC, "", "192.168.100.8"), (MAC.upper(), "", "192.168.100.9")), F.FIXED, "twice"),
        (fixed((MAC, "a", "192.168.100.8"), ("52:54:00:00:00:02", "A", "192.168.100.9")), F.FIXED, "twice"),
        (fixed((MAC, "", "192.168.100.8"), ("52:54:00:00:00:02", "", "192.168.100.8")), F.FIXED, "twice"),
        (replace(fixed((MAC, "", "10.1.1.1")), mode=NetworkMode.ISOLATED, ipv4="", dhcp4=""), F.FIXED, "IPv4 range"),
    ],
)
def test_what_makes_no_sense_is_said_beside_its_field(spec: NetworkSpec, field: NetworkField, words: str) -> None:
    found = [problem for problem in rules.problems(spec, AROUND) if not problem.is_warning]
    assert {problem.field for problem in found} == {field}
    assert words in found[0].message


@pytest.mark.parametrize(
    ("spec", "field", "words"),
    [
        (replace(GOOD, ipv4="8.8.8.0/24", dhcp4=""), F.IPV4, "public"),
        (replace(GOOD, ipv4="10.99.3.0/24", dhcp4=""), F.IPV4, "tun0"),
        (replace(GOOD, ipv6="fd00::/80"), F.IPV6, "/64"),
        (replace(GOOD, device="eth9"), F.DEVICE, "eth9"),
    ],
)
def test_what_is_only_doubtful_is_a_warning(spec: NetworkSpec, field: NetworkField, words: str) -> None:
    (problem,) = rules.problems(spec, AROUND)
    assert (problem.field, problem.is_warning) == (field, True)
    assert words in problem.message


@pytest.mark.parametrize(
    "spec",
    [
        GOOD,
        replace(GOOD, ipv4="192.168.100.254/24", dhcp4="192.168.100.1 – 192.168.100.9,192.168.100.20-192.168.100.30"),
        replace(GOOD, mode=NetworkMode.ISOLATED, ipv4="", dhcp4=""),
        replace(GOOD, ipv6="fd12:3456:789a::/64", dhcp6="fd12:3456:789a::100 - fd12:3456:789a::1ff"),
        replace(fixed((MAC, "web.lab", "192.168.100.9")), bridge="virbr-lab", device="eth0", domain="lab.example"),
        NetworkSpec("somebody's", NetworkMode.OTHER),
    ],
)
def test_what_makes_sense_passes(spec: NetworkSpec) -> None:
    assert rules.problems(spec, AROUND) == ()


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(8, 30)), max_size=40))
def test_what_is_proposed_clashes_with_nothing(taken: list[tuple[int, int]]) -> None:
    subnets = tuple(TakenSubnet(ipaddress.IPv4Network(pair, strict=False), "somebody") for pair in taken)
    around = Surroundings(names=("network-1",), subnets=subnets)
    text = rules.free_ipv4(around)
    if not text:
        return
    spec = NetworkSpec(rules.free_name(around), NetworkMode.NAT, text, rules.usual_range(rules.parse_subnet(text, 4)))
    assert rules.problems(replace(spec, ipv6=rules.free_ipv6(around, 2**40 - 1)), around) == ()


def test_all_but_the_hosts_own_address_are_given_out() -> None:
    assert rules.usual_range(rules.parse_subnet("192.168.100.0/24", 4)) == "192.168.100.2 – 192.168.100.254"
    assert rules.usual_range(rules.parse_subnet("192.168.100.254/24", 4)) == "192.168.100.1 – 192.168.100.253"
    assert rules.usual_range(rules.parse_subnet("192.168.100.0/30", 4)) == "192.168.100.2 – 192.168.100.2"


# --- the document -----------------------------------------------------------------------------------------


def test_what_is_written_is_read_again_and_kept_by_libvirt() -> None:
    spec = replace(
        fixed((MAC, "web", "192.168.100.9")),
        mode=NetworkMode.ROUTED, ipv4="192.168.100.1/24", dhcp4="192.168.100.2 – 192.168.100.254",
        ipv6="fd12::1/64", dhcp6="fd12::100 – fd12::1ff", device="eth0", domain="lab.example", bridge="virbr-lab",
        autostart=False,
    )  # fmt: skip
    document = new_network(spec)
    assert spec_of(document) == spec
    connection = libvirt.open("test:///default")
    try:
        flags = libvirt.VIR_NETWORK_DEFINE_VALIDATE
        kept = connection.networkDefineXMLFlags(document.to_text(), flags).XMLDesc()
    finally:
        connection.close()
    assert differences(spec_of(NetworkXml.parse(kept)), spec) == ()


def test_an_edit_of_another_tools_definition_touches_only_what_changed() -> None:
    text = LAB.read_text(encoding="utf-8")
    document = NetworkXml.parse(text)
    before = spec_of(document)
    write(document, before, before)
    untouched = document.to_text()
    assert untouched.strip().replace('"', "'") == text.strip().replace('"', "'")
    write(document, before, replace(before, domain="other.example"))
    assert document.to_text() == untouched.replace("name='lab.example'", "name='other.example'").replace(
        'name="lab.example"', 'name="other.example"'
    )


def test_a_range_that_stays_keeps_its_lease_time() -> None:
    document = NetworkXml.parse(LAB.read_text(encoding="utf-8"))
    before = spec_of(document)
    write(document, before, replace(before, dhcp4=f"{before.dhcp4}, 192.168.77.210 - 192.168.77.220"))
    kept, new = document.ips[0].dhcp_ranges
    assert (kept.lease.expiry, kept.lease.unit) == (2, "hours")
    assert (new.start, new.end, new.lease.exists) == ("192.168.77.210", "192.168.77.220", False)


def test_isolated_has_no_forward_and_routed_no_nat() -> None:
    document = NetworkXml.parse(LAB.read_text(encoding="utf-8"))
    before = spec_of(document)
    routed = replace(before, mode=NetworkMode.ROUTED)
    write(document, before, routed)
    assert (document.forward.mode, document.forward.nat_port_start) == ("route", None)
    assert "<nat" not in document.to_text()
    write(document, routed, replace(routed, mode=NetworkMode.ISOLATED))
    assert not document.forward.exists


def test_what_a_running_network_takes_goes_before_anything_comes() -> None:
    running = new_network(fixed((MAC, "old", "192.168.100.9")))
    wanted_spec = replace(
        fixed((MAC, "new", "192.168.100.9")), dhcp4="192.168.100.50 - 192.168.100.60", domain="lab.example"
    )
    wanted = new_network(wanted_spec)
    steps, fields = live_steps(running, wanted, differences(spec_of(running), spec_of(wanted)))
    assert set(fields) == {F.DHCP4, F.FIXED}
    assert [(step.adds, step.is_host) for step in steps] == [(False, False), (False, True), (True, False), (True, True)]
    moved = new_network(replace(wanted_spec, ipv4="192.168.101.0/24", dhcp4="", fixed=()))
    assert live_steps(running, moved, (F.IPV4, F.DHCP4, F.FIXED)) == ((), ())


# --- the host's own addresses -----------------------------------------------------------------------------


def test_linux_tables_are_read(tmp_path: Path) -> None:
    (tmp_path / "route").write_text(
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t0102A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "eth0\t0002A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        "tun0\t0000630A\t0102A8C0\t0003\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
        "broken\n"
    )
    (tmp_path / "ipv6_route").write_text(
        "fd120000000000000000000000000000 40 00000000000000000000000000000000 00 "
        "00000000000000000000000000000000 00000100 00000001 00000000 00000001 eth0\n"
        "fe800000000000000000000000000000 40 00000000000000000000000000000000 00 "
        "00000000000000000000000000000000 00000100 00000001 00000000 00000001 eth0\n"
    )
    (tmp_path / "fib_trie").write_text(
        "Local:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 127.0.0.1\n        /32 host LOCAL\n"
        "     |-- 192.168.2.7\n        /32 host LOCAL\n     |-- 192.168.2.255\n        /32 link BROADCAST\n"
    )
    (tmp_path / "if_inet6").write_text("fd120000000000000000000000000001 02 40 00 80     eth0\n")
    taken = taken_by_routes(local_routes(tmp_path), frozenset())
    assert [(str(each.subnet), each.owner, each.is_remote) for each in taken] == [
        ("192.168.2.0/24", "the host's interface eth0", False),
        ("10.99.0.0/16", "the host's interface tun0", True),
        ("fd12::/64", "the host's interface eth0", False),
    ]
    assert taken_by_routes(local_routes(tmp_path), frozenset({"eth0", "tun0"})) == ()
    assert [str(address) for address in local_addresses(tmp_path)] == ["192.168.2.7", "fd12::1"]
    assert local_routes(tmp_path / "nowhere") == ()
