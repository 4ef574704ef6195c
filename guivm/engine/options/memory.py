"""Memory: how much, and from what. (formatdomain.html, "Memory Allocation", "Memory Backing")"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from guivm.engine.options.memory_devices import BALLOON, DIMM
from guivm.engine.options.option import (
    Choice,
    Custom,
    Group,
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
from guivm.engine.options.sizes import parse_size, size_words
from guivm.engine.xml.domain import DomainXml
from guivm.engine.xml.memory import Memory, MemoryBacking, MemoryTune

_MIB = 1024  # KiB
_LEAST = 1 * _MIB


# --- amount -----------------------------------------------------------------------------------------------


def _get_current(domain: DomainXml) -> Value | None:
    return domain.current_memory_kib if domain.current_memory_kib is not None else domain.memory_kib


def _set_current(domain: DomainXml, value: Value | None) -> None:
    if value is not None and domain.memory_kib is not None and int(value) > domain.memory_kib:
        raise ValueError(N("The guest cannot have more than its maximum; raise that first."))
    domain.current_memory_kib = None if value is None else int(value)


def _get_maximum(domain: DomainXml) -> Value | None:
    """As text, "2 GiB"."""
    return None if domain.memory_kib is None else size_words(domain.memory_kib, SizeUnit.KIB)


def _set_maximum(domain: DomainXml, value: Value | None) -> None:
    """Text, or KiB. What the guest has now follows when it had all, or had more than there is then.

    Raises ValueError.
    """
    if isinstance(value, str):
        value = parse_size(value, SizeUnit.KIB)
    if value is None or value < _LEAST:
        raise ValueError(N("A machine needs memory."))
    had_all = domain.current_memory_kib is None or domain.current_memory_kib == domain.memory_kib
    maximum = int(value)
    domain.memory_kib = maximum
    if domain.current_memory_kib is not None and (had_all or domain.current_memory_kib > maximum):
        domain.current_memory_kib = maximum


def _numa_decides(_situation: Situation, domain: DomainXml) -> str:
    return N("The NUMA nodes (CPU page) decide it: it is their sum.") if len(domain.cpu.numa_cells) else ""


def _needs_balloon(_situation: Situation, domain: DomainXml) -> str:
    if domain.devices.memballoon.model == "none":
        return N("The machine has no balloon, so that it always has all of its memory.")
    return ""


def _get_amount(domain: DomainXml) -> Value | None:
    """ "2 GiB", or "1 GiB of 2 GiB" where the balloon holds some."""
    maximum, current = domain.memory_kib, domain.current_memory_kib
    if maximum is None:
        return None
    words = size_words(maximum, SizeUnit.KIB)
    return words if current in (None, maximum) else f"{size_words(current or 0, SizeUnit.KIB)} of {words}"


# --- backing ----------------------------------------------------------------------------------------------


def _page_items(situation: Situation, domain: DomainXml) -> Sequence[Item]:
    items = [Item(None, N("Ordinary pages")), Item("usual", N("Huge pages of the host's usual size"))]
    for page in situation.facts.page_sizes:
        words = size_words(page.kib, SizeUnit.KIB)
        refusal = "" if page.total else f"The host has set no pages of {words} aside (vm.nr_hugepages)."
        items.append(Item(str(page.kib), f"Huge pages of {words}", f"{page.free} of {page.total} free", refusal))
    present = _get_pages(domain)
    if present is not None and all(item.value != present for item in items):
        items.append(Item(present, N("Several sizes") if present == "mixed" else f"Huge pages of {present} KiB"))
    return items


def _get_pages(domain: DomainXml) -> Value | None:
    """ "usual", a size in KiB as text, "mixed", or None."""
    backing = domain.memory_backing
    if not backing.huge_pages:
        return None
    sizes = list(backing.huge_page_sizes)
    if not sizes:
        return "usual"
    only = len(sizes) == 1 and sizes[0].node_set is None
    return str(sizes[0].size_kib) if only else "mixed"


def _set_pages(domain: DomainXml, value: Value | None) -> None:
    """Raises ValueError."""
    if value == _get_pages(domain):
        return
    backing = domain.memory_backing
    if value is None:
        backing.huge_pages = False
        return
    if value != "usual" and not str(value).isdecimal():
        raise ValueError(N("Write “usual”, or a page's size in KiB."))
    backing.huge_page_sizes.clear()
    backing.huge_pages = True
    if value != "usual":
        backing.huge_page_sizes.add().size_kib = int(value)


def _get_sharing(domain: DomainXml) -> Value | None:
    return False if domain.memory_backing.no_share_pages else None


def _set_sharing(domain: DomainXml, value: Value | None) -> None:
    domain.memory_backing.no_share_pages = value is False


def _ksm(situation: Situation, _domain: DomainXml) -> str:
    if situation.facts.ksm_running is False:
        return N("The host does not look for equal pages now (KSM is off), so that this changes nothing.")
    return ""


def _get_shared(domain: DomainXml) -> Value | None:
    return domain.memory_backing.access_mode == "shared"


def _set_shared(domain: DomainXml, value: Value | None) -> None:
    backing = domain.memory_backing
    if value:
        backing.access_mode = "shared"
        if backing.source_type in (None, "anonymous"):
            backing.source_type = "memfd"
    else:
        backing.access_mode = None
        if backing.source_type == "memfd":
            backing.source_type = None


def _sources(situation: Situation, _domain: DomainXml) -> Sequence[Item]:
    offered = situation.facts.offered("memoryBacking/sourceType")

    def item(value: str, label: str, note: str) -> Item:
        return Item(value, label, note, N("The host does not offer it.") if offered and value not in offered else "")

    return (
        item("anonymous", N("Plain memory"), N("cannot be shared")),
        item("memfd", N("Memory with a handle"), N("can be shared; nothing on disk")),
        item("file", N("A file"), N("in QEMU's memory directory")),
    )


# --- plugging ---------------------------------------------------------------------------------------------


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdecimal())


def _plug_refusal(situation: Situation, domain: DomainXml) -> str:
    """Before 9.6 libvirt wants a NUMA node to plug memory into."""
    if len(domain.cpu.numa_cells) or _version(situation.facts.capabilities.libvirt_version) >= (9, 6):
        return ""
    return N("This libvirt plugs memory only into machines with NUMA nodes; make one on the CPU page first.")


def _set_plug_maximum(domain: DomainXml, value: Value | None) -> None:
    domain.max_memory_kib = None if value is None else int(value)
    domain.memory_slots = None if value is None else domain.memory_slots or 16


def _set_slots(domain: DomainXml, value: Value | None) -> None:
    if value is not None and domain.max_memory_kib is None:
        raise ValueError(N("Say first how much memory there can be with modules."))
    domain.memory_slots = None if value is None else int(value)
    if value is None:
        domain.max_memory_kib = None


# --- summaries --------------------------------------------------------------------------------------------


def _nodes(domain: DomainXml) -> Sequence[DomainXml]:
    return (domain,)


def _summary(_situation: Situation, domain: DomainXml) -> str:
    words = [str(_get_amount(domain) or "")]
    if domain.memory_backing.huge_pages:
        words.append(N("huge pages"))
    if domain.memory_backing.access_mode == "shared":
        words.append(N("shared"))
    if domain.memory_backing.locked:
        words.append(N("locked"))
    return ", ".join(word for word in words if word)


MEMORY: Resource[DomainXml] = Resource(
    "memory",
    N("Memory"),
    Group.MEMORY,
    "memory",
    "memory",
    _nodes,
    (
        Option(
            "maximum",
            N("Memory"),
            N("What the guest starts with; the host gives it out as the guest first uses it, and seldom gets it back."),
            Custom("memory-amount", "4 GiB"),
            _get_maximum,
            _set_maximum,
            keywords="ram size maximum gigabytes",
            refusal=_numa_decides,
        ),
        Option(
            "current",
            N("In use now"),
            N(
                "A balloon in the guest takes up the rest and hands it back to the host, also while it runs; a guest "
                "that is left too little swaps or stops programs."
            ),
            Size(SizeUnit.KIB, _LEAST),
            _get_current,
            _set_current,
            live=True,
            default=N("all of it"),
            keywords="balloon ram current memory reclaim",
            refusal=_needs_balloon,
        ),
        Option(
            "shared",
            N("Share with helper programs"),
            N(
                "Shared folders through virtiofs and fast networks (vhost-user) need it; page sharing (KSM) then "
                "finds nothing."
            ),
            Switch(),
            _get_shared,
            _set_shared,
            keywords="virtiofs vhost-user memfd shared memory access folders",
        ),
        Option(
            "sharing",
            N("May share equal pages"),
            N(
                "The host keeps equal pages of several guests only once (KSM), which saves memory and costs some CPU "
                "time; a neighbour can find out by timing what is in them."
            ),
            Switch(True),
            _get_sharing,
            _set_sharing,
            more=True,
            keywords="ksm nosharepages merge deduplication",
            refusal=_ksm,
        ),
        Option(
            "pages",
            N("Huge pages"),
            N(
                "Larger pages make large guests a little faster; the host must have set them aside, and they can be "
                "neither ballooned, swapped nor shared."
            ),
            Choice(_page_items, free=True),
            _get_pages,
            _set_pages,
            more=True,
            default=N("Ordinary pages"),
            keywords="hugepages hugetlbfs 2M 1G tlb",
        ),
        Option(
            "locked",
            N("Never swap out"),
            N("Keeps all of the guest's memory in the host's; without a limit that fits, the host can run out of it."),
            Switch(),
            *stored(MemoryBacking.locked, DomainXml.memory_backing),
            more=True,
            keywords="mlock lock realtime swap",
        ),
        Option(
            "source",
            N("Taken from"),
            N("Plain memory is fastest to get; what is shared with helper programs needs a handle or a file."),
            Choice(_sources),
            *stored(MemoryBacking.source_type, DomainXml.memory_backing),
            more=True,
            default=N("Plain memory"),
            keywords="memfd file anonymous backing",
        ),
        Option(
            "allocation",
            N("Handed out"),
            N("At the start at once, which takes a moment and never fails later, or as the guest first uses it."),
            Choice(fixed(Item("ondemand", N("When first used")), Item("immediate", N("At the start, all of it")))),
            *stored(MemoryBacking.allocation_mode, DomainXml.memory_backing),
            more=True,
            default=N("When first used"),
            keywords="preallocate immediate ondemand",
        ),
        Option(
            "discard",
            N("Forget at the end"),
            N(
                "Memory in a file or in huge pages is thrown away, not written back, when the machine stops: a "
                "quicker end."
            ),
            Switch(),
            *stored(MemoryBacking.discard, DomainXml.memory_backing),
            more=True,
            keywords="discard data",
        ),
        Option(
            "plug-maximum",
            N("With modules at most"),
            N("So much there can be with modules plugged in later; the guest keeps tables for it all the time."),
            Size(SizeUnit.KIB, _LEAST),
            lambda domain: domain.max_memory_kib,
            _set_plug_maximum,
            more=True,
            default=N("no modules"),
            keywords="hotplug dimm maxmemory slots",
            refusal=_plug_refusal,
        ),
        Option(
            "slots",
            N("Slots for modules"),
            N("How many modules can be plugged in at once; each takes one."),
            Number(1, 256),
            lambda domain: domain.memory_slots,
            _set_slots,
            more=True,
            default=N("none"),
            keywords="hotplug dimm slots",
            refusal=_plug_refusal,
        ),
        Option(
            "limit",
            N("Limit for all of QEMU"),
            N(
                "Beyond this the host stops the machine; it must leave room for QEMU itself, which nobody can tell "
                "exactly."
            ),
            Size(SizeUnit.KIB, _LEAST),
            *stored(MemoryTune.hard_limit_kib, DomainXml.memory_tune),
            more=True,
            live=True,
            default=N("none"),
            keywords="hard_limit memtune cgroup oom",
            refusal=lambda situation, _domain: (
                N("A machine of your own session cannot: only the system's libvirt may set limits.")
                if situation.facts.is_session
                else ""
            ),
        ),
        Option(
            "in-dumps",
            N("In QEMU's core dumps"),
            N("Whether the guest's memory is part of a dump when QEMU itself crashes; without it dumps stay small."),
            Switch(None),
            *stored(Memory.memory_dump_core),
            more=True,
            keywords="dumpcore core dump crash",
        ),
    ),
    _summary,
    is_device=False,
    keywords="ram",
)

RESOURCES: tuple[Resource[Any], ...] = (MEMORY, BALLOON, DIMM)
