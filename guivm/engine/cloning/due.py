"""A guest that still has the identity of its source, as the list reads it: how far that is, why, what a person can do.

No libvirt and no lxml: the list needs it at once. Who writes it: :mod:`identity` and :mod:`sysprep`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guivm.engine.types import IdentityDue, IdentityState
from guivm.text import clean_line

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from lxml import etree

LINUX_BY_HAND = (
    "In the guest, as root: empty /etc/machine-id, remove /etc/ssh/ssh_host_* and run “ssh-keygen -A”, write the new "
    "name to /etc/hostname, then restart it."
)
WINDOWS_BY_HAND = (
    "Disconnect its network card, run “C:\\Windows\\System32\\Sysprep\\sysprep.exe /generalize /oobe /reboot” in it as "
    "an administrator, and connect the card again when it has restarted."
)
BY_HAND = "by-hand"
"""The stage of a guest that nobody but a person can change."""

_GUIVM = "metadata/{https://guivm.org/xmlns/domain/1}settings/{https://guivm.org/xmlns/domain/1}identity"
_LIBOSINFO = "{http://libosinfo.org/xmlns/libvirt/domain/1.0}"
_OS = f"metadata/{_LIBOSINFO}libosinfo/{_LIBOSINFO}os"
_WHY_LIMIT = 600


def due_of(root: etree._Element | Element) -> IdentityDue | None:
    """What a definition says. None: nothing is due."""
    found = root.find(_GUIVM)
    if found is None or found.get("hostName") is None:
        return None
    stage = found.get("stage", "")
    why = clean_line(found.get("why", ""), _WHY_LIMIT)
    windows = _is_windows(root)
    steps = WINDOWS_BY_HAND if windows else LINUX_BY_HAND
    if stage in ("runs", "sealed"):
        return IdentityDue(IdentityState.RUNS, why, steps)
    if stage or why:
        return IdentityDue(IdentityState.FAILED, why, steps)
    return IdentityDue(IdentityState.WAITS, "", steps)


def _is_windows(root: etree._Element | Element) -> bool:
    """As :func:`guivm.engine.cloning.identity.is_windows` finds it."""
    told = root.find(_OS)
    os_id = told.get("id", "") if told is not None else ""
    if os_id:
        return "microsoft.com" in os_id.lower()
    hyperv = root.find("features/hyperv")
    return hyperv is not None and (hyperv.get("mode") is not None or hyperv.find("relaxed") is not None)
