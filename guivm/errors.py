"""The one error tree.

Every failure a person can meet is a :class:`GuivmError`: what happened (``summary``), what to do
(``advice``), and the evidence (``details``: libvirt's or a tool's own words, unchanged but cleaned).
"""

from __future__ import annotations

from guivm.text import clean_block, clean_line


class GuivmError(Exception):
    """Base of all errors shown to a person.

    ``summary`` is one sentence: what happened and, where known, why. ``advice`` is one sentence: what
    to do next, or empty. ``details`` keeps the original text of libvirt, QEMU or a tool.
    All three are plain text, capped, and free of control and bidi characters.
    """

    def __init__(self, summary: str, *, advice: str = "", details: str = "") -> None:
        self.summary = clean_line(summary, 500)
        self.advice = clean_line(advice, 500)
        self.details = clean_block(details, 16_384)
        super().__init__(self.summary)

    def __str__(self) -> str:
        return f"{self.summary} {self.advice}".strip()


class HostError(GuivmError):
    """The connection to a host could not be made, or was lost."""


class EngineBusyError(HostError):
    """Another process holds the embedded engine of this directory."""


class VmNotFoundError(GuivmError):
    """No VM of that name or UUID is known on the host."""


class NetworkNotFoundError(GuivmError):
    """No virtual network of that name or UUID is known on the host."""


class WrongStateError(GuivmError):
    """The VM is not in a state in which the request makes sense."""


class OperationError(GuivmError):
    """libvirt or QEMU refused or failed an operation; ``details`` has their words."""


class UnsupportedError(GuivmError):
    """The host, its libvirt or its QEMU cannot do this; ``summary`` says why."""


class ChangedOutsideError(GuivmError):
    """A definition was changed by somebody else since it was read. Nothing was overwritten.

    ``theirs`` and ``ours``: unified diffs from what was read to what is there now, and to what was to be stored.
    """

    def __init__(self, summary: str, *, theirs: str, ours: str, advice: str = "") -> None:
        super().__init__(summary, advice=advice, details=theirs)
        self.theirs = clean_block(theirs, 262_144)
        self.ours = clean_block(ours, 262_144)


class ImageError(GuivmError):
    """A disk image, ISO or kernel is unreadable, unsafe or not what it claims to be."""


class InUseError(GuivmError):
    """A file is needed by another VM, snapshot or overlay."""


class BusyError(InUseError):
    """Another operation on the VM's files is going on; a later try may succeed."""


class NoSpaceError(GuivmError):
    """Not enough free space, or memory, for the request."""


class CancelledError(GuivmError):
    """The person cancelled the job; nothing is left half-made."""


class ConsoleError(GuivmError):
    """The display could not be opened, or its server broke the protocol."""
