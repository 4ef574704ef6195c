"""Options of hard disks. (formatdomain.html, "Hard drives, floppy disks, CDROMs")"""

from __future__ import annotations

from guivm.engine.options import throttling
from guivm.engine.options.devices import Known, choice, io_thread_items, reader, required
from guivm.engine.options.drive_options import BOOT, POLICIES, bus_option, policy_option, source_option
from guivm.engine.options.drives import BUSES, bus_of
from guivm.engine.options.option import Choice, Line, N, Number, Option, Situation, Switch, Value, stored
from guivm.engine.xml.disk import Disk

FORMATS = (
    Known("qcow2", N("qcow2"), N("Grows as it is filled, has snapshots and encryption.")),
    Known("raw", N("Raw"), N("The bytes as they are: quickest, no snapshots within.")),
    Known("vmdk", N("VMDK (VMware)")),
    Known("vdi", N("VDI (VirtualBox)")),
    Known("vpc", N("VHD (Virtual PC)")),
)


# --- other values that touch more than one field ----------------------------------------------------------


def _io_refusal(_situation: Situation, disk: Disk, value: str) -> str:
    if value == "native" and disk.cache not in ("none", "directsync"):
        return N("Native I/O needs the cache mode “none” or “directsync”.")
    return ""


def _set_cache(disk: Disk, value: Value | None) -> None:
    """QEMU refuses native I/O with the host's page cache: that goes with it."""
    disk.cache = None if value is None else str(value)
    if disk.cache not in ("none", "directsync") and disk.io == "native":
        disk.io = None


def _get_ssd(disk: Disk) -> Value | None:
    rate = disk.rotation_rate
    return None if rate is None else rate == 1


def _set_ssd(disk: Disk, value: Value | None) -> None:
    """1 is how ATA and SCSI say "does not rotate"; 7200 stands for any disk that does."""
    disk.rotation_rate = None if value is None else (1 if value else 7200)


def _rotates(_situation: Situation, disk: Disk) -> bool:
    return (bus_of(disk) in ("scsi", "sata", "ide") and disk.device != "lun") or disk.rotation_rate is not None


def _serial_check(text: str) -> str:
    allowed = all(c.isascii() and (c.isalnum() or c in " _.+-") for c in text)
    return "" if allowed else N("Only letters, digits, spaces and “_ . + -” can be in a serial number.")


def _set_device(disk: Disk, value: Value | None) -> None:
    """A disk with SCSI commands passed on is the real device: nothing can be pretended about it."""
    disk.device = None if value is None else str(value)
    if disk.device == "lun":
        disk.driver_type = "raw" if disk.driver_type is not None else None
        disk.rotation_rate = disk.serial = disk.copy_on_read = None
        disk.transient = False
    else:
        disk.raw_io = disk.sg_io = None


def _lun_refusal(_situation: Situation, disk: Disk) -> str:
    return (
        N("The guest sees the host's device as it is, as SCSI commands are passed on.") if disk.device == "lun" else ""
    )


def _transient_refusal(_situation: Situation, disk: Disk) -> str:
    return "" if disk.type == "file" or disk.transient else N("Only changes to an image file can be thrown away.")


def _device_refusal(_situation: Situation, disk: Disk, value: str) -> str:
    if value != "lun":
        return ""
    if bus_of(disk) not in ("scsi", "virtio"):
        return N("Only the buses SCSI and VirtIO pass SCSI commands on.")
    return "" if disk.type in ("block", "network", "volume") else N("It needs a whole block device of the host.")


def _share_refusal(_situation: Situation, disk: Disk) -> str:
    if disk.shareable or disk.driver_type in (None, "raw"):
        return ""
    return N("Only raw images can be written to by several; each would keep tables of its own of this one.")


_NO_THREADS = N("This VM has no I/O threads; add some on the page “CPU”.")


def _io_thread_refusal(situation: Situation, disk: Disk) -> str:
    if bus_of(disk) != "virtio":
        return N("Only VirtIO drives can have an I/O thread of their own.")
    return "" if situation.domain.io_threads else _NO_THREADS


def _is_virtio(_situation: Situation, disk: Disk) -> bool:
    return bus_of(disk) == "virtio"


