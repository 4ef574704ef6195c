"""``<os>``: firmware, boot order and direct kernel boot (formatdomain.html, "Operating system booting")."""

from __future__ import annotations

from guivm.engine.xml.node import XmlNode
from guivm.engine.xml.properties import INTEGER, YES_NO, Children, attribute, child_text


class BootDevice(XmlNode):
    __slots__ = ()

    dev = attribute("@dev")  # "hd", "cdrom", "network", "fd"


class FirmwareFeature(XmlNode):
    """What a firmware chosen by libvirt must, or must not, have."""

    __slots__ = ()

    name = attribute("@name")  # "secure-boot", "enrolled-keys"
    enabled = attribute("@enabled", YES_NO)


class Os(XmlNode):
    """``<os>``: type, firmware and what is booted first."""

    __slots__ = ()

    type = child_text("type")  # "hvm", "linux", "exe"
    arch = attribute("type/@arch")
    machine = attribute("type/@machine")
    firmware = attribute("@firmware")  # "efi" or "bios": libvirt picks the files
    firmware_features = Children(FirmwareFeature, "firmware/feature")
    loader = child_text("loader")
    loader_type = attribute("loader/@type")  # "rom", "pflash"
    loader_read_only = attribute("loader/@readonly", YES_NO)
    loader_secure = attribute("loader/@secure", YES_NO)
    loader_stateless = attribute("loader/@stateless", YES_NO)
    loader_format = attribute("loader/@format")  # libvirt 9.2
    nvram = child_text("nvram")
    nvram_template = attribute("nvram/@template")
    nvram_template_format = attribute("nvram/@templateFormat")  # libvirt 10.10
    nvram_format = attribute("nvram/@format")  # libvirt 9.2
    nvram_type = attribute("nvram/@type")  # "file", "block", "network" with a <source>
    nvram_source_file = attribute("nvram/source/@file")
    kernel = child_text("kernel")
    initrd = child_text("initrd")
    command_line = child_text("cmdline")
    device_tree = child_text("dtb")
    boot_devices = Children(BootDevice, "boot")
    boot_menu = attribute("bootmenu/@enable", YES_NO)
    boot_menu_timeout_ms = attribute("bootmenu/@timeout", INTEGER)
    smbios_mode = attribute("smbios/@mode")  # "emulate", "host", "sysinfo"
    bios_use_serial = attribute("bios/@useserial", YES_NO)
    bios_reboot_timeout_ms = attribute("bios/@rebootTimeout", INTEGER)  # -1: never; at most 65535

    @property
    def uses_uefi(self) -> bool:
        """True when the firmware is UEFI, chosen by libvirt or named as a flash image."""
        return self.firmware == "efi" or (self.firmware is None and self.loader_type == "pflash")
