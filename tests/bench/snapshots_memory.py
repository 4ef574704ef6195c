"""Snapshots with memory, and going back to them: inside the images beside virsh's own, in branches beside its save and
restore.

Each run of each side has a VM of its own, all made alike: 768 MiB of memory of which each page holds something, and a
disk of 1 GiB. The times are whole requests of ours (with the screen's picture, our notes and
what is looked at before and afterwards) and whole commands of virsh.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import libvirt

from guivm.engine import requests as rq
from guivm.engine.snapshots.values import SnapshotMode
from guivm.engine.types import VmKey, VmState
from tests.bench.console_guest import boot_sector
from tests.bench.report import Target
from tests.bench.snapshots_stage import Act, Line, Notes, Stage, Times, in_turn, note, require, rounds, run_tool
from tests.helpers.daemon import wait_until

_FILL_S = 60.0
_TARGET = Target(1.1)
_XML = """
<domain type='qemu'><name>{name}</name><memory unit='MiB'>800</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os><features><acpi/></features>
  <devices>
    <disk type='file' device='disk'><driver name='qemu' type='{format}'/><source file='{disk}'/>
      <target dev='vda' bus='virtio'/></disk>
    <controller type='usb' model='none'/><memballoon model='none'/>
    <serial type='file'><source path='{said}'/><target port='0'/></serial>
    <graphics type='vnc'><listen type='none'/></graphics><video><model type='vga'/></video>
  </devices>
