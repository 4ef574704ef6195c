"""Where the threads of a VM may run, by its document. Pure."""

from __future__ import annotations

from guivm.engine.settings.cpu_sets import parse_cpu_set
from guivm.engine.xml.cpu import CpuTune
from guivm.engine.xml.domain import DomainXml


class Pins:
    """Where each thread of a definition may run; None: anywhere."""

    def __init__(self, domain: DomainXml) -> None:
        tune: CpuTune = domain.cpu_tune
        self._default = domain.vcpu.cpu_set
        self._vcpus = {pin.vcpu: pin.cpu_set for pin in tune.vcpu_pins}
        self._io_threads = {pin.io_thread: pin.cpu_set for pin in tune.io_thread_pins}
        self.emulator = tune.emulator_pin or self._default

    def vcpu(self, number: int) -> str | None:
        return self._vcpus.get(number) or self._default

    def io_thread(self, ident: int) -> str | None:
        return self._io_threads.get(ident) or self._default


def adopt_pins(live: DomainXml, defined: DomainXml, cpus: int) -> bool:
    """Write the pins of ``live`` as ``defined`` writes them, of every thread that may run on the same of the host's
    ``cpus`` CPUs by both. Answers whether anything was written."""
    before, after = Pins(live), Pins(defined)
    tune, wanted = live.cpu_tune, defined.cpu_tune
    changed, is_all = False, True

    def alike(one: str | None, other: str | None) -> bool:
        nonlocal is_all
        same = one == other or _numbers(one, cpus) == _numbers(other, cpus)
        is_all &= same
        return same

    vcpus = {pin.vcpu: pin for pin in tune.vcpu_pins}
    said = {pin.vcpu: pin.cpu_set for pin in wanted.vcpu_pins}
    for number in range(max(live.vcpu.maximum or 1, defined.vcpu.maximum or 1)):
        pin = vcpus.get(number)
        present, text = pin.cpu_set if pin is not None else None, said.get(number)
        if alike(before.vcpu(number), after.vcpu(number)) and present != text:
            changed = True
            if pin is None:
                pin = tune.vcpu_pins.add()
                pin.vcpu = number
            if text is None:
                tune.vcpu_pins.remove(pin)
            else:
                pin.cpu_set = text
    io_threads = {pin.io_thread: pin for pin in tune.io_thread_pins}
    said_io = {pin.io_thread: pin.cpu_set for pin in wanted.io_thread_pins}
    for ident in sorted({ident for ident in (*io_threads, *said_io) if ident is not None}):
        io_pin = io_threads.get(ident)
        present, text = io_pin.cpu_set if io_pin is not None else None, said_io.get(ident)
        if alike(before.io_thread(ident), after.io_thread(ident)) and present != text:
            changed = True
            if io_pin is None:
                io_pin = tune.io_thread_pins.add()
                io_pin.io_thread = ident
            if text is None:
                tune.io_thread_pins.remove(io_pin)
            else:
                io_pin.cpu_set = text
    if alike(before.emulator, after.emulator) and tune.emulator_pin != wanted.emulator_pin:
        tune.emulator_pin = wanted.emulator_pin
        changed = True
    if is_all and live.vcpu.cpu_set != defined.vcpu.cpu_set:
        live.vcpu.cpu_set = defined.vcpu.cpu_set
        changed = True
    return changed


def _numbers(cpu_set: str | None, cpus: int) -> frozenset[int]:
    """Of a set that cannot be read, none."""
    if cpu_set is None:
        return frozenset(range(cpus))
    try:
        return parse_cpu_set(cpu_set)
    except ValueError:
        return frozenset()
