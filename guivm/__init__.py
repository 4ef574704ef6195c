"""guivm: virtual machines on your desktop, through libvirt."""

__version__ = "0.1.0"
