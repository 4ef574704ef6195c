"""Runs of which nothing is kept: the VM runs on overlays that are thrown away when it ends. Worker only.

The VM is started from a document of its own (``virDomainCreateXML``) while its stored definition stays as it is, and
libvirt goes back to that when the VM ends (``virDomainObjRemoveTransientDef``). Beside each image there is a folder
``.guivm-disposable/UUID/`` with the overlay; in the first of them also a receipt and copies of UEFI's variables and of
the TPM's state. libvirt has one place for the latter, so the copy is what is put back in the end.

The folders are named in the running VM's metadata, so whoever looks at it knows, whenever that is. They are removed
when it has ended, by :func:`clean_up` or :func:`clean_up_all`, before anything else is done with the VM
(:func:`forget_run`), and never while a QEMU uses them.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from guivm.engine import qemu_img
from guivm.engine.cloning.looking import why_not_here
from guivm.engine.cloning.marks import disposable_folders
from guivm.engine.context import HandlerContext
from guivm.engine.files import fsync_directory, write_new
from guivm.engine.jobs import JobProgress
from guivm.engine.libvirt_errors import is_connection_lost
from guivm.engine.requests import StartDisposable
from guivm.engine.snapshots import journal, store
from guivm.engine.snapshots.definitions import with_files
from guivm.engine.snapshots.doing import copy
from guivm.engine.snapshots.executing import held
from guivm.engine.snapshots.firmware_state import nvram_path, tpm_folder
from guivm.engine.snapshots.reading import read_image, resolved
from guivm.engine.snapshots.situation import Situation, read_situation
from guivm.engine.snapshots.starting import refuse_unstartable, require_startable
from guivm.engine.snapshots.support import written_disks
from guivm.engine.snapshots.values import FileAction, FileEffect, OperationPlan
from guivm.engine.types import VmKey, VmState
from guivm.engine.xml.document import XmlError
from guivm.engine.xml.domain import DomainXml
from guivm.errors import GuivmError, InUseError, UnsupportedError, VmNotFoundError, WrongStateError
from guivm.text import clean_line

if TYPE_CHECKING:
    import libvirt

_log = logging.getLogger(__name__)

FOLDER = ".guivm-disposable"
_RECEIPT = "receipt.json"
_TPM = "tpm"
_MAX_RECEIPT_BYTES = 1 << 20
_FAILED = "The images for this run could not be made."


@dataclass(frozen=True, slots=True)
class _Drive:
    target: str
    path: str
    format: str
    virtual_bytes: int
    overlay: Path


def start_disposable(context: HandlerContext, request: StartDisposable) -> None:
    """Handler of StartDisposable. Raises GuivmError or libvirtError; then nothing runs and nothing is left."""
    import libvirt

    from guivm.engine.settings.port_forwards import apply_after_start

    _require_here(context)
    require_startable(context, request.key)
    with held(context, request.key, request.key.uuid):
        seen = read_situation(context, request.key)
        _require_off(seen)
        context.job.report(JobProgress(0, 0, unit_bytes=False, step="Making images for this run"))
        drives = _drives(seen)
        main = _main_folder(context, seen.key.uuid, drives)
        try:
            xml = _prepare(context, seen, drives, main)
            domain = context.connection.createXML(xml, 0)
        except BaseException:
            with contextlib.suppress(libvirt.libvirtError, GuivmError, OSError):  # whether it runs may not be known
                _settle(context, seen.key.uuid, _places(context, _own(context, seen.key.uuid)))
            raise
    apply_after_start(domain)


def plan(context: HandlerContext, seen: Situation) -> OperationPlan:
    """What StartDisposable would do; nothing is changed. A refusal is in the plan. Raises libvirtError."""
    shown = OperationPlan(seen.key, f"Start “{clean_line(seen.name)}” for once")
    try:
        _require_here(context)
        refuse_unstartable(context, seen.key)
        _require_off(seen)
        drives = _drives(seen)
        tpm = _tpm_to_keep(context, seen)
    except GuivmError as error:
        return replace(shown, refused=error.summary, advice=error.advice)
    main = _main_folder(context, seen.key.uuid, drives)
    effects = [FileEffect(FileAction.CREATE, os.fspath(drive.overlay)) for drive in drives]
    variables = nvram_path(context, seen)
    if Path(variables).is_file():
        effects.append(FileEffect(FileAction.COPY, _variables_copy(main, variables), variables))
    if tpm and Path(tpm).exists():
        effects.append(FileEffect(FileAction.COPY, os.fspath(main / _TPM), tpm))
    return replace(
        shown,
        effects=tuple(effects),
        loses=("All that it writes, when it is switched off.",),
        steps=(
            "What it writes goes to new images; its own are only read.",
            "It is started.",
            "When it is off, these files are removed.",
        ),
    )


def _require_here(context: HandlerContext) -> None:
    why = why_not_here(context)
    if why:
        raise UnsupportedError(why.replace("cloned", "run so"))


def _require_off(seen: Situation) -> None:
    if seen.state is VmState.SAVED:
        raise WrongStateError(
            f"“{seen.name}” has a saved state, which a run that is thrown away cannot go on from.",
            advice="Continue from it or discard it first.",
        )
    if seen.state not in (VmState.OFF, VmState.CRASHED):
        raise WrongStateError(f"“{seen.name}” is not off.", advice="Shut it down first.")
    if not seen.platform.files_here:
        raise UnsupportedError("Its files are on another computer, or may not be read by you.")


# --- beginning --------------------------------------------------------------------------------------------


def _drives(seen: Situation) -> list[_Drive]:
    """The drives that the guest writes to. Raises UnsupportedError, ImageError."""
    found = []
    for disk in written_disks(DomainXml.parse(seen.xml)):
        target = disk.target_dev or ""
        if disk.type not in (None, "file") or not disk.path:
            raise UnsupportedError(
                f"Drive {clean_line(target, 40)} is no file on this computer, so what is written to it would be kept."
            )
        path = resolved(disk.path)
        image = read_image(path, disk.driver_type or "")
        if image.encrypted or disk.source.encryption.exists or disk.encryption.exists:
            raise UnsupportedError(f"Drive {clean_line(target, 40)} is encrypted, which this cannot handle yet.")
        overlay = Path(path).parent / FOLDER / seen.key.uuid / f"{target}.qcow2"
        found.append(_Drive(target, path, image.format, image.virtual_bytes, overlay))
    return found


def _main_folder(context: HandlerContext, uuid: str, drives: list[_Drive]) -> Path:
    return drives[0].overlay.parent if drives else Path(resolved(context.images_dir)) / FOLDER / uuid


def _prepare(context: HandlerContext, seen: Situation, drives: list[_Drive], main: Path) -> str:
    """Make all files; answers the document to run."""
    folders = list(dict.fromkeys([main, *(drive.overlay.parent for drive in drives)]))
    for folder in folders:
        _make_private(context, folder)
    tpm = _keep_tpm(context, seen, main)
    _write_receipt(main, seen.key.uuid, tpm, [*(drive.path for drive in drives), nvram_path(context, seen)])
    for drive in drives:
        context.job.check_cancelled()
        qemu_img.work(
            (
                *("create", "-q", "-f", "qcow2", "-F", drive.format, "-b", drive.path),
                *("--", os.fspath(drive.overlay), str(drive.virtual_bytes)),
            ),
            _FAILED,
        )
    nvram = _copy_nvram(context, seen, main)
    files = {drive.target: (os.fspath(drive.overlay), "qcow2") for drive in drives}
    document = DomainXml.parse(with_files(seen.xml, files, nvram=nvram))
    for folder in folders:
        document.metadata.run.disposable_folders.add().path = os.fspath(folder)
    return document.to_text()


def _make_private(context: HandlerContext, folder: Path) -> None:
    """Raises OSError. QEMU of the system's daemon is another user, who may pass through."""
    mode = 0o711 if urlsplit(context.host.uri).path == "/system" else 0o700
    for each in (folder.parent, folder):
        each.mkdir(exist_ok=each != folder)
        each.chmod(mode)


