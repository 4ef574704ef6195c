"""Rules that look at this computer's files: what is there, and who may read it. Worker only; nothing is changed."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict

from guivm.engine.files import FileIdentity, identity
from guivm.engine.options.facts import HostFacts
from guivm.engine.options.option import N
from guivm.engine.options.phrase import Phrase
from guivm.engine.options.values import AccessFix, EditFix, Place, SettingProblem
from guivm.engine.settings import access
from guivm.engine.settings.access import Blocked, User
from guivm.engine.settings.places import Places
from guivm.engine.settings.rule import error, use
from guivm.engine.settings.rules_devices import is_exclusive, used_by
from guivm.engine.xml.disk import Disk
from guivm.engine.xml.domain import DomainXml

_MEDIA = ("cdrom", "floppy")
_MAX_OTHER_PATHS = 20_000


@dataclass(frozen=True, slots=True)
class Runner:
    """Who runs QEMU here. ``gives_files``: libvirt makes the images that user's own when the VM starts."""

    user: User
    gives_files: bool


def file_problems(domain: DomainXml, facts: HostFacts, runner: Runner) -> Iterator[SettingProblem]:
    """Of drives, of the kernel and of shared folders."""
    places = Places(domain)
    for disk in domain.devices.disks:
        if disk.path.startswith("/") and disk.type in (None, "file", "block", "dir"):
            yield from _drive(disk, places.of(disk, "source"), runner)
    for option, path in (("kernel", domain.os.kernel), ("initrd", domain.os.initrd)):
        if path and path.startswith("/"):
            yield from _readable(Path(path), Place("boot", option=option), runner, access.READ)
    if domain.os.loader and domain.os.loader.startswith("/") and _is_missing(Path(domain.os.loader)):
        yield error(
            Place("system", option="firmware"),
            f"The firmware “{domain.os.loader}” is not installed; choose another, or let libvirt choose.",
        )
    for folder in domain.devices.filesystems:
        if folder.source_dir and folder.source_dir.startswith("/"):
            yield from _folder(Path(folder.source_dir), places.of(folder, "folder"), runner)
    yield from _shared_images(domain, facts, places)


def with_whole_paths(
    problems: Iterable[SettingProblem], domain: DomainXml, images_dir: Path
) -> Iterator[SettingProblem]:
    """The same problems; where a drive's path is not whole, and there is such a file beside the others or among the
    images, it is offered."""
    relative = [disk for disk in domain.devices.disks if disk.path and not disk.path.startswith("/")]
    places = Places(domain) if relative else None
    sources = {} if places is None else {places.of(disk, "source"): disk.path for disk in relative}
    folders = [Path(disk.path).parent for disk in domain.devices.disks if disk.path.startswith("/")]
    for problem in problems:
        name = sources.get(problem.place)
        if name is None or problem.fix is not None:
            yield problem
            continue
        candidates = (Path(os.path.normpath(folder / name)) for folder in (*folders, images_dir))
        found = next((path for path in candidates if not _is_missing(path)), None)
        yield problem if found is None else replace(problem, fix=use(problem.place, str(found)))


def _folder(path: Path, place: Place, runner: Runner) -> Iterator[SettingProblem]:
    if _is_missing(path):
        yield error(place, f"There is no folder “{path}”.")
    elif not path.is_dir():
        yield error(place, f"“{path}” is no folder.")
    else:
        yield from _way(path / "file", place, runner)


