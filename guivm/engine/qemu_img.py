"""Running ``qemu-img``: shortly and under limits, or for long with progress and cancel. Worker only.

Always an argument list, never a shell; paths are absolute and come after ``--``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence

from guivm.errors import CancelledError, ImageError, InUseError, NoSpaceError, OperationError, UnsupportedError

_MEMORY_BYTES = 1 << 30
_CPU_S = 30
_TIMEOUT_S = 60.0
_CHECK_TIMEOUT_S = 600.0
_MAX_WORDS = 4096
_PERCENT = re.compile(rb"\((\d{1,3}(?:\.\d+)?)/100%\)")
_IN_USE = re.compile(r"failed to get .{0,40}lock\b|is another process using", re.IGNORECASE)


def _require_installed(*programs: str) -> None:
    if any(shutil.which(program) is None for program in programs):
        raise UnsupportedError(
            "The program “qemu-img” is not installed.", advice="Install the package “qemu-utils” (or “qemu-img”)."
        )


def _environment() -> Mapping[str, str]:
    return {**os.environ, "LC_ALL": "C.UTF-8"}


def words(raw: bytes) -> str:
    """What the program said, for the details of an error."""
    return raw[-_MAX_WORDS:].decode("utf-8", "replace")


def look(
    arguments: Sequence[str], *, timeout_s: float = _TIMEOUT_S, cpu_s: int = _CPU_S
) -> subprocess.CompletedProcess[bytes]:
    """Run a short command under limits on memory and CPU: files may be hostile.

    Raises UnsupportedError when it is not installed, ImageError when it takes too long.
    """
    _require_installed("qemu-img", "prlimit")
    limits = (f"--as={_MEMORY_BYTES}", f"--cpu={cpu_s}", "--core=0")
    try:
        return subprocess.run(
            ["prlimit", *limits, "--", "qemu-img", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
            umask=0o077,
            env=_environment(),
        )
    except subprocess.TimeoutExpired as error:
        raise ImageError("Looking at the disk image took too long.", details=str(error)) from error
    except OSError as error:
        raise OperationError("The program “qemu-img” could not be started.", details=str(error)) from error


def work(
    arguments: Sequence[str],
    failed: str,
    *,
    report: Callable[[float], None] | None = None,
    on_cancel: Callable[[Callable[[], None] | None], None] | None = None,
) -> None:
    """Run a command for as long as it takes; its images are ours or were looked at before.

    ``report`` is told the share done, 0 to 1, where the command has ``-p``. ``on_cancel`` is given what ends the
    command at once (from any thread) while it runs, then None.

    Raises NoSpaceError, InUseError or OperationError with the sentence ``failed``, CancelledError when it was ended.
    """
    _require_installed("qemu-img")
    # However this process ends, the tool ends with it: a later run must not meet it at work on the same image.
    guard = ("setpriv", "--pdeathsig", "KILL", "--") if shutil.which("setpriv") else ()
    with tempfile.TemporaryFile() as said:
        try:
            process = subprocess.Popen(
                [*guard, "qemu-img", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=said,
                umask=0o077,
                env=_environment(),
            )
        except OSError as error:
            raise OperationError("The program “qemu-img” could not be started.", details=str(error)) from error
        ended = _run(process, report, on_cancel)
        if process.returncode == 0:
            return
        if ended:
            raise CancelledError("Cancelled.")
        said.seek(max(0, said.seek(0, os.SEEK_END) - _MAX_WORDS))
        raise failure(words(said.read()) or f"exit status {process.returncode}", failed)


def _run(
    process: subprocess.Popen[bytes],
    report: Callable[[float], None] | None,
    on_cancel: Callable[[Callable[[], None] | None], None] | None,
) -> bool:
    """Until it has ended. Answers whether that was wished."""
    ended = False

    def end() -> None:
        nonlocal ended
        ended = True
        process.terminate()

    with process:
        try:
            if on_cancel is not None:
                on_cancel(end)
            _follow(process, report)
            process.wait()
        except BaseException:
            process.kill()
            raise
        finally:
            if on_cancel is not None:
                on_cancel(None)
    return ended


def _follow(process: subprocess.Popen[bytes], report: Callable[[float], None] | None) -> None:
    """Read the progress until the end of the output."""
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    while piece := os.read(descriptor, 4096):
        found = _PERCENT.findall(piece)
        if found and report is not None:
            report(min(float(found[-1]) / 100, 1.0))


def repair_leaks(path: str, form: str) -> None:
    """Give back what a killed ``qemu-img`` has taken in an image and not used. An image in use is left as it is.

    Raises ImageError when something worse is wrong with it.
    """
    if form != "qcow2" or not os.path.lexists(path):
        return
    done = _check(path, form)
    if done.returncode == 3:
        done = _check(path, form, "-r", "leaks")
    if done.returncode == 2:  # the others: 0 sound, 1 not looked at, 3 leaks are left; they do no harm
        raise ImageError(f"“{path}” is damaged.", details=words(done.stdout + done.stderr))


def _check(path: str, form: str, *more: str) -> subprocess.CompletedProcess[bytes]:
    arguments = ("check", "-q", *more, "-f", form, "--", path)
    return look(arguments, timeout_s=_CHECK_TIMEOUT_S, cpu_s=int(_CHECK_TIMEOUT_S))


def is_in_use(path: str, form: str) -> bool:
    """Whether another program has the image open to write to it."""
    done = look(("info", "--output=json", "-f", form, "--", path))
    return done.returncode != 0 and _IN_USE.search(words(done.stderr)) is not None


def failure(said: str, failed: str) -> NoSpaceError | InUseError | OperationError:
    """The program's words as an error of ours."""
    low = said.lower()
    if "no space left" in low or "quota exceeded" in low:
        return NoSpaceError(
            failed, advice="There is no space left on the disk: free some, then try again.", details=said
        )
    if _IN_USE.search(said):
        return InUseError(failed, advice="An image is in use by another program or VM: stop that first.", details=said)
    if "permission denied" in low:
        return OperationError(failed, advice="You may not write one of the files.", details=said)
    return OperationError(failed, details=said)
