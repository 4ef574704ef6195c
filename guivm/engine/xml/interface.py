"""``<interface>``: network cards (formatdomain.html, "Network interfaces")."""

from __future__ import annotations

from guivm.engine.xml.device import Device
from guivm.engine.xml.properties import attribute


class Interface(Device):
    __slots__ = ()

    type = attribute("@type")  # "user", "network", "bridge", "direct", …
    mac = attribute("mac/@address")
    model = attribute("model/@type")
    source_network = attribute("source/@network")
    source_bridge = attribute("source/@bridge")
    source_dev = attribute("source/@dev")
    source_mode = attribute("source/@mode")
    target_dev = attribute("target/@dev")
    backend_type = attribute("backend/@type")
    link_state = attribute("link/@state")  # "up", "down"

    @property
    def source(self) -> str:
        """Network, bridge or host device it is plugged into, or empty."""
        return self.source_network or self.source_bridge or self.source_dev or ""
