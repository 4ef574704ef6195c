"""Snapshots with memory, and going back to them: inside the images beside virsh's own, in branches beside its save and
restore.

All VMs are made alike: 768 MiB of memory of which each page holds something, and a disk of 1 GiB. Inside the images
both sides take turns on one VM; in branches, where they leave different files, on one each. What a side has made is
removed before the next turn, but for what ours keeps for Undo. The times are whole requests of ours (with the screen's
picture, our notes and what is looked at before and afterwards) and whole commands of virsh.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import libvirt

from guivm import paths
from guivm.engine import requests as rq
from guivm.engine import trash
from guivm.engine.snapshots import store
from guivm.engine.snapshots.values import SnapshotMode
from guivm.engine.types import VmKey, VmState
from tests.bench.console_guest import boot_sector
from tests.bench.report import Target
from tests.bench.snapshots_stage import (
    Act,
    Line,
    Notes,
    Stage,
    Times,
    in_turn,
    note,
    require,
    rounds,
    run_tool,
    settled,
)
from tests.helpers.daemon import wait_until

_FILL_S = 60.0
_TARGET = Target(1.1)
_TAKE_PAIRS = 5  # per run
_BACK_OFF_PAIRS = 3
_BACK_PAIRS = 3
_BESIDE_PAIRS = 3
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


class _Inside:
    """A VM with the snapshot that both sides go back to, and the turns of either side on it."""

    def __init__(self, stage: Stage, vm: _Vm) -> None:
        self._stage, self._world, self._vm = stage, stage.world, vm
        self._first = self._world.take(vm.key, "first")
        require(self._world.tree(vm.key).mode is SnapshotMode.INTERNAL, "Snapshots were not taken inside the images.")

    def ours_take(self, notes: Notes) -> None:
        self._vm.timed(notes, _TAKE, lambda: self._world.take(self._vm.key, "ours"))
        note(notes, _STILL, self._world.titled(self._vm.key, "ours").pause_s or 0.0)
        self._forget_ours("ours")

    def virsh_take(self, notes: Notes) -> None:
        self._vm.timed(notes, _TAKE, lambda: self._stage.virsh.say(f"snapshot-create-as {self._vm.name} virsh"))
        note(notes, _STILL, notes[_TAKE][-1])
        self._forget_virsh("virsh")

    def ours_back(self, notes: Notes) -> None:
        self._vm.timed(notes, _BACK, partial(self._restore, "before"))
        self._forget_ours("before")

    def virsh_back(self, notes: Notes) -> None:
        keep, back = f"snapshot-create-as {self._vm.name} before", f"snapshot-revert {self._vm.name} {self._first}"
        self._vm.timed(notes, _BACK, lambda: self._stage.virsh.say(keep, back))
        self._forget_virsh("before")

    def ours_back_off(self, notes: Notes) -> None:
        self._vm.timed_off(notes, _BACK_OFF, self._restore)  # what Undo had goes, and what it has now stays

    def virsh_back_off(self, notes: Notes) -> None:
        back = f"snapshot-revert {self._vm.name} {self._first}"
        self._vm.timed_off(notes, _BACK_OFF, lambda: self._stage.virsh.say(back))

    def _restore(self, keep: str = "") -> None:
        self._world.ask(rq.RestoreSnapshot(self._vm.key, self._first, keep))

    def _forget_ours(self, title: str) -> None:
        self._world.ask(rq.DeleteSnapshots(self._vm.key, (self._world.titled(self._vm.key, title).id,)))

    def _forget_virsh(self, name: str) -> None:
        self._stage.virsh.say(f"snapshot-delete {self._vm.name} {name}")


def _measure_inside(stage: Stage, runs: int, chance: random.Random, times: Times) -> None:
    with _vm(stage, "inside", "qcow2") as vm:
        inside = _Inside(stage, vm)
        for what, pairs, ours, virsh in (
            (_TAKE, _TAKE_PAIRS, inside.ours_take, inside.virsh_take),
            (_BACK_OFF, _BACK_OFF_PAIRS, settled(inside.ours_back_off), settled(inside.virsh_back_off)),
            (_BACK, _BACK_PAIRS, settled(inside.ours_back), settled(inside.virsh_back)),
        ):
            for _, kept in rounds(what, pairs * runs, times):
                in_turn(kept, ours, virsh, chance)


# --- in branches ------------------------------------------------------------------------------------------

_SAVE = "branches: take"
_LOAD_OFF = "branches: restore, VM off"
_LOAD = "branches: restore, VM runs"
_PAUSE = "branches: guest stands still"


class _Ours:
    """Our turns on a VM with a snapshot to go back to, which stays."""

    def __init__(self, stage: Stage, vm: _Vm) -> None:
        self._world, self._vm = stage.world, vm
        self._first = self._world.take(vm.key, "first")
        require(
            self._world.tree(vm.key).mode is SnapshotMode.BRANCH, "Snapshots were not taken as files beside the images."
        )
        require(self._world.titled(vm.key, "first").has_memory, "The snapshot does not hold the memory.")

    def take(self, notes: Notes) -> None:
        self._vm.timed(notes, _SAVE, lambda: self._world.take(self._vm.key, "new"))
        note(notes, _PAUSE, self._world.titled(self._vm.key, "new").pause_s or 0.0)

    def load(self, notes: Notes) -> None:
        self._vm.timed(notes, _LOAD, self._restore)

    def load_off(self, notes: Notes) -> None:
        self._vm.timed_off(notes, _LOAD_OFF, self._restore)

    def _restore(self) -> None:
        self._world.ask(rq.RestoreSnapshot(self._vm.key, self._first))

    def tidy(self) -> None:
        """Remove what was taken, and empty the trash, as its age does some time: memory is large."""
        self._world.ask(rq.DeleteSnapshots(self._vm.key, (self._world.titled(self._vm.key, "new").id,)))
        for folder in (self._vm.folder, store.folder_of(paths.images_dir(), self._vm.key.uuid)):
            shutil.rmtree(folder / trash.TRASH_NAME, ignore_errors=True)


class _Virshs:
    """Those of virsh on its VM, with a saved state to go back to."""

    def __init__(self, stage: Stage, vm: _Vm) -> None:
        self._virsh, self._vm = stage.virsh, vm
        self._saved = vm.folder / "memory"
        self._load = f"restore {self._saved}"

    def take(self, notes: Notes) -> None:
        self._vm.timed(notes, _SAVE, lambda: self._virsh.say(f"save {self._vm.name} {self._saved}", self._load))
        note(notes, _PAUSE, notes[_SAVE][-1])

    def load(self, notes: Notes) -> None:
        self._vm.timed(notes, _LOAD, lambda: self._virsh.say(f"destroy {self._vm.name}", self._load))

    def load_off(self, notes: Notes) -> None:
        self._vm.timed_off(notes, _LOAD_OFF, lambda: self._virsh.say(self._load))

    def tidy(self) -> None:
        """When ours does: who has just freed memory finds it at hand."""
        self._saved.unlink()


def _measure_beside(stage: Stage, runs: int, chance: random.Random, times: Times) -> None:
    with _vm(stage, "ours", "raw") as one, _vm(stage, "virsh", "raw") as other:
        ours, virsh = _Ours(stage, one), _Virshs(stage, other)
        for _, kept in rounds("snapshots in branches", _BESIDE_PAIRS * runs, times):
            in_turn(kept, settled(ours.take), settled(virsh.take), chance)
            in_turn(kept, settled(ours.load), settled(virsh.load), chance)
            in_turn(kept, settled(ours.load_off), settled(virsh.load_off), chance)
            ours.tidy()
            virsh.tidy()


# --- all of it --------------------------------------------------------------------------------------------

LINES = (
    Line(_TAKE, "s", "virsh", _TARGET, is_paired=True),
    Line(_BACK_OFF, "s", "virsh", _TARGET, is_paired=True),
    Line(_BACK, "s", "virsh", _TARGET, is_paired=True),
    Line(_STILL, "s", "virsh", is_paired=True),
    Line(_SAVE, "s", "virsh", _TARGET, is_paired=True),
    Line(_LOAD_OFF, "s", "virsh", _TARGET, is_paired=True),
    Line(_LOAD, "s", "virsh", _TARGET, is_paired=True),
    Line(_PAUSE, "s", "virsh", is_paired=True),
)


def measure(stage: Stage, runs: int, chance: random.Random) -> Times:
    times = Times()
    _measure_inside(stage, runs, chance, times)
    _measure_beside(stage, runs, chance, times)
    return times
