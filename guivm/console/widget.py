"""The console: a guest's screen, keyboard and mouse as one widget.

The widget only paints and forwards; sockets and decoding live on the source's thread. Coordinates are device pixels
throughout (see :mod:`guivm.console.viewport`), so that a guest pixel is exact at every desktop scale.
"""

from __future__ import annotations

import math

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
from PySide6.QtWidgets import QScrollBar, QSizePolicy, QWidget

from guivm.console.faces import CaptureHint, ConsoleFace, FacePanel, FaceWords, disconnected_words, face_words
from guivm.console.frame import CursorShape, Framebuffer, PointerButton, PointerMode, Rect, SourceState
from guivm.console.keyboard import (
    DEFAULT_HOST_KEY,
    HOST_KEYS,
    HostKeyRouter,
    PressedKeys,
    Route,
    evdev_code,
    host_key_label,
    key_name,
    keysym,
)
from guivm.console.pointer import RelativeMotion, WheelSteps, guest_button, guest_cursor
from guivm.console.screen import DeviceArea, Screen, paint_around
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
        self._face = ConsoleFace.NO_DISPLAY
        self._face_text = ""
        self._mode = ScaleMode.FIT
        self._captured = False
        self._router = HostKeyRouter(HOST_KEYS[DEFAULT_HOST_KEY])
        self._keys = PressedKeys()
        self._buttons = PointerButton.NONE
        self._buttons_sent = PointerButton.NONE
        self._position = (0, 0)  # guest pixels, last sent
        self._wheel = WheelSteps()
        self._motion = RelativeMotion()
        self._pointer_mode = PointerMode.ABSOLUTE
        self._mouse_grabbed = False
        self._cursor_known = False
        self._cursor: CursorShape | None = None
        self._cursor_shown: tuple[CursorShape | None, float, float] | None = None
        self._horizontal = self._scroll_bar(Qt.Orientation.Horizontal)
        self._vertical = self._scroll_bar(Qt.Orientation.Vertical)
        self._panel = FacePanel(self)
        self._panel.buttonClicked.connect(self.reconnectRequested)
        self._hint = CaptureHint(self)
        self._update_face()

    def _scroll_bar(self, orientation: Qt.Orientation) -> QScrollBar:
        bar = QScrollBar(orientation, self)
        horizontal = orientation is Qt.Orientation.Horizontal
        bar.setObjectName("console-scroll-horizontal" if horizontal else "console-scroll-vertical")
        bar.setAccessibleName(self.tr("Scroll sideways") if horizontal else self.tr("Scroll up and down"))
        bar.setSingleStep(16)
        bar.setCursor(Qt.CursorShape.ArrowCursor)
        bar.valueChanged.connect(self._scrolled)
        bar.hide()
        return bar

    # --- source ---------------------------------------------------------------------------------------

    def source(self) -> DisplaySource | None:
        return self._source

    def set_source(self, source: DisplaySource | None) -> None:
        """Show another source, or none. Takes it over (close and deletion included); the caller opens it."""
        if source is self._source:
            return
        self.release_capture()
        old, self._source = self._source, source
        if old is not None:
            old.disconnect(self)
            old.close()
            old.deleteLater()
        self._pointer_mode = PointerMode.ABSOLUTE
        self._cursor_known, self._cursor = False, None
        if source is not None:
            source.setParent(self)
            source.stateChanged.connect(self._on_state)
            source.resized.connect(self._on_resized)
            source.damaged.connect(self._on_damaged)
            source.cursorChanged.connect(self._on_cursor)
            source.pointerModeChanged.connect(self._on_pointer_mode)
            source.set_visible(self.isVisible())
            # The picture of the source before stays until this one has its own: nothing flashes on reconnecting.
            if source.framebuffer is not None:
                self._on_resized(source.framebuffer)
        self._update_face()
        self._update_cursor()

    @Slot(object)
    def _on_state(self, state: SourceState) -> None:
        if state is SourceState.DISCONNECTED:
            self._let_go()
            self.release_capture()
        self._update_face()
        if state is SourceState.CONNECTED:
            self.frameShown.emit()
        self.sourceStateChanged.emit(state)

    @Slot(object)
    def _on_resized(self, framebuffer: Framebuffer) -> None:
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
        self._cursor_known, self._cursor = True, cursor
        self._update_cursor()

    @Slot(object)
    def _on_pointer_mode(self, mode: PointerMode) -> None:
        self._release_buttons()
        self._pointer_mode = mode
        self._update_mouse_grab()
        self._update_cursor()

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
            self._let_go()
            if face is not ConsoleFace.PAUSED:  # there the Host key resumes, and typing goes on
                self.release_capture()
        if not face.shows_picture:
            self._screen = None
            self._lay_out()
        elif self._screen is None and self._source is not None and self._source.framebuffer is not None:
            self._on_resized(self._source.framebuffer)
        self._update_mouse_grab()
        self._update_face()
        self._update_cursor()

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

    def _view(self, area: DeviceArea) -> Rect:
        """Where the picture may be: inside of the frame and of the scroll bars."""
        frame = self._frame_pixels()
        right, bottom = area.horizontal.length - frame, area.vertical.length - frame
        if not self._vertical.isHidden():
            right = min(right, int(area.to_device(self._vertical.x(), 0)[0]))
        if not self._horizontal.isHidden():
            bottom = min(bottom, int(area.to_device(0, self._horizontal.y())[1]))
        return Rect(frame, frame, max(1, right - frame), max(1, bottom - frame))

    def _port(self, area: DeviceArea | None = None) -> Viewport | None:
        if self._screen is None:
            return None
        fb = self._screen.framebuffer
        view = self._view(area or self._area())
        if self._mode is ScaleMode.ACTUAL:
            return Viewport.actual(fb.width, fb.height, view, self._horizontal.value(), self._vertical.value())
        return Viewport.fit(fb.width, fb.height, view)

    def _lay_out(self) -> None:
        """Place scroll bars, panel and hint."""
        across, down = False, False
        area = self._area()
        thickness = self._vertical.sizeHint().width()
        if self._screen is not None and self._mode is ScaleMode.ACTUAL:
            fb = self._screen.framebuffer
            frame = self._frame_pixels()
            bar_pixels = math.ceil(thickness * area.dpr)
            width, height = area.horizontal.length - 2 * frame, area.vertical.length - 2 * frame
            across, down = fb.width > width, fb.height > height
            across = across or (down and fb.width > width - bar_pixels)
            down = down or (across and fb.height > height - bar_pixels)
        corner = thickness if across and down else 0
        self._horizontal.setGeometry(0, self.height() - thickness, self.width() - corner, thickness)
        self._vertical.setGeometry(self.width() - thickness, 0, thickness, self.height() - corner)
        self._horizontal.setVisible(across)
        self._vertical.setVisible(down)
        if self._screen is not None:
            view = self._view(area)
            guest = self._screen.framebuffer
            for bar, wanted, room in (
                (self._horizontal, guest.width, view.width),
                (self._vertical, guest.height, view.height),
            ):
                bar.setRange(0, max(0, wanted - room))
                bar.setPageStep(max(1, room))
        self._panel.place()
        if self._hint.isVisible():
            self._hint.place()
        self._update_cursor()

    @Slot(int)
    def _scrolled(self, _value: int) -> None:
        self.update()

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
                view = self._view(area)
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
        self._update_mouse_grab()
        self._update_cursor()
        self.update()
        self.captureChanged.emit(True)

    def release_capture(self) -> None:
        """Let go of everything held down in the guest and give keyboard and mouse back."""
        self._let_go()
        if not self._captured:
            return
        self._captured = False
        if self._can_grab():
            self.releaseKeyboard()
        self._hint.dismiss()
        self._update_mouse_grab()
        self._update_cursor()
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

    def _let_go(self) -> None:
        """Release every key and button that the guest believes to be down."""
        for code, symbol in self._keys.release_all():
            if self._source is not None:
                self._source.send_key(code, symbol, False)
        self._release_buttons()

    def _release_buttons(self) -> None:
        if self._buttons:
            self._buttons = PointerButton.NONE
            self._send_pointer(0, 0)

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
        """Whether a key is ours before it is anybody's shortcut."""
        if self._captured or self._router.is_down or evdev_code(event) == self._router.host.code:
            return True
        return self._is_enter(event)

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
                self._press(code, keysym(event))
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
        elif route is Route.GUEST:
            held = self._keys.release(code, keysym(event))
            if held is not None and self._source is not None:
                self._source.send_key(code, held, False)
            elif not self._captured:
                super().keyReleaseEvent(event)
                return
        event.accept()

    def _press(self, code: int, symbol: int) -> None:
        if self._takes_input() and self._source is not None and self._keys.press(code, symbol):
            self._source.send_key(code, symbol, True)

    def focusNextPrevChild(self, forward: bool) -> bool:
        """Tab belongs to the guest while captured."""
        return False if self._captured else super().focusNextPrevChild(forward)

    # --- mouse ----------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        button = guest_button(event.button())
        self._router.use()
        if not self._captured and self._is_over_picture(event.position()):
            self.capture()
            self._motion.reset(event.globalPosition())
        if self._captured and button:
            self._buttons |= button
            self._point(event)
        event.accept()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self.mousePressEvent(event)  # Qt's name for the second press

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        button = guest_button(event.button())
        if self._buttons & button:
            self._buttons &= ~button
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
        for click in self._wheel.turn(event.angleDelta()):
            self._point_at(event.position(), self._buttons | click)
            self._point_at(event.position(), self._buttons)
        event.accept()

    def _is_over_picture(self, position: QPointF) -> bool:
        area = self._area()
        port = self._port(area)
        return port is not None and port.contains(*area.to_device(position.x(), position.y()))

    def _point(self, event: QMouseEvent) -> None:
        if self._pointer_mode is PointerMode.RELATIVE:
            self._point_relative(event.globalPosition())
        else:
            self._point_at(event.position(), self._buttons)

    def _point_at(self, position: QPointF, buttons: PointerButton) -> None:
        area = self._area()
        port = self._port(area)
        if port is None or not self._takes_input() or self._source is None:
            return
        self._buttons_sent = buttons
        if self._pointer_mode is PointerMode.RELATIVE:
            self._source.send_pointer(0, 0, buttons)
            return
        self._position = port.to_guest(*area.to_device(position.x(), position.y()))
        self._source.send_pointer(*self._position, buttons)

    def _point_relative(self, position: QPointF) -> None:
        dx, dy = self._motion.moved(position, self.devicePixelRatioF())
        if dx or dy or self._buttons != self._buttons_sent:
            self._send_pointer(dx, dy)
        if not self._mouse_grabbed:
            return
        # Far from the middle only: a jump for every movement would race with the movements under way.
        middle = QPointF(self.mapToGlobal(self.rect().center()))
        if (position - middle).manhattanLength() > min(self.width(), self.height()) / 4:
            QCursor.setPos(middle.toPoint())
            self._motion.warped(middle)

    def _send_pointer(self, dx: int, dy: int) -> None:
        """The buttons as they are, with a movement or at the last position."""
        if self._source is not None:
            relative = self._pointer_mode is PointerMode.RELATIVE
            self._source.send_pointer(*((dx, dy) if relative else self._position), self._buttons)
            self._buttons_sent = self._buttons

    def _update_mouse_grab(self) -> None:
        """Only a guest with a relative mouse needs the host's pointer for itself."""
        wanted = self._captured and self._takes_input() and self._pointer_mode is PointerMode.RELATIVE
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
        if not (self._captured and self._takes_input() and self._is_over_picture(position)):
            self._show_cursor(None)
        elif self._pointer_mode is PointerMode.RELATIVE or (self._cursor_known and self._cursor is None):
            self._show_cursor((None, 1.0, 1.0))
        elif self._cursor is None:
            self._show_cursor(None)
        else:
            port = self._port()
            assert port is not None
            self._show_cursor((self._cursor, port.scale, self.devicePixelRatioF()))

    def _show_cursor(self, wanted: tuple[CursorShape | None, float, float] | None) -> None:
        """None: the arrow; no shape: nothing."""
        shown = self._cursor_shown
        if wanted is None:
            if shown is not None:
                self.unsetCursor()
        elif shown is None or wanted[0] is not shown[0] or wanted[1:] != shown[1:]:
            shape, scale, dpr = wanted
            self.setCursor(guest_cursor(shape, scale, dpr) if shape is not None else Qt.CursorShape.BlankCursor)
        self._cursor_shown = wanted
