"""Templates: VMs that are only cloned. What is asked before a VM is started or changed. Worker only."""

from __future__ import annotations

from typing import NoReturn

from guivm.engine.context import HandlerContext
from guivm.engine.snapshots import store
from guivm.engine.types import VmKey
from guivm.errors import WrongStateError
from guivm.text import clean_line


def is_template(context: HandlerContext, key: VmKey) -> bool:
    """Raises OperationError when what is kept of the VM cannot be read."""
    if not context.host.is_local:
        return False
    tree = store.load(context.images_dir, key.uuid)
    return tree is not None and tree.is_template


def require_no_template(context: HandlerContext, key: VmKey) -> None:
    """Raises WrongStateError for a template, which is neither started nor changed; OperationError."""
    if is_template(context, key):
        refuse_template(clean_line(str(context.domain(key).name())))


def refuse_template(name: str) -> NoReturn:
    """Raises WrongStateError."""
    raise WrongStateError(
        f"“{name}” is a template: it can only be cloned.",
        advice="Clone it, or convert it back to an ordinary virtual machine first.",
    )
