"""Limits for the traffic of a drive. (formatdomain.html, "iotune"; a total excludes read and write)"""

from __future__ import annotations

from guivm.engine.options.option import Line, N, Number, Option, Size, SizeUnit, Value, stored
from guivm.engine.xml.disk import Disk, DiskIoTune
from guivm.engine.xml.properties import Property


def _limit(
    option_id: str,
    label: str,
    help_text: str,
    declared: Property[int],
    drops: tuple[Property[int], ...] = (),
    *,
    count: bool = False,
    more: bool = True,
    unit: str = "",
    needs: Property[int] | None = None,
) -> Option[Disk]:
    """``drops``: what cannot stand beside it. ``needs``: without this limit the burst means nothing."""
    get, write = stored(declared, Disk.io_tune)

    def set_value(disk: Disk, value: Value | None) -> None:
        if value is not None:
            for other in drops:
                other.__set__(disk.io_tune, None)
        write(disk, value)
        if value is None:
            for dependent in _DEPENDENTS.get(declared.path, ()):
                dependent.__set__(disk.io_tune, None)

    return Option(
        option_id,
        label,
        help_text,
        Number(1, (1 << 53) - 1, unit or N("per second")) if count else Size(SizeUnit.BYTES, minimum=1),
        get,
        set_value,
        more=more,
        live=True,
        keywords="limit throttle speed bandwidth iops burst",
        default=N("unlimited"),
        shown=None if needs is None else lambda _situation, disk: needs.__get__(disk.io_tune, DiskIoTune) is not None,
    )


_T = DiskIoTune
_BYTES = (_T.read_bytes, _T.write_bytes)
_BYTES_MORE = (_T.read_bytes_max, _T.write_bytes_max, _T.read_bytes_max_length_s, _T.write_bytes_max_length_s)
_IOPS = (_T.read_iops, _T.write_iops)
_IOPS_MORE = (_T.read_iops_max, _T.write_iops_max, _T.read_iops_max_length_s, _T.write_iops_max_length_s)
_TOTAL_BYTES = (_T.total_bytes, _T.total_bytes_max, _T.total_bytes_max_length_s)
_TOTAL_IOPS = (_T.total_iops, _T.total_iops_max, _T.total_iops_max_length_s)

# A burst needs its limit, and a length its burst.
_DEPENDENTS: dict[str, tuple[Property[int], ...]] = {
    _T.total_bytes.path: (_T.total_bytes_max, _T.total_bytes_max_length_s),
    _T.read_bytes.path: (_T.read_bytes_max, _T.read_bytes_max_length_s),
    _T.write_bytes.path: (_T.write_bytes_max, _T.write_bytes_max_length_s),
    _T.total_iops.path: (_T.total_iops_max, _T.total_iops_max_length_s),
    _T.read_iops.path: (_T.read_iops_max, _T.read_iops_max_length_s),
    _T.write_iops.path: (_T.write_iops_max, _T.write_iops_max_length_s),
    _T.total_bytes_max.path: (_T.total_bytes_max_length_s,),
    _T.read_bytes_max.path: (_T.read_bytes_max_length_s,),
    _T.write_bytes_max.path: (_T.write_bytes_max_length_s,),
    _T.total_iops_max.path: (_T.total_iops_max_length_s,),
    _T.read_iops_max.path: (_T.read_iops_max_length_s,),
    _T.write_iops_max.path: (_T.write_iops_max_length_s,),
}

_LIMIT = N(
    "Keeps this drive from crowding out others; the guest feels a slow disk. Reading and writing together, or apart."
)
_OPERATIONS = N("Limits how many requests it may make: tames many small ones, which bytes do not measure.")
_BURST = N("What it may take for a short time above its limit; it starts quickly, and is slow only under steady load.")
_LENGTH = N("How long a burst may last before the limit holds again.")


def _burst(kind: str, words: str, limit: Property[int], burst: Property[int], *, count: bool) -> Option[Disk]:
    return _limit(f"{kind}-burst", words, _BURST, burst, count=count, needs=limit)


def _length(kind: str, words: str, burst: Property[int], length: Property[int]) -> Option[Disk]:
    return _limit(f"{kind}-burst-seconds", words, _LENGTH, length, count=True, unit="s", needs=burst)


OPTIONS: tuple[Option[Disk], ...] = (
    _limit("total-bytes", N("Limit: bytes a second"), _LIMIT, _T.total_bytes, (*_BYTES, *_BYTES_MORE)),
    _limit("read-bytes", N("Limit: bytes read a second"), _LIMIT, _T.read_bytes, _TOTAL_BYTES),
    _limit("write-bytes", N("Limit: bytes written a second"), _LIMIT, _T.write_bytes, _TOTAL_BYTES),
    _limit(
        "total-iops", N("Limit: operations a second"), _OPERATIONS, _T.total_iops, (*_IOPS, *_IOPS_MORE), count=True
    ),
    _limit("read-iops", N("Limit: reads a second"), _OPERATIONS, _T.read_iops, _TOTAL_IOPS, count=True),
    _limit("write-iops", N("Limit: writes a second"), _OPERATIONS, _T.write_iops, _TOTAL_IOPS, count=True),
    _burst("total-bytes", N("Burst: bytes a second"), _T.total_bytes, _T.total_bytes_max, count=False),
    _burst("read-bytes", N("Burst: bytes read a second"), _T.read_bytes, _T.read_bytes_max, count=False),
    _burst("write-bytes", N("Burst: bytes written a second"), _T.write_bytes, _T.write_bytes_max, count=False),
    _burst("total-iops", N("Burst: operations a second"), _T.total_iops, _T.total_iops_max, count=True),
    _burst("read-iops", N("Burst: reads a second"), _T.read_iops, _T.read_iops_max, count=True),
    _burst("write-iops", N("Burst: writes a second"), _T.write_iops, _T.write_iops_max, count=True),
    _length("total-bytes", N("Length of a burst"), _T.total_bytes_max, _T.total_bytes_max_length_s),
    _length("read-bytes", N("Length of a burst of reading"), _T.read_bytes_max, _T.read_bytes_max_length_s),
    _length("write-bytes", N("Length of a burst of writing"), _T.write_bytes_max, _T.write_bytes_max_length_s),
    _length("total-iops", N("Length of a burst of operations"), _T.total_iops_max, _T.total_iops_max_length_s),
    _length("read-iops", N("Length of a burst of reads"), _T.read_iops_max, _T.read_iops_max_length_s),
    _length("write-iops", N("Length of a burst of writes"), _T.write_iops_max, _T.write_iops_max_length_s),
    Option(
        "throttle-group",
        N("Limits shared with"),
        N("Drives of the same group share one limit; give all of them the same numbers."),
        Line(placeholder=N("name of a group")),
        *stored(_T.group, Disk.io_tune),
        more=True,
        live=True,
        keywords="throttle group",
        shown=lambda _situation, disk: disk.io_tune.exists,
    ),
)
