"""Settings in values that cross threads: what was read, what is wrong, what differs, what was done. No lxml."""

from __future__ import annotations

import enum
import shlex
from dataclasses import dataclass

from guivm.engine.options.facts import HostFacts
from guivm.engine.options.phrase import Phrase
from guivm.engine.types import VmKey


@dataclass(frozen=True, slots=True)
class Place:
    """Names one option of one node in values that cross threads. ``device``: its identity, or its index as text."""

    resource: str
    device: str = ""
    option: str = ""


@dataclass(frozen=True, slots=True)
class EditFix:
    """One edit that mends a problem. ``place``: of the option that gets ``value``, not always the one that is wrong."""

    place: Place
    value: str | int | bool | None
    label: Phrase  # "Use 12 GiB"


@dataclass(frozen=True, slots=True)
class AccessFix:
    """Rights on files of ours that mend a problem: an entry for one user in their access control lists (``user``), or
    else bits of their modes (``user`` is empty then).

    ``rights``: as the tool takes them: "x" or "rw" for setfacl, "o+x" for chmod. ``paths``: absolute, outermost first.
    """

    user: str
    rights: str
    paths: tuple[str, ...]

    @property
    def arguments(self) -> tuple[str, ...]:
        """The program that is run, and its arguments; no shell sees them."""
        if self.user:
            return ("setfacl", "-m", f"u:{self.user}:{self.rights}", "--", *self.paths)
        return ("chmod", self.rights, "--", *self.paths)

    @property
    def command(self) -> str:
        """The same for people, as a shell would take it."""
        return shlex.join(self.arguments)

    @property
    def undo(self) -> str:
        """What takes it back. (The paths had no such entry, or none of these bits, before.)"""
        if self.user:
            return shlex.join(("setfacl", "-x", f"u:{self.user}", "--", *self.paths))
        return shlex.join(("chmod", self.rights.replace("+", "-"), "--", *self.paths))


@dataclass(frozen=True, slots=True)
class SettingProblem:
    """One sentence to show beside an option. ``fix``: what mends it when the person agrees."""

    place: Place
    message: str
    is_warning: bool = False
    fix: EditFix | AccessFix | None = None
    command: str = ""  # what the person could run where we must not ("sudo setfacl …")


class ChangeKind(enum.Enum):
    CHANGED = "changed"
    ADDED = "added"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two definitions in words. For an option the catalogue does not know, ``place.option`` is
    the typed property's name."""

    place: Place
    kind: ChangeKind
    device: Phrase  # "Drive vda"
    label: str  # "Cache"; empty for a whole device
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class VmSettings:
    """What the settings of a VM begin with. ``xml``: the definition (inactive, secrets included where allowed);
    ``live_xml``: the running VM's, empty when it is off. ``xml`` is what a later apply is compared with."""

    key: VmKey
    xml: str
    live_xml: str
    facts: HostFacts
    autostart: bool
    persistent: bool = True


class Reach(enum.Enum):
    """How far a change has come."""

    LIVE = "live"  # the running VM has it, and the definition
    NEXT_START = "next-start"  # in the definition only


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one change. ``reason``: why the running VM could not take it, in words (libvirt's included)."""

    change: Change
    reach: Reach
    reason: str = ""


@dataclass(frozen=True, slots=True)
class AppliedSettings:
    """``xml`` and ``live_xml``: the documents as they are now, for a dialog that stays open."""

    outcomes: tuple[Outcome, ...]
    xml: str
    live_xml: str


@dataclass(frozen=True, slots=True)
class PendingChanges:
    """Where the definition differs from the running VM; empty when it is off. ``xml`` and ``live_xml`` as read."""

    key: VmKey
    changes: tuple[Change, ...]
    xml: str
    live_xml: str
