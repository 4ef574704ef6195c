"""``<disk>``: drives of every kind (formatdomain.html, "Hard drives, floppy disks, CDROMs")."""

from __future__ import annotations

from guivm.engine.xml.device import Device
from guivm.engine.xml.properties import Flag, attribute, child_text


class Disk(Device):
    __slots__ = ()

    type = attribute("@type")  # "file", "block", "network", "volume", …
    device = attribute("@device")  # "disk", "cdrom", "floppy", "lun"
    snapshot = attribute("@snapshot")
    driver_name = attribute("driver/@name")
    driver_type = attribute("driver/@type")  # "qcow2", "raw", …
    cache = attribute("driver/@cache")
    io = attribute("driver/@io")
    discard = attribute("driver/@discard")
    detect_zeroes = attribute("driver/@detect_zeroes")
    source_file = attribute("source/@file")
    source_dev = attribute("source/@dev")
    source_dir = attribute("source/@dir")
    source_pool = attribute("source/@pool")
    source_volume = attribute("source/@volume")
    source_name = attribute("source/@name")
    source_protocol = attribute("source/@protocol")
    startup_policy = attribute("source/@startupPolicy")
    target_dev = attribute("target/@dev")
    target_bus = attribute("target/@bus")
    removable = attribute("target/@removable")
    tray = attribute("target/@tray")
    serial = child_text("serial")
    read_only = Flag("readonly")
    shareable = Flag("shareable")
    transient = Flag("transient")

    @property
    def path(self) -> str:
        """File, block device or directory of the drive on its host; empty for none or for another kind of source."""
        return self.source_file or self.source_dev or self.source_dir or ""
