"""Rules that look at this computer: files, who may read them, ports that are taken. Worker only; nothing is changed."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from guivm.engine.files import FileIdentity, identity
from guivm.engine.options.facts import HostFacts
from guivm.engine.options.port_forwards import read_forwards
from guivm.engine.options.values import Place, SettingProblem
from guivm.engine.settings import access
from guivm.engine.settings.access import User
from guivm.engine.settings.places import Places
from guivm.engine.settings.rule import error, warning
from guivm.engine.settings.rules_devices import is_everywhere, is_exclusive, used_by
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
        yield error(place, f"There is no file “{path}”; choose another{_or_eject(disk)}.")
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
            command=access.command_for(shut, runner.user, wanted),
        )


def _way(path: Path, place: Place, runner: Runner) -> Iterator[SettingProblem]:
    shut = access.blocked_on_the_way(path, runner.user)
    if shut is not None:
        yield error(
            place,
            f"{_who(runner)} may not enter “{shut.paths[0]}”; allow it, or move the file elsewhere, "
            "to /var/lib/libvirt/images for example.",
            command=access.command_for(shut, runner.user),
        )


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


# --- ports ------------------------------------------------------------------------------------------------


def port_problems(domain: DomainXml, live: DomainXml | None) -> Iterator[SettingProblem]:
    """Ports of this computer that something else has. What this VM, running, has itself is its own."""
    places = Places(domain)
    own = set() if live is None else set(_wanted_ports(live))
    for protocol, address, port, place in _ports(domain, places):
        if (protocol, address, port) in own:
            continue
        reason = _taken(protocol, address, port)
        if reason:
            yield (warning if place.option == "port-forwards" else error)(place, reason)


def _wanted_ports(domain: DomainXml) -> Iterator[tuple[str, str, int]]:
    for protocol, address, port, _place in _ports(domain, Places(domain)):
        yield protocol, address, port


def _ports(domain: DomainXml, places: Places) -> Iterator[tuple[str, str, int, Place]]:
    for display in domain.devices.graphics:
        listen = next((listen for listen in display.listens if listen.type == "address"), None)
        if len(display.listens) and listen is None:
            continue
        address = (listen.address if listen is not None else display.listen_address) or "127.0.0.1"
        for option, port in (("port", display.port), ("tls-port", display.tls_port), ("websocket", display.websocket)):
            if port is not None and 0 < port < 65536:
                yield "tcp", "0.0.0.0" if is_everywhere(address) else address, port, places.of(display, option)  # noqa: S104
    for nic in domain.devices.interfaces:
        if nic.type == "user":
            for forward in read_forwards(nic):
                address = "0.0.0.0" if forward.address in ("*", "") else forward.address  # noqa: S104
                for port in range(forward.host_port, min(forward.last, forward.host_port + 100) + 1):
                    if 0 < port < 65536:
                        yield forward.protocol, address, port, places.of(nic, "port-forwards")


def _taken(protocol: str, address: str, port: int) -> str:
    """Why a port cannot be opened, tried and given back at once; empty when it can, or when we may not try."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    try:
        with socket.socket(family, kind) as probe:
            if kind == socket.SOCK_STREAM:  # what has just ended does not count, as it does not for QEMU
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
    except (OSError, ValueError, OverflowError) as problem:
        code = problem.errno if isinstance(problem, OSError) else 0
        if code == errno.EADDRINUSE:
            return f"Port {port} ({protocol}) of {address} is in use by another program; choose another."
        if code == errno.EADDRNOTAVAIL or isinstance(problem, socket.gaierror):
            return f"This computer has no address {address}; choose one that it has, or 127.0.0.1."
    return ""
