"""Whether the user that runs QEMU can reach a file of this computer: permission bits and access control lists."""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import pwd
import shlex
import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from guivm.engine.options.values import AccessFix

READ, WRITE, SEARCH = 4, 2, 1
_BITS = {"r": READ, "w": WRITE, "x": SEARCH}

# Linux, include/uapi/linux/posix_acl.h and posix_acl_xattr.h
_ACL_VERSION = 2
_ACL_NAME = "system.posix_acl_access"
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


def fix_for(blocked: Blocked, user: User, wanted: int = READ) -> AccessFix | None:
    """The least that lets the user in, when all of it is ours to change; else None.

    An entry for that user alone where there are access control lists, and it gives nobody else more. Folders without
    them are opened for everybody, to pass through and not to look; files never are.
    """
    bits = "x" if blocked.is_folder else ("rw" if wanted & WRITE else "r")
    states = [_stat(path) for path in blocked.paths]
    if any(status is None or os.geteuid() not in (0, status.st_uid) for status in states):
        return None
    known = [status for status in states if status is not None]
    paths = tuple(str(path.absolute()) for path in blocked.paths)
    if all(status.st_uid == user.uid for status in known):
        return AccessFix("", f"u+{bits}", paths)
    if any(status.st_uid == user.uid for status in known):
        return None
    if shutil.which("setfacl") is not None and all(_takes_entry(path, user, bits) for path in blocked.paths):
        return AccessFix(user.name, bits, paths)
    if not blocked.is_folder or any(_acl(path) for path in blocked.paths):
        return None
    classes = {"g" if status.st_gid in user.groups else "o" for status in known}
    return AccessFix("", f"{classes.pop()}+x", paths) if len(classes) == 1 else None


def lacks(fix: AccessFix) -> tuple[str, ...]:
    """Those of its paths that do not have what it gives."""
    wanted = sum(_BITS[letter] for letter in fix.rights.rpartition("+")[2])
    if fix.user:
        user = User(_uid(fix.user), frozenset(), fix.user)
        return tuple(path for path in fix.paths if _may(Path(path), user, wanted) is not True)
    shift = {"u": 6, "g": 3, "o": 0}[fix.rights[0]]
    states = [(path, _stat(Path(path))) for path in fix.paths]
    return tuple(path for path, status in states if status is None or (status.st_mode >> shift) & wanted != wanted)


def _uid(name: str) -> int:
    """As setfacl reads it. Raises KeyError."""
    return int(name) if name.isdecimal() else pwd.getpwnam(name).pw_uid


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _takes_entry(path: Path, user: User, bits: str) -> bool:
    """Whether the file system has such lists, this one has no entry of the user, and the mask that setfacl works out
    anew gives no other entry more than it has."""
    try:
        os.getxattr(path, _ACL_NAME)
    except OSError as problem:
        return problem.errno == errno.ENODATA
    entries = _acl(path)
    if any(tag == _USER and ident == user.uid for tag, _, ident in entries):
        return False
    mask = next((rights for tag, rights, _ in entries if tag == _MASK), READ | WRITE | SEARCH)
    others = [rights for tag, rights, _ in entries if tag in (_USER, _GROUP_OBJ, _GROUP)]
    return all(rights & ~mask == 0 for rights in others)


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
        data = os.getxattr(path, _ACL_NAME)
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
