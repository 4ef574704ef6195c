"""Clone a VM, from what it is now or from a snapshot."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QCheckBox, QComboBox, QFileDialog, QLineEdit, QPushButton, QWidget

from guivm.engine.job_types import VmDetails
from guivm.engine.requests import CloneVm, ReadDetails
from guivm.engine.snapshots.values import (
    CloneKind,
    CloneSpec,
    IdentityPolicy,
    SnapshotId,
    SnapshotTree,
    TpmPolicy,
)
from guivm.engine.types import VmInfo
from guivm.errors import GuivmError
from guivm.text import clean_line
from guivm.views.bridge import Bridge
from guivm.views.forms import Form, PathField
from guivm.views.icons import icon
from guivm.views.snapshots.plan_dialog import PlanDialog
from guivm.views.snapshots.words import quoted
from guivm.views.theme import GRID
from guivm.views.vm_settings.cards import Cards

_WIDTH = 640
_NAME_LIMIT = 200


class _FolderField(PathField):
    """A folder's path."""

    @Slot()
    def _on_browse(self) -> None:
        path = self.path()
        start = path if path is not None and path.is_absolute() else self._start_dir()
        dialog = QFileDialog(self, self._caption, str(start))
        dialog.setObjectName(f"{self.objectName()}-dialog")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setOption(QFileDialog.Option.ShowDirsOnly)
        dialog.fileSelected.connect(self._on_selected)
        dialog.open()


