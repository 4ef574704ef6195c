"""Packages out of the computer's own apt set-up, for any user, and the child processes that takes.

Nothing is installed; apt has checked the signatures of what it downloads. No Qt, no libvirt.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from guivm.errors import CancelledError, OperationError, UnsupportedError

Progress = Callable[[str, int, int], None]
"""Called with the step in words, what is done and the total; bytes while downloading, else steps."""
Cancelled = Callable[[], bool]

_KERNELS = ("linux-image-amd64", "linux-image-virtual")  # Debian, Ubuntu


class Steps:
    """Progress, cancellation and child processes of one build."""

    def __init__(self, progress: Progress | None, cancelled: Cancelled | None) -> None:
        self._progress = progress
        self._cancelled = cancelled

    def say(self, step: str, done: int, total: int) -> None:
        if self._progress is not None:
            self._progress(step, done, total)

    def check(self) -> None:
        if self._cancelled is not None and self._cancelled():
            raise CancelledError("Building the sample guest was cancelled.")

    def run(
        self,
        command: Sequence[str],
        problem: str,
        *,
        advice: str = "",
        directory: Path | None = None,
        every: Callable[[], None] | None = None,
    ) -> str:
        """Run a program to its end and return its output. Ends it when the person cancels."""
        self.check()
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            code = self._wait(command, directory, output, errors, every)
            output.seek(0)
            errors.seek(0)
            if code != 0:
                words = errors.read(16_384).decode(errors="replace")
                raise OperationError(problem, advice=advice, details=f"{command[0]}: exit code {code}\n{words}")
            return output.read().decode(errors="replace")

    def _wait(
        self,
        command: Sequence[str],
        directory: Path | None,
        output: IO[bytes],
        errors: IO[bytes],
        every: Callable[[], None] | None,
    ) -> int:
        try:
            process = subprocess.Popen(
                command,
                cwd=directory,
                env={**os.environ, "LC_ALL": "C.UTF-8", "LANGUAGE": "C"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
            )
        except FileNotFoundError as error:
            raise UnsupportedError(
                f"The program {command[0]} is needed for the sample guest.",
                advice=f"Install it (sudo apt-get install {command[0]}).",
            ) from error
        try:
            while True:
                try:
                    return process.wait(timeout=0.1)
                except subprocess.TimeoutExpired:
                    self.check()
                    if every is not None:
                        every()
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()


# --- apt --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Packages:
    """Downloaded package files: the kernel's, and all others."""

    kernel: tuple[Path, ...]
    others: tuple[Path, ...]


class Apt:
    """Downloads packages with the computer's own apt set-up, as any user; its own lists where those are old."""

    def __init__(self, directory: Path, steps: Steps) -> None:
        self._directory = directory
        self._steps = steps
        self._options: list[str] = ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
        directory.mkdir(mode=0o755)

    def download(self) -> Packages:
        """Bring the sample guest's packages into the directory; UnsupportedError or OperationError when apt cannot."""
        architecture = self._steps.run(["dpkg", "--print-architecture"], "dpkg does not answer.").strip()
        if architecture != "amd64":
            raise UnsupportedError(
                f"The sample guest is made for PCs (amd64); this computer is {architecture}.",
                advice="Create a VM from an ISO or a disk image instead.",
            )
        try:
            return self._download()
        except (OperationError, UnsupportedError):
            self._steps.check()
            self._refresh()
            return self._download()

    def _download(self) -> Packages:
        self._steps.say("Looking up Debian's packages", 0, 0)
        kernels = self._kernel_packages()
        others = ["busybox-static", *self._closure("qemu-guest-agent")]
        names = [*kernels, *others]
        uris = self._steps.run(
            ["apt-get", *self._options, "download", "--print-uris", *names],
            "Debian's packages for the sample guest were not found.",
        )
        files = re.findall(r"^'[^']*' (\S+) (\d+)", uris, re.MULTILINE)
        total = sum(int(size) for _, size in files)

        def fetched() -> None:
            done = 0
            for path in self._files():
                with suppress(FileNotFoundError):  # renamed by apt in between
                    done += path.stat().st_size
            self._steps.say("Downloading Debian's packages", min(done, total), total)

        self._steps.run(
            ["apt-get", *self._options, "-q", "download", *names],
            "Debian's packages for the sample guest could not be downloaded.",
            advice="Check the network connection, then try again.",
            directory=self._directory,
            every=fetched,
        )
        debs = [path for path in self._files() if path.suffix == ".deb"]
        chosen = tuple(path for path in debs if path.name.split("_")[0] in kernels)
        return Packages(chosen, tuple(path for path in debs if path not in chosen))

    def _files(self) -> list[Path]:
        return sorted(path for path in self._directory.rglob("*") if path.is_file())

    def _kernel_packages(self) -> list[str]:
        """The real packages behind the kernel's: Ubuntu has the modules in one of their own."""
        for meta in _KERNELS:
            depends = self._depends(meta)
            images = [name for name in depends if re.match(r"linux-image-(unsigned-)?\d", name)]
            if images:
                more = [name for image in images for name in self._depends(image) if name.startswith("linux-modules-")]
                return [*images, *more]
        raise UnsupportedError(
            "apt on this computer knows no Linux kernel package.",
            advice="Check that Debian's or Ubuntu's archive is among its sources (sudo apt-get update).",
        )

    def _depends(self, package: str) -> list[str]:
        output = self._cache("depends", "--no-recommends", "--no-suggests", "--important", package)
        return re.findall(r"^ +\|?(?:Pre)?Depends: ([a-z0-9][a-z0-9.+-]*)$", output, re.MULTILINE)

    def _closure(self, package: str) -> list[str]:
        """``package`` and the libraries it needs, theirs included."""
        output = self._cache("depends", "--recurse", "--important", package)
        names = re.findall(r"^([a-z0-9][a-z0-9.+-]*)$", output, re.MULTILINE)
        return sorted({name for name in names if name == package or re.match(r"lib|zlib1g$", name)})

    def _cache(self, *words: str) -> str:
        try:
            return self._steps.run(["apt-cache", *self._options, *words], "apt does not know a package.")
        except OperationError:
            return ""

    def _refresh(self) -> None:
        """Bring package lists of our own: the computer's are missing, or so old that the archive moved on."""
        for name in ("lists/partial", "cache"):
            (self._directory / "apt" / name).mkdir(parents=True, exist_ok=True)
        self._options += [
            "-o",
            f"Dir::State::Lists={self._directory}/apt/lists",
            "-o",
            f"Dir::Cache={self._directory}/apt/cache",
        ]
        self._steps.say("Bringing Debian's list of packages", 0, 0)
        self._steps.run(
            ["apt-get", *self._options, "-q", "update"],
            "Debian's list of packages could not be downloaded.",
            advice="Check the network connection, then try again.",
        )
