"""The QEMU of a VM of this computer, as Linux sees it: how much it has read, written, and holds. See proc(5)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_MAX_BYTES = 1 << 20
_RESIDENT = re.compile(rb"^(?:RssAnon|RssShmem|HugetlbPages):\s+(\d{1,15}) kB$", re.MULTILINE)
_COUNTER = re.compile(rb"^(rchar|wchar): (\d{1,19})$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes since the process began, as it asked for them: caches are in between."""

    read: int
    written: int


@dataclass(frozen=True, slots=True)
class QemuProcess:
    """One process. What is asked of one that has ended, or that belongs to somebody else, is None."""

    pid: int
    proc: Path = _PROC

    @classmethod
    def find(cls, uuid: str, proc: Path = _PROC) -> QemuProcess | None:
        """The one that libvirt started for the VM; None: there is none, or it cannot be seen."""
        wanted = b"\0-uuid\0" + uuid.encode("ascii") + b"\0"
        try:
            pids = [entry.name for entry in proc.iterdir() if entry.name.isdecimal()]
        except OSError:
            return None
        for pid in pids:
            if wanted in _read(proc / pid / "cmdline"):
                return cls(int(pid), proc)
        return None

    def traffic(self) -> Traffic | None:
        """Only its owner, and root, are told."""
        found = {name: int(value) for name, value in _COUNTER.findall(_read(self._folder / "io"))}
        return Traffic(found[b"rchar"], found[b"wchar"]) if len(found) == 2 else None

    def resident_bytes(self) -> int | None:
        """Memory that is there: the guest's, as far as it was ever used, and some of QEMU's own."""
        sizes = _RESIDENT.findall(_read(self._folder / "status"))
        return 1024 * sum(int(size) for size in sizes) if sizes else None

    @property
    def _folder(self) -> Path:
        return self.proc / str(self.pid)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(_MAX_BYTES)
    except OSError:
        return b""
