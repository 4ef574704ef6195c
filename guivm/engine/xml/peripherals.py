"""The small devices: input, random numbers, balloon, controllers, sound, TPM, panic, watchdog."""

from __future__ import annotations

from guivm.engine.xml.device import Device
from guivm.engine.xml.properties import INTEGER, ON_OFF, attribute, child_text


class InputDevice(Device):
    __slots__ = ()

    type = attribute("@type")  # "tablet", "keyboard", "mouse", …
    bus = attribute("@bus")  # "usb", "virtio", "ps2", …


class RandomSource(Device):
    """``<rng>``: feeds host entropy to the guest."""

    __slots__ = ()

    model = attribute("@model")
    backend_model = attribute("backend/@model")  # "random", "builtin", "egd"
    backend_path = child_text("backend")  # "/dev/urandom" for "random"


class MemoryBalloon(Device):
    __slots__ = ()

    model = attribute("@model")  # "virtio", "none", …
    auto_deflate = attribute("@autodeflate", ON_OFF)
    free_page_reporting = attribute("@freePageReporting", ON_OFF)
    stats_period_s = attribute("stats/@period", INTEGER)


class Controller(Device):
    __slots__ = ()

    type = attribute("@type")  # "pci", "usb", "sata", "scsi", "virtio-serial", …
    index = attribute("@index", INTEGER)
    model = attribute("@model")
    ports = attribute("@ports", INTEGER)


class Sound(Device):
    __slots__ = ()

    model = attribute("@model")


class Tpm(Device):
    __slots__ = ()

    model = attribute("@model")
    backend_type = attribute("backend/@type")
    backend_version = attribute("backend/@version")


class Watchdog(Device):
    __slots__ = ()

    model = attribute("@model")
    action = attribute("@action")


class Panic(Device):
    __slots__ = ()

    model = attribute("@model")


class Filesystem(Device):
    """A host directory shared into the guest."""

    __slots__ = ()

    type = attribute("@type")
    access_mode = attribute("@accessmode")
    driver_type = attribute("driver/@type")
    source_dir = attribute("source/@dir")
    target_dir = attribute("target/@dir")
