"""What a host offers to a VM of one kind: frozen values for the settings. Units are in the names."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from guivm.engine.job_types import HostCapabilities


@dataclass(frozen=True, slots=True)
class Offer:
    """One enumeration of the domain capabilities (formatdomaincaps.html): ``path`` as "disk/bus", "video/modelType",
    "os/loader/type", "features/hyperv/features"."""

    path: str
    values: tuple[str, ...]
    supported: bool = True  # the element says supported="no" otherwise


@dataclass(frozen=True, slots=True)
class CpuModel:
    name: str
    usable: bool
    vendor: str = ""
    blockers: tuple[str, ...] = ()  # features the host's processor lacks
    deprecated: bool = False


@dataclass(frozen=True, slots=True)
class NetworkFact:
    """A virtual network of libvirt's. ``mode``: "nat", "route", "open", "isolated", "bridge", "hostdev", …"""

    name: str
    mode: str
    active: bool
    autostart: bool
    bridge: str = ""
    addresses: tuple[str, ...] = ()  # "192.168.122.1/24"


@dataclass(frozen=True, slots=True)
class HostInterface:
    """A network interface of the host's."""

    name: str
    is_bridge: bool
    is_up: bool
    is_wireless: bool = False
    pci_address: str = ""  # "0000:01:00.1" of a virtual function, else empty
    is_virtual_function: bool = False


@dataclass(frozen=True, slots=True)
class HostUsbDevice:
    vendor_id: int
    product_id: int
    label: str  # "Logitech USB Receiver"
    bus: int
    device: int
    used_by: str = ""  # VM that has it


@dataclass(frozen=True, slots=True)
class HostPciDevice:
    """``address``: "0000:01:00.0". ``iommu_group`` None: the host has no IOMMU switched on."""

    address: str
    label: str
    class_label: str
    iommu_group: int | None
    driver: str = ""
    used_by: str = ""
    mediated_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MediatedDevice:
    uuid: str
    label: str
    parent: str
    iommu_group: int | None = None


@dataclass(frozen=True, slots=True)
class RenderNode:
    path: str  # "/dev/dri/renderD128"
    label: str


@dataclass(frozen=True, slots=True)
class PageSize:
    """Huge pages of the host's."""

    kib: int
    total: int
    free: int


class OnHostShutdown(enum.Enum):
    """What becomes of a running VM when its host shuts down."""

    SAVE = "save"  # its memory is kept on disk; it goes on at the next start
    SHUT_DOWN = "shut-down"
    OFF = "off"  # it is ended, as by pulling its plug


@dataclass(frozen=True, slots=True)
class OtherVm:
    """What the settings of one VM must know of another on the same host."""

    name: str
    uuid: str
    is_active: bool
    memory_kib: int
    macs: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HostFacts:
    """All of it. What could not be found out is empty, and ``unknown`` says why, by field name."""

    capabilities: HostCapabilities
    offers: tuple[Offer, ...] = ()
    cpu_models: tuple[CpuModel, ...] = ()
    host_cpu_model: str = ""
    host_features: tuple[str, ...] = ()
    networks: tuple[NetworkFact, ...] = ()
    interfaces: tuple[HostInterface, ...] = ()
    filters: tuple[str, ...] = ()  # network filters
    usb_devices: tuple[HostUsbDevice, ...] = ()
    pci_devices: tuple[HostPciDevice, ...] = ()
    mediated_devices: tuple[MediatedDevice, ...] = ()
    render_nodes: tuple[RenderNode, ...] = ()
    render_refusal: str = ""  # why OpenGL cannot be had, one sentence
    page_sizes: tuple[PageSize, ...] = ()
    ksm_running: bool | None = None
    others: tuple[OtherVm, ...] = ()
    secrets: tuple[tuple[str, str], ...] = ()  # UUID and what for
    is_local: bool = True  # files and devices named here are on this computer
    is_session: bool = False  # an ordinary user's engine: no bridges of its own, no networks
    has_passt: bool | None = None  # the program that carries a user-mode network; None: not known
    on_shutdown: OnHostShutdown | None = None  # None: not known
    unknown: tuple[tuple[str, str], ...] = field(default=())

    def offered(self, path: str) -> tuple[str, ...]:
        """Values of an enumeration; empty when the host says nothing of it."""
        return next((offer.values for offer in self.offers if offer.path == path and offer.supported), ())

    def offers_any(self, path: str) -> bool | None:
        """Whether a device or feature is supported; None: the host says nothing of it."""
        found = [offer for offer in self.offers if offer.path == path or offer.path.startswith(path + "/")]
        return any(offer.supported for offer in found) if found else None
