"""Make a VM: check again, make the disk, define it. Handlers on the host's worker; a failure leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import unicodedata
import uuid as uuid_module
from dataclasses import replace
from pathlib import Path

import libvirt

from guivm.engine import creation_journal, images, trash
from guivm.engine.capabilities import read_capabilities
from guivm.engine.context import HandlerContext
from guivm.engine.files import fsync_file
from guivm.engine.job_types import DiskSource, FieldProblem, Firmware, KernelSource, NewVmSpec, VirtType
from guivm.engine.jobs import JobProgress
from guivm.engine.libvirt_errors import code_of, is_connection_lost, translate
from guivm.engine.new_vm_check import Examination, blocked_folder, examine, is_test_driver, name_in_use
from guivm.engine.new_vm_xml import MachinePlan, build_domain
from guivm.engine.references import References, collect_references
from guivm.engine.requests import CheckNewVm, CreateSampleGuest, CreateVm, ReadCapabilities
from guivm.engine.types import VmKey
from guivm.errors import GuivmError, OperationError, UnsupportedError

_SAMPLE_NAME = "Sample guest"
_MAX_STEM_BYTES = 120
_MAX_NUMBER = 10_000


def check_new_vm(context: HandlerContext, request: CheckNewVm) -> tuple[FieldProblem, ...]:
    """Handler of CheckNewVm: every problem, nothing created."""
    return examine(context, request.spec).problems


def create_vm(context: HandlerContext, request: CreateVm) -> VmKey:
    """Handler of CreateVm. Raises OperationError and its like; then nothing is left behind."""
    return _create(context, request.spec)


def _create(context: HandlerContext, spec: NewVmSpec) -> VmKey:
    _step(context, "Checking")
    context.job.on_cancel(_nothing)  # checked between the steps
    found = examine(context, spec)
    if found.errors:
        raise OperationError(
            found.errors[0].message,
            details="\n".join(problem.message for problem in found.errors),
        )
    context.job.check_cancelled()
    uuid = str(uuid_module.uuid4())
    if spec.disk_bytes is None:
        _define_or_nothing(context, spec, found, uuid, None)
        return VmKey(spec.host, uuid)
    _step(context, "Creating the disk")
    new_disk = _free_path(context, spec.name, ".qcow2")
    with creation_journal.noted(context.images_dir, uuid, new_disk):
        images.create_qcow2(new_disk, -(-spec.disk_bytes // 512) * 512, context.job.check_cancelled)
        _define_or_nothing(context, spec, found, uuid, new_disk)
    return VmKey(spec.host, uuid)


def _define_or_nothing(
    context: HandlerContext, spec: NewVmSpec, found: Examination, uuid: str, new_disk: Path | None
) -> None:
    """Define the VM, or remove its new disk and raise."""
    try:
        context.job.check_cancelled()
        _step(context, "Defining the virtual machine")
        _define(context, spec, _plan(context, spec, found, uuid, new_disk))
        _take_back_if_cancelled(context, uuid)
    except libvirt.libvirtError as error:
        if is_connection_lost(error):
            # Unknown is not failed: the VM may be there now. The note of its making stays; recover() settles it.
            raise translate(error, f"It is not known whether “{spec.name}” was created.") from error
        _remove_disk(new_disk)
        raise translate(error, f"“{spec.name}” could not be created.") from error
    except Exception:
        _remove_disk(new_disk)
        raise


def recover(context: HandlerContext) -> None:
    """After a crash or a lost connection: remove the disks of VMs never defined. A disk that some VM names stays."""
    for uuid, disk in creation_journal.cut_short(context.images_dir):
        references = collect_references(context.connection, context.kept_here)
        if not any(use.uuid == uuid for use in references.uses) and not references.users(disk):
            _remove_disk(disk)
            _remove_disk(disk.with_name(disk.name + ".part"))


def _nothing() -> None:
    """The cancel flag alone is enough: it is looked at between the steps."""


def _step(context: HandlerContext, words: str) -> None:
    context.job.report(JobProgress(0, 0, unit_bytes=False, step=words))


def _take_back_if_cancelled(context: HandlerContext, uuid: str) -> None:
    """The last moment to cancel. Raises CancelledError with the definition gone again."""
    context.job.on_cancel(None)
    try:
        context.job.check_cancelled()
    except GuivmError:
        _undefine(context, uuid)
        raise


# --- definition -------------------------------------------------------------------------------------------


def _plan(
    context: HandlerContext, spec: NewVmSpec, found: Examination, uuid: str, new_disk: Path | None
) -> MachinePlan:
    real_type = "kvm" if spec.virt_type is VirtType.KVM else "qemu"
    return MachinePlan(
        uuid=uuid,
        domain_type="test" if is_test_driver(context) else real_type,
        capabilities=found.capabilities,
        host_is_local=context.host.is_local,
        new_disk=new_disk,
        nvram=_nvram_path(context, spec),
        source_format=found.media.format if found.media is not None and isinstance(spec.source, DiskSource) else "raw",
        source_is_block=found.source_is_block,
        with_agent_clipboard=vdagent_can_be_saved(found.capabilities.hypervisor_version),
    )


def vdagent_can_be_saved(hypervisor_version: str) -> bool:
    """Whether a VM with a qemu-vdagent channel can be saved, snapshot with its memory and moved.

    Before QEMU 10.1 the channel forbids all three ("The vdagent chardev doesn't yet support migration"), which is too
    high a price for a clipboard that is off.
    """
    match = re.fullmatch(r"QEMU (\d+)\.(\d+)\.\d+", hypervisor_version)
    return match is not None and (int(match[1]), int(match[2])) >= (10, 1)


def _nvram_path(context: HandlerContext, spec: NewVmSpec) -> Path | None:
    """Where the UEFI variables shall be: beside the disk, so that undo and backups find them.

    Left to itself libvirt names the file after the VM and does not say where before the VM runs (libvirt 9.0), so a
    later VM of the same name would inherit the variables. None: libvirt's own place.
    """
    if spec.firmware is not Firmware.UEFI or is_test_driver(context) or not context.host.is_local:
        return None
    if blocked_folder(context, context.images_dir / "file") is not None:
        return None
    return _free_path(context, spec.name, "_VARS.fd")


def _define(context: HandlerContext, spec: NewVmSpec, plan: MachinePlan) -> None:
    """Define it; where QEMU has no qemu-vdagent, without it. Raises libvirtError, then nothing is defined.

    libvirt 9.0 does not list that channel among its capabilities although it has it: only trying tells.
    """
    try:
        context.connection.defineXML(build_domain(spec, plan).to_text())
    except libvirt.libvirtError as error:
        if code_of(error) != libvirt.VIR_ERR_CONFIG_UNSUPPORTED or "vdagent" not in str(error):
            raise
    else:
        return
    plain = replace(plan, with_agent_clipboard=False)
    context.connection.defineXML(build_domain(spec, plain).to_text())


def _undefine(context: HandlerContext, uuid: str) -> None:
    """Take a definition made a moment ago back; its UEFI variables, if any, go with it."""
    domain = context.connection.lookupByUUIDString(uuid)
    flags = 0 if is_test_driver(context) else libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
    domain.undefineFlags(flags)


# --- disk -------------------------------------------------------------------------------------------------


def safe_stem(name: str) -> str:
    """A file name, without its ending, made of a VM's name: no separators, nothing hidden, nothing invisible."""
    kept = "".join(c if c in " -_.+()" or unicodedata.category(c)[0] in "LMN" else "_" for c in name)
    stem = kept.strip(" .")
    while len(stem.encode("utf-8")) > _MAX_STEM_BYTES:
        stem = stem[:-1]
    return stem.rstrip(" .") or "disk"


