"""The fields of the New VM page: no requests, no rules but those of the form itself."""

from __future__ import annotations

import enum
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from PySide6.QtCore import QStandardPaths, Signal, Slot
from PySide6.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QLineEdit, QSpinBox, QVBoxLayout, QWidget

from guivm.engine.job_types import (
    BootSource,
    DiskSource,
    Firmware,
    HostCapabilities,
    IsoSource,
    KernelSource,
    NetworkSource,
    NewVmField,
    NewVmSpec,
    NoSource,
    VirtType,
)
from guivm.engine.types import HostId, HostInfo, HostState
from guivm.views import formats
from guivm.views.dialogs.choices import CardChooser, SegmentedChooser
from guivm.views.dialogs.memory_field import MemoryField
from guivm.views.forms import MIB_PER_GIB, Form, FormRow, PathField, SizeSpin, pad_spin
from guivm.views.theme import GRID

V = TypeVar("V")
_MIB = 1024**2
DEFAULT_DISK_MIB = 20 * MIB_PER_GIB
DEFAULT_MEMORY_MIB = 2 * MIB_PER_GIB
DEFAULT_CPUS = 2
_MAX_CPUS = 4096


class SourceKind(enum.Enum):
    """What the VM boots from; one card each."""

    ISO = "iso"
    DISK = "disk"
    KERNEL = "kernel"
    NETWORK = "network"
    NOTHING = "nothing"


FILE_KINDS = (SourceKind.ISO, SourceKind.DISK)


def downloads() -> Path:
    """Where files to boot from usually are."""
    place = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DownloadLocation)
    return Path(place) if place else Path.home()


