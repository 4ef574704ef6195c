"""Whole copies of disk images: by sharing their blocks where the file system can, else by ``qemu-img convert``.

The new image gets its name when it is complete and on the disk. Sharing blocks: ioctl_ficlone(2); btrfs, XFS, bcachefs
and others have it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

from guivm.engine import qemu_img
from guivm.engine.context import HandlerContext
from guivm.engine.files import fsync_file, make_private_folder, rename_new
from guivm.engine.jobs import JobProgress
from guivm.engine.snapshots.images_inside import InsideSnapshot, opened, read_snapshots
from guivm.engine.snapshots.reading import read_image
from guivm.engine.snapshots.steps import ConvertImage
from guivm.errors import ImageError, OperationError
from guivm.text import clean_line

_FAILED = "The disk could not be copied."
_FICLONE = 0x40049409  # linux/fs.h: _IOW(0x94, 9, int)
_CANNOT_SHARE = (errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM)
_MAX_CHAIN = 64
_MAX_L1_BYTES = 32 << 20  # QEMU: QCOW_MAX_L1_SIZE


def convert(context: HandlerContext, step: ConvertImage, share: Callable[[float], None]) -> None:
    """Make the image of ``step``, mode 0600.

    Raises NoSpaceError, OperationError, CancelledError or OSError; what is left then is called ``TARGET.part``, and
    removed by whoever takes the plan back.
    """
    target = Path(step.target)
    part = target.with_name(f"{target.name}.part")
    part.unlink(missing_ok=True)
    make_private_folder(target.parent)
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    before = _tables_of(step) if step.in_use else None
    if not _share_blocks(step, part):
        _copy(context, step, part, share)
    if before is not None:
        _require_the_same(step, part, before)
    fsync_file(part)
    rename_new(part, target)


def _tables_of(step: ConvertImage) -> tuple[InsideSnapshot, bytes]:
    """What the image says of the snapshot. QEMU writes neither that nor what it leads to as long as the snapshot is
    there, and all of it is in the file when the snapshot is taken. Raises OSError, ImageError."""
    with opened(step.source) as descriptor:
        found = next((each for each in read_snapshots(descriptor) if each.name == step.snapshot), None)
        if found is None:
            raise ImageError(f"“{clean_line(step.source)}” does not hold the snapshot.")
        return found, os.pread(descriptor, min(found.l1_entries * 8, _MAX_L1_BYTES), found.l1_at)


def _require_the_same(step: ConvertImage, part: Path, before: tuple[InsideSnapshot, bytes]) -> None:
    """Raises OperationError when another program has changed the snapshot meanwhile, ImageError."""
    if _tables_of(step) != before:
        raise OperationError(_FAILED, advice="The snapshot was changed by another program meanwhile: try again.")
    qemu_img.repair_leaks(os.fspath(part), step.target_format)


def _share_blocks(step: ConvertImage, part: Path) -> bool:
    """Only where the file as it stands is what is wanted: it needs no other image and holds nothing else."""
    if step.snapshot or step.source_format != step.target_format or step.source_format not in ("qcow2", "raw"):
        return False
    if step.source_format != "raw":
        image = read_image(step.source, step.source_format)
        if image.backing is not None or image.internal_snapshots:
            return False
    with Path(step.source).open("rb") as source, part.open("r+b") as target:
        try:
            fcntl.ioctl(target.fileno(), _FICLONE, source.fileno())
        except OSError as error:
            if error.errno not in _CANNOT_SHARE:
                raise
            return False
    return True


def _copy(context: HandlerContext, step: ConvertImage, part: Path, share: Callable[[float], None]) -> None:
    progress = _Progress(context, step, share)
    # An option and not a bare name: QEMU would take a name of digits for the number of another snapshot.
    chosen = ("-l", f"snapshot.name={step.snapshot.replace(',', ',,')}") if step.snapshot else ()
    shared = ("-U",) if step.in_use else ()
    qemu_img.work(
        (
            *("convert", "-p", *shared, "-f", step.source_format, "-O", step.target_format, *chosen),
            *("--", step.source, os.fspath(part)),
        ),
        _FAILED,
        report=progress.tell,
        on_cancel=context.job.on_cancel,
    )


class _Progress:
    """Bytes and speed, from the share that ``qemu-img`` tells of what holds data."""

    def __init__(self, context: HandlerContext, step: ConvertImage, share: Callable[[float], None]) -> None:
        self._job = context.job
        self._share = share
        self._total = _data_bytes(step)
        self._words = f"Copying “{clean_line(Path(step.source).name, 80)}”"
        self._began_s = time.monotonic()

    def tell(self, share: float) -> None:
        if not self._total:
            self._share(share)
            return
        done = int(share * self._total)
        passed_s = time.monotonic() - self._began_s
        speed = done / passed_s if passed_s > 0.5 and done else None
        left_s = (self._total - done) / speed if speed else None
        self._job.report(
            JobProgress(done, self._total, unit_bytes=True, speed_per_s=speed, remaining_s=left_s, step=self._words)
        )


def _data_bytes(step: ConvertImage) -> int:
    """About how much there is to copy."""
    total, seen = 0, set[str]()
    path: str | None = step.source
    declared = step.source_format
    virtual = step.virtual_bytes
    with contextlib.suppress(ImageError):
        while path is not None and path not in seen and len(seen) < _MAX_CHAIN:
            seen.add(path)
            image = read_image(path, declared)
            total += image.allocated_bytes
            virtual = virtual or image.virtual_bytes
            path, declared = image.backing, image.backing_format
    return min(total, virtual)