def _is_usb(_situation: Situation, disk: Disk) -> bool:
    return bus_of(disk) == "usb" or disk.removable is not None


CACHES = (
    Known(
        "none", N("None"), N("Past the host's memory: what is written is on the disk sooner; best with block devices.")
    ),
    Known("writeback", N("Write-back"), N("Through the host's memory; safe, as the guest's flushes are honoured.")),
    Known("writethrough", N("Write-through"), N("Every write waits for the disk: safest, and slow.")),
    Known("directsync", N("Direct sync"), N("Past the host's memory, and every write waits: slowest.")),
    Known("unsafe", N("Unsafe"), N("Ignores the guest's flushes: fastest, but a crash of the host ruins the disk.")),
)
_IO = (
    Known("threads", N("Threads"), N("Works everywhere.")),
    Known("native", N("Native (Linux AIO)"), N("Fewer threads; only past the host's cache.")),
    Known("io_uring", N("io_uring"), N("The fastest on new kernels; some hosts forbid it.")),
)
_DISCARD = (
    Known("unmap", N("Pass on"), N("What the guest deletes is given back to the host.")),
    Known("ignore", N("Ignore"), N("The image keeps its size; nothing can be read about deletions.")),
)
_ZEROES = (
    Known("off", N("Off")),
    Known("on", N("Write them efficiently")),
    Known("unmap", N("Turn them into holes"), N("Gives space back where discard is passed on, too.")),
)
_ERRORS = (
    Known("stop", N("Pause the VM"), N("Nothing is lost; it goes on when the cause is mended.")),
    Known("report", N("Report it to the guest")),
    Known("ignore", N("Ignore it"), N("The guest believes that its data is there when it is not.")),
    Known("enospace", N("Pause only when the host's disk is full")),
)
_DEVICES = (
    Known("disk", N("Disk")),
    Known("lun", N("Disk with SCSI commands passed on"), N("The guest speaks to the real device, for good and bad.")),
)
_SNAPSHOT = (
    Known("no", N("Left out")),
    Known("internal", N("Within the image")),
    Known("external", N("In a new image above it")),
)
OPTIONS: tuple[Option[Disk], ...] = (
    source_option(
        N("Image"),
        N(
            "The file or block device that holds the data (a path, or volume:POOL/NAME); two running VMs must never "
            "share one, or both lose data."
        ),
        live=False,
    ),
    bus_option(BUSES),
    Option(
        "format",
        N("Format"),
        N("How the file is built; it must be what the file really is: a wrong one shows the guest rubbish."),
        choice(FORMATS, reader(Disk.driver_type), default=None, free=True),
        *required(Disk.driver_type, "raw"),
        refusal=_lun_refusal,
        keywords="qcow2 raw vmdk",
    ),
    Option(
        "cache",
        N("Cache"),
        N(
            "Whether the host's memory stands between guest and disk: more speed, against how much a power cut can "
            "take; “unsafe” can lose the whole disk."
        ),
        choice(CACHES, default=N("Default (write-back)")),
        reader(Disk.cache),
        _set_cache,
        keywords="writeback writethrough none unsafe directsync",
    ),
    Option(
        "discard",
        N("Discarded space"),
        N(
            "Gives what the guest deletes back to the host (TRIM); a thin image stays small, but deleted data is "
            "gone at once."
        ),
        choice(_DISCARD, default=N("Default (ignore)")),
        *stored(Disk.discard),
        keywords="trim unmap thin",
    ),
    BOOT,
    Option(
        "read-only",
        N("Read-only"),
        N("The guest can read but not write: good for shared data, but most systems will not boot from it."),
        Switch(False),
        *stored(Disk.read_only),
        keywords="write protect",
        refusal=lambda _s, disk: (
            N("IDE and SATA disks cannot be read-only.")
            if bus_of(disk) in ("ide", "sata") and not disk.read_only
            else ""
        ),
    ),
    Option(
        "shareable",
        N("Shareable"),
        N(
            "Danger: lets several VMs write to it at the same time; unless the guests use a cluster file system, "
            "this destroys the data on it."
        ),
        Switch(False),
        *stored(Disk.shareable),
        more=True,
        refusal=_share_refusal,
        keywords="cluster shared",
    ),
    Option(
        "ssd",
        N("Tell the guest it is an SSD"),
        N("The guest then trims instead of defragmenting; it changes what the guest does, not how fast the disk is."),
        Switch(None),
        _get_ssd,
        _set_ssd,
        keywords="rotation solid state hdd",
        shown=_rotates,
    ),
    Option(
        "serial",
        N("Serial number"),
        N(
            "What the guest sees as the disk's serial, for names like /dev/disk/by-id; VirtIO shows 20 characters of "
            "it."
        ),
        Line(max_length=36, check=_serial_check),
        *stored(Disk.serial),
        more=True,
        refusal=_lun_refusal,
        keywords="by-id identity",
    ),
    Option(
        "io",
        N("I/O mode"),
        N("How QEMU asks the host's kernel: native and io_uring cost less processor time, threads work everywhere."),
        choice(_IO, refuse=_io_refusal),
        *stored(Disk.io),
        more=True,
        keywords="aio native threads io_uring",
    ),
    Option(
        "detect-zeroes",
        N("Writes of zeroes"),
        N(
            "Looks for blocks of zeroes and stores them as holes: smaller images, for some processor time with each "
            "write."
        ),
        choice(_ZEROES, default=N("Default (off)")),
        *stored(Disk.detect_zeroes),
        more=True,
        keywords="zero sparse",
    ),
    Option(
        "queues",
        N("Queues"),
        N("How many requests' lines the VirtIO disk has: one for each processor scales best, each costs memory."),
        Number(1, 1024),
        *stored(Disk.queues),
        more=True,
        shown=_is_virtio,
        keywords="multiqueue",
        default=N("one for each processor, where the host can"),
    ),
    Option(
        "io-thread",
        N("I/O thread"),
        N("Serves this disk on a thread of its own, so that others do not delay it; useful only for busy disks."),
        Choice(io_thread_items),
        *stored(Disk.io_thread),
        more=True,
        refusal=_io_thread_refusal,
        keywords="iothread",
        default=N("QEMU's main thread"),
    ),
    Option(
        "write-errors",
        N("When a write fails"),
        N(
            "Pausing the VM saves its data when the host's disk is full; reporting lets the guest handle it, often "
            "badly."
        ),
        choice(_ERRORS, default=N("Default (report; pause when the disk is full)")),
        *stored(Disk.error_policy),
        more=True,
        keywords="error policy enospc full",
    ),
    Option(
        "read-errors",
        N("When a read fails"),
        N("Pausing gives time to mend the cause; reporting tells the guest that the block is bad."),
        choice(_ERRORS[:3]),
        *stored(Disk.read_error_policy),
        more=True,
        keywords="rerror policy",
    ),
    Option(
        "copy-on-read",
        N("Copy on read"),
        N("Keeps what is read from the backing image, for slow ones far away; the image grows with reading."),
        Switch(False),
        *stored(Disk.copy_on_read),
        refusal=_lun_refusal,
        more=True,
    ),
    Option(
        "device",
        N("Kind"),
        N("An ordinary disk hides what is below; with SCSI commands passed on, the guest rules the real device."),
        choice(
            _DEVICES, reader(Disk.device), default=N("Disk"), path="disk/diskDevice", refuse=_device_refusal, more=False
        ),
        reader(Disk.device),
        _set_device,
        more=True,
        keywords="lun sg passthrough",
    ),
    Option(
        "removable",
        N("Removable"),
        N("The guest sees a stick rather than a fixed disk; some systems then refuse to be installed on it."),
        Switch(False),
        *stored(Disk.removable),
        more=True,
        shown=_is_usb,
        keywords="usb stick",
    ),
    Option(
        "transient",
        N("Throw changes away at power-off"),
        N("Every start begins with the same contents: good for a kiosk, but nothing done within is ever kept."),
        Switch(False),
        *stored(Disk.transient),
        more=True,
        refusal=_transient_refusal,
        keywords="volatile reset kiosk",
    ),
    Option(
        "snapshot",
        N("In snapshots of the VM"),
        N("Leave a disk out to keep its contents when the VM is reverted; it may then not fit the others."),
        choice(_SNAPSHOT),
        *stored(Disk.snapshot),
        more=True,
    ),
    policy_option(tuple(each for each in POLICIES if each.value != "requisite")),
    *throttling.OPTIONS,
)
