"""What an option is, and what a resource: the shapes that the catalogue is made of.

Words are English source texts marked by :func:`N`; the window translates them in the context "Options".
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from guivm.engine.options.facts import HostFacts
from guivm.engine.options.phrase import Phrase
from guivm.engine.xml.domain import DomainXml
from guivm.engine.xml.node import XmlNode
from guivm.engine.xml.properties import Child, Flag, Property

NodeT = TypeVar("NodeT", bound=XmlNode)
Value: TypeAlias = str | int | bool


def N(text: str) -> str:  # noqa: N802 - as everywhere in Qt's world
    """Mark a text for translation (``lupdate -tr-function-alias QT_TRANSLATE_NOOP+=N``, context "Options")."""
    return text


@dataclass(frozen=True, slots=True)
class Situation:
    """What an option's choices and refusals may depend on. ``domain`` is the draft: read it, never write it."""

    facts: HostFacts
    domain: DomainXml
    is_running: bool = False


# --- editors: how a value is asked for --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Item:
    """One value of a choice. ``refusal``: why it cannot be chosen here, one sentence; it is shown greyed with it."""

    value: Value | None  # None: libvirt's default
    label: str
    note: str = ""
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Switch:
    """Yes or no. ``default``: what libvirt does where nothing is said (None: that depends)."""

    default: bool | None = False


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several. ``free``: another text may be typed as well."""

    items: Callable[[Situation, Any], Sequence[Item]]
    free: bool = False


@dataclass(frozen=True, slots=True)
class Number:
    minimum: int = 0
    maximum: int = (1 << 31) - 1
    unit: str = ""  # shown behind it: "ms", "%"
    step: int = 1


class SizeUnit(enum.Enum):
    BYTES = 1
    KIB = 1024


@dataclass(frozen=True, slots=True)
class Size:
    """An amount of memory or disk; ``unit`` is what the property counts."""

    unit: SizeUnit
    minimum: int = 0
    maximum: int = (1 << 62) - 1


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text. ``check`` answers why a text cannot be, or an empty string."""

    placeholder: str = ""
    max_length: int = 255
    check: Callable[[str], str] | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """Text of several lines."""

    max_length: int = 65_536


@dataclass(frozen=True, slots=True)
class Secret:
    """A password: never shown, never logged, never in a list of changes."""

    max_length: int = 255


class PathKind(enum.Enum):
    FILE = "file"
    DIRECTORY = "directory"
    DEVICE = "device"
    NEW_FILE = "new-file"


@dataclass(frozen=True, slots=True)
class HostPath:
    """An absolute path on the VM's host. ``filters``: of a file dialog, "Disk images (*.qcow2 *.img)"."""

    kind: PathKind = PathKind.FILE
    filters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Custom:
    """A widget of its own in the window, found there by this name; on the command line a text, which ``form`` shows.

    ``labels``: words for single values, in lists of changes; ``words`` finds them for all others.
    """

    name: str
    form: str = ""  # 'user, network:NAME'
    labels: tuple[tuple[str, str], ...] = ()
    words: Callable[[str], str] | None = None


Editor: TypeAlias = Switch | Choice | Number | Size | Line | Block | Secret | HostPath | Custom


# --- options and resources --------------------------------------------------------------------------------


def _nothing(_situation: Situation, _node: Any) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Option(Generic[NodeT]):
    """One thing that can be set on one kind of node.

    ``get`` and ``set`` work on the node; None is libvirt's default. ``set`` raises XmlError or ValueError with a
    sentence when the value cannot be. ``refusal`` answers why the option cannot be changed here, or "".
    """

    id: str  # within its resource; on the command line "--nic 0.model=virtio"
    label: str
    help: str  # one sentence, and its trade-off
    editor: Editor
    get: Callable[[NodeT], Value | None]
    set: Callable[[NodeT, Value | None], None]
    more: bool = False  # behind "More"
    live: bool = False  # libvirt can change it on a running VM
    keywords: str = ""  # what else people call it, for the search
    default: str = ""  # words for None: "the machine's own"
    refusal: Callable[[Situation, NodeT], str] = _nothing
    shown: Callable[[Situation, NodeT], bool] | None = None  # None: always. Hidden where it means nothing


def stored(
    declared: Property[Any] | Flag, *below: Child[Any]
) -> tuple[Callable[[Any], Value | None], Callable[[Any, Value | None], None]]:
    """``get`` and ``set`` for an option that is one property of the XML: ``Option(…, *stored(Disk.cache))`` has them
    in that order.

    ``below``: the way from the resource's node to the property's, ``stored(Os.kernel, DomainXml.os)``.
    """

    def holder(node: XmlNode) -> XmlNode:
        for child in below:
            node = child.__get__(node, type(node))
        return node

    def read(node: XmlNode) -> Value | None:
        node = holder(node)
        value: Value | None = declared.__get__(node, type(node))
        return value

    def write(node: XmlNode, value: Value | None) -> None:
        node = holder(node)
        if isinstance(declared, Flag):
            declared.__set__(node, bool(value))
        else:
            declared.__set__(node, value)

    return read, write


def fixed(*items: Item) -> Callable[[Situation, Any], Sequence[Item]]:
    """The items of a choice that is the same everywhere."""

    def answer(_situation: Situation, _node: Any) -> Sequence[Item]:
        return items

    return answer


class Group(enum.Enum):
    """Where a resource stands in the list."""

    SYSTEM = "system"
    CPU = "cpu"
    MEMORY = "memory"
    STORAGE = "storage"
    NETWORK = "network"
    DISPLAY = "display"
    PERIPHERALS = "peripherals"


def _no_identity(_node: Any) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Resource(Generic[NodeT]):
    """A page of the settings: one part of the machine, or one kind of device with a page for each it has.

    ``nodes`` answers the nodes in document order; of a part there is exactly one, which may not exist yet.
    ``identity`` is what a device keeps through edits ("vda", a MAC address); "" : its place among its kind.
    """

    id: str  # on the command line "--disk"
    title: str  # "Drive"
    group: Group
    icon: str  # of resources/icons
    help: str  # name of a file in resources/help, without ".md"
    nodes: Callable[[DomainXml], Sequence[NodeT]]
    options: tuple[Option[NodeT], ...]
    summary: Callable[[Situation, NodeT], str]  # one line: "20 GiB, virtio"
    name: Callable[[NodeT], Phrase] | None = None  # "Drive vda"; None: the title
    identity: Callable[[NodeT], str] = _no_identity
    keywords: str = ""
    is_device: bool = True  # there may be none or several
    # For devices. ``add`` appends one with sensible values to the draft, ``remove`` takes one out of it.
    add: Callable[[Situation], NodeT] | None = None
    remove: Callable[[DomainXml, NodeT], None] | None = None
    add_refusal: Callable[[Situation], str] | None = None  # why none can be added, or ""
    hotplug: bool = False  # libvirt can add and remove it while the VM runs
