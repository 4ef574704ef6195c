"""The requests about clones and templates. Worker only.

The plan that is shown and the one that is carried out are made by the same code; the latter under the lock of the
source's files, from what is there then.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from pathlib import Path

from guivm.engine.cloning import identity
from guivm.engine.cloning.looking import Prepared, prepare, why_not_here
from guivm.engine.cloning.planning import CloneSource, plan_full_clone
from guivm.engine.context import HandlerContext
from guivm.engine.libvirt_errors import is_connection_lost
from guivm.engine.operations import checked_name
from guivm.engine.requests import CloneVm, DetachClone, SetTemplate
from guivm.engine.snapshots import support
from guivm.engine.snapshots.branches import Surroundings, look
from guivm.engine.snapshots.executing import held, perform
from guivm.engine.snapshots.planning import NewSnapshot, plan_detach, plan_linked_clone, plan_template
from guivm.engine.snapshots.reading import holds_data
from guivm.engine.snapshots.situation import Situation, read_situation
from guivm.engine.snapshots.steps import Plan
from guivm.engine.snapshots.values import (
    ClonedVm,
    CloneKind,
    CloneSpec,
    IdentityPolicy,
    OperationPlan,
    SnapshotId,
    SnapshotMode,
)
from guivm.engine.types import VmKey
from guivm.engine.xml.domain import DomainXml
from guivm.errors import GuivmError, ImageError, InUseError, NoSpaceError, OperationError, UnsupportedError
from guivm.text import clean_line

_QUIET_PAUSE_S = 0.05
_INSIDE = "Its snapshots are inside its images, which it goes on writing to."


@dataclass(frozen=True, slots=True)
class _Planned:
    plan: Plan
    uuid: str = ""
    remarks: tuple[str, ...] = ()


def clone_vm(context: HandlerContext, request: CloneVm) -> ClonedVm:
    """Handler of CloneVm. Raises GuivmError; then there is no clone, and nothing of one."""
    spec = replace(request.spec, name=checked_name(request.spec.name))
    _require_here(context)
    with held(context, request.key, request.key.uuid) as folder:
        seen = read_situation(context, request.key)
        made = _plan_clone(context, seen, spec)
        _refuse(made.plan.shown)
        run = perform(context, request.key, folder, seen.name, made.plan)
        key = VmKey(request.key.host, made.uuid)
        told = identity.reset(context, key) if spec.identity is IdentityPolicy.RESET else ()
    name = clean_line(str(context.domain(key).name()))  # another, when that one was taken meanwhile
    if run.paused_s >= _QUIET_PAUSE_S:
        told = (*told, f"The source stood still for {run.paused_s:.1f} s.")
    remarks = (*made.remarks, *made.plan.shown.warnings, *run.remarks, *told)
    return ClonedVm(key, name, tuple(dict.fromkeys(remarks)))


def set_template(context: HandlerContext, request: SetTemplate) -> None:
    """Handler of SetTemplate. Raises GuivmError; then all is as before."""
    _require_here(context)
    with held(context, request.key, request.key.uuid) as folder:
        seen = read_situation(context, request.key)
        around = look(context, seen)
        made = plan_template(around.graph, around.tree, around.env, request.on)
        _refuse(made.shown)
        perform(context, request.key, folder, seen.name, made)


def detach_clone(context: HandlerContext, request: DetachClone) -> None:
    """Handler of DetachClone. Raises GuivmError; the images read the same before, after and between."""
    _require_here(context)
    with held(context, request.key, request.key.uuid) as folder:
        seen = read_situation(context, request.key)
        around = look(context, seen)
        made = plan_detach(around.graph, around.tree, around.env)
        _refuse(made.shown)
        perform(context, request.key, folder, seen.name, made)


def plan(context: HandlerContext, seen: Situation, request: CloneVm | SetTemplate | DetachClone) -> OperationPlan:
    """What a request would do; nothing is changed. A refusal is in the plan."""
    title = _title(request)
    here = why_not_here(context)
    if here:
        return OperationPlan(seen.key, title, refused=here)
    try:
        match request:
            case CloneVm(spec=spec):
                made = _plan_clone(context, seen, replace(spec, name=checked_name(spec.name)))
                warnings = tuple(dict.fromkeys((*made.plan.shown.warnings, *made.remarks)))
                return replace(made.plan.shown, warnings=warnings)
            case SetTemplate(on=on):
                around = look(context, seen)
                return plan_template(around.graph, around.tree, around.env, on).shown
            case DetachClone():
                around = look(context, seen)
                return plan_detach(around.graph, around.tree, around.env).shown
    except GuivmError as error:
        return OperationPlan(seen.key, title, refused=error.summary, advice=error.advice)


def _title(request: CloneVm | SetTemplate | DetachClone) -> str:
    match request:
        case CloneVm(spec=spec):
            return f"Make the clone “{clean_line(spec.name)}”"
        case SetTemplate(on=on):
            return "Convert to a template" if on else "Convert back to an ordinary virtual machine"
        case DetachClone():
            return "Detach from the images of other virtual machines"


def _require_here(context: HandlerContext) -> None:
    why = why_not_here(context)
    if why:
        raise UnsupportedError(why)


def _refuse(shown: OperationPlan) -> None:
    """Raises what the plan is refused for."""
    if not shown.refused:
        return
    if shown.needs_bytes > shown.free_bytes > 0:
        raise NoSpaceError(shown.refused, advice=shown.advice)
    raise InUseError(shown.refused, advice=shown.advice)


# --- clones -----------------------------------------------------------------------------------------------


def _plan_clone(context: HandlerContext, seen: Situation, spec: CloneSpec) -> _Planned:
    """Raises GuivmError where there is no plan to speak of, libvirtError."""
    _require_free_name(context, spec.name)
    around = look(context, seen)
    linked = spec.kind is CloneKind.LINKED
    if linked:
        _require_linkable(seen)
    prepared = prepare(context, around, spec, linked=linked)
    around = replace(around, env=prepared.env)
    if linked:
        made = _plan_linked(around, spec, prepared)
    else:
        made = plan_full_clone(around.graph, around.tree, around.env, prepared.target, prepared.source)
    return _Planned(made, prepared.target.uuid, prepared.remarks)


def _require_free_name(context: HandlerContext, name: str) -> None:
    import libvirt

    try:
        context.connection.lookupByName(name)
    except libvirt.libvirtError as error:
        if is_connection_lost(error):
            raise
        return
    raise OperationError(f"The name “{name}” is in use on this host.", advice="Choose another name.")


def _require_linkable(seen: Situation) -> None:
    """Raises UnsupportedError where images cannot be frozen for a clone."""
    why = ""
    if seen.mode is SnapshotMode.INTERNAL:
        why = _INSIDE
    elif seen.mode is SnapshotMode.FOREIGN:
        why = "Its snapshots were made by another tool."
    elif not seen.platform.files_here:
        why = "You may not change its images, and they would have to be protected for the clone."
    else:
        why = support.why_not_branch(DomainXml.parse(seen.xml), seen.platform)
    if why:
        raise UnsupportedError(f"A linked clone of “{seen.name}” is not possible. {why}", advice="Make a full clone.")


def _plan_linked(around: Surroundings, spec: CloneSpec, prepared: Prepared) -> Plan:
    snapshot = spec.snapshot
    if snapshot is None and not around.tree.is_template:
        snapshot = _unchanged_since(around, prepared.source)
    base = None
    if snapshot is None and not around.tree.is_template:
        base = NewSnapshot(SnapshotId(secrets.token_hex(8)), clean_line(f"Base of {spec.name}", 80))
    return plan_linked_clone(around.graph, around.tree, around.env, prepared.target, snapshot, base)


def _unchanged_since(around: Surroundings, source: CloneSource) -> SnapshotId | None:
    """The snapshot whose images hold all that the VM's disks do, so that it need not be taken once more."""
    if around.env.runs or around.tree.current is None:
        return None
    snapshot = around.tree.find(around.tree.current)
    if snapshot is None:
        return None
    below = {disk.target: disk.path for disk in snapshot.disks if disk.written}
    own = [disk for disk in source.disks if disk.written]
    if {disk.target for disk in own} != set(below):
        return None
    try:
        for disk in own:
            image = around.graph.images.get(disk.path)
            if image is None or image.backing != below[disk.target] or holds_data(disk.path):
                return None
    except ImageError:
        return None
    if not _same(source.nvram, snapshot.nvram):
        return None
    return snapshot.id


def _same(one: str, other: str) -> bool:
    """Whether two files of firmware variables hold the same; both may be none."""
    if not one or not other:
        return one == other
    try:
        return Path(one).read_bytes() == Path(other).read_bytes()
    except OSError:
        return False
