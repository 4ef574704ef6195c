"""Limits on what a network card receives and sends. (formatdomain.html, "Quality of service")

libvirt counts from the host's side: "inbound" is what the guest receives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from guivm.engine.options import nic_modes
from guivm.engine.options.option import N, Number, Option, Situation, Value, stored
from guivm.engine.xml.interface import Bandwidth, Interface
from guivm.engine.xml.properties import Property

_REFUSAL = nic_modes.unless(nic_modes.BANDWIDTH_TYPES, N("The host cannot limit a card in this mode."))
_PEAK = N("How fast it may be in a burst above the average.")
_BURST = N("How much may pass at peak speed before the average holds.")


def _limit(
    option_id: str,
    label: str,
    help_text: str,
    unit: str,
    get_and_set: tuple[Callable[[Any], Value | None], Callable[[Any, Value | None], None]],
    shown: Callable[[Situation, Interface], bool] | None = None,
) -> Option[Interface]:
    return Option(
        option_id,
        label,
        help_text,
        Number(1, (1 << 31) - 1, unit),
        *get_and_set,
        more=True,
        live=True,
        keywords="bandwidth limit speed qos throttle",
        default=N("unlimited"),
        refusal=_REFUSAL,
        shown=shown,
    )


def _direction(
    name: str,
    labels: tuple[str, str, str],
    help_text: str,
    average: Property[int],
    peak: Property[int],
    burst: Property[int],
) -> tuple[Option[Interface], ...]:
    """Peak and burst mean nothing to libvirt without the average: they come and go with it."""
    get, write = stored(average, Interface.bandwidth)

    def set_average(nic: Interface, value: Value | None) -> None:
        write(nic, value)
        if value is None:
            for other in (peak, burst):
                other.__set__(nic.bandwidth, None)

    def has_average(_situation: Situation, nic: Interface) -> bool:
        return get(nic) is not None

    return (
        _limit(name, labels[0], help_text, "KiB/s", (get, set_average)),
        _limit(f"{name}-peak", labels[1], _PEAK, "KiB/s", stored(peak, Interface.bandwidth), has_average),
        _limit(f"{name}-burst", labels[2], _BURST, "KiB", stored(burst, Interface.bandwidth), has_average),
    )


LIMITS: tuple[Option[Interface], ...] = (
    *_direction(
        "inbound",
        (N("Limit: received"), N("Received at most"), N("Received in a burst")),
        N("The most that the guest receives on average; keeps it from crowding out others."),
        Bandwidth.inbound_average,
        Bandwidth.inbound_peak,
        Bandwidth.inbound_burst,
    ),
    *_direction(
        "outbound",
        (N("Limit: sent"), N("Sent at most"), N("Sent in a burst")),
        N("The most that the guest sends on average; keeps it from crowding out others."),
        Bandwidth.outbound_average,
        Bandwidth.outbound_peak,
        Bandwidth.outbound_burst,
    ),
)
