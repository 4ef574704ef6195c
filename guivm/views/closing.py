"""The question before the main window closes. Imported then, and not on the way to the list."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QWidget

from guivm.engine.jobs import JobInfo
from guivm.engine.types import VmInfo
from guivm.views import formats
from guivm.views.dialogs.confirm import ConfirmDialog
from guivm.views.settings import TOLD_VMS_KEEP_RUNNING, Settings


def closing_question(
    jobs: Sequence[JobInfo], vms: Sequence[VmInfo], settings: Settings, parent: QWidget
) -> ConfirmDialog | None:
    """A question to be opened, or None where the window can just close. GUI thread.

    Work under way is asked about each time; that VMs go on running is said once.
    """
    tr = QCoreApplication.translate
    active = [vm for vm in vms if vm.state.is_active]
    if jobs:
        title = tr("Closing", "Close while guivm is working?")
        text = formats.counted(
            len(jobs),
            tr("Closing", "“{title}” is not finished, and may be left undone.").format(title=jobs[0].title),
            tr("Closing", "{n} jobs are not finished, and may be left undone."),
        )
    elif active and not settings.get(TOLD_VMS_KEEP_RUNNING):
        title = tr("Closing", "Close guivm?")
        text = formats.counted(
            len(active),
            tr("Closing", "One virtual machine goes on running without the window. Open guivm again to see it."),
            tr("Closing", "{n} virtual machines go on running without the window. Open guivm again to see them."),
        )
    else:
        return None
    dialog = ConfirmDialog(title, text, tr("Closing", "Close"), parent, destructive=bool(jobs))
    if not jobs:
        dialog.accepted.connect(partial(settings.set, TOLD_VMS_KEEP_RUNNING, True))
    return dialog
