"""Devices of a running VM: plugged, unplugged, changed. Worker only.

Each change is tried on the running VM alone (``VIR_DOMAIN_AFFECT_LIVE``). Of a device that is there libvirt changes
little: the medium of a drive, throttling, and of a network card its link, limits, filter and what it is plugged into
(libvirt, src/qemu/qemu_driver.c, qemuDomainUpdateDeviceLive, and qemu_hotplug.c, qemuDomainChangeNet).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from guivm.engine.options.values import Place
from guivm.engine.settings.documents import live_document, parsed
from guivm.engine.settings.domain_events import DomainEvents
from guivm.engine.settings.live_step import Step, WaitsError
from guivm.engine.settings.pairing import (
    Pair,
    canonical,
    devices_of,
    key_of,
    pairs,
    text_of_element,
    twin,
    without_moves,
)
from guivm.engine.settings.places import Places
from guivm.engine.xml.document import Element, element_children, first_child
from guivm.engine.xml.domain import DomainXml
from guivm.text import clean_line

if TYPE_CHECKING:
    import libvirt

UNPLUG_S = 10.0
"""How long a guest is given to let a device go."""

_NAMES = {
    "disk": "drive",
    "interface": "network card",
    "hostdev": "host device",
    "redirdev": "USB redirection port",
    "rng": "random number source",
    "memory": "memory module",
    "filesystem": "shared folder",
    "chardev": "serial line",
}
# What of a network card can be changed while it is in use, one after the other: children of the XML, and options of
# the settings.
_NIC_PARTS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("source", "virtualport"), ("mode",)),
    (("vlan",), ("vlan",)),
    (
        ("bandwidth",),
        ("inbound", "inbound-peak", "inbound-burst", "outbound", "outbound-peak", "outbound-burst"),
    ),
    (("filterref",), ("filter",)),
    (("link",), ("link", "mode")),
)
_THROTTLING = tuple(
    f"{which}-{what}{how}"
    for what in ("bytes", "iops")
    for which in ("total", "read", "write")
    for how in ("", "-burst", "-burst-seconds")
)
_GRAPHICS_ATTRIBUTES = ("passwd", "passwdValidTo", "connected")
_TUNE = "iotune"
_MEDIA = ("cdrom", "floppy")
_CONTROLLERS_FIRST = ("controller",)


class DeviceSteps:
    """Plans what to do about the devices of one running VM; the plan's steps act on it."""

    def __init__(
        self, domain: libvirt.virDomain, base: DomainXml, new: DomainXml, live: DomainXml, events: DomainEvents
    ) -> None:
        self._domain = domain
        self._base, self._new = base, new
        self._places_before, self._places_after = Places(base), Places(new)
        self._live = devices_of(live)
        self._strangers = list(self._live)  # what the running VM has and the definition has not
        self._events = events

    def plan(self) -> Iterator[Step]:
        """Removals, changes, additions; controllers before what is plugged into them.

        A drive that only moves to another bus stays where it is: to tear a disk out of a running guest to put it in
        elsewhere is not what anybody means. Likewise a card with a new address.
        """
        known = devices_of(self._base)
        for device in known:
            mine = twin(device, self._strangers)
            self._strangers = [other for other in self._strangers if other is not mine]
        found = without_moves(pairs(known, devices_of(self._new)))
        removed = [pair for pair in found if pair.after is None]
        changed = [pair for pair in found if pair.after is not None and pair.before is not None]
        added = [pair for pair in found if pair.before is None]
        for pair in sorted(removed, key=lambda pair: pair.tag in _CONTROLLERS_FIRST):
            yield from self._removal(pair)
        for pair in changed:
            yield from self._change(pair)
        for pair in sorted(added, key=lambda pair: pair.tag not in _CONTROLLERS_FIRST):
            yield from self._addition(pair)

    # --- plug and unplug ------------------------------------------------------------------------------

    def _addition(self, pair: Pair) -> Iterator[Step]:
        present = twin(pair.device, self._strangers)
        if present is not None:
            self._strangers.remove(present)
            return  # plugged in already: only the definition did not know
        xml = text_of_element(pair.device)
        added: list[Element] = []

        def do() -> None:
            before = self._now()
            self._attach(xml)
            added[:] = _new_among(before, self._now(), pair.device)

        def undo() -> None:
            for device in added:
                self._detach(device)

        yield Step(self._place(pair), _words(pair), do, undo)

    def _removal(self, pair: Pair) -> Iterator[Step]:
        device = twin(pair.device, self._live)
        if device is None:
            return  # the running VM does not have it
        live: Element = device

        def do() -> None:
            self._detach(live)

        def undo() -> None:
            self._attach(text_of_element(live))

        yield Step(self._place(pair), _words(pair), do, undo)

    def _attach(self, xml: str) -> None:
        import libvirt

        self._domain.attachDeviceFlags(xml, libvirt.VIR_DOMAIN_AFFECT_LIVE)

    def _detach(self, device: Element) -> None:
        """Ask for it and wait. libvirt answers at once or after 5 s, whether the guest has let go or not."""
        import libvirt

        alias = _alias(device)
        self._events.forget(alias)
        self._domain.detachDeviceFlags(text_of_element(device), libvirt.VIR_DOMAIN_AFFECT_LIVE)
        if not self._events.wait(lambda: not self._has(device), UNPLUG_S, alias=alias):
            raise WaitsError("The guest has not let go of it yet; it will be gone after the next start.", asked=True)

    def _now(self) -> list[Element]:
        text = live_document(self._domain)
        return devices_of(parsed(text)) if text else []

    def _has(self, device: Element) -> bool:
        alias = _alias(device)
        if alias:
            return any(_alias(other) == alias for other in self._now() if other.tag == device.tag)
        return twin(device, self._now()) is not None

    # --- change ---------------------------------------------------------------------------------------

    def _change(self, pair: Pair) -> Iterator[Step]:
        before, after = pair.before, pair.after
        assert before is not None
        assert after is not None
        live = twin(before, self._live)
        if live is None:
            return
        if pair.tag == "disk":
            yield from self._change_disk(pair, before, after, live)
        elif pair.tag == "interface":
            yield from self._change_nic(pair, before, after)
        elif pair.tag == "graphics":
            yield from self._change_graphics(pair, before, after)
        elif pair.tag == "memballoon":
            yield from self._change_balloon(pair, before, after)

    def _change_disk(self, pair: Pair, before: Element, after: Element, live: Element) -> Iterator[Step]:
        device = after.get("device", "disk")
        if device in _MEDIA and _medium(before) != _medium(after):
            yield self._update(pair, ("source",), lambda now: _with_medium(now, after))
        if _parts(before, (_TUNE,)) != _parts(after, (_TUNE,)):
            yield self._throttle(pair, live, before, after)

    def _change_nic(self, pair: Pair, before: Element, after: Element) -> Iterator[Step]:
        for tags, options in _NIC_PARTS:
            differs = _parts(before, tags) != _parts(after, tags)
            if "source" in tags:
                differs = differs or before.get("type") != after.get("type")
            if differs:
                yield self._update(pair, options, partial(_with_parts, after=after, tags=tags))

    def _change_graphics(self, pair: Pair, before: Element, after: Element) -> Iterator[Step]:
        for name in _GRAPHICS_ATTRIBUTES:
            if before.get(name) != after.get(name):
                step = self._update(
                    pair,
                    ("password", "password-expires"),
                    lambda now: _with_password(now, after),
                )
                yield replace(step, is_hidden=True)  # lists of changes do not look at passwords of a running VM
                return

    def _change_balloon(self, pair: Pair, before: Element, after: Element) -> Iterator[Step]:
        import libvirt

        old, new = _period(before), _period(after)
        if old != new:
            flags = libvirt.VIR_DOMAIN_AFFECT_LIVE
            yield Step(
                self._place(pair),
                "memory statistics",
                lambda: _ignore(self._domain.setMemoryStatsPeriod(new, flags)),
                lambda: _ignore(self._domain.setMemoryStatsPeriod(old, flags)),
                ("statistics",),
            )

    def _update(self, pair: Pair, options: tuple[str, ...], edit: Callable[[Element], Element]) -> Step:
        """A step that changes the device as it is now, by what ``edit`` makes of a copy of it."""
        import libvirt

        was: list[Element] = []

        def do() -> None:
            now = twin(pair.device if key_of(pair.device) else _before(pair), self._now())
            if now is None:
                raise WaitsError("The running virtual machine does not have this device.")
            was[:] = [copy.deepcopy(now)]
            self._domain.updateDeviceFlags(text_of_element(edit(copy.deepcopy(now))), libvirt.VIR_DOMAIN_AFFECT_LIVE)

        def undo() -> None:
            for device in was:
                self._domain.updateDeviceFlags(text_of_element(device), libvirt.VIR_DOMAIN_AFFECT_LIVE)

        return Step(self._place(pair), _words(pair), do, undo, options)

    def _throttle(self, pair: Pair, live: Element, before: Element, after: Element) -> Step:
        import libvirt

        target = key_of(after)
        names = {*_tune_of(before), *_tune_of(after), *_tune_of(live)}
        flags = libvirt.VIR_DOMAIN_AFFECT_LIVE

        def tune(values: dict[str, int | str]) -> None:
            # What is not named stays as it was: 0 takes a limit away.
            self._domain.setBlockIoTune(
                target, {name: values.get(name, 0) for name in names if name in values or name != "group_name"}, flags
            )

        return Step(
            self._place(pair),
            _words(pair),
            lambda: tune(_tune_of(after)),
            lambda: tune(_tune_of(live)),
            (*_THROTTLING, "throttle-group"),
        )

    def _place(self, pair: Pair) -> Place:
        return (self._places_before if pair.after is None else self._places_after).of(pair.device)


