"""The sample guest: a tiny Linux out of the distribution's own packages, built without root, installed nowhere.

It takes the kernel, a static busybox and the QEMU guest agent with its libraries from the archive ``apt`` is set up
for (so apt has checked their signatures), unpacks them into a private directory and writes a kernel and an
initramfs. Nothing of what it downloads is run here, but for the dynamic loader and the command list of busybox.

Any thread but the GUI's; no Qt, no libvirt.
"""

from __future__ import annotations

import argparse
import errno
import fcntl
import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from guivm.engine.apt import Apt, Cancelled, Progress, Steps
from guivm.engine.initramfs import (
    Cpio,
    KernelModule,
    Unpack,
    add_modules,
    decompressed,
    missing_needs,
    module_name,
    read_module,
    unpacked_kernel,
)
from guivm.errors import GuivmError, NoSpaceError, OperationError, UnsupportedError
from guivm.resources import resource_path

MEMORY_MIB = 256
"""Memory the guest is comfortable with under BIOS firmware."""

# The large built-in font: 80 by 25 on the 1280 by 800 of virtio's display. A guest under software translation
# has no steady clock to check its timer against.
_ARGUMENTS = "console=ttyS0 console=tty0 quiet loglevel=3 panic=5 fbcon=font:TER16x32 tsc=reliable no_timer_check"

_SPACE_NEEDED = 600 << 20


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


# What a VM of ours, or of another program, is likely to have; the guest loads what it finds.
_MODULES = _names(
    """
    virtio_pci virtio_blk virtio_scsi virtio_net virtio_console virtio_balloon virtio_rng virtio_input
    virtio_gpu bochs qxl cirrus evdev button psmouse usbhid hid_generic xhci_pci ehci_pci uhci_hcd usb_storage
    ahci ata_piix sd_mod sr_mod isofs ext4 vfat nls_cp437 nls_ascii nls_utf8 crc32c_generic e1000 e1000e 8139cp
    af_packet 9p 9pnet_virtio
    """
)
# What those need today: read in the same pass over the package. Others are found in a second one.
_LIKELY_NEEDS = _names(
    """
    9pnet cdrom crc16 crc64 crc64_rocksoft crc_t10dif crct10dif_common drm drm_kms_helper drm_shmem_helper
    drm_ttm_helper drm_vram_helper ehci_hcd failover fat fscache hid jbd2 libahci libata libcrc32c mbcache mii
    net_failover netfs scsi_common scsi_mod t10_pi ttm usb_common usbcore virtio virtio_dma_buf virtio_pci_legacy_dev
    virtio_pci_modern_dev virtio_ring xhci_hcd
    """
)


@dataclass(frozen=True, slots=True)
class SampleGuest:
    """A built guest. ``kernel`` starts at once under BIOS firmware.

    ``efi_kernel`` is the one for UEFI firmware; it then needs 512 MiB, and Secure Boot off.
    """

    kernel: Path
    initrd: Path
    arguments: str
    efi_kernel: Path


def cached_sample_guest(cache: Path) -> SampleGuest | None:
    """Return the guest built earlier into ``cache``, or None."""
    directory = _directory(cache)
    guest = SampleGuest(directory / "kernel", directory / "initrd", _ARGUMENTS, directory / "vmlinuz")
    complete = guest.kernel.is_file() and guest.initrd.is_file() and guest.efi_kernel.is_file()
    return guest if complete else None


