"""What can be done with one console beyond looking at it: keys, text, pictures, recordings, scripts."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, QUrl, Signal, Slot
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QFileDialog, QWidget

from guivm.errors import GuivmError, OperationError
from guivm.views.bridge import Bridge
from guivm.views.console_recordings import SESSION, VIDEO, ConsoleRecordings, picture_dir
from guivm.views.messages import Message, Severity
from guivm.views.settings import KEY_COMBOS, TYPING_LAYOUT, TYPING_RATE, Settings, for_vm

if TYPE_CHECKING:
    from guivm.automation.macro import MacroRecorder
    from guivm.console.screenshots import ScreenshotError, ScreenshotSaver
    from guivm.console.source import DisplaySource
    from guivm.console.typing import KeyEvent
    from guivm.views.console_heads import ConsoleHeads
    from guivm.views.console_page import ConsolePage
    from guivm.views.screen_text import ScreenTextCopy

HANDLED = frozenset(
    {
        *("send-ctrl-alt-del", "type-text", "copy-text", "copy-screenshot", "screenshot", SESSION, VIDEO),
        *("record-macro", "run-script", "view-only", "open-screens"),
    }
)


class ConsoleTools(QObject):
    """Made when the first of them is used. GUI thread."""

    told = Signal(object)  # Message
    changed = Signal()  # what is checked is different now
    closing = Signal()

    def __init__(self, page: ConsolePage, bridge: Bridge, settings: Settings) -> None:
        super().__init__(page)
        self._page = page
        self._bridge = bridge
        self._settings = settings
        self._layout = for_vm(TYPING_LAYOUT, page.vm.key.uuid)
        self._saver: ScreenshotSaver | None = None
        self._macro: MacroRecorder | None = None
        self._heads: ConsoleHeads | None = None
        self._text_copy: ScreenTextCopy | None = None
        self.recordings = ConsoleRecordings(bridge, settings, self)
        self.recordings.told.connect(self.told)
        self.recordings.changed.connect(self.changed)
        self.recordings.reconnectWanted.connect(page.reconnect)
        self.recordings.playRequested.connect(self._on_play)

    def run(self, action_id: str, window: QWidget) -> None:
        """Carry out an action of :data:`HANDLED`; the console has a picture. Dialogs belong to ``window``."""
        match action_id:
            case "send-ctrl-alt-del":
                self.send_combo("Ctrl+Alt+Del")
            case "type-text":
                self._type_text(window)
            case "copy-text":
                self._copy_text()
            case "copy-screenshot":
                QGuiApplication.clipboard().setImage(self._page.current_image())
                self._tell(Severity.SUCCESS, self.tr("The screenshot is in the clipboard."))
            case "screenshot":
                self._save_screenshot()
            case "record-session" | "record-video":
                self.recordings.toggle(action_id, self._page.vm.name)
            case "view-only":
                self._toggle_view_only()
            case "record-macro":
                self._toggle_macro(window)
            case "run-script":
                self._run_script(window)
            case "open-screens":
                self._open_screens(window)

    def is_checked(self, action_id: str) -> bool:
        """Whether what the action switches is on."""
        console = self._page.console
        if action_id == "view-only":
            return console is not None and console.is_view_only()
        if action_id == "record-macro":
            return self._macro is not None
        return action_id == self.recordings.active

    def follow(self, source: DisplaySource | None) -> None:
        """The console shows another source, or none."""
        self.recordings.follow(source)
        if self._heads is not None:
            self._heads.follow(source)

    def close(self) -> None:
        """The console goes away for good."""
        self.closing.emit()
        if self._heads is not None:
            self._heads.close()
        if self._text_copy is not None:
            self._text_copy.close()
        self.recordings.close()
        if self._saver is not None:
            self._saver.close()

    # --- keys and text --------------------------------------------------------------------------------

    @Slot(str)
    def send_combo(self, text: str) -> None:
        """Press and release a combination, "Ctrl+Alt+Del"."""
        from guivm.console.input.key_combos import KeyCombo

        try:
            self._send(KeyCombo.parse(text).events())
        except GuivmError as error:
            self._tell_error(error)

    def _send(self, events: Iterable[KeyEvent]) -> None:
        console = self._page.console
        if console is not None and not self._is_view_only():
            console.send_keys(events)

    def _is_view_only(self) -> bool:
        console = self._page.console
        if console is None or not console.is_view_only():
            return False
        self._tell(Severity.INFO, self.tr("View only is on: nothing was sent."))
        return True

    def edit_combos(self, window: QWidget) -> None:
        """The list of the person's own combinations."""
        from guivm.views.dialogs.key_combos import KeyCombosDialog

        dialog = KeyCombosDialog(self._settings.get(KEY_COMBOS), window)
        dialog.chosen.connect(self._on_combos)
        dialog.open()

    @Slot(list)
    def _on_combos(self, combos: list[str]) -> None:
        self._settings.set(KEY_COMBOS, list(combos))

    def _type_text(self, window: QWidget) -> None:
        from guivm.console.frame import KeyboardLeds
        from guivm.console.input.typist import DEFAULT_RATE
        from guivm.views.dialogs.type_text import TypeTextDialog

        console = self._page.console
        if console is None or self._is_view_only():
            return
        console.release_capture()
        leds = console.guest_leds()
        dialog = TypeTextDialog(
            self._page.vm.name,
            self._send_key,
            window,
            layout=self._settings.get(self._layout),
            rate=self._settings.get(TYPING_RATE) or DEFAULT_RATE,
            caps_lock=leds is not None and bool(leds & KeyboardLeds.CAPS_LOCK),
        )
        dialog.layoutChosen.connect(self._on_layout)
        dialog.rateChosen.connect(self._on_rate)
        dialog.open()

    def _send_key(self, code: int, keysym: int, pressed: bool) -> None:
        """To whatever the console shows now: the VM may have been restarted while the dialog is open."""
        from guivm.console.typing import KeyEvent

        console = self._page.console
        if console is not None:
            console.send_keys((KeyEvent(code, keysym, pressed),))

    @Slot(str)
    def _on_layout(self, layout: str) -> None:
        self._settings.set(self._layout, layout)

    @Slot(int)
    def _on_rate(self, rate: int) -> None:
        self._settings.set(TYPING_RATE, rate)

    @Slot(str)
    def type_committed(self, text: str) -> None:
        """What an input method has put together."""
        from guivm.console.typing import events, find_layout, plan

        try:
            self._send(events(plan(text, find_layout(self._layout_id()))))
        except GuivmError as error:
            self._tell_error(error)

    # --- pictures -------------------------------------------------------------------------------------

    def _save_screenshot(self) -> None:
        from guivm.console.screenshots import ScreenshotSaver

        if self._saver is None:
            self._saver = ScreenshotSaver(self)
            self._saver.saved.connect(self._on_saved)
            self._saver.failed.connect(self._on_save_failed)
        self._saver.save(self._page.current_image(), picture_dir(self._settings), self._page.vm.name)

    @Slot(object)
    def _on_saved(self, path: Path) -> None:
        show = (self.tr("Show Folder"), partial(_open, path.parent))
        self.told.emit(Message(Severity.SUCCESS, self.tr("The screenshot is saved."), str(path), "", (show,)))

    @Slot(object)
    def _on_save_failed(self, error: ScreenshotError) -> None:
        self._tell_error(error)

    def _copy_text(self) -> None:
        from guivm.views.screen_text import ScreenTextCopy

        console = self._page.console
        if console is None:
            return
        if self._text_copy is None:
            self._text_copy = ScreenTextCopy(self._bridge.compute, self)
            self._text_copy.told.connect(self.told)
        self._text_copy.start(console)

    # --- others ---------------------------------------------------------------------------------------

    def _open_screens(self, window: QWidget) -> None:
        from guivm.views.console_heads import ConsoleHeads

        console = self._page.console
        if console is None:
            return
        if self._heads is None:
            self._heads = ConsoleHeads(console, self._settings, self)
        if self._heads.open(self._page.vm.name, window) < 2:
            self._tell(Severity.INFO, self.tr("The guest has only one screen."))

    def _toggle_view_only(self) -> None:
        console = self._page.console
        if console is not None:
            console.set_view_only(not console.is_view_only())
        self.changed.emit()

    def _toggle_macro(self, window: QWidget) -> None:
        console = self._page.console
        if self._macro is not None or console is None:
            self._end_macro(window)
            return
        from guivm.automation.keys import LayoutTypist
        from guivm.automation.macro import MacroRecorder

        self._macro = MacroRecorder(LayoutTypist(self._layout_id()))
        console.observe_input(self._macro)
        self._tell(
            Severity.INFO,
            self.tr("Keys and clicks in this console are recorded now. Choose Record Macro again to end and save."),
        )
        self.changed.emit()

    def _end_macro(self, window: QWidget) -> None:
        macro, self._macro = self._macro, None
        console = self._page.console
        if console is not None:
            console.observe_input(None)
        self.changed.emit()
        if macro is None or not len(macro):
            self._tell(Severity.INFO, self.tr("Nothing was typed or clicked: there is no macro."))
            return
        folder = picture_dir(self._settings, moving=True)
        dialog = QFileDialog(window, self.tr("Save Macro"), str(folder), self.tr("Scripts (*.guivm)"))
        dialog.setObjectName("save-macro")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix("guivm")
        dialog.fileSelected.connect(partial(self._save_macro, macro.script()))
        dialog.open()

    def _save_macro(self, script: str, path: str) -> None:
        self._bridge.compute(partial(_write_text, Path(path), script), self, self._on_macro_saved)

    def _on_macro_saved(self, outcome: Path | GuivmError) -> None:
        if isinstance(outcome, GuivmError):
            self._tell_error(outcome)
        else:
            self.told.emit(
                Message(
                    Severity.SUCCESS,
                    self.tr("The macro is saved."),
                    self.tr("Run Script… replays it; so does “guivm automate”."),
                    str(outcome),
                )
            )

    def _layout_id(self) -> str:
        """Of the guest's keyboard: as chosen in Type Text, else this desktop's."""
        from guivm.console.typing import Session, default_layout

        return self._settings.get(self._layout) or default_layout(Session.without_programs()).id

    def _run_script(self, window: QWidget) -> None:
        from guivm.views.dialogs.run_script import RunScriptDialog

        dialog = RunScriptDialog(
            self._bridge,
            self._page.vm,
            window,
            folder=partial(picture_dir, self._settings, moving=True),
            layout=self._settings.get(self._layout),
        )
        self.closing.connect(dialog.close)
        dialog.show()

    @Slot(object)
    def _on_play(self, path: Path) -> None:
        from guivm.views.recordings import open_player

        open_player(path, self._settings, self._page.window())

    # --- saying ---------------------------------------------------------------------------------------

    def _tell(self, severity: Severity, text: str) -> None:
        self.told.emit(Message(severity, text))

    def _tell_error(self, error: GuivmError) -> None:
        self.told.emit(Message(Severity.ERROR, error.summary, error.advice, error.details))


def _write_text(path: Path, text: str) -> Path | GuivmError:
    """Not on the GUI thread. The dialog has asked before something is replaced."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        return OperationError(
            f"“{path.name}” could not be saved: {error.strerror or error}.",
            advice="Choose another folder.",
            details=str(error),
        )
    return path


def _open(path: Path) -> None:
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(path)))
