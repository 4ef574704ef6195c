"""Carries out wishes about snapshots and clones: the dialog, the request, what came of it. GUI thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QWidget

from guivm.engine.requests import (
    CloneVm,
    DeleteSnapshots,
    DetachClone,
    RestoreSnapshot,
    SetSnapshotPolicy,
    SetTemplate,
    StartDisposable,
    TakeSnapshot,
    UndoRestore,
    VmRequest,
)
from guivm.engine.snapshots.values import (
    ClonedVm,
    CloneSpec,
    RestoredSnapshot,
    SnapshotId,
    SnapshotInfo,
    SnapshotTree,
    TakenSnapshot,
)
from guivm.engine.types import VmInfo, VmKey
from guivm.errors import CancelledError, GuivmError
from guivm.views.bridge import Bridge
from guivm.views.messages import ActionPair, MessageBar
from guivm.views.snapshots.plan_dialog import PlanDialog
from guivm.views.snapshots.wishes import Verb, Wish
from guivm.views.snapshots.words import every_words, pause_sentence, quoted

T = TypeVar("T")
_QUIET_PAUSE_S = 0.05  # shorter than anybody notices


class SnapshotCommands(QObject):
    """``appeared`` carries the key of a clone."""

    appeared = Signal(object)  # VmKey

    def __init__(self, bridge: Bridge, messages: MessageBar, parent: QObject) -> None:
        super().__init__(parent)
        self._bridge = bridge
        self._messages = messages
        self._starting: set[VmKey] = set()

    def run(self, wish: Wish, window: QWidget) -> None:
        """Ask what is to be asked, over ``window``, and do it."""
        vm = self._bridge.engine.vm(wish.key)
        if vm is None:
            return
        match wish.verb:
            case Verb.TAKE:
                self.take(vm, window, wish.tree)
            case Verb.RESTORE:
                self._restore(wish, vm, window)
            case Verb.DELETE:
                self._delete(wish, vm, window)
            case Verb.CLONE:
                self.clone(vm, window, wish.tree, wish.snapshots[0] if wish.snapshots else None)
            case Verb.UNDO:
                title = wish.tree.can_undo_restore if wish.tree is not None else ""
                self.undo(vm, window, title, wish.tree)
            case Verb.POLICY:
                self._policy(wish, vm, window)
            case Verb.TEMPLATE:
                self._template(wish, vm, window)
            case Verb.DETACH:
                self._detach(wish, vm, window)
            case Verb.DISPOSABLE:
                self._start_disposable(vm)

    # --- snapshots ------------------------------------------------------------------------------------

    def take(
        self, vm: VmInfo, window: QWidget, tree: SnapshotTree | None = None, draft: TakeSnapshot | None = None
    ) -> None:
        """``draft``: what the dialog begins with."""
        from guivm.views.snapshots.take import TakeDialog

        def do(request: TakeSnapshot) -> None:
            again = (self.tr("Try Again…"), lambda: self.take(vm, window, None, request))
            self._submit(request, self._taken, (again,))

        self._open(TakeDialog(self._bridge, vm, tree, window, draft=draft), do)

    def _taken(self, taken: TakenSnapshot) -> None:
        text = self.tr("{title} was taken.").format(title=quoted(taken.title))
        pause = pause_sentence(taken.pause_s) if taken.pause_s >= _QUIET_PAUSE_S else ""
        self._messages.show_success(f"{text} {pause}".strip())

    def _restore(self, wish: Wish, vm: VmInfo, window: QWidget) -> None:
        from guivm.views.snapshots.restore import RestoreDialog

        infos = _infos(wish)
        if wish.tree is None or not infos:
            return
        title = infos[0].title

        def restored(answer: RestoredSnapshot) -> None:
            undo: tuple[ActionPair, ...] = ()
            if answer.can_undo:
                undo = ((self.tr("Undo…"), lambda: self._undo_later(vm.key, window, title)),)
            self._messages.show_info(self.tr("{title} was restored.").format(title=quoted(title)), undo)

        def do(request: RestoreSnapshot) -> None:
            self._submit(request, restored)

        self._open(RestoreDialog(self._bridge, vm, wish.tree, infos[0], window), do)

    def _undo_later(self, key: VmKey, window: QWidget, title: str) -> None:
        vm = self._bridge.engine.vm(key)
        if vm is not None:
            self.undo(vm, window, title)

    def undo(self, vm: VmInfo, window: QWidget, title: str, tree: SnapshotTree | None = None) -> None:
        """Undo the restore of the snapshot of that title."""
        from guivm.views.snapshots.questions import UndoRestoreDialog

        def done(_nothing: None) -> None:
            self._messages.show_success(self.tr("{name} is what it was before.").format(name=quoted(vm.name)))

        def do(request: UndoRestore) -> None:
            self._submit(request, done)

        self._open(UndoRestoreDialog(self._bridge, vm, tree, title, window), do)

    def _delete(self, wish: Wish, vm: VmInfo, window: QWidget) -> None:
        from guivm.views.snapshots.delete import DeleteSnapshotsDialog

        infos = _infos(wish)
        if wish.tree is None or not infos:
            return

        def do(request: DeleteSnapshots) -> None:
            self._submit(request)

        self._open(DeleteSnapshotsDialog(self._bridge, vm, wish.tree, infos, window), do)

    def _policy(self, wish: Wish, vm: VmInfo, window: QWidget) -> None:
        from guivm.views.snapshots.policy import PolicyDialog

        def do(request: SetSnapshotPolicy) -> None:
            name = quoted(vm.name)
            if request.policy is None:
                text = self.tr("No more snapshots of {name} are taken by themselves.").format(name=name)
            else:
                every = every_words(request.policy)
                text = self.tr("A snapshot of {name} is taken {every} while it runs.").format(name=name, every=every)
            self._submit(request, lambda _: self._messages.show_success(text))

        self._open(PolicyDialog(self._bridge, vm, wish.tree, window), do)

    # --- clones ---------------------------------------------------------------------------------------

    def clone(
        self,
        vm: VmInfo,
        window: QWidget,
        tree: SnapshotTree | None = None,
        snapshot: SnapshotId | None = None,
        draft: CloneSpec | None = None,
    ) -> None:
        """``snapshot``: chosen at first; ``draft``: what the dialog begins with."""
        from guivm.views.snapshots.clone import CloneDialog

        def do(request: CloneVm) -> None:
            again = (self.tr("Try Again…"), lambda: self.clone(vm, window, None, None, request.spec))
            self._submit(request, cloned, (again,))

        def cloned(answer: ClonedVm) -> None:
            text = self.tr("{name} was cloned as {clone}.").format(name=quoted(vm.name), clone=quoted(answer.name))
            if answer.remarks:
                self._messages.show_info(text, advice=" ".join(answer.remarks))
            else:
                self._messages.show_success(text)
            self.appeared.emit(answer.key)

        self._open(CloneDialog(self._bridge, vm, tree, snapshot, window, draft=draft), do)

    def _template(self, wish: Wish, vm: VmInfo, window: QWidget) -> None:
        from guivm.views.snapshots.questions import TemplateDialog

        def do(request: SetTemplate) -> None:
            name = quoted(vm.name)
            text = self.tr("{name} is a template now.") if request.on else self.tr("{name} is no template any more.")
            self._submit(request, lambda _: self._messages.show_success(text.format(name=name)))

        self._open(TemplateDialog(self._bridge, vm, wish.tree, window), do)

    def _detach(self, wish: Wish, vm: VmInfo, window: QWidget) -> None:
        from guivm.views.snapshots.questions import DetachDialog

        def do(request: DetachClone) -> None:
            text = self.tr("{name} stands alone now.").format(name=quoted(vm.name))
            self._submit(request, lambda _: self._messages.show_success(text))

        self._open(DetachDialog(self._bridge, vm, wish.tree, window), do)

    def _start_disposable(self, vm: VmInfo) -> None:
        """Once: it is not sent again before it was answered."""
        if vm.key in self._starting:
            return
        self._starting.add(vm.key)

        def started(_nothing: None) -> None:
            self._starting.discard(vm.key)
            self._messages.show_info(
                self.tr("{name} runs for this once.").format(name=quoted(vm.name)),
                advice=self.tr("All that is written to its disks is thrown away when it is switched off."),
            )

        def failed(error: GuivmError) -> None:
            self._starting.discard(vm.key)
            self._messages.show_error(error)

        self._bridge.submit(StartDisposable(vm.key), self, started, failed)

    # --- shared ---------------------------------------------------------------------------------------

    @staticmethod
    def _open(dialog: PlanDialog, do: Callable[..., None]) -> None:
        dialog.decided.connect(do)
        dialog.open()

    def _submit(
        self,
        request: VmRequest[T],
        done: Callable[[T], None] | None = None,
        on_failure: tuple[ActionPair, ...] = (),
    ) -> None:
        """Progress is shown by the jobs panel and on the page."""

        def failed(error: GuivmError) -> None:
            if not isinstance(error, CancelledError):
                self._messages.show_error(error, on_failure)

        self._bridge.submit(request, self, done, failed)


def _infos(wish: Wish) -> list[SnapshotInfo]:
    if wish.tree is None:
        return []
    chosen = set(wish.snapshots)
    return [info for info in wish.tree.snapshots if info.id in chosen]