class NewVmForm(QWidget):
    """The rows. ``edited`` names the field a person changed; changes made by the program are silent."""

    edited = Signal(object)  # NewVmField
    hostChosen = Signal()
    heightChanged = Signal()

    def __init__(self, hosts: tuple[HostInfo, ...], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("new-vm-form")
        self._hosts = hosts
        self._silent = False
        self._uefi_reason = ""
        self._kvm_reason = ""
        self._free_text = ""
        self.form = Form(self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.form)
        layout.addStretch(1)
        self._build_identity()
        self._build_source()
        self._build_hardware()
        self.rows: dict[NewVmField, FormRow] = {
            NewVmField.NAME: self.name_row,
            NewVmField.SOURCE: self.iso_row,
            NewVmField.INITRD: self.initrd_row,
            NewVmField.ARGUMENTS: self.arguments_row,
            NewVmField.MEMORY: self.memory_row,
            NewVmField.VCPUS: self.cpus_row,
            NewVmField.DISK: self.disk_row,
            NewVmField.FIRMWARE: self.firmware_row,
            NewVmField.VIRT_TYPE: self.virt_row,
        }
        self._follow_source()
        self._explain_hardware()

    # --- building -------------------------------------------------------------------------------------

    def _build_identity(self) -> None:
        self.name = QLineEdit(self)
        self.name.setObjectName("name")
        self.name.setMaxLength(200)
        self.name_row = self.form.add_row(self.tr("&Name"), self.name, self.tr("How it is called in the list."))
        self.name.textChanged.connect(self._on_name)
        self.host = QComboBox(self)
        self.host.setObjectName("host")
        for info in self._hosts:
            self.host.addItem(info.label, info.id)
        connected = [i for i, info in enumerate(self._hosts) if info.state is HostState.CONNECTED]
        self.host.setCurrentIndex(connected[0] if connected else 0)
        self.host_row = self.form.add_row(
            self.tr("H&ost"), self.host, self.tr("The computer whose processor and memory the VM will use.")
        )
        self.host_row.set_visible(len(self._hosts) > 1)
        self.host.currentIndexChanged.connect(self._on_host)

    def _build_source(self) -> None:
        self.kind = CardChooser[SourceKind](
            "source",
            (
                (SourceKind.ISO, "iso", self.tr("&Install from an ISO"), "cd"),
                (SourceKind.DISK, "disk", self.tr("Use a &disk image"), "disk"),
                (SourceKind.KERNEL, "kernel", self.tr("Linux &kernel"), "console"),
                (SourceKind.NETWORK, "network", self.tr("&Boot from the network"), "network"),
                (SourceKind.NOTHING, "nothing", self.tr("Nothing &yet"), "machine"),
            ),
            self,
        )
        self.kind.setAccessibleName(self.tr("Source"))
        self.kind_row = self.form.add_row(self.tr("Starts from"), self.kind, "", tall=True)
        self.kind.changed.connect(self._on_kind)

        self.iso = PathField(
            "iso", self.tr("ISO image"), self.tr("ISO images (*.iso *.ISO);;All files (*)"), downloads, self
        )
        self.disk_image = PathField(
            "disk-image",
            self.tr("Disk image"),
            self.tr("Disk images (*.qcow2 *.img *.raw *.vmdk *.vdi *.vhd *.vhdx);;All files (*)"),
            downloads,
            self,
        )
        self.kernel = PathField("kernel", self.tr("Kernel"), self.tr("All files (*)"), downloads, self)
        self.initrd = PathField("initrd", self.tr("Initial RAM disk"), self.tr("All files (*)"), downloads, self)
        self.arguments = QLineEdit(self)
        self.arguments.setObjectName("arguments")
        self.arguments.setPlaceholderText("console=ttyS0")
        self.iso_row = self.form.add_row(self.tr("ISO i&mage"), self.iso)
        self.image_row = self.form.add_row(self.tr("Disk i&mage"), self.disk_image)
        self.kernel_row = self.form.add_row(self.tr("Ke&rnel"), self.kernel)
        self.initrd_row = self.form.add_row(self.tr("Initial RA&M disk"), self.initrd)
        self.arguments_row = self.form.add_row(self.tr("&Arguments"), self.arguments)
        for field in (self.iso, self.disk_image, self.kernel):
            field.pathChanged.connect(self._on_source)
        self.initrd.pathChanged.connect(self._on_initrd)
        self.arguments.textChanged.connect(self._on_arguments)

    def _build_hardware(self) -> None:
        self.memory = MemoryField("memory", self)
        self.memory.spin.setAccessibleName(self.tr("Memory"))
        self.memory.slider.setAccessibleName(self.tr("Memory"))
        self.memory_row = self.form.add_row(self.tr("M&emory"), self.memory)
        self.memory.changed.connect(self._on_memory)

        self.cpus = QSpinBox(self)
        self.cpus.setObjectName("cpus")
        self.cpus.setRange(1, _MAX_CPUS)
        self.cpus.setValue(DEFAULT_CPUS)
        self.cpus.setMinimumWidth(18 * GRID)
        pad_spin(self.cpus)
        self.cpus_row = self.form.add_row(self.tr("C&PUs"), _leading(self.cpus, self))
        self.cpus.valueChanged.connect(self._on_cpus)

        self.disk_on = QCheckBox(self.tr("Create a ne&w disk of"), self)
        self.disk_on.setObjectName("disk-on")
        self.disk_on.setAccessibleName(self.tr("Create a new disk"))
        self.disk_on.setChecked(True)
        self.disk_size = SizeSpin(self, bare_gib_below=1_000_000, step_mib=MIB_PER_GIB)
        self.disk_size.setObjectName("disk-size")
        self.disk_size.setAccessibleName(self.tr("Size of the new disk"))
        self.disk_size.setMinimum(1)
        self.disk_size.setValue(DEFAULT_DISK_MIB)
        self.disk_size.setMinimumWidth(18 * GRID)
        self.disk_row = self.form.add_row(self.tr("Disk"), _leading(self.disk_on, self, self.disk_size))
        self.disk_on.toggled.connect(self._on_disk_on)
        self.disk_size.valueChanged.connect(self._on_disk)

        self.firmware = SegmentedChooser[Firmware](
            "firmware", ((Firmware.BIOS, "bios", self.tr("BIO&S")), (Firmware.UEFI, "uefi", self.tr("&UEFI"))), self
        )
        self.firmware.setAccessibleName(self.tr("Firmware"))
        self.firmware_row = self.form.add_row(self.tr("&Firmware"), self.firmware)
        self.firmware.changed.connect(self._on_firmware)

        self.virt = SegmentedChooser[VirtType](
            "virt",
            (
                (VirtType.KVM, "kvm", self.tr("Hardware (K&VM)")),
                (VirtType.TCG, "tcg", self.tr("Software emulation (&TCG)")),
            ),
            self,
        )
        self.virt.setAccessibleName(self.tr("Virtualisation"))
        self.virt_row = self.form.add_row(self.tr("Virtua&lisation"), self.virt)
        self.virt.changed.connect(self._on_virt)

    # --- values ---------------------------------------------------------------------------------------

    def host_info(self) -> HostInfo | None:
        index = self.host.currentIndex()
        return self._hosts[index] if 0 <= index < len(self._hosts) else None

    def host_id(self) -> HostId | None:
        info = self.host_info()
        return None if info is None else info.id

    def source_field(self) -> PathField | None:
        """The field of the main file of the chosen source, if it has one."""
        return {
            SourceKind.ISO: self.iso,
            SourceKind.DISK: self.disk_image,
            SourceKind.KERNEL: self.kernel,
        }.get(self.kind.value())

    def source(self) -> BootSource:
        """As chosen; NoSource while the file is missing."""
        field = self.source_field()
        path = None if field is None else field.path()
        match self.kind.value():
            case SourceKind.NETWORK:
                return NetworkSource()
            case SourceKind.ISO if path is not None:
                return IsoSource(path)
            case SourceKind.DISK if path is not None:
                return DiskSource(path)
            case SourceKind.KERNEL if path is not None:
                return KernelSource(path, self.initrd.path(), self.arguments.text().strip())
            case _:
                return NoSource()

    def spec(self) -> NewVmSpec | None:
        """What the page says now; None without a host."""
        host = self.host_id()
        if host is None:
            return None
        return NewVmSpec(
            host=host,
            name=self.name.text().strip(),
            source=self.source(),
            memory_kib=self.memory.mib() * 1024,
            vcpus=self.cpus.value(),
            disk_bytes=self.disk_size.value() * _MIB if self.disk_on.isChecked() else None,
            firmware=self.firmware.value(),
            virt_type=self.virt.value(),
        )

    # --- changes by the program: silent ---------------------------------------------------------------

    def suggest_name(self, name: str) -> None:
        self._silently(self.name.setText, name)

    def suggest_memory(self, mib: int) -> None:
        self._silently(self.memory.set_mib, mib)

    def suggest_cpus(self, count: int) -> None:
        self._silently(self.cpus.setValue, count)

    def suggest_disk(self, on: bool) -> None:
        self._silently(self.disk_on.setChecked, on)

    def set_file(self, kind: SourceKind, path: Path) -> None:
        """Choose an ISO or a disk image."""
        self._silently(self.kind.set_value, kind)
        field = self.source_field()
        if field is not None:
            self._silently(field.set_path, path)

    def set_firmware(self, firmware: Firmware) -> None:
        self._silently(self.firmware.set_value, firmware)

    def set_virt(self, virt: VirtType) -> None:
        self._silently(self.virt.set_value, virt)

    def show_capabilities(self, host: HostInfo, caps: HostCapabilities | None, *, checking: bool = True) -> None:
        """Explain and limit the hardware fields by what the host can do.

        ``caps`` is None as long as that is not known, and for good when ``checking`` is False.
        """
        for field in (self.iso, self.disk_image, self.kernel, self.initrd):
            field.set_browsable(host.is_local, self._remote_files(host))
        self._uefi_reason = self._kvm_reason = self._free_text = ""
        if caps is None:
            self.memory_row.set_help(self.tr("Taken from the host's memory while the VM runs."))
            self.cpus_row.set_help(self.tr("Each virtual CPU is a thread on the host's processor."))
        else:
            self.memory.set_limit_mib(caps.memory_bytes // _MIB)
            self.memory_row.set_help(
                self.tr("Taken from the host's {total} while the VM runs; {free} are free now.").format(
                    total=formats.size(caps.memory_bytes), free=formats.size(caps.memory_free_bytes)
                )
            )
            self.cpus_row.set_help(
                self.tr("Each virtual CPU is a thread on the host's processor, which runs %n at once.", "", caps.cpus)
            )
            free = formats.size(caps.images_free_bytes)
            self._free_text = (
                self.tr("{free} free on this computer.").format(free=free)
                if host.is_local
                else self.tr("{free} free on {host}.").format(free=free, host=host.label)
            )
            self._uefi_reason = "" if caps.has_uefi else caps.uefi_reason or self.tr("No UEFI firmware is installed.")
            self._kvm_reason = "" if caps.kvm.usable else caps.kvm.reason or self.tr("KVM cannot be used there.")
        self.firmware.set_available(Firmware.UEFI, not self._uefi_reason, self._uefi_reason)
        self.virt.set_available(VirtType.KVM, not self._kvm_reason, self._kvm_reason)
        if self._uefi_reason:
            self.set_firmware(Firmware.BIOS)
        if self._kvm_reason:
            self.set_virt(VirtType.TCG)
        self._explain_hardware()
        if caps is None and checking:
            self.virt_row.set_help(
                self.tr("Checking what this computer can do…")
                if host.is_local
                else self.tr("Checking what {host} can do…").format(host=host.label)
            )

    # --- explanations ---------------------------------------------------------------------------------

    def _remote_files(self, host: HostInfo) -> str:
        return "" if host.is_local else self.tr("Files are on {host}: type the path there.").format(host=host.label)

    def _follow_source(self) -> None:
        kind = self.kind.value()
        self.iso_row.set_visible(kind is SourceKind.ISO)
        self.image_row.set_visible(kind is SourceKind.DISK)
        for row in (self.kernel_row, self.initrd_row, self.arguments_row):
            row.set_visible(kind is SourceKind.KERNEL)
        self.kind_row.set_help(
            {
                SourceKind.ISO: self.tr("Boots from the CD or DVD image first, to install a system on the new disk."),
                SourceKind.DISK: self.tr("Boots a disk that exists already; the guest writes into that very file."),
                SourceKind.KERNEL: self.tr("Starts Linux directly, without a boot loader in between."),
                SourceKind.NETWORK: self.tr("The firmware asks the network for a boot program (PXE)."),
                SourceKind.NOTHING: self.tr("An empty machine; give it something to boot from later."),
            }[kind]
        )
        self.iso_row.set_help(self.tr("Choose the file, drop it here, or type its path."))
        self.image_row.set_help(self.tr("Choose the file, drop it here, or type its path."))
        self.kernel_row.set_help(self.tr("The compressed kernel, often called vmlinuz or bzImage."))
        self.initrd_row.set_help(self.tr("Optional: the first root file system, often called initrd or initramfs."))
        self.arguments_row.set_help(self.tr("Optional: the kernel's command line."))
        self.heightChanged.emit()

    def source_row(self) -> FormRow:
        """The row that shows problems of the source."""
        return {
            SourceKind.ISO: self.iso_row,
            SourceKind.DISK: self.image_row,
            SourceKind.KERNEL: self.kernel_row,
        }.get(self.kind.value(), self.kind_row)

    def _explain_hardware(self) -> None:
        if self.disk_on.isChecked():
            grows = self.tr("A file that grows as the guest fills it (qcow2).")
            self.disk_row.set_help(f"{grows} {self._free_text}".strip())
        else:
            self.disk_row.set_help(self.tr("No new disk."))
        firmware = (
            self.tr("What computers start with since about 2012; some systems need it.")
            if self.firmware.value() is Firmware.UEFI
            else self.tr("The classic way to start; boots nearly everything.")
        )
        no_uefi = self.tr("UEFI is not available: {reason}").format(reason=self._uefi_reason)
        self.firmware_row.set_help(no_uefi if self._uefi_reason else firmware)
        virt = (
            self.tr("Guest code runs on the processor itself, at nearly full speed.")
            if self.virt.value() is VirtType.KVM
            else self.tr("Every guest instruction is translated: runs anywhere, but many times slower.")
        )
        no_kvm = self.tr("KVM is not available: {reason}").format(reason=self._kvm_reason)
        self.virt_row.set_help(f"{virt} {no_kvm}" if self._kvm_reason else virt)

    # --- what the person does -------------------------------------------------------------------------

    def _silently(self, change: Callable[[V], object], value: V) -> None:
        self._silent = True
        try:
            change(value)
        finally:
            self._silent = False

    def _tell(self, field: NewVmField) -> None:
        if not self._silent:
            self.edited.emit(field)

    @Slot()
    def _on_name(self) -> None:
        self._tell(NewVmField.NAME)

    @Slot()
    def _on_host(self) -> None:
        self.hostChosen.emit()

    @Slot()
    def _on_kind(self) -> None:
        for row in (self.kind_row, self.iso_row, self.image_row, self.kernel_row, self.initrd_row, self.arguments_row):
            row.set_problem("")
        self._follow_source()
        self.rows[NewVmField.SOURCE] = self.source_row()
        self._tell(NewVmField.SOURCE)

    @Slot()
    def _on_source(self) -> None:
        self._tell(NewVmField.SOURCE)

    @Slot()
    def _on_initrd(self) -> None:
        self._tell(NewVmField.INITRD)

    @Slot()
    def _on_arguments(self) -> None:
        self._tell(NewVmField.ARGUMENTS)

    @Slot()
    def _on_memory(self) -> None:
        self._tell(NewVmField.MEMORY)

    @Slot()
    def _on_cpus(self) -> None:
        self._tell(NewVmField.VCPUS)

    @Slot(bool)
    def _on_disk_on(self, on: bool) -> None:
        self.disk_size.setEnabled(on)
        self._explain_hardware()
        self._tell(NewVmField.DISK)

    @Slot()
    def _on_disk(self) -> None:
        self._tell(NewVmField.DISK)

    @Slot()
    def _on_firmware(self) -> None:
        self._explain_hardware()
        self._tell(NewVmField.FIRMWARE)

    @Slot()
    def _on_virt(self) -> None:
        self._explain_hardware()
        self._tell(NewVmField.VIRT_TYPE)


def _leading(first: QWidget, parent: QWidget, *more: QWidget) -> QWidget:
    """The widgets in a line at the leading edge; the first takes the focus."""
    box = QWidget(parent)
    layout = QHBoxLayout(box)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(GRID)
    for widget in (first, *more):
        layout.addWidget(widget)
    layout.addStretch(1)
    box.setFocusProxy(first)
    return box
