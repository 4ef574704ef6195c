"""Devices that give or take memory: the balloon, and modules. (formatdomain.html, "Memory devices")"""

from __future__ import annotations

from collections.abc import Sequence

from guivm.engine.options.devices import domain_of
from guivm.engine.options.option import (
    Choice,
    Group,
    HostPath,
    Item,
    N,
    Number,
    Option,
    Resource,
    Situation,
    Size,
    SizeUnit,
    Switch,
    Value,
    fixed,
    stored,
)
from guivm.engine.options.sizes import size_words
from guivm.engine.xml.document import XmlError
from guivm.engine.xml.domain import DomainXml
from guivm.engine.xml.memory import MemoryBalloon, MemoryDevice

_MIB = 1024  # KiB
_GIB = 1024 * _MIB
_LEAST = 1 * _MIB
_SMALLEST = 128 * _MIB  # a block of memory of most guests

# --- balloon ----------------------------------------------------------------------------------------------


def _balloon_items(_situation: Situation, _balloon: MemoryBalloon) -> Sequence[Item]:
    return (
        Item("virtio", N("virtio"), N("needs a driver in the guest; Linux has it")),
        Item("virtio-transitional", N("virtio, old and new guests")),
        Item("virtio-non-transitional", N("virtio, new guests only")),
        Item("none", N("None")),
    )


def _set_balloon(balloon: MemoryBalloon, value: Value | None) -> None:
    """Without a balloon nothing is left to say of it."""
    if value == "none":
        balloon.auto_deflate, balloon.free_page_reporting, balloon.stats_period_s = None, None, None
        balloon.address.remove()
    balloon.model = "virtio" if value is None else str(value)


def _has_balloon(_situation: Situation, balloon: MemoryBalloon) -> str:
    return N("There is no balloon.") if balloon.model == "none" else ""


def _balloon_summary(_situation: Situation, balloon: MemoryBalloon) -> str:
    if balloon.model == "none":
        return N("none")
    return N("returns free memory by itself") if balloon.free_page_reporting else N("takes memory back on request")


BALLOON: Resource[MemoryBalloon] = Resource(
    "memballoon",
    N("Balloon"),
    Group.MEMORY,
    "memory",
    "memory",
    lambda domain: (domain.devices.memballoon,),
    (
        Option(
            "model",
            N("Balloon"),
            N(
                "The device through which a guest gives memory back; without it the guest's memory figures are "
                "missing too."
            ),
            Choice(_balloon_items),
            lambda balloon: balloon.model,
            _set_balloon,
            default="virtio",
            keywords="ballooning virtio memory device",
        ),
        Option(
            "reporting",
            N("Return free memory by itself"),
            N(
                "The guest tells which pages are free and the host takes them at once; costs a little time when they "
                "are used again."
            ),
            Switch(),
            *stored(MemoryBalloon.free_page_reporting),
            keywords="free page reporting reclaim",
            refusal=_has_balloon,
        ),
        Option(
            "deflate",
            N("Let go when memory is short"),
            N("A guest that runs out of memory takes some back from the balloon rather than stop programs."),
            Switch(),
            *stored(MemoryBalloon.auto_deflate),
            keywords="autodeflate oom",
            refusal=_has_balloon,
        ),
        Option(
            "statistics",
            N("Memory figures every"),
            N("How often the guest tells how much of its memory is used; each answer wakes it."),
            Number(1, 3600, "s"),
            *stored(MemoryBalloon.stats_period_s),
            more=True,
            live=True,
            default=N("never"),
            keywords="stats period monitoring",
            refusal=_has_balloon,
        ),
    ),
    _balloon_summary,
    is_device=False,
    keywords="ballooning",
)


# --- modules ----------------------------------------------------------------------------------------------


def _module_items(situation: Situation, module: MemoryDevice) -> Sequence[Item]:
    items = [
        Item("dimm", N("Memory module (DIMM)"), N("every system of today can take one")),
        Item("virtio-mem", N("virtio-mem"), N("grows and shrinks; needs Linux 5.8 or later in the guest")),
        Item("nvdimm", N("Lasting module (NVDIMM)"), N("contents are a file of the host")),
        Item("virtio-pmem", N("Lasting, through virtio"), N("contents are a file of the host")),
    ]
    if module.model not in (None, *(item.value for item in items)):
        items.append(Item(module.model, module.model or ""))
    return items


def _set_size(module: MemoryDevice, value: Value | None) -> None:
    if value is None or int(value) < _LEAST:
        raise ValueError(N("A module needs a size."))
    old, module.size_kib = module.size_kib or 0, int(value)
    if module.requested_kib is not None:
        module.requested_kib = min(module.requested_kib, module.size_kib)
    _count(domain_of(module), int(value) - old)


