"""Has an operation work on a :class:`~tests.helpers.power.Disk` as on any file system, and keeps what it did.

We speak to the kernel ourselves (``include/uapi/linux/fuse.h``, protocol 7.31): no library sees names and files between
it and us, and none need be installed. The mount is in a namespace of a process of its own.

Needs ``/dev/fuse``, and to be root or that user namespaces are allowed.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import pickle
import select
import stat
import struct
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.power import ROOT, Chmod, Disk, Event, Make, Names, Node, Resize, Sync, Write

_DEVICE = "/dev/fuse"
_CLONE_NEWNS, _CLONE_NEWUSER = 0x20000, 0x10000000
_MS_NOSUID, _MS_NODEV, _MS_REC, _MS_PRIVATE = 2, 4, 16384, 1 << 18
_MAX_WRITE = 1 << 20
_MAX_PAGES, _BIG_WRITES = 1 << 22, 1 << 5
_SET_MODE, _SET_SIZE = 1, 8
_REPLACE_NOT = 1  # RENAME_NOREPLACE
_ROOM = 1 << 18  # blocks that are told to be free


def record(disk: Disk, folder: Path, operation: Callable[[], object]) -> list[Event]:
    """Fork, put the disk where ``folder`` is, for the child only, and let the operation work there.

    Answers what was done to the disk. The operation must end well; ``disk`` stays as it was.
    """
    _require_device()
    log = folder.with_name(f"{folder.name}.events")
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            _serve(disk, folder, operation)
            log.write_bytes(pickle.dumps(disk.events))
            code = 0
        except BaseException:  # noqa: BLE001  (a forked child must not go back into pytest)
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(code)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status == 0, f"the operation ended with {status}"
    found: list[Event] = pickle.loads(log.read_bytes())
    log.unlink()
    return found


def _require_device() -> None:
    if os.path.lexists(_DEVICE):
        return
    try:  # root in a container whose /dev has been left without it: its number is fixed
        os.mknod(_DEVICE, stat.S_IFCHR | 0o666, os.makedev(10, 229))
    except OSError as error:
        raise AssertionError(f"these tests need {_DEVICE}: load the kernel's module “fuse” ({error})") from error


def _serve(disk: Disk, folder: Path, operation: Callable[[], object]) -> None:
    """In the child; the operation is in one of its own, whose end is the end."""
    device = _mount(folder)
    server = _Server(device, disk)
    worker = os.fork()
    if worker == 0:
        code = 1
        try:
            os.close(device)
            os.chdir("/")
            operation()
            code = 0
        except BaseException:  # noqa: BLE001
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(code)
    ended = os.pidfd_open(worker)
    while True:
        ready, _, _ = select.select([device, ended], [], [])
        if device in ready:
            server.answer()
        elif ended in ready:
            break
    status = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
    assert status == 0, f"the operation ended with {status}"


def _mount(folder: Path) -> int:
    """In new namespaces of this process, which has one thread; answers the kernel's end, which is opened in them."""
    libc = ctypes.CDLL(None, use_errno=True)

    def require(found: int) -> None:
        if found != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    user, group = os.geteuid(), os.getegid()
    require(libc.unshare(_CLONE_NEWNS if user == 0 else _CLONE_NEWNS | _CLONE_NEWUSER))
    if user != 0:
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
            Path(f"/proc/self/{name}").write_text(text, encoding="ascii")
    require(libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None))
    device = os.open(_DEVICE, os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other"
    where = os.fsencode(folder)
    require(libc.mount(b"power", where, b"fuse.power", _MS_NOSUID | _MS_NODEV, options.encode()))
    return device


@dataclass(frozen=True, slots=True)
class _Request:
    code: int
    node: int
    body: memoryview

    def fields(self, form: str) -> tuple[int, ...]:
        found: tuple[int, ...] = struct.unpack_from(f"<{form}", self.body)
        return found

    def names(self, after: int) -> list[str]:
        """Text from a byte on, each ended by a zero."""
        return [os.fsdecode(each) for each in bytes(self.body[after:]).split(b"\0")[:-1]]


class _Server:
    """Answers one request of the kernel's after the other."""

    def __init__(self, device: int, disk: Disk) -> None:
        self._device, self._disk = device, disk
        self._handlers: dict[int, Callable[[_Request], bytes]] = {
            1: self._look_up,
            3: self._get_attributes,
            4: self._set_attributes,
            5: lambda request: self._disk.nodes[request.node].target,
            6: self._make_link,
            8: self._make_node,
            9: self._make_folder,
            10: self._remove,
            11: self._remove_folder,
            12: self._rename,
            13: self._link,
            14: lambda _request: struct.pack("<QII", 0, 0, 0),
            15: self._read,
            16: self._write,
            17: lambda _request: struct.pack("<QQQQQIIII24x", _ROOM, _ROOM, _ROOM, _ROOM, _ROOM, 4096, 255, 4096, 0),
            18: lambda _request: b"",
            20: self._sync,
            26: self._begin,
            27: lambda _request: struct.pack("<QII", 0, 0, 0),
            28: self._list,
            29: lambda _request: b"",
            30: self._sync,
            35: self._create,
            38: lambda _request: b"",
            45: self._rename_with_flags,
        }

    def answer(self) -> None:
        """One request. FORGET (2, 42) and INTERRUPT (36) have no answer; what is not known is told to be so."""
        raw = memoryview(os.read(self._device, _MAX_WRITE + 4096))
        _, code, unique, node = struct.unpack_from("<IIQQ", raw)
        if code in (2, 36, 42):
            return
        handler = self._handlers.get(code)
        try:
            if handler is None:
                raise OSError(errno.ENOSYS, f"request {code}")
            body, failure = handler(_Request(code, node, raw[40:])), 0
        except OSError as error:
            body, failure = b"", error.errno or errno.EIO
        with contextlib.suppress(FileNotFoundError):  # whoever asked has ended
            os.write(self._device, struct.pack("<IiQ", 16 + len(body), -failure, unique) + body)

    def _begin(self, _request: _Request) -> bytes:
        flags = _MAX_PAGES | _BIG_WRITES
        return struct.pack("<IIIIHHIIHH32x", 7, 31, 0, flags, 0, 0, _MAX_WRITE, 1, _MAX_WRITE // 4096, 0)

    # --- attributes -----------------------------------------------------------------------------------

    def _attributes(self, number: int) -> bytes:
        node = self._disk.nodes[number]
        size = len(node.target) if stat.S_ISLNK(node.mode) else len(node.data)
        links = sum(list(each.names.values()).count(number) for each in self._disk.nodes.values())
        now = int(time.time())
        words = (node.mode, max(links, 1), 0, 0, 0, 4096, 0)
        return struct.pack("<QQQQQQIIIIIIIIII", number, size, -(-size // 512), now, now, now, 0, 0, 0, *words)

    def _entry(self, number: int) -> bytes:
        return struct.pack("<QQQQII", number, 0, 0, 0, 0, 0) + self._attributes(number)

    def _named(self, folder: int, name: str) -> int:
        number = self._disk.nodes[folder].names.get(name)
        if number is None:
            raise OSError(errno.ENOENT, name)
        return number

    def _look_up(self, request: _Request) -> bytes:
        return self._entry(self._named(request.node, request.names(0)[0]))

    def _get_attributes(self, request: _Request) -> bytes:
        return struct.pack("<QII", 0, 0, 0) + self._attributes(request.node)

    def _set_attributes(self, request: _Request) -> bytes:
        valid, _, _, size, _, _, _, _, _, _, _, mode = request.fields("IIQQQQQQIIII")
        node = self._disk.nodes[request.node]
        if valid & _SET_SIZE and size != len(node.data):
            self._disk.apply(Resize(request.node, size))
        if valid & _SET_MODE:
            self._disk.apply(Chmod(request.node, stat.S_IFMT(node.mode) | stat.S_IMODE(mode)))
        return self._get_attributes(request)

    # --- names ----------------------------------------------------------------------------------------

    def _make(self, folder: int, name: str, mode: int, target: bytes = b"") -> bytes:
        if name in self._disk.nodes[folder].names:
            raise OSError(errno.EEXIST, name)
        number = self._disk.new_number()
        self._disk.apply(Make(number, mode, target))
        self._disk.apply(Names(((folder, name, number),)))
        return self._entry(number)

    def _make_node(self, request: _Request) -> bytes:
        mode, _, mask, _ = request.fields("IIII")
        return self._make(request.node, request.names(16)[0], mode & ~mask)

    def _make_folder(self, request: _Request) -> bytes:
        mode, mask = request.fields("II")
        return self._make(request.node, request.names(8)[0], stat.S_IFDIR | (mode & ~mask))

    def _make_link(self, request: _Request) -> bytes:
        name, target = request.names(0)
        return self._make(request.node, name, stat.S_IFLNK | 0o777, os.fsencode(target))

    def _create(self, request: _Request) -> bytes:
        _, mode, mask, _ = request.fields("IIII")
        return self._make(request.node, request.names(16)[0], mode & ~mask) + struct.pack("<QII", 0, 0, 0)

    def _remove(self, request: _Request) -> bytes:
        name = request.names(0)[0]
        self._named(request.node, name)
        self._disk.apply(Names(((request.node, name, 0),)))
        return b""

    def _remove_folder(self, request: _Request) -> bytes:
        if self._disk.nodes[self._named(request.node, request.names(0)[0])].names:
            raise OSError(errno.ENOTEMPTY, "")
        return self._remove(request)

    def _link(self, request: _Request) -> bytes:
        (number,), name = request.fields("Q"), request.names(8)[0]
        if name in self._disk.nodes[request.node].names:
            raise OSError(errno.EEXIST, name)
        self._disk.apply(Names(((request.node, name, number),)))
        return self._entry(number)

    def _rename(self, request: _Request) -> bytes:
        (folder,) = request.fields("Q")
        return self._move(request.node, folder, *request.names(8))

    def _rename_with_flags(self, request: _Request) -> bytes:
        folder, flags, _ = request.fields("QII")
        source, target = request.names(16)
        if flags & ~_REPLACE_NOT:
            raise OSError(errno.EINVAL, "")
        if flags and target in self._disk.nodes[folder].names:
            raise OSError(errno.EEXIST, target)
        return self._move(request.node, folder, source, target)

    def _move(self, source_folder: int, folder: int, source: str, target: str) -> bytes:
        number = self._named(source_folder, source)
        there = self._disk.nodes[folder].names.get(target)
        if there == number:
            return b""
        if there is not None and self._disk.nodes[there].names:
            raise OSError(errno.ENOTEMPTY, target)
        self._disk.apply(Names(((folder, target, number), (source_folder, source, 0))))
        return b""

    def _list(self, request: _Request) -> bytes:
        _, offset, size = request.fields("QQI")
        found = b""
        for number, (name, node) in enumerate(self._disk.nodes[request.node].names.items()):
            if number < offset:
                continue
            raw = os.fsencode(name)
            kind = stat.S_IFMT(self._disk.nodes[node].mode) >> 12
            entry = struct.pack("<QQII", node, number + 1, len(raw), kind) + raw
            entry += bytes(-len(entry) % 8)
            if len(found) + len(entry) > size:
                break
            found += entry
        return found

    # --- contents -------------------------------------------------------------------------------------

    def _file(self, request: _Request) -> Node:
        return self._disk.nodes[request.node]

    def _read(self, request: _Request) -> bytes:
        _, offset, size = request.fields("QQI")
        return bytes(self._file(request).data[offset : offset + size])

    def _write(self, request: _Request) -> bytes:
        _, offset, size = request.fields("QQI")
        self._disk.apply(Write(request.node, offset, bytes(request.body[40 : 40 + size])))
        return struct.pack("<II", size, 0)

    def _sync(self, request: _Request) -> bytes:
        self._disk.apply(Sync(request.node))
        return b""


assert ROOT == 1  # FUSE_ROOT_ID
