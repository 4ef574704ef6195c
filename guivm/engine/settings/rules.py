"""What can be wrong with a definition, as pure rules: from the document and what is known of the host. No I/O.

A rule is a function that yields problems. Of what the host does not tell nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from guivm.engine.operations import checked_name
from guivm.engine.options.facts import HostFacts
from guivm.engine.options.option import N, SizeUnit
from guivm.engine.options.phrase import Phrase
from guivm.engine.options.sizes import size_words
from guivm.engine.options.values import EditFix, Place, SettingProblem
from guivm.engine.reader import NOTES_LIMIT, TITLE_LIMIT
from guivm.engine.settings import rules_devices, rules_network
from guivm.engine.settings.cpu_sets import parse_cpu_set
from guivm.engine.settings.places import Places
from guivm.engine.settings.rule import Rule, error, gib, use, warning
from guivm.engine.xml.document import XmlError
from guivm.engine.xml.domain import DomainXml
from guivm.errors import OperationError

MIN_MEMORY_KIB = 1024


def rule_problems(domain: DomainXml, facts: HostFacts) -> Iterator[SettingProblem]:
    """All of them, rule by rule. A value that cannot be read is a problem itself."""
    for rule in (*RULES, *rules_devices.RULES, *rules_network.RULES):
        try:
            yield from rule(domain, facts)
        except XmlError as problem:
            yield error(Place("xml"), f"{problem} {problem.details}".strip())


# --- the machine ------------------------------------------------------------------------------------------


def names(domain: DomainXml, facts: HostFacts) -> Iterator[SettingProblem]:
    place = Place("system", option="name")
    try:
        checked_name(domain.name or "")
    except OperationError as problem:
        yield error(place, str(problem))
    if any(other.name == domain.name for other in facts.others):
        yield error(place, "Another virtual machine of this host has this name; choose another.")
    if len(domain.title or "") > TITLE_LIMIT or "\n" in (domain.title or ""):
        yield error(Place("system", option="title"), f"The title is one line of at most {TITLE_LIMIT} characters.")
    if len((domain.description or "").encode("utf-8", "replace")) > NOTES_LIMIT:
        yield error(Place("system", option="notes"), "The notes are longer than 64 KiB; shorten them.")


def accelerator(domain: DomainXml, facts: HostFacts) -> Iterator[SettingProblem]:
    kvm = facts.capabilities.kvm
    place = Place("cpu", option="accel")
    slow = EditFix(place, "qemu", Phrase(N("Use software emulation")))
    if domain.type == "kvm" and not kvm.usable:
        yield error(place, f"KVM cannot be used. {kvm.reason} Choose software emulation.", fix=slow)
    guest, host = domain.os.arch, facts.capabilities.arch
    if domain.type == "kvm" and guest not in (None, host) and (guest, host) != ("i686", "x86_64"):
        yield error(
            place, f"The host's processor is no {guest}: KVM cannot run it. Choose software emulation.", fix=slow
        )


def firmware(domain: DomainXml, facts: HostFacts) -> Iterator[SettingProblem]:
    place = Place("system", option="firmware")
    offered = facts.offered("os/firmware")
    wants_uefi = domain.os.firmware == "efi"
    available = "efi" in offered if offered else facts.capabilities.has_uefi
    if wants_uefi and not available and domain.type != "test":
        reason = facts.capabilities.uefi_reason or "The host has no UEFI firmware for this kind of machine."
        yield error(place, f"UEFI is not available. {reason} Or choose BIOS.")
    secure = domain.os.loader_secure or any(
        feature.name == "secure-boot" and feature.enabled for feature in domain.os.firmware_features
    )
    if not secure:
        return
    machine = domain.os.machine or ""
    if domain.os.arch in (None, "x86_64", "i686") and machine and "q35" not in machine:
        yield error(place, "Secure Boot needs the machine type Q35; choose it, or switch Secure Boot off.")
    elif domain.features.smm is False:
        yield error(place, "Secure Boot needs system management mode (SMM), which is off here; switch it on.")
    if wants_uefi and "yes" not in (facts.offered("os/loader/secure") or ("yes",)):
        yield error(place, "The host has no UEFI firmware with Secure Boot; install it there, or switch it off.")


def boot_order(domain: DomainXml, facts: HostFacts) -> Iterator[SettingProblem]:
    places = Places(domain)
    taken: dict[int, str] = {}
    devices = domain.devices
    bootable = (*devices.disks, *devices.interfaces, *devices.host_devices, *devices.redirected_usbs)
    for device in (*bootable, *devices.filesystems):
        order = device.boot_order
        if order is None:
            continue
        place = places.of(device, "boot-order")
        if order < 1:
            yield error(place, "Positions in the boot order are counted from 1.")
        elif order in taken:
            yield error(place, f"{taken[order]} has position {order} in the boot order already; choose another.")
        taken.setdefault(order, rules_devices.called(device))
    if taken and len(domain.os.boot_devices):
        yield error(
            Place("boot", option="order"),
            "The boot order is set twice, for kinds of devices and for single ones; libvirt takes only one of them.",
        )


# --- processors -------------------------------------------------------------------------------------------


def processors(domain: DomainXml, facts: HostFacts) -> Iterator[SettingProblem]:
    place = Place("cpu", option="count")
    count = domain.vcpu.maximum or 1
    current = domain.vcpu.current or count
    if count < 1 or current < 1:
        yield error(place, "It needs at least one CPU.")
    if current > count:
        yield error(place, f"There cannot be more CPUs switched on ({current}) than there are ({count}).")
    offered = facts.offered("vcpu/max")
    limit = int(offered[0]) if offered and offered[0].isdecimal() else facts.capabilities.max_vcpus
    if limit and count > limit:
        yield error(Place("cpu", option="maximum"), f"This kind of machine takes at most {limit} CPUs; choose fewer.")
    elif facts.capabilities.cpus and current > facts.capabilities.cpus:
        yield warning(
            place, f"The host has {facts.capabilities.cpus} CPUs; more than that makes the virtual machine slower."
        )


def topology(domain: DomainXml, facts: HostFacts) -> Iterator[SettingProblem]:
    cpu = domain.cpu
    parts = (cpu.sockets, cpu.dies, cpu.clusters, cpu.cores, cpu.threads)
    if all(part is None for part in parts):
        return
    place = Place("cpu", option="topology")
    product = 1
    for part in parts:
        if part is not None and part < 1:
            yield error(place, "Sockets, cores and threads are counted from 1.")
            return
        product *= part or 1
    count = domain.vcpu.maximum or 1
    if product != count:
        yield error(place, f"The topology makes {product} CPUs, but there are {count}; make both the same.")


def cpu_model(domain: DomainXml, facts: HostFacts) -> Iterator[SettingProblem]:
    mode = domain.cpu.mode or ("custom" if domain.cpu.model else "")
    if mode in ("host-passthrough", "host-model", "maximum") and facts.offers_any(f"cpu/{mode}") is False:
        yield error(
            Place("cpu", option="mode"),
            "Without KVM the guest cannot have the host's processor; choose another model."
            if domain.type != "kvm"
            else "The host cannot give a guest this kind of processor; choose another model.",
        )
    if mode != "custom" or not facts.cpu_models:
        return
    place = Place("cpu", option="model")
    model = next((known for known in facts.cpu_models if known.name == domain.cpu.model), None)
    if model is None:
        if domain.cpu.model:
            yield warning(place, f"The host knows no processor “{domain.cpu.model}”; it may refuse to start.")
    elif not model.usable and domain.cpu.check in (None, "partial", "full") and domain.cpu.model_fallback == "forbid":
        yield warning(place, f"The host's processor cannot be a {model.name}{_lacks(model.blockers)}.")
    elif not model.usable:
        yield warning(place, f"The host's processor is no full {model.name}{_lacks(model.blockers)}.")


def _lacks(features: tuple[str, ...]) -> str:
    if not features:
        return ""
    shown = ", ".join(features[:5])
    return f": it lacks {shown}" + (f" and {len(features) - 5} more" if len(features) > 5 else "")


def pinning(domain: DomainXml, facts: HostFacts) -> Iterator[SettingProblem]:
    count = domain.vcpu.maximum or 1
    tune = domain.cpu_tune
    sets: list[tuple[str, str | None]] = [("host-cpus", domain.vcpu.cpu_set), ("emulator-pin", tune.emulator_pin)]
    for pin in tune.vcpu_pins:
        sets.append(("pinning", pin.cpu_set))
        if pin.vcpu is not None and pin.vcpu >= count:
            yield error(Place("cpu", option="pinning"), f"CPU {pin.vcpu} is pinned, but the last one is {count - 1}.")
    sets.extend(("pinning", pin.cpu_set) for pin in tune.io_thread_pins)
    for option, text in sets:
        if text is None:
            continue
        try:
            beyond = sorted(n for n in parse_cpu_set(text) if facts.capabilities.cpus and n >= facts.capabilities.cpus)
        except ValueError as problem:
            yield error(Place("cpu", option=option), str(problem))
            continue
        if beyond:
            yield error(
                Place("cpu", option=option),
                f"The host has no CPU {beyond[0]}: its CPUs are 0 to {facts.capabilities.cpus - 1}.",
            )


# --- memory -----------------------------------------------------------------------------------------------


def memory(domain: DomainXml, facts: HostFacts) -> Iterator[SettingProblem]:
    place, now = Place("memory", option="maximum"), Place("memory", option="current")
    kib = domain.memory_kib or 0
    current = domain.current_memory_kib or kib
    host = facts.capabilities.memory_bytes // 1024
    if kib < MIN_MEMORY_KIB:
        yield error(place, "This is too little memory; give it at least 1 MiB.")
    if current > kib:
        yield error(
            now,
            f"This is more than the {gib(kib)} that the virtual machine has.",
            fix=use(now, kib, gib(kib)),
        )
    if domain.max_memory_kib is not None and domain.max_memory_kib < kib:
        yield error(Place("memory", option="plug-maximum"), f"This is less than the {gib(kib)} it starts with.")
    if host and kib > host:
        amount = _most_of(host)
        fix = None if len(domain.cpu.numa_cells) else use(place, size_words(amount, SizeUnit.KIB), gib(amount))
        yield error(place, f"The host has {gib(host)} of memory in all; choose less than that.", fix=fix)
        return
    promised = sum(other.memory_kib for other in facts.others if other.is_active)
    free = facts.capabilities.memory_free_bytes // 1024
    if host and promised + kib > host:
        yield warning(
            place,
            f"The running virtual machines were promised {gib(promised)}; with this the host's {gib(host)} are not "
            "enough for all of them at once, and it may get very slow or end one of them.",
        )
    elif free and current > free and domain.id is None:
        yield warning(place, f"Of the host's memory, {gib(free)} are free; with this much it may get slow.")


def _most_of(host_kib: int) -> int:
    """What a single VM can have and the host still live with: half of it, in whole GiB where it has some."""
    part = host_kib // 2
    unit = 1 << 20 if part >= 1 << 20 else 1 << 10
    return max(part // unit * unit, MIN_MEMORY_KIB)


def huge_pages(domain: DomainXml, facts: HostFacts) -> Iterator[SettingProblem]:
    backing = domain.memory_backing
    if not backing.huge_pages and not len(backing.huge_page_sizes):
        return
    place = Place("memory", option="pages")
    known = {size.kib: size for size in facts.page_sizes}
    if not known:
        return
    wanted = [page.size_kib for page in backing.huge_page_sizes if page.size_kib is not None] or [min(known)]
    for kib in wanted:
        size = known.get(kib)
        if size is None:
            yield error(place, f"The host has no huge pages of {gib(kib)}; it has {_sizes(known)}.")
        elif size.total * kib < (domain.memory_kib or 0) and len(wanted) == 1:
            yield error(
                place,
                f"The host has {size.total} huge pages of {gib(kib)}, too few for {gib(domain.memory_kib or 0)}; "
                f"set {-(-(domain.memory_kib or 0) // kib)} aside, or use ordinary pages.",
                command=_set_aside(kib, -(-(domain.memory_kib or 0) // kib)),
            )
        elif size.free * kib < (domain.memory_kib or 0) and len(wanted) == 1 and domain.id is None:
            yield warning(place, f"Only {size.free} huge pages of {gib(kib)} are free now; it may not start.")


def _sizes(known: Iterable[int]) -> str:
    return ", ".join(gib(kib) for kib in sorted(known))


def _set_aside(kib: int, count: int) -> str:
    return f"echo {count} | sudo tee /sys/kernel/mm/hugepages/hugepages-{kib}kB/nr_hugepages"


def shared_memory(domain: DomainXml, facts: HostFacts) -> Iterator[SettingProblem]:
    """virtiofsd reads and writes the guest's memory itself (https://libvirt.org/kbase/virtiofs.html)."""
    if domain.memory_backing.access_mode == "shared":
        return
    if any(cell.memory_access == "shared" for cell in domain.cpu.numa_cells):
        return
    places = Places(domain)
    for folder in domain.devices.filesystems:
        if folder.driver_type == "virtiofs":
            yield error(
                places.of(folder, "driver"),
                "A folder shared by virtiofs needs shared memory; switch it on under Memory.",
                fix=EditFix(Place("memory", option="shared"), True, Phrase(N("Share the memory"))),
            )


RULES: tuple[Rule, ...] = (
    names,
    accelerator,
    firmware,
    boot_order,
    processors,
    topology,
    cpu_model,
    pinning,
    memory,
    huge_pages,
    shared_memory,
)