def _free_path(context: HandlerContext, name: str, ending: str) -> Path:
    """A path for a new file of this VM in the folder for images, which is made when it is missing."""
    try:
        context.images_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise OperationError("The folder for disk images could not be made.", details=str(error)) from error
    return free_image_path(context.images_dir, name, collect_references(context.connection, context.kept_here), ending)


def free_image_path(directory: Path, name: str, references: References, ending: str = ".qcow2") -> Path:
    """``NAME.qcow2``, ``NAME-2.qcow2``…: a name no file has, no VM uses and no deleted VM may come back to."""
    kept = {
        os.path.normpath(file.original) for receipt in trash.receipts([directory]) for file in receipt.deleted.files
    }
    stem = safe_stem(name)
    for number in range(1, _MAX_NUMBER):
        path = directory / (f"{stem}{ending}" if number == 1 else f"{stem}-{number}{ending}")
        taken = os.path.lexists(path) or os.path.lexists(path.with_name(path.name + ".part"))
        if not taken and os.path.normpath(path) not in kept and not references.users(path):
            return path
    raise OperationError("No free file name was found for the new disk.", advice="Choose another name.")


def _remove_disk(path: Path | None) -> None:
    if path is not None:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


# --- sample guest -----------------------------------------------------------------------------------------


