"""Sizes, rates and times in the person's own language and digits (QLocale)."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, QLocale

from guivm.engine.types import HostId
from guivm.views.actions import N

_KIB = 1024


def size(count: int, locale: QLocale | None = None) -> str:
    """Bytes as "3.1 GiB": IEC units, at most one digit after the point and none where it would be 0."""
    locale = locale or QLocale()
    value, power = float(count), 0
    while value >= 999.95 and power < 6:
        value /= _KIB
        power += 1
    decimals = 0 if power == 0 or abs(value - round(value)) < 0.05 else 1
    unit = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")[power]
    return f"{locale.toString(value, 'f', decimals)}\u00a0{unit}"


def memory(kib: int, locale: QLocale | None = None) -> str:
    """Memory given in KiB, libvirt's unit."""
    return size(kib * _KIB, locale)


def rate(bytes_per_s: float, locale: QLocale | None = None) -> str:
    return QCoreApplication.translate("Formats", "{size}/s").format(size=size(int(bytes_per_s), locale))


def number(value: int, locale: QLocale | None = None) -> str:
    return (locale or QLocale()).toString(value)


def percent(done: int, total: int, locale: QLocale | None = None) -> str:
    """Whole percent, never more than 100; empty when the total is not known."""
    if total <= 0:
        return ""
    share = max(0, min(100, done * 100 // total))
    return f"{(locale or QLocale()).toString(share)}\u00a0%"


def counted(n: int, singular: str, plural: str) -> str:
    """``singular`` or ``plural`` (already translated, with ``{n}``) for a count."""
    return (singular if n == 1 else plural).format(n=number(n))


_LEFT = (
    (90.0, 1, N("Formats", "{n} s left")),
    (90.0 * 60, 60, N("Formats", "{n} min left")),
    (float("inf"), 3600, N("Formats", "{n} h left")),
)


def time_left(seconds: float) -> str:
    """A remaining time, roughly: "12 s left", "3 min left"."""
    for limit, unit, text in _LEFT:
        if seconds < limit:
            return QCoreApplication.translate("Formats", text).format(n=number(max(1, round(seconds / unit))))
    return ""


def duration(seconds: float) -> str:
    """A length of time: "0.4 s", "12 s", "3 min"."""
    locale = QLocale()
    if seconds < 10:
        return QCoreApplication.translate("Formats", "{n} s").format(n=locale.toString(max(seconds, 0.0), "f", 1))
    if seconds < 90:
        return QCoreApplication.translate("Formats", "{n} s").format(n=number(round(seconds)))
    return QCoreApplication.translate("Formats", "{n} min").format(n=number(round(seconds / 60)))


def host_label(label: str, host: HostId) -> str:
    """A host's label, or its URI where it has none."""
    return label or str(host)
