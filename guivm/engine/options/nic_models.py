"""Which card the guest sees. (formatdomain.html, "Setting the NIC model")"""

from __future__ import annotations

from guivm.engine.options.devices import Known, drop_virtio_options
from guivm.engine.options.option import N, Value
from guivm.engine.xml.interface import Interface

MODELS = (
    Known("virtio", N("VirtIO"), N("Made for virtual machines and the fastest; Windows needs a driver for it.")),
    Known("e1000e", N("Intel 82574L (e1000e)"), N("Gigabit card that systems since 2010 know; for q35 machines.")),
    Known("e1000", N("Intel 82540EM (e1000)"), N("Gigabit card that nearly every older system knows.")),
    Known("igb", N("Intel 82576 (igb)"), N("Server card with many queues; needs QEMU 8.")),
    Known("rtl8139", N("Realtek RTL8139"), N("100 Mbit/s, known to very old systems; slow.")),
    Known("vmxnet3", N("VMware VMXNET3"), N("For machines that come from VMware.")),
    Known("pcnet", N("AMD PCnet"), N("For systems of the nineties.")),
    Known("ne2k_pci", N("NE2000"), N("For the oldest systems; very slow.")),
    Known("virtio-transitional", N("VirtIO, old and new drivers")),
    Known("virtio-non-transitional", N("VirtIO, new drivers only")),
)


def is_virtio(nic: Interface) -> bool:
    """Whether it is a VirtIO card, of whichever form."""
    return (nic.model or "").startswith("virtio")


def set_model(nic: Interface, value: Value | None) -> None:
    """Another kind of card: what only VirtIO has goes, and the address with it."""
    model = None if value is None else str(value)
    if model == nic.model:
        return
    was_virtio = is_virtio(nic)
    nic.model = model
    if was_virtio and is_virtio(nic):
        return
    nic.address.remove()
    if was_virtio:
        drop_virtio(nic)


def drop_virtio(nic: Interface) -> None:
    """Take out what only a VirtIO card can have."""
    nic.driver_name = nic.tx_mode = None
    nic.queues = nic.rx_queue_size = nic.tx_queue_size = None
    nic.ioeventfd = nic.event_idx = nic.rss = nic.rss_hash_report = None
    drop_virtio_options(nic)
    nic.host_offloads.remove()
    nic.guest_offloads.remove()
