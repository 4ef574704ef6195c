"""Plans for a VM whose snapshots are branches, and for linked clones and templates: all planners. Pure.

Each takes the graph of the host's files, the VM's tree and an :class:`Environment`, and answers a
:class:`~guivm.engine.snapshots.steps.Plan`. What cannot be done is a plan without steps whose ``shown.refused`` says
why and names the file. No planner invents an identity, a time or a path, apart from the names of ``naming.py``.
"""

from __future__ import annotations

from guivm.engine.snapshots.environment import Environment, NewSnapshot
from guivm.engine.snapshots.planning_clones import CloneTarget, plan_detach, plan_linked_clone, plan_template
from guivm.engine.snapshots.planning_delete import plan_delete
from guivm.engine.snapshots.planning_restore import plan_restore, plan_undo_restore
from guivm.engine.snapshots.planning_take import plan_take

__all__ = [
    "CloneTarget",
    "Environment",
    "NewSnapshot",
    "plan_delete",
    "plan_detach",
    "plan_linked_clone",
    "plan_restore",
    "plan_take",
    "plan_template",
    "plan_undo_restore",
]
