"""A small libvirt on which VMs are created."""

from __future__ import annotations

import subprocess
from pathlib import Path

from guivm.engine import create
from guivm.engine.job_types import (
    FieldProblem,
    Firmware,
    NewVmField,
    NewVmSpec,
    NoSource,
    VirtType,
)
from guivm.engine.requests import CheckNewVm, CreateVm
from guivm.engine.xml.domain import DomainXml
from tests.helpers.small_libvirt import (
    HOST,
    SmallConnection,
    small_context,
)

SPEC = NewVmSpec(
    host=HOST,
    name="Debian",
    source=NoSource(),
    memory_kib=1 << 20,
    vcpus=2,
    disk_bytes=1 << 30,
    firmware=Firmware.BIOS,
    virt_type=VirtType.TCG,
)


class House:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.connection = SmallConnection()
        self.context = small_context(self.connection, folder)
        self.iso = folder / "install.iso"
        self.iso.write_bytes(bytes(32769) + b"CD001" + bytes(400000))
        self.disk = folder / "existing.qcow2"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(self.disk), "8M"], check=True)
        self.kernel = folder / "vmlinuz"
        self.kernel.write_bytes(b"kernel")
        self.initrd = folder / "initrd"
        self.initrd.write_bytes(b"initrd")

    def problems(self, spec: NewVmSpec) -> tuple[FieldProblem, ...]:
        before = self.files()
        found = create.check_new_vm(self.context, CheckNewVm(spec))
        assert self.files() == before
        assert "defineXML" not in self.connection.steps
        for problem in found:
            assert problem.message.rstrip().endswith("."), problem
        return found

    def errors(self, spec: NewVmSpec) -> list[NewVmField]:
        return [problem.field for problem in self.problems(spec) if not problem.is_warning]

    def create(self, spec: NewVmSpec) -> DomainXml:
        key = create.create_vm(self.context, CreateVm(spec))
        return DomainXml.parse(self.connection.domains[key.uuid].xml)

    def files(self) -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}
