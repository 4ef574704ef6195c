"""A display source without a server: tests paint into it and read what it was sent."""

from __future__ import annotations

from PySide6.QtCore import QObject

from guivm.console.source import CursorShape, DisplaySource, Framebuffer, PointerButton, PointerMode, Rect, SourceState
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

    def fail(self, error: Exception) -> None:
        self._error = error
        self._state = SourceState.DISCONNECTED
        self.stateChanged.emit(self._state)

    def set_cursor(self, cursor: CursorShape | None) -> None:
        self.cursorChanged.emit(cursor)

    def set_pointer_mode(self, mode: PointerMode) -> None:
        self.pointerModeChanged.emit(mode)
