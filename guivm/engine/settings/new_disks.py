"""New disk images for a VM's settings, encrypted ones with their secret; taken away again when they are not wanted.

Worker only. Where we may not write, libvirt makes them (:mod:`guivm.engine.settings.volumes`); otherwise qemu-img,
which runs under limits and gets the passphrase through its standard input: never as an argument, never in a file.
(qemu-img(1), "create"; https://libvirt.org/formatstorageencryption.html)
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from guivm.engine.context import HandlerContext
from guivm.engine.files import FileIdentity, fsync_file, identity, rename_new
from guivm.engine.images import free_bytes, header_of
from guivm.engine.jobs import JobProgress
from guivm.engine.options.new_disk_xml import shape_problem
from guivm.engine.options.new_disks import CreatedDisk, ImageSize, NewDisk
from guivm.engine.options.values import Place
from guivm.engine.requests import CreateDisk, DiscardDisk, MeasureImage
from guivm.engine.settings import volumes
from guivm.engine.settings.passphrases import drop_passphrase, keep_passphrase
from guivm.engine.settings.places import Places
from guivm.engine.xml.domain import DomainXml
from guivm.errors import CancelledError, ImageError, NoSpaceError, OperationError, UnsupportedError
from guivm.text import clean_block

_MEMORY_BYTES = 1 << 30
_POLL_S = 0.2
_MAX_WORDS = 4096
_RESERVE_BYTES = 64 << 20  # of the host's disk, that is not filled


def create_disk(context: HandlerContext, request: CreateDisk) -> CreatedDisk:
    """Handler of CreateDisk. Can be cancelled; whatever goes wrong, neither file nor secret is left.

    Raises OperationError, NoSpaceError, UnsupportedError, CancelledError.
    """
    disk = request.disk
    problem = disk_problem_on(context, disk)
    if problem:
        kind = NoSpaceError if "free" in problem else OperationError
        raise kind("The new disk could not be created.", advice=problem)
    if volumes.is_used_for(context, disk.path):
        return volumes.create_volume(context, disk)
    path = Path(disk.path)
    part = path.with_name(f"{path.name}.part")
    mark = _make_part(context, disk, part)
    secret = False
    try:
        if disk.is_encrypted:
            keep_passphrase(context.connection, disk)
            secret = True
        context.job.check_cancelled()
        rename_new(part, path)
    except FileExistsError as error:
        _forget(context, part, disk.secret_uuid if secret else "")
        raise OperationError("A file of the new disk's name exists already.", details=str(error)) from error
    except OSError as error:
        _forget(context, part, disk.secret_uuid if secret else "")
        raise OperationError("The new disk could not be created.", details=str(error)) from error
    except BaseException:
        _forget(context, part, disk.secret_uuid if secret else "")
        raise
    return CreatedDisk(disk.path, mark.device, mark.inode, disk.secret_uuid)


def discard_disk(context: HandlerContext, request: DiscardDisk) -> None:
    """Handler of DiscardDisk: only the very file that was made is removed, and its secret."""
    made = request.created
    path = Path(made.path)
    if made.pool:
        volumes.discard_volume(context, made)
    elif identity(path) == FileIdentity(made.device, made.inode):
        try:
            path.unlink()
        except OSError as error:
            raise OperationError(f"“{path.name}” could not be removed again.", details=str(error)) from error
    if made.secret_uuid:
        drop_passphrase(context.connection, made.secret_uuid)


def measure_image(context: HandlerContext, request: MeasureImage) -> ImageSize:
    """Handler of MeasureImage; what we may not read libvirt may. Raises ImageError when nobody can tell."""
    if not context.host.is_local:
        return volumes.measure_volume(context, request.path)
    try:
        header = header_of(request.path)
        status = request.path.stat()
    except (ImageError, OSError) as error:
        with contextlib.suppress(ImageError):
            return volumes.measure_volume(context, request.path)
        if isinstance(error, ImageError):
            raise
        raise ImageError("The file is gone.", details=str(error)) from error
    return ImageSize(
        str(request.path),
        header.format,
        header.virtual_bytes,
        status.st_blocks * 512,
        header.encrypted,
        header.backing or "",
    )


def disk_problem_on(context: HandlerContext, disk: NewDisk) -> str:
    """Why the image cannot be made on that host, in one sentence; or an empty string."""
    if not shape_problem(disk) and volumes.is_used_for(context, disk.path):
        return volumes.volume_problem(context, disk, _RESERVE_BYTES)
    return disk_problem(disk)


def disk_problem(disk: NewDisk) -> str:
    """Why the image cannot be made here, in one sentence; or an empty string. Looks at this computer's files."""
    problem = shape_problem(disk)
    if problem:
        return problem
    path = Path(disk.path)
    if os.path.lexists(path):
        return f"There is a file “{path}” already; choose another name, or use it as an existing image."
    if not path.parent.is_dir():
        return f"There is no folder “{path.parent}”."
    if not volumes.may_write(path.parent):
        return f"You may not make files in “{path.parent}”; choose a folder of your own."
    free = free_bytes(path.parent)
    if disk.written_bytes + _RESERVE_BYTES > free:
        return f"This takes {_gib(disk.written_bytes)} at once, and {_gib(free)} are free in “{path.parent}”."
    return ""


