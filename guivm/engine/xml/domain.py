"""``<domain>``: a whole VM, typed (formatdomain.html). Policy lives elsewhere; here is only what the XML can say."""

from __future__ import annotations

from guivm.engine.xml.audio import Audio, Sound
from guivm.engine.xml.boot import Os
from guivm.engine.xml.chardev import Channel, Console, Parallel, RedirectedUsb, Serial
from guivm.engine.xml.clock import Clock, PowerManagement
from guivm.engine.xml.controller import Controller, Hub, Iommu
from guivm.engine.xml.cpu import Processors
from guivm.engine.xml.disk import Disk
from guivm.engine.xml.document import new_element, parse_xml, to_text
from guivm.engine.xml.features import Features
from guivm.engine.xml.filesystem import Filesystem
from guivm.engine.xml.graphics import Graphics
from guivm.engine.xml.hostdev import HostDevice, UsbFilter
from guivm.engine.xml.interface import Interface
from guivm.engine.xml.memory import Memory, MemoryBalloon, MemoryDevice, SharedMemory
from guivm.engine.xml.metadata import Metadata
from guivm.engine.xml.node import XmlNode
from guivm.engine.xml.peripherals import InputDevice, Panic, RandomSource, SmartCard, Tpm, Vsock, Watchdog
from guivm.engine.xml.properties import INTEGER, Child, Children, attribute, child_text
from guivm.engine.xml.video import Video


class Devices(XmlNode):
    """``<devices>``: every list is in document order."""

    __slots__ = ()

    emulator = child_text("emulator")
    disks = Children(Disk, "disk")
    controllers = Children(Controller, "controller")
    interfaces = Children(Interface, "interface")
    serials = Children(Serial, "serial")
    parallels = Children(Parallel, "parallel")
    consoles = Children(Console, "console")
    channels = Children(Channel, "channel")
    inputs = Children(InputDevice, "input")
    graphics = Children(Graphics, "graphics")
    videos = Children(Video, "video")
    sounds = Children(Sound, "sound")
    audios = Children(Audio, "audio")
    filesystems = Children(Filesystem, "filesystem")
    host_devices = Children(HostDevice, "hostdev")
    redirected_usbs = Children(RedirectedUsb, "redirdev")
    usb_filter = Child(UsbFilter, "redirfilter")
    smart_cards = Children(SmartCard, "smartcard")
    watchdogs = Children(Watchdog, "watchdog")
    panics = Children(Panic, "panic")
    rngs = Children(RandomSource, "rng")
    hubs = Children(Hub, "hub")
    memories = Children(MemoryDevice, "memory")
    shared_memories = Children(SharedMemory, "shmem")
    tpms = Children(Tpm, "tpm")
    tpm = Child(Tpm, "tpm")  # the first
    vsock = Child(Vsock, "vsock")
    iommu = Child(Iommu, "iommu")
    memballoon = Child(MemoryBalloon, "memballoon")


class QemuArgument(XmlNode):
    __slots__ = ()

    value = attribute("@value")


class QemuVariable(XmlNode):
    __slots__ = ()

    name = attribute("@name")
    value = attribute("@value")


class QemuCommandLine(XmlNode):
    """``<qemu:commandline>``: what is handed to QEMU unseen by libvirt."""

    __slots__ = ()

    arguments = Children(QemuArgument, "qemu:arg")
    variables = Children(QemuVariable, "qemu:env")


class DomainXml(Processors, Memory):
    """A domain document. Edits touch only their own node; what is not declared here lives on unchanged."""

    __slots__ = ()

    type = attribute("@type")  # "kvm", "qemu", "test", …
    id = attribute("@id", INTEGER)  # active XML only
    name = child_text("name")
    uuid = child_text("uuid")
    genid = child_text("genid")  # empty: libvirt makes one
    title = child_text("title")
    description = child_text("description")
    metadata = Child(Metadata, "metadata")
    os = Child(Os, "os")
    features = Child(Features, "features")
    clock = Child(Clock, "clock")
    pm = Child(PowerManagement, "pm")
    on_poweroff = child_text("on_poweroff")
    on_reboot = child_text("on_reboot")
    on_crash = child_text("on_crash")
    on_lock_failure = child_text("on_lockfailure")
    devices = Child(Devices, "devices")
    qemu_command_line = Child(QemuCommandLine, "qemu:commandline")

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
