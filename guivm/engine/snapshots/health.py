"""What is wrong with a VM's images, before it is started on them. Worker only."""

from __future__ import annotations

import os
from pathlib import Path

from guivm.engine.snapshots import journal
from guivm.engine.snapshots.reading import read_image
from guivm.engine.snapshots.situation import Situation
from guivm.engine.snapshots.support import written_disks
from guivm.engine.xml.domain import DomainXml
from guivm.errors import ImageError
from guivm.text import clean_line

_MAX_CHAIN = 64


def problems_of(seen: Situation, folder: Path) -> tuple[str, ...]:
    """Sentences; empty: nothing is wrong."""
    found: list[str] = []
    if (folder / journal.JOURNAL_NAME).exists():
        found.append(
            "An operation on its snapshots was cut short; it is settled by the next one, or when guivm starts."
        )
    for disk in written_disks(DomainXml.parse(seen.xml)):
        if disk.path and disk.type in (None, "file"):
            found.extend(chain_problems(os.path.realpath(disk.path), disk.driver_type or ""))
    return tuple(dict.fromkeys(found))


def chain_problems(path: str, declared: str) -> tuple[str, ...]:
    """Of one drive's images: what is missing, goes round in a circle, or has no format."""
    current: str | None = path
    seen: set[str] = set()
    while current is not None:
        if current in seen or len(seen) >= _MAX_CHAIN:
            return (f"The images below “{clean_line(path)}” have no end.",)
        seen.add(current)
        try:
            image = read_image(current, declared)
        except ImageError as error:
            return (f"“{clean_line(current)}” is missing or cannot be read. {error.details}".strip(),)
        if image.backing is not None and not image.backing_format:
            return (f"“{clean_line(current)}” does not say of which format its base is.",)
        current, declared = image.backing, image.backing_format
    return ()
