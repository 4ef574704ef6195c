"""What can be changed on a running VM, as steps: processors, memory, texts, forwards, and through ``live_devices`` its
devices. Worker only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from guivm.engine.options.values import Place
from guivm.engine.settings import port_forwards
from guivm.engine.settings.cpu_sets import cpu_map, parse_cpu_set
from guivm.engine.settings.documents import live_document, parsed
from guivm.engine.settings.domain_events import DomainEvents
from guivm.engine.settings.live_devices import DeviceSteps
from guivm.engine.settings.live_step import Step, WaitsError
from guivm.engine.settings.pins import Pins
from guivm.engine.xml.document import NAMESPACES
from guivm.engine.xml.domain import DomainXml
from guivm.engine.xml.metadata import bare_text

if TYPE_CHECKING:
    import libvirt

BALLOON_S = 3.0
"""How long a guest is given to change its memory before it is reported as asked."""

_KIND_METADATA_TITLE, _KIND_METADATA_DESCRIPTION, _KIND_METADATA_ELEMENT = 1, 0, 2  # virDomainMetadataType
_NO_LIMIT_KIB = 9_007_199_254_740_991  # VIR_DOMAIN_MEMORY_PARAM_UNLIMITED
# Property of CpuTune → parameter of virDomainSetSchedulerParameters, and what it is without a value (None: not known).
_SCHEDULER: tuple[tuple[str, str, int | None], ...] = (
    ("shares", "cpu_shares", None),  # 1024 or 100, by the kernel's cgroups
    ("period_us", "vcpu_period", 100_000),
    ("quota_us", "vcpu_quota", -1),
    ("global_period_us", "global_period", 100_000),
    ("global_quota_us", "global_quota", -1),
    ("emulator_period_us", "emulator_period", 100_000),
    ("emulator_quota_us", "emulator_quota", -1),
    ("io_thread_period_us", "iothread_period", 100_000),
    ("io_thread_quota_us", "iothread_quota", -1),
)
_LIMITS = (
    ("hard_limit_kib", "hard_limit"),
    ("soft_limit_kib", "soft_limit"),
    ("swap_hard_limit_kib", "swap_hard_limit"),
)
# virDomainLifecycle and virDomainLifecycleAction
_LIFECYCLE = (("on_poweroff", "poweroff", 0), ("on_reboot", "reboot", 1), ("on_crash", "crash", 2))
_ACTIONS = ("destroy", "restart", "rename-restart", "preserve", "coredump-destroy", "coredump-restart")


def live_steps(
    connection: libvirt.virConnect, domain: libvirt.virDomain, documents: Documents, events: DomainEvents
) -> Iterator[Step]:
    """Everything that was changed from ``documents.base`` to ``documents.new`` and that libvirt may take live."""
    yield from DeviceSteps(domain, documents.base, documents.new, documents.live, events).plan()
    machine = _Machine(connection, domain, documents, events)
    yield from machine.processors()
    yield from machine.memory()
    yield from machine.behaviour()
    yield from machine.forwards()


class Documents:
    """What was defined, what shall be, and what runs."""

    def __init__(self, base: str, new: str, live: str) -> None:
        """Raises XmlError."""
        self.base, self.new, self.live = parsed(base), parsed(new), parsed(live)


class _Machine:
    def __init__(
        self, connection: libvirt.virConnect, domain: libvirt.virDomain, documents: Documents, events: DomainEvents
    ) -> None:
        import libvirt

        self._connection = connection
        self._domain = domain
        self._base, self._new, self._live = documents.base, documents.new, documents.live
        self._events = events
        self._flags = libvirt.VIR_DOMAIN_AFFECT_LIVE

    # --- processors -----------------------------------------------------------------------------------

    def processors(self) -> Iterator[Step]:
        was, wanted, now = (_vcpus(domain) for domain in (self._base, self._new, self._live))
        if wanted != was and wanted != now:
            maximum = self._live.vcpu.maximum or 1
            yield Step(
                Place("cpu"),
                "number of CPUs",
                lambda: self._set_vcpus(wanted, maximum),
                lambda: self._set_vcpus(now, maximum),
                ("count", "maximum"),
            )
        yield from self._scheduler()
        yield from self._io_threads()
        yield from self._pins()

    def _set_vcpus(self, count: int, maximum: int) -> None:
        if count > maximum:
            raise WaitsError(f"It was started with at most {maximum} CPUs.")
        self._domain.setVcpusFlags(count, self._flags)

    def _scheduler(self) -> Iterator[Step]:
        for name, parameter, default in _SCHEDULER:
            old: int | None = getattr(self._base.cpu_tune, name)
            new: int | None = getattr(self._new.cpu_tune, name)
            if old == new:
                continue
            yield Step(
                Place("cpu"),
                "share of the processors",
                partial(self._schedule, parameter, default if new is None else new),
                partial(self._schedule, parameter, default if old is None else old),
                ("shares", "cap"),
            )

    def _schedule(self, parameter: str, value: int | None) -> None:
        if value is None:
            raise WaitsError("What the host gives without a setting is known only at the start.")
        self._domain.setSchedulerParametersFlags({parameter: value}, self._flags)

    def _io_threads(self) -> Iterator[Step]:
        was, wanted = _io_thread_ids(self._base), _io_thread_ids(self._new)
        present = _io_thread_ids(self._live)
        for ident in sorted(wanted - was - present):
            yield Step(
                Place("cpu"),
                f"I/O thread {ident}",
                partial(self._domain.addIOThread, ident, self._flags),
                partial(self._domain.delIOThread, ident, self._flags),
                ("io-threads",),
            )
        for ident in sorted((was - wanted) & present):
            yield Step(
                Place("cpu"),
                f"I/O thread {ident}",
                partial(self._domain.delIOThread, ident, self._flags),
                partial(self._domain.addIOThread, ident, self._flags),
                ("io-threads",),
            )

    def _pins(self) -> Iterator[Step]:
        before, after = Pins(self._base), Pins(self._new)
        running = range(_vcpus(self._new))
        for number in running:
            if before.vcpu(number) != after.vcpu(number):
                yield self._pin(
                    f"CPU {number}", before.vcpu(number), after.vcpu(number), self._domain.pinVcpuFlags, number
                )
        if before.emulator != after.emulator:
            yield self._pin("QEMU's own thread", before.emulator, after.emulator, self._domain.pinEmulator)
        for ident in sorted(_io_thread_ids(self._new)):
            if before.io_thread(ident) != after.io_thread(ident):
                yield self._pin(
                    f"I/O thread {ident}",
                    before.io_thread(ident),
                    after.io_thread(ident),
                    self._domain.pinIOThread,
                    ident,
                )

    def _pin(self, what: str, old: str | None, new: str | None, call: Callable[..., Any], *number: int) -> Step:
        def pin(cpus: str | None) -> None:
            count = int(self._connection.getCPUMap(0)[0])
            try:
                numbers = range(count) if cpus is None else parse_cpu_set(cpus)
                call(*number, cpu_map(numbers, count), self._flags)
            except ValueError as error:
                raise WaitsError(str(error)) from error

        return Step(
            Place("cpu"),
            f"pinning of {what}",
            lambda: pin(new),
            lambda: pin(old),
            ("pinning", "host-cpus", "emulator-pin"),
        )

    # --- memory ---------------------------------------------------------------------------------------

    def memory(self) -> Iterator[Step]:
        was, wanted = _memory_but_modules(self._base), _memory_but_modules(self._new)
        now = _memory_but_modules(self._live)
        if wanted != was and wanted != now:
            yield Step(
                Place("memory"),
                "amount of memory",
                partial(self._balloon, wanted),
                partial(self._balloon, now),
                ("current", "maximum"),
            )
        for name, parameter in _LIMITS:
            old: int | None = getattr(self._base.memory_tune, name)
            new: int | None = getattr(self._new.memory_tune, name)
            if old != new:
                yield Step(
                    Place("memory"),
                    "limit of memory",
                    partial(self._limit, parameter, new),
                    partial(self._limit, parameter, old),
                    ("limit",),
                )

    def _limit(self, parameter: str, kib: int | None) -> None:
        self._domain.setMemoryParameters({parameter: _NO_LIMIT_KIB if kib is None else kib}, self._flags)

    def _balloon(self, kib: int) -> None:
        """Ask the guest, and give it a moment: a guest without the driver never answers.

        ``kib``: without modules, which come and go by themselves.
        """
        maximum = (self._live.memory_kib or 0) - _modules(self._live)
        if kib > maximum:
            raise WaitsError(f"It was started with at most {maximum // 1024} MiB of memory.")
        if self._live.devices.memballoon.model == "none":
            raise WaitsError("It was started without a memory balloon.")
        text = live_document(self._domain)
        wanted = kib + (_modules(parsed(text)) if text else 0)
        self._domain.setMemoryFlags(wanted, self._flags)
        if not self._events.wait(lambda: self._current_memory() == wanted, BALLOON_S):
            raise WaitsError("The guest was asked to, and has not done so yet.", asked=True)

    def _current_memory(self) -> int:
        text = live_document(self._domain)
        return _memory(parsed(text)) if text else 0

    # --- texts and behaviour --------------------------------------------------------------------------

    def behaviour(self) -> Iterator[Step]:
        for option, kind, old, new in (
            ("title", _KIND_METADATA_TITLE, self._base.title, self._new.title),
            ("notes", _KIND_METADATA_DESCRIPTION, self._base.description, self._new.description),
        ):
            if old != new:
                yield Step(
                    Place("system"),
                    option,
                    partial(self._set_text, kind, new),
                    partial(self._set_text, kind, old),
                    (option,),
                )
        was, wanted = bare_text(self._base.metadata.settings), bare_text(self._new.metadata.settings)
        if was != wanted:
            yield Step(
                Place("nic"),
                "guivm's own settings",
                lambda: self._set_own(wanted),
                lambda: self._set_own(was),
                ("port-forwards",),
            )
        for name, option, event in _LIFECYCLE:
            before: str | None = getattr(self._base, name)
            after: str | None = getattr(self._new, name)
            if before != after and before in _ACTIONS and after in _ACTIONS:
                yield Step(
                    Place("system"),
                    f"what happens at {option}",
                    partial(self._on, event, after),
                    partial(self._on, event, before),
                    (option,),
                )

    def _set_text(self, kind: int, text: str | None) -> None:
        self._domain.setMetadata(kind, text or None, None, None, self._flags)

    def _set_own(self, xml: str) -> None:
        self._domain.setMetadata(_KIND_METADATA_ELEMENT, xml or None, "guivm", NAMESPACES["guivm"], self._flags)

    def _on(self, event: int, action: str) -> None:
        self._domain.setLifecycleAction(event, _ACTIONS.index(action), self._flags)

    # --- port forwards --------------------------------------------------------------------------------

    def forwards(self) -> Iterator[Step]:
        """By the metadata; those of a card that goes, or was just plugged in, are its affair at that moment."""
        was, wanted = port_forwards.forwards_of(self._base), port_forwards.forwards_of(self._new)
        cards = {(nic.mac or "").lower() for nic in self._new.devices.interfaces if port_forwards.uses_slirp(nic)}
        for forward in was:
            if forward not in wanted and forward.mac in cards:
                yield self._forward(forward, port_forwards.remove, port_forwards.add)
        for forward in wanted:
            if forward.mac in cards and (forward not in was or self._is_new(forward.mac)):
                yield self._forward(forward, port_forwards.add, port_forwards.remove)

    def _is_new(self, mac: str) -> bool:
        return all((nic.mac or "").lower() != mac for nic in self._base.devices.interfaces)

    def _forward(
        self,
        forward: port_forwards.Forward,
        do: Callable[[Any, DomainXml, port_forwards.Forward], None],
        undo: Callable[[Any, DomainXml, port_forwards.Forward], None],
    ) -> Step:
        def with_live(call: Callable[[Any, DomainXml, port_forwards.Forward], None]) -> None:
            call(self._domain, parsed(live_document(self._domain)), forward)

        return Step(
            Place("nic", forward.mac),
            forward.words,
            lambda: with_live(do),
            lambda: with_live(undo),
            ("port-forwards",),
            is_hidden=True,
        )


def _vcpus(domain: DomainXml) -> int:
    return domain.vcpu.current or domain.vcpu.maximum or 1


def _memory(domain: DomainXml) -> int:
    return domain.current_memory_kib or domain.memory_kib or 0


def _modules(domain: DomainXml) -> int:
    """What all modules have, in KiB."""
    return sum(module.size_kib or 0 for module in domain.devices.memories)


def _memory_but_modules(domain: DomainXml) -> int:
    return _memory(domain) - _modules(domain)


def _io_thread_ids(domain: DomainXml) -> frozenset[int]:
    named = [thread.id for thread in domain.io_thread_ids]
    ids = {ident for ident in named if ident is not None}
    spare = iter(range(1, 1_000_000))
    while len(ids) < (domain.io_threads or 0):
        ids.add(next(spare))
    return frozenset(ids)