def create_sample_guest(context: HandlerContext, request: CreateSampleGuest) -> VmKey:
    """Handler of CreateSampleGuest: build it if need be, define it under a free name, start it."""
    from guivm.engine import sample_guest

    if not context.host.is_local or is_test_driver(context):
        raise UnsupportedError(
            "The sample guest runs on this computer only.", advice="Choose a QEMU host that is this computer."
        )

    def progress(step: str, done: int, total: int) -> None:
        context.job.report(JobProgress(done, total, unit_bytes=total > 1_000_000, step=step))

    context.job.on_cancel(_nothing)
    guest = sample_guest.build_sample_guest(context.cache_dir, progress, lambda: context.job.cancel_requested)
    capabilities = read_capabilities(context, ReadCapabilities(request.host))
    spec = NewVmSpec(
        host=request.host,
        name=_free_name(context, _SAMPLE_NAME),
        source=KernelSource(
            _within_reach(context, guest.kernel), _within_reach(context, guest.initrd), guest.arguments
        ),
        memory_kib=sample_guest.MEMORY_MIB * 1024,
        vcpus=1,
        disk_bytes=None,
        firmware=Firmware.BIOS,
        virt_type=VirtType.KVM if capabilities.kvm.usable else VirtType.TCG,
        title="",
        notes="A tiny Linux, made to try things out. It forgets everything when it is switched off.",
    )
    key = _create(context, spec)
    _step(context, "Starting")
    try:
        context.domain(key).create()
    except libvirt.libvirtError as error:
        if not is_connection_lost(error):
            with contextlib.suppress(libvirt.libvirtError):
                _undefine(context, key.uuid)
        raise translate(error, f"“{spec.name}” could not be started.") from error
    return key


def _within_reach(context: HandlerContext, path: Path) -> Path:
    """The file itself, or a copy in the folder for images where QEMU's own user may not enter our cache."""
    if blocked_folder(context, path) is None or blocked_folder(context, context.images_dir / path.name) is not None:
        return path
    copy = context.images_dir / f"{path.parent.name}-{path.name}"
    if not copy.exists():
        part = copy.with_name(copy.name + ".part")
        try:
            shutil.copyfile(path, part)
            fsync_file(part)
            part.replace(copy)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise OperationError("The sample guest could not be copied.", details=str(error)) from error
    return copy


def _free_name(context: HandlerContext, base: str) -> str:
    for number in range(1, _MAX_NUMBER):
        name = base if number == 1 else f"{base} {number}"
        if not name_in_use(context, name):
            return name
    raise OperationError("No free name was found for the sample guest.", advice="Delete some of them.")
