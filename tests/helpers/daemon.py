"""A libvirtd of one test's own, as an ordinary user has it: private directories, no system-wide effect."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

_DEADLINE_S = 20.0
_POLL_S = 0.02
_CAPABILITIES = Path(__file__).parents[2] / "build" / "cache" / "qemu-capabilities"


def share_capabilities(directory: Path) -> None:
    """Let ``directory`` (libvirt's ``…/qemu/capabilities``) be one that all tests share.

    To probe QEMU costs seconds; libvirt itself sees to it that what it finds there fits the QEMU at hand.
    """
    _CAPABILITIES.mkdir(parents=True, exist_ok=True)
    directory.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    directory.symlink_to(_CAPABILITIES)


def wait_until(condition: Callable[[], bool], what: str, deadline_s: float = _DEADLINE_S) -> None:
    """Ask ``condition`` again and again for a state that nobody announces; AssertionError after the deadline."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, f"timed out waiting for {what}"
        time.sleep(_POLL_S)


def process_is_gone(pid: int) -> bool:
    """True when there is no such process, or only its exit status is left."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(")")[2].split()[0] in ("Z", "X")


class SessionDaemon:
    """``libvirtd`` for the session of a pretended user.

    Root runs it in a user namespace, where libvirt takes it for an ordinary user. Its directories have short names
    directly below /tmp: the path of a socket holds 107 bytes.
    """

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="gv-", dir="/tmp"))
        self._runtime = self.root / "r"
        self.log = self.root / "libvirtd.log"
        for path in (self._runtime, *(self.root / name for name in ("c", "k", "d", "s", "h"))):
            path.mkdir(mode=0o700)
        config = self.root / "c" / "libvirt"
        config.mkdir(mode=0o700)
        # "logd" would leave a virtlogd behind.
        (config / "qemu.conf").write_text('stdio_handler = "file"\n', encoding="ascii")
        share_capabilities(self.root / "k" / "libvirt" / "qemu" / "cache" / "capabilities")
        self.socket = self._runtime / "libvirt" / "libvirt-sock"
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    # --- addresses ------------------------------------------------------------------------------------

    @property
    def uri(self) -> str:
        """From outside the namespace too, as the test's own process is."""
        return f"qemu+unix:///session?socket={self.socket}"

    @property
    def env(self) -> dict[str, str]:
        """Environment of child processes: with it, and :meth:`wrap`, ``qemu:///session`` is this daemon."""
        return os.environ | {
            "HOME": str(self.root / "h"),
            "XDG_RUNTIME_DIR": str(self._runtime),
            "XDG_CONFIG_HOME": str(self.root / "c"),
            "XDG_CACHE_HOME": str(self.root / "k"),
            "XDG_DATA_HOME": str(self.root / "d"),
            "XDG_STATE_HOME": str(self.root / "s"),
            "LIBVIRT_AUTOSTART": "0",
        }

    @staticmethod
    def wrap(argv: Sequence[str]) -> list[str]:
        """The command as the pretended user runs it."""
        if os.geteuid() != 0:
            return list(argv)
        return ["unshare", "--user", "--map-user=65534", "--map-group=65534", "--", *argv]

    @property
    def pid(self) -> int:
        assert self._process is not None, "the daemon does not run"
        return self._process.pid

    # --- life -----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        assert self._process is None
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                # However the test's process ends, the daemon ends with it (with the thread that made it, to be exact).
                self.wrap(["setpriv", "--pdeathsig", "KILL", "libvirtd", "--timeout", "120"]),
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until(self._answers, f"libvirtd's socket {self.socket}")

    def kill(self) -> None:
        """SIGKILL; guests go on running."""
        self._end(signal.SIGKILL)

    def stop_signal(self) -> None:
        """SIGSTOP: it hangs from now on."""
        os.kill(self.pid, signal.SIGSTOP)
        wait_until(lambda: _state(self.pid) == "T", "libvirtd to stop")

    def continue_signal(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def restart(self) -> None:
        """Start again, after :meth:`kill` or in place of the one that runs."""
        if self._process is not None:
            self._end(signal.SIGTERM)
        self.start()

    def close(self) -> None:
        """End the daemon and its guests; remove every trace."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.continue_signal()
            self._end(signal.SIGTERM)
        for pid in self.guest_pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            wait_until(lambda pid=pid: process_is_gone(pid), f"guest {pid} to end")  # type: ignore[misc]
        shutil.rmtree(self.root)

    def guest_pids(self) -> list[int]:
        """Processes of guests, and of their helpers, that run now."""
        found: list[int] = []
        for path in (self._runtime / "libvirt" / "qemu" / "run").rglob("*.pid"):
            with contextlib.suppress(OSError, ValueError):
                pid = int(path.read_text(encoding="ascii"))
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
                if b"qemu" in command or b"swtpm" in command:  # the number may belong to another by now
                    found.append(pid)
        return found

    def __enter__(self) -> SessionDaemon:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _end(self, with_signal: signal.Signals) -> None:
        assert self._process is not None
        process, self._process = self._process, None
        process.send_signal(with_signal)
        try:
            process.wait(_DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_DEADLINE_S)

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"libvirtd ended: {self.log.read_text(encoding='utf-8', errors='replace')[-2000:]}")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            try:
                sock.connect(str(self.socket))
            except OSError:
                return False
            return True


def _state(pid: int) -> str:
    """One letter of /proc/PID/stat."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
