"""All resources, in the order of the settings' list."""

from __future__ import annotations

from typing import Any

from guivm.engine.options import cpu, display, memory, network, peripherals, storage, system
from guivm.engine.options.option import Resource

RESOURCES: tuple[Resource[Any], ...] = (
    *system.RESOURCES,
    *cpu.RESOURCES,
    *memory.RESOURCES,
    *storage.RESOURCES,
    *network.RESOURCES,
    *display.RESOURCES,
    *peripherals.RESOURCES,
)


def resource(name: str) -> Resource[Any]:
    """Raises KeyError."""
    for known in RESOURCES:
        if known.id == name:
            return known
    raise KeyError(name)
