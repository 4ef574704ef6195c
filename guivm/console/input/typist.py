"""Types a plan at a pace that a guest's keyboard can follow.

QEMU keeps at most 16 bytes for a PS/2 keyboard (``PS2_QUEUE_SIZE``, hw/input/ps2.c) and 16 events for a USB keyboard
(``QUEUE_LENGTH``, hw/input/hid.c), which the guest fetches one at a time every 8 to 10 ms; what does not fit is lost
without a word. So every event gets the time in which a USB guest fetches one, and every character what the rate says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import groupby

from PySide6.QtCore import QElapsedTimer, QObject, Qt, QTimer, Signal, Slot

from guivm.console.typing import KeyEvent, TypingPlan, bursts

DEFAULT_RATE = 40
"""Characters a second, as far as the events' own time allows: about that of plain text."""
MAX_RATE = 100
"""Characters a second: faster than any event's own time allows."""

_JUDGED = 4000  # strokes of which the time is summed up
_MS_PER_EVENT = 10  # QEMU 7.2 and Linux lose nothing at 5, PS/2 and USB, and something at 2

SendKey = Callable[[int, int, bool], object]
"""Key code, keysym, pressed: ``DisplaySource.send_key``."""

_Step = tuple[tuple[KeyEvent, ...], int]  # events of one character, characters done with it


class Typist(QObject):
    """Types one plan at a time. GUI thread.

    Let go of everything the person holds down before :meth:`start`: a held Ctrl would make commands of the text.
    """

    progressed = Signal(int, int)  # characters done, of how many
    finished = Signal(bool)  # True: all was typed. False: it was cancelled. Nothing is held down in either case

    def __init__(self, send: SendKey, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._send = send
        self._steps: Iterator[_Step] = iter(())
        self._next: _Step | None = None
        self._held: list[KeyEvent] = []
        self._total = 0
        self._period = 0
        self._clock = QElapsedTimer()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._on_time)

    @property
    def is_typing(self) -> bool:
        return self._next is not None

    def start(self, plan: TypingPlan, rate: int = DEFAULT_RATE) -> None:
        """Begin; what is under way is cancelled. ``rate``: characters a second, at most :data:`MAX_RATE`.

        What the layout has no keys for is left out. ``finished`` comes later even when there is nothing to type.
        """
        self.cancel()
        self._steps = _steps(plan)
        self._total = len(plan.text)
        self._period = _period(rate)
        self._next = next(self._steps, ((), self._total))
        self._clock.start()
        self._timer.start(0)

    @Slot()
    def cancel(self) -> None:
        """Stop, and release what is held down. Does nothing when nothing is being typed."""
        if self.is_typing:
            self._timer.stop()
            self._steps = iter(())
            self._next = None
            for event in reversed(self._held):
                self._send(event.code, event.keysym, False)
            self._held.clear()
            self.finished.emit(False)

    @Slot()
    def _on_time(self) -> None:
        step = self._next
        if step is None:
            return
        events, done = step
        self._clock.restart()
        for event in events:
            self._note(event)
            self._send(*event)
            if self._next is not step:  # the one who sends has cancelled
                return
        self._next = next(self._steps, None)
        self.progressed.emit(done, self._total)
        if self.is_typing:
            # From when it was sent: after a stall nothing is hurried to catch up.
            self._timer.start(max(0, _wait(len(events), self._period) - self._clock.elapsed()))
        elif done == self._total:
            self.finished.emit(True)

    def _note(self, event: KeyEvent) -> None:
        if event.pressed:
            self._held.append(event)
        else:
            self._held = [held for held in self._held if held.code != event.code]


def expected_seconds(plan: TypingPlan, rate: int) -> float:
    """How long it takes to type a plan, about; of a long one, judged by its beginning."""
    strokes = plan.strokes[:_JUDGED]
    if not strokes:
        return 0.0
    beginning = replace(plan, strokes=strokes)
    milliseconds = sum(_wait(len(events), _period(rate)) for events, _ in _steps(beginning))
    return milliseconds / 1000 * len(plan.strokes) / len(strokes)


def _period(rate: int) -> int:
    """Milliseconds for a character."""
    return round(1000 / min(max(1, rate), MAX_RATE))


def _wait(events: int, period: int) -> int:
    """Milliseconds after a step of so many events."""
    return max(period, events * _MS_PER_EVENT)


def _steps(plan: TypingPlan) -> Iterator[_Step]:
    """One for each character that can be typed; the last one counts those behind it as well."""
    numbered = zip(bursts(plan.strokes), (stroke.index for stroke in plan.strokes), strict=True)
    last = plan.strokes[-1].index if plan.strokes else 0
    for index, group in groupby(numbered, key=lambda pair: pair[1]):
        events = tuple(event for burst, _ in group for event in burst)
        yield events, len(plan.text) if index == last else index + 1
