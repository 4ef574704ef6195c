"""A display source without a server: tests paint into it and read what it was sent."""

from __future__ import annotations

from PySide6.QtCore import QObject

from guivm.console.source import (
    ClipboardPolicy,
    CursorShape,
    DisplaySource,
    Framebuffer,
    Head,
    KeyboardLeds,
    PointerButton,
    PointerMode,
    PowerAction,
    Quality,
    Rect,
    SourceFeature,
    SourceSecurity,
    SourceState,
)
from tests.helpers.rfb_server import Pixels


class FakeSource(DisplaySource):
    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.keys: list[tuple[int, int, bool]] = []
        self.pointers: list[tuple[int, int, PointerButton]] = []
        self.visible: bool | None = None
        self.closed = False
        self._state = SourceState.CONNECTING
        self._error: Exception | None = None
        self._framebuffer: Framebuffer | None = None
        self._damage: list[Rect] = []
        self.sizes: list[tuple[int, int]] = []
        self.powers: list[PowerAction] = []
        self.clipboards: list[str] = []
        self.policy = ClipboardPolicy.OFF
        self.quality = Quality.AUTO
        self.sound = False
        self._features = SourceFeature.NONE
        self._security = SourceSecurity.LOCAL
        self._heads: tuple[Head, ...] = ()

    @property
    def state(self) -> SourceState:
        return self._state

    @property
    def error(self) -> Exception | None:
        return self._error

    @property
    def framebuffer(self) -> Framebuffer | None:
        return self._framebuffer

    def open(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True
        self._state = SourceState.DISCONNECTED

    def take_damage(self) -> list[Rect]:
        damage, self._damage = self._damage, []
        return damage

    def send_key(self, scancode: int, keysym: int, pressed: bool) -> None:
        self.keys.append((scancode, keysym, pressed))

    def send_pointer(self, x: int, y: int, buttons: PointerButton) -> None:
        self.pointers.append((x, y, buttons))

    def set_visible(self, visible: bool) -> None:
        self.visible = visible

    @property
    def features(self) -> SourceFeature:
        return self._features

    @property
    def security(self) -> SourceSecurity:
        return self._security

    @property
    def heads(self) -> tuple[Head, ...]:
        return self._heads or super().heads

    def request_size(self, width: int, height: int) -> None:
        self.sizes.append((width, height))

    def send_power(self, action: PowerAction) -> None:
        self.powers.append(action)

    def set_clipboard_policy(self, policy: ClipboardPolicy) -> None:
        self.policy = policy

    def set_sound(self, on: bool) -> None:
        self.sound = on

    def send_clipboard(self, text: str) -> None:
        self.clipboards.append(text)

    def set_quality(self, quality: Quality) -> None:
        self.quality = quality

    # --- the test's side ------------------------------------------------------------------------------

    def show(self, pixels: Pixels) -> None:
        """Connect, if not done, with this picture; a new size is a resize."""
        height, width = pixels.shape[:2]
        if self._framebuffer is None or (self._framebuffer.width, self._framebuffer.height) != (width, height):
            self._framebuffer = Framebuffer(width, height)
            self.resized.emit(self._framebuffer)
        self.draw(0, 0, pixels)
        if self._state is SourceState.CONNECTING:
            self._state = SourceState.CONNECTED
            self.stateChanged.emit(self._state)

    def draw(self, x: int, y: int, pixels: Pixels) -> None:
        assert self._framebuffer is not None
        height, width = pixels.shape[:2]
        self._framebuffer.pixels[y : y + height, x : x + width] = pixels
        self._damage.append(Rect(x, y, width, height))
        self.damaged.emit()

    @property
    def is_taken(self) -> bool:
        """Whether the widget knows of all that was drawn; it asks at most once for each refresh of the screen."""
        return not self._damage

    def fail(self, error: Exception) -> None:
        self._error = error
        self._state = SourceState.DISCONNECTED
        self.stateChanged.emit(self._state)

    def set_cursor(self, cursor: CursorShape | None) -> None:
        self.cursorChanged.emit(cursor)

    def set_pointer_mode(self, mode: PointerMode) -> None:
        self.pointerModeChanged.emit(mode)

    def set_leds(self, leds: KeyboardLeds) -> None:
        self.ledsChanged.emit(leds)

    def set_features(self, features: SourceFeature) -> None:
        self._features = features
        self.featuresChanged.emit(features)

    def set_security(self, security: SourceSecurity) -> None:
        self._security = security
        self.securityChanged.emit(security)

    def set_heads(self, heads: tuple[Head, ...]) -> None:
        self._heads = heads
        self.headsChanged.emit(heads)

    def receive_clipboard(self, text: str) -> None:
        self.clipboardReceived.emit(text)

    def refuse(self, reason: str) -> None:
        self.refused.emit(reason)

    def ring(self) -> None:
        self.bell.emit()
