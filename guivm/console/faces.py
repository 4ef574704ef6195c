"""What the console shows when there is more to say than the guest's screen says, and how it says it."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication, QEasingCurve, QSize, Qt, QTimer, QVariantAnimation, Signal, Slot
from PySide6.QtGui import QFont, QHideEvent, QPainter, QPaintEvent, QPalette, QShowEvent
from PySide6.QtWidgets import QFrame, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from guivm.console.source import DisplaySource, SourceState
from guivm.errors import GuivmError

_RADIUS = 12.0
_PANEL_OPACITY = 0.94
_MAX_WIDTH = 440
_HINT_SHOWN_MS = 4000
_HINT_FADE_MS = 600


class ConsoleFace(enum.Enum):
    """State of the VM, or of the way to it, as far as the console is concerned."""

    LIVE = "live"
    PAUSED = "paused"
    OFF = "off"
    SAVED = "saved"
    STARTING = "starting"
    CONNECTING = "connecting"
    RECONNECTING = "reconnecting"
    SHUTTING_DOWN = "shutting-down"
    UNKNOWN = "unknown"
    NO_DISPLAY = "no-display"
    NO_SIGNAL = "no-signal"

    @property
    def shows_picture(self) -> bool:
        """The last known picture of the guest still means something."""
        return self in (
            ConsoleFace.LIVE,
            ConsoleFace.PAUSED,
            ConsoleFace.RECONNECTING,
            ConsoleFace.SHUTTING_DOWN,
            ConsoleFace.UNKNOWN,
            ConsoleFace.NO_SIGNAL,
        )

    @property
    def takes_input(self) -> bool:
        return self in (ConsoleFace.LIVE, ConsoleFace.SHUTTING_DOWN, ConsoleFace.NO_SIGNAL)


@dataclass(frozen=True, slots=True)
class FaceWords:
    """``button``: label of the one button, or empty for none."""

    heading: str = ""
    text: str = ""
    button: str = ""


def _face_words(face: ConsoleFace, text: str, host_key: str) -> FaceWords:
    """Words of a face; ``text``, when there is one, instead of the usual second line. LIVE has none."""

    def tr(source: str) -> str:
        return QCoreApplication.translate("ConsoleFace", source)

    match face:
        case ConsoleFace.PAUSED:
            return FaceWords(tr("Paused"), text or tr("Press {key} + P here to resume.").format(key=host_key))
        case ConsoleFace.OFF:
            return FaceWords(tr("Switched off"), text or tr("Start the virtual machine to see its screen."))
        case ConsoleFace.SAVED:
            return FaceWords(tr("Saved"), text or tr("Start it to continue where it stopped."))
        case ConsoleFace.STARTING:
            return FaceWords(tr("Starting…"), text)
        case ConsoleFace.CONNECTING:
            return FaceWords(tr("Connecting to the screen…"), text)
        case ConsoleFace.RECONNECTING:
            return FaceWords(tr("Disconnected"), text or tr("Trying to reconnect…"), tr("Reconnect"))
        case ConsoleFace.UNKNOWN:
            return FaceWords(tr("The host does not answer"), text or tr("This is the last picture that came."))
        case ConsoleFace.NO_DISPLAY:
            return FaceWords(tr("No screen"), text or tr("This virtual machine has no screen that can be shown here."))
        case ConsoleFace.NO_SIGNAL:
            return FaceWords(tr("No signal"), text or tr("The guest has switched its screen off. A key may wake it."))
        case ConsoleFace.LIVE | ConsoleFace.SHUTTING_DOWN:
            # The guest's own screen says more than we could; the window shows the state.
            return FaceWords()


def words_of(face: ConsoleFace, text: str, host_key: str, source: DisplaySource | None, size: QSize) -> FaceWords:
    """What the console says: of a VM that runs whatever its source says, else the words of its face.

    ``host_key``: its label. ``size``: of the picture, guest pixels. ``text``: instead of the usual second line.
    """
    return _connection_words(source, size, text) if face is ConsoleFace.LIVE else _face_words(face, text, host_key)


def _connection_words(source: DisplaySource | None, size: QSize, text: str) -> FaceWords:
    """Words where the VM runs: about the way to its display, or about a display that is off."""
    state = source.state if source is not None else SourceState.CONNECTING
    if source is None or state is SourceState.CONNECTING:
        return _face_words(ConsoleFace.CONNECTING, text, "")
    if state is SourceState.DISCONNECTED:
        return disconnected_words(text or (str(source.error) if isinstance(source.error, GuivmError) else ""))
    # All screens are off; or the only one has no size, which is how servers say the same.
    if not source.heads or (size.width() <= 1 and size.height() <= 1):
        return _face_words(ConsoleFace.NO_SIGNAL, "", "")
    return FaceWords()


def disconnected_words(why: str) -> FaceWords:
    """LIVE, but the connection to the display is gone."""
    translate = QCoreApplication.translate
    return FaceWords(translate("ConsoleFace", "Disconnected"), why, translate("ConsoleFace", "Reconnect"))


class FacePanel(QFrame):
    """A heading, what to do, and perhaps a button, on a rounded sheet in the middle of its parent."""

    buttonClicked = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._around = parent
        self.setObjectName("console-face")
        self._heading = QLabel(self)
        self._heading.setObjectName("console-face-heading")
        self._text = QLabel(self)
        self._text.setObjectName("console-face-text")
        self._button = QPushButton(self)
        self._button.setObjectName("console-reconnect")
        self._button.clicked.connect(self.buttonClicked)
        font = QFont(self.font())
        font.setPointSizeF(font.pointSizeF() * 1.25)
        font.setWeight(QFont.Weight.DemiBold)
        self._heading.setFont(font)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(24, 16, 24, 16)
        layout.setSpacing(8)
        for label in (self._heading, self._text):
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setWordWrap(True)
            label.setAlignment(Qt.AlignmentFlag.AlignCenter)
            label.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
            layout.addWidget(label)
        layout.addWidget(self._button, 0, Qt.AlignmentFlag.AlignCenter)
        self.hide()

    def show_words(self, words: FaceWords) -> None:
        """Show them; words without a heading hide the panel."""
        self._heading.setText(words.heading)
        self._text.setText(words.text)
        self._text.setVisible(bool(words.text))
        self._button.setText(words.button)
        self._button.setAccessibleName(words.button)
        self._button.setVisible(bool(words.button))
        self.setAccessibleName(words.heading)
        self.setAccessibleDescription(words.text)
        self.setVisible(bool(words.heading))
        self.place()

    def place(self) -> None:
        """Into the middle of the parent, no wider than reads well."""
        room = self._around.size() - QSize(32, 32)
        layout = self.layout()
        assert layout is not None
        margins = layout.contentsMargins()
        natural = max(
            label.fontMetrics().horizontalAdvance(label.text()) for label in (self._heading, self._text)
        ) + margins.left() + margins.right() + 8  # fmt: skip
        width = max(120, min(_MAX_WIDTH, max(natural, self._button.sizeHint().width() + 64), room.width()))
        height = layout.heightForWidth(width) if layout.hasHeightForWidth() else layout.sizeHint().height()
        parent = self._around.size()
        self.setGeometry((parent.width() - width) // 2, (parent.height() - height) // 2, width, height)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self.palette().color(QPalette.ColorRole.Window))
        painter.setOpacity(_PANEL_OPACITY)
        painter.drawRoundedRect(self.rect(), _RADIUS, _RADIUS)
        painter.end()


class CaptureHint(QLabel):
    """Says something for a few seconds (how to get the keyboard back), then fades. Never takes a click or the focus."""

    visibilityChanged = Signal(bool)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._around = parent
        self.setObjectName("console-capture-hint")
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setMargin(8)
        self._opacity = 1.0
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_HINT_SHOWN_MS)
        self._fade = QVariantAnimation(self)
        self._fade.setDuration(_HINT_FADE_MS)
        self._fade.setStartValue(1.0)
        self._fade.setEndValue(0.0)
        self._fade.setEasingCurve(QEasingCurve.Type.InOutQuad)
        self._timer.timeout.connect(self._fade.start)
        self._fade.valueChanged.connect(self._set_opacity)
        self._fade.finished.connect(self.hide)
        self.hide()

    def show_text(self, text: str) -> None:
        self.setText(text)
        self._fade.stop()
        self._opacity = 1.0
        self.place()
        self.show()
        self.raise_()
        self._timer.start()

    def show_captured(self, host_key: str, trouble: str) -> None:
        """How to get out again; ``trouble``: what the desktop keeps to itself, translated, mostly empty."""
        text = self.tr("Press {key} to release keyboard and mouse").format(key=host_key)
        self.show_text("\n".join(filter(None, (text, trouble))))

    def show_view_only(self) -> None:
        self.show_text(self.tr("View only: keyboard and mouse do not reach the guest"))

    def dismiss(self) -> None:
        self._timer.stop()
        self._fade.stop()
        self.hide()

    def place(self) -> None:
        """To the top, in the middle."""
        size = self.sizeHint().boundedTo(self._around.size())
        self.resize(size)
        self.move((self._around.width() - size.width()) // 2, 16)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.visibilityChanged.emit(True)

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self.visibilityChanged.emit(False)

    @Slot(object)
    def _set_opacity(self, value: float) -> None:
        self._opacity = value
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setOpacity(self._opacity * _PANEL_OPACITY)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self.palette().color(QPalette.ColorRole.Window))
        painter.drawRoundedRect(self.rect(), self.height() / 2, self.height() / 2)
        painter.setPen(self.palette().color(QPalette.ColorRole.WindowText))
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, self.text())
        painter.end()
