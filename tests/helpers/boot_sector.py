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
