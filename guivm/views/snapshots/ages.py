"""Ages in words, and when the words change, so that a clock waits for that moment instead of polling."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication, QDateTime, QLocale, QObject, Qt, QTimer, Signal, Slot

from guivm.views import formats
from guivm.views.actions import N

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_DATED_AFTER_S = 7 * _DAY
_LONGEST_WAIT_S = 6 * _HOUR  # a computer that slept does not stay wrong for longer

_STEPS = (
    (_HOUR, _MINUTE, N("Ages", "{n} minute ago"), N("Ages", "{n} minutes ago")),
    (_DAY, _HOUR, N("Ages", "{n} hour ago"), N("Ages", "{n} hours ago")),
    (_DATED_AFTER_S, _DAY, N("Ages", "{n} day ago"), N("Ages", "{n} days ago")),
)


@dataclass(frozen=True, slots=True)
class Age:
    """``due_s``: after how many seconds the text will be another; None: never."""

    text: str
    due_s: float | None


def age_of(taken_s: float, now_s: float) -> Age:
    """Both in seconds since 1970. Older than a week, or of the future: the date."""
    passed = now_s - taken_s
    if passed < 0:
        # A clock was set back by a moment; or this time is none we can say anything about.
        return _just_now(-passed + _MINUTE) if passed > -_MINUTE else Age(date_words(taken_s), -passed)
    if passed < _MINUTE:
        return _just_now(_MINUTE - passed)
    for limit, unit, one, many in _STEPS:
        if passed < limit:
            translate = QCoreApplication.translate
            text = formats.counted(int(passed // unit), translate("Ages", one), translate("Ages", many))
            return Age(text, unit - passed % unit)
    return Age(date_words(taken_s), None)


def _just_now(due_s: float) -> Age:
    return Age(QCoreApplication.translate("Ages", "just now"), due_s)


def date_words(taken_s: float, *, exact: bool = False) -> str:
    """Day and time in the person's own zone and language. ``exact``: the long form, with seconds."""
    moment = QDateTime.fromSecsSinceEpoch(int(max(0.0, min(taken_s, 2.0**40))))
    form = QLocale.FormatType.LongFormat if exact else QLocale.FormatType.ShortFormat
    locale = QLocale()
    if exact:
        return f"{locale.toString(moment.date(), form)}, {locale.toString(moment.time(), 'HH:mm:ss')}"
    return locale.toString(moment, form)


class AgeClock(QObject):
    """Says when words about ages are due to change. Runs only between :meth:`start` and :meth:`stop`."""

    due = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setTimerType(Qt.TimerType.CoarseTimer)
        self._timer.timeout.connect(self._on_timeout)

    @property
    def waits_ms(self) -> int | None:
        """How long it is set for; None: it stands."""
        return self._timer.interval() if self._timer.isActive() else None

    def start(self, due_s: float | None) -> None:
        """Wait this long; None: nothing will change."""
        if due_s is None:
            self._timer.stop()
        else:
            self._timer.start(int(1000 * min(due_s, _LONGEST_WAIT_S)) + 1)

    def stop(self) -> None:
        self._timer.stop()

    @Slot()
    def _on_timeout(self) -> None:
        self.due.emit()
