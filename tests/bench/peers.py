"""The peers of a benchmark, and the tools that watch them, come from Debian's packages."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

from tests.bench.report import BenchError


def missing_packages(packages: Sequence[str]) -> list[str]:
    """Those of ``packages`` that are not installed."""
    found = subprocess.run(
        ["dpkg-query", "-W", "-f=${Package} ${db:Status-Status}\\n", *packages],
        capture_output=True,
        text=True,
        check=False,  # 1 when one of them is unknown to dpkg; the others are listed all the same
    )
    installed = {line.split()[0] for line in found.stdout.splitlines() if line.endswith(" installed")}
    return [package for package in packages if package not in installed]


def ensure_packages(packages: Sequence[str]) -> None:
    """Install what is missing with apt-get, through sudo for an ordinary user; BenchError when that is impossible."""
    if shutil.which("dpkg-query") is None or shutil.which("apt-get") is None:
        raise BenchError(f"The peers come from Debian's packages; install by hand what gives: {' '.join(packages)}.")
    missing = missing_packages(packages)
    if not missing:
        return
    prefix: list[str] = []
    if os.geteuid() != 0:
        if shutil.which("sudo") is None:
            raise BenchError(f"Missing packages and no sudo. As root: apt-get install {' '.join(missing)}")
        prefix = ["sudo"]
    print(f"Installing for the benchmark: {' '.join(missing)}", flush=True)
    install = [*prefix, "apt-get", "install", "-y", "--no-install-recommends", *missing]
    if not _quiet(install) and not (_quiet([*prefix, "apt-get", "update"]) and _quiet(install)):
        raise BenchError(
            f"apt-get could not install: {' '.join(missing)}. Run it by hand to see why: {' '.join(install)}"
        )


def package_version(package: str) -> str:
    """Version of an installed package, or "not installed"."""
    found = subprocess.run(["dpkg-query", "-W", "-f=${Version}", package], capture_output=True, text=True, check=False)
    return found.stdout.strip() or "not installed"


def _quiet(argv: Sequence[str]) -> bool:
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    return subprocess.run(argv, env=env, stdout=subprocess.DEVNULL, check=False).returncode == 0
