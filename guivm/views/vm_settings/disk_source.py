"""What is in a drive: an image that exists, a new one, a block device, nothing, or what only the XML can say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtCore import QTimer, Slot
from PySide6.QtWidgets import QLineEdit, QVBoxLayout, QWidget

from guivm.engine.options.drives import source_text
from guivm.engine.options.new_disk_xml import require_passphrase, write_new_disk
from guivm.engine.options.new_disks import ImageSize, NewDisk
from guivm.engine.options.option import Option, SizeUnit
from guivm.engine.options.sizes import size_words
from guivm.engine.options.storage import new_image_path
from guivm.engine.xml.disk import Disk
from guivm.errors import GuivmError
from guivm.text import clean_line
from guivm.views.forms import PathField
from guivm.views.theme import GRID
from guivm.views.vm_settings.cards import Cards
from guivm.views.vm_settings.draft import NEW_DISK_BYTES, Draft, Part
from guivm.views.vm_settings.editors import translated
from guivm.views.vm_settings.new_disk_form import NewDiskForm
from guivm.views.vm_settings.pieces import labelled, quiet_label
from guivm.views.vm_settings.registry import CustomEditor

_PAUSE_MS = 300
_FILE, _NEW, _BLOCK, _EMPTY, _OTHER = "file", "new", "block", "empty", "other"


class DiskSourceEditor(CustomEditor):
    """``part.node`` is a :class:`Disk`."""

    def __init__(self, draft: Draft, part: Part, option: Option[Any], parent: QWidget) -> None:
        super().__init__(draft, part, option, parent)
        self._disk: Disk = part.node  # type: ignore[assignment]  # the catalogue gives this editor drives only
        self._is_medium = self._disk.device in ("cdrom", "floppy")
        self._asked: Path | None = None  # measured, or being measured
        self._wanted = ""  # a card that was taken and has no value yet
        self.cards = Cards("disk-source", self)
        self.cards.setAccessibleName(translated(option.label))
        self.cards.add(_EMPTY, self.tr("Empty"), self.tr("No medium: the drive is there, its tray empty."))
        self.cards.add(
            _FILE,
            self.tr("Image file"),
            self.tr("A CD or floppy image.") if self._is_medium else self.tr("A disk that exists already."),
            self._make_existing,
        )
        self.cards.add(_NEW, self.tr("New image"), self.tr("An empty disk, made when you apply."), self._make_new)
        self.cards.add(
            _BLOCK,
            self.tr("Block device"),
            self.tr("A disk, partition or volume of the host; what is on it is the guest's then."),
            self._make_block,
        )
        self.cards.add(_OTHER, self.tr("Network or volume"))
        self.cards.set_shown(_EMPTY, shown=self._is_medium)
        self.cards.set_shown(_NEW, shown=not self._is_medium)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, GRID // 2, 0, 0)
        column.addWidget(self.cards)
        self.setFocusProxy(self.cards)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PAUSE_MS)
        self._timer.timeout.connect(self._measure)
        self.cards.chosen.connect(self._on_card)

    def _make_new(self, parent: QWidget) -> QWidget:
        self.new = NewDiskForm(parent)
        self.new.changed.connect(self._on_new)
        return self.new

    def _make_existing(self, parent: QWidget) -> QWidget:
        existing = QWidget(parent)
        filters = (
            self.tr("CD and floppy images (*.iso *.img *.flp *.vfd)")
            if self._is_medium
            else self.tr("Disk images (*.qcow2 *.img *.raw *.vmdk *.vdi *.vhd *.vhdx)")
        )
        self.file = self._path_field("disk-file", self.tr("Image file"), filters, existing)
        self.passphrase = QLineEdit(existing)
        self.passphrase.setObjectName("disk-passphrase")
        self.passphrase.setAccessibleName(self.tr("Passphrase of the image"))
        self.passphrase.setEchoMode(QLineEdit.EchoMode.Password)
        self.passphrase_line = labelled(self.tr("Passphrase"), self.passphrase, existing, stretch=True)
        self.sizes = quiet_label("", existing)
        self.sizes.setObjectName("disk-sizes")
        column = QVBoxLayout(existing)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GRID)
        column.addWidget(self.file)
        column.addWidget(self.passphrase_line)
        column.addWidget(self.sizes)
        self.passphrase_line.hide()
        self.sizes.hide()
        self.passphrase.textEdited.connect(self._on_passphrase)
        return existing

    def _make_block(self, parent: QWidget) -> QWidget:
        block = QWidget(parent)
        self.device = self._path_field("disk-device", self.tr("Block device"), self.tr("Devices (*)"), block)
        self.device.edit.setPlaceholderText("/dev/disk/by-id/…")
        column = QVBoxLayout(block)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.device)
        return block

    def _path_field(self, name: str, caption: str, filters: str, parent: QWidget) -> PathField:
        field = PathField(name, caption, f"{filters};;{self.tr('All files (*)')}", Path.home, parent)
        local = self.draft.settings.facts.is_local
        field.set_browsable(local, "" if local else self.tr("The files are on another computer: type the path."))
        field.pathChanged.connect(self._on_path)
        return field

    # --- showing --------------------------------------------------------------------------------------

    def refresh(self) -> None:
        text = source_text(self._disk)
        kind = self._wanted or self._kind(text)
        if kind == _OTHER:
            self.cards.describe(_OTHER, clean_line(text or self._disk.type or "", 300))
        self.cards.set_shown(_OTHER, shown=kind == _OTHER)
        self.cards.choose(kind)
        plan = self.draft.new_disks.get(text)
        if plan is not None and kind == _NEW:
            self.new.show_disk(plan, self.draft.settings.facts.capabilities.images_free_bytes)
        elif kind in (_FILE, _BLOCK) and not self._wanted:
            field = self.file if kind == _FILE else self.device
            if str(field.path() or "") != text:
                field.blockSignals(True)
                field.set_path(Path(text))
                field.blockSignals(False)
        if kind == _FILE and text and Path(text) != self._asked:
            self._timer.start()

    def _kind(self, text: str) -> str:
        if text in self.draft.new_disks:
            return _NEW
        if self._disk.type in (None, "file"):
            return _FILE if text or not self._is_medium else _EMPTY
        return _BLOCK if self._disk.type == "block" else _OTHER

    @Slot()
    def _measure(self) -> None:
        path = Path(source_text(self._disk))
        services = self.draft.services
        if services is None or not path.is_absolute() or path == self._asked or self.cards.current != _FILE:
            return
        self._asked = path
        services.measure(path, self, self._on_size, self._on_no_size)

    def _on_size(self, size: ImageSize) -> None:
        if size.path != source_text(self._disk):
            return
        parts = [size.format]
        if size.virtual_bytes:
            parts.append(self.tr("{size} for the guest").format(size=_rounded(size.virtual_bytes)))
        parts.append(self.tr("{size} on the host").format(size=_rounded(size.real_bytes)))
        if size.is_encrypted:
            parts.append(self.tr("encrypted"))
        if size.backing:
            parts.append(self.tr("built upon “{file}”").format(file=clean_line(size.backing, 120)))
        self._say("  ·  ".join(parts))
        known = self._disk.source.encryption.secret_uuid or self._disk.encryption.secret_uuid
        self.passphrase_line.setVisible(size.is_encrypted)
        self.passphrase.setPlaceholderText(self.tr("libvirt has it; type another to change it") if known else "")

    def _on_no_size(self, error: GuivmError) -> None:
        self._say(error.summary)
        self.passphrase_line.hide()

    def _say(self, words: str) -> None:
        self.sizes.setText(words)
        self.sizes.setVisible(bool(words))

    # --- editing --------------------------------------------------------------------------------------

    @Slot(str)
    def _on_card(self, kind: str) -> None:
        self._wanted = ""
        if kind == _EMPTY:
            self.draft.set_value(self.part, self.option, None)
        elif kind == _NEW:
            target = self._disk.target_dev or "disk"
            path = new_image_path(self.draft.situation, target)
            known = self.draft.new_disks.get(path)
            self._store(known or NewDisk(path, NEW_DISK_BYTES))
        elif kind in (_FILE, _BLOCK):
            before = self._before(kind)
            if before:
                self.draft.set_value(self.part, self.option, before)
            else:
                self._wanted = kind
                (self.file if kind == _FILE else self.device).set_path(None)
                self.draft.set_invalid(self.part, self.option, self.tr("Choose what is in the drive."))
        self.refresh()

    def _before(self, kind: str) -> str:
        """What the drive has in the definition as it was read, when it is of that kind."""
        for disk in self.draft.base.devices.disks:
            if disk.target_dev == self._disk.target_dev:
                is_block = disk.type == "block"
                return disk.path if is_block == (kind == _BLOCK) and disk.type in (None, "file", "block") else ""
        return ""

    @Slot(object)
    def _on_path(self, path: Path | None) -> None:
        if self.cards.current not in (_FILE, _BLOCK):
            return
        text = "" if path is None else str(path)
        if text == source_text(self._disk) and not self._wanted:
            return
        if path is None:
            self.draft.set_invalid(self.part, self.option, self.tr("Choose what is in the drive."))
        elif self.cards.current == _BLOCK and not text.startswith("/dev/"):
            self.draft.set_invalid(self.part, self.option, self.tr("Block devices are below “/dev/”."))
        else:
            self._wanted = ""
            if self.cards.current == _FILE:
                self._say("")
                self.passphrase_line.hide()
            self.draft.new_disks.pop(text, None)
            self.draft.set_value(self.part, self.option, text)

    @Slot(str)
    def _on_passphrase(self, words: str) -> None:
        path = source_text(self._disk)
        if words:
            self.draft.passphrases[path] = words
            require_passphrase(self._disk)
        else:
            self.draft.passphrases.pop(path, None)
        self.draft.touch()

    @Slot()
    def _on_new(self) -> None:
        problem = self.new.problem()
        if problem:
            self.draft.set_invalid(self.part, self.option, problem)
        else:
            self._store(self.new.disk())

    def _store(self, disk: NewDisk) -> None:
        old = source_text(self._disk)
        if old != disk.path:
            self.draft.new_disks.pop(old, None)
        self.draft.new_disks[disk.path] = disk
        if self.new.disk() == disk:
            self.new.forget_shown(disk)
        self.draft.set_value(self.part, self.option, disk.path)
        write_new_disk(self._disk, disk)
        self.draft.touch()


def _rounded(amount: int) -> str:
    """For people: "3.4 GiB"."""
    if amount < 1 << 20:
        return size_words(max(amount >> 10, 1) << 10, SizeUnit.BYTES)
    unit, name = ((1 << 30), "GiB") if amount >= 1 << 30 else ((1 << 20), "MiB")
    return f"{amount / unit:.1f}".removesuffix(".0") + f" {name}"
