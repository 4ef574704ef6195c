"""The console of one VM: connects while it is looked at, comes back after every interruption, and says what is up.

The widget that shows the guest's screen, and numpy with it, is imported when a VM that runs is first shown.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtGui import QHideEvent, QImage, QShowEvent
from PySide6.QtWidgets import QPushButton, QStackedWidget, QVBoxLayout, QWidget

from guivm.engine.job_types import ConsoleEndpoint
from guivm.engine.requests import OpenConsole
from guivm.engine.types import VmInfo, VmKey, VmState
from guivm.views import icons
from guivm.views.bridge import Bridge
from guivm.views.console_features import ConsoleFeatures
from guivm.views.endpoint_connector import EndpointConnector
from guivm.views.settings import Settings
from guivm.views.state_page import StatePage
from guivm.views.state_words import can_start, idle_sentence, vm_icon_name, vm_word
from guivm.views.theme import GRID

if TYPE_CHECKING:
    from guivm.console.faces import ConsoleFace
    from guivm.console.rfb.errors import CredentialNeed, RfbAuthError
    from guivm.console.source import SourceState
    from guivm.console.widget import ConsoleWidget
    from guivm.views.credentials_page import CredentialsPage

# Looked away for longer than this: the connection is given back.
LINGER_MS = 3_000

_HOST_COMMANDS = {
    "P": "pause",
    "F": "fullscreen",
    "DEL": "send-ctrl-alt-del",
    "V": "type-text",
    "X": "copy-text",
    "E": "screenshot",
    "C": "scale-fit",
    "A": "auto-resize",
    "S": "take-snapshot",
}


class ConsolePage(QWidget):
    """GUI thread. ``actionRequested`` carries the id of an action that is meant for this VM."""

    actionRequested = Signal(str)
    captureChanged = Signal(bool)
    sourceStateChanged = Signal(object)  # SourceState
    frameShown = Signal()

    def __init__(self, bridge: Bridge, settings: Settings, vm: VmInfo, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("console-page")
        self._bridge = bridge
        self._settings = settings
        self._vm = vm
        self._kept = False
        self._console: ConsoleWidget | None = None
        self.connector: EndpointConnector[ConsoleEndpoint] = EndpointConnector(bridge, self, self)
        self._had_picture = False
        self._credentials: CredentialsPage | None = None
        self._login: tuple[str, str] | None = None  # user name, password: what the person typed
        self._need: CredentialNeed | None = None
        self._linger = QTimer(self)
        self._linger.setSingleShot(True)
        self._linger.setInterval(LINGER_MS)
        self._linger.timeout.connect(self._update)

        self._idle = StatePage("console-idle", vm_icon_name(vm), "", "", self)
        self._button = QPushButton(self._idle)
        self._button.setObjectName("console-start")
        self._button.setProperty("kind", "primary")
        self._button.setIcon(icons.icon("start", icons.Tint.ON_ACCENT))
        self._button.setText(self.tr("Start"))
        self._button.setAccessibleName(self.tr("Start the virtual machine"))
        self._button.clicked.connect(self._on_start)
        self._idle.column.addSpacing(GRID)
        self._idle.column.addWidget(self._button, 0, Qt.AlignmentFlag.AlignHCenter)
        self._stack = QStackedWidget(self)
        self._stack.addWidget(self._idle)
        self.features = ConsoleFeatures(self, bridge, settings)
        self.features.recordingChanged.connect(self._update)
        self._bare = False
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self._stack, 1)
        layout.addWidget(self.features.status)
        self._update()

    # --- asking ---------------------------------------------------------------------------------------

    @property
    def key(self) -> VmKey:
        return self._vm.key

    @property
    def vm(self) -> VmInfo:
        return self._vm

    @property
    def console(self) -> ConsoleWidget | None:
        """The widget with the guest's screen, once there was a reason to make it."""
        return self._console

    @property
    def is_captured(self) -> bool:
        """Whether the guest has keyboard and mouse."""
        return self._console is not None and self._console.is_captured()

    @property
    def has_source(self) -> bool:
        return self._console is not None and self._console.source() is not None

    @property
    def problem(self) -> str:
        """Why there is no connection while there should be one; empty otherwise."""
        return self.connector.problem

    def current_image(self) -> QImage:
        return self._console.current_image() if self._console is not None else QImage()

    # --- telling --------------------------------------------------------------------------------------

    def set_vm(self, vm: VmInfo) -> None:
        """Follow the observed state."""
        if vm == self._vm:
            return
        old = self._vm
        self._vm = vm
        if old.state.is_active != vm.state.is_active or _may_have_display(old) != _may_have_display(vm):
            self._forget_failures()
            if VmState.UNKNOWN not in (old.state, vm.state):
                self._had_picture = False
        self._update()

    def set_bare(self, bare: bool) -> None:
        """Full screen: nothing but the picture, and a bar of the window's over it."""
        self._bare = bare
        if self._console is not None:
            self._console.set_overlaid(bare)
        self._show_status()

    def set_kept(self, kept: bool) -> None:
        """Stay connected even while not visible (a console in its own window)."""
        self._kept = kept
        self._update()

    def focus_screen(self) -> None:
        """Give the keyboard to the guest's screen, or to what can be done instead."""
        if self._stack.currentWidget() is self._console and self._console is not None:
            self._console.setFocus(Qt.FocusReason.OtherFocusReason)
        elif self._button.isVisible():
            self._button.setFocus(Qt.FocusReason.OtherFocusReason)

    def release_capture(self) -> None:
        if self._console is not None:
            self._console.release_capture()

    def disconnect_source(self) -> None:
        """Give the connection back now."""
        self.connector.stop()
        self._linger.stop()
        self._let_go_of_source()

    @Slot()
    def reconnect(self) -> None:
        """Make a new connection; the picture stays until the new one has its own."""
        self.disconnect_source()
        self.connector.ask()

    # --- state ----------------------------------------------------------------------------------------

    def _wanted(self) -> bool:
        looked_at = self.isVisible() or self._kept or self.features.is_recording or self._linger.isActive()
        return looked_at and self._has_display

    @property
    def _has_display(self) -> bool:
        return self._vm.state.is_active and _may_have_display(self._vm) and not self.connector.has_given_up

    @Slot()
    def _update(self) -> None:
        if self._wanted():
            self.connector.ask_in_turn()
        elif self._vm.state is not VmState.UNKNOWN or not self.isVisible():
            # While the host does not answer the display may well go on: an open connection is left alone.
            self.disconnect_source()
        self._show_face()

    def _show_face(self) -> None:
        vm = self._vm
        live = self._has_display
        frozen = vm.state is VmState.UNKNOWN and self.has_source
        if live and self._need is not None and self._credentials is not None:
            self._stack.setCurrentWidget(self._credentials)
        elif (live or frozen) and (self.isVisible() or self._kept or self._console is not None):
            console = self._ensure_console()
            self._stack.setCurrentWidget(console)
            console.set_face(self._face(), self._face_text())
        else:
            self._show_idle()
        self._show_status()

    def _show_status(self) -> None:
        shown = self._console is not None and self._stack.currentWidget() is self._console
        self.features.status.setVisible(shown and not self._bare)

    def _face(self) -> ConsoleFace:
        from guivm.console.faces import ConsoleFace
        from guivm.console.source import SourceState

        source = self._console.source() if self._console is not None else None
        if self._vm.state is VmState.UNKNOWN:
            return ConsoleFace.UNKNOWN
        if source is not None and source.state is SourceState.CONNECTED:
            match self._vm.state:
                case VmState.PAUSED | VmState.SUSPENDED:
                    return ConsoleFace.PAUSED
                case VmState.SHUTTING_DOWN:
                    return ConsoleFace.SHUTTING_DOWN
                case _:
                    return ConsoleFace.LIVE
        return ConsoleFace.RECONNECTING if self.problem or self._had_picture else ConsoleFace.CONNECTING

    def _face_text(self) -> str:
        """The second line where the console's own would not be exact."""
        if self._vm.state is VmState.SUSPENDED and not self.problem:
            return self.tr("The guest went to sleep. Resume wakes it.")
        return self.problem or (self._vm.reason if self._vm.state is VmState.PAUSED else "")

    def _show_idle(self) -> None:
        vm = self._vm
        page = self._idle
        page.art.set_icon(vm_icon_name(vm), icons.Tint.QUIET if vm.state is VmState.OFF else vm.state)
        if vm.state.is_active:
            page.art.set_icon("display", icons.Tint.QUIET)
            page.title.setText(self.tr("No display"))
            page.text.setText(self.problem or self.tr("This virtual machine has no display that can be shown here."))
        else:
            page.title.setText(vm_word(vm))
            page.text.setText(idle_sentence(vm))
        self._button.setVisible(can_start(vm))
        self._stack.setCurrentWidget(page)

    @Slot()
    def _on_start(self) -> None:
        self.actionRequested.emit("start")

    # --- connecting -----------------------------------------------------------------------------------

    def wants_endpoint(self) -> bool:
        return self._wanted() and not self.has_source and self._need is None

    def endpoint_request(self) -> OpenConsole:
        return OpenConsole(self._vm.key)

    def use_endpoint(self, endpoint: ConsoleEndpoint) -> None:
        from guivm.console.rfb_source import make_source

        console = self._ensure_console()
        if self._login is not None:
            user, password = self._login
            endpoint = replace(endpoint, user=user or endpoint.user, password=password)
        source = make_source(endpoint, console, tap=self.features.tap())
        self.features.set_source(source)
        console.set_source(source)
        source.open()
        self._show_face()

    def endpoint_failed(self) -> None:
        self._show_face()

    def _let_go_of_source(self) -> None:
        self.features.let_go()
        if self._console is not None:
            self._console.set_source(None)

    def _forget_failures(self) -> None:
        self.connector.forget_failures()
        self._need = None
        self.features.forget_waiting()

    # --- logging in -----------------------------------------------------------------------------------

    def _ask_for_login(self, error: RfbAuthError, need: CredentialNeed) -> None:
        from guivm.console.rfb.errors import CredentialNeed
        from guivm.views.credentials_page import CredentialsPage

        self._need = need
        if self._credentials is None:
            self._credentials = CredentialsPage(self._stack)
            self._credentials.given.connect(self._on_login)
            self._stack.addWidget(self._credentials)
        with_user = need is CredentialNeed.USER_AND_PASSWORD
        self._credentials.ask(error.advice or str(error), with_user=with_user, was_refused=error.was_refused)

    @Slot(str, str)
    def _on_login(self, user: str, password: str) -> None:
        self._login = (user, password)
        self._need = None
        self.connector.problem = ""
        self._update()

    @Slot(object)
    def _on_source_state(self, state: SourceState) -> None:
        from guivm.console.source import SourceState

        if state is SourceState.CONNECTED:
            self.connector.connected()
            self._had_picture = True
        elif state is SourceState.DISCONNECTED and self._console is not None:
            source = self._console.source()
            error = source.error if source is not None else None
            ended = self.tr("The connection to the display ended.")
            self.connector.lost(str(error) if error is not None else ended)
            self._let_go_of_source()
            from guivm.console.rfb.errors import RfbAuthError

            if isinstance(error, RfbAuthError) and error.needs is not None:
                self._ask_for_login(error, error.needs)
            else:
                self.connector.try_later()
        self._show_face()
        if state is SourceState.CONNECTED:
            self.features.connected()
        self.sourceStateChanged.emit(state)

    @Slot()
    def _on_reconnect(self) -> None:
        """The person does not want to wait."""
        self._forget_failures()
        self._update()

    @Slot(str)
    def _on_host_command(self, name: str) -> None:
        action_id = _HOST_COMMANDS.get(name.upper())
        if action_id is not None:
            self.actionRequested.emit(action_id)

    # --- the widget -----------------------------------------------------------------------------------

    def _ensure_console(self) -> ConsoleWidget:
        if self._console is None:
            from guivm.console.widget import ConsoleWidget

            console = ConsoleWidget(self._stack)
            console.captureChanged.connect(self.captureChanged)
            console.hostCommand.connect(self._on_host_command)
            console.reconnectRequested.connect(self._on_reconnect)
            console.sourceStateChanged.connect(self._on_source_state)
            console.frameShown.connect(self.frameShown)
            self._stack.addWidget(console)
            self._console = console
            self.features.set_console(console)
            console.set_overlaid(self._bare)
        return self._console

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._linger.stop()
        self._update()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self.release_capture()
        if self.has_source and not self._kept:
            self._linger.start()
        self._update()


def _may_have_display(vm: VmInfo) -> bool:
    """Also while nobody knows: to ask for the display is to be told."""
    return vm.has_graphics or not vm.is_complete
