"""One change of a running VM, with its way back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from guivm.engine.options.values import Place
from guivm.errors import GuivmError


class WaitsError(GuivmError):
    """A running VM cannot take a change now: it waits for the next start. ``asked``: the guest was asked already, and
    may still do it."""

    def __init__(self, summary: str, *, details: str = "", asked: bool = False) -> None:
        super().__init__(summary, details=details)
        self.asked = asked


@dataclass(frozen=True, slots=True)
class Step:
    """``words``: what is changed, for people: "drive vda". ``do`` raises libvirtError or WaitsError, and then nothing
    is changed; ``undo`` raises the same.

    ``place``: of the device or part; ``options``: which of its options it is about, none named: any.
    ``is_hidden``: no document of the VM shows whether it was done.
    """

    place: Place
    words: str
    do: Callable[[], None]
    undo: Callable[[], None]
    options: tuple[str, ...] = ()
    is_hidden: bool = False
