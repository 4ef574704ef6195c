"""Tiny guests for the tests, built into ``build/guests`` of the checkout: a boot sector and the sample guest.

``python -m tests.helpers.guests`` builds all of them. Nothing here starts a guest.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from guivm.engine.sample_guest import SampleGuest, build_sample_guest
from guivm.engine.sample_guest import main as sample_guest_main

_CHECKOUT = Path(__file__).parents[2]
_SOURCE = Path(__file__).parent / "guests" / "bootsector.S"

CACHE = _CHECKOUT / "build" / "guests"
"""Where the guests of this checkout are kept."""

IMAGE_BYTES = 1 << 20
"""Size of the boot sector's disk image."""


def boot_sector() -> bytes:
    """Return the 512 bytes of ``bootsector.S``; RuntimeError with the assembler's words when it does not build."""
    source = _SOURCE.read_bytes()
    built = CACHE / f"bootsector-{hashlib.sha256(source).hexdigest()[:12]}.bin"
    if not built.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as name:
            work = Path(name)
            _run("as", "--32", "-o", str(work / "boot.o"), str(_SOURCE))
            _run(
                *("ld", "-m", "elf_i386", "--oformat", "binary", "-Ttext", "0x7c00", "-e", "start"),
                *("-o", str(work / "boot.bin"), str(work / "boot.o")),
            )
            (work / "boot.bin").rename(built)
    return built.read_bytes()


def boot_sector_image(path: Path) -> Path:
    """Write a raw disk image of 1 MiB that starts with the boot sector."""
    path.write_bytes(boot_sector().ljust(IMAGE_BYTES, b"\0"))
    return path


def boot_sector_iso(path: Path) -> Path:
    """Write an ISO 9660 image that boots the same sector (El Torito, no emulation)."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        tree = work / "tree"
        tree.mkdir()
        # Four sectors of 512 bytes are one of a CD.
        (tree / "boot.img").write_bytes(boot_sector().ljust(2048, b"\0"))
        (tree / "readme.txt").write_text("A guest of 512 bytes for tests of guivm.\n", encoding="ascii")
        _run(
            *("xorriso", "-as", "mkisofs", "-quiet", "-V", "GUIVM_TEST", "-b", "boot.img", "-no-emul-boot"),
            *("-boot-load-size", "4", "-c", "boot.cat", "-o", str(work / "boot.iso"), str(tree)),
        )
        shutil.move(work / "boot.iso", path)
    return path


def sample_guest() -> SampleGuest:
    """Return the sample guest, built once per checkout."""
    return build_sample_guest(CACHE)


def give_sample_guest(cache: Path) -> SampleGuest:
    """Put the sample guest into another cache, such as ``paths.cache_dir()`` of a test's own home; copies no data."""
    source = sample_guest().kernel.parent
    target = cache / source.name
    if not target.exists():
        cache.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target, copy_function=_link)
    return build_sample_guest(cache)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


def _run(*command: str) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed: {done.stderr.strip()}")


def main() -> int:
    """Build all guests, so that no test has to wait for one."""
    boot_sector()
    return sample_guest_main(["--quiet", "--cache", str(CACHE)])


if __name__ == "__main__":
    raise SystemExit(main())
