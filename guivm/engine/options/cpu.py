"""Processors: how many, which kind, on which of the host's. (formatdomain.html, "CPU model and topology")"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from guivm.engine.options import processors
from guivm.engine.options.hyperv import is_x86
from guivm.engine.options.option import (
    Choice,
    Custom,
    Group,
    Item,
    Line,
    N,
    Number,
    Option,
    Resource,
    Situation,
    Switch,
    Value,
    fixed,
    stored,
)
from guivm.engine.xml.cpu import Cpu, CpuTune, NumaTune, Vcpus
from guivm.engine.xml.domain import DomainXml

_MAX_CPUS = 4096


# --- how the processor is made ----------------------------------------------------------------------------


def _is_foreign(situation: Situation, domain: DomainXml) -> bool:
    host, guest = situation.facts.capabilities.arch, domain.os.arch or situation.facts.capabilities.arch
    return guest != host and (host, guest) != ("x86_64", "i686")


def _accelerators(situation: Situation, domain: DomainXml) -> Sequence[Item]:
    kvm = situation.facts.capabilities.kvm
    refusal = "" if kvm.usable else kvm.reason
    if _is_foreign(situation, domain):
        refusal = N("The host's processor cannot run programs made for another architecture.")
    items = [
        Item("kvm", N("Hardware (KVM)"), N("nearly the host's own speed"), refusal),
        Item("qemu", N("Software (TCG)"), N("runs everywhere, many times slower")),
    ]
    present = domain.type
    if present not in ("kvm", "qemu", None):
        items.append(Item(present, present))
    return items


def _set_accelerator(domain: DomainXml, value: Value | None) -> None:
    if value is None:
        raise ValueError(N("Choose “kvm” or “qemu”."))
    domain.type = str(value)


def _modes(situation: Situation, domain: DomainXml) -> Sequence[Item]:
    facts = situation.facts
    emulated = domain.type != "kvm"

    def refusal(mode: str) -> str:
        if emulated and mode in ("host-passthrough", "host-model"):
            return N("Only hardware virtualisation (KVM) can hand on the host's processor.")
        return N("The host does not offer it.") if facts.offers_any(f"cpu/{mode}") is False else ""

    host = facts.host_cpu_model
    return (
        Item(None, N("QEMU's basic model"), N("lacks what many of today's systems ask for")),
        Item(
            "host-passthrough", N("The host's own"), N("fastest; moves to like hosts only"), refusal("host-passthrough")
        ),
        Item("host-model", N("Like the host's"), host or N("nearest named model; can move"), refusal("host-model")),
        Item("maximum", N("All that can be had"), N("everything QEMU can show here"), refusal("maximum")),
        Item("custom", N("A named model"), N("chosen below"), refusal("custom")),
    )


def _models(situation: Situation, domain: DomainXml) -> Sequence[Item]:
    items = [Item(None, N("none"))]
    known = {model.name for model in situation.facts.cpu_models}
    if domain.cpu.model is not None and domain.cpu.model not in known:
        items.append(Item(domain.cpu.model, domain.cpu.model))
    for model in situation.facts.cpu_models:
        refusal = ""
        if not model.usable:
            missing = ", ".join(model.blockers)
            refusal = f"The host's processor lacks: {missing}." if missing else N("The host's processor cannot be it.")
        items.append(Item(model.name, model.name, N("outdated") if model.deprecated else model.vendor, refusal))
    return items


def _nested(situation: Situation, _domain: DomainXml) -> Sequence[Item]:
    features = situation.facts.host_features

    def refusal(name: str) -> str:
        if not features or name in features:
            return ""
        return N("The host's processor, or its KVM, does not offer it.")

    return (
        Item(None, N("As the model has it")),
        Item("vmx", N("Yes (Intel VT-x)"), refusal=refusal("vmx")),
        Item("svm", N("Yes (AMD-V)"), refusal=refusal("svm")),
        Item("off", N("No")),
    )


def _needs_cgroups(situation: Situation, _domain: DomainXml) -> str:
    if situation.facts.is_session:
        return N("A machine of your own session cannot: only the system's libvirt may divide the processor.")
    return ""


def _needs_a_cpu_model(_situation: Situation, domain: DomainXml) -> str:
    return N("Choose a CPU model first.") if processors.get_mode(domain) is None else ""


def _only_passthrough(_situation: Situation, domain: DomainXml) -> str:
    if domain.cpu.mode in ("host-passthrough", "maximum"):
        return ""
    return N("This is for the host's own processor and for “all that can be had”; named models can always move.")


def _arch(domain: DomainXml) -> Value | None:
    return domain.os.arch


def _no_arch(_domain: DomainXml, _value: Value | None) -> None:
    raise ValueError(N("The architecture of a machine cannot be changed."))


def _arch_refusal(situation: Situation, domain: DomainXml) -> str:
    if _is_foreign(situation, domain):
        return N("Another architecture than the host's: every instruction is translated, which takes its time.")
    return N("What is installed is made for it; another architecture is another machine.")


def _emulated(_situation: Situation, domain: DomainXml) -> str:
    return (
        "" if domain.type == "kvm" else N("Only with KVM: libvirt cannot tie the CPUs of a machine that software runs.")
    )


def _check_set(text: str) -> str:
    return processors.check_cpu_set(text)


def _io_threads(domain: DomainXml) -> Value | None:
    return domain.io_threads


def _set_io_threads(domain: DomainXml, value: Value | None) -> None:
    """Those that were described one by one are dropped from the end. Raises ValueError."""
    count = int(value or 0)
    if count < 0:
        raise ValueError(N("There cannot be fewer than no threads."))
    domain.io_threads = None if value is None else count
    for thread in list(domain.io_thread_ids)[count:]:
        domain.io_thread_ids.remove(thread)
    ids = {thread.id for thread in domain.io_thread_ids} or set(range(1, count + 1))
    for pin in domain.cpu_tune.io_thread_pins:
        if pin.io_thread not in ids:
            domain.cpu_tune.io_thread_pins.remove(pin)
    domain.cpu_tune.prune()


def _nodes(domain: DomainXml) -> Sequence[DomainXml]:
    return (domain,)


def _summary(situation: Situation, domain: DomainXml) -> str:
    count = int(processors.get_count(domain) or 1)
    words = [N("1 CPU") if count == 1 else f"{count} CPUs"]
    if domain.vcpu.maximum is not None and domain.vcpu.maximum > count:
        words[0] += f" of {domain.vcpu.maximum}"
    mode = processors.get_mode(domain)
    words += {
        "host-passthrough": [N("the host's own model")],
        "host-model": [N("like the host's")],
        "maximum": [N("all that can be had")],
        "custom": [domain.cpu.model or ""],
    }.get(str(mode), [])
    if domain.type == "qemu":
        words.append(N("software"))
    if _is_foreign(situation, domain):
        words.append(domain.os.arch or "")
    return ", ".join(word for word in words if word)


CPU: Resource[DomainXml] = Resource(
    "cpu",
    N("CPU"),
    Group.CPU,
    "cpu",
    "cpu",
    _nodes,
    (
        Option(
            "count",
            N("CPUs"),
            N(
                "How many processors the guest has; more than it uses cost little, more than the host has make all "
                "slower."
            ),
            Number(1, _MAX_CPUS),
            processors.get_count,
            processors.set_count,
            live=True,
            default="1",
            keywords="vcpu vcpus cores processors number",
        ),
        Option(
            "maximum",
            N("Room for"),
            N(
                "So many CPUs can be plugged in while the machine runs; the guest sets aside a little memory for each, "
                "and few systems give one back."
            ),
            Number(1, _MAX_CPUS),
            processors.get_maximum,
            processors.set_maximum,
            more=True,
            default=N("no more than it starts with"),
            keywords="hotplug hot plug maximum vcpus",
        ),
        Option(
            "topology",
            N("Topology"),
            N(
                "Sockets x cores x threads, as the guest sees them: licences may count sockets, and Windows Home uses "
                "only one; speed hardly changes."
            ),
            Custom("cpu-topology", "1x4x2"),
            processors.get_topology,
            processors.set_topology,
            default=N("one socket for each CPU"),
            keywords="sockets cores threads hyperthreading smt dies licence",
        ),
        Option(
            "accel",
            N("Run by"),
            N(
                "KVM lets the host's processor run the guest itself; software (TCG) translates each instruction, which "
                "works everywhere, also for other architectures, and is many times slower."
            ),
            Choice(_accelerators),
            lambda domain: domain.type,
            _set_accelerator,
            keywords="accelerator kvm tcg qemu emulation hardware virtualization vt-x amd-v slow",
        ),
        Option(
            "mode",
            N("Model"),
            N(
                "What processor the guest finds: the host's own is fastest, a named one lets the machine move "
                "between unlike hosts."
            ),
            Choice(_modes),
            processors.get_mode,
            processors.set_mode,
            default=N("QEMU's basic model"),
            keywords="host-passthrough host-model maximum custom cpu type processor migration",
        ),
        Option(
            "model",
            N("Named model"),
            N("A model that QEMU knows; the guest starts only where the host has all it promises."),
            Choice(_models, free=True),
            processors.get_model,
            processors.set_model,
            default=N("none"),
            keywords="skylake epyc haswell qemu64 x86-64-v2 blocked",
            shown=lambda _situation, domain: processors.get_mode(domain) == "custom",
        ),
        Option(
            "nested",
            N("Virtual machines inside"),
            N(
                "Lets the guest run virtual machines itself (WSL 2, Docker Desktop, another hypervisor), slower than "
                "outside; such a machine should not be saved or moved while they run."
            ),
            Choice(_nested),
            processors.get_nested,
            processors.set_nested,
            default=N("As the model has it"),
            keywords="nested virtualization vmx svm vt-x amd-v wsl2 hyper-v docker",
            refusal=_needs_a_cpu_model,
            shown=lambda _situation, domain: is_x86(domain),
        ),
        Option(
            "features",
            N("Features"),
            N("Single features of the processor added or taken away; one that is missing stops the start."),
            Custom("cpu-features", "+pcid, -hle"),
            processors.get_features,
            processors.set_features,
            more=True,
            default=N("the model's own"),
            keywords="flags cpuid avx aes pcid require disable policy mitigations",
            refusal=_needs_a_cpu_model,
        ),
        Option(
            "migratable",
            N("Only what can move"),
            N(
                "Hides features that would keep the machine from moving or being saved, such as the constant time "
                "stamp."
            ),
            Switch(None),
            *stored(Cpu.migratable, DomainXml.cpu),
            more=True,
            keywords="migration invtsc save",
            refusal=_only_passthrough,
        ),
        Option(
            "check",
            N("Check the model"),
            N("Whether a start is refused when the processor does not become exactly what was asked for."),
            Choice(
                fixed(
                    Item("none", N("Not at all")),
                    Item("partial", N("Before the start"), N("by libvirt")),
                    Item("full", N("Exactly"), N("nothing may be missing or added")),
                )
            ),
            *stored(Cpu.check, DomainXml.cpu),
            more=True,
            default=N("libvirt's choice"),
            keywords="check partial full",
            refusal=_needs_a_cpu_model,
        ),
        Option(
            "cache",
            N("Caches shown"),
            N(
                "What the guest reads about the processor's caches; the host's own sizes help programs that tune "
                "themselves."
            ),
            Choice(
                fixed(
                    Item("emulate", N("QEMU's")),
                    Item("passthrough", N("The host's")),
                    Item("disable", N("None")),
                )
            ),
            *stored(Cpu.cache_mode, DomainXml.cpu),
            more=True,
            default=N("the model's own"),
            keywords="l3 cache l2",
            refusal=_needs_a_cpu_model,
        ),
        Option(
            "pinning",
            N("Pinning"),
            N(
                "Ties each CPU to some of the host's, for steady timing; what is tied cannot get out of "
                "the way of other work there."
            ),
            Custom("cpu-pinning", "0:0-3,1:2"),
            processors.get_pinning,
            processors.set_pinning,
            more=True,
            live=True,
            default=N("any of the host's"),
            keywords="affinity pin cpuset isolate core latency",
            refusal=_emulated,
        ),
        Option(
            "host-cpus",
            N("Host CPUs for all of it"),
            N("The whole machine runs on these CPUs of the host only (“0-3”), which keeps the others free."),
            Line("0-3", check=_check_set),
            *stored(Vcpus.cpu_set, DomainXml.vcpu),
            more=True,
            default=N("any of the host's"),
            keywords="affinity cpuset placement",
        ),
        Option(
            "emulator-pin",
            N("Host CPUs for QEMU's own work"),
            N("Where the rest of QEMU runs (display, disks without threads of their own), away from pinned CPUs."),
            Line("0-1", check=_check_set),
            *stored(CpuTune.emulator_pin, DomainXml.cpu_tune),
            more=True,
            live=True,
            default=N("any of the host's"),
            keywords="affinity emulatorpin",
        ),
        Option(
            "shares",
            N("Weight"),
            N("When the host is busy, a machine of weight 2048 gets twice the time of one of 1024; otherwise nothing."),
            Number(2, 262_144, step=256),
            *stored(CpuTune.shares, DomainXml.cpu_tune),
            more=True,
            live=True,
            default="1024",
            keywords="shares priority cgroup scheduler",
            refusal=_needs_cgroups,
        ),
        Option(
            "cap",
            N("Cap"),
            N(
                "Each CPU gets at most so much of a host's CPU, also when that has nothing else to do; 100 % is a "
                "whole one."
            ),
            Number(1, 100, "%", 5),
            processors.get_cap,
            processors.set_cap,
            more=True,
            live=True,
            default=N("no cap"),
            keywords="quota period limit throttle cgroup percent",
            refusal=_needs_cgroups,
        ),
        Option(
            "io-threads",
            N("I/O threads"),
            N(
                "Threads of QEMU that serve disks beside its main loop; drives must be given to them, and one per "
                "fast disk is enough."
            ),
            Number(0, 64),
            _io_threads,
            _set_io_threads,
            more=True,
            default=N("none"),
            keywords="iothread disk performance",
        ),
        Option(
            "numa",
            N("NUMA nodes"),
            N(
                "Divides CPUs and memory into nodes as big servers have them; their sum is "
                "the "
                "memory, and uneven ones slow the guest."
            ),
            Custom("numa", "0-1=1 GiB; 2-3=1 GiB"),
            processors.get_numa,
            processors.set_numa,
            more=True,
            default=N("none"),
            keywords="numa cells nodes memory hotplug",
        ),
        Option(
            "numa-mode",
            N("Memory from host nodes"),
            N("How strictly memory comes from the host's nodes named below; “strict” fails when they are full."),
            Choice(
                fixed(
                    Item("strict", N("Only from them")),
                    Item("preferred", N("From them first")),
                    Item("interleave", N("From all of them in turn")),
                    Item("restrictive", N("Only from them, moved when that changes")),
                )
            ),
            *stored(NumaTune.mode, DomainXml.numa_tune),
            more=True,
            default=N("the host decides"),
            keywords="numatune strict preferred interleave",
        ),
        Option(
            "numa-nodes",
            N("Host nodes"),
            N("The host's NUMA nodes (“0”) that memory is taken from; best those of the CPUs it is pinned to."),
            Line("0", check=_check_set),
            *stored(NumaTune.node_set, DomainXml.numa_tune),
            more=True,
            default=N("all"),
            keywords="numatune nodeset",
        ),
        Option(
            "arch",
            N("Architecture"),
            N("The family of processors that programs in the guest are made for."),
            Line(),
            _arch,
            _no_arch,
            more=True,
            keywords="x86_64 aarch64 arm riscv foreign",
            refusal=_arch_refusal,
        ),
    ),
    _summary,
    is_device=False,
    keywords="processor vcpu",
)

RESOURCES: tuple[Resource[Any], ...] = (CPU,)