def _count(domain: DomainXml, kib: int) -> None:
    """Modules are part of a machine's memory, and of what the guest has of it: what libvirt adds when one is plugged
    in while the machine runs (libvirt, src/qemu/qemu_hotplug.c, qemuDomainAttachMemory)."""
    had = domain.memory_kib or 0
    if domain.current_memory_kib is not None:
        domain.current_memory_kib = max(domain.current_memory_kib + kib, _LEAST)
    domain.memory_kib = max(had + kib, _LEAST)


def _set_model(module: MemoryDevice, value: Value | None) -> None:
    if value is None:
        raise ValueError(N("A module is of some kind."))
    module.model = str(value)
    if value == "virtio-mem":
        module.block_kib = module.block_kib or 2 * _MIB
        module.requested_kib = module.size_kib if module.requested_kib is None else module.requested_kib
    else:
        module.block_kib, module.requested_kib = None, None


def _add_module(situation: Situation) -> MemoryDevice:
    """Raises XmlError where the machine has no room for one."""
    domain = situation.domain
    problem = _add_refusal(situation)
    if problem:
        raise XmlError(problem)
    module = domain.devices.memories.add()
    module.model = "dimm"
    _set_size(module, min(_GIB, _room(domain)))
    if len(domain.cpu.numa_cells):
        module.node = domain.cpu.numa_cells[0].id or 0
    return module


def _add_refusal(situation: Situation) -> str:
    domain = situation.domain
    if domain.max_memory_kib is None:
        return N("Say first, on the memory page, how much memory there can be with modules.")
    if domain.memory_slots is not None and len(domain.devices.memories) >= domain.memory_slots:
        return N("All slots for modules are taken.")
    if _room(domain) < _SMALLEST:
        return N("The machine has all the memory that it can have with modules; raise that first, on the memory page.")
    return ""


def _room(domain: DomainXml) -> int:
    """What can still be plugged in, in KiB."""
    return (domain.max_memory_kib or 0) - (domain.memory_kib or 0)


def _remove_module(domain: DomainXml, module: MemoryDevice) -> None:
    _count(domain, -(module.size_kib or 0))
    domain.devices.memories.remove(module)


def _module_summary(_situation: Situation, module: MemoryDevice) -> str:
    return ", ".join(
        part
        for part in (size_words(module.size_kib or 0, SizeUnit.KIB), module.model or "", module.source_path)
        if part
    )


def _is_lasting(_situation: Situation, module: MemoryDevice) -> bool:
    return module.model in ("nvdimm", "virtio-pmem") or module.source_path is not None


def _is_virtio_mem(_situation: Situation, module: MemoryDevice) -> bool:
    return module.model == "virtio-mem"


DIMM: Resource[MemoryDevice] = Resource(
    "dimm",
    N("Memory module"),
    Group.MEMORY,
    "memory",
    "memory",
    lambda domain: tuple(domain.devices.memories),
    (
        Option(
            "model",
            N("Kind"),
            N("A DIMM is taken or left as a whole; virtio-mem can be grown and shrunk in small steps."),
            Choice(_module_items),
            lambda module: module.model,
            _set_model,
            keywords="dimm nvdimm virtio-mem pmem",
        ),
        Option(
            "size",
            N("Size"),
            N(
                "In steps of 128 MiB at least, for most guests; taking a module out again needs a guest that can "
                "clear it."
            ),
            Size(SizeUnit.KIB, _LEAST),
            lambda module: module.size_kib,
            _set_size,
            keywords="ram",
        ),
        Option(
            "requested",
            N("In use now"),
            N("How much of a virtio-mem module the guest has; it can change while the machine runs."),
            Size(SizeUnit.KIB),
            *stored(MemoryDevice.requested_kib),
            live=True,
            keywords="virtio-mem requested",
            shown=_is_virtio_mem,
        ),
        Option(
            "node",
            N("NUMA node"),
            N("The guest's node the module belongs to; libvirt before 9.6 needs to be told."),
            Number(0, 1023),
            *stored(MemoryDevice.node),
            more=True,
            default=N("libvirt's choice"),
            keywords="numa",
        ),
        Option(
            "file",
            N("File"),
            N("The file of the host that holds a lasting module's contents; it has the size of the module."),
            HostPath(),
            *stored(MemoryDevice.source_path),
            keywords="nvdimm backing path",
            shown=_is_lasting,
        ),
        Option(
            "access",
            N("Shared"),
            N("Whether what the guest writes is seen by others that use the file."),
            Choice(fixed(Item("shared", N("Shared")), Item("private", N("Private")))),
            *stored(MemoryDevice.access),
            more=True,
            default=N("as the machine's memory"),
            keywords="memaccess",
        ),
    ),
    _module_summary,
    is_device=True,
    keywords="dimm hotplug ram",
    add=_add_module,
    remove=_remove_module,
    add_refusal=_add_refusal,
    hotplug=True,
)
