"""What Windows guests are told of their hypervisor: Hyper-V's enlightenments (formatdomain.html, "hyperv")."""

from __future__ import annotations

from guivm.engine.options.option import N, Option, Situation, Switch, Value, stored
from guivm.engine.xml.domain import DomainXml
from guivm.engine.xml.features import Features
from guivm.engine.xml.properties import Property

_TIMER = "hypervclock"
_SPINLOCK_RETRIES = 8191  # what Microsoft's specification and virt-manager take

_BUNDLE: tuple[Property[bool], ...] = (
    Features.hyperv_relaxed,
    Features.hyperv_vapic,
    Features.hyperv_spinlocks,
    Features.hyperv_vpindex,
    Features.hyperv_runtime,
    Features.hyperv_synic,
    Features.hyperv_stimer,
    Features.hyperv_frequencies,
    Features.hyperv_tlbflush,
    Features.hyperv_ipi,
)
"""What every Windows since 7 gains from and any KVM of this decade offers; each needs only others of this list."""

_X86 = ("x86_64", "i686")


def is_x86(domain: DomainXml) -> bool:
    return (domain.os.arch or "x86_64") in _X86


def is_windows(domain: DomainXml) -> bool:
    """As far as the kind of system was said."""
    return "microsoft.com/win" in (domain.metadata.os_id or "")


def _bundle(domain: DomainXml) -> Value | None:
    features = domain.features
    return all(declared.__get__(features, Features) for declared in _BUNDLE)


def _set_bundle(domain: DomainXml, value: Value | None) -> None:
    features = domain.features
    if value:
        features.hyperv_mode = features.hyperv_mode or "custom"
        for declared in _BUNDLE:
            declared.__set__(features, True)
        features.hyperv_spinlock_retries = features.hyperv_spinlock_retries or _SPINLOCK_RETRIES
    else:
        for name, declared in vars(Features).items():
            if name.startswith("hyperv_") and isinstance(declared, Property):
                declared.__set__(features, None)
    clocks = [timer for timer in domain.clock.timers if timer.name == _TIMER]
    if value:
        timer = clocks[0] if clocks else domain.clock.timers.add()
        timer.name, timer.present = _TIMER, True
    else:
        for timer in clocks:
            domain.clock.timers.remove(timer)


def _refusal(_situation: Situation, domain: DomainXml) -> str:
    if domain.type != "kvm":
        return N("Enlightenments are KVM's: software emulation has none of them.")
    return ""


def _is_x86(_situation: Situation, domain: DomainXml) -> bool:
    return is_x86(domain)


def _speaks_hyperv(_situation: Situation, domain: DomainXml) -> bool:
    """Worth a row: Windows, or some of it is on already."""
    return is_x86(domain) and (
        is_windows(domain) or any(declared.__get__(domain.features, Features) is not None for declared in _BUNDLE)
    )


def _one(name: str, label: str, help_text: str, declared: Property[bool], keywords: str = "") -> Option[DomainXml]:
    return Option(
        f"hv-{name}",
        label,
        help_text,
        Switch(),
        *stored(declared, DomainXml.features),
        more=True,
        keywords=f"hyper-v enlightenment windows {keywords}".rstrip(),
        refusal=_refusal,
        shown=_speaks_hyperv,
    )


OPTIONS: tuple[Option[DomainXml], ...] = (
    Option(
        "hyperv",
        N("Help Windows run"),
        N(
            "Tells Windows that it runs on a hypervisor (Hyper-V's enlightenments), which saves it much needless work; "
            "other systems ignore it, and few programs refuse to run when they notice."
        ),
        Switch(),
        _bundle,
        _set_bundle,
        keywords="hyper-v enlightenments windows performance idle slow",
        refusal=_refusal,
        shown=_is_x86,
    ),
    _one(
        "relaxed",
        N("Relaxed timing"),
        N("Windows does not stop with a blue screen when the host was too busy to serve it in time."),
        Features.hyperv_relaxed,
        "watchdog",
    ),
    _one(
        "vapic",
        N("Virtual APIC"),
        N("Windows handles interrupts through a page in memory instead of leaving the guest for each."),
        Features.hyperv_vapic,
        "interrupts",
    ),
    _one(
        "spinlocks",
        N("Patient spin locks"),
        N("A waiting CPU tells the host after some tries, so that the one it waits for can run."),
        Features.hyperv_spinlocks,
    ),
    _one(
        "vpindex",
        N("CPU numbers"),
        N("Windows can ask which virtual CPU it runs on; most of the others need it."),
        Features.hyperv_vpindex,
    ),
    _one(
        "runtime",
        N("CPU time used"),
        N("Windows sees how much time it really got, so that its load figures are right."),
        Features.hyperv_runtime,
    ),
    _one(
        "synic",
        N("Synthetic interrupts"),
        N("Interrupts made for virtual machines; needs CPU numbers and is needed by the synthetic timers."),
        Features.hyperv_synic,
    ),
    _one(
        "stimer",
        N("Synthetic timers"),
        N("Timers made for virtual machines: an idle Windows wakes less often and costs the host far less."),
        Features.hyperv_stimer,
        "idle clock",
    ),
    _one(
        "stimer-direct",
        N("Direct timer interrupts"),
        N("Synthetic timers interrupt the CPU without a message; needs Windows 10 (2018) or later."),
        Features.hyperv_stimer_direct,
    ),
    _one(
        "frequencies",
        N("Clock rates"),
        N("Windows reads the rates of its clocks instead of measuring them at each start."),
        Features.hyperv_frequencies,
        "tsc",
    ),
    _one(
        "reenlightenment",
        N("Announce a new clock rate"),
        N("Tells Windows after a migration that the clock runs at another rate; only nested Hyper-V needs it."),
        Features.hyperv_reenlightenment,
        "migration nested",
    ),
    _one(
        "tlbflush",
        N("Flush memory tables together"),
        N(
            "One call flushes the translation tables of many CPUs, waking none that sleeps; it counts with several "
            "CPUs."
        ),
        Features.hyperv_tlbflush,
        "tlb",
    ),
    _one(
        "ipi",
        N("Signals between CPUs"),
        N("One call sends a signal to many CPUs; it counts with several CPUs."),
        Features.hyperv_ipi,
        "ipi",
    ),
    _one(
        "evmcs",
        N("Nested on Intel"),
        N("Makes Hyper-V inside this Windows faster on Intel processors; on AMD the machine does not start with it."),
        Features.hyperv_evmcs,
        "nested wsl2 vmx",
    ),
    _one(
        "avic",
        N("Hardware interrupts beside synthetic ones"),
        N("Lets the processor's own interrupt virtualisation (APICv, AVIC) work together with synthetic interrupts."),
        Features.hyperv_avic,
        "apicv",
    ),
    _one(
        "reset",
        N("Reset through Hyper-V"),
        N("Windows restarts by a call to the hypervisor; the usual way works as well, and older hosts prefer it."),
        Features.hyperv_reset,
    ),
)
