"""Guests of a few bytes: a boot sector that does one thing, from real mode."""

from __future__ import annotations

from pathlib import Path

# Command 0xED to the keyboard, then its lamps: 4 is Caps Lock. Port 0x64, bit 1: the controller is not ready yet.
CAPS_LOCK_LAMP = bytes.fromhex("fa e464 a802 75fa b0ed e660 e464 a802 75fa b004 e660 f4 ebfd")

# The timer's third counter at 1 kHz, and the speaker on.
BEEP = bytes.fromhex("b0b6 e643 b8a904 e642 88e0 e642 e461 0c03 e661 f4 ebfd")


def write_boot_sector(path: Path, code: bytes) -> list[str]:
    """Write the sector; answers QEMU's arguments to start from it."""
    assert len(code) <= 510
    path.write_bytes((code.ljust(510, b"\0") + b"\x55\xaa").ljust(1 << 20, b"\0"))  # a disk too small has no geometry
    return ["-drive", f"file={path},format=raw,if=ide", "-boot", "c"]


# 64 blocks of 32 KiB to the first hard disk (int 13h, function 43h), and as many more at each key. Each is full of its
# number, 16 bits wide; number 0, which holds this sector, is left out. It stops for ever when the disk tells an error.
WRITES_AT_EACH_KEY = bytes.fromhex(
    "31c08ed88ed0bc007cbd0100fbb800108ec031ff89e8b90040fcf3abbe3e7cb80043b280cd1372128306467c4045f7c53f00"
    "75d930e4cd16ebd3faf4ebfc10004000000000104000000000000000"
)
