"""A guest of a few bytes that writes to two disks all the time, and what its images say about the moment they are of.

It fills the blocks 1 to 128 (of 32 KiB) of the first and then of the second disk with its count, 16 bits wide, and goes
on to the next block; after each round it says the count's low byte on the serial line, or "F" when a disk tells an
error. So an image of one moment holds a run of counts without a gap, and two images of one moment the same runs, but
that the first may be one block ahead.
"""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import libvirt

from guivm.engine.types import VmKey
from tests.helpers.clone_house import House
from tests.helpers.daemon import wait_until

SIZE = 8 << 20
BLOCK = 32 << 10
BLOCKS = 128

# 0x7c00: counts in bp; int 13h, function 43h, with the address packet at 0x7c53; port 0x3f8.
_CODE = bytes.fromhex(
    "31c08ed88ed0bc007cbd0100fb"
    "b800108ec031ff89e8b90040fcf3ab89e8257f0040c1e006a35b7c"
    "be537cb80043b280cd137215be537cb80043b281cd137209"
    "baf80389e8ee45ebc4"
    "b046baf803eefaf4ebfc"
    "10004000000000104000000000000000"
)
_DISK = """<disk type='file' device='disk'><driver name='qemu' type='{form}'/><source file='{path}'/>
<target dev='{target}' bus='virtio'/><boot order='{order}'/></disk>"""  # SeaBIOS leaves out those without an order
_SERIAL = "<serial type='file'><source path='{path}'/></serial>"
_VM = """<domain type='qemu'><name>source</name><memory unit='MiB'>16</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type></os><features><acpi/></features><devices>{disks}{serial}
<controller type='usb' model='none'/><memballoon model='none'/></devices></domain>"""


def make_disk(path: Path, form: str = "qcow2", ballast: int = 0) -> Path:
    """An image that starts the guest; what the guest has not written yet reads zeros.

    ``ballast``: so many bytes more, behind what the guest writes, which take their time to be copied.
    """
    raw = path.with_name(f"{path.name}.sector")
    raw.write_bytes(_CODE.ljust(510, b"\0") + b"\x55\xaa" + bytes(SIZE - 512))
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", form, raw, path], check=True)
    raw.unlink()
    if ballast:
        subprocess.run(["qemu-img", "resize", "-q", "-f", form, path, f"+{ballast}"], check=True)
        fill = f"write -q -P 7 {SIZE} {ballast}"
        subprocess.run(["qemu-io", "-f", form, "-c", fill, path], check=True)
    return path


def counts(path: Path | str, form: str = "qcow2", snapshot: str = "") -> list[int]:
    """The counts in an image, rising; each twice where its block is only partly written. AssertionError for a gap."""
    raw = Path(f"{path}.counts")
    chosen = ["-l", f"snapshot.name={snapshot}"] if snapshot else []
    try:
        subprocess.run(["qemu-img", "convert", "-U", "-f", form, "-O", "raw", *chosen, path, raw], check=True)
        data = raw.read_bytes()
    finally:
        raw.unlink(missing_ok=True)
    found: set[int] = set()
    for number in range(1, BLOCKS + 1):
        block = data[number * BLOCK : (number + 1) * BLOCK]
        found.update(struct.unpack(f"<{len(block) // 2}H", block))
    found.discard(0)
    rising = sorted(found)
    assert rising, "the guest has written nothing"
    assert rising == list(range(rising[0], rising[-1] + 1)), rising
    return rising


def said(serial: Path) -> int:
    """How many rounds it has told of. AssertionError when a disk told it an error."""
    data = serial.read_bytes() if serial.exists() else b""
    assert all(data[at] == (at + 1) & 0xFF for at in range(len(data))), data[-3:]
    return len(data)


class Counting:
    """The guest, running and past its first round over its disks: qcow2 and, by wish, raw."""

    def __init__(self, house: House, second: str = "qcow2", ballast: int = 0) -> None:
        self.house = house
        self.serial = house.folder / "serial"
        self.forms = {"vda": "qcow2", "vdb": second}
        lines = []
        for order, (target, form) in enumerate(self.forms.items(), 1):
            path = make_disk(house.images / f"source-{target}.{form}", form, ballast)
            lines.append(_DISK.format(form=form, path=path, target=target, order=order))
        serial = _SERIAL.format(path=self.serial)
        xml = _VM.format(disks="".join(lines), serial=serial)
        self.key = VmKey(house.host, house.connection.defineXML(xml).UUIDString())
        self.domain.create()
        self.goes_on(20)

    @property
    def domain(self) -> libvirt.virDomain:
        return self.house.domain(self.key)

    def goes_on(self, rounds: int = 5) -> None:
        """It writes, and no disk told it an error."""
        before = said(self.serial)
        wait_until(lambda: said(self.serial) >= before + rounds, "the guest to go on")
