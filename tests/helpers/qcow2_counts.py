"""What a qcow2 image holds by its own counts, found out without the code under test.

Format: QEMU ``docs/interop/qcow2.txt``.
"""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path


def used_bytes(path: Path) -> int:
    """Clusters that are in use. Fails unless ``qemu-img check`` says that the counts are right, of 8 bits or more."""
    done = subprocess.run(["qemu-img", "check", "-f", "qcow2", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    with path.open("rb") as stream:
        header = stream.read(104)
        bits = int.from_bytes(header[20:24], "big")
        at, clusters = struct.unpack_from(">QI", header, 48)
        size = 1 << (struct.unpack_from(">I", header, 96)[0] if header[7] == 3 else 4) >> 3
        stream.seek(at)
        found = 0
        for (block,) in struct.iter_unpack(">Q", stream.read(clusters << bits)):
            if block:
                stream.seek(block)
                counts = stream.read(1 << bits)
                found += sum(any(counts[place : place + size]) for place in range(0, len(counts), size))
    return found << bits
