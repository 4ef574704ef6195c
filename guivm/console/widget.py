"""The console: a guest's screen, keyboard and mouse as one widget.

The widget only paints and forwards; sockets and decoding live on the source's thread. Coordinates are device pixels
throughout (see :mod:`guivm.console.viewport`), so that a guest pixel is exact at every desktop scale.
"""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPoint, QPointF, QRect, QSize, Qt, Signal, Slot
from PySide6.QtGui import (
    QColor,
    QCursor,
    QFocusEvent,
    QGuiApplication,
    QHideEvent,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPalette,
    QResizeEvent,
    QShowEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from guivm.console.faces import CaptureHint, ConsoleFace, FacePanel, FaceWords, disconnected_words, face_words
from guivm.console.frame import CursorShape, Framebuffer, PointerMode, SourceState
from guivm.console.guest_input import GuestInput
from guivm.console.keyboard import (
    DEFAULT_HOST_KEY,
    HOST_KEYS,
    HostKeyRouter,
    Route,
    evdev_code,
    host_key_label,
    key_name,
    keysym,
)
from guivm.console.pointer import CursorKeeper, RelativeMotion
from guivm.console.screen import DeviceArea, Screen, paint_around
from guivm.console.scrolling import ScrollBars
from guivm.console.source import DisplaySource
from guivm.console.viewport import ScaleMode, Viewport
from guivm.errors import GuivmError

__all__ = ["ConsoleFace", "ConsoleWidget", "ScaleMode"]

_FRAME = 2  # logical pixels around the picture, where the capture frame is; none in full screen
_DEFAULT_SIZE = QSize(720, 400)  # a PC's text mode
_ENTER = (Qt.Key.Key_Return, Qt.Key.Key_Enter)


class ConsoleWidget(QWidget):
    """GUI thread. Owns the source it was given.

    Keyboard focus alone sends nothing to the guest: a click into the picture or Enter *captures*, the Host key alone
    gives the keyboard back. The first click is delivered as well. Only captured input reaches the guest.
    """

    captureChanged = Signal(bool)
    hostCommand = Signal(str)  # name of the key pressed with the Host key: "P", "F", "S", …
    reconnectRequested = Signal()
    framebufferResized = Signal(QSize)  # guest pixels
    sourceStateChanged = Signal(object)  # SourceState
    frameShown = Signal()  # the first frame of a source is there

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("console-screen")
        self.setAccessibleName(self.tr("Guest screen"))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setAttribute(Qt.WidgetAttribute.WA_InputMethodEnabled, False)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self._source: DisplaySource | None = None
        self._screen: Screen | None = None
        self._coming: Framebuffer | None = None
        self._face = ConsoleFace.NO_DISPLAY
        self._face_text = ""
        self._mode = ScaleMode.FIT
        self._captured = False
        self._router = HostKeyRouter(HOST_KEYS[DEFAULT_HOST_KEY])
        self._input = GuestInput()
        self._motion = RelativeMotion()
        self._mouse_grabbed = False
        self._cursor = CursorKeeper(self)
        self._bars = ScrollBars(self)
        self._bars.scrolled.connect(self.update)
        self._panel = FacePanel(self)
        self._panel.buttonClicked.connect(self.reconnectRequested)
        self._hint = CaptureHint(self)
        self._update_face()

    # --- source ---------------------------------------------------------------------------------------

    def source(self) -> DisplaySource | None:
        return self._source

    def set_source(self, source: DisplaySource | None) -> None:
        """Show another source, or none. Takes it over (close and deletion included); the caller opens it."""
        if source is self._source:
            return
        self.release_capture()
        old, self._source = self._source, source
        self._coming = None
        if old is not None:
            old.disconnect(self)
            old.close()
            old.deleteLater()
        self._input.source = source
        self._input.set_mode(PointerMode.ABSOLUTE)
        self._cursor.forget()
        if source is not None:
            source.setParent(self)
            source.stateChanged.connect(self._on_state)
            source.resized.connect(self._on_resized)
            source.damaged.connect(self._on_damaged)
            source.cursorChanged.connect(self._on_cursor)
            source.pointerModeChanged.connect(self._on_pointer_mode)
            source.set_visible(self.isVisible())
            if source.framebuffer is not None:
                self._on_resized(source.framebuffer)
        self._update_face()
        self._update_input()

    @Slot(object)
    def _on_state(self, state: SourceState) -> None:
        if state is SourceState.DISCONNECTED:
            self.release_capture()
        elif state is SourceState.CONNECTED and self._coming is not None:
            self._show_framebuffer(self._coming)
        self._update_face()
        self._update_input()
        if state is SourceState.CONNECTED:
            self.frameShown.emit()
        self.sourceStateChanged.emit(state)

    @Slot(object)
    def _on_resized(self, framebuffer: Framebuffer) -> None:
        connecting = self._source is not None and self._source.state is SourceState.CONNECTING
        if connecting and self._screen is not None:
            # The picture of the source before stays until this one has its own: nothing flashes on reconnecting.
            self._coming = framebuffer
        else:
            self._show_framebuffer(framebuffer)

    def _show_framebuffer(self, framebuffer: Framebuffer) -> None:
        self._coming = None
        self._screen = Screen(framebuffer)
        self._lay_out()
        self.updateGeometry()
        self.update()
        self.framebufferResized.emit(QSize(framebuffer.width, framebuffer.height))

    @Slot()
    def _on_damaged(self) -> None:
        assert self._source is not None
        damage = self._source.take_damage()
        port = self._port()
        if port is None or not self._shows_picture():
            return
        area = self._area()
        for rect in damage:
            self.update(area.to_logical(port.damage_to_device(rect)))

    @Slot(object)
    def _on_cursor(self, cursor: CursorShape | None) -> None:
        self._cursor.learn(cursor)
        self._update_cursor()

    @Slot(object)
    def _on_pointer_mode(self, mode: PointerMode) -> None:
        self._input.set_mode(mode)
        self._update_input()

    def current_image(self) -> QImage:
        """A copy of the guest's picture as it is now; a null image when there is none."""
        return self._screen.image.copy() if self._screen is not None else QImage()

    # --- face -----------------------------------------------------------------------------------------

    def face(self) -> ConsoleFace:
        return self._face

    def set_face(self, face: ConsoleFace, text: str = "") -> None:
        """State of the VM; ``text`` replaces the second line. LIVE speaks for itself where the source does not."""
        if (face, text) == (self._face, self._face_text):
            return
        self._face, self._face_text = face, text
        if not face.takes_input:
            self._input.let_go()
            if face is not ConsoleFace.PAUSED:  # there the Host key resumes, and typing goes on
                self.release_capture()
        if not face.shows_picture:
            self._screen = None
            self._lay_out()
        elif self._screen is None and self._source is not None and self._source.framebuffer is not None:
            self._on_resized(self._source.framebuffer)
        self._update_face()
        self._update_input()

    def _update_face(self) -> None:
        words = self._words()
        self._panel.show_words(words)
        self.setAccessibleDescription(" ".join(part for part in (words.heading, words.text) if part))
        self.update()

    def _words(self) -> FaceWords:
        if self._face is not ConsoleFace.LIVE:
            return face_words(self._face, self._face_text, self.host_key_label())
        state = self._source.state if self._source is not None else SourceState.CONNECTING
        if state is SourceState.CONNECTED:
            return FaceWords()
        if state is SourceState.CONNECTING:
            return face_words(ConsoleFace.CONNECTING, self._face_text, "")
        error = self._source.error if self._source is not None else None
        return disconnected_words(self._face_text or (str(error) if isinstance(error, GuivmError) else ""))

    def _shows_picture(self) -> bool:
        return self._screen is not None and self._face.shows_picture

    def _is_dimmed(self) -> bool:
        connected = self._source is not None and self._source.state is SourceState.CONNECTED
        return not self._face.takes_input or not connected

    # --- geometry -------------------------------------------------------------------------------------

    def scale_mode(self) -> ScaleMode:
        return self._mode

    def set_scale_mode(self, mode: ScaleMode) -> None:
        if mode is not self._mode:
            self._mode = mode
            self._lay_out()
            self.update()

    def sizeHint(self) -> QSize:
        """The guest's screen at one guest pixel per device pixel, with the capture frame."""
        if self._screen is None:
            return _DEFAULT_SIZE
        dpr = self.devicePixelRatioF()
        fb = self._screen.framebuffer
        frame = 2 * self._frame_pixels()
        return QSize(-int(-(fb.width + frame) // dpr), -int(-(fb.height + frame) // dpr))

    def minimumSizeHint(self) -> QSize:
        return QSize(160, 120)

    def guest_to_widget(self, x: int, y: int) -> QPointF | None:
        """Middle of the device pixel that shows a guest pixel, in the widget; None without a picture."""
        port = self._port()
        if port is None:
            return None
        area = self._area()
        device_x, device_y = port.from_guest(x, y)
        return QPointF(
            (device_x + 0.5 + area.horizontal.start - area.origin_x) / area.dpr,
            (device_y + 0.5 + area.vertical.start - area.origin_y) / area.dpr,
        )

    def _frame_pixels(self) -> int:
        """Device pixels on each side."""
        return 0 if self.window().isFullScreen() else max(1, round(_FRAME * self.devicePixelRatioF()))

    def _area(self) -> DeviceArea:
        """Asked for anew each time: widgets are not told when their parents move within the window."""
        dpr = self.devicePixelRatioF()
        origin = self.mapTo(self.window(), QPoint(0, 0))
        return DeviceArea.of(origin.x() * dpr, origin.y() * dpr, self.width(), self.height(), dpr)

    def _port(self, area: DeviceArea | None = None) -> Viewport | None:
        if self._screen is None:
            return None
        fb = self._screen.framebuffer
        view = self._bars.view(area or self._area(), self._frame_pixels())
        if self._mode is ScaleMode.ACTUAL:
            return Viewport.actual(fb.width, fb.height, view, *self._bars.position)
        return Viewport.fit(fb.width, fb.height, view)

    def _lay_out(self) -> None:
        """Place scroll bars, panel and hint."""
        picture = None
        if self._screen is not None and self._mode is ScaleMode.ACTUAL:
            picture = (self._screen.framebuffer.width, self._screen.framebuffer.height)
        self._bars.place(picture, self._area(), self._frame_pixels())
        self._panel.place()
        if self._hint.isVisible():
            self._hint.place()
        self._update_cursor()

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._lay_out()

    def event(self, event: QEvent) -> bool:
        kind = event.type()
        if kind == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent) and self._wants_key(event):
            event.accept()
            return True
        if kind == QEvent.Type.DevicePixelRatioChange:
            self._lay_out()
            self.updateGeometry()
            self.update()
        return super().event(event)

    # --- painting -------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        try:
            # Asked of the painter: it may paint into a pixmap, at a place other than the window's.
            base = painter.deviceTransform()
            area = DeviceArea.of(base.dx(), base.dy(), self.width(), self.height(), base.m11())
            area.enter(painter)
            port = self._port(area)
            hole = QRect()
            if port is not None and self._screen is not None and self._shows_picture():
                view = self._bars.view(area, self._frame_pixels())
                hole = QRect(port.x, port.y, port.width, port.height)
                hole &= QRect(view.x, view.y, view.width, view.height)
                region = event.region()
                self._screen.paint(painter, area, port, region, dimmed=self._is_dimmed())
            paint_around(painter, area, hole, self._background())
            if self._captured and (frame := self._frame_pixels()):
                inner = area.rect
                hole = QRect(frame, frame, inner.width - 2 * frame, inner.height - 2 * frame)
                self._paint_frame(painter, area, hole)
        finally:
            painter.end()

    def _background(self) -> QColor | Qt.GlobalColor:
        if self.window().isFullScreen():
            return Qt.GlobalColor.black
        return self.palette().color(QPalette.ColorRole.Window)

    def _paint_frame(self, painter: QPainter, area: DeviceArea, hole: QRect) -> None:
        paint_around(painter, area, hole, self.palette().color(QPalette.ColorRole.Highlight))

    # --- capture --------------------------------------------------------------------------------------

    def is_captured(self) -> bool:
        return self._captured

    def capture(self) -> None:
        """Send keyboard and mouse to the guest from now on, if there is one to take them."""
        if self._captured or not self._takes_input():
            return
        self._captured = True
        self.setFocus(Qt.FocusReason.OtherFocusReason)
        if self._can_grab():
            self.grabKeyboard()
        self._hint.show_text(self.tr("Press {key} to release keyboard and mouse").format(key=self.host_key_label()))
        self._update_input()
        self.update()
        self.captureChanged.emit(True)

    def release_capture(self) -> None:
        """Let go of everything held down in the guest and give keyboard and mouse back."""
        self._input.let_go()
        if not self._captured:
            return
        self._captured = False
        if self._can_grab():
            self.releaseKeyboard()
        self._hint.dismiss()
        self._update_input()
        self.update()
        self.captureChanged.emit(False)

    @staticmethod
    def _can_grab() -> bool:
        """Only X11 lets an application take keyboard and mouse; Qt's other platforms refuse with a warning.

        There the application's own shortcuts still go to the guest (ShortcutOverride), the desktop's do not.
        """
        return QGuiApplication.platformName() == "xcb"

    def host_key_label(self) -> str:
        return host_key_label(self._router.host)

    def set_host_key(self, name: str) -> None:
        """A name of HOST_KEYS; an unknown one means the default."""
        self._router.set_host(HOST_KEYS.get(name, HOST_KEYS[DEFAULT_HOST_KEY]))
        self._update_face()

    def _takes_input(self) -> bool:
        return self._face.takes_input and self._source is not None and self._source.state is SourceState.CONNECTED

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self._router.reset()
        self.release_capture()
        super().focusOutEvent(event)

    def hideEvent(self, event: QHideEvent) -> None:
        self._router.reset()
        self.release_capture()
        if self._source is not None:
            self._source.set_visible(False)
        super().hideEvent(event)

    def showEvent(self, event: QShowEvent) -> None:
        if self._source is not None:
            self._source.set_visible(True)
        self._lay_out()
        super().showEvent(event)

    # --- keyboard -------------------------------------------------------------------------------------

    def _wants_key(self, event: QKeyEvent) -> bool:
        """Whether a key is ours before it is anybody's shortcut: all of them while captured, and Enter, to capture."""
        return self._captured or self._is_enter(event)

    def _is_enter(self, event: QKeyEvent) -> bool:
        plain = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier == Qt.KeyboardModifier.NoModifier
        return event.key() in _ENTER and plain and self._takes_input()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        code = evdev_code(event)
        route = self._router.pressed(code, repeat=event.isAutoRepeat())
        if route is Route.HOST_COMMAND:
            self.hostCommand.emit(key_name(event))
        elif route is Route.GUEST:
            if self._captured:
                self._input.press_key(code, keysym(event))
            elif self._is_enter(event) and not event.isAutoRepeat():
                self.capture()
            else:
                super().keyPressEvent(event)
                return
        event.accept()

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        if event.isAutoRepeat():  # X11 sends a release before each repeated press; a held key is still held
            event.accept()
            return
        code = evdev_code(event)
        route = self._router.released(code)
        if route is Route.HOST_ALONE:
            self.release_capture()
        elif route is Route.GUEST and not self._input.release_key(code, keysym(event)) and not self._captured:
            super().keyReleaseEvent(event)
            return
        event.accept()

    def focusNextPrevChild(self, forward: bool) -> bool:
        """Tab belongs to the guest while captured."""
        return False if self._captured else super().focusNextPrevChild(forward)

    # --- mouse ----------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._router.use()
        if not self._captured and self._is_over_picture(event.position()):
            self.capture()
            self._motion.reset(event.globalPosition())
        if self._captured:
            self._input.press_button(event.button())
            self._point(event)
        event.accept()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self.mousePressEvent(event)  # Qt's name for the second press

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._input.release_button(event.button()):
            self._point(event)
        event.accept()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._captured:
            self._point(event)
        self._update_cursor(event.position())
        event.accept()

    def wheelEvent(self, event: QWheelEvent) -> None:
        if not self._captured:
            event.ignore()
            return
        self._input.turn_wheel(event.angleDelta(), self._guest_position(event.position()))
        event.accept()

    def _is_over_picture(self, position: QPointF) -> bool:
        area = self._area()
        port = self._port(area)
        return port is not None and port.contains(*area.to_device(position.x(), position.y()))

    def _point(self, event: QMouseEvent) -> None:
        if self._input.mode is PointerMode.RELATIVE:
            self._move_relative(event.globalPosition())
        else:
            self._input.point(*self._guest_position(event.position()))

    def _guest_position(self, position: QPointF) -> tuple[int, int]:
        area = self._area()
        port = self._port(area)
        return port.to_guest(*area.to_device(position.x(), position.y())) if port is not None else (0, 0)

    def _move_relative(self, position: QPointF) -> None:
        self._input.move(*self._motion.moved(position, self.devicePixelRatioF()))
        if not self._mouse_grabbed:
            return
        # Far from the middle only: a jump for every movement would race with the movements under way.
        middle = QPointF(self.mapToGlobal(self.rect().center()))
        if (position - middle).manhattanLength() > min(self.width(), self.height()) / 4:
            QCursor.setPos(middle.toPoint())
            self._motion.warped(middle)

    def _update_input(self) -> None:
        """Captured or not, paused or not, absolute or not: what follows from it."""
        self._input.enabled = self._captured and self._takes_input()
        self._update_mouse_grab()
        self._update_cursor()

    def _update_mouse_grab(self) -> None:
        """Only a guest with a relative mouse needs the host's pointer for itself."""
        wanted = self._input.enabled and self._input.mode is PointerMode.RELATIVE
        if wanted and not self._mouse_grabbed:
            self._motion.reset(QPointF(QCursor.pos()))
            if self._can_grab():
                self.grabMouse()
        elif not wanted and self._mouse_grabbed and self._can_grab():
            self.releaseMouse()
        self._mouse_grabbed = wanted

    # --- cursor ---------------------------------------------------------------------------------------

    def _update_cursor(self, position: QPointF | None = None) -> None:
        """The guest's shape over its picture while captured, else the desktop's arrow."""
        if position is None:
            position = QPointF(self.mapFromGlobal(QCursor.pos()))
        port = self._port()
        if port is None or not self._input.enabled:
            self._cursor.show_arrow()
        elif self._input.mode is PointerMode.RELATIVE:
            self._cursor.show_nothing()
        elif not self._is_over_picture(position):
            self._cursor.show_arrow()
        else:
            self._cursor.show_guest(port.scale, self.devicePixelRatioF())