def _drive(disk: Disk, place: Place, runner: Runner) -> Iterator[SettingProblem]:
    path = Path(disk.path)
    if _is_missing(path):
        if disk.startup_policy in ("optional", "requisite") and disk.device in _MEDIA:
            return
        empty = EditFix(place, None, Phrase(N("Leave it empty"))) if disk.device in _MEDIA else None
        yield error(place, f"There is no file “{path}”; choose another{_or_eject(disk)}.", fix=empty)
        return
    try:
        mode = path.stat().st_mode
    except OSError:
        return  # we may not look, which is no news of QEMU's user
    if disk.type == "block" and not stat.S_ISBLK(mode):
        yield error(place, f"“{path}” is no block device; choose it as a file.")
    elif disk.type in (None, "file") and stat.S_ISDIR(mode):
        yield error(place, f"“{path}” is a folder, not an image.")
    else:
        writes = disk.device not in _MEDIA and not disk.read_only
        yield from _readable(path, place, runner, access.READ | (access.WRITE if writes else 0))


def _or_eject(disk: Disk) -> str:
    return ", or eject it" if disk.device in _MEDIA else ""


def _is_missing(path: Path) -> bool:
    """False when we may not look."""
    try:
        path.stat()
    except OSError as problem:
        return problem.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
    except ValueError:  # a NUL in it
        return True
    return False


def _readable(path: Path, place: Place, runner: Runner, wanted: int) -> Iterator[SettingProblem]:
    if _is_missing(path):
        yield error(place, f"There is no file “{path}”; choose another.")
        return
    blocked = list(_way(path, place, runner))
    yield from blocked
    if blocked or runner.gives_files:
        return
    shut = access.blocked_file(path, runner.user, wanted)
    if shut is not None:
        what = "read or write" if wanted & access.WRITE else "read"
        yield error(
            place,
            f"{_who(runner)} may not {what} “{path}”; allow it, or choose another file.",
            **_remedy(shut, runner, wanted),
        )


def _way(path: Path, place: Place, runner: Runner) -> Iterator[SettingProblem]:
    shut = access.blocked_on_the_way(path, runner.user)
    if shut is not None:
        yield error(
            place,
            f"{_who(runner)} may not enter “{shut.paths[0]}”; allow it, or move the file elsewhere, "
            "to /var/lib/libvirt/images for example.",
            **_remedy(shut, runner, access.READ),
        )


class _Remedy(TypedDict, total=False):
    fix: AccessFix
    command: str


def _remedy(shut: Blocked, runner: Runner, wanted: int) -> _Remedy:
    """What we may do ourselves, or what to ask an administrator for."""
    fix = access.fix_for(shut, runner.user, wanted)
    return {"command": access.command_for(shut, runner.user, wanted)} if fix is None else {"fix": fix}


def _who(runner: Runner) -> str:
    if runner.user.uid == os.geteuid() and not runner.gives_files:
        return "You"
    return f"QEMU runs as the user “{runner.user.name}”, who"


def _shared_images(domain: DomainXml, facts: HostFacts, places: Places) -> Iterator[SettingProblem]:
    """By what the files are: symbolic and hard links lead to one image. One name for both is said by the pure rules."""
    mine = [(disk, identity(Path(disk.path))) for disk in domain.devices.disks if disk.path.startswith("/")]
    exclusive = {mark for disk, mark in mine if mark is not None and is_exclusive(disk)}
    if not exclusive:
        return
    seen: dict[FileIdentity, Disk] = {}
    for disk, mark in mine:
        if mark is None:
            continue
        before = seen.setdefault(mark, disk)
        if before is disk or not (is_exclusive(disk) or is_exclusive(before)):
            continue
        if os.path.normpath(before.path) != os.path.normpath(disk.path):
            yield error(
                places.of(disk, "source"),
                f"“{disk.path}” and “{before.path}” of the drive {before.target_dev} are one file; "
                "both drives would write to it and destroy it.",
            )
    others = [(path, other.name) for other in facts.others for path in other.paths][:_MAX_OTHER_PATHS]
    users = {mark: (path, name) for path, name in others if (mark := identity(Path(path))) in exclusive}
    for disk, mark in mine:
        if mark is not None and mark in users and is_exclusive(disk):
            path, name = users[mark]
            if os.path.normpath(path) != os.path.normpath(disk.path):
                yield error(places.of(disk, "source"), used_by(f"{disk.path} (the same file as {path})", name))
