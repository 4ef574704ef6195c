"""What notices a hung or crashed guest. (formatdomain.html, "Watchdog devices", "panic device")"""

from __future__ import annotations

from typing import Any

from guivm.engine.options.devices import (
    Known,
    arch_of,
    dropping,
    is_q35,
    is_x86,
    label_of,
    listing,
    may_have,
    one_of,
    replacing,
    since,
    words,
)
from guivm.engine.options.option import Group, N, Option, Resource, Situation
from guivm.engine.xml.domain import Devices
from guivm.engine.xml.peripherals import Panic, Watchdog

_WATCHDOGS = (
    Known("i6300esb", N("Intel 6300ESB"), N("A PCI card; most systems have its driver.")),
    Known("itco", N("Intel TCO"), N("Built into q35 machines.")),
    Known("ib700", N("iBase 700"), N("An ISA card, for older PCs.")),
    Known("diag288", N("DIAG 288"), N("For s390.")),
)
_ACTIONS = (
    Known("reset", N("Reset the VM"), N("Like the reset button: unsaved data is lost.")),
    Known("shutdown", N("Ask it to shut down"), N("A hung system will hardly obey.")),
    Known("poweroff", N("Turn it off")),
    Known("pause", N("Pause it"), N("So that it can be looked at.")),
    Known("dump", N("Write its memory to a file"), N("To look into; then it goes on.")),
    Known("inject-nmi", N("Send it an NMI"), N("Lets its kernel report what hangs.")),
    Known("none", N("Do nothing")),
)


def _watchdog_model_refusal(situation: Situation, _watchdog: Watchdog, model: str) -> str:
    if model == "itco":
        if not is_q35(situation.domain):
            return N("Only q35 machines have it.")
        return since(situation, 9, 1, N("It needs libvirt 9.1."))
    if model == "ib700" and (not is_x86(situation) or is_q35(situation.domain)):
        return N("Only older PCs (i440FX) have it.")
    if (model == "diag288") != (arch_of(situation) == "s390x"):
        return N("This kind of machine has none.")
    return ""


def _add_watchdog(situation: Situation) -> Watchdog:
    watchdog = situation.domain.devices.watchdogs.add()
    watchdog.model, watchdog.action = "diag288" if arch_of(situation) == "s390x" else "i6300esb", "reset"
    return watchdog


_PANICS = (
    Known("isa", N("ISA (pvpanic)"), N("For PCs; Linux reports to it by itself.")),
    Known("hyperv", N("Hyper-V"), N("For Windows.")),
    Known("pvpanic", N("PCI (pvpanic)"), N("For other machines; needs libvirt 9.10.")),
    Known("pseries", N("pSeries"), N("Built in.")),
    Known("s390", N("s390"), N("Built in.")),
)


def _panic_model_refusal(situation: Situation, panic: Panic | None, model: str) -> str:
    arch = arch_of(situation)
    has_it = {
        "isa": is_x86(situation),
        "hyperv": is_x86(situation),
        "pseries": arch.startswith("ppc64"),
        "s390": arch == "s390x",
    }.get(model, True)
    if not has_it:
        return N("This kind of machine has none.")
    if any(each.model == model for each in situation.domain.devices.panics) and (panic is None or panic.model != model):
        return N("This VM has one of them already.")
    return since(situation, 9, 10, N("It needs libvirt 9.10.")) if model == "pvpanic" else ""


def _free_panics(situation: Situation) -> list[str]:
    return [
        each.value
        for each in _PANICS
        if not _panic_model_refusal(situation, None, each.value) and may_have(situation, "panic/model", each.value)
    ]


def _add_panic(situation: Situation) -> Panic:
    panic = situation.domain.devices.panics.add()
    panic.model = _free_panics(situation)[0]
    return panic


RESOURCES: tuple[Resource[Any], ...] = (
    Resource(
        id="watchdog",
        title=N("Watchdog"),
        group=Group.PERIPHERALS,
        icon="watchdog",
        help="watchdog",
        nodes=listing(Devices.watchdogs),
        options=(
            Option(
                "action",
                N("If the guest hangs"),
                N("What happens when the guest stops telling that it lives; a reset loses what is not saved."),
                *one_of(_ACTIONS, Watchdog.action, default=N("Default (reset)")),
                live=True,
                keywords="reset hang crash",
            ),
            Option(
                "model",
                N("Model"),
                N("The guest needs its driver, and a program that feeds it."),
                *one_of(
                    _WATCHDOGS,
                    Watchdog.model,
                    write=replacing(Watchdog.model, "i6300esb"),
                    default=None,
                    refuse=_watchdog_model_refusal,
                ),
                more=True,
                keywords="i6300esb itco",
            ),
        ),
        summary=lambda _s, dog: words(label_of(_WATCHDOGS, dog.model), label_of(_ACTIONS, dog.action or "reset")),
        keywords="hang reset supervise",
        add=_add_watchdog,
        remove=dropping(Devices.watchdogs),
        add_refusal=lambda situation: (
            N("This VM has a watchdog already.") if len(situation.domain.devices.watchdogs) else ""
        ),
        hotplug=True,
    ),
    Resource(
        id="panic",
        title=N("Panic notifier"),
        group=Group.PERIPHERALS,
        icon="error",
        help="watchdog",
        nodes=listing(Devices.panics),
        options=(
            Option(
                "model",
                N("Model"),
                N("How the guest's kernel tells of its crash; what happens then is set on the page “System”."),
                *one_of(
                    _PANICS,
                    Panic.model,
                    write=replacing(Panic.model),
                    path="panic/model",
                    refuse=_panic_model_refusal,
                ),
                keywords="pvpanic crash",
            ),
        ),
        summary=lambda _s, panic: label_of(_PANICS, panic.model) or N("The machine's own"),
        keywords="crash kernel panic pvpanic blue screen",
        add=_add_panic,
        remove=dropping(Devices.panics),
        add_refusal=lambda situation: (
            "" if _free_panics(situation) else N("This VM has all that its machine can have.")
        ),
    ),
)