def build_sample_guest(
    cache: Path, progress: Progress | None = None, cancelled: Cancelled | None = None
) -> SampleGuest:
    """Return the sample guest of ``cache``, building it there when it is missing.

    Takes about ten seconds and 90 MB of download. Safe when several processes do it at once; a failure leaves
    nothing behind. Raises UnsupportedError where apt is missing or knows no such packages, OperationError when a
    download or a tool fails, NoSpaceError, CancelledError.
    """
    steps = Steps(progress, cancelled)
    guest = cached_sample_guest(cache)
    if guest is not None:
        return guest
    for tool in ("apt-get", "apt-cache", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise UnsupportedError(
                f"The sample guest is made of Debian's packages, and this computer has no {tool}.",
                advice="Create a VM from an ISO or a disk image instead.",
            )
    try:
        cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _locked(cache / "sample-guest.lock", steps):
            guest = cached_sample_guest(cache)
            return guest if guest is not None else _build(cache, steps)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _no_space(cache) from error
        raise OperationError(
            "The sample guest could not be written.", advice=f"Check the folder {cache}.", details=str(error)
        ) from error


def _directory(cache: Path) -> Path:
    return cache / f"sample-guest-{_recipe()}"


def _recipe() -> str:
    """A version of the guest: changes with every script and constant it is made from."""
    digest = hashlib.sha256(repr(("1", _ARGUMENTS, sorted(_MODULES))).encode())
    root = resource_path("sample-guest")
    for path in sorted(root.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def _no_space(cache: Path) -> NoSpaceError:
    return NoSpaceError(
        f"There is too little free space for the sample guest in {cache}.",
        advice=f"Free {_SPACE_NEEDED >> 20} MiB there; most of it is needed only while it is built.",
    )


def _build(cache: Path, steps: Steps) -> SampleGuest:
    if shutil.disk_usage(cache).free < _SPACE_NEEDED:
        raise _no_space(cache)
    with tempfile.TemporaryDirectory(prefix=".sample-guest-", dir=cache) as name:
        work = Path(name)
        debs = Apt(work / "apt", steps).download()
        steps.say("Unpacking the packages", 0, 3)
        root = work / "root"
        for deb in debs.others:
            steps.run(["dpkg-deb", "-x", str(deb), str(root)], "A package could not be unpacked.")
        steps.say("Unpacking the kernel", 1, 3)
        kernel = _read_kernel(debs.kernel, steps, work)
        steps.say("Writing the guest", 2, 3)
        result = work / "result"
        result.mkdir(mode=0o755)
        (result / "vmlinuz").write_bytes(kernel.bzimage)
        fast = unpacked_kernel(kernel.bzimage, zstd=_zstd(steps, work))
        (result / "kernel").write_bytes(fast or kernel.bzimage)
        (result / "initrd").write_bytes(_initramfs(root, kernel, steps))
        steps.check()
        directory = _directory(cache)
        shutil.rmtree(directory, ignore_errors=True)  # an incomplete one of another making
        result.rename(directory)
    guest = cached_sample_guest(cache)
    if guest is None:
        raise OperationError("The sample guest vanished while it was built.", advice="Try again.")
    steps.say("Ready", 3, 3)
    return guest


# --- kernel -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Kernel:
    release: str
    bzimage: bytes
    modules: tuple[KernelModule, ...]


def _read_kernel(debs: Sequence[Path], steps: Steps, work: Path) -> _Kernel:
    """Take the image and the wanted modules out of the kernel's packages, never the hundreds of MB around them."""
    release, bzimage = "", b""
    modules: dict[str, KernelModule] = {}
    wanted = set(_MODULES | _LIKELY_NEEDS)
    while wanted:
        for deb in debs:
            for path, data in _members(deb, wanted, steps):
                name = module_name(path)
                if name is not None:
                    modules[name] = read_module(name, _unpacked_module(data, steps, work))
                else:
                    release, bzimage = path.rpartition("/vmlinuz-")[2], data
        wanted = missing_needs(modules) - wanted  # those not found the first time are built into the kernel
    if not bzimage:
        raise OperationError("The kernel's package holds no kernel.", details="\n".join(deb.name for deb in debs))
    needed = set(_MODULES)
    while more := {need for name in needed if name in modules for need in modules[name].needs} - needed:
        needed |= more
    return _Kernel(release, bzimage, tuple(module for name, module in modules.items() if name in needed))


def _members(deb: Path, modules: set[str], steps: Steps) -> Iterator[tuple[str, bytes]]:
    """Yield path and content of the kernel image and of the named modules, in one pass."""
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", str(deb)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
                for member in archive:
                    steps.check()
                    path = member.name
                    if member.isfile() and (module_name(path) in modules or "boot/vmlinuz-" in path):
                        content = archive.extractfile(member)
                        if content is not None:
                            yield path, content.read()
        except tarfile.TarError as error:
            raise OperationError(f"The package {deb.name} could not be unpacked.", details=str(error)) from error


def _unpacked_module(data: bytes, steps: Steps, work: Path) -> bytes:
    try:
        return decompressed(data, zstd=_zstd(steps, work))
    except ValueError as error:
        raise OperationError("A kernel module could not be unpacked.", details=str(error)) from error


def _zstd(steps: Steps, work: Path) -> Unpack:
    """Python before 3.14 has no zstd; the program is on every Debian that packs its kernel so."""

    def unpack(packed: bytes) -> bytes:
        source, target = work / "packed.zst", work / "unpacked"
        source.write_bytes(packed)
        try:
            steps.run(["zstd", "-q", "-f", "-d", str(source), "-o", str(target)], "zstd cannot unpack this.")
        except (OperationError, UnsupportedError) as error:
            raise ValueError(f"{error} {error.details}") from error
        return target.read_bytes()

    return unpack


# --- initramfs --------------------------------------------------------------------------------------------


def _initramfs(root: Path, kernel: _Kernel, steps: Steps) -> bytes:
    archive = Cpio()
    for directory in ("bin", "dev", "proc", "root", "run", "sys", "tmp", "mnt", "var", "usr/local/bin"):
        archive.add_directory(directory)
    archive.add_symlink("var/run", "../run")
    archive.add_character_device("dev/console", 5, 1)
    archive.add_file("bin/busybox", _one(root, "bin/busybox").read_bytes(), 0o755)
    archive.add_symlink("linuxrc", "bin/busybox")
    archive.add_symlink("sbin/modprobe", "../bin/busybox")  # the kernel itself calls this path
    own = resource_path("sample-guest")
    for path in sorted(own.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            archive.add_file(path.relative_to(own).as_posix(), data, 0o755 if data.startswith(b"#!") else 0o644)
    agent = _one(root, "sbin/qemu-ga", "bin/qemu-ga")
    archive.add_file("sbin/qemu-ga", agent.read_bytes(), 0o755)
    for name, library in _libraries(root, agent, steps).items():
        archive.add_file(name, library.read_bytes(), 0o755)
    add_modules(archive, kernel.release, kernel.modules)
    return archive.to_bytes()


def _libraries(root: Path, program: Path, steps: Steps) -> dict[str, Path]:
    """Return the shared libraries a program of ``root`` needs, asking the dynamic loader of ``root``."""
    loader = _one(root, "ld-linux-x86-64.so.2")
    folders = [path for path in (root / "lib/x86_64-linux-gnu", root / "usr/lib/x86_64-linux-gnu") if path.is_dir()]
    output = steps.run(
        [str(loader), "--library-path", ":".join(map(str, folders)), "--list", str(program)],
        "The guest agent's libraries were not found.",
    )
    found = {"lib64/ld-linux-x86-64.so.2": loader}
    for name in re.findall(r"^\s+(\S+) => ", output, re.MULTILINE):
        if "/" not in name:
            found[f"lib/x86_64-linux-gnu/{name}"] = _one(root, name)
    return found


def _one(root: Path, *suffixes: str) -> Path:
    """Return the file of ``root`` whose path ends with one of ``suffixes``; packages differ on /usr."""
    for suffix in suffixes:
        for path in sorted(root.rglob(Path(suffix).name)):
            if path.is_file() and path.as_posix().endswith("/" + suffix):
                return path.resolve() if path.resolve().is_relative_to(root.resolve()) else path
    raise OperationError(f"Debian's packages hold no {suffixes[0]}.")


# --- building at once, and from a checkout -----------------------------------------------------------------


@contextmanager
def _locked(path: Path, steps: Steps) -> Iterator[None]:
    """Hold the lock of a file; wait for another process that builds, ready to be cancelled."""
    with path.open("ab") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                steps.check()
                steps.say("Waiting for another process that builds the sample guest", 0, 0)
                time.sleep(0.1)
        yield


def main(arguments: Sequence[str] | None = None) -> int:
    """Build into the person's cache, or name what hinders. ``--quiet``: say nothing where it is built already."""
    from guivm.paths import cache_dir

    parser = argparse.ArgumentParser(prog="python -m guivm.engine.sample_guest", description="Build the sample guest.")
    parser.add_argument("--quiet", action="store_true", help="say nothing when it is there already")
    parser.add_argument("--cache", type=Path, default=None, metavar="DIR", help="where to keep it")
    options = parser.parse_args(arguments)
    cache: Path = options.cache or cache_dir()
    present = cached_sample_guest(cache) is not None
    shown = ""

    def show(step: str, done: int, total: int) -> None:
        nonlocal shown
        if step != shown:
            shown = step
            sys.stderr.write(f"  Sample guest: {step[0].lower()}{step[1:]}\n")

    try:
        guest = build_sample_guest(cache, show)
    except GuivmError as error:
        sys.stderr.write(f"{error}\n{error.details}\n".rstrip("\n") + "\n")
        return 1
    if not (present and options.quiet):
        sys.stdout.write(f"  {guest.kernel.parent}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