def _ignore(_answer: object) -> None:
    pass


def _before(pair: Pair) -> Element:
    assert pair.before is not None
    return pair.before


def _words(pair: Pair) -> str:
    name = _NAMES.get(pair.tag, pair.tag)
    return clean_line(f"{name} {key_of(pair.device)}")


def _alias(device: Element) -> str:
    alias = first_child(device, "alias")
    return "" if alias is None else alias.get("name", "")


def _new_among(before: Sequence[Element], after: Sequence[Element], like: Element) -> list[Element]:
    known = {_alias(device) for device in before}
    return [device for device in after if device.tag == like.tag and _alias(device) not in known]


def _parts(device: Element, tags: tuple[str, ...]) -> list[bytes]:
    return [canonical(child) for tag in tags for child in element_children(device, tag)]


def _medium(disk: Element) -> tuple[str | None, list[bytes]]:
    return disk.get("type"), _parts(disk, ("source",))


def _with_parts(now: Element, after: Element, tags: tuple[str, ...]) -> Element:
    """``now`` with the children of these tags as ``after`` has them."""
    for tag in tags:
        for child in element_children(now, tag):
            now.remove(child)
        for child in element_children(after, tag):
            now.append(copy.deepcopy(child))
    if "source" in tags:
        now.set("type", after.get("type", ""))
    return now


