"""The state of a VM's files as one value: images with their backing files, and who must go on reading what. Pure.

Made by ``reading.py`` from libvirt's documents and the disks' own headers; ``planning.py`` reasons about it;
``executing.py`` reads it again afterwards and compares. All paths are absolute, normalised, symbolic links resolved.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from guivm.engine.snapshots.values import SnapshotId


@dataclass(frozen=True, slots=True)
class Image:
    """One disk image by its own header. ``backing`` None: it stands alone."""

    path: str
    format: str  # "qcow2", "raw"
    virtual_bytes: int
    allocated_bytes: int
    backing: str | None = None
    backing_format: str = ""
    internal_snapshots: int = 0
    file_system: int = 0  # device number: files of one can be renamed to one another
    encrypted: bool = False


@dataclass(frozen=True, slots=True)
class HeldDisk:
    """A disk of a VM or of a snapshot: what ``target`` ("vda") reads. ``written``: a guest may write to it."""

    target: str
    path: str
    written: bool = True


@dataclass(frozen=True, slots=True)
class Holder:
    """Somebody whose disks must read the same before and after, unless a plan says otherwise.

    A VM's current state (``snapshot`` None), or a snapshot of it. ``nvram``, ``tpm`` (a folder) and ``memory`` are
    files of its own, or empty.
    """

    uuid: str
    vm_name: str
    disks: tuple[HeldDisk, ...]
    snapshot: SnapshotId | None = None
    parent: SnapshotId | None = None
    title: str = ""
    nvram: str = ""
    tpm: str = ""
    memory: str = ""
    is_template: bool = False

    @property
    def is_current(self) -> bool:
        """It is a VM's current state, not a snapshot."""
        return self.snapshot is None

    @property
    def files(self) -> tuple[str, ...]:
        """What it names itself, images and the rest; not the images below."""
        return tuple(p for p in (*(d.path for d in self.disks), self.nvram, self.tpm, self.memory) if p)


@dataclass(frozen=True, slots=True)
class Graph:
    """All images and holders of a host at one moment.

    ``others``: files that VMs name in other places than disks (ISO images, kernels), with the VM's name: never touched.
    ``unreadable``: images that could not be looked at, with the VM's name: what they need is not known.
    ``missing``: images that are named and not there, with the VM's name: they need nothing.

    The mappings are not changed once the graph is made: what is looked up is kept.
    """

    images: Mapping[str, Image] = field(default_factory=dict)
    holders: tuple[Holder, ...] = ()
    others: Mapping[str, str] = field(default_factory=dict)
    unreadable: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    _overlays: dict[str, tuple[Image, ...]] = field(default_factory=dict, init=False, repr=False, compare=False)
    _naming: dict[str, tuple[Holder, ...]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def chain(self, path: str) -> Iterator[Image]:
        """The image and all below it, top first; ends at what is not known. Loops end."""
        seen: set[str] = set()
        current: str | None = path
        while current is not None and current not in seen:
            seen.add(current)
            image = self.images.get(current)
            if image is None:
                return
            yield image
            current = image.backing

    def overlays(self, path: str) -> tuple[Image, ...]:
        """Images that have this one as their backing file, by path."""
        if not self._overlays and self.images:
            found: dict[str, list[Image]] = {"": []}
            for image in sorted(self.images.values(), key=lambda i: i.path):
                if image.backing is not None:
                    found.setdefault(image.backing, []).append(image)
            self._overlays.update((below, tuple(above)) for below, above in found.items())
        return self._overlays.get(path, ())

    def holders_of(self, path: str) -> tuple[Holder, ...]:
        """Who names this file itself."""
        if not self._naming and self.holders:
            found: dict[str, list[Holder]] = {"": []}
            for holder in self.holders:
                for name in dict.fromkeys(holder.files):
                    found.setdefault(name, []).append(holder)
            self._naming.update((name, tuple(holders)) for name, holders in found.items())
        return self._naming.get(path, ())

    def readers_of(self, path: str) -> tuple[Holder, ...]:
        """Who reads this image, itself or through images above it."""
        above = {path}
        queue = [path]
        readers: dict[tuple[str, SnapshotId | None], Holder] = {}
        while queue:
            current = queue.pop()
            readers.update(((h.uuid, h.snapshot), h) for h in self.holders_of(current))
            for image in self.overlays(current):
                if image.path not in above:
                    above.add(image.path)
                    queue.append(image.path)
        return tuple(readers.values())

    def current(self, uuid: str) -> Holder | None:
        """The VM's current state."""
        return next((h for h in self.holders if h.uuid == uuid and h.is_current), None)

    def snapshots(self, uuid: str) -> tuple[Holder, ...]:
        """The VM's snapshots whose files are branches."""
        return tuple(h for h in self.holders if h.uuid == uuid and not h.is_current)
