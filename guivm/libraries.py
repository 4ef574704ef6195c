"""The shared libraries of libvirt and Qt, opened on another core while Python imports what comes before them.

Python holds its lock while it opens an extension module, and nearly all of that time goes into relocating the libraries
behind it: 15 ms for libvirt's, 20 ms for Qt's. A foreign call holds no lock. What is open already is opened at once, so
a start of 200 ms is 20 ms shorter where there are two cores. Nothing depends on it: what cannot be found or opened here
is opened, or reported, by the import that wants it.

This module comes first of all and imports only what Python has imported already.
"""

from __future__ import annotations

import os
import sys
from _frozen_importlib_external import PathFinder  # what importlib.machinery names, without its 1 ms
from _thread import LockType, allocate_lock, start_new_thread

TYPE_CHECKING = False  # typing itself would be 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable

_RTLD_NOW = 2  # dlfcn.h; what Python opens extension modules with
_MODULES = ("libvirtmod", "shiboken6.Shiboken", "PySide6.QtCore", "PySide6.QtGui", "PySide6.QtWidgets", "PySide6.QtSvg")
_PLUGINS = "Qt/plugins/platforms"


def open_ahead() -> None:
    """Begin; answers at once. The order is that in which a start with a window needs them."""
    if sys.platform == "linux" and (os.cpu_count() or 1) > 1:
        begun = allocate_lock()
        begun.acquire()
        start_new_thread(_open, (_files(), begun))
        begun.acquire()  # else it would wait for Python's lock as long as the next imports take


def _files() -> list[bytes]:
    """Paths of what is installed, without importing any of it."""
    files: list[bytes] = []
    for name in _MODULES:
        package, _, module = name.rpartition(".")
        folder = _folder(package) if package else None
        if package and folder is None:
            continue
        spec = PathFinder.find_spec(module, None if folder is None else [folder])
        if spec is not None and spec.origin is not None:
            files.append(os.fsencode(spec.origin))
    folder = _folder("PySide6")
    if folder is not None:
        files.append(os.fsencode(f"{folder}/{_PLUGINS}/libq{_platform()}.so"))
    return files


def _folder(package: str) -> str | None:
    spec = PathFinder.find_spec(package)
    places = None if spec is None else spec.submodule_search_locations
    return next(iter(places), None) if places else None


def _platform() -> str:
    """Qt's platform plugin, as QGuiApplication chooses it where nobody says otherwise."""
    asked = os.environ.get("QT_QPA_PLATFORM", "").partition(";")[0].partition(":")[0]
    if asked.isalnum():
        return asked
    return "wayland" if os.environ.get("XDG_SESSION_TYPE") == "wayland" else "xcb"


def _open(files: list[bytes], begun: LockType) -> None:
    try:
        dlopen = _dlopen()
    except (ImportError, OSError):  # a Python without foreign calls
        return
    finally:
        begun.release()
    for file in files:
        dlopen(file, _RTLD_NOW)


def _dlopen() -> Callable[[bytes, int], int]:
    """The C library's, called without Python's lock; what it answers is not for use."""
    import _ctypes  # ctypes itself would be 1.5 ms of Python

    class Function(_ctypes.CFuncPtr):
        _flags_ = _ctypes.FUNCFLAG_CDECL

    return Function(_ctypes.dlsym(_ctypes.dlopen(None, 0), "dlopen"))  # type: ignore[arg-type]  # None: all there is