class CloneDialog(PlanDialog):
    """``snapshot``: chosen at first; None: the current state. ``draft``: what to begin with, after a failure."""

    def __init__(
        self,
        bridge: Bridge,
        vm: VmInfo,
        tree: SnapshotTree | None = None,
        snapshot: SnapshotId | None = None,
        parent: QWidget | None = None,
        *,
        draft: CloneSpec | None = None,
    ) -> None:
        title = self.tr("Clone {name}").format(name=quoted(vm.name))
        super().__init__(bridge, vm, tree, title, self.tr("&Clone"), parent, name="clone", width=_WIDTH, scrolls=True)
        self._wanted_snapshot = draft.snapshot if draft is not None else snapshot
        self._make_fields()
        form = Form(self.content)
        self.name_row = form.add_row(self.tr("&Name"), self.name)
        for label, field, tall in ((self.tr("&From"), self.source, False), (self.tr("Disks"), self.kind, True)):
            form.add_row(label, field, tall=tall).note.setFixedHeight(GRID)
        self.identity_row = form.add_row(self.tr("&Identity"), self.identity)
        self.mac_row = form.add_row(self.tr("Net&work"), self.macs)
        self.body.addWidget(form)
        self.body.addWidget(self.more, 0, Qt.AlignmentFlag.AlignLeading)
        self.rest = Form(self.content)
        self.tpm_row = self.rest.add_row(self.tr("&TPM"), self.tpm)
        self.serial_row = self.rest.add_row(self.tr("Drives"), self.serials)
        self.folder_row = self.rest.add_row(self.tr("F&older"), self.folder)
        self.rest.line_up(form)
        self.tpm_row.set_visible(False)
        self.rest.hide()
        self.body.addWidget(self.rest)
        self.body.addWidget(self.plan_view)
        self.body.addStretch(1)
        if draft is not None:
            self._fill(draft)
        self._follow()
        for combo in (self.source, self.identity, self.macs, self.tpm):
            combo.currentIndexChanged.connect(self._on_edited)
        self.name.textChanged.connect(self._on_edited)
        self.kind.chosen.connect(self._on_edited)
        self.serials.toggled.connect(self._on_edited)
        self.folder.pathChanged.connect(self._on_edited)
        self.more.toggled.connect(self._on_more)
        self.name.selectAll()
        self.name.setFocus()
        self.bridge.submit(ReadDetails(vm.key), self, self._on_details, self._on_no_details)
        self.begin()

    def _make_fields(self) -> None:
        self.name = QLineEdit(self._free_name(), self.content)
        self.name.setObjectName("clone-name")
        self.name.setMaxLength(_NAME_LIMIT)
        self.source = self._combo("clone-source", [(self.tr("Current state"), None)])
        self.kind = Cards("clone-kind", self.content)
        self.kind.setAccessibleName(self.tr("Disks"))
        self.kind.add(
            CloneKind.FULL.value,
            self.tr("Full clone"),
            self.tr("Disks of its own: takes time and room, and then needs nothing of the source."),
        )
        self.kind.add(
            CloneKind.LINKED.value,
            self.tr("Linked clone"),
            self.tr("Made in a moment and small; it needs the source's images, which must stay as they are."),
        )
        self.kind.choose(CloneKind.FULL.value)
        self.identity = self._combo(
            "clone-identity",
            [(self.tr("Reset: a machine of its own"), IdentityPolicy.RESET), (self.tr("Keep"), IdentityPolicy.KEEP)],
        )
        self.macs = self._combo(
            "clone-macs", [(self.tr("New addresses"), False), (self.tr("Keep the addresses"), True)]
        )
        self.tpm = self._combo("clone-tpm", [(self.tr("Fresh"), TpmPolicy.FRESH), (self.tr("Copy"), TpmPolicy.COPY)])
        self.serials = QCheckBox(self.tr("Keep their &serial numbers"), self.content)
        self.serials.setObjectName("clone-serials")
        self.serials.setAccessibleName(self.tr("Keep the serial numbers of drives"))
        self.folder = _FolderField("clone-folder", self.tr("Folder of the new disks"), "", Path.home, self.content)
        self.folder.edit.setPlaceholderText(self.tr("Beside the source's"))
        self.more = QPushButton(f" {self.tr('More')}", self.content)
        self.more.setObjectName("clone-more")
        self.more.setAccessibleName(self.tr("More about the clone"))
        self.more.setProperty("kind", "flat")
        self.more.setIcon(icon("chevron-down"))
        self.more.setCheckable(True)
        self.more.setAutoDefault(False)

    def _combo(self, name: str, items: list[tuple[str, object]]) -> QComboBox:
        combo = QComboBox(self.content)
        combo.setObjectName(name)
        combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        combo.setMinimumContentsLength(12)
        for text, value in items:
            combo.addItem(text, value)
        return combo

    def _fill(self, draft: CloneSpec) -> None:
        self.name.setText(draft.name)
        self.kind.choose(draft.kind.value)
        self.identity.setCurrentIndex(int(draft.identity is IdentityPolicy.KEEP))
        self.macs.setCurrentIndex(int(draft.keep_macs))
        self.tpm.setCurrentIndex(int(draft.tpm is TpmPolicy.COPY))
        self.serials.setChecked(draft.keep_serials)
        self.folder.edit.setText(draft.directory)

    # --- what it is made from -------------------------------------------------------------------------

    def _on_details(self, details: VmDetails) -> None:
        from guivm.engine.xml.document import XmlError
        from guivm.engine.xml.domain import DomainXml

        try:
            has_tpm = DomainXml.parse(details.xml).devices.tpm.exists
        except XmlError:
            has_tpm = True  # not known: it is asked
        self._show_tpm(shown=has_tpm)

    def _on_no_details(self, _error: GuivmError) -> None:
        self._show_tpm(shown=True)

    def _show_tpm(self, *, shown: bool) -> None:
        self.tpm_row.set_visible(shown)
        self.grow()

    # --- what the form says ---------------------------------------------------------------------------

    def tree_known(self, tree: SnapshotTree) -> None:
        chosen = self._wanted_snapshot
        self.source.blockSignals(True)
        while self.source.count() > 1:
            self.source.removeItem(1)
        for info in sorted(tree.snapshots, key=lambda info: info.taken_s, reverse=True):
            self.source.addItem(clean_line(info.title, 80), str(info.id))
            if info.id == chosen:
                self.source.setCurrentIndex(self.source.count() - 1)
        self.source.blockSignals(False)
        self._follow()

    def spec(self) -> CloneSpec:
        """The form as it is."""
        source = self.source.currentData()
        folder = self.folder.path()
        return CloneSpec(
            self.name.text().strip(),
            CloneKind(self.kind.current),
            SnapshotId(source) if isinstance(source, str) else None,
            keep_macs=self.macs.currentIndex() == 1,
            keep_serials=self.serials.isChecked(),
            tpm=(TpmPolicy.FRESH, TpmPolicy.COPY)[self.tpm.currentIndex()],
            identity=(IdentityPolicy.RESET, IdentityPolicy.KEEP)[self.identity.currentIndex()],
            directory="" if folder is None else str(folder),
        )

    def operation(self) -> CloneVm | None:
        return None if self.form_problem() else CloneVm(self.vm.key, self.spec())

    def form_problem(self) -> str:
        return self._name_problem() or self._folder_problem()

    def _name_problem(self) -> str:
        name = self.name.text().strip()
        if not name:
            return self.tr("Give the clone a name.")
        if "/" in name:
            return self.tr("A name cannot contain “/”.")
        if name in self._names():
            return self.tr("Another VM of this host has that name.")
        return ""

    def _folder_problem(self) -> str:
        folder = self.folder.path()
        if folder is None or folder.is_absolute():
            return ""
        return self.tr("Give the whole path, from “/” on.")

    def _names(self) -> set[str]:
        return {vm.name for vm in self.bridge.engine.vms(self.vm.key.host)}

    def _free_name(self) -> str:
        taken = self._names()
        base = self.tr("{name}-clone").format(name=clean_line(self.vm.name, _NAME_LIMIT - 20))
        number, name = 2, base
        while name in taken:
            name = f"{base}-{number}"
            number += 1
        return name

    @Slot()
    def _on_edited(self) -> None:
        self._follow()
        self.replan()

    @Slot(bool)
    def _on_more(self, on: bool) -> None:
        self.rest.setVisible(on)
        self.more.setIcon(icon("chevron-up" if on else "chevron-down"))
        self.grow()

    def _follow(self) -> None:
        """What each choice means."""
        self.name_row.set_problem(self._name_problem())
        self.folder_row.set_problem(self._folder_problem())
        spec = self.spec()
        if spec.identity is IdentityPolicy.RESET:
            self.identity_row.set_help(
                self.tr(
                    "Linux gets a new machine-id, new SSH host keys and the clone's name; Windows is generalised by "
                    "Sysprep when it starts. What cannot be done here is told afterwards, with the steps."
                )
            )
        same = self.tr("Both are the same machine to others: do not let them meet on one network.")
        self.identity_row.set_problem("" if spec.identity is IdentityPolicy.RESET else same, is_warning=True)
        keeps = self.tr("Two machines with one MAC address on one network disturb each other.")
        self.mac_row.set_problem(keeps if spec.keep_macs else "", is_warning=True)
        self.mac_row.set_help("" if spec.keep_macs else self.tr("A router or DHCP server takes it for a new machine."))
        self.tpm_row.set_help(
            self.tr("An empty one: keys sealed in that of the source, as BitLocker does, are not there.")
            if spec.tpm is TpmPolicy.FRESH
            else self.tr("With all keys in it: whoever has the clone has them, too.")
        )
        self.serial_row.set_help(
            self.tr("Some programs tie their licence to them.")
            if spec.keep_serials
            else self.tr("New ones, where the source has any.")
        )
