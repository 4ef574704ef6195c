"""Building the sample guest and the boot sector, with a small Debian of our own in place of the archive's."""

from __future__ import annotations

import io
import lzma
import os
import stat
import struct
import tarfile
import threading
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guivm.engine.initramfs import (
    Cpio,
    KernelModule,
    add_modules,
    decompressed,
    missing_needs,
    module_name,
    read_module,
    unpacked_kernel,
)
from guivm.engine.sample_guest import build_sample_guest, cached_sample_guest
from guivm.errors import CancelledError, OperationError, UnsupportedError
from guivm.resources import resource_path
from tests.helpers import guests

_PVH_NOTE = struct.pack("<III", 4, 8, 18) + b"Xen\0"
_ELF = b"\x7fELF" + bytes(60) + _PVH_NOTE + b"kernel" * 100


def _entries(archive: bytes) -> dict[str, tuple[int, bytes]]:
    """Read a newc archive by the kernel's description of it: path -> mode, data."""
    found: dict[str, tuple[int, bytes]] = {}
    offset = 0
    while True:
        assert archive[offset : offset + 6] == b"070701"
        fields = [int(archive[offset + 6 + 8 * i : offset + 14 + 8 * i], 16) for i in range(13)]
        mode, size, name_size = fields[1], fields[6], fields[11]
        name = archive[offset + 110 : offset + 110 + name_size].rstrip(b"\0").decode()
        start = (offset + 110 + name_size + 3) & ~3
        if name == "TRAILER!!!":
            assert len(archive) == (start + size + 3) & ~3
            return found
        found[name] = (mode, archive[start : start + size])
        offset = (start + size + 3) & ~3


