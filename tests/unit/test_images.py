"""Looking at images: every known format is told apart by its header, every dangerous one is refused."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guivm.engine import images
from guivm.engine.image_headers import read_header
from guivm.engine.job_types import MediaKind
from guivm.errors import CancelledError, ImageError, NoSpaceError, OperationError

_MIB = 1 << 20


class _Bytes:
    """A file in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def size(self) -> int:
        return len(self._data)

    def read(self, offset: int, length: int) -> bytes:
        assert length <= 1 << 17, "a parser asked for more than it may"
        return self._data[offset : offset + length] if offset >= 0 else b""


def qemu_img(*arguments: str | Path) -> None:
    subprocess.run(["qemu-img", *map(str, arguments)], check=True, capture_output=True)


def make_iso(path: Path, *, bootable: bool) -> Path:
    folder = path.with_suffix(".d")
    folder.mkdir()
    (folder / "boot.img").write_bytes(bytes(2048))
    extra = ["-b", "boot.img", "-no-emul-boot", "-boot-load-size", "4"] if bootable else []
    command = ["xorriso", "-as", "mkisofs", "-quiet", "-o", str(path), *extra, str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    return path


@pytest.mark.parametrize(
    ("suffix", "qemu_format", "expected"),
    [
        (".qcow2", "qcow2", "qcow2"),
        (".img", "qcow2", "qcow2"),
        (".raw", "raw", "raw"),
        (".qed", "qed", "qed"),
        (".vdi", "vdi", "vdi"),
        (".vhd", "vpc", "vpc"),
        (".vhdx", "vhdx", "vhdx"),
        (".vmdk", "vmdk", "vmdk"),
    ],
)
def test_every_format_is_known_by_its_header(tmp_path: Path, suffix: str, qemu_format: str, expected: str) -> None:
    path = tmp_path / f"disk{suffix}"
    qemu_img("create", "-q", "-f", qemu_format, path, "64M")
    media, header = images.inspect_media(path)
    assert (media.kind, media.format) == (MediaKind.DISK, expected)
    assert 64 * _MIB <= media.virtual_bytes <= 65 * _MIB
    assert header.backing is None


@pytest.mark.parametrize("options", ["compat=0.10", "compat=1.1,compression_type=zstd", "compat=v3,extended_l2=on"])
def test_every_qcow2_version_agrees_with_qemu(tmp_path: Path, options: str) -> None:
    path = tmp_path / "disk.qcow2"
    qemu_img("create", "-q", "-f", "qcow2", "-o", options, path, "1000000000")
    assert images.inspect_media(path)[0].virtual_bytes == -(-1000000000 // 512) * 512


def test_optical_media_and_whether_they_boot(tmp_path: Path) -> None:
    dead, dead_header = images.inspect_media(make_iso(tmp_path / "dead.iso", bootable=False))
    live, live_header = images.inspect_media(make_iso(tmp_path / "live.iso", bootable=True))
    assert dead.kind is live.kind is MediaKind.ISO
    assert (dead_header.bootable, live_header.bootable) == (False, True)
    assert "no boot record" in dead_header.warnings[0]
    assert live_header.warnings == ()


def test_udf_alone_is_optical() -> None:
    data = bytearray(40 * 2048)
    for index, name in enumerate((b"BEA01", b"NSR02", b"TEA01")):
        data[(16 + index) * 2048 + 1 : (16 + index) * 2048 + 6] = name
    assert read_header(_Bytes(bytes(data))).format == "iso"


def test_a_raw_disk_without_any_boot_sector_is_only_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "notes.img"
    path.write_bytes(b"Dear diary, " * 1000)
    assert images.inspect_media(path)[1].warnings != ()


def _patched(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as stream:
        stream.seek(offset)
        stream.write(data)


def test_an_image_on_another_is_refused(tmp_path: Path) -> None:
    base, top = tmp_path / "base.qcow2", tmp_path / "top.qcow2"
    qemu_img("create", "-q", "-f", "qcow2", base, "1M")
    qemu_img("create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base, top)
    with pytest.raises(ImageError, match="depends on another image"):
        images.inspect_media(top)
    assert images.header_of(top).backing == str(base)


@pytest.mark.parametrize("backing", ["/etc/shadow", "json:{}", "nbd://host/x", "../../secret"])
def test_whatever_a_backing_name_says_it_is_refused(tmp_path: Path, backing: str) -> None:
    top = tmp_path / "top.qcow2"
    qemu_img("create", "-q", "-f", "qcow2", top, "1M")
    _patched(top, 512, backing.encode())
    _patched(top, 8, struct.pack(">QI", 512, len(backing)))
    with pytest.raises(ImageError, match="depends on another image"):
        images.inspect_media(top)


def test_an_external_data_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "top.qcow2"
    qemu_img("create", "-q", "-f", "qcow2", "-o", f"data_file={tmp_path / 'data'}", path, "1M")
    with pytest.raises(ImageError, match="another file"):
        images.inspect_media(path)


def test_a_qed_and_a_vmdk_with_parents_are_refused(tmp_path: Path) -> None:
    for kind in ("qed", "vmdk"):
        base, top = tmp_path / f"base.{kind}", tmp_path / f"top.{kind}"
        qemu_img("create", "-q", "-f", kind, base, "1M")
        qemu_img("create", "-q", "-f", kind, "-F", kind, "-b", base, top)
        with pytest.raises(ImageError, match="depends on another"):
            images.inspect_media(top)


@pytest.mark.parametrize("subformat", ["monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat"])
def test_a_vmdk_that_names_other_files_is_refused(tmp_path: Path, subformat: str) -> None:
    path = tmp_path / "disk.vmdk"
    qemu_img("create", "-q", "-f", "vmdk", "-o", f"subformat={subformat}", path, "1M")
    with pytest.raises(ImageError, match="other files"):
        images.inspect_media(path)


def test_a_vmdk_descriptor_without_its_usual_first_line_is_still_a_vmdk(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(b'# hello\n \nversion=1\ncreateType="monolithicFlat"\nRW 1 FLAT "/etc/shadow" 0\n' + bytes(1024))
    with pytest.raises(ImageError, match="other files"):
        images.inspect_media(path)


def test_a_compressed_vmdk_must_be_converted(tmp_path: Path) -> None:
    path = tmp_path / "disk.vmdk"
    qemu_img("create", "-q", "-f", "vmdk", "-o", "subformat=streamOptimized", path, "1M")
    with pytest.raises(ImageError, match="convert"):
        images.inspect_media(path)


def test_encrypted_images_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "disk.qcow2"
    qemu_img("create", "-q", "-f", "qcow2", path, "1M")
    _patched(path, 32, struct.pack(">I", 2))
    with pytest.raises(ImageError, match="encrypted"):
        images.inspect_media(path)
    (tmp_path / "x.img").write_bytes(b"LUKS\xba\xbe" + bytes(4096))
    with pytest.raises(ImageError, match="encrypted"):
        images.inspect_media(tmp_path / "x.img")


@pytest.mark.parametrize("size", [0, 1 << 62, (1 << 64) - 512])
def test_absurd_sizes_are_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / "disk.qcow2"
    qemu_img("create", "-q", "-f", "qcow2", path, "1M")
    _patched(path, 24, struct.pack(">Q", size))
    with pytest.raises(ImageError, match="size"):
        images.inspect_media(path)


@pytest.mark.parametrize("start", [b"\x1f\x8b\x08", b"\xfd7zXZ\0", b"PK\x03\x04", b"\x28\xb5\x2f\xfd"])
def test_a_compressed_file_is_to_be_unpacked(tmp_path: Path, start: bytes) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(start + bytes(4096))
    with pytest.raises(ImageError, match="unpack"):
        images.inspect_media(path)


@pytest.mark.parametrize(("name", "made_as"), [("a.qcow2", "raw"), ("a.raw", "qcow2"), ("a.vmdk", "vdi")])
def test_a_name_that_does_not_match_the_header_is_refused(tmp_path: Path, name: str, made_as: str) -> None:
    path = tmp_path / name
    qemu_img("create", "-q", "-f", made_as, path, "1M")
    with pytest.raises(ImageError, match="not what its name says"):
        images.inspect_media(path)


def test_a_file_that_is_two_things_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "both.img"
    qemu_img("create", "-q", "-f", "qcow2", path, "1M")
    _patched(path, 32769, b"CD001")
    with pytest.raises(ImageError, match="two formats"):
        images.inspect_media(path)


def test_a_header_that_qemu_reads_otherwise_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "disk.qcow2"
    qemu_img("create", "-q", "-f", "qcow2", path, "1M")
    _patched(path, 36, struct.pack(">IQ", 1 << 31, 1 << 50))  # an L1 table that is far too large
    with pytest.raises(ImageError, match="QEMU cannot read"):
        images.inspect_media(path)


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "socket"))
    try:
        for path in (tmp_path, tmp_path / "fifo", tmp_path / "socket", Path("/dev/null"), tmp_path / "missing"):
            with pytest.raises(ImageError):
                images.inspect_media(path)
    finally:
        listener.close()
    with pytest.raises(ImageError):
        images.inspect_media(tmp_path / "a\0b")


def test_looking_never_changes_the_file(tmp_path: Path) -> None:
    path = tmp_path / "disk.qcow2"
    qemu_img("create", "-q", "-f", "qcow2", path, "8M")
    before = path.read_bytes(), path.stat().st_mtime_ns
    images.inspect_media(path)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


_MAGICS = [
    b"QFI\xfb\0\0\0\3",
    b"QED\0",
    b"KDMV",
    b"conectix",
    b"vhdxfile",
    b"",
    b"# Disk",
    b"\0" * 64 + b"\x7f\x10\xda\xbe",
]


@settings(suppress_health_check=[HealthCheck.data_too_large])
@given(st.sampled_from(_MAGICS), st.binary(max_size=2048), st.integers(0, 1 << 20))
def test_no_header_breaks_the_reader(magic: bytes, rest: bytes, padding: int) -> None:
    data = magic + rest + bytes(padding % 8192)
    for at, what in ((192 * 1024, b"regi" + rest), (32769, b"CD001" if padding % 2 else b"")):
        if padding > 1 << 19:
            data = data.ljust(at, b"\0")[:at] + what + rest
    header = read_header(_Bytes(data))
    assert header.virtual_bytes >= 0


# --- making -----------------------------------------------------------------------------------------------


def test_a_new_disk_is_private_empty_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "new: disk,1.qcow2"
    images.create_qcow2(path, 5 << 30)
    assert images.inspect_media(path)[0].virtual_bytes == 5 << 30
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_nlink == 1
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    qemu_img("check", "-q", path)


def test_a_new_disk_never_replaces_a_file(tmp_path: Path) -> None:
    path = tmp_path / "disk.qcow2"
    path.write_text("precious")
    with pytest.raises(OperationError):
        images.create_qcow2(path, _MIB)
    assert path.read_text() == "precious"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_cancelled_disk_leaves_nothing(tmp_path: Path) -> None:
    def cancelled() -> None:
        raise CancelledError("Cancelled.")

    with pytest.raises(CancelledError):
        images.create_qcow2(tmp_path / "disk.qcow2", _MIB, cancelled)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_rename_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("guivm.engine.files.os.link", refuse)
    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(NoSpaceError):
        images.create_qcow2(tmp_path / "disk.qcow2", _MIB)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [0, -512, 513, 1 << 60])
def test_senseless_sizes_are_refused(tmp_path: Path, size: int) -> None:
    with pytest.raises(ImageError):
        images.create_qcow2(tmp_path / "disk.qcow2", size)
    assert list(tmp_path.iterdir()) == []


def test_free_space_of_a_folder_still_to_be_made(tmp_path: Path) -> None:
    assert images.free_bytes(tmp_path / "a" / "b") > 0


# --- chains -----------------------------------------------------------------------------------------------


def test_a_chain_is_walked_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    qemu_img("create", "-q", "-f", "raw", tmp_path / "base.img", "1M")
    qemu_img("create", "-q", "-f", "qcow2", "-F", "raw", "-b", "../base.img", tmp_path / "sub" / "mid.qcow2")
    qemu_img("create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", "sub/mid.qcow2", tmp_path / "top.qcow2")
    walked = images.chain(tmp_path / "top.qcow2")
    assert [(link.path.name, link.format) for link in walked] == [
        ("top.qcow2", "qcow2"),
        ("mid.qcow2", "qcow2"),
        ("base.img", "raw"),
    ]
    (tmp_path / "base.img").unlink()
    assert [link.exists for link in images.chain(tmp_path / "top.qcow2")] == [True, True, False]


def test_a_loop_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.qcow2"
    qemu_img("create", "-q", "-f", "qcow2", path, "1M")
    _patched(path, 512, b"a.qcow2")
    _patched(path, 8, struct.pack(">QI", 512, 7))
    assert len(images.chain(path)) == 1


def test_protocols_are_not_paths() -> None:
    image = Path("/d/x.qcow2")
    assert images.backing_path(image, "json:{}") is None
    assert images.backing_path(image, "nbd:host:1") is None
    assert images.backing_path(image, "file:base") == Path("/d/base")
    assert images.backing_path(image, "/a:b") == Path("/a:b")
