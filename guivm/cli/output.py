"""How results are printed: plain values as JSON, and a few words for people."""

from __future__ import annotations

import enum
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from guivm.engine.jobs import JobInfo
    from guivm.engine.snapshots.values import OperationPlan
    from guivm.engine.types import VmInfo


def vm_values(vm: VmInfo) -> dict[str, object]:
    """A VM as JSON of ``list`` and ``show``: stable names, plain values."""
    return {
        "uuid": vm.key.uuid,
        "host": vm.key.host,
        "name": vm.name,
        "title": vm.title,
        "notes": vm.notes,
        "state": vm.state.value,
        "reason": vm.reason,
        "autostart": vm.autostart,
        "persistent": vm.persistent,
        "vcpus": vm.vcpus,
        "memory_kib": vm.memory_kib,
        "identity": jsonable(asdict(vm.identity)) if vm.identity is not None else None,
    }


def jsonable(value: Any) -> Any:
    """Containers, enumerations and paths as what JSON has for them."""
    match value:
        case dict():
            return {str(key): jsonable(item) for key, item in value.items()}
        case list() | tuple():
            return [jsonable(item) for item in value]
        case enum.Enum():
            return value.value
        case Path():
            return str(value)
    return value


def print_json(value: object) -> None:
    json.dump(value, sys.stdout, ensure_ascii=False, indent=2)
    print()


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their widest cell; the first row is the heading."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def size_words(count: int) -> str:
    """Bytes, 1024-based: ``1.5 GiB``."""
    for unit, size in (("TiB", 1024**4), ("GiB", 1024**3), ("MiB", 1024**2)):
        if count >= size:
            return f"{count / size:.4g} {unit}"
    return f"{count // 1024} KiB"


def progress_line(info: JobInfo) -> str:
    progress = info.progress
    if progress is None or progress.total <= 0:
        return info.title
    return f"{info.title} {100 * progress.done // progress.total} %"


def print_plan(plan: OperationPlan) -> None:
    """What would happen, in words."""
    print(plan.title)
    if plan.refused:
        print(f"Refused: {plan.refused} {plan.advice}".rstrip())
        return
    for number, words in enumerate(plan.steps, 1):
        print(f"{number:3}. {words}")
    for effect in plan.effects:
        size = "" if effect.bytes is None else f" ({size_words(effect.bytes)})"
        other = f" <- {effect.other}" if effect.other else ""
        print(f"  {effect.action.value:10} {effect.path}{other}{size}")
    for loss in plan.loses:
        print(f"Lost: {loss}")
    for warning in plan.warnings:
        print(f"Note: {warning}")
    if plan.needs_bytes:
        print(f"Needs about {size_words(plan.needs_bytes)}; free: {size_words(plan.free_bytes)}.")