def _bzimage(payload: bytes, version: int = 0x20F) -> bytes:
    setup = bytearray(512 * 3)
    setup[0x1F1] = 2
    setup[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", setup, 0x206, version)
    struct.pack_into("<II", setup, 0x248, 64, len(payload))
    return bytes(setup) + bytes(64) + payload + bytes(100)


def _module(depends: str, *extra: bytes) -> bytes:
    return b"\x7fELF" + bytes(40) + b"\0".join([b"", b"license=GPL", b"depends=" + depends.encode(), *extra, b""])


# --- cpio -------------------------------------------------------------------------------------------------


@given(st.dictionaries(st.from_regex(r"[a-z]{1,3}(/[a-z]{1,3}){0,2}", fullmatch=True), st.binary(max_size=9)))
def test_cpio_holds_what_was_put_in(files: dict[str, bytes]) -> None:
    parents = {"/".join(path.split("/")[:depth]) for path in files for depth in range(1, path.count("/") + 1)}
    files = {path: data for path, data in files.items() if path not in parents}
    archive = Cpio()
    for path, data in files.items():
        archive.add_file(path, data, 0o755)
    entries = _entries(archive.to_bytes())
    assert {path: data for path, (mode, data) in entries.items() if stat.S_ISREG(mode)} == files
    assert {path for path, (mode, _) in entries.items() if stat.S_ISDIR(mode)} == {
        parent for parent in parents if any(path.startswith(parent + "/") for path in files)
    }
    order = list(entries)
    assert all(order.index(path.rpartition("/")[0]) < order.index(path) for path in order if "/" in path)


def test_cpio_is_the_same_whatever_the_order() -> None:
    first, second = Cpio(), Cpio()
    first.add_file("a", b"1")
    first.add_symlink("b", "a")
    second.add_symlink("b", "a")
    second.add_file("a", b"1")
    assert first.to_bytes() == second.to_bytes()


@pytest.mark.parametrize("path", ["/etc/passwd", "../a", "a/../b", "a//b", "./a"])
def test_cpio_refuses_paths_that_leave_or_repeat(path: str) -> None:
    with pytest.raises(ValueError, match="relative path"):
        Cpio().add_file(path, b"")


# --- kernel image -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("pack", [lzma.compress, lambda data: zlib.compress(data, wbits=31), bytes])
def test_the_kernel_is_taken_out_of_its_image(pack: object) -> None:
    assert callable(pack)
    # What follows the packed stream is the size of the unpacked kernel, as the kernel's build appends it.
    packed = pack(_ELF)
    assert unpacked_kernel(_bzimage(packed + (b"" if packed == _ELF else struct.pack("<I", len(_ELF))))) == _ELF


def test_zstd_is_left_to_its_program() -> None:
    packed = b"\x28\xb5\x2f\xfd" + bytes(50)
    asked: list[bytes] = []

    def zstd(data: bytes) -> bytes:
        asked.append(data)
        return _ELF

    assert unpacked_kernel(_bzimage(packed + struct.pack("<I", len(_ELF))), zstd=zstd) == _ELF
    assert asked == [packed]


@pytest.mark.parametrize(
    "image",
    [
        b"",
        bytes(4096),
        _bzimage(lzma.compress(_ELF), version=0x207),
        _bzimage(lzma.compress(_ELF)[:-40]),
        _bzimage(lzma.compress(b"no ELF")),
        _bzimage(lzma.compress(_ELF.replace(_PVH_NOTE, bytes(16)))),
        _bzimage(b"\x28\xb5\x2f\xfd" + bytes(50)),
    ],
    ids=["empty", "zeros", "old", "cut short", "no ELF", "no PVH entry", "zstd"],
)
def test_an_image_that_cannot_be_unpacked_is_left_alone(image: bytes) -> None:
    assert unpacked_kernel(image) is None


@given(st.binary(max_size=2000))
def test_any_bytes_are_unpacked_or_refused(data: bytes) -> None:
    assert unpacked_kernel(data) is None
    with suppress(ValueError):
        decompressed(b"\xfd7zXZ\0" + data)


# --- modules ----------------------------------------------------------------------------------------------


def test_what_modinfo_says_is_read() -> None:
    module = read_module(
        "ext4", _module("jbd2,mbcache", b"softdep=pre: crypto-crc32c", b"alias=fs-ext4", b"alias=pci:v*")
    )
    assert module.needs == ("jbd2", "mbcache", "crypto_crc32c")
    assert module.aliases == ("fs-ext4", "pci:v*")
    assert read_module("crc16", _module("")).needs == ()
    assert missing_needs({"ext4": module}) == {"jbd2", "mbcache", "crypto_crc32c"}


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("./lib/modules/6.1.0/kernel/drivers/usb/host/xhci-hcd.ko", "xhci_hcd"),
        ("usr/lib/modules/6.12/kernel/fs/ext4/ext4.ko.xz", "ext4"),
        ("a.ko.zst", "a"),
        ("./lib/modules/6.1.0/modules.builtin", None),
        ("./boot/vmlinuz-6.1.0", None),
    ],
)
def test_module_names(path: str, name: str | None) -> None:
    assert module_name(path) == name


def test_modprobe_gets_needs_in_loading_order() -> None:
    archive = Cpio()
    modules = [
        KernelModule("a", b"A", ("b", "c"), ("pci:a*",)),
        KernelModule("b", b"B", ("c", "builtin"), ()),
        KernelModule("c", b"C", ("a",), ()),  # a loop must not hang us
    ]
    add_modules(archive, "6.1", modules)
    entries = _entries(archive.to_bytes())
    assert entries["lib/modules/6.1/a.ko"][1] == b"A"
    lines = entries["lib/modules/6.1/modules.dep"][1].decode().splitlines()
    assert lines[0] == "a.ko: b.ko c.ko"
    assert entries["lib/modules/6.1/modules.alias"][1] == b"alias pci:a* a\n"


# --- the whole, with a Debian of our own ------------------------------------------------------------------


