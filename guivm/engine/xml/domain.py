"""``<domain>``: a whole VM, typed (formatdomain.html). Policy lives elsewhere; here is only what the XML can say."""

from __future__ import annotations

from guivm.engine.xml.chardev import Channel, Console, Serial
from guivm.engine.xml.disk import Disk
from guivm.engine.xml.document import new_element, parse_xml, to_text
from guivm.engine.xml.graphics import Graphics
from guivm.engine.xml.interface import Interface
from guivm.engine.xml.node import XmlNode
from guivm.engine.xml.peripherals import (
    Controller,
    Filesystem,
    InputDevice,
    MemoryBalloon,
    Panic,
    RandomSource,
    Sound,
    Tpm,
    Watchdog,
)
from guivm.engine.xml.platform import Clock, Cpu, Features, Os, PowerManagement, Vcpus
from guivm.engine.xml.properties import Child, Children, MemorySize, attribute, child_text
from guivm.engine.xml.video import Video


class Devices(XmlNode):
    """``<devices>``: every list is in document order."""

    __slots__ = ()

    emulator = child_text("emulator")
    disks = Children(Disk, "disk")
    controllers = Children(Controller, "controller")
    interfaces = Children(Interface, "interface")
    serials = Children(Serial, "serial")
    consoles = Children(Console, "console")
    channels = Children(Channel, "channel")
    inputs = Children(InputDevice, "input")
    graphics = Children(Graphics, "graphics")
    videos = Children(Video, "video")
    sounds = Children(Sound, "sound")
    filesystems = Children(Filesystem, "filesystem")
    watchdogs = Children(Watchdog, "watchdog")
    panics = Children(Panic, "panic")
    rngs = Children(RandomSource, "rng")
    tpm = Child(Tpm, "tpm")
    memballoon = Child(MemoryBalloon, "memballoon")


class DomainXml(XmlNode):
    """A domain document. Edits touch only their own node; what is not declared here lives on unchanged."""

    __slots__ = ()

    type = attribute("@type")  # "kvm", "qemu", "test", …
    name = child_text("name")
    uuid = child_text("uuid")
    title = child_text("title")
    description = child_text("description")
    memory_kib = MemorySize("memory")  # the maximum, what the guest boots with
    current_memory_kib = MemorySize("currentMemory")
    vcpu = Child(Vcpus, "vcpu")
    os = Child(Os, "os")
    features = Child(Features, "features")
    cpu = Child(Cpu, "cpu")
    clock = Child(Clock, "clock")
    pm = Child(PowerManagement, "pm")
    on_poweroff = child_text("on_poweroff")
    on_reboot = child_text("on_reboot")
    on_crash = child_text("on_crash")
    devices = Child(Devices, "devices")

    @classmethod
    def parse(cls, text: str) -> DomainXml:
        """Read a ``<domain>`` document. Raises XmlError."""
        return cls(parse_xml(text, "domain"))

    @classmethod
    def new(cls) -> DomainXml:
        """An empty domain, to be filled."""
        return cls(new_element("domain"))

    def to_text(self) -> str:
        """The document as text for ``virDomainDefineXML``."""
        return to_text(self.make())
