"""One of a display's several screens, as a source of its own."""

from __future__ import annotations

from PySide6.QtCore import QObject, Slot

from guivm.console.source import (
    DisplaySource,
    Framebuffer,
    Head,
    PointerButton,
    PointerMode,
    PowerAction,
    Rect,
    SourceFeature,
    SourceSecurity,
    SourceState,
)


class HeadSource(DisplaySource):
    """Shows the part of another source's framebuffer that is screen number ``index`` there.

    The other source stays with its owner, who opens and closes it, and hands this one its damage with
    :meth:`add_damage`, since damage can be taken only once. Keys and power go to the whole; positions are moved to
    where the screen lies. Asking for a size or a clipboard is the owner's. GUI thread.
    """

    def __init__(self, whole: DisplaySource, index: int, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._whole = whole
        self._index = index
        self._mode = PointerMode.ABSOLUTE
        self._state = SourceState.CONNECTING
        self._framebuffer: Framebuffer | None = None
        self._head: Head | None = None
        self._damage: list[Rect] = []
        whole.stateChanged.connect(self._on_state)
        whole.resized.connect(self._on_layout)
        whole.headsChanged.connect(self._on_layout)
        whole.cursorChanged.connect(self.cursorChanged)
        whole.pointerModeChanged.connect(self._on_pointer_mode)
        whole.ledsChanged.connect(self.ledsChanged)
        whole.destroyed.connect(self._on_gone)

    @property
    def state(self) -> SourceState:
        return self._state

    @property
    def error(self) -> Exception | None:
        return self._whole.error if self._state is SourceState.DISCONNECTED else None

    @property
    def framebuffer(self) -> Framebuffer | None:
        return self._framebuffer

    @property
    def features(self) -> SourceFeature:
        return self._whole.features & SourceFeature.POWER

    @property
    def security(self) -> SourceSecurity:
        return self._whole.security

    @property
    def index(self) -> int:
        """Which screen, counted from 0."""
        return self._index

    def open(self) -> None:
        self._on_layout()
        if self._whole.state is SourceState.CONNECTED:
            self._on_state(SourceState.CONNECTED)

    def close(self) -> None:
        self._state = SourceState.DISCONNECTED

    def add_damage(self, rects: list[Rect]) -> None:
        """Damage of the whole framebuffer; what lies on this screen is announced."""
        head = self._head
        if head is None or self._framebuffer is None:
            return
        was_empty = not self._damage
        for rect in rects:
            left, top = max(rect.x, head.x), max(rect.y, head.y)
            right = min(rect.x + rect.width, head.x + self._framebuffer.width)
            bottom = min(rect.y + rect.height, head.y + self._framebuffer.height)
            if right > left and bottom > top:
                self._damage.append(Rect(left - head.x, top - head.y, right - left, bottom - top))
        if was_empty and self._damage:
            self.damaged.emit()

    def take_damage(self) -> list[Rect]:
        damage, self._damage = self._damage, []
        return damage

    def send_key(self, scancode: int, keysym: int, pressed: bool) -> None:
        if self._state is SourceState.CONNECTED:
            self._whole.send_key(scancode, keysym, pressed)

    def send_pointer(self, x: int, y: int, buttons: PointerButton) -> None:
        if self._state is not SourceState.CONNECTED:
            return
        if self._mode is PointerMode.ABSOLUTE and self._head is not None:
            x, y = x + self._head.x, y + self._head.y
        self._whole.send_pointer(x, y, buttons)

    def send_power(self, action: PowerAction) -> None:
        self._whole.send_power(action)

    def set_visible(self, visible: bool) -> None:
        """The owner decides for the whole."""

    # --- following the whole --------------------------------------------------------------------------

    @Slot()
    def _on_layout(self, _news: object = None) -> None:
        """Heads may lie partly outside the framebuffer while a resize is under way: what is inside is shown."""
        whole = self._whole.framebuffer
        heads = self._whole.heads
        head = heads[self._index] if self._index < len(heads) else None
        if whole is None or head is None:
            return
        width = min(head.width, whole.width - head.x)
        height = min(head.height, whole.height - head.y)
        if width <= 0 or height <= 0:
            return
        self._head = head
        self._damage = []
        self._framebuffer = Framebuffer.part_of(whole, head.x, head.y, width, height)
        self.resized.emit(self._framebuffer)

    @Slot(object)
    def _on_state(self, state: SourceState) -> None:
        if state is not self._state and self._state is not SourceState.DISCONNECTED:
            self._state = state
            self.stateChanged.emit(state)

    @Slot(object)
    def _on_pointer_mode(self, mode: PointerMode) -> None:
        self._mode = mode
        self.pointerModeChanged.emit(mode)

    @Slot()
    def _on_gone(self) -> None:
        self._state = SourceState.DISCONNECTED