def _copy_nvram(context: HandlerContext, seen: Situation, main: Path) -> str:
    """A copy of UEFI's variables; of a VM that never ran, the place where libvirt shall make them."""
    source = nvram_path(context, seen)
    if not source:
        return ""
    copy = _variables_copy(main, source)
    with contextlib.suppress(FileNotFoundError):
        shutil.copyfile(source, copy)
        Path(copy).chmod(0o600)
    return copy


def _variables_copy(main: Path, source: str) -> str:
    return os.fspath(main / f"variables{Path(source).suffix}")


def _keep_tpm(context: HandlerContext, seen: Situation, main: Path) -> str:
    """Keep the state of the TPM, to be put back in the end; answers its folder, or empty without an emulated TPM."""
    path = _tpm_to_keep(context, seen)
    if path and Path(path).exists():
        copy(Path(path), main / _TPM)
    return path


def _tpm_to_keep(context: HandlerContext, seen: Situation) -> str:
    """Folder of the TPM's state; empty without an emulated TPM. Raises UnsupportedError where it cannot be put back."""
    tpm = DomainXml.parse(seen.xml).devices.tpm
    if not tpm.exists:
        return ""
    path = tpm_folder(context, seen)
    place = Path(path).parent
    if not path or tpm.source_path or (place.exists() and not os.access(place, os.R_OK | os.W_OK | os.X_OK)):
        raise UnsupportedError("Its TPM would keep what it learns in this run, and that cannot be undone here.")
    return path