def planned_places(domain: DomainXml, new_disks: tuple[NewDisk, ...]) -> dict[Place, NewDisk]:
    """Where in the definition the images stand that are still to be made."""
    places = Places(domain)
    by_path = {disk.path: disk for disk in new_disks}
    return {places.of(disk, "source"): by_path[disk.path] for disk in domain.devices.disks if disk.path in by_path}


def _gib(amount: int) -> str:
    return f"{amount / (1 << 30):.1f} GiB"


# --- qemu-img ---------------------------------------------------------------------------------------------


def _make_part(context: HandlerContext, disk: NewDisk, part: Path) -> FileIdentity:
    """The whole image under its temporary name, on the disk (mode 0600)."""
    try:
        # Ours alone from the first moment; qemu-img writes into it.
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise OperationError("The new disk could not be created.", details=str(error)) from error
    try:
        _run_until_it_counts(context, disk, part)
        fsync_file(part)
        mark = identity(part)
        if mark is None:
            raise OperationError("The new disk is gone again.", details=str(part))
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OperationError("The new disk could not be created.", details=str(error)) from error
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return mark


def _arguments(disk: NewDisk, part: Path) -> list[str]:
    options = []
    if disk.preallocation != "off":
        options.append(f"preallocation={disk.preallocation}")
    secret = []
    if disk.is_encrypted:
        secret = ["--object", "secret,id=passphrase,file=/dev/stdin"]
        options += ["encrypt.format=luks", "encrypt.key-secret=passphrase"]
    return [
        *("prlimit", f"--as={_MEMORY_BYTES}", "--core=0", "--", "qemu-img", "create", "-q"),
        *secret,
        *("-f", disk.format),
        *(("-o", ",".join(options)) if options else ()),
        *("--", os.fspath(part), str(disk.size_bytes)),
    ]


class _MiscountedError(OperationError):
    """qemu-img took no time at all to measure how fast this computer derives a key from a passphrase."""


def _run_until_it_counts(context: HandlerContext, disk: NewDisk, part: Path) -> None:
    """QEMU before 9.1 gives up when a first, short measurement of its own processor time answers 0 ms
    (``crypto/pbkdf.c``), as it does by chance where that is counted in clock ticks. It begins the file anew."""
    for _ in range(volumes.MEASUREMENTS - 1):
        try:
            return _run(context, disk, part)
        except _MiscountedError:
            continue
    return _run(context, disk, part)


def _run(context: HandlerContext, disk: NewDisk, part: Path) -> None:
    """qemu-img, told the job how far it is, ended when the person wants that."""
    if shutil.which("qemu-img") is None or shutil.which("prlimit") is None:
        raise UnsupportedError(
            "The program “qemu-img” is not installed.", advice="Install the package “qemu-utils” (or “qemu-img”)."
        )
    with tempfile.TemporaryFile() as words:
        try:
            process = subprocess.Popen(
                _arguments(disk, part),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=words,
                umask=0o077,
                env={**os.environ, "LC_ALL": "C.UTF-8"},
            )
        except OSError as error:
            raise OperationError("The program “qemu-img” could not be started.", details=str(error)) from error
        context.job.on_cancel(process.kill)
        try:
            assert process.stdin is not None
            try:
                process.stdin.write(disk.passphrase.encode() if disk.is_encrypted else b"")
                process.stdin.close()
            except BrokenPipeError:
                pass  # it has ended, and says why
            _follow(context, disk, part, process)
        finally:
            context.job.on_cancel(None)
            if process.poll() is None:
                process.kill()
                process.wait()
        if context.job.cancel_requested:
            raise CancelledError("Cancelled; nothing was kept of the new disk.")
        if process.returncode != 0:
            words.seek(0)
            text = clean_block(words.read(_MAX_WORDS).decode("utf-8", "replace"), _MAX_WORDS)
            if "No space left" in text or "quota exceeded" in text:
                raise NoSpaceError("There is no space left for the new disk.", advice="Free some space.", details=text)
            kind = _MiscountedError if volumes.MISCOUNTED in text else OperationError
            raise kind("The new disk could not be created.", details=text)


def _follow(context: HandlerContext, disk: NewDisk, part: Path, process: subprocess.Popen[bytes]) -> None:
    while True:
        try:
            process.wait(_POLL_S)
            return
        except subprocess.TimeoutExpired:
            if disk.preallocation in ("falloc", "full"):
                done = min(part.stat().st_blocks * 512, disk.size_bytes)
                context.job.report(JobProgress(done, disk.size_bytes, step="Writing the disk"))


def _forget(context: HandlerContext, part: Path, secret_uuid: str) -> None:
    part.unlink(missing_ok=True)
    if secret_uuid:
        drop_passphrase(context.connection, secret_uuid)
