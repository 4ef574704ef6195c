"""What the machine is besides its devices: boot, features, CPU, clock, power (formatdomain.html)."""

from __future__ import annotations

from guivm.engine.xml.node import NodeList, XmlNode
from guivm.engine.xml.properties import INTEGER, ON_OFF, YES_NO, Child, Children, Flag, attribute, child_text


class BootDevice(XmlNode):
    __slots__ = ()

    dev = attribute("@dev")  # "hd", "cdrom", "network", "fd"


class FirmwareFeature(XmlNode):
    """What a firmware chosen by libvirt must, or must not, have."""

    __slots__ = ()

    name = attribute("@name")  # "secure-boot", "enrolled-keys"
    enabled = attribute("@enabled", YES_NO)


class _FirmwareChoice(XmlNode):
    __slots__ = ()

    features = Children(FirmwareFeature, "feature")


class Os(XmlNode):
    """``<os>``: type, firmware and what is booted first."""

    __slots__ = ()

    type = child_text("type")  # "hvm", "linux", "exe"
    arch = attribute("type/@arch")
    machine = attribute("type/@machine")
    firmware = attribute("@firmware")  # "efi" or "bios": libvirt picks the files
    kernel = child_text("kernel")
    initrd = child_text("initrd")
    command_line = child_text("cmdline")
    loader = child_text("loader")
    loader_type = attribute("loader/@type")
    loader_read_only = attribute("loader/@readonly", YES_NO)
    loader_secure = attribute("loader/@secure", YES_NO)
    nvram = child_text("nvram")
    nvram_template = attribute("nvram/@template")
    nvram_format = attribute("nvram/@format")
    boot_menu = attribute("bootmenu/@enable", YES_NO)
    boot_devices = Children(BootDevice, "boot")
    _firmware_choice = Child(_FirmwareChoice, "firmware")

    @property
    def firmware_features(self) -> NodeList[FirmwareFeature]:
        return self._firmware_choice.features

    @property
    def uses_uefi(self) -> bool:
        """True when the firmware is UEFI, chosen by libvirt or named as a flash image."""
        return self.firmware == "efi" or (self.firmware is None and self.loader_type == "pflash")


class Features(XmlNode):
    """``<features>``."""

    __slots__ = ()

    acpi = Flag("acpi")
    apic = Flag("apic")
    pae = Flag("pae")
    hyperv_mode = attribute("hyperv/@mode")
    hyperv_relaxed = attribute("hyperv/relaxed/@state", ON_OFF)
    hyperv_vapic = attribute("hyperv/vapic/@state", ON_OFF)
    hyperv_spinlocks = attribute("hyperv/spinlocks/@state", ON_OFF)
    hyperv_spinlock_retries = attribute("hyperv/spinlocks/@retries", INTEGER)
    smm = attribute("smm/@state", ON_OFF)
    vmport = attribute("vmport/@state", ON_OFF)


class CpuFeature(XmlNode):
    __slots__ = ()

    name = attribute("@name")
    policy = attribute("@policy")


class Cpu(XmlNode):
    """``<cpu>``."""

    __slots__ = ()

    mode = attribute("@mode")  # "host-passthrough", "host-model", "maximum", "custom"
    match = attribute("@match")
    check = attribute("@check")
    migratable = attribute("@migratable", ON_OFF)
    model = child_text("model")
    model_fallback = attribute("model/@fallback")
    sockets = attribute("topology/@sockets", INTEGER)
    dies = attribute("topology/@dies", INTEGER)
    cores = attribute("topology/@cores", INTEGER)
    threads = attribute("topology/@threads", INTEGER)
    features = Children(CpuFeature, "feature")


class Timer(XmlNode):
    __slots__ = ()

    name = attribute("@name")  # "rtc", "pit", "hpet", "kvmclock", "hypervclock", …
    present = attribute("@present", YES_NO)
    tick_policy = attribute("@tickpolicy")


class Clock(XmlNode):
    """``<clock>``."""

    __slots__ = ()

    offset = attribute("@offset")  # "utc", "localtime", "timezone", "variable"
    timezone = attribute("@timezone")
    timers = Children(Timer, "timer")


class PowerManagement(XmlNode):
    """``<pm>``: whether the guest may sleep."""

    __slots__ = ()

    suspend_to_memory = attribute("suspend-to-mem/@enabled", YES_NO)
    suspend_to_disk = attribute("suspend-to-disk/@enabled", YES_NO)


class Vcpus(XmlNode):
    """``<vcpu>``: the text is the maximum, ``@current`` how many are plugged in."""

    __slots__ = ()

    maximum = child_text("", INTEGER)
    current = attribute("@current", INTEGER)
    placement = attribute("@placement")
    cpu_set = attribute("@cpuset")
