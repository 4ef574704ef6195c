"""Questions that are no more than a plan: undo a restore, template on and off, detach a clone."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget

from guivm.engine.requests import DetachClone, PlannedOperation, SetTemplate, UndoRestore
from guivm.engine.snapshots.values import SnapshotTree
from guivm.engine.types import VmInfo
from guivm.views.bridge import Bridge
from guivm.views.forms import plain_label
from guivm.views.snapshots.plan_dialog import PlanDialog
from guivm.views.snapshots.words import quoted
from guivm.views.theme import GRID

_WIDTH = 520


class _Question(PlanDialog):
    def __init__(
        self,
        bridge: Bridge,
        vm: VmInfo,
        tree: SnapshotTree | None,
        heading: str,
        text: str,
        verb: str,
        parent: QWidget | None,
        *,
        name: str,
    ) -> None:
        super().__init__(bridge, vm, tree, heading.rstrip("?"), verb, parent, name=name, width=_WIDTH)
        self.body.setSpacing(GRID + 4)
        self.heading = plain_label(heading, self.content, wrap=True)
        self.heading.setProperty("role", "heading")
        self.text = plain_label(text, self.content, wrap=True)
        self.body.addWidget(self.heading)
        self.body.addWidget(self.text)
        self.body.addWidget(self.plan_view)
        self.body.addStretch(1)
        self.begin()

    def operation(self) -> PlannedOperation:
        raise NotImplementedError


class UndoRestoreDialog(_Question):
    """``title``: of the snapshot that was restored."""

    def __init__(
        self, bridge: Bridge, vm: VmInfo, tree: SnapshotTree | None, title: str, parent: QWidget | None = None
    ) -> None:
        super().__init__(
            bridge,
            vm,
            tree,
            self.tr("Undo the restore of {title}?").format(title=quoted(title)),
            self.tr("{name} becomes what it was before. What happened in it since then is given up.").format(
                name=quoted(vm.name)
            ),
            self.tr("&Undo Restore"),
            parent,
            name="undo-restore",
        )

    def operation(self) -> UndoRestore:
        return UndoRestore(self.vm.key)


class TemplateDialog(_Question):
    """Makes a template of a VM, or an ordinary VM of a template."""

    def __init__(self, bridge: Bridge, vm: VmInfo, tree: SnapshotTree | None, parent: QWidget | None = None) -> None:
        super().__init__(bridge, vm, tree, self.tr("Template"), "", self.tr("&Convert"), parent, name="template")

    def tree_known(self, tree: SnapshotTree) -> None:
        name = quoted(self.vm.name)
        if tree.is_template:
            heading = self.tr("Make {name} an ordinary virtual machine again?")
            text = self.tr("It can be started and changed again. That needs that no linked clone reads its images.")
        else:
            heading = self.tr("Make {name} a template?")
            text = self.tr(
                "A template is there to be cloned: it can be neither started nor changed, so that all its clones begin "
                "alike. You can make it an ordinary virtual machine again."
            )
        self.heading.setText(heading.format(name=name))
        self.text.setText(text)
        self.setWindowTitle(self.heading.text().rstrip("?"))
        self.grow()

    def operation(self) -> SetTemplate:
        return SetTemplate(self.vm.key, not (self.tree is not None and self.tree.is_template))


class DetachDialog(_Question):
    def __init__(self, bridge: Bridge, vm: VmInfo, tree: SnapshotTree | None, parent: QWidget | None = None) -> None:
        super().__init__(
            bridge,
            vm,
            tree,
            self.tr("Detach {name} from its source?").format(name=quoted(vm.name)),
            self.tr(
                "What it reads from the images of the virtual machine it was cloned from is copied into its own. Then "
                "it needs that one no more."
            ),
            self.tr("&Detach"),
            parent,
            name="detach-clone",
        )

    def operation(self) -> DetachClone:
        return DetachClone(self.vm.key)
