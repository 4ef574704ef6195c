"""The New VM page: asks what the host can do, checks while the person types, creates, and starts."""

from __future__ import annotations

import functools
from pathlib import Path

from PySide6.QtCore import QTimer, Signal, Slot
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QCheckBox, QWidget

from guivm.engine.job_types import FieldProblem, HostCapabilities, MediaInfo, MediaKind, NewVmField, VirtType
from guivm.engine.requests import CheckNewVm, CreateVm, InspectMedia, ReadCapabilities, Start
from guivm.engine.types import HostId, HostInfo, VmKey
from guivm.errors import GuivmError
from guivm.text import clean_line
from guivm.views import formats
from guivm.views.bridge import Bridge
from guivm.views.dialogs.base import JobDialog
from guivm.views.dialogs.new_vm_form import (
    DEFAULT_CPUS,
    DEFAULT_MEMORY_MIB,
    FILE_KINDS,
    NewVmForm,
    SourceKind,
)
from guivm.views.forms import Tone, dropped_path
from guivm.views.settings import Settings

CHECK_DELAY_MS = 300
_MIB = 1024**2
_WIDTH = 720
_NAME_LIMIT = 60


class NewVmDialog(JobDialog):
    """``created`` carries the VmKey. Show with ``open()``."""

    created = Signal(object)  # VmKey

    def __init__(
        self, bridge: Bridge, settings: Settings, hosts: tuple[HostInfo, ...], parent: QWidget | None = None
    ) -> None:
        """``settings`` is kept for what the page will remember; ``hosts`` are those a VM can be made on."""
        super().__init__(
            bridge, self.tr("New VM"), self.tr("&Create"), parent, name="new-vm", width=_WIDTH, scrolls=True
        )
        self.settings = settings
        self._caps: HostCapabilities | None = None
        self._caps_serial = 0
        self._check_serial = 0
        self._answered_serial = -1
        self._media_path: tuple[HostId, Path] | None = None
        self._media: MediaInfo | None = None
        self._media_problem = ""
        self._touched: set[NewVmField] = set()
        self._checked: dict[NewVmField, FieldProblem] = {}
        self._want_create = False
        self._follow_media = False

        self.page = NewVmForm(hosts, self.content)
        self.body.addWidget(self.page)
        self.start_after = QCheckBox(self.tr("Start after creatin&g"), self)
        self.start_after.setObjectName("start-after")
        self.start_after.setAccessibleName(self.tr("Start after creating"))
        self.start_after.setChecked(True)
        self.footer.insertWidget(0, self.start_after)
        self.setAcceptDrops(True)

        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(CHECK_DELAY_MS)
        self._timer.timeout.connect(self._on_pause_in_typing)
        self.page.edited.connect(self._on_edited)
        self.page.hostChosen.connect(self._on_host)
        self.page.heightChanged.connect(self.grow)
        self._suggest_name()
        self._read_capabilities()
        self._schedule()
        self.page.name.selectAll()
        self.page.name.setFocus()

    @property
    def checked(self) -> bool:
        """The page as it is now has been checked by the host."""
        return self._answered_serial == self._check_serial

    # --- from outside ---------------------------------------------------------------------------------

    def preselect(self, path: Path) -> None:
        """Take this file as the source; its header decides whether it is an ISO or a disk image."""
        kind = SourceKind.ISO if path.suffix.lower() == ".iso" else SourceKind.DISK
        self._follow_media = True
        self._choose(kind, path)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        info = self.page.host_info()
        if dropped_path(event.mimeData()) is not None and info is not None and info.is_local and not self.busy:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        path = dropped_path(event.mimeData())
        if path is not None:
            event.acceptProposedAction()
            self.preselect(path)

    def submit(self) -> None:
        """Create, once the page as it is now has been checked."""
        if self.busy:
            return
        self._want_create = True
        if self.checked:
            self._create_if_wanted()
        elif self._timer.isActive():
            self._timer.stop()
            self._on_pause_in_typing()

    # --- capabilities ---------------------------------------------------------------------------------

    def _read_capabilities(self) -> None:
        info = self.page.host_info()
        self._caps = None
        self._caps_serial += 1
        if info is None:
            self._update()
            return
        self.page.show_capabilities(info, None)
        serial = self._caps_serial
        self._update()
        self.bridge.submit(
            ReadCapabilities(info.id),
            self,
            functools.partial(self._on_capabilities, serial),
            functools.partial(self._on_no_capabilities, serial),
        )

    def _on_capabilities(self, serial: int, caps: HostCapabilities) -> None:
        info = self.page.host_info()
        if serial != self._caps_serial or info is None:
            return
        self._caps = caps
        if NewVmField.MEMORY not in self._touched:
            quarter = caps.memory_bytes // 4 // _MIB
            self.page.suggest_memory(max(128, min(DEFAULT_MEMORY_MIB, quarter - quarter % 128)))
        if NewVmField.VCPUS not in self._touched:
            self.page.suggest_cpus(max(1, min(DEFAULT_CPUS, caps.cpus)))
        if NewVmField.VIRT_TYPE not in self._touched:
            self.page.set_virt(VirtType.KVM if caps.kvm.usable else VirtType.TCG)
        self.page.show_capabilities(info, caps)
        self._invalidate(keep_wish=True)

    def _on_no_capabilities(self, serial: int, error: GuivmError) -> None:
        info = self.page.host_info()
        if serial == self._caps_serial and info is not None:
            self.page.show_capabilities(info, None, checking=False)
            self.strip.show_error(error)
            self._update()

    # --- edits and checks -----------------------------------------------------------------------------

    @Slot(object)
    def _on_edited(self, field: NewVmField) -> None:
        self._touched.add(field)
        self._checked.pop(field, None)
        if field is NewVmField.SOURCE:
            self._follow_media = False
            self._on_source_changed()
        self._invalidate()

    @Slot()
    def _on_host(self) -> None:
        self._checked.clear()
        self._media_path = None
        self._suggest_name()
        self._read_capabilities()
        self._invalidate()

    def _choose(self, kind: SourceKind, path: Path) -> None:
        self.page.set_file(kind, path)
        self._on_source_changed()
        self._invalidate()

    def _on_source_changed(self) -> None:
        kind = self.page.kind.value()
        if NewVmField.DISK not in self._touched:
            self.page.suggest_disk(kind not in (SourceKind.DISK, SourceKind.KERNEL))
        self._checked = {f: p for f, p in self._checked.items() if f not in _SOURCE_FIELDS}
        self._suggest_name()

    def _invalidate(self, *, keep_wish: bool = False) -> None:
        """Answers under way are stale from now on; check again after a pause in typing.

        A wish to create made before is forgotten, unless it was not the person who changed the page.
        """
        self._want_create = self._want_create and keep_wish
        self._check_serial += 1
        self._schedule()
        self._update()

    def _schedule(self) -> None:
        self._timer.start()

    @Slot()
    def _on_pause_in_typing(self) -> None:
        self._inspect()
        spec = self.page.spec()
        if spec is None:
            return
        serial = self._check_serial
        self.bridge.submit(
            CheckNewVm(spec),
            self,
            functools.partial(self._on_checked, serial),
            functools.partial(self._on_unchecked, serial),
        )

    def _on_checked(self, serial: int, problems: tuple[FieldProblem, ...]) -> None:
        if serial != self._check_serial or self.busy:
            return
        self._answered_serial = serial
        self._checked = {}
        for problem in problems:
            known = self._checked.get(problem.field)
            if known is None or (known.is_warning and not problem.is_warning):
                self._checked[problem.field] = problem
        self._update()
        self._create_if_wanted()

    def _on_unchecked(self, serial: int, error: GuivmError) -> None:
        """The host did not answer: creation itself will check again."""
        if serial == self._check_serial and not self.busy:
            self._answered_serial = serial
            if self._want_create:
                self._create_if_wanted()
            elif self.strip.error is None:
                self.set_status(self.tr("Not checked: {problem}").format(problem=error.summary), Tone.WARNING)

    # --- media ----------------------------------------------------------------------------------------

    def _current_media(self) -> tuple[HostId, Path] | None:
        """The file that can be inspected now."""
        field = self.page.source_field()
        host = self.page.host_id()
        path = None if field is None else field.path()
        if self.page.kind.value() not in FILE_KINDS or host is None or path is None or not path.is_absolute():
            return None
        return host, path

    def _inspect(self) -> None:
        wanted = self._current_media()
        if wanted is None or wanted == self._media_path:
            return
        self._media_path = wanted
        self._media = None
        self._media_problem = ""
        host, path = wanted
        self.bridge.submit(
            InspectMedia(host, path),
            self,
            functools.partial(self._on_media, wanted),
            functools.partial(self._on_bad_media, wanted),
        )

    def _on_media(self, asked: tuple[HostId, Path], media: MediaInfo) -> None:
        if asked != self._media_path:
            return
        self._media = media
        wrong = (media.kind is MediaKind.ISO) != (self.page.kind.value() is SourceKind.ISO)
        if wrong and self._follow_media and self._current_media() == asked:
            self._follow_media = False
            self._choose(SourceKind.ISO if media.kind is MediaKind.ISO else SourceKind.DISK, asked[1])
        self._update()

    def _on_bad_media(self, asked: tuple[HostId, Path], error: GuivmError) -> None:
        if asked == self._media_path:
            self._media_problem = str(error)
            self._update()

    def _judge_media(self) -> str:
        """Problem of the chosen file, or empty; shows what the file is under its field."""
        if self._current_media() != self._media_path or self._media_path is None:
            return ""
        if self._media is None:
            return self._media_problem
        size = formats.size(self._media.virtual_bytes)
        if self.page.kind.value() is SourceKind.ISO:
            if self._media.kind is not MediaKind.ISO:
                return self.tr("This is a disk image, not an ISO: choose “Use a disk image” above.")
            self.page.iso_row.set_help(self.tr("ISO image, {size}").format(size=size))
        else:
            if self._media.kind is not MediaKind.DISK:
                return self.tr("This is an ISO, not a disk image: choose “Install from an ISO” above.")
            self.page.image_row.set_help(
                self.tr("Disk image ({format}), {size}; the guest writes into it.").format(
                    format=self._media.format, size=size
                )
            )
        return ""

    # --- problems -------------------------------------------------------------------------------------

    def _local_problems(self) -> dict[NewVmField, str]:
        """What the form itself can tell, in the order of the page."""
        problems: dict[NewVmField, str] = {}
        if not self.page.name.text().strip():
            problems[NewVmField.NAME] = self.tr("Give the VM a name.")
        field = self.page.source_field()
        if field is not None:
            path = field.path()
            if path is None:
                problems[NewVmField.SOURCE] = {
                    SourceKind.ISO: self.tr("Choose the ISO image to install from."),
                    SourceKind.DISK: self.tr("Choose the disk image to use."),
                }.get(self.page.kind.value(), self.tr("Choose the kernel to start."))
            elif not path.is_absolute():
                problems[NewVmField.SOURCE] = self.tr("Give the whole path, beginning with “/”.")
        initrd = self.page.initrd.path()
        if self.page.kind.value() is SourceKind.KERNEL and initrd is not None and not initrd.is_absolute():
            problems[NewVmField.INITRD] = self.tr("Give the whole path, beginning with “/”.")
        return problems

    def _update(self) -> None:
        """Show every problem beside its field and the first of them beside the button."""
        local = self._local_problems()
        media = self._judge_media()
        first = ""
        for field, row in self.page.rows.items():
            found = self._checked.get(field)
            problem = local.get(field) or (media if field is NewVmField.SOURCE else "")
            is_warning = not problem and found is not None and found.is_warning
            if not problem and found is not None:
                problem = found.message
            if problem and not is_warning and not first:
                first = problem
            # A field nobody has touched yet is not wrong, only empty: the line at the button says what is missing.
            pristine = field in local and field not in self._touched
            row.set_problem("" if pristine else problem, is_warning=is_warning)
        if self.page.host_id() is None:
            first = self.tr("No host is connected.")
        if not self.busy:
            self.set_reason(first)
        self.grow()

    def update_reason(self) -> None:
        self._update()

    # --- creation -------------------------------------------------------------------------------------

    def _create_if_wanted(self) -> None:
        spec = self.page.spec()
        if not self._want_create or self.reason or spec is None:
            return
        self._want_create = False
        name = clean_line(spec.name, _NAME_LIMIT)
        self.run(CreateVm(spec), self.tr("Creating “{name}”…").format(name=name), self._on_created)

    def _on_created(self, key: VmKey) -> None:
        self.created.emit(key)
        if self.closed:  # cancelled too late: it exists, but nobody wants it running
            return
        if self.start_after.isChecked():
            self.bridge.submit(Start(key), self.bridge)
        self.accept()

    # --- names ----------------------------------------------------------------------------------------

    def _suggest_name(self) -> None:
        """A name from the file, made unique on the host; a name the person typed stays."""
        if NewVmField.NAME in self._touched:
            return
        field = self.page.source_field()
        path = None if field is None else field.path()
        stem = "" if path is None else clean_line(path.name, _NAME_LIMIT)
        while "." in stem and stem.rpartition(".")[2].lower() in _SUFFIXES:
            stem = stem.rpartition(".")[0]
        base = stem.strip(" .-_") or self.tr("New VM")
        host = self.page.host_id()
        taken = {vm.name for vm in self.bridge.engine.vms(host)} if host is not None else set()
        name, number = base, 1
        while name in taken:
            number += 1
            name = f"{base} {number}"
        self.page.suggest_name(name)


_SOURCE_FIELDS = (NewVmField.SOURCE, NewVmField.INITRD, NewVmField.ARGUMENTS)
_SUFFIXES = frozenset({"iso", "img", "raw", "qcow2", "vmdk", "vdi", "vhd", "vhdx", "bin", "efi", "gz", "xz"})
