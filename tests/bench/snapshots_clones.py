"""Clones: full ones beside ``qemu-img convert``, linked ones beside an overlay and a definition made by hand.

The source of a full clone holds 2 GiB in pieces of 1 MiB all over 20 GiB; those of linked ones are 50 GiB large and
hold 64 MiB. Ours are whole requests: looking, planning, copying, checking, defining the VM.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from guivm.engine import requests as rq
from guivm.engine.snapshots.values import ClonedVm, CloneKind, CloneSpec
from guivm.engine.types import VmKey, VmState
from tests.bench.report import Target, TargetOn
from tests.bench.snapshots_stage import Line, Notes, Stage, Times, in_turn, note, require, rounds, run_tool, settled

_FULL_PAIRS = 6  # per run: at most 5 % are to be seen, and one run differs from the next by more
_FULL = "full clone, 2 GiB of data"
_LINKED = "linked clone of 50 GB, first (freezes the source)"
_LINKED_AGAIN = "linked clone of 50 GB, next"

_XML = """
<domain type='qemu'><name>{name}</name><uuid>{uuid}</uuid><memory unit='MiB'>64</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices><disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{disk}'/>
    <target dev='vda' bus='virtio'/></disk></devices>
</domain>"""


def _image(path: Path, size: str, data_mib: int, step_mib: int) -> None:
    """A qcow2 image with pieces of data of 1 MiB, ``step_mib`` apart."""
    run_tool("qemu-img", "create", "-q", "-f", "qcow2", "--", path, size)
    pieces = []
    for number in range(data_mib):
        pieces += ["-c", f"write -q -P {number % 255 + 1} {number * step_mib}M 1M"]
    run_tool("qemu-io", "-f", "qcow2", *pieces, path)


def _define(stage: Stage, name: str, disk: Path) -> VmKey:
    domain = stage.world.connection.defineXML(_XML.format(name=name, uuid=uuid.uuid4(), disk=disk))
    key = VmKey(stage.world.host, domain.UUIDString())
    stage.world.recorder.wait_for_state(key, VmState.OFF)
    return key


def _clone(stage: Stage, key: VmKey, name: str, kind: CloneKind) -> ClonedVm:
    made = stage.world.ask(rq.CloneVm(key, CloneSpec(name, kind)))
    require(made.name == name, "The clone has another name.")
    return made


def _remove(stage: Stage, *keys: VmKey) -> None:
    """The VMs, and their images."""
    for key in keys:
        disk = stage.world.disk(key)
        stage.world.domain(key).undefine()
        stage.forget(key)
        Path(disk).unlink()


# --- full -------------------------------------------------------------------------------------------------


def _ours_full(stage: Stage, source: VmKey, number: int, notes: Notes) -> None:
    name = f"ours{number}"
    note(notes, _FULL, stage.timed(partial(_clone, stage, source, name, CloneKind.FULL)))
    made = stage.world.connection.lookupByName(name)
    _remove(stage, VmKey(source.host, made.UUIDString()))


def _qemu_img_full(stage: Stage, source: VmKey, number: int, notes: Notes) -> None:
    disk, target = stage.world.disk(source), stage.folder / f"peer{number}.qcow2"

    def convert() -> None:
        run_tool("qemu-img", "convert", "-f", "qcow2", "-O", "qcow2", "--", disk, target)
        if stage.on_disk:  # where ours is when it is done
            run_tool("sync", target)

    note(notes, _FULL, stage.timed(convert))
    target.unlink()


# --- linked -----------------------------------------------------------------------------------------------


@contextmanager
def _large(stage: Stage, name: str) -> Iterator[VmKey]:
    disk = stage.folder / f"{name}.qcow2"
    _image(disk, "50G", 64, 750)
    key = _define(stage, name, disk)
    yield key
    _remove(stage, key)
    disk.unlink(missing_ok=True)  # the frozen one, below what the VM was on


def _ours_linked(stage: Stage, number: int, notes: Notes) -> None:
    with _large(stage, f"large{number}") as source:
        clones = []
        for what, name in ((_LINKED, f"first{number}"), (_LINKED_AGAIN, f"next{number}")):
            note(notes, what, stage.timed(partial(_clone, stage, source, name, CloneKind.LINKED)))
            clones.append(VmKey(source.host, stage.world.connection.lookupByName(name).UUIDString()))
        _remove(stage, *clones)


def _by_hand_linked(stage: Stage, number: int, notes: Notes) -> None:
    with _large(stage, f"plain{number}") as source:
        base, clones = stage.world.disk(source), []
        for what, name in ((_LINKED, f"one{number}"), (_LINKED_AGAIN, f"two{number}")):
            disk, definition, identity = stage.folder / f"{name}.qcow2", stage.folder / f"{name}.xml", uuid.uuid4()
            definition.write_text(_XML.format(name=name, uuid=identity, disk=disk), "utf-8")

            def link(disk: Path = disk, definition: Path = definition) -> None:
                run_tool("qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", "--", disk)
                stage.virsh.say(f"define {definition}")

            note(notes, what, stage.timed(link))
            clones.append(VmKey(source.host, str(identity)))
        _remove(stage, *clones)


# --- all of it --------------------------------------------------------------------------------------------

_SECOND = Target(1.0, TargetOn.OURS)
LINES = (
    Line(_FULL, "s", "qemu-img", Target(1.05), is_paired=True),
    Line(_LINKED, "s", "qemu-img, virsh", _SECOND),
    Line(_LINKED_AGAIN, "s", "qemu-img, virsh", _SECOND),
)


def measure(stage: Stage, runs: int, chance: random.Random) -> Times:
    disk = stage.folder / "source.qcow2"
    _image(disk, "20G", 2048, 10)
    source = _define(stage, "source", disk)
    times = Times()
    for number, kept in rounds("full clones", _FULL_PAIRS * runs, times):
        ours, peer = partial(_ours_full, stage, source, number), partial(_qemu_img_full, stage, source, number)
        in_turn(kept, settled(ours), settled(peer), chance)
    for number, kept in rounds("linked clones", runs, times):
        in_turn(kept, partial(_ours_linked, stage, number), partial(_by_hand_linked, stage, number), chance)
    return times
