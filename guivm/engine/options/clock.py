"""The guest's time: what its clock is set to, and its timers. (formatdomain.html, "Time keeping")"""

from __future__ import annotations

import re

from guivm.engine.options.option import Choice, Custom, Item, Line, N, Number, Option, Value, fixed
from guivm.engine.xml.domain import DomainXml


def _get_offset(domain: DomainXml) -> Value | None:
    return domain.clock.offset


def _set_offset(domain: DomainXml, value: Value | None) -> None:
    """What belongs to another kind of clock goes; what the new one cannot do without comes. None: UTC."""
    clock = domain.clock
    value = value or "utc"
    if value == clock.offset:
        return
    clock.timezone, clock.start = None, None
    clock.adjustment, clock.basis = None, None
    clock.offset = str(value)
    if value == "timezone":
        clock.timezone = "Etc/UTC"
    if value == "absolute":
        clock.start = 0


def _set_zone(domain: DomainXml, value: Value | None) -> None:
    if value is not None and re.fullmatch(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*", str(value)) is None:
        raise ValueError(N("This is no name of a time zone; write for example “Europe/Berlin”."))
    _set_offset(domain, "timezone" if value is not None else "utc")
    domain.clock.timezone = None if value is None else str(value)


def _set_start(domain: DomainXml, value: Value | None) -> None:
    _set_offset(domain, "absolute" if value is not None else "utc")
    domain.clock.start = None if value is None else int(value)


TIMERS = ("rtc", "pit", "hpet", "tsc", "kvmclock", "hypervclock", "armvtimer", "platform")
TICK_POLICIES = ("delay", "catchup", "merge", "discard")


def get_timers(domain: DomainXml) -> Value | None:
    """ "rtc=catchup, hpet=off, tsc=on+delay, pit": presence and policy of each timer that is named."""
    words = []
    for timer in domain.clock.timers:
        said = [] if timer.present is None else ["on" if timer.present else "off"]
        said += [timer.tick_policy] if timer.tick_policy else []
        words.append(f"{timer.name}={'+'.join(said)}" if said else timer.name or "")
    return ", ".join(words) or None


def set_timers(domain: DomainXml, value: Value | None) -> None:
    """The reverse; all else that a timer says stays. Raises ValueError."""
    wanted: dict[str, tuple[bool | None, str | None]] = {}
    for word in str(value or "").split(","):
        name, _, said = (part.strip() for part in word.partition("="))
        if not name:
            continue
        if name not in TIMERS:
            raise ValueError(f"There is no timer “{name}”; there are: {', '.join(TIMERS)}.")
        parts = [part.strip() for part in said.split("+") if part.strip()]
        unknown = [part for part in parts if part not in ("on", "off", *TICK_POLICIES)]
        if unknown:
            raise ValueError(f"A timer is “on”, “off” or one of {', '.join(TICK_POLICIES)}, not “{unknown[0]}”.")
        present = True if "on" in parts else False if "off" in parts else None
        wanted[name] = present, next((part for part in parts if part in TICK_POLICIES), None)
    timers = domain.clock.timers
    for timer in timers:
        if timer.name not in wanted:
            timers.remove(timer)
    present_now = {timer.name or "": timer for timer in timers}
    for name, (present, policy) in wanted.items():
        node = present_now.get(name)
        if node is None:
            node = timers.add()
            node.name = name
        node.present, node.tick_policy = present, policy


def timer_states(text: str) -> dict[str, tuple[str, str]]:
    """What :func:`get_timers` answers: presence ("on", "off", "") and policy (or "") by name."""
    found: dict[str, tuple[str, str]] = {}
    for word in text.split(","):
        name, _, said = (part.strip() for part in word.partition("="))
        parts = [part.strip() for part in said.split("+")]
        if name:
            found[name] = (
                next((part for part in parts if part in ("on", "off")), ""),
                next((part for part in parts if part in TICK_POLICIES), ""),
            )
    return found


def timers_text(states: dict[str, tuple[str, str]]) -> str:
    """The reverse."""
    return ", ".join(
        f"{name}={'+'.join(part for part in state if part)}" if any(state) else name for name, state in states.items()
    )


OPTIONS: tuple[Option[DomainXml], ...] = (
    Option(
        "clock",
        N("Clock set to"),
        N("Linux expects the machine's clock in UTC, Windows in local time; the wrong one is off by hours."),
        Choice(
            fixed(
                Item("utc", N("UTC"), N("for Linux and most others")),
                Item("localtime", N("Local time of the host"), N("for Windows")),
                Item("timezone", N("A time zone"), N("chosen below")),
                Item("variable", N("Whatever the guest sets it to"), N("the difference to the host is kept")),
                Item("absolute", N("A fixed moment at each start"), N("chosen below")),
            )
        ),
        _get_offset,
        _set_offset,
        default="UTC",
        keywords="time rtc utc localtime timezone",
    ),
    Option(
        "timezone",
        N("Time zone"),
        N("The clock shows this zone's time, summer time included; for guests that cannot count in UTC."),
        Line(N("Europe/Berlin")),
        lambda domain: domain.clock.timezone,
        _set_zone,
        keywords="time",
        shown=lambda _situation, domain: domain.clock.offset == "timezone",
    ),
    Option(
        "clock-start",
        N("Clock starts at"),
        N("Seconds since 1970 that the clock shows at each start; certificates and files may seem not yet valid."),
        Number(unit="s"),
        lambda domain: domain.clock.start,
        _set_start,
        keywords="absolute date time machine",
        shown=lambda _situation, domain: domain.clock.offset == "absolute",
    ),
    Option(
        "timers",
        N("Timers"),
        N(
            "Which clocks the guest finds and what happens to ticks it missed; the defaults "
            "suit nearly everybody, and an HPET costs CPU time."
        ),
        Custom("timers", "rtc=catchup, hpet=off"),
        get_timers,
        set_timers,
        more=True,
        default=N("libvirt's own"),
        keywords="hpet rtc pit tsc kvmclock tickpolicy catchup clock drift",
    ),
)
