"""Work on packets that a VirtIO card leaves to the other side. (formatdomain.html, "Network interfaces", "driver")"""

from __future__ import annotations

from guivm.engine.options.nic_models import is_virtio
from guivm.engine.options.option import N, Option, Switch, stored
from guivm.engine.xml.interface import GuestOffloads, HostOffloads, Interface
from guivm.engine.xml.properties import Property

_CHECKSUM = N("Leaves checksums to the other side, which saves work; switch off when old guests drop DHCP packets.")
_SEGMENTS = N(
    "Lets large packets through in one piece, which is much faster; switch off to see real packets in traces."
)
_UFO = N("The same for UDP: helps rarely, and today's kernels have given it up.")
_ECN = N("Hands large packets through although congestion is signalled in them.")
_MERGE = N("Receives large packets in several small buffers; off saves a little work with small packets only.")


def _offload(option_id: str, label: str, help_text: str, declared: Property[bool], host: bool) -> Option[Interface]:
    get, write = stored(declared, Interface.host_offloads if host else Interface.guest_offloads)
    return Option(
        option_id,
        label,
        help_text,
        Switch(True),
        get,
        write,
        more=True,
        keywords="offload checksum csum tso gso ufo segmentation",
        shown=lambda _situation, nic: is_virtio(nic),
    )


OFFLOADS = (
    _offload("host-csum", N("Host: checksums"), _CHECKSUM, HostOffloads.csum, True),
    _offload("host-gso", N("Host: segments of any kind (GSO)"), _SEGMENTS, HostOffloads.gso, True),
    _offload("host-tso4", N("Host: TCP segments, IPv4 (TSO)"), _SEGMENTS, HostOffloads.tso4, True),
    _offload("host-tso6", N("Host: TCP segments, IPv6 (TSO)"), _SEGMENTS, HostOffloads.tso6, True),
    _offload("host-ecn", N("Host: segments with ECN"), _ECN, HostOffloads.ecn, True),
    _offload("host-ufo", N("Host: UDP fragments (UFO)"), _UFO, HostOffloads.ufo, True),
    _offload("mergeable-buffers", N("Mergeable receive buffers"), _MERGE, HostOffloads.mergeable_buffers, True),
    _offload("guest-csum", N("Guest: checksums"), _CHECKSUM, GuestOffloads.csum, False),
    _offload("guest-tso4", N("Guest: TCP segments, IPv4 (TSO)"), _SEGMENTS, GuestOffloads.tso4, False),
    _offload("guest-tso6", N("Guest: TCP segments, IPv6 (TSO)"), _SEGMENTS, GuestOffloads.tso6, False),
    _offload("guest-ecn", N("Guest: segments with ECN"), _ECN, GuestOffloads.ecn, False),
    _offload("guest-ufo", N("Guest: UDP fragments (UFO)"), _UFO, GuestOffloads.ufo, False),
)
