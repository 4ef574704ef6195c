"""Every action of the application, declared once: id, text, icon, shortcut, and when it is enabled.

Toolbar, menus, context menus, the shortcut window and Preferences are all made from this table.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication, QObject, Signal, Slot
from PySide6.QtGui import QAction, QKeySequence

from guivm.engine.types import VmInfo, VmKey, VmState
from guivm.views.icons import icon
from guivm.views.settings import Settings, shortcut_setting


def N(context: str, text: str) -> str:
    """Mark a text for translation (``lupdate -tr-function-alias QT_TRANSLATE_NOOP+=N``)."""
    return text


class Group(enum.Enum):
    """Menu an action belongs to, in menu order."""

    FILE = N("Actions", "&File")
    MACHINE = N("Actions", "&Machine")
    CONSOLE = N("Actions", "&Console")
    VIEW = N("Actions", "&View")
    HELP = N("Actions", "&Help")


def _always(_vm: VmInfo) -> bool:
    return True


def _in(*states: VmState) -> Callable[[VmInfo], bool]:
    return lambda vm: vm.state in states


def _known(vm: VmInfo) -> bool:
    return vm.state is not VmState.UNKNOWN


def _kept(vm: VmInfo) -> bool:
    return _known(vm) and vm.persistent


def _on_screen(vm: VmInfo) -> bool:
    return vm.state.is_active and vm.has_graphics


_S = VmState
_OFF = (_S.OFF, _S.CRASHED, _S.SAVED)
_NOT_OFF = N("Actions", "Only while it is off")
_NOT_KEPT = N("Actions", "Its host does not answer, or keeps no definition of it once it is off")
_OF_TEMPLATE = N("Actions", "It is a template: clone it, or convert it back to a virtual machine first")
_OF_DISPOSABLE = N("Actions", "It was started for once: everything is thrown away when it is switched off")


@dataclass(frozen=True)
class ActionSpec:
    """``enabled`` looks at a VM's state and whether it is persistent, has a display and is complete; an action that
    needs no VM has None.

    Of several selected VMs the action applies to those for which :meth:`applies` is true.
    """

    id: str
    group: Group
    text: str  # translated in the context "Actions"
    icon: str = ""  # name in resources/icons, without .svg
    shortcut: str = ""
    tip: str = ""
    enabled: Callable[[VmInfo], bool] | None = None
    section: int = 0  # separators stand between sections of a menu
    checkable: bool = False
    multiple: bool = True  # may apply to several VMs at once
    refusal: str = ""  # why it is disabled, as long as one VM is selected
    for_templates: bool = True
    for_disposable: bool = True  # runs of which nothing is kept

    def applies(self, vm: VmInfo) -> bool:
        """Whether it makes sense for a VM."""
        fits = (self.for_templates or not vm.is_template) and (self.for_disposable or not vm.is_disposable)
        return self.enabled is None or (fits and self.enabled(vm))

    def why_not(self, vm: VmInfo) -> str:
        """Why it does not apply to a VM, marked for translation; empty where that is plain to see."""
        if self.applies(vm):
            return ""
        if vm.is_template and not self.for_templates:
            return _OF_TEMPLATE
        return _OF_DISPOSABLE if vm.is_disposable and not self.for_disposable else self.refusal


SPECS: tuple[ActionSpec, ...] = (
    ActionSpec("new", Group.FILE, N("Actions", "New VM…"), "new", "Ctrl+N", N("Actions", "Create a virtual machine")),
    ActionSpec("open", Group.FILE, N("Actions", "Open a disk image or ISO…"), "open", "Ctrl+O",
               N("Actions", "Create a virtual machine from a file")),
    ActionSpec("sample", Group.FILE, N("Actions", "Try the sample guest"), "sample", "",
               N("Actions", "Start a tiny Linux that needs no installation")),
    ActionSpec("connect", Group.FILE, N("Actions", "Connect to a host…"), "host", "", "", section=1),
    ActionSpec("disconnect", Group.FILE, N("Actions", "Disconnect from host"), "", "", "", _always, section=1),
    ActionSpec("networks", Group.FILE, N("Actions", "Virtual Networks…"), "network", "",
               N("Actions", "Networks between virtual machines, the host and the world"), section=1),
    ActionSpec("preferences", Group.FILE, N("Actions", "Preferences…"), "preferences", "Ctrl+,", "", section=2),
    ActionSpec("quit", Group.FILE, N("Actions", "Quit"), "quit", "Ctrl+Q",
               N("Actions", "Close the window; virtual machines go on running"), section=3),
    ActionSpec("start", Group.MACHINE, N("Actions", "Start"), "start", "Ctrl+Return",
               N("Actions", "Switch on, or continue from the saved state"), _in(*_OFF), for_templates=False),
    ActionSpec("pause", Group.MACHINE, N("Actions", "Pause"), "pause", "Ctrl+P",
               N("Actions", "Freeze the virtual machine where it is, or let it go on"),
               _in(_S.RUNNING, _S.PAUSED, _S.SUSPENDED)),
    ActionSpec("start-disposable", Group.MACHINE, N("Actions", "Start Once, Throw Changes Away"), "", "",
               N("Actions", "Start so that all that is written to its disks is gone when it is switched off"),
               _in(_S.OFF, _S.CRASHED), multiple=False,
               refusal=_NOT_OFF, for_templates=False),
    ActionSpec("shutdown", Group.MACHINE, N("Actions", "Shut Down"), "shutdown", "Ctrl+H",
               N("Actions", "Ask the guest to shut down, as its power button does"), _in(_S.RUNNING), section=1),
    ActionSpec("reboot", Group.MACHINE, N("Actions", "Restart"), "reboot", "",
               N("Actions", "Ask the guest to restart"), _in(_S.RUNNING), section=1),
    ActionSpec("save", Group.MACHINE, N("Actions", "Save State"), "save", "Ctrl+S",
               N("Actions", "Write the memory to disk and switch off; start continues from there"),
               lambda vm: vm.state in (_S.RUNNING, _S.PAUSED) and vm.persistent, section=1,
               for_disposable=False),
    ActionSpec("reset", Group.MACHINE, N("Actions", "Reset"), "reset", "Ctrl+T",
               N("Actions", "Restart at once; unsaved work in the guest is lost"),
               _in(_S.RUNNING, _S.PAUSED), section=2),
    ActionSpec("force-off", Group.MACHINE, N("Actions", "Force Off"), "force-off", "Ctrl+Shift+F",
               N("Actions", "Pull the plug; unsaved work in the guest is lost"),
               _in(_S.RUNNING, _S.PAUSED, _S.SUSPENDED, _S.SHUTTING_DOWN), section=2),
    ActionSpec("discard-saved", Group.MACHINE, N("Actions", "Discard Saved State…"), "discard", "",
               N("Actions", "Throw the saved memory away; the next start boots"), _in(_S.SAVED), section=2),
    ActionSpec("take-snapshot", Group.MACHINE, N("Actions", "Take Snapshot…"), "snapshot", "Ctrl+Alt+S",
               N("Actions", "Keep its disks and memory as they are now, to go back to"), _kept, section=3,
               multiple=False,
               refusal=_NOT_KEPT, for_templates=False, for_disposable=False),
    ActionSpec("restore-snapshot", Group.MACHINE, N("Actions", "Restore Snapshot…"), "undo", "",
               N("Actions", "Go back to the snapshot that is selected on its page"), _kept, section=3, multiple=False,
               refusal=_NOT_KEPT, for_templates=False),
    ActionSpec("delete-snapshot", Group.MACHINE, N("Actions", "Delete Snapshot…"), "", "",
               N("Actions", "Delete the snapshots that are selected on its page"), _kept, section=3, multiple=False,
               refusal=_NOT_KEPT),
    ActionSpec("snapshot-policy", Group.MACHINE, N("Actions", "Schedule Snapshots…"), "clock", "",
               N("Actions", "Have snapshots taken by themselves while it runs"), _kept, section=3, multiple=False,
               refusal=_NOT_KEPT),
    ActionSpec("clone", Group.MACHINE, N("Actions", "Clone…"), "copy", "",
               N("Actions", "Make another virtual machine like it"), _kept, section=4, multiple=False,
               refusal=_NOT_KEPT),
    ActionSpec("template", Group.MACHINE, N("Actions", "Make a Template…"), "template", "",
               N("Actions", "Make it a template, or an ordinary virtual machine again"),
               lambda vm: vm.state in _OFF and vm.persistent, section=4, multiple=False,
               refusal=_NOT_OFF),
    ActionSpec("detach-clone", Group.MACHINE, N("Actions", "Detach from Source…"), "", "",
               N("Actions", "Copy into a linked clone what it reads from its source, so that it stands alone"), _kept,
               section=4, multiple=False,
               refusal=_NOT_KEPT),
    ActionSpec("settings", Group.MACHINE, N("Actions", "Settings…"), "preferences", "Alt+Return",
               N("Actions", "Processor, memory, drives, network, display and all other hardware"), _known, section=5,
               multiple=False),
    ActionSpec("rename", Group.MACHINE, N("Actions", "Rename…"), "rename", "F2", "",
               _in(_S.OFF, _S.CRASHED), section=5, multiple=False),
    ActionSpec("edit-notes", Group.MACHINE, N("Actions", "Edit Title and Notes…"), "notes", "", "",
               lambda vm: _known(vm) and vm.is_complete, section=5, multiple=False),
    ActionSpec("autostart", Group.MACHINE, N("Actions", "Start with the Host"), "", "",
               N("Actions", "Start this virtual machine when its host starts"),
               lambda vm: _known(vm) and vm.persistent, section=5, checkable=True, for_templates=False),
    ActionSpec("delete", Group.MACHINE, N("Actions", "Delete…"), "delete", "Del", "",
               _in(*_OFF), section=6, multiple=False),
    ActionSpec("send-ctrl-alt-del", Group.CONSOLE, N("Actions", "Send Ctrl+Alt+Del"), "", "", "", _on_screen,
               multiple=False),
    ActionSpec("send-keys", Group.CONSOLE, N("Actions", "Send Keys"), "keyboard", "",
               N("Actions", "Send a combination of keys that the desktop would take for itself"), _on_screen,
               multiple=False),
    ActionSpec("type-text", Group.CONSOLE, N("Actions", "Type Text…"), "text", "Ctrl+Shift+T",
               N("Actions", "Type a text into the guest as if on its keyboard"), _on_screen, multiple=False),
    ActionSpec("clipboard", Group.CONSOLE, N("Actions", "Shared Clipboard"), "clipboard", "",
               N("Actions", "Which way copied text may go between the guest and this desktop"), _on_screen,
               multiple=False),
    ActionSpec("copy-text", Group.CONSOLE, N("Actions", "Copy Text from the Screen…"), "copy-text", "Ctrl+Shift+X",
               N("Actions", "Mark a part of the guest's screen and copy what is written there"), _on_screen, section=1,
               multiple=False),
    ActionSpec("copy-screenshot", Group.CONSOLE, N("Actions", "Copy Screenshot"), "copy", "", "", _on_screen,
               section=1, multiple=False),
    ActionSpec("screenshot", Group.CONSOLE, N("Actions", "Save Screenshot"), "screenshot", "Ctrl+Shift+S",
               N("Actions", "Save the guest's screen as a picture"), _on_screen, section=1, multiple=False),
    ActionSpec("record-session", Group.CONSOLE, N("Actions", "Record Session"), "record", "",
               N("Actions", "Record all that the guest shows, to be played again here"), _on_screen, section=2,
               checkable=True, multiple=False),
    ActionSpec("record-video", Group.CONSOLE, N("Actions", "Record Video"), "video", "",
               N("Actions", "Record a video file of the guest's screen"), _on_screen, section=2, checkable=True,
               multiple=False),
    ActionSpec("play-recording", Group.CONSOLE, N("Actions", "Play a Recording…"), "start", "", "", section=2),
    ActionSpec("record-macro", Group.CONSOLE, N("Actions", "Record Macro"), "macro", "",
               N("Actions", "Record keys and clicks as a script that can be run again"), _on_screen, section=3,
               checkable=True, multiple=False),
    ActionSpec("run-script", Group.CONSOLE, N("Actions", "Run Script…"), "", "", "", _on_screen, section=3,
               multiple=False),
    ActionSpec("view-only", Group.CONSOLE, N("Actions", "View Only"), "view-only", "",
               N("Actions", "Send no keys and clicks to the guest"), _on_screen, section=4, checkable=True,
               multiple=False),
    ActionSpec("open-screens", Group.CONSOLE, N("Actions", "Each Screen in Its Own Window"), "", "",
               N("Actions", "For guests with several screens"), _on_screen, section=4, multiple=False),
    ActionSpec("sound", Group.CONSOLE, N("Actions", "Play Sound"), "", "", "", _on_screen, section=4, checkable=True,
               multiple=False),
    ActionSpec("search", Group.VIEW, N("Actions", "Search"), "search", "Ctrl+F", ""),
    ActionSpec("show-overview", Group.VIEW, N("Actions", "Overview"), "overview", "Ctrl+1", "", section=1),
    ActionSpec("show-console", Group.VIEW, N("Actions", "Console"), "console", "Ctrl+2", "", section=1),
    ActionSpec("show-serial", Group.VIEW, N("Actions", "Serial Console"), "serial", "Ctrl+3", "", section=1),
    ActionSpec("show-snapshots", Group.VIEW, N("Actions", "Snapshots"), "snapshot", "Ctrl+4", "", section=1),
    ActionSpec("detach-console", Group.VIEW, N("Actions", "Console in Its Own Window"), "detach", "Ctrl+D", "",
               _known, section=2, checkable=True, multiple=False),
    ActionSpec("fullscreen", Group.VIEW, N("Actions", "Full Screen"), "fullscreen", "F11", "", section=2,
               checkable=True),
    ActionSpec("scale-fit", Group.VIEW, N("Actions", "Fit to Window"), "", "", "", section=3, checkable=True),
    ActionSpec("scale-actual", Group.VIEW, N("Actions", "Actual Size (1:1)"), "", "", "", section=3, checkable=True),
    ActionSpec("scale-integer", Group.VIEW, N("Actions", "Whole Multiples"), "", "",
               N("Actions", "As large as fits with every guest pixel a sharp square"), section=3, checkable=True),
    ActionSpec("zoom-in", Group.VIEW, N("Actions", "Zoom In"), "zoom-in", "Ctrl++", "", section=4),
    ActionSpec("zoom-out", Group.VIEW, N("Actions", "Zoom Out"), "zoom-out", "Ctrl+-", "", section=4),
    ActionSpec("auto-resize", Group.VIEW, N("Actions", "Resize Guest with Window"), "", "",
               N("Actions", "Ask the guest to make its screen as large as the window"), _on_screen, section=4,
               checkable=True, multiple=False),
    ActionSpec("jobs", Group.VIEW, N("Actions", "Jobs"), "jobs", "Ctrl+J", "", section=5, checkable=True),
    ActionSpec("shortcuts", Group.HELP, N("Actions", "Keyboard Shortcuts"), "keyboard", "Ctrl+?", ""),
    ActionSpec("about", Group.HELP, N("Actions", "About guivm"), "about", "", "", section=1),
)  # fmt: skip


def _kinds(selection: Iterable[VmInfo]) -> list[tuple[VmInfo, int]]:
    """One VM of each kind that ``ActionSpec.applies`` can tell apart, and how many there are of it."""
    found: dict[tuple[str | bool, ...], tuple[VmInfo, int]] = {}
    for vm in selection:
        kind = (
            *(vm.state.value, vm.persistent, vm.has_graphics, vm.is_complete),
            *(vm.is_template, vm.is_disposable),
        )
        first, count = found.get(kind, (vm, 0))
        found[kind] = (first, count + 1)
    return list(found.values())


class ActionRegistry(QObject):
    """The QActions of one window. GUI thread.

    ``triggered`` carries the id; ``menuShown``: a menu of the machine's actions opens. Shortcuts are read from and
    written to the settings.
    """

    triggered = Signal(str)
    menuShown = Signal()
    shortcutsChanged = Signal()

    def __init__(self, settings: Settings, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._settings = settings
        self._specs = {spec.id: spec for spec in SPECS}
        self._actions: dict[str, QAction] = {}
        self._resumes = False
        self._converts_back = False
        self._one: VmInfo | None = None
        self._refused: dict[tuple[str, VmKey], str] = {}
        for spec in SPECS:
            action = QAction(QCoreApplication.translate("Actions", spec.text), self)
            action.setObjectName(f"action-{spec.id}")
            action.setCheckable(spec.checkable)
            action.setIcon(icon(spec.icon))
            action.setData(spec.id)
            action.setShortcut(self.shortcut(spec.id))
            action.setEnabled(spec.enabled is None)
            action.triggered.connect(self._on_triggered)
            self._actions[spec.id] = action
            action.setToolTip(self.tool_tip(spec.id))
        settings.changed.connect(self._on_setting)

    def specs(self) -> tuple[ActionSpec, ...]:
        return SPECS

    def spec(self, action_id: str) -> ActionSpec:
        return self._specs[action_id]

    def action(self, action_id: str) -> QAction:
        """The QAction; KeyError for an unknown id: a programming mistake."""
        return self._actions[action_id]

    def icon_name(self, action_id: str) -> str:
        """The icon in force: Pause that reads Resume has that of Start."""
        return "start" if action_id == "pause" and self._resumes else self._specs[action_id].icon

    def tool_tip(self, action_id: str) -> str:
        """What the action does, and its shortcut."""
        spec = self._specs[action_id]
        if self.refusal(action_id):
            return self.refusal(action_id)
        text = QCoreApplication.translate("Actions", spec.tip or spec.text).rstrip("…")
        shortcut = self.shortcut(action_id).toString(QKeySequence.SequenceFormat.NativeText)
        return f"{text} ({shortcut})" if shortcut else text

    def refusal(self, action_id: str) -> str:
        """Why the action is disabled for what is selected, where that can be said."""
        if self._one is None or self._actions[action_id].isEnabled():
            return ""
        why = self._specs[action_id].why_not(self._one)
        return QCoreApplication.translate("Actions", why) if why else self._learned(action_id)

    @property
    def one(self) -> VmInfo | None:
        """The VM that is selected alone."""
        return self._one

    def refuse(self, action_id: str, key: VmKey, why: str) -> None:
        """What was found out about one VM beyond its state: why the action can do nothing for it. Empty: it can."""
        if why:
            self._refused[action_id, key] = why
        else:
            self._refused.pop((action_id, key), None)
        if self._one is not None and self._one.key == key:
            spec = self._specs[action_id]
            self._actions[action_id].setEnabled(spec.applies(self._one) and not why)
            self._actions[action_id].setToolTip(self.tool_tip(action_id))

    def _learned(self, action_id: str) -> str:
        return "" if self._one is None else self._refused.get((action_id, self._one.key), "")

    def in_group(self, group: Group) -> list[ActionSpec]:
        return [spec for spec in SPECS if spec.group is group]

    def targets(self, action_id: str, selection: Iterable[VmInfo]) -> list[VmInfo]:
        """Of the selected VMs those the action applies to."""
        applies = self._specs[action_id].applies
        return [vm for vm in selection if applies(vm)]

    def counts(self, action_ids: Iterable[str], selection: Iterable[VmInfo]) -> dict[str, int]:
        """To how many of the selected VMs each action applies."""
        kinds = _kinds(selection)
        return {action_id: sum(n for vm, n in kinds if self._specs[action_id].applies(vm)) for action_id in action_ids}

    def update_enabled(self, selection: Sequence[VmInfo]) -> None:
        """Follow the selection and the observed states."""
        kinds = _kinds(selection)
        self._one = selection[0] if len(selection) == 1 else None
        for spec in SPECS:
            if spec.enabled is None:
                continue
            hit = any(spec.applies(vm) for vm, _ in kinds)
            ok = hit and (spec.multiple or len(selection) == 1) and not self._learned(spec.id)
            self._actions[spec.id].setEnabled(ok)
            if spec.refusal or not (spec.for_templates and spec.for_disposable):
                self._actions[spec.id].setToolTip(self.tool_tip(spec.id))
        self._set_resumes([vm for vm, _ in kinds])
        self._set_converts_back(back=self._one is not None and self._one.is_template)
        applies = self._specs["autostart"].applies
        autostart = [vm.autostart for vm in selection if applies(vm)]
        self._actions["autostart"].setChecked(bool(autostart) and all(autostart))

    def _set_resumes(self, selection: Sequence[VmInfo]) -> None:
        targets = self.targets("pause", selection)
        resumes = bool(targets) and all(vm.state is not VmState.RUNNING for vm in targets)
        if resumes == self._resumes:
            return
        self._resumes = resumes
        action = self._actions["pause"]
        action.setIcon(icon(self.icon_name("pause")))
        text = N("Actions", "Resume") if resumes else self._specs["pause"].text
        action.setText(QCoreApplication.translate("Actions", text))

    def _set_converts_back(self, *, back: bool) -> None:
        if back != self._converts_back:
            self._converts_back = back
            text = N("Actions", "Convert Back to a Virtual Machine…") if back else self._specs["template"].text
            self._actions["template"].setText(QCoreApplication.translate("Actions", text))

    # --- shortcuts ------------------------------------------------------------------------------------

    def shortcut(self, action_id: str) -> QKeySequence:
        spec = self._specs[action_id]
        text = self._settings.get(shortcut_setting(action_id, spec.shortcut))
        return QKeySequence.fromString(text, QKeySequence.SequenceFormat.PortableText)

    def conflict(self, action_id: str, sequence: QKeySequence) -> str | None:
        """Id of another action with the same shortcut, or None."""
        if sequence.isEmpty():
            return None
        for spec in SPECS:
            if spec.id != action_id and self.shortcut(spec.id) == sequence:
                return spec.id
        return None

    def set_shortcut(self, action_id: str, sequence: QKeySequence) -> str | None:
        """Change a shortcut; refused, and the id of the owner answered, when another action has it."""
        owner = self.conflict(action_id, sequence)
        if owner is not None:
            return owner
        setting = shortcut_setting(action_id, self._specs[action_id].shortcut)
        self._settings.set(setting, sequence.toString(QKeySequence.SequenceFormat.PortableText))
        return None

    @Slot(str)
    def _on_setting(self, key: str) -> None:
        """Every registry follows the settings, whichever window changed them."""
        prefix, _, action_id = key.partition("/")
        if prefix == "shortcuts" and action_id in self._specs:
            self._actions[action_id].setShortcut(self.shortcut(action_id))
            self._actions[action_id].setToolTip(self.tool_tip(action_id))
            self.shortcutsChanged.emit()

    @Slot()
    def _on_triggered(self) -> None:
        sender = self.sender()
        if isinstance(sender, QAction):
            self.triggered.emit(str(sender.data()))
