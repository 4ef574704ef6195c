"""A live, small picture of a VM's screen; a click opens the console.

Pictures come from the host and so from the guest: their size is checked before anything is decoded, and decoding
happens away from the GUI thread.
"""

from __future__ import annotations

from PySide6.QtCore import QBuffer, QByteArray, QEvent, QIODevice, QRect, QRectF, QSize, Qt, QTimer, Signal, Slot
from PySide6.QtGui import (
    QEnterEvent,
    QFont,
    QHideEvent,
    QImage,
    QImageReader,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPen,
    QShowEvent,
)
from PySide6.QtWidgets import QAbstractButton, QSizePolicy, QWidget

from guivm.engine.job_types import Screenshot
from guivm.engine.requests import TakeScreenshot
from guivm.engine.types import VmInfo, VmKey, VmState
from guivm.errors import GuivmError
from guivm.views import icons
from guivm.views.bridge import Bridge
from guivm.views.settings import THUMBNAILS, Settings
from guivm.views.state_words import vm_icon_name, vm_word, vm_words
from guivm.views.theme import GRID, RADIUS, tokens_for

INTERVAL_MS = 2_000
MAX_BYTES = 64 * 1024 * 1024
MAX_SIDE = 4096  # pixels
_FORMATS = {"image/png": b"png", "image/x-portable-pixmap": b"ppm", "image/jpeg": b"jpeg"}
_KEPT = QSize(1280, 960)  # device pixels; no thumbnail is larger


def decode(shot: Screenshot) -> QImage:
    """The picture, scaled down for a thumbnail; a null image when it is not one of ours, too large or broken.

    Any thread. Only the format that the host named is tried.
    """
    form = _FORMATS.get(shot.mime)
    if form is None or not 0 < len(shot.data) <= MAX_BYTES:
        return QImage()
    buffer = QBuffer()
    buffer.setData(QByteArray(shot.data))
    buffer.open(QIODevice.OpenModeFlag.ReadOnly)
    reader = QImageReader(buffer, QByteArray(form))
    size = reader.size()
    if not size.isValid() or size.width() > MAX_SIDE or size.height() > MAX_SIDE:
        return QImage()
    image = reader.read()
    if image.isNull():
        return image
    image = image.convertToFormat(QImage.Format.Format_RGB32)
    if image.width() > _KEPT.width() or image.height() > _KEPT.height():
        image = image.scaled(_KEPT, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation)
    return image


