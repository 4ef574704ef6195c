"""Delete snapshots: one, one with all below it, or several."""

from __future__ import annotations

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QWidget

from guivm.engine.requests import DeleteSnapshots
from guivm.engine.snapshots.values import SnapshotInfo, SnapshotTree
from guivm.engine.types import VmInfo
from guivm.views import formats
from guivm.views.bridge import Bridge
from guivm.views.forms import plain_label
from guivm.views.snapshots.plan_dialog import PlanDialog
from guivm.views.snapshots.words import descendants, quoted
from guivm.views.theme import GRID
from guivm.views.vm_settings.cards import Cards

_WIDTH = 560
_SHOWN = 5
_ONLY, _CHILDREN = "only", "children"


class DeleteSnapshotsDialog(PlanDialog):
    """The current state stays as it is, whatever is deleted."""

    def __init__(
        self, bridge: Bridge, vm: VmInfo, tree: SnapshotTree, infos: list[SnapshotInfo], parent: QWidget | None = None
    ) -> None:
        count = formats.number(len(infos))
        what = quoted(infos[0].title) if len(infos) == 1 else self.tr("{n} snapshots").format(n=count)
        super().__init__(
            bridge,
            vm,
            tree,
            self.tr("Delete {what}").format(what=what),
            self.tr("&Delete"),
            parent,
            name="delete-snapshots",
            width=_WIDTH,
            destructive=True,
        )
        self._infos = infos
        below = descendants(tree, [info.id for info in infos])
        self.body.setSpacing(GRID + 4)
        self.add_heading(self.tr("Delete {what}?").format(what=what))
        if len(infos) > 1:
            names = [info.title for info in infos[:_SHOWN]]
            if len(infos) > _SHOWN:
                names.append(self.tr("and {n} more").format(n=formats.number(len(infos) - _SHOWN)))
            self.body.addWidget(plain_label("\n".join(f"•  {name}" for name in names), self.content, wrap=True))
        text = self.tr(
            "You can no longer go back to that. The current state and all other snapshots stay as they are: what they "
            "need is kept."
        )
        self.body.addWidget(plain_label(text, self.content, wrap=True))
        self.scope = Cards("delete-scope", self.content)
        self.scope.setAccessibleName(self.tr("What is deleted"))
        only = self.tr("Only this one") if len(infos) == 1 else self.tr("Only those that are selected")
        self.scope.add(_ONLY, only, self.tr("Those below it stay, and go on from the one above."))
        more = formats.counted(len(below), self.tr("With the one below it"), self.tr("With the {n} below it"))
        self.scope.add(_CHILDREN, more, self._names(below))
        self.scope.choose(_ONLY)
        self.scope.setVisible(bool(below))
        self.scope.chosen.connect(self._on_scope)
        self.body.addWidget(self.scope)
        self.body.addWidget(self.plan_view)
        self.body.addStretch(1)
        self.begin()

    @staticmethod
    def _names(below: list[SnapshotInfo]) -> str:
        names = ", ".join(quoted(info.title) for info in below[:_SHOWN])
        return f"{names}…" if len(below) > _SHOWN else names

    def operation(self) -> DeleteSnapshots:
        ids = tuple(info.id for info in self._infos)
        return DeleteSnapshots(self.vm.key, ids, children=self.scope.current == _CHILDREN)

    @Slot(str)
    def _on_scope(self, _key: str) -> None:
        self.replan()
