"""A folder with a VM and a chain of images on which steps and plans are carried out, and the VM as it runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import libvirt
import libvirt_qemu
import pytest

from guivm.engine.snapshots import doing, recovering, steps, store
from guivm.engine.snapshots.executing import perform
from guivm.engine.snapshots.graph import Graph
from guivm.engine.snapshots.journal import Entry, Journal
from guivm.engine.snapshots.run import Run
from guivm.engine.snapshots.steps import Plan, Step
from guivm.engine.snapshots.values import OperationPlan
from tests.helpers.file_libvirt import FileConnection, FileDomain, file_context, key_of
from tests.helpers.image_oracles import make_image, write_pattern
from tests.helpers.small_libvirt import refusal

UUID = "11111111-2222-4333-8444-555555555555"
KEY = key_of(UUID)
XML = f"<domain type='qemu'><name>v</name><uuid>{UUID}</uuid><os><type>hvm</type></os></domain>"


SILENT = refusal(libvirt.VIR_ERR_AGENT_UNRESPONSIVE, "the agent does not answer")


class Place:
    """A folder with a VM and a chain: ``base`` ← ``middle`` ← ``top``, each with data of its own."""

    def __init__(self, root: Path) -> None:
        self.context = file_context(root)
        self.connection = cast(FileConnection, self.context.connection)
        self.connection.defineXML(XML)
        self.images = self.context.images_dir
        self.folder = store.folder_of(self.images, UUID)
        self.folder.mkdir(parents=True)
        self.run = Run(self.context, KEY, self.folder)
        self.base = make_image(self.images / "base.qcow2", size=8 << 20)
        write_pattern(self.base, 1, 0, 4 << 20)
        self.middle = self.overlay("middle.qcow2", self.base)
        write_pattern(self.middle, 2, 1 << 20, 1 << 20)
        self.top = self.overlay("top.qcow2", self.middle)
        write_pattern(self.top, 3, 2 << 20, 1 << 16)

    def overlay(self, name: str, base: Path) -> Path:
        path = self.images / name
        self.do(steps.MakeOverlay(str(path), str(base), "qcow2", 8 << 20))
        return path

    def do(self, step: Step) -> None:
        doing.do(self.run, step, lambda _share: None)

    def plan(
        self, *prepare: Step, finish: tuple[Step, ...] = (), undo: tuple[Step, ...] = (), expected: Graph | None = None
    ) -> Plan:
        return Plan(OperationPlan(KEY, "Do it"), prepare, finish, undo, expected)

    def perform(self, plan: Plan) -> None:
        perform(self.context, KEY, self.folder, "v", plan)

    def settle(self) -> None:
        recovering.settle(self.context, KEY, self.folder)

    def files(self) -> set[str]:
        return {str(path.relative_to(self.images)) for path in self.images.rglob("*") if not path.is_dir()}


class RunningDomain(FileDomain):
    """Runs; ``live`` is its document. ``calls`` is what was asked of it, also written to ``diary``. ``rest``: of its
    file systems."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.active = True
        self.paused = False
        self.reason = libvirt.VIR_DOMAIN_PAUSED_USER
        self.live = XML
        self.calls: list[str] = []
        self.fail: dict[str, Exception] = {}
        self.job = 0
        self.rest = "thawed"
        self.diary: Path | None = None

    def did(self, name: str) -> None:
        self.calls.append(name)
        if self.diary is not None:
            with self.diary.open("a") as stream:
                stream.write(f"{name}\n")
        if name in self.fail:
            raise self.fail.pop(name)

    def XMLDesc(self, flags: int) -> str:
        return super().XMLDesc(flags) if flags & libvirt.VIR_DOMAIN_XML_INACTIVE or not self.active else self.live

    def isActive(self) -> int:
        return int(self.active)

    def state(self, _flags: int) -> tuple[int, int]:
        if not self.active:
            return libvirt.VIR_DOMAIN_SHUTOFF, 0
        return (libvirt.VIR_DOMAIN_PAUSED, self.reason) if self.paused else (libvirt.VIR_DOMAIN_RUNNING, 0)

    def suspend(self) -> None:
        self.did("suspend")
        self.paused = True

    def resume(self) -> None:
        self.did("resume")
        self.paused = False

    def fsFreeze(self) -> None:
        self.did("freeze")
        self.rest = "frozen"

    def agent(self, command: str, _seconds: int, _flags: int) -> str:
        """What its agent says; it is silent while it stands still."""
        asked = json.loads(command)["execute"].removeprefix("guest-").removeprefix("fsfreeze-")
        if self.paused:
            raise SILENT
        self.did(asked)
        if asked == "thaw":
            self.rest = "thawed"
        return json.dumps({"return": {"ping": {}, "status": self.rest}.get(asked, 0)})

    def snapshotCreateXML(self, xml: str, _flags: int) -> None:
        self.did("snapshot")
        new = Path(xml.partition("file='")[2].partition("'")[0])
        make_image(new, size=1 << 20)
        self.live = on(new)

    def destroyFlags(self, _flags: int) -> None:
        self.did("destroy")
        self.active = False

    def jobStats(self, _flags: int) -> dict[str, int]:
        return {"type": self.job}

    def abortJob(self) -> None:
        self.did("abort")
        self.job = 0

    def blockJobInfo(self, _target: str, _flags: int) -> dict[str, int]:
        return {"type": self.job} if self.job else {}

    def blockJobAbort(self, _target: str, _flags: int) -> None:
        self.did("abort block job")
        self.job = 0


def running_domain(place: Place, monkeypatch: pytest.MonkeyPatch) -> RunningDomain:
    """The place's VM, running from now on."""
    domain = RunningDomain(place.connection.lookupByUUIDString(UUID)._path)
    monkeypatch.setattr(place.connection, "lookupByUUIDString", lambda _uuid: domain, raising=False)
    monkeypatch.setattr(libvirt_qemu, "qemuAgentCommand", RunningDomain.agent)
    return domain


def overlays(place: Place, **more: object) -> steps.LiveOverlays:
    new = place.images / "live.qcow2"
    fields: dict[str, Any] = {"disks": (("vda", str(new)),), "xml": f"<domainsnapshot file='{new}'/>", **more}
    return steps.LiveOverlays(**fields)


def on(path: Path) -> str:
    disk = f"<disk type='file' device='disk'><source file='{path}'/><target dev='vda'/></disk>"
    return XML.replace("</domain>", f"<devices>{disk}</devices></domain>")


def begun(place: Place, *prepare: Step, finish: tuple[Step, ...] = (), done: int = 0, stopped: bool = False) -> Journal:
    notes = Journal.begin(place.folder, Entry("t", "v", prepare, finish))
    for _ in range(done):
        notes.step_done()
    if stopped:
        notes.guest_stops()
    return notes


def memory_file(path: Path, magic: bytes = b"LibvirtQemudSave") -> Path:
    path.write_bytes(magic + b"\0" * 100)
    return path


def restored(place: Place, monkeypatch: pytest.MonkeyPatch, fail: Exception | None = None) -> list[tuple[Any, ...]]:
    calls: list[tuple[Any, ...]] = []

    def restore(*args: Any) -> None:
        calls.append(args)
        if fail is not None:
            raise fail

    monkeypatch.setattr(place.connection, "restoreFlags", restore, raising=False)
    return calls
