"""Each step of a plan for real: files and ``qemu-img`` here, what libvirt does in ``doing_libvirt.py``. Worker only."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from pathlib import Path

from guivm.engine import qemu_img
from guivm.engine.files import fsync_directory, fsync_file, make_private_folder, rename_new
from guivm.engine.snapshots import steps, store
from guivm.engine.snapshots.reading import read_image
from guivm.engine.snapshots.run import Run, Share
from guivm.engine.snapshots.steps import Step, made_by
from guivm.errors import InUseError, OperationError

FAILED = "The disk images could not be changed."


def do(run: Run, step: Step, share: Share) -> None:
    """One step, from its beginning. Raises GuivmError, libvirtError or OSError."""
    match step:
        case steps.MakeOverlay():
            _make_overlay(step)
        case steps.CopyFile():
            copy(Path(step.source), Path(step.target))
        case steps.ConvertImage():
            from guivm.engine.snapshots.copying import convert

            convert(run.context, step, share)
        case steps.Freeze():
            _set_writable(Path(step.path), on=False)
        case steps.Thaw():
            _set_writable(Path(step.path), on=True)
        case steps.Pull():
            pull(run, step, share)
        case steps.Merge():
            _merge(run, step, share)
        case steps.SetBacking():
            do_set_backing(step)
        case steps.Quarantine():
            _move(Path(step.path), Path(step.kept_at))
        case steps.PutInPlace():
            _move(Path(step.path), Path(step.target))
        case steps.WriteTree():
            store.write_text(run.folder, step.document)
        case _:
            from guivm.engine.snapshots.doing_libvirt import do_with_libvirt

            do_with_libvirt(run, step, share)


def _work(run: Run, arguments: tuple[str, ...], share: Share) -> None:
    on_cancel = run.context.job.on_cancel if run.can_cancel else None
    qemu_img.work(arguments, FAILED, report=share, on_cancel=on_cancel)


# --- images -----------------------------------------------------------------------------------------------


def _make_overlay(step: steps.MakeOverlay) -> None:
    path = Path(step.path)
    part = _part_of(path)
    part.unlink(missing_ok=True)
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    qemu_img.work(
        (
            *("create", "-q", "-f", "qcow2", "-F", step.base_format, "-b", step.base),
            *("--", os.fspath(part), str(step.virtual_bytes)),
        ),
        FAILED,
    )
    fsync_file(part)
    rename_new(part, path)


def pull(run: Run, step: steps.Pull, share: Share) -> None:
    """Again: done when the header names the new base, which it does only when all is copied.

    That takes ``-t writethrough``. Without it qemu-img names the new base in the header while the tables that say where
    the copied data is are still in its memory: ended at that moment, it leaves an image that reads zeros. Seen with
    QEMU 7.2, in 3 of about 130 runs that were ended at random.
    """
    if read_image(step.path, step.format).backing == step.backing:
        return
    _work(run, ("rebase", "-p", "-t", "writethrough", "-f", step.format, *_on(step), "--", step.path), share)
    fsync_file(Path(step.path))


def _merge(run: Run, step: steps.Merge, share: Share) -> None:
    """``qemu-img commit`` writes into whatever the header names: it must be what the plan means."""
    below = read_image(step.path, step.format).backing
    if below != step.into:
        raise OperationError(FAILED, details=f"{step.path} is on {below} and not on {step.into}")
    _work(run, ("commit", "-p", "-d", "-f", step.format, "--", step.path), share)
    fsync_file(Path(step.into))


def do_set_backing(step: steps.SetBacking) -> None:
    """Only the name in the header."""
    qemu_img.work(("rebase", "-u", "-f", step.format, *_on(step), "--", step.path), FAILED)
    fsync_file(Path(step.path))


def _on(step: steps.Pull | steps.SetBacking) -> tuple[str, ...]:
    return ("-F", step.backing_format, "-b", step.backing) if step.backing else ("-b", "")


def mend(step: Step | None) -> None:
    """Repair what a ``qemu-img``, or a QEMU, that was ended in the middle leaves in an image: clusters taken and not
    used.

    Raises ImageError when something worse is wrong.
    """
    match step:
        case steps.Pull(path=path, format=form):
            qemu_img.repair_leaks(path, form)
        case steps.LivePull(path=path):
            qemu_img.repair_leaks(path, "qcow2")
        case steps.Merge(path=path, format=form, into=into):
            if os.path.lexists(path):
                qemu_img.repair_leaks(into, read_image(path, form).backing_format)
        case _:
            pass


# --- files ------------------------------------------------------------------------------------------------


def copy(source: Path, target: Path) -> None:
    """A file or a folder, durable, under its name only when it is whole."""
    part = _part_of(target)
    remove(part)
    remove(target)  # of an earlier run; that it was nobody else's was seen before the first step
    make_private_folder(part.parent)
    if source.is_dir():
        shutil.copytree(source, part, symlinks=True)
        for directory, _, names in os.walk(part):
            for name in names:
                if not (Path(directory) / name).is_symlink():
                    fsync_file(Path(directory) / name)
            fsync_directory(Path(directory))
        part.rename(target)
        fsync_directory(target.parent)
    else:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        shutil.copyfile(source, part)
        fsync_file(part)
        rename_new(part, target)


def _set_writable(path: Path, *, on: bool) -> None:
    """The owner's write permission, durably. A file that is gone is none to be written."""
    with contextlib.suppress(FileNotFoundError):
        mode = stat.S_IMODE(path.stat().st_mode)
        path.chmod(mode | stat.S_IWUSR if on else mode & ~0o222)
        fsync_file(path)


def _move(source: Path, target: Path) -> None:
    """Rename within one file system, over nothing. Again: done when only the target is there."""
    if not os.path.lexists(source) and os.path.lexists(target):
        return
    make_private_folder(target.parent)
    if source.is_dir() and not source.is_symlink():
        if os.path.lexists(target):
            raise FileExistsError(f"{target} exists")
        source.rename(target)
        fsync_directory(target.parent)
        fsync_directory(source.parent)
    elif os.path.lexists(target) and os.path.samestat(source.lstat(), target.lstat()):
        source.unlink()  # a crash between the two halves of rename_new
        fsync_directory(source.parent)
    else:
        rename_new(source, target)


def remove_made(run: Run, step: Step) -> None:
    """Remove durably what a step of *prepare* made, finished or not. Raises OSError, and InUseError for an overlay that
    somebody has written to: then it is none that was only prepared."""
    from guivm.engine.snapshots.reading import holds_data

    notes = run.notes
    filled = {each.path for each in notes.entry.prepare if isinstance(each, steps.Pull)} if notes else set()
    overlays: tuple[str, ...] = ()
    if isinstance(step, steps.MakeOverlay):
        overlays = (step.path,)
    elif isinstance(step, steps.LiveOverlays):
        overlays = tuple(path for _, path in step.disks)
    for name in reversed(made_by((step,))):
        path = Path(name)
        remove(_part_of(path))
        if name in run.spared:
            continue
        if name in overlays and name not in filled and os.path.lexists(name) and holds_data(name):
            raise InUseError(f"“{name}” was written to meanwhile, so it is not removed.")
        remove(path)
        if path.parent.is_dir():
            fsync_directory(path.parent)


def remove(path: Path) -> None:
    """A file or a folder, if it is there. Raises OSError."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _part_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")