def _tar(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            info.mode = 0o755
            archive.addfile(info, io.BytesIO(data))


_LOADER = """#!/bin/sh
[ "$1" = --library-path ] && [ "$3" = --list ] || exit 1
printf '\\tlinux-vdso.so.1 (0x0)\\n'
printf '\\tlibc.so.6 => %s/libc.so.6 (0x0)\\n\\t/lib64/ld-linux-x86-64.so.2 (0x0)\\n' "${2%%:*}"
"""

_TOOLS = {
    "dpkg": "echo amd64",
    "apt-cache": """
        for last; do :; done
        case $last in
            linux-image-amd64) printf 'linux-image-amd64\\n  Depends: linux-image-6.1.0-9-amd64\\n' ;;
            linux-image-6*) printf '%s\\n  Depends: kmod\\n |Depends: initramfs-tools\\n' "$last" ;;
            qemu-guest-agent) printf 'qemu-guest-agent\\n  Depends: libc6\\n<virtual>\\nlibc6\\nadduser\\n' ;;
        esac""",
    "apt-get": """
        echo "$*" >>"$DEBIAN/apt.log"
        [ -e "$DEBIAN/stale" ] && case "$*" in
            *update*) rm "$DEBIAN/stale"; exit 0 ;;
            *) echo 'E: Failed to fetch: 404 Not Found' >&2; exit 100 ;;
        esac
        [ -e "$DEBIAN/broken" ] && { echo 'E: no network' >&2; exit 100; }
        while [ "$1" != download ]; do shift; done
        shift
        [ "$1" = --print-uris ] && exec cat "$DEBIAN/uris"
        [ -e "$DEBIAN/slow" ] && exec sleep 60
        for package; do cp "$DEBIAN/$package.tar" "${package}_1_amd64.deb"; done""",
    "dpkg-deb": """
        case $1 in
            -x) mkdir -p "$3" && exec tar -xf "$2" -C "$3" ;;
            --fsys-tarfile) exec cat "$2" ;;
        esac""",
}


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """apt and dpkg that serve four small packages; files named stale, broken and slow change how apt-get fares."""
    root = tmp_path / "debian"
    tools = root / "bin"
    tools.mkdir(parents=True)
    for name, body in _TOOLS.items():
        (tools / name).write_text(f"#!/bin/sh\n{body}\n", encoding="ascii")
        (tools / name).chmod(0o755)
    _tar(root / "busybox-static.tar", {"./bin/busybox": b"BUSYBOX"})
    _tar(root / "qemu-guest-agent.tar", {"./usr/sbin/qemu-ga": b"AGENT"})
    _tar(
        root / "libc6.tar",
        {
            "./lib/x86_64-linux-gnu/ld-linux-x86-64.so.2": _LOADER.encode(),
            "./lib/x86_64-linux-gnu/libc.so.6": b"LIBC",
            "./lib/x86_64-linux-gnu/libunused.so": b"NO",
        },
    )
    modules = "./lib/modules/6.1.0-9-amd64/kernel"
    _tar(
        root / "linux-image-6.1.0-9-amd64.tar",
        {
            f"{modules}/fs/ext4/ext4.ko.xz": lzma.compress(_module("unheard-of", b"alias=fs-ext4")),
            f"{modules}/drivers/virtio_pci.ko": _module("builtin_one"),
            f"{modules}/lib/unheard-of.ko": _module(""),
            f"{modules}/drivers/huge.ko": _module(""),
            "./boot/vmlinuz-6.1.0-9-amd64": _bzimage(lzma.compress(_ELF)),
        },
    )
    (root / "uris").write_text("'http://deb.example/a.deb' a.deb 1000 SHA256:0\n", encoding="ascii")
    monkeypatch.setenv("DEBIAN", str(root))
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    return root


def _left_in(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir() if path.name != "sample-guest.lock")


def test_a_guest_is_built_and_found_again(debian: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    steps: list[tuple[str, int, int]] = []
    assert cached_sample_guest(cache) is None
    guest = build_sample_guest(cache, lambda *step: steps.append(step))
    assert cached_sample_guest(cache) == guest
    assert _left_in(cache) == [guest.kernel.parent.name]
    assert guest.kernel.read_bytes() == _ELF
    assert guest.efi_kernel.read_bytes()[0x202:0x206] == b"HdrS"
    assert all(0 <= done <= total or total == 0 for _, done, total in steps)

    entries = _entries(guest.initrd.read_bytes())
    assert entries["bin/busybox"] == (stat.S_IFREG | 0o755, b"BUSYBOX")
    assert entries["sbin/qemu-ga"][1] == b"AGENT"
    assert entries["lib/x86_64-linux-gnu/libc.so.6"][1] == b"LIBC"
    assert "lib/x86_64-linux-gnu/libunused.so" not in entries
    assert entries["init"] == (stat.S_IFREG | 0o755, resource_path("sample-guest/init").read_bytes())
    assert entries["etc/profile"][0] == stat.S_IFREG | 0o644
    assert entries["dev/console"][0] == stat.S_IFCHR | 0o600
    modules = {name.rpartition("/")[2] for name in entries if name.endswith(".ko")}
    assert modules == {"ext4.ko", "unheard_of.ko", "virtio_pci.ko"}

    asked = (debian / "apt.log").read_text()
    build_sample_guest(cache)
    assert (debian / "apt.log").read_text() == asked


def test_two_builds_give_the_same_bytes(debian: Path, tmp_path: Path) -> None:
    first = build_sample_guest(tmp_path / "one")
    second = build_sample_guest(tmp_path / "two")
    assert first.initrd.read_bytes() == second.initrd.read_bytes()


def test_old_package_lists_are_renewed_without_root(debian: Path, tmp_path: Path) -> None:
    (debian / "stale").touch()
    cache = tmp_path / "cache"
    assert build_sample_guest(cache).initrd.exists()
    updates = [line for line in (debian / "apt.log").read_text().splitlines() if line.endswith("update")]
    assert len(updates) == 1
    assert f"Dir::State::Lists={cache}" in updates[0]


def test_a_failed_download_leaves_nothing_and_keeps_apts_words(debian: Path, tmp_path: Path) -> None:
    (debian / "broken").touch()
    with pytest.raises(OperationError) as caught:
        build_sample_guest(tmp_path / "cache")
    assert "E: no network" in caught.value.details
    assert caught.value.advice
    assert _left_in(tmp_path / "cache") == []


def test_cancel_ends_a_download(debian: Path, tmp_path: Path) -> None:
    (debian / "slow").touch()
    downloading = threading.Event()

    def progress(step: str, done: int, total: int) -> None:
        if total == 1000:
            downloading.set()

    with pytest.raises(CancelledError):
        build_sample_guest(tmp_path / "cache", progress, downloading.is_set)
    assert _left_in(tmp_path / "cache") == []


def test_builders_at_once_build_one_guest(debian: Path, tmp_path: Path) -> None:
    built: list[Path] = []
    threads = [
        threading.Thread(target=lambda: built.append(build_sample_guest(tmp_path / "cache").kernel)) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(built) == 3
    assert len(set(built)) == 1
    downloads = [line for line in (debian / "apt.log").read_text().splitlines() if "download" in line]
    assert len(downloads) == 2  # the look-up and the download of one build


def test_a_computer_without_apt_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnsupportedError, match="apt-get"):
        build_sample_guest(tmp_path / "cache")


def test_another_architecture_is_told_so(debian: Path, tmp_path: Path) -> None:
    (debian / "bin" / "dpkg").write_text("#!/bin/sh\necho arm64\n", encoding="ascii")
    with pytest.raises(UnsupportedError, match="arm64"):
        build_sample_guest(tmp_path / "cache")


# --- boot sector ------------------------------------------------------------------------------------------


def test_the_boot_sector_is_one(tmp_path: Path) -> None:
    sector = guests.boot_sector()
    assert len(sector) == 512
    assert sector[510:] == b"\x55\xaa"
    image = guests.boot_sector_image(tmp_path / "disk.img").read_bytes()
    assert len(image) == guests.IMAGE_BYTES
    assert image[:512] == sector
    assert not any(image[512:])


def test_the_iso_boots_the_sector(tmp_path: Path) -> None:
    """El Torito 1.0: boot record in sector 17, catalogue with checksum, initial entry marked bootable."""
    iso = guests.boot_sector_iso(tmp_path / "boot.iso").read_bytes()
    assert iso[16 * 2048 + 1 : 16 * 2048 + 6] == b"CD001"
    record = iso[17 * 2048 : 18 * 2048]
    assert record[7:30] == b"EL TORITO SPECIFICATION"
    (catalogue,) = struct.unpack_from("<I", record, 0x47)
    validation = iso[catalogue * 2048 : catalogue * 2048 + 32]
    assert validation[0] == 1
    assert sum(struct.unpack("<16H", validation)) & 0xFFFF == 0
    entry = iso[catalogue * 2048 + 32 : catalogue * 2048 + 64]
    assert entry[0] == 0x88
    assert entry[1] == 0  # no emulation
    (start,) = struct.unpack_from("<I", entry, 8)
    assert iso[start * 2048 : start * 2048 + 512] == guests.boot_sector()