def _with_medium(now: Element, after: Element) -> Element:
    """The drive with another medium, or none. What belonged to the old one goes with it."""
    for tag in ("source", "backingStore", "mirror"):
        for child in element_children(now, tag):
            now.remove(child)
    now.set("type", after.get("type", "file"))
    for child in element_children(after, "source"):
        now.append(copy.deepcopy(child))
    driver, wanted = first_child(now, "driver"), first_child(after, "driver")
    if driver is not None and wanted is not None and wanted.get("type"):
        driver.set("type", wanted.get("type", ""))
    return now


def _with_password(now: Element, after: Element) -> Element:
    if now.get("passwd") is None and after.get("passwd") is not None:
        # QEMU takes another password only where it was told of one at the start ("Could not set password").
        raise WaitsError("The display was started without a password; it gets one at the next start.")
    for name in _GRAPHICS_ATTRIBUTES:
        value = after.get(name)
        if value is not None:
            now.set(name, value)
        elif name in now.attrib:
            del now.attrib[name]
    return now


def _tune_of(disk: Element) -> dict[str, int | str]:
    tune = first_child(disk, _TUNE)
    values: dict[str, int | str] = {}
    for child in [] if tune is None else element_children(tune):
        text = (child.text or "").strip()
        values[str(child.tag)] = int(text) if text.isdigit() else text
    return values


def _period(balloon: Element) -> int:
    stats = first_child(balloon, "stats")
    text = "" if stats is None else stats.get("period", "")
    return int(text) if text.isdigit() else 0