def _write_receipt(main: Path, uuid: str, tpm: str, files: list[str]) -> None:
    """``files``: what the VM writes to in an ordinary run."""
    receipt = {"version": 1, "uuid": uuid, "tpm": tpm, "had_tpm": (main / _TPM).exists(), "files": files}
    write_new(main / _RECEIPT, json.dumps(receipt).encode("ascii"))


# --- ending -----------------------------------------------------------------------------------------------


def clean_up(context: HandlerContext, key: VmKey) -> None:
    """After a VM has ended: throw away what it wrote. Harmless at any time and for any VM. Raises libvirtError."""
    if not why_not_here(context):
        _clean_up(context, key.uuid, _places(context, _own(context, key.uuid)))


def clean_up_all(context: HandlerContext) -> None:
    """What earlier runs of all VMs of the host left behind. Raises libvirtError."""
    if why_not_here(context):
        return
    places = _places(context, context.connection.listAllDomains(0))
    for uuid in sorted({folder.name for place in places for folder in _inside(place / FOLDER)}):
        _clean_up(context, uuid, places)


def forget_run(context: HandlerContext, uuid: str) -> None:
    """Under the VM's lock, before anything is done with it: its TPM's state must be its own. Raises libvirtError."""
    if why_not_here(context):
        return
    try:
        _settle(context, uuid, _places(context, _own(context, uuid)))
    except (GuivmError, OSError) as error:
        _log.warning("what a run of %s wrote could not be removed: %s", uuid, error)


def has_run(context: HandlerContext, uuid: str) -> bool:
    """Whether something of a run is there, at work or left behind. Raises libvirtError."""
    return bool(_folders_of(uuid, _places(context, _own(context, uuid))))


def _clean_up(context: HandlerContext, uuid: str, places: list[Path]) -> None:
    if not _folders_of(uuid, places):
        return
    try:
        with journal.locked(store.folder_of(context.images_dir, uuid), uuid):
            _settle(context, uuid, places)
    except InUseError:
        return  # it is being started
    except (GuivmError, OSError) as error:
        _log.warning("what a run of %s wrote could not be removed: %s", uuid, error)


def _own(context: HandlerContext, uuid: str) -> list[libvirt.virDomain]:
    """The VM, unless it is gone. Raises libvirtError."""
    try:
        return [context.domain(VmKey(context.host.id, uuid))]
    except VmNotFoundError:
        return []


def _places(context: HandlerContext, domains: Iterable[libvirt.virDomain]) -> list[Path]:
    """Folders beside which overlays of the VMs may be."""
    import libvirt

    found = {Path(resolved(context.images_dir)): None}
    for domain in domains:
        try:
            document = DomainXml.parse(str(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)))
        except libvirt.libvirtError as error:
            if is_connection_lost(error):
                raise
            continue
        except XmlError:
            continue
        found.update((Path(resolved(disk.path)).parent, None) for disk in written_disks(document) if disk.source_file)
    return list(found)


