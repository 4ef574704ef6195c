"""Memory of the guest: size, backing, limits, and modules that can be plugged (formatdomain.html, "Memory …")."""

from __future__ import annotations

from guivm.engine.xml.device import Device
from guivm.engine.xml.node import XmlNode
from guivm.engine.xml.properties import (
    INTEGER,
    ON_OFF,
    YES_NO,
    Child,
    Children,
    Flag,
    MemorySize,
    attribute,
    child_text,
)


class HugePage(XmlNode):
    """Huge pages of one size, for all of the guest or some of its NUMA cells."""

    __slots__ = ()

    size_kib = MemorySize("@size")
    node_set = attribute("@nodeset")  # cells of the guest


class MemoryBacking(XmlNode):
    """``<memoryBacking>``: what the host takes the memory from."""

    __slots__ = ()

    huge_pages = Flag("hugepages")
    huge_page_sizes = Children(HugePage, "hugepages/page")
    no_share_pages = Flag("nosharepages")  # keeps KSM away
    locked = Flag("locked")
    source_type = attribute("source/@type")  # "file", "anonymous", "memfd"
    access_mode = attribute("access/@mode")  # "shared", "private"
    allocation_mode = attribute("allocation/@mode")  # "immediate", "ondemand"
    allocation_threads = attribute("allocation/@threads", INTEGER)
    discard = Flag("discard")


class MemoryTune(XmlNode):
    """``<memtune>``: limits for QEMU's whole process."""

    __slots__ = ()

    hard_limit_kib = MemorySize("hard_limit")
    soft_limit_kib = MemorySize("soft_limit")
    swap_hard_limit_kib = MemorySize("swap_hard_limit")


class Memory(XmlNode):
    """Everything about memory that stands directly under ``<domain>``."""

    __slots__ = ()

    memory_kib = MemorySize("memory")  # what the guest boots with, DIMMs included
    memory_dump_core = attribute("memory/@dumpCore", ON_OFF)
    current_memory_kib = MemorySize("currentMemory")  # what the balloon leaves it
    max_memory_kib = MemorySize("maxMemory")  # with everything plugged in
    memory_slots = attribute("maxMemory/@slots", INTEGER)
    memory_backing = Child(MemoryBacking, "memoryBacking")
    memory_tune = Child(MemoryTune, "memtune")


class MemoryDevice(Device):
    """``<memory>`` under ``<devices>``: a module."""

    __slots__ = ()

    model = attribute("@model")  # "dimm", "nvdimm", "virtio-mem", "virtio-pmem", …
    access = attribute("@access")  # "shared", "private"
    discard = attribute("@discard", YES_NO)
    uuid = child_text("uuid")
    source_path = child_text("source/path")
    source_page_size_kib = MemorySize("source/pagesize")
    source_nodes = child_text("source/nodemask")
    source_align_kib = MemorySize("source/alignsize")
    source_is_persistent = Flag("source/pmem")
    size_kib = MemorySize("target/size")
    node = child_text("target/node", INTEGER)  # cell of the guest
    block_kib = MemorySize("target/block")  # of "virtio-mem", like the next two
    requested_kib = MemorySize("target/requested")
    current_kib = MemorySize("target/current")  # active XML only
    label_kib = MemorySize("target/label/size")
    read_only = Flag("target/readonly")
    dynamic_slots = attribute("target/@dynamicMemslots", YES_NO)  # libvirt 10.1


class MemoryBalloon(Device):
    """``<memballoon>``: takes memory back from a running guest."""

    __slots__ = ()

    model = attribute("@model")  # "virtio", "none", …
    auto_deflate = attribute("@autodeflate", ON_OFF)
    free_page_reporting = attribute("@freePageReporting", ON_OFF)
    stats_period_s = attribute("stats/@period", INTEGER)


class SharedMemory(Device):
    """``<shmem>``: memory that guests of one host share (ivshmem)."""

    __slots__ = ()

    name = attribute("@name")
    role = attribute("@role")  # "master", "peer"
    model = attribute("model/@type")
    size_kib = MemorySize("size", bare="bytes")
    server_path = attribute("server/@path")
    msi_vectors = attribute("msi/@vectors", INTEGER)
    msi_ioeventfd = attribute("msi/@ioeventfd", ON_OFF)
