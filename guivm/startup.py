"""What is put off, spared or shared out until the first list is there. Nothing here changes what guivm does.

Each figure is of a start with ten VMs, of about 250 ms, on the computer it was measured on.
"""

from __future__ import annotations

import gc
import sys

# Python's own is 5 ms: a thread that comes back from libvirt waits that long for each of its answers while the GUI
# thread imports Qt.
_SWITCH_S = 0.001
_PYTHONS_SWITCH_S = 0.005


def hurry() -> None:
    """No search for garbage (5 ms; what is made now stays) until :mod:`guivm.views.garbage` takes it over, and shorter
    turns of the threads until :func:`settle`."""
    gc.disable()
    sys.setswitchinterval(_SWITCH_S)


def settle() -> None:
    """The window is there: Python's own turns again. What has been made so far is no longer searched for garbage."""
    sys.setswitchinterval(_PYTHONS_SWITCH_S)
    gc.freeze()


def spare_feature_search() -> None:
    """Keep PySide6 from reading the source of every module imported after it (15 ms, and the texts stay in memory).

    Its shibokensupport.feature looks there for the word PySide6, to know to which modules ``from __feature__ import``
    may apply. guivm has no use for those features, and without them what is found is never asked for.
    """
    import shiboken6  # noqa: F401  (brings shibokensupport)

    try:
        from shibokensupport import feature  # type: ignore[import-not-found]
    except ImportError:  # another version of PySide6 may keep it elsewhere; then it reads
        return
    if hasattr(feature, "feature_imported"):
        feature.feature_imported = _nothing_to_find


def _nothing_to_find(module: object) -> None:
    return None
