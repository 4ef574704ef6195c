"""The console: a guest's screen, keyboard and mouse as one widget.

The widget only paints and forwards; sockets and decoding live on the source's thread. What it shows is in
:mod:`guivm.console.picture.picture_view`; keys, mouse and fingers are in :mod:`guivm.console.input`.
"""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import QEvent, Qt, Signal, Slot
from PySide6.QtGui import (
    QFocusEvent,
    QHideEvent,
    QInputMethodEvent,
    QKeyEvent,
    QMouseEvent,
    QNativeGestureEvent,
    QShowEvent,
    QTouchEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QWidget

from guivm.console.faces import CaptureHint, ConsoleFace, FacePanel, words_of
from guivm.console.frame import CursorShape, Framebuffer, KeyboardLeds, PointerMode, SourceState
from guivm.console.input.guest_input import GuestInput, InputObserver
from guivm.console.input.guest_keys import GuestKeys, KeyFate
from guivm.console.input.input_method import InputMethod
from guivm.console.input.keyboard import is_plain_enter, key_name
from guivm.console.input.keyboard_grab import KeyboardGrab
from guivm.console.input.pointing import Pointing
from guivm.console.input.touch import TouchAction
from guivm.console.input.touch_input import TouchInput, TouchMouse
from guivm.console.picture.auto_resize import AutoResize
from guivm.console.picture.gl_plane import GlPolicy
from guivm.console.picture.picture_view import PictureView
from guivm.console.picture.refresh import RefreshBeat
from guivm.console.picture.viewport import ScaleMode
from guivm.console.source import DisplaySource
from guivm.console.typing import KeyEvent

__all__ = ["ConsoleFace", "ConsoleWidget", "GlPolicy", "ScaleMode"]


class ConsoleWidget(PictureView):
    """GUI thread. Owns the source it was given.

    Keyboard focus alone sends nothing to the guest: a click into the picture or Enter *captures*, the Host key alone
    gives the keyboard back. The first click is delivered as well. Only captured input reaches the guest, and none at
    all while the console is view-only.
    """

    captureChanged = Signal(bool)
    captureTroubleChanged = Signal()
    viewOnlyChanged = Signal(bool)
    hostCommand = Signal(str)  # name of the key pressed with the Host key: "P", "F", "S", …
    reconnectRequested = Signal()
    sourceStateChanged = Signal(object)  # SourceState
    damageShown = Signal(object)  # list[Rect], guest pixels: taken from the source just now
    frameShown = Signal()  # the first frame of a source is there
    textCommitted = Signal(str)  # an input method composed it; to be typed (see set_input_method_enabled)

    def __init__(self, parent: QWidget | None = None, *, gl: GlPolicy | None = None) -> None:
        super().__init__(parent, gl=gl)
        self.setObjectName("console-screen")
        self.setAccessibleName(self.tr("Guest screen"))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setAttribute(Qt.WidgetAttribute.WA_AcceptTouchEvents)
        self._source: DisplaySource | None = None
        self._refresh = RefreshBeat(self)
        self._refresh.due.connect(self._take_damage)
        self._coming: Framebuffer | None = None
        self._face = ConsoleFace.NO_DISPLAY
        self._face_text = ""
        self._captured = False
        self._view_only = False
        self._input = GuestInput()
        self._input_method = InputMethod(self, self._input)
        self._keys = GuestKeys(self._input)
        self._grab = KeyboardGrab(self, self._keys)
        self._grab.lost.connect(self._on_focus_lost)
        self._pointing = Pointing(self, self._input)
        self._pointing.grab.changed.connect(self._on_trouble)
        self._touch = TouchInput(self)
        self._touch.acted.connect(self._on_touch)
        self._touch_mouse = TouchMouse(self, self._input, self._capture_by_touch)
        self._touch.began.connect(self._touch_mouse.begin)
        self._resizing = AutoResize(self)
        self._resizing.activeChanged.connect(self._on_follows_changed)
        self._panel = FacePanel(self)
        self._panel.buttonClicked.connect(self.reconnectRequested)
        self._hint = CaptureHint(self)
        self._hint.visibilityChanged.connect(self.update_plane)
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
        self._resizing.set_source(None)
        if old is not None:
            old.disconnect(self)
            old.close()
            old.deleteLater()
        self._input.source = source
        self._input.set_mode(PointerMode.ABSOLUTE)
        self._pointing.forget_cursor()
        self._keys.forget_guest()
        if source is not None:
            source.setParent(self)
            source.stateChanged.connect(self._on_state)
            source.resized.connect(self._on_resized)
            source.damaged.connect(self._on_damaged)
            source.cursorChanged.connect(self._on_cursor)
            source.pointerModeChanged.connect(self._on_pointer_mode)
            source.ledsChanged.connect(self._on_leds)
            source.headsChanged.connect(self._on_heads)
            source.bell.connect(self.ring_bell)
            source.set_visible(self.isVisible())
            if source.framebuffer is not None:
                self._on_resized(source.framebuffer)
            self._resizing.set_source(source)
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
        self._set_framebuffer(framebuffer)
        self._update_face()

    @Slot()
    def _on_damaged(self) -> None:
        self._refresh.wish()

    @Slot()
    def _take_damage(self) -> None:
        if self._source is not None:
            damage = self._source.take_damage()
            self._show_damage(damage)
            self.damageShown.emit(damage)

    @Slot(object)
    def _on_cursor(self, cursor: CursorShape | None) -> None:
        self._pointing.learn_cursor(cursor)

    @Slot(object)
    def _on_pointer_mode(self, mode: PointerMode) -> None:
        self._input.set_mode(mode)
        self._update_input()

    @Slot(object)
    def _on_leds(self, leds: KeyboardLeds) -> None:
        self._keys.guest_leds_changed(leds)

    @Slot(object)
    def _on_heads(self, _heads: object) -> None:
        self._update_face()

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
            self._set_framebuffer(None)
        elif self._screen is None and self._source is not None and self._source.framebuffer is not None:
            self._on_resized(self._source.framebuffer)
        self._update_face()
        self._update_input()

    def _update_face(self) -> None:
        words = words_of(self._face, self._face_text, self.host_key_label(), self._source, self.picture_size())
        self._panel.show_words(words)
        view_only = self.tr("View only") if self._view_only else ""
        self.setAccessibleDescription(" ".join(part for part in (words.heading, words.text, view_only) if part))
        self.update()
        self.update_plane()

    def _shows_picture(self) -> bool:
        size = self.picture_size()
        return size.width() * size.height() > 1 and self._face.shows_picture  # one pixel is no screen

    def _is_dimmed(self) -> bool:
        connected = self._source is not None and self._source.state is SourceState.CONNECTED
        return not self._face.takes_input or not connected

    def _is_framed(self) -> bool:
        return self._captured

    # --- size -----------------------------------------------------------------------------------------

    def set_auto_resize(self, enabled: bool) -> None:
        """Ask the guest to be as large as this widget, now and after every change; the picture fits meanwhile."""
        self._resizing.set_enabled(enabled)

    def is_auto_resize(self) -> bool:
        return self._resizing.is_enabled

    def _follows_window(self) -> bool:
        return self._resizing.is_active

    @Slot()
    def _on_follows_changed(self) -> None:
        self._lay_out()
        self.update()

    def _lay_out(self) -> None:
        super()._lay_out()
        room = self._room(self._area())
        self._panel.place()
        if self._hint.isVisible():
            self._hint.place()
        self._pointing.update_cursor()
        if self.isVisible():
            self._resizing.set_view(room.width, room.height)

    # --- capture --------------------------------------------------------------------------------------

    def is_captured(self) -> bool:
        return self._captured

    def capture(self) -> None:
        """Send keyboard and mouse to the guest from now on, if there is one to take them."""
        if self._captured or not self._takes_input():
            return
        if self._view_only:
            self._say_view_only()
            return
        self._captured = True
        self.setFocus(Qt.FocusReason.OtherFocusReason)
        self._grab.take()
        self._keys.captured()
        self._hint.show_captured(self.host_key_label(), self.capture_trouble())
        self._update_input()
        self.update()
        self.captureChanged.emit(True)

    def capture_trouble(self) -> str:
        """Sentences (translated) about what the desktop keeps to itself while captured; mostly empty."""
        return self._pointing.grab.trouble()

    @Slot()
    def _on_trouble(self) -> None:
        trouble = self.capture_trouble()
        if self._captured and trouble:
            self._hint.show_captured(self.host_key_label(), trouble)
        self.captureTroubleChanged.emit()

    def release_capture(self) -> None:
        """Let go of everything held down in the guest and give keyboard and mouse back."""
        self._touch.cancel()
        self._input.let_go()
        if not self._captured:
            return
        self._captured = False
        self._grab.give_back()
        self._hint.dismiss()
        self._update_input()
        self.update()
        self.captureChanged.emit(False)

    def let_go(self) -> None:
        """Release every key and button that the guest believes to be down; the capture stays."""
        self._input.let_go()

    def guest_leds(self) -> KeyboardLeds | None:
        """Lock LEDs of the guest's keyboard; None while it has said nothing of them."""
        return self._keys.guest_leds

    def is_view_only(self) -> bool:
        return self._view_only

    def set_view_only(self, view_only: bool) -> None:
        """While it is, nothing that happens here reaches the guest, and the cursor is the desktop's."""
        if view_only == self._view_only:
            return
        self._view_only = view_only
        if view_only:
            self.release_capture()
            self._say_view_only()
        else:
            self._hint.dismiss()
        self._update_face()
        self._update_input()
        self.viewOnlyChanged.emit(view_only)

    def _say_view_only(self) -> None:
        if self.isVisible():
            self._hint.show_view_only()

    def host_key_label(self) -> str:
        return self._keys.host_key_label()

    def set_host_key(self, name: str) -> None:
        """A name of HOST_KEYS; an unknown one means the default."""
        self._keys.set_host_key(name)
        self._update_face()

    def set_desktop_shortcuts(self, sequences: Iterable[str]) -> None:
        """Key sequences (portable texts) that stay with the desktop even while captured."""
        self._keys.set_desktop_shortcuts(sequences)

    def send_keys(self, events: Iterable[KeyEvent]) -> None:
        """Keys nobody presses here: a menu's combination, a typed text. Captured or not, but not while view-only."""
        if self._takes_input() and not self._view_only:
            self._input.send_keys(events)

    def observe_input(self, observer: InputObserver | None) -> None:
        """Let somebody hear all that the guest is told, or nobody any more."""
        self._input.observer = observer

    def _takes_input(self) -> bool:
        return self._face.takes_input and self._source is not None and self._source.state is SourceState.CONNECTED

    def _update_input(self) -> None:
        """Captured or not, paused or not, absolute or not: what follows from it."""
        self._input.enabled = self._captured and self._takes_input() and not self._view_only
        self._input_method.update()
        self._pointing.update()

    @Slot()
    def _on_focus_lost(self) -> None:
        self._keys.forget_held()
        self.release_capture()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        if not self._grab.expects(event.reason()):
            self._on_focus_lost()
        super().focusOutEvent(event)

    def hideEvent(self, event: QHideEvent) -> None:
        self._on_focus_lost()
        if self._source is not None:
            self._source.set_visible(False)
        self._bell.stop()
        self.update_plane()
        super().hideEvent(event)

    def showEvent(self, event: QShowEvent) -> None:
        if self._source is not None:
            self._source.set_visible(True)
        self._lay_out()
        super().showEvent(event)

    # --- keyboard -------------------------------------------------------------------------------------

    def _wants_key(self, event: QKeyEvent) -> bool:
        """Whether a key is ours before it is anybody's shortcut: all of them while captured, and Enter, to capture."""
        if self._captured:
            return not self._keys.is_desktop_shortcut(event)
        return self._captures(event)

    def _captures(self, event: QKeyEvent) -> bool:
        return is_plain_enter(event) and self._takes_input()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        fate = self._keys.press(event, captured=self._captured)
        if fate is KeyFate.COMMAND:
            self.hostCommand.emit(key_name(event))
        elif fate is KeyFate.UNUSED and self._captures(event) and not event.isAutoRepeat():
            self.capture()
        elif fate in (KeyFate.UNUSED, KeyFate.DESKTOP):
            if fate is KeyFate.DESKTOP:
                self._grab.lend(event)
            super().keyPressEvent(event)
            return
        event.accept()

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        if event.isAutoRepeat():  # X11 sends a release before each repeated press; a held key is still held
            event.accept()
            return
        fate = self._keys.release(event, captured=self._captured)
        if fate is KeyFate.RELEASE:
            self.release_capture()
        elif fate in (KeyFate.UNUSED, KeyFate.DESKTOP):
            super().keyReleaseEvent(event)
            return
        event.accept()

    def focusNextPrevChild(self, forward: bool) -> bool:
        """Tab belongs to the guest while captured."""
        return False if self._captured else super().focusNextPrevChild(forward)

    # --- input methods --------------------------------------------------------------------------------

    def set_input_method_enabled(self, enabled: bool) -> None:
        """Let the desktop's input method compose text while captured; it comes as ``textCommitted``.

        Off by default: an input method that is on sees every key before the guest does, and may keep some.
        """
        self._input_method.set_enabled(enabled)

    def inputMethodEvent(self, event: QInputMethodEvent) -> None:
        if text := self._input_method.committed(event):
            self.textCommitted.emit(text)
        event.accept()

    def inputMethodQuery(self, query: Qt.InputMethodQuery) -> object:
        answer = self._input_method.answer(query)
        return super().inputMethodQuery(query) if answer is None else answer

    # --- mouse and touch ------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._keys.host_key_used()
        if not self._captured and self.is_over_picture(event.position()):
            self.capture()
            self._pointing.begin(event.globalPosition())
        if self._captured:
            self._pointing.press(event.button(), event.position(), event.globalPosition())
        event.accept()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self.mousePressEvent(event)  # Qt's name for the second press

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._pointing.release(event.button(), event.position(), event.globalPosition())
        event.accept()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._captured:
            self._pointing.move(event.position(), event.globalPosition())
        self._pointing.update_cursor(event.position())
        event.accept()

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self._captured:
            self._pointing.turn_wheel(event.angleDelta(), event.position())
        elif event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.zoom_by_wheel(event)
        elif not self._bars.turn_wheel(event.angleDelta()):
            event.ignore()
            return
        event.accept()

    def _capture_by_touch(self) -> bool:
        self.capture()
        return self._captured

    @Slot(object)
    def _on_touch(self, action: TouchAction) -> None:
        self._touch_mouse.act(action, captured=self._captured)

    def event(self, event: QEvent) -> bool:
        kind = event.type()
        if kind == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent) and self._wants_key(event):
            event.accept()
            return True
        if isinstance(event, QTouchEvent):
            # Asked for each time: two fingers zoom only where that is what a person chose.
            self._touch.gestures.can_pinch = self.scale_mode() is ScaleMode.FREE and self.can_zoom()
            if self._touch.take(event):
                return True
        if isinstance(event, QNativeGestureEvent):
            ours = not self._captured or self.scale_mode() is ScaleMode.FREE
            if ours and self.zoom_by_gesture(event):
                return True
        return super().event(event)
