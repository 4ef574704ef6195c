"""A VNC server as a :class:`DisplaySource`: the Qt side of :mod:`guivm.console.vnc.link`."""

from __future__ import annotations

from PySide6.QtCore import QObject, Qt, Signal, Slot

from guivm.console.lifetime import on_destroyed
from guivm.console.rfb.session import Tap
from guivm.console.source import (
    ClipboardPolicy,
    DisplaySource,
    Framebuffer,
    Head,
    PointerButton,
    PointerMode,
    PowerAction,
    Quality,
    Rect,
    SourceFeature,
    SourceSecurity,
    SourceState,
)
from guivm.console.vnc.link import LinkTimes, RfbLink
from guivm.engine.job_types import ConsoleEndpoint


class RfbSource(DisplaySource):
    """Owns the endpoint's descriptor from the start: :meth:`close` it even when it was never opened.

    ``tap`` is given the server's bytes from ServerInit on, on the link's thread: see
    :data:`guivm.console.rfb.session.Tap`.
    """

    _woken = Signal()

    def __init__(
        self,
        endpoint: ConsoleEndpoint,
        parent: QObject | None = None,
        *,
        times: LinkTimes | None = None,
        tap: Tap | None = None,
    ) -> None:
        super().__init__(parent)
        self._state = SourceState.CONNECTING
        self._framebuffer: Framebuffer | None = None
        self._mode = PointerMode.ABSOLUTE
        self._heads: tuple[Head, ...] = ()
        self._features = SourceFeature.NONE
        self._security = SourceSecurity.UNKNOWN
        self._policy = ClipboardPolicy.OFF
        self._closed = False
        self._woken.connect(self._deliver, Qt.ConnectionType.QueuedConnection)
        self._link = RfbLink(endpoint, self._woken.emit, times, tap=tap)
        # Deleted with its parent and not closed: the thread must not outlive the object it speaks to.
        on_destroyed(self, self._link.close)

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
    def features(self) -> SourceFeature:
        return self._features

    @property
    def security(self) -> SourceSecurity:
        return self._security

    @property
    def heads(self) -> tuple[Head, ...]:
        return self._heads or super().heads

    @property
    def pointer_mode(self) -> PointerMode:
        return self._mode

    def open(self) -> None:
        self._link.start()

    def close(self) -> None:
        if self._state is not SourceState.DISCONNECTED:
            self._closed = True
            self._state = SourceState.DISCONNECTED
        self._link.close()
        self._framebuffer = None  # it may be large, and whoever shows it has it

    def take_damage(self) -> list[Rect]:
        return self._link.take_damage()

    def send_key(self, scancode: int, keysym: int, pressed: bool) -> None:
        self._link.send_key(scancode, keysym, pressed)

    def send_pointer(self, x: int, y: int, buttons: PointerButton) -> None:
        self._link.send_pointer(x, y, buttons, self._mode)

    def set_visible(self, visible: bool) -> None:
        self._link.set_visible(visible)

    def request_size(self, width: int, height: int) -> None:
        self._link.request_size(width, height)

    def send_power(self, action: PowerAction) -> None:
        self._link.send_power(action)

    def set_clipboard_policy(self, policy: ClipboardPolicy) -> None:
        self._policy = policy
        self._link.set_clipboard_policy(policy)

    def send_clipboard(self, text: str) -> None:
        if self._policy.to_guest:
            self._link.send_clipboard(text)

    def set_quality(self, quality: Quality) -> None:
        self._link.set_quality(quality)

    def set_sound(self, on: bool) -> None:
        self._link.set_sound(on)

    @Slot()
    def _deliver(self) -> None:
        """The news, in an order that makes sense to a listener: what it looks like, then that it changed."""
        news = self._link.take_news()
        if self._closed:
            return
        if news.framebuffer is not None:
            self._framebuffer = news.framebuffer
            self._heads = ()
            self.resized.emit(news.framebuffer)
        if news.heads is not None:
            self._heads = news.heads
        if news.heads is not None or news.framebuffer is not None:
            self.headsChanged.emit(self.heads)
        if news.security is not None:
            self._security = news.security
            self.securityChanged.emit(news.security)
        if news.features is not None:
            self._features = news.features
            self.featuresChanged.emit(news.features)
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
        if news.clipboard is not None and self._policy.from_guest:
            self.clipboardReceived.emit(news.clipboard)
        if news.refused is not None:
            self.refused.emit(news.refused)
        if news.bell:
            self.bell.emit()
        if news.state is SourceState.DISCONNECTED:
            self._set_state(SourceState.DISCONNECTED)

    def _set_state(self, state: SourceState) -> None:
        if not self._closed and self._state is not state:
            self._state = state
            self.stateChanged.emit(state)


def make_source(endpoint: ConsoleEndpoint, parent: QObject | None = None, *, tap: Tap | None = None) -> DisplaySource:
    """The source for an endpoint of the engine. Takes the descriptor over; open() starts it. ``tap``: a recorder's."""
    return RfbSource(endpoint, parent, tap=tap)
