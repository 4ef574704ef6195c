"""``<cpu>``, ``<vcpu>``, ``<cputune>``, ``<iothreads>``, ``<numatune>``: processors (formatdomain.html, "CPU …")."""

from __future__ import annotations

from guivm.engine.xml.node import XmlNode
from guivm.engine.xml.properties import (
    INTEGER,
    ON_OFF,
    YES_NO,
    Child,
    Children,
    MemorySize,
    attribute,
    child_text,
)


class CpuFeature(XmlNode):
    __slots__ = ()

    name = attribute("@name")
    policy = attribute("@policy")  # "force", "require", "optional", "disable", "forbid"


class NumaDistance(XmlNode):
    """How far another cell is away."""

    __slots__ = ()

    cell = attribute("@id", INTEGER)
    value = attribute("@value", INTEGER)  # 10 (local) to 255 (unreachable)


class NumaCell(XmlNode):
    """A NUMA node of the guest."""

    __slots__ = ()

    id = attribute("@id", INTEGER)
    cpus = attribute("@cpus")  # a CPU set: "0-3,^2"
    memory_kib = MemorySize("@memory")
    memory_access = attribute("@memAccess")  # "shared", "private"
    discard = attribute("@discard", YES_NO)
    distances = Children(NumaDistance, "distances/sibling")


class Cpu(XmlNode):
    """``<cpu>``."""

    __slots__ = ()

    mode = attribute("@mode")  # "host-passthrough", "host-model", "maximum", "custom"
    match = attribute("@match")
    check = attribute("@check")
    migratable = attribute("@migratable", ON_OFF)
    model = child_text("model")
    model_fallback = attribute("model/@fallback")  # "allow", "forbid"
    model_vendor_id = attribute("model/@vendor_id")
    vendor = child_text("vendor")
    sockets = attribute("topology/@sockets", INTEGER)
    dies = attribute("topology/@dies", INTEGER)
    clusters = attribute("topology/@clusters", INTEGER)  # libvirt 10.1
    cores = attribute("topology/@cores", INTEGER)
    threads = attribute("topology/@threads", INTEGER)
    features = Children(CpuFeature, "feature")
    cache_mode = attribute("cache/@mode")  # "emulate", "passthrough", "disable"
    cache_level = attribute("cache/@level", INTEGER)
    physical_address_mode = attribute("maxphysaddr/@mode")  # "emulate", "passthrough"
    physical_address_bits = attribute("maxphysaddr/@bits", INTEGER)
    physical_address_limit = attribute("maxphysaddr/@limit", INTEGER)  # libvirt 9.3
    numa_cells = Children(NumaCell, "numa/cell")


class Vcpus(XmlNode):
    """``<vcpu>``: the text is the maximum, ``@current`` how many are plugged in."""

    __slots__ = ()

    maximum = child_text("", INTEGER)
    current = attribute("@current", INTEGER)
    placement = attribute("@placement")  # "static", "auto"
    cpu_set = attribute("@cpuset")


class Vcpu(XmlNode):
    """One processor of ``<vcpus>``."""

    __slots__ = ()

    id = attribute("@id", INTEGER)
    enabled = attribute("@enabled", YES_NO)
    hotpluggable = attribute("@hotpluggable", YES_NO)
    order = attribute("@order", INTEGER)


class IoThread(XmlNode):
    __slots__ = ()

    id = attribute("@id", INTEGER)
    thread_pool_min = attribute("@thread_pool_min", INTEGER)
    thread_pool_max = attribute("@thread_pool_max", INTEGER)
    poll_max_ns = attribute("poll/@max", INTEGER)  # libvirt 9.4, like the next two
    poll_grow = attribute("poll/@grow", INTEGER)
    poll_shrink = attribute("poll/@shrink", INTEGER)


class VcpuPin(XmlNode):
    __slots__ = ()

    vcpu = attribute("@vcpu", INTEGER)
    cpu_set = attribute("@cpuset")


class IoThreadPin(XmlNode):
    __slots__ = ()

    io_thread = attribute("@iothread", INTEGER)
    cpu_set = attribute("@cpuset")


class CpuTune(XmlNode):
    """``<cputune>``: shares, caps and pinning. Periods and quotas are microseconds; a negative quota is no cap.

    ``period`` and ``quota`` are for each vCPU, ``global_…`` for the whole domain.
    """

    __slots__ = ()

    shares = child_text("shares", INTEGER)
    global_period_us = child_text("global_period", INTEGER)
    global_quota_us = child_text("global_quota", INTEGER)
    period_us = child_text("period", INTEGER)
    quota_us = child_text("quota", INTEGER)
    emulator_period_us = child_text("emulator_period", INTEGER)
    emulator_quota_us = child_text("emulator_quota", INTEGER)
    io_thread_period_us = child_text("iothread_period", INTEGER)
    io_thread_quota_us = child_text("iothread_quota", INTEGER)
    vcpu_pins = Children(VcpuPin, "vcpupin")
    emulator_pin = attribute("emulatorpin/@cpuset")
    io_thread_pins = Children(IoThreadPin, "iothreadpin")


class NumaMemoryNode(XmlNode):
    """Where the memory of one cell of the guest comes from."""

    __slots__ = ()

    cell = attribute("@cellid", INTEGER)
    mode = attribute("@mode")
    node_set = attribute("@nodeset")


class NumaTune(XmlNode):
    """``<numatune>``: from which of the host's nodes memory comes."""

    __slots__ = ()

    mode = attribute("memory/@mode")  # "strict", "preferred", "interleave", "restrictive"
    node_set = attribute("memory/@nodeset")
    placement = attribute("memory/@placement")
    memory_nodes = Children(NumaMemoryNode, "memnode")


class DefaultIoThread(XmlNode):
    """``<defaultiothread>``: threads of QEMU's main loop."""

    __slots__ = ()

    thread_pool_min = attribute("@thread_pool_min", INTEGER)
    thread_pool_max = attribute("@thread_pool_max", INTEGER)


class Processors(XmlNode):
    """Everything about processors that stands directly under ``<domain>``."""

    __slots__ = ()

    vcpu = Child(Vcpus, "vcpu")
    individual_vcpus = Children(Vcpu, "vcpus/vcpu")
    cpu = Child(Cpu, "cpu")
    cpu_tune = Child(CpuTune, "cputune")
    io_threads = child_text("iothreads", INTEGER)
    io_thread_ids = Children(IoThread, "iothreadids/iothread")
    default_io_thread = Child(DefaultIoThread, "defaultiothread")
    numa_tune = Child(NumaTune, "numatune")
