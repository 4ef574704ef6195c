"""What a new disk image is to be: where, how large, how it is written, and whether it is encrypted. GUI thread."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QCheckBox, QLineEdit, QVBoxLayout, QWidget

from guivm.engine.options.new_disk_xml import new_secret_uuid, shape_problem
from guivm.engine.options.new_disks import NewDisk
from guivm.engine.options.option import Item, SizeUnit
from guivm.engine.options.sizes import size_words
from guivm.views.forms import PathField
from guivm.views.theme import GRID
from guivm.views.vm_settings.editors import translated
from guivm.views.vm_settings.pieces import ItemBox, QuietSize, labelled, quiet_label

_MIB = 1 << 20


class NewDiskForm(QWidget):
    """``changed``: the person edited something; see :meth:`disk` and :meth:`problem`."""

    changed = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("new-disk")
        self._uuid = new_secret_uuid()
        self._shown: NewDisk | None = None
        self.path = PathField("new-disk-file", self.tr("File of the new image"), "", Path.home, self)
        self.path.browse.hide()
        self.amount = QuietSize("new-disk-size", self.tr("Size of the new disk"), self)
        self.amount.setRange(1, 1 << 30)
        self.format = ItemBox("new-disk-format", self.tr("Format of the new disk"), self)
        self.format.show_items(
            [
                Item("qcow2", "qcow2", self.tr("grows as it is filled; snapshots, encryption")),
                Item("raw", self.tr("Raw"), self.tr("the bytes as they are: quickest")),
            ],
            notes=True,
        )
        self.preallocation = ItemBox("new-disk-preallocation", self.tr("Space taken at once"), self)
        self.encrypt = QCheckBox(self.tr("Encrypt it (LUKS)"), self)
        self.encrypt.setObjectName("new-disk-encrypt")
        self.encrypt.setAccessibleName(self.encrypt.text())
        self.first = self._secret("new-disk-passphrase", self.tr("Passphrase"))
        self.second = self._secret("new-disk-passphrase-again", self.tr("Passphrase again"))
        self.note = quiet_label("", self)
        self.lines = [
            labelled(self.tr("File"), self.path, self, stretch=True),
            labelled(self.tr("Size"), self.amount, self),
            labelled(self.tr("Format"), self.format, self, stretch=True),
            labelled(self.tr("Space"), self.preallocation, self, stretch=True),
        ]
        self.secret_lines = [
            labelled(self.tr("Passphrase"), self.first, self, stretch=True),
            labelled(self.tr("Again"), self.second, self, stretch=True),
        ]
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GRID)
        for widget in (*self.lines, self.encrypt, *self.secret_lines, self.note):
            column.addWidget(widget)
        self.path.pathChanged.connect(self._on_edited)
        self.amount.valueChanged.connect(self._on_edited)
        self.format.picked.connect(self._on_edited)
        self.preallocation.picked.connect(self._on_edited)
        self.encrypt.clicked.connect(self._on_edited)
        self.first.textEdited.connect(self._on_edited)
        self.second.textEdited.connect(self._on_edited)

    def _secret(self, name: str, accessible: str) -> QLineEdit:
        edit = QLineEdit(self)
        edit.setObjectName(name)
        edit.setAccessibleName(accessible)
        edit.setEchoMode(QLineEdit.EchoMode.Password)
        edit.setMaxLength(255)
        return edit

    def show_disk(self, disk: NewDisk, free_bytes: int) -> None:
        """Fill the fields; tells nobody. What is being typed is left alone."""
        if disk != self._shown:
            self._shown = disk
            self.blockSignals(True)
            self.path.set_path(Path(disk.path))
            self.amount.show_value(disk.size_bytes // _MIB)
            self.format.show_value(disk.format)
            self.encrypt.setChecked(disk.is_encrypted)
            if disk.is_encrypted:
                self._uuid = disk.secret_uuid
            self.first.setText(disk.passphrase)
            self.second.setText(disk.passphrase)
            self._show_choices(disk.format, disk.preallocation)
            self.blockSignals(False)
        self._say(free_bytes)

    def disk(self) -> NewDisk:
        """As the fields have it, sound or not."""
        path = self.path.path()
        encrypted = self.encrypt.isChecked()
        return NewDisk(
            "" if path is None else str(path),
            self.amount.value() * _MIB,
            str(self.format.value or "qcow2"),
            str(self.preallocation.value or "off"),
            self.first.text() if encrypted else "",
            self._uuid if encrypted else "",
        )

    def problem(self) -> str:
        """Why it cannot be; or an empty string."""
        if self.encrypt.isChecked() and self.first.text() != self.second.text():
            return self.tr("The two passphrases are not the same.")
        return translated(shape_problem(self.disk()))

    def forget_shown(self, disk: NewDisk) -> None:
        """What the fields have is what was stored."""
        self._shown = disk

    @Slot()
    def _on_edited(self) -> None:
        if self.signalsBlocked():
            return
        self._show_choices(str(self.format.value), str(self.preallocation.value or "off"))
        self.changed.emit()

    def _show_choices(self, image_format: str, preallocation: str) -> None:
        raw = image_format == "raw"
        items = [
            Item("off", self.tr("As it is filled"), self.tr("nothing at once; the host's disk can fill up")),
            Item("falloc", self.tr("All of it, reserved"), self.tr("at once, quickly; never runs out")),
            Item("full", self.tr("All of it, written"), self.tr("takes its time; best for slow disks")),
        ]
        if not raw:
            items.insert(1, Item("metadata", self.tr("Only the tables"), self.tr("a little quicker at first")))
        self.preallocation.show_items(items, notes=True)
        self.preallocation.show_value("off" if raw and preallocation == "metadata" else preallocation)
        self.encrypt.setEnabled(not raw)
        if raw:
            self.encrypt.setChecked(False)
        for line in self.secret_lines:
            line.setVisible(self.encrypt.isChecked())

    def _say(self, free_bytes: int) -> None:
        disk = self.disk()
        words = self.tr("The guest sees {virtual}; on the host it takes {real} at once, {free} are free there.").format(
            virtual=size_words(disk.size_bytes, SizeUnit.BYTES),
            real=size_words(disk.written_bytes >> 20 << 20 or _MIB, SizeUnit.BYTES),
            free=f"{free_bytes / (1 << 30):.1f} GiB",
        )
        lines = [words, self.tr("The file is made when you apply.")]
        if disk.is_encrypted:
            lines.append(
                self.tr(
                    "libvirt keeps the passphrase so that the VM can start. Without it nobody reads the disk again."
                )
            )
        self.note.setText(" ".join(lines))
