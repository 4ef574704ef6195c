"""What is put off, spared or shared out until the first list is there. Nothing here changes what guivm does.

Each figure is of a start with ten VMs, of about 250 ms, on the computer it was measured on.
"""

from __future__ import annotations

import builtins
import gc
import sys
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from threading import RLock
from types import ModuleType
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from importlib.abc import Loader

# Python's own is 5 ms: a thread that comes back from libvirt waits that long for each of its answers while the GUI
# thread imports Qt.
_SWITCH_S = 0.001
_PYTHONS_SWITCH_S = 0.005


# Of the standard library, what dataclasses and logging import and hardly ever use.
_SELDOM_USED = frozenset(("inspect", "traceback"))


def hurry() -> None:
    """No search for garbage (5 ms; what is made now stays) until :mod:`guivm.views.garbage` takes it over, shorter
    turns of the threads until :func:`settle`, and two large modules (7 ms) only when they are used."""
    gc.disable()
    sys.setswitchinterval(_SWITCH_S)
    with _putting_off(_SELDOM_USED):
        for name in _SELDOM_USED:
            __import__(name)


def settle() -> None:
    """The window is there: Python's own turns again. What has been made so far is no longer searched for garbage."""
    sys.setswitchinterval(_PYTHONS_SWITCH_S)
    gc.freeze()


def spare_pyside() -> None:
    """Import PySide6's foundation without what only its tools and its error messages need. Before any other of it.

    - The signature modules (35 ms, mostly regular expressions) are loaded when the first signature is asked for: by the
      message of a TypeError, or by help(). This needs shiboken6's support files unpacked, as ``./dev`` does it with
      ``SBK_EMBED=0`` (signature_bootstrap.py in shiboken6); packed into the library they are loaded as ever.
    - shibokensupport.feature no longer takes part in every import statement, and no longer reads the source of every
      module imported later (15 ms, and the texts stay in memory). It looks there for the word PySide6, to know to which
      modules ``from __feature__ import`` may apply; guivm has no use for those features, and without them what is found
      is never asked for.
    """
    with _putting_off(_SIGNATURE_MODULES | _UNPACKERS | {_FEATURE_MODULE}):
        import shiboken6  # noqa: F401  (brings shibokensupport)
    builtins.__import__ = getattr(builtins, "__orig_import__", builtins.__import__)


def _nothing_to_find(module: object) -> None:
    return None


# Not "mapping": libshiboken reads that module's dictionary without asking the module.
_SIGNATURE_MODULES = frozenset(
    f"shibokensupport.signature.{name}"
    for name in ("errorhandler", "layout", "parser", "lib.enum_sig", "lib.pyi_generator", "lib.tool")
)


_FEATURE_MODULE = "shibokensupport.feature"
# What shiboken6 unpacks its support files with, where they are not unpacked already, and writes messages.
_UNPACKERS = frozenset(("base64", "tempfile", "textwrap", "zipfile"))


@contextmanager
def _putting_off(names: frozenset[str]) -> Iterator[None]:
    """What is imported within is run later if it is one of these and not there yet."""
    put_off = _PutOff(names)
    sys.meta_path.insert(0, put_off)
    try:
        yield
    finally:
        sys.meta_path.remove(put_off)


class _PutOff:
    """On ``sys.meta_path``: the named modules run when something is first looked for in them.

    importlib.util.LazyLoader will not do: to it the look at ``__spec__``, with which shiboken6 publishes its modules
    under a second name, is a use.
    """

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._names:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            late = _WithoutSearch(spec.loader) if fullname == _FEATURE_MODULE else _LateLoader(spec.loader)
            spec.loader = cast("Loader", late)  # importlib.abc is not worth its 3 ms
        return spec


class _WithoutSearch:
    """Runs shibokensupport.feature and takes its search out before it is first made."""

    def __init__(self, real: SourceFileLoader) -> None:
        self._real = real

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        self._real.exec_module(module)
        if "feature_imported" in vars(module):
            vars(module)["feature_imported"] = _nothing_to_find


class _LateLoader:
    def __init__(self, real: SourceFileLoader) -> None:
        self._real = real

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return LateModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        assert isinstance(module, LateModule)
        module._real_loader = self._real


class LateModule(ModuleType):
    """A module that is not yet run. What every module has (``__spec__``, ``__name__``) is there all the same."""

    _real_loader: SourceFileLoader | None
    _running = RLock()

    def __getattr__(self, name: str) -> object:
        """Only asked for what is not there."""
        with LateModule._running:
            loader = self.__dict__.pop("_real_loader", None)
            if loader is not None:
                loader.exec_module(self)
        try:
            return self.__dict__[name]
        except KeyError:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}") from None

    @property
    def is_run(self) -> bool:
        return "_real_loader" not in self.__dict__
