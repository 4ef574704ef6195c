"""What the modes and fields of a network are called."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication

from guivm.engine.networks.values import NetworkField, NetworkMode
from guivm.views.actions import N

_MODES = {
    NetworkMode.NAT: N("Networks", "NAT"),
    NetworkMode.ROUTED: N("Networks", "Routed"),
    NetworkMode.ISOLATED: N("Networks", "Isolated"),
    NetworkMode.OPEN: N("Networks", "Open"),
}
_MODE_HELP = {
    NetworkMode.NAT: N("Networks", "Guests reach the world through the host's address; nobody outside reaches them."),
    NetworkMode.ROUTED: N(
        "Networks", "Guests keep their own addresses outside; the routers out there must know the way to them."
    ),
    NetworkMode.ISOLATED: N("Networks", "Guests reach each other and the host, and nothing else."),
    NetworkMode.OPEN: N("Networks", "Like Routed, but without a single firewall rule: those are left to you."),
    NetworkMode.OTHER: N("Networks", "Made by another tool; its mode stays as it is."),
}
_FIELDS = {
    NetworkField.NAME: N("Networks", "name"),
    NetworkField.MODE: N("Networks", "mode"),
    NetworkField.IPV4: N("Networks", "IPv4 range"),
    NetworkField.DHCP4: N("Networks", "DHCP addresses"),
    NetworkField.IPV6: N("Networks", "IPv6 range"),
    NetworkField.DHCP6: N("Networks", "DHCPv6 addresses"),
    NetworkField.DEVICE: N("Networks", "interface"),
    NetworkField.DOMAIN: N("Networks", "domain"),
    NetworkField.BRIDGE: N("Networks", "bridge"),
    NetworkField.FIXED: N("Networks", "fixed addresses"),
}


def mode_word(mode: NetworkMode, forward: str = "") -> str:
    """ "NAT"; libvirt's own word for a mode that is none of ours."""
    return QCoreApplication.translate("Networks", _MODES[mode]) if mode in _MODES else forward


def mode_help(mode: NetworkMode) -> str:
    return QCoreApplication.translate("Networks", _MODE_HELP[mode])


def field_words(fields: tuple[NetworkField, ...]) -> str:
    """ "domain, mode"."""
    return ", ".join(QCoreApplication.translate("Networks", _FIELDS[field]) for field in fields)
