"""May a VM be started? Asked before each start. Worker only; cheap for a VM without snapshots of ours."""

from __future__ import annotations

import stat
from pathlib import Path

from guivm.engine.context import HandlerContext
from guivm.engine.snapshots import journal, store
from guivm.engine.snapshots.executing import held
from guivm.engine.snapshots.health import chain_problems
from guivm.engine.snapshots.reading import read_graph, resolved
from guivm.engine.snapshots.support import written_disks
from guivm.engine.types import VmKey
from guivm.engine.xml.domain import DomainXml
from guivm.errors import ImageError, InUseError, WrongStateError
from guivm.text import clean_line


def require_startable(context: HandlerContext, key: VmKey) -> None:
    """What :func:`refuse_unstartable` raises. What was cut short is settled first."""
    from guivm.engine.cloning.disposable import has_run

    folder = store.folder_of(context.images_dir, key.uuid)
    if (folder / journal.JOURNAL_NAME).exists() or has_run(context, key.uuid):
        with held(context, key, clean_line(str(context.domain(key).name()))):
            pass
    refuse_unstartable(context, key)


def refuse_unstartable(context: HandlerContext, key: VmKey) -> None:
    """Raises WrongStateError for a template, InUseError for images that others need as they are, ImageError for images
    that are not whole. Nothing is changed."""
    import libvirt

    domain = context.domain(key)
    name = clean_line(str(domain.name()))
    tree = store.load(context.images_dir, key.uuid)
    if tree is not None and tree.is_template:
        raise WrongStateError(f"“{name}” is a template.", advice="Clone it, and start the clone.")
    if context.connection.getType() != "QEMU":
        return
    document = DomainXml.parse(str(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)))
    for disk in written_disks(document):
        if not disk.path or disk.type not in (None, "file"):
            continue
        path = resolved(disk.path)
        if is_frozen(path):
            _refuse_frozen(context, key, path)
        if tree is not None:
            for problem in chain_problems(path, disk.driver_type or ""):
                raise ImageError(f"“{name}” cannot be started. {problem}", advice="See its snapshots.")


def is_frozen(path: str) -> bool:
    """Whether nobody may write to the file: what :class:`~guivm.engine.snapshots.steps.Freeze` does."""
    try:
        mode = Path(path).stat().st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) and not mode & 0o222


def _refuse_frozen(context: HandlerContext, key: VmKey, path: str) -> None:
    """A file may be read-only for other reasons: it is refused only when somebody needs it."""
    graph = read_graph(context)
    needing = [h for h in graph.readers_of(path) if h.uuid != key.uuid or not h.is_current]
    if not needing:
        return
    who = ", ".join(
        dict.fromkeys(f"“{h.vm_name}”" if h.uuid != key.uuid else f"its snapshot “{h.title}”" for h in needing[:20])
    )
    raise InUseError(
        f"“{clean_line(Path(path).name)}” must not be written: {who} needs it as it is.",
        advice="Delete what needs it first, or clone this virtual machine.",
        details=path,
    )