</domain>"""


class _Vm:
    """A VM that runs and has filled its memory."""

    def __init__(self, stage: Stage, name: str, image_format: str) -> None:
        self.stage, self.name = stage, name
        self.folder = stage.folder / name
        self.folder.mkdir()
        raw = boot_sector("fill", self.folder)
        self.image = self.folder / f"disk.{image_format}"
        run_tool("qemu-img", "convert", "-f", "raw", "-O", image_format, "--", raw, self.image)
        run_tool("qemu-img", "resize", "-q", "-f", image_format, "--", self.image, "1G")
        said = self.folder / "said"
        xml = _XML.format(name=name, format=image_format, disk=self.image, said=said)
        self.domain: libvirt.virDomain = stage.world.connection.defineXML(xml)
        self.key = VmKey(stage.world.host, self.domain.UUIDString())
        stage.world.recorder.wait_for_state(self.key, VmState.OFF)
        self.domain.create()
        wait_until(lambda: said.exists() and said.stat().st_size > 0, "the guest to fill its memory", _FILL_S)

    def timed(self, notes: Notes, what: str, act: Act) -> None:
        """Note how long it takes; the VM runs afterwards."""
        note(notes, what, self.stage.timed(act))
        running = self.domain.state()[0] == libvirt.VIR_DOMAIN_RUNNING
        require(running, f"“{self.name}” does not run after “{what}”.")

    def timed_off(self, notes: Notes, what: str, act: Act) -> None:
        """The same from a VM that is off. Neither side is measured as it ends the VM."""
        self.end()
        self.timed(notes, what, act)

    def end(self) -> None:
        self.domain.destroy()
        self.stage.world.recorder.wait_for_state(self.key, VmState.OFF)


@contextmanager
def _vm(stage: Stage, name: str, image_format: str) -> Iterator[_Vm]:
    vm = _Vm(stage, name, image_format)
    yield vm
    # Only when all went well: else the stage ends with everything on it.
    if vm.domain.isActive():
        vm.end()
    vm.domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA)
    stage.forget(vm.key)
    shutil.rmtree(vm.folder)


# --- inside the images ------------------------------------------------------------------------------------

_TAKE = "inside images: take"
_BACK_OFF = "inside images: restore, VM off"
_BACK = "inside images: keep the present, restore, VM runs"
_STILL = "inside images: guest stands still"


def _ours_inside(stage: Stage, number: int, notes: Notes) -> None:
    world = stage.world
    with _vm(stage, f"ours{number}", "qcow2") as vm:
        vm.timed(notes, _TAKE, lambda: world.take(vm.key, "first"))
        require(world.tree(vm.key).mode is SnapshotMode.INTERNAL, "Snapshots were not taken inside the images.")
        first = world.titled(vm.key, "first")
        note(notes, _STILL, first.pause_s or 0.0)
        vm.timed(notes, _BACK, lambda: world.ask(rq.RestoreSnapshot(vm.key, first.id, "before")))
        vm.timed_off(notes, _BACK_OFF, lambda: world.ask(rq.RestoreSnapshot(vm.key, first.id)))


def _virsh_inside(stage: Stage, number: int, notes: Notes) -> None:
    virsh = stage.virsh
    with _vm(stage, f"virsh{number}", "qcow2") as vm:
        keep, back = f"snapshot-create-as {vm.name}", f"snapshot-revert {vm.name} first"
        vm.timed(notes, _TAKE, lambda: virsh.say(f"{keep} first"))
        note(notes, _STILL, notes[_TAKE][-1])
        vm.timed(notes, _BACK, lambda: virsh.say(f"{keep} before", back))
        vm.timed_off(notes, _BACK_OFF, lambda: virsh.say(back))


# --- in branches ------------------------------------------------------------------------------------------

_SAVE = "branches: take"
_LOAD_OFF = "branches: restore, VM off"
_LOAD = "branches: restore, VM runs"
_PAUSE = "branches: guest stands still"


def _ours_beside(stage: Stage, number: int, notes: Notes) -> None:
    world = stage.world
    with _vm(stage, f"ours{number}", "raw") as vm:
        vm.timed(notes, _SAVE, lambda: world.take(vm.key, "first"))
        require(world.tree(vm.key).mode is SnapshotMode.BRANCH, "Snapshots were not taken as files beside the images.")
        first = world.titled(vm.key, "first")
        require(first.has_memory, "The snapshot does not hold the memory.")
        note(notes, _PAUSE, first.pause_s or 0.0)
        vm.timed(notes, _LOAD, lambda: world.ask(rq.RestoreSnapshot(vm.key, first.id)))
        vm.timed_off(notes, _LOAD_OFF, lambda: world.ask(rq.RestoreSnapshot(vm.key, first.id)))


def _virsh_beside(stage: Stage, number: int, notes: Notes) -> None:
    virsh = stage.virsh
    with _vm(stage, f"virsh{number}", "raw") as vm:
        saved = vm.folder / "memory"
        load = f"restore {saved}"
        vm.timed(notes, _SAVE, lambda: virsh.say(f"save {vm.name} {saved}", load))
        note(notes, _PAUSE, notes[_SAVE][-1])
        vm.timed(notes, _LOAD, lambda: virsh.say(f"destroy {vm.name}", load))
        vm.timed_off(notes, _LOAD_OFF, lambda: virsh.say(load))


# --- all of it --------------------------------------------------------------------------------------------

LINES = (
    Line(_TAKE, "s", "virsh", _TARGET),
    Line(_BACK_OFF, "s", "virsh", _TARGET),
    Line(_BACK, "s", "virsh", _TARGET),
    Line(_STILL, "s", "virsh"),
    Line(_SAVE, "s", "virsh", _TARGET),
    Line(_LOAD_OFF, "s", "virsh", _TARGET),
    Line(_LOAD, "s", "virsh", _TARGET),
    Line(_PAUSE, "s", "virsh"),
)


def measure(stage: Stage, runs: int, chance: random.Random) -> Times:
    times = Times()
    for number, kept in rounds("snapshots inside the images", runs, times):
        in_turn(kept, partial(_ours_inside, stage, number), partial(_virsh_inside, stage, number), chance)
    for number, kept in rounds("snapshots in branches", runs, times):
        in_turn(kept, partial(_ours_beside, stage, number), partial(_virsh_beside, stage, number), chance)
    return times
