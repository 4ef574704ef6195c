"""The systemd user timers that carry snapshot policies: files in ``~/.config/systemd/user``. No libvirt. May block."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

from guivm.engine.files import fsync_directory, make_private_folder
from guivm.engine.snapshots.policy import Caller, Units, old_unit_name, read_timer, unit_name
from guivm.engine.snapshots.values import SnapshotPolicy
from guivm.engine.types import VmKey
from guivm.errors import GuivmError, OperationError, UnsupportedError

_log = logging.getLogger(__name__)

_TIMEOUT_S = 30
_MAX_BYTES = 65_536
_WANTS = "timers.target.wants"
_VARIABLES = ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME")


def folder() -> Path:
    """Where systemd looks for a person's own units; perhaps not there."""
    import platformdirs

    return Path(platformdirs.user_config_dir()) / "systemd" / "user"


def paths(key: VmKey) -> tuple[Path, Path]:
    """Of the service and the timer."""
    return folder() / unit_name(key, "service"), folder() / unit_name(key, "timer")


def old_paths(key: VmKey) -> tuple[Path, ...]:
    """Units of this VM that bear a name without its host; they count until :func:`install` replaces them."""
    files = _old(key)
    with contextlib.suppress(OSError, ValueError):
        if _read(files[1], key) is not None:
            return tuple(path for path in files if os.path.lexists(path))
    return ()


def caller() -> Caller:
    """How this very program can be started by others."""
    environment = {name: os.environ[name] for name in _VARIABLES if os.environ.get(name, "").startswith("/")}
    program = Path(sys.argv[0]).absolute()
    if program.name == "guivm" and os.access(program, os.X_OK) and program.is_file():
        return Caller((os.fspath(program),), tuple(environment.items()))
    import guivm

    home = Path(guivm.__file__).parent.parent
    if home != Path(sysconfig.get_path("purelib")):
        environment["PYTHONPATH"] = os.fspath(home)  # run from a checkout
    return Caller((sys.executable, "-m", "guivm"), tuple(environment.items()))


def load(key: VmKey) -> SnapshotPolicy | None:
    """The VM's policy; None: it has none, or the timer was disabled by hand. Raises OperationError."""
    for _, timer in (paths(key), _old(key)):
        try:
            found = _read(timer, key) if os.path.lexists(_link(timer)) else None
        except (OSError, ValueError) as error:
            raise OperationError(
                "The timer that takes its snapshots cannot be understood.",
                advice=f"Look at “{timer}”, or end the policy.",
                details=str(error),
            ) from error
        if found is not None:
            return found
    return None


def why_not_here() -> str:
    """Why there can be no timers, or empty."""
    with contextlib.suppress(GuivmError):
        if _systemctl("show", "--property=Version").startswith("Version="):  # in a chroot it does and says nothing
            return ""
    return "There is no systemd of your own here that could call guivm."


def install(key: VmKey, units: Units) -> None:
    """Write the units and start the timer. Raises GuivmError; then all is as before."""
    why = why_not_here()
    if why:
        raise UnsupportedError(why, advice="Log in to a session that systemd manages.")
    service, timer = paths(key)
    try:
        make_private_folder(folder())
        before = {path: _present(path) for path in (service, timer)}
        was_enabled = os.path.lexists(_link(timer))
        try:
            _write(service, units.service.encode())
            _write(timer, units.timer.encode())
            _systemctl("daemon-reload")
            _systemctl("enable", timer.name)
            _systemctl("start", timer.name)
        except (OSError, GuivmError):
            _put_back(before, timer, was_enabled=was_enabled)
            raise
    except OSError as error:
        raise OperationError("The timer could not be written.", details=str(error)) from error
    if old_paths(key):
        try:
            _remove(_old(key), key)
        except GuivmError as error:  # it would only ask again what the new one asks
            _log.warning("the old timer of %s could not be removed: %s %s", key.uuid, error, error.details)


def remove(key: VmKey) -> None:
    """Stop the timer and remove the units; where no systemd runs, the files alone. Raises GuivmError.

    What systemd has begun by it goes on. A timer for another host's VM of the same UUID stays.
    """
    for units in (paths(key), _old(key)):
        _remove(units, key)


def _remove(units: tuple[Path, Path], key: VmKey) -> None:
    """Raises GuivmError."""
    service, timer = units
    files = (_link(timer), timer, service)
    if not any(os.path.lexists(path) for path in files):
        return
    with contextlib.suppress(OSError, ValueError):  # one that is not understood goes
        if timer.exists() and _read(timer, key) is None:
            return
    runs = not why_not_here()
    if runs:
        _stop(timer)
    try:
        for path in files:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise OperationError("The timer could not be removed.", details=str(error)) from error
    if runs:
        _systemctl("daemon-reload")


def drop(key: VmKey) -> None:
    """With a VM that is gone for good. Nobody waits for it: a failure is only logged."""
    try:
        for units in (paths(key), _old(key)):
            if os.path.lexists(units[1]) and _read(units[1], key) is not None:
                _remove(units, key)
    except (OSError, ValueError) as error:
        _log.warning("the timer of %s is not understood and stays: %s", key.uuid, error)
    except GuivmError as error:
        _log.warning("the timer of %s could not be removed: %s %s", key.uuid, error, error.details)


def _old(key: VmKey) -> tuple[Path, Path]:
    return folder() / old_unit_name(key.uuid, "service"), folder() / old_unit_name(key.uuid, "timer")


def _link(timer: Path) -> Path:
    """What systemd makes of ``WantedBy=`` when a timer is enabled."""
    return timer.parent / _WANTS / timer.name


def _read(timer: Path, key: VmKey) -> SnapshotPolicy | None:
    """None: there is none, or it is for the VM of another host. Raises OSError, ValueError."""
    try:
        with timer.open("rb") as stream:
            text = stream.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    if len(text) > _MAX_BYTES:
        raise ValueError("it is too long")
    found, policy = read_timer(text.decode("utf-8"))
    return policy if found == key else None


def _present(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _put_back(before: dict[Path, bytes | None], timer: Path, *, was_enabled: bool) -> None:
    """Each of it, whatever of the rest fails."""
    if not was_enabled:
        _stop(timer)
        with contextlib.suppress(OSError):
            _link(timer).unlink(missing_ok=True)
    for path, data in before.items():
        with contextlib.suppress(OSError):
            if data is None:
                path.unlink(missing_ok=True)
            else:
                _write(path, data)
    with contextlib.suppress(GuivmError):
        _systemctl("daemon-reload")


def _stop(timer: Path) -> None:
    """A timer that cannot be loaded does not run: nothing to be told."""
    with contextlib.suppress(GuivmError):
        _systemctl("stop", timer.name)


def _write(path: Path, data: bytes) -> None:
    """Replace a unit. Raises OSError; then the old one is there."""
    part = path.with_name(path.name + ".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    fsync_directory(path.parent)


def _systemctl(*arguments: str) -> str:
    """What it prints. Raises OperationError with its words."""
    failed = "systemd did not accept the timer."
    try:
        done = subprocess.run(
            ("systemctl", "--user", "--no-ask-password", *arguments),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={**os.environ, "LC_ALL": "C"},
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise OperationError(failed, details=str(error)) from error
    if done.returncode != 0:
        raise OperationError(failed, details=done.stderr.decode("utf-8", "replace"))
    return done.stdout.decode("utf-8", "replace")
