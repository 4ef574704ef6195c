"""A VNC server as a :class:`DisplaySource`: the Qt side of :mod:`guivm.console.link`."""

from __future__ import annotations

from PySide6.QtCore import QObject, Qt, Signal, Slot

from guivm.console.link import LinkTimes, RfbLink
from guivm.console.source import DisplaySource, Framebuffer, PointerButton, PointerMode, Rect, SourceState
from guivm.engine.job_types import ConsoleEndpoint


class RfbSource(DisplaySource):
    """Owns the endpoint's descriptor from the start: :meth:`close` it even when it was never opened."""

    _woken = Signal()

    def __init__(
        self, endpoint: ConsoleEndpoint, parent: QObject | None = None, *, times: LinkTimes | None = None
    ) -> None:
        super().__init__(parent)
        self._state = SourceState.CONNECTING
        self._framebuffer: Framebuffer | None = None
        self._mode = PointerMode.ABSOLUTE
        self._closed = False
        self._woken.connect(self._deliver, Qt.ConnectionType.QueuedConnection)
        self._link = RfbLink(endpoint, self._woken.emit, times)
        # Deleted with its parent and not closed: the thread must not outlive the object it speaks to.
        self.destroyed.connect(self._link.close)

    @property
    def state(self) -> SourceState:
        return self._state

    @property
    def error(self) -> Exception | None:
        return self._link.error if self._state is SourceState.DISCONNECTED and not self._closed else None

    @property
    def framebuffer(self) -> Framebuffer | None:
        return self._framebuffer

    @property
    def pointer_mode(self) -> PointerMode:
        return self._mode

    def open(self) -> None:
        self._link.start()

    def close(self) -> None:
        if self._state is not SourceState.DISCONNECTED:
            self._closed = True
            self._state = SourceState.DISCONNECTED
        self._link.stop()

    def take_damage(self) -> list[Rect]:
        return self._link.take_damage()

    def send_key(self, scancode: int, keysym: int, pressed: bool) -> None:
        self._link.send_key(scancode, keysym, pressed)

    def send_pointer(self, x: int, y: int, buttons: PointerButton) -> None:
        self._link.send_pointer(x, y, buttons, self._mode)

    def set_visible(self, visible: bool) -> None:
        self._link.set_visible(visible)

    @Slot()
    def _deliver(self) -> None:
        """The news, in an order that makes sense to a listener: what it looks like, then that it changed."""
        news = self._link.take_news()
        if self._closed:
            return
        if news.framebuffer is not None:
            self._framebuffer = news.framebuffer
            self.resized.emit(news.framebuffer)
        if news.name is not None:
            self.nameChanged.emit(news.name)
        if news.pointer_mode is not None:
            self._mode = news.pointer_mode
            self.pointerModeChanged.emit(news.pointer_mode)
        if news.cursor is not None:
            self.cursorChanged.emit(news.cursor[0])
        if news.leds is not None:
            self.ledsChanged.emit(news.leds)
        if news.state is SourceState.CONNECTED and self._state is SourceState.CONNECTING:
            self._set_state(SourceState.CONNECTED)
        if news.damaged:
            self.damaged.emit()
        if news.bell:
            self.bell.emit()
        if news.state is SourceState.DISCONNECTED:
            self._set_state(SourceState.DISCONNECTED)

    def _set_state(self, state: SourceState) -> None:
        if not self._closed and self._state is not state:
            self._state = state
            self.stateChanged.emit(state)


def make_source(endpoint: ConsoleEndpoint, parent: QObject | None = None) -> DisplaySource:
    """The source for an endpoint of the engine. Takes the descriptor over; open() starts it."""
    return RfbSource(endpoint, parent)
