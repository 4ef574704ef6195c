"""Which VMs are templates, told quickly, for the list. No libvirt; worker or control thread only.

That is kept in the VM's tree of snapshots (:mod:`guivm.engine.snapshots.store`), whose first fields it is among: the
beginning of the file is enough, and the tree, which may be long, is read only where that does not look as usual.
"""

from __future__ import annotations

import re
from pathlib import Path

from guivm.errors import OperationError

# As guivm.engine.snapshots.store has them, which is not imported before a VM has snapshots.
FOLDER = ".guivm-snapshots"
TREE_NAME = "tree.json"

_HEAD_BYTES = 8192
_TEXT = rb'"(?:[^"\\]|\\.)*+"'
_HEAD = re.compile(
    rb'\{"version":\d++,"uuid":(?P<uuid>' + _TEXT + rb'),"vm_name":' + _TEXT + rb',"current":(?:null|' + _TEXT + rb"),"
    rb'"is_template":(?P<on>true|false),'
)


def is_marked(images_dir: Path, uuid: str) -> bool:
    """Whether the VM is a template; False where that cannot be read, which is told when it is started."""
    try:
        with open(f"{images_dir}/{FOLDER}/{uuid}/{TREE_NAME}", "rb") as stream:  # noqa: PTH123  (of every VM in the list)
            found = _HEAD.match(stream.read(_HEAD_BYTES))
    except OSError:
        return False
    if found is not None and found["uuid"] == f'"{uuid}"'.encode():
        return found["on"] == b"true"
    from guivm.engine.snapshots import store

    try:
        tree = store.load(images_dir, uuid)
    except OperationError:
        return False
    return tree is not None and tree.is_template