def _inside(folder: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError):
        yield from [Path(entry.path) for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]


def _folders_of(uuid: str, places: list[Path]) -> list[Path]:
    """The VM's folders that are there and are ours."""
    found = []
    for place in places:
        folder = place / FOLDER / uuid
        with contextlib.suppress(OSError):
            if folder.is_dir() and not folder.is_symlink() and folder.stat().st_uid == os.geteuid():
                found.append(folder)
    return found


def _settle(context: HandlerContext, uuid: str, places: list[Path]) -> None:
    """Under the lock: remove the folders unless they are in use. Raises libvirtError, GuivmError, OSError."""
    folders = _folders_of(uuid, places)
    if folders and not _is_in_use(context.connection, uuid, folders):
        _remove(context, uuid, folders)


def _is_in_use(connection: libvirt.virConnect, uuid: str, folders: list[Path]) -> bool:
    """Whether a running VM writes to them; QEMU's own locks are asked too, for libvirt may have lost sight of it."""
    import libvirt

    try:
        domain = connection.lookupByUUIDString(uuid)
        if domain.isActive() and disposable_folders(str(domain.XMLDesc(0))):
            return True
    except libvirt.libvirtError as error:
        if is_connection_lost(error) or error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
            raise
    return any(_is_locked(path) for folder in folders for path in sorted(folder.glob("*.qcow2")))


def _is_locked(image: Path) -> bool:
    """Without ``-U``, ``qemu-img`` does not open what a QEMU writes to."""
    done = qemu_img.look(["info", "-f", "qcow2", "--", os.fspath(image)])
    return done.returncode != 0 and b"lock" in done.stderr


def _remove(context: HandlerContext, uuid: str, folders: list[Path]) -> None:
    """Under the lock, when nobody uses them. Raises OSError; then the next try goes on."""
    for folder in folders:
        if (folder / _RECEIPT).exists():
            _put_tpm_back(context, uuid, folder)
    for folder in folders:
        shutil.rmtree(folder)
        with contextlib.suppress(OSError):
            folder.parent.rmdir()


def _put_tpm_back(context: HandlerContext, uuid: str, main: Path) -> None:
    """The state before the run; not when the VM has run in the ordinary way since: then it has told its TPM more, as a
    rule the keys of its disks, than is in this run's overlays."""
    import libvirt

    with (main / _RECEIPT).open("rb") as stream:
        try:
            receipt = json.loads(stream.read(_MAX_RECEIPT_BYTES))
            live, had = str(receipt["tpm"]), bool(receipt["had_tpm"])
            files = [str(path) for path in receipt.get("files", ())]
        except (ValueError, LookupError, TypeError):
            return
    if not live or Path(live).name != uuid or not Path(live).is_absolute():
        return
    try:
        domain = context.connection.lookupByUUIDString(uuid)
        if domain.isActive() or _is_newer(files, main / _RECEIPT):
            _log.warning("the TPM of %s runs on with what it learnt in a run that was thrown away", uuid)
            (main / _RECEIPT).unlink()
            return
    except libvirt.libvirtError as error:
        if is_connection_lost(error) or error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
            raise
        return
    place = Path(live)
    fresh, old = place.with_name(f"{uuid}.part"), place.with_name(f"{uuid}.old")
    for rest in (fresh, old):
        if rest.exists():
            shutil.rmtree(rest)
    kept = main / _TPM
    if had and not kept.exists():
        return
    if had:
        copy(kept, fresh)
    if place.exists():
        place.rename(old)
    if had:
        fresh.rename(place)
    if place.parent.exists():
        fsync_directory(place.parent)
    if old.exists():
        shutil.rmtree(old)
    (main / _RECEIPT).unlink()  # from here on the state is the VM's own again


def _is_newer(files: list[str], receipt: Path) -> bool:
    """Whether one was written to since: a run that is thrown away only reads them."""
    since_ns = receipt.stat().st_mtime_ns
    for path in files:
        with contextlib.suppress(OSError):
            if path and Path(path).stat().st_mtime_ns > since_ns:
                return True
    return False