class ScreenThumbnail(QAbstractButton):
    """Asks for a picture at most every two seconds, one at a time, while visible and the VM runs."""

    pictured = Signal()  # a picture arrived

    def __init__(self, bridge: Bridge, settings: Settings, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("thumbnail")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        self.setToolTip(self.tr("Open the console"))
        self._bridge = bridge
        self._settings = settings
        self._vm: VmInfo | None = None
        self._image = QImage()
        self._asking = False
        self._stale = True  # something may have changed since the picture was taken
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(INTERVAL_MS)
        self._timer.timeout.connect(self._ask)
        settings.changed.connect(self._on_setting)

    @property
    def image(self) -> QImage:
        return self._image

    def set_vm(self, vm: VmInfo | None) -> None:
        old = self._vm
        self._vm = vm
        if vm is None or old is None or old.key != vm.key or not vm.state.is_active:
            self._image = QImage()
        if old is None or vm is None or old.key != vm.key or old.state is not vm.state:
            self._stale = True
        name = vm.name if vm is not None else ""
        state = vm_words(vm) if vm is not None else ""
        self.setAccessibleName(self.tr("Screen of {name}: {state}. Open the console").format(name=name, state=state))
        self.update()
        self._wake()

    # --- asking ---------------------------------------------------------------------------------------

    def _wants_picture(self) -> bool:
        vm = self._vm
        if vm is None or not self.isVisible() or self.window().isMinimized():
            return False
        if not vm.has_graphics or not self._settings.get(THUMBNAILS):
            return False
        return vm.state is VmState.RUNNING or (vm.state.is_active and self._stale)

    def _wake(self) -> None:
        if self._wants_picture() and not self._asking and (self._stale or not self._timer.isActive()):
            self._timer.start(0 if self._stale else INTERVAL_MS)

    @Slot()
    def _ask(self) -> None:
        if self._asking or not self._wants_picture() or self._vm is None:
            return
        self._asking = True
        self._stale = False
        key = self._vm.key
        self._bridge.submit(
            TakeScreenshot(key),
            self,
            lambda shot: self._bridge.compute(lambda: decode(shot), self, lambda image: self._show(key, image)),
            self._on_failed,
        )

    def _show(self, key: VmKey, image: QImage) -> None:
        self._asking = False
        if self._vm is not None and self._vm.key == key and self._vm.state.is_active and not image.isNull():
            self._image = image
            self.update()
            self.pictured.emit()
        self._rest()

    def _on_failed(self, _error: GuivmError) -> None:
        # A picture that cannot be had is no message: the frame says enough, and the next try comes by itself.
        self._asking = False
        self._stale = self._image.isNull()
        self._rest()

    def _rest(self) -> None:
        if self._wants_picture():
            self._timer.start(INTERVAL_MS)

    @Slot(str)
    def _on_setting(self, key: str) -> None:
        if key == THUMBNAILS.key:
            if not self._settings.get(THUMBNAILS):
                self._image = QImage()
            self.update()
            self._wake()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._stale = True
        self._wake()

    def hideEvent(self, event: QHideEvent) -> None:
        self._timer.stop()
        super().hideEvent(event)

    # --- look -----------------------------------------------------------------------------------------

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        return width * 10 // 16

    def sizeHint(self) -> QSize:
        return QSize(45 * GRID, self.heightForWidth(45 * GRID))

    def minimumSizeHint(self) -> QSize:
        return QSize(20 * GRID, self.heightForWidth(20 * GRID))

    def enterEvent(self, event: QEnterEvent) -> None:
        self.update()
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        self.update()
        super().leaveEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        tokens = tokens_for(self.palette())
        painter = QPainter(self)
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        frame = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        path = QPainterPath()
        path.addRoundedRect(frame, RADIUS, RADIUS)
        painter.save()
        painter.setClipPath(path)
        painter.fillRect(self.rect(), tokens.sunken)
        vm = self._vm
        if not self._image.isNull():
            size = self._image.size().scaled(self.size(), Qt.AspectRatioMode.KeepAspectRatio)
            place = QRect(
                (self.width() - size.width()) // 2, (self.height() - size.height()) // 2, size.width(), size.height()
            )
            painter.drawImage(place, self._image)
            if vm is not None and vm.state is not VmState.RUNNING:
                painter.setOpacity(0.6)
                painter.fillRect(self.rect(), tokens.sunken)
                painter.setOpacity(1)
        painter.restore()
        if vm is not None and (self._image.isNull() or vm.state is not VmState.RUNNING):
            self._paint_state(painter, vm)
        strong = self.hasFocus() or self.underMouse()
        painter.setPen(QPen(tokens.accent if strong else tokens.border, 1))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(frame, RADIUS, RADIUS)

    def _paint_state(self, painter: QPainter, vm: VmInfo) -> None:
        tokens = tokens_for(self.palette())
        middle = self.rect().center()
        has_display = vm.has_graphics or not vm.is_complete
        waiting = vm.state is VmState.RUNNING and has_display
        name = "console" if vm.state is VmState.RUNNING else vm_icon_name(vm)
        color = tokens.quiet if waiting or vm.state is VmState.OFF else tokens.state(vm.state)
        icons.paint(painter, QRect(middle.x() - 18, middle.y() - 32, 36, 36), name, color)
        if not has_display:
            text = self.tr("No display")
        elif waiting:
            text = "" if self._settings.get(THUMBNAILS) else self.tr("Open the console")
        else:
            text = vm_word(vm)
        font = QFont(self.font())
        font.setWeight(QFont.Weight.DemiBold)
        painter.setFont(font)
        painter.setPen(tokens.quiet)
        painter.drawText(QRect(0, middle.y() + GRID + 2, self.width(), 3 * GRID), Qt.AlignmentFlag.AlignHCenter, text)
