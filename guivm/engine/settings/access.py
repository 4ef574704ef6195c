"""Whether the user that runs QEMU can reach a file of this computer: permission bits and access control lists."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import shlex
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

READ, WRITE, SEARCH = 4, 2, 1

# Linux, include/uapi/linux/posix_acl.h and posix_acl_xattr.h
_ACL_VERSION = 2
_USER_OBJ, _USER, _GROUP_OBJ, _GROUP, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20


@dataclass(frozen=True, slots=True)
class User:
    """Whoever QEMU runs as. ``name`` is what setfacl is given."""

    uid: int
    groups: frozenset[int]
    name: str


@dataclass(frozen=True, slots=True)
class Blocked:
    """Folders that the user may not search, outermost first, or the file that it may not open."""

    paths: tuple[Path, ...]
    is_folder: bool


def user_of(uid: int, gid: int) -> User:
    """With all groups that this computer knows it to be in."""
    try:
        name = pwd.getpwuid(uid).pw_name
        groups = frozenset((*os.getgrouplist(name, gid), gid))
    except (KeyError, OSError):
        name, groups = str(uid), frozenset((gid,))
    return User(uid, groups, name)


def user_named(label: str) -> User | None:
    """Of libvirt's DAC label: "+64055:+64055", "libvirt-qemu:kvm", "user". None when there is no such user."""
    user, _, group = label.partition(":")
    try:
        uid = int(user.removeprefix("+")) if user.removeprefix("+").isdecimal() else pwd.getpwnam(user).pw_uid
        if not group:
            return user_of(uid, pwd.getpwuid(uid).pw_gid)
        gid = int(group.removeprefix("+")) if group.removeprefix("+").isdecimal() else grp.getgrnam(group).gr_gid
    except KeyError:
        return None
    return user_of(uid, gid)


def ourselves() -> User:
    return user_of(os.geteuid(), os.getegid())


def blocked_on_the_way(path: Path, user: User) -> Blocked | None:
    """What keeps the user from the file's folder; None when nothing does, or we cannot see."""
    if user.uid == 0:
        return None
    shut = [folder for folder in _folders(path) if _may(folder, user, SEARCH) is False]
    return Blocked(tuple(shut), is_folder=True) if shut else None


def blocked_file(path: Path, user: User, wanted: int) -> Blocked | None:
    """The file itself, when the user may not do with it what is ``wanted``."""
    if user.uid == 0 or _may(path, user, wanted) is not False:
        return None
    return Blocked((path,), is_folder=False)


def command_for(blocked: Blocked, user: User, wanted: int = READ) -> str:
    """What an administrator, or the files' owner, could run."""
    rights = "x" if blocked.is_folder else ("rw" if wanted & WRITE else "r")
    return shlex.join(["sudo", "setfacl", "-m", f"u:{user.name}:{rights}", "--", *map(str, blocked.paths)])


def _folders(path: Path) -> Iterator[Path]:
    """Every folder that must be searched, links followed: those of the name, and those of where it leads."""
    seen: dict[Path, None] = dict.fromkeys(reversed(path.absolute().parents))
    with contextlib.suppress(OSError, RuntimeError):  # a loop of links: the file is missing, which is said elsewhere
        seen |= dict.fromkeys(reversed(path.resolve(strict=False).parents))
    yield from seen


def _may(path: Path, user: User, wanted: int) -> bool | None:
    """None: not known."""
    try:
        status = path.stat()
    except OSError:
        return None
    entries = _acl(path)
    if entries:
        return _acl_allows(entries, status, user, wanted)
    mode = status.st_mode
    if status.st_uid == user.uid:
        rights = mode >> 6
    elif status.st_gid in user.groups:
        rights = mode >> 3
    else:
        rights = mode
    return rights & wanted == wanted


def _acl(path: Path) -> tuple[tuple[int, int, int], ...]:
    """(tag, rights, id) of each entry; empty without a list."""
    try:
        data = os.getxattr(path, "system.posix_acl_access")
    except OSError:
        return ()
    if len(data) < 4 or struct.unpack_from("<I", data)[0] != _ACL_VERSION:
        return ()
    return tuple(struct.iter_unpack("<HHI", data[4 : 4 + (len(data) - 4) // 8 * 8]))


def _acl_allows(entries: tuple[tuple[int, int, int], ...], status: os.stat_result, user: User, wanted: int) -> bool:
    """The order of acl(5), "Access check algorithm"."""
    mask = next((rights for tag, rights, _ in entries if tag == _MASK), READ | WRITE | SEARCH)
    if status.st_uid == user.uid:
        return next((rights for tag, rights, _ in entries if tag == _USER_OBJ), 0) & wanted == wanted
    for tag, rights, ident in entries:
        if tag == _USER and ident == user.uid:
            return rights & mask & wanted == wanted
    of_groups = [
        rights
        for tag, rights, ident in entries
        if (tag == _GROUP_OBJ and status.st_gid in user.groups) or (tag == _GROUP and ident in user.groups)
    ]
    if of_groups:
        return any(rights & mask & wanted == wanted for rights in of_groups)
    return next((rights for tag, rights, _ in entries if tag == _OTHER), 0) & wanted == wanted
