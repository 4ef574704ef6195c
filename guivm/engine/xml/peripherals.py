"""The small devices: input, random numbers, TPM, watchdog, panic, smart card, vsock (formatdomain.html)."""

from __future__ import annotations

from guivm.engine.xml.chardev import CharLine
from guivm.engine.xml.device import Device, VirtioOptions
from guivm.engine.xml.memory import MemoryBalloon
from guivm.engine.xml.node import XmlNode
from guivm.engine.xml.properties import INTEGER, ON_OFF, YES_NO, Child, Children, Flag, attribute, child_text

__all__ = [
    "Certificate",
    "InputDevice",
    "MemoryBalloon",
    "Panic",
    "RandomSource",
    "SmartCard",
    "Tpm",
    "Vsock",
    "Watchdog",
]


class InputDevice(VirtioOptions, Device):
    __slots__ = ()

    type = attribute("@type")  # "tablet", "keyboard", "mouse", "passthrough", "evdev"
    bus = attribute("@bus")  # "usb", "virtio", "ps2", …
    model = attribute("@model")
    source_dev = attribute("source/@dev")  # of "evdev": "/dev/input/by-id/…"
    source_evdev = attribute("source/@evdev")  # of "passthrough"
    grab = attribute("source/@grab")  # "all": with the mouse come all others
    grab_toggle = attribute("source/@grabToggle")  # "ctrl-ctrl", "alt-alt", …
    repeat = attribute("source/@repeat", ON_OFF)


class RandomBackend(CharLine):
    """``<backend>``: where random numbers come from. "egd" is a character device."""

    __slots__ = ()

    model = attribute("@model")  # "random", "builtin", "egd"
    path = child_text("")  # of "random": "/dev/urandom"


class RandomSource(VirtioOptions, Device):
    """``<rng>``: feeds host entropy to the guest."""

    __slots__ = ()

    model = attribute("@model")
    backend = Child(RandomBackend, "backend")
    backend_model = attribute("backend/@model")
    backend_path = child_text("backend")
    rate_bytes = attribute("rate/@bytes", INTEGER)  # each period
    rate_period_ms = attribute("rate/@period", INTEGER)


class Tpm(Device):
    __slots__ = ()

    model = attribute("@model")  # "tpm-crb", "tpm-tis", "tpm-spapr"
    backend_type = attribute("backend/@type")  # "emulator", "passthrough", "external"
    backend_version = attribute("backend/@version")  # "2.0", "1.2"
    persistent_state = attribute("backend/@persistent_state", YES_NO)
    device_path = attribute("backend/device/@path")  # of "passthrough"
    source_type = attribute("backend/source/@type")  # of "external": "unix", like the next two
    source_path = attribute("backend/source/@path")
    source_mode = attribute("backend/source/@mode")
    encryption_secret = attribute("backend/encryption/@secret")  # UUID of a libvirt secret
    pcr_sha1 = Flag("backend/active_pcr_banks/sha1")
    pcr_sha256 = Flag("backend/active_pcr_banks/sha256")
    pcr_sha384 = Flag("backend/active_pcr_banks/sha384")
    pcr_sha512 = Flag("backend/active_pcr_banks/sha512")


class Watchdog(Device):
    __slots__ = ()

    model = attribute("@model")  # "itco", "i6300esb", "ib700", "diag288"
    action = attribute("@action")  # "reset", "shutdown", "poweroff", "pause", "none", "dump", "inject-nmi"


class Panic(Device):
    __slots__ = ()

    model = attribute("@model")  # "isa", "pseries", "hyperv", "s390", "pvpanic"


class Certificate(XmlNode):
    __slots__ = ()

    name = child_text("")


class SmartCard(CharLine, Device):
    __slots__ = ()

    mode = attribute("@mode")  # "host", "host-certificates", "passthrough"
    certificates = Children(Certificate, "certificate")  # of "host-certificates": three
    database = child_text("database")


class Vsock(VirtioOptions, Device):
    """``<vsock>``: sockets between host and guest without a network."""

    __slots__ = ()

    model = attribute("@model")
    cid = attribute("cid/@address", INTEGER)  # 3 and above
    cid_auto = attribute("cid/@auto", YES_NO)
