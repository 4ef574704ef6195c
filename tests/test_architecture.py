"""The layer law, read from the imports (see ARCHITECTURE.md)."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "guivm"

QT = ("PySide6", "shiboken6", "PyQt6", "PyQt5")
LIBVIRT = ("libvirt", "libvirt_qemu", "libvirtmod", "libvirtaio")
PURE_ENGINE = {
    f"guivm.engine.{name}"
    for name in (
        "types",
        "job_types",
        "requests",
        "jobs",
        "events",
        "api",
        "options",
        "xml",
        "networks.values",
        "networks.rules",
        "snapshots.values",
    )
}

# A room and what it must not import.
FORBIDDEN = {
    "engine": (*QT, "guivm.views", "guivm.console", "guivm.app", "guivm.cli"),
    "console/rfb": (*QT, *LIBVIRT, "guivm.views", "guivm.engine", "socket", "threading", "selectors"),
    "console/typing": (*QT, *LIBVIRT, "guivm.views"),
    "console/screentext": (*QT, *LIBVIRT, "guivm.views", "socket"),
    "console/recording": (*QT, *LIBVIRT, "guivm.views"),
    "console/serial": (*QT, *LIBVIRT, "guivm.views"),
    "automation": (*QT, *LIBVIRT, "guivm.views", "guivm.app", "guivm.cli"),
    "console": (*LIBVIRT, "guivm.views", "guivm.app", "guivm.cli"),
    "views": (*LIBVIRT, "guivm.app", "guivm.cli"),
}
# Never imported at module level on the way to the window: they cost start-up time and memory.
HEAVY = ("pyqtgraph", "lxml", "vncdotool", "twisted", "PIL", "cryptography", "pyte", "wcwidth", "libvirt")


def modules(room: str) -> list[Path]:
    return sorted((PACKAGE / room).rglob("*.py"))


def imports(path: Path, *, module_level_only: bool = False) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped: set[ast.AST] = set()
    if module_level_only:
        for node in ast.walk(tree):
            lazy = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or (
                isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
            )
            if lazy:
                skipped.update(ast.walk(node))
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the room"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name: str, roots: tuple[str, ...]) -> bool:
    return any(name == root or name.startswith(root + ".") for root in roots)


@pytest.mark.parametrize("room", FORBIDDEN)
def test_room_keeps_the_layer_law(room: str) -> None:
    found = modules(room)
    assert found
    broken = [(str(path), name) for path in found for name in imports(path) if within(name, FORBIDDEN[room])]
    assert not broken


@pytest.mark.parametrize("room", ["views", "console"])
def test_views_and_console_know_only_the_values_of_the_engine(room: str) -> None:
    broken = [
        (str(path), name)
        for path in modules(room)
        for name in imports(path)
        if name.startswith("guivm.engine.") and not within(name, tuple(PURE_ENGINE))
    ]
    assert not broken


def test_the_window_starts_without_heavy_imports() -> None:
    start = [PACKAGE / "app.py", PACKAGE / "__main__.py", *modules("cli"), *modules("views")]
    broken = [
        (str(path), name)
        for path in start
        for name in imports(path, module_level_only=True)
        if within(name, (*HEAVY, "numpy"))
    ]
    assert not broken


_SHOW_THE_LIST = """
import sys
from PySide6.QtCore import QTimer
from guivm.app import Application

application = Application(["test:///default"])
window = application.window
window.show()
filled = window.table.modelReset  # the first list is a reset
filled.connect(application.qt.quit)
QTimer.singleShot(20_000, application.qt, lambda: application.qt.exit(3))
code = 0 if window.table.rowCount() else application.qt.exec()
rows, modules = window.table.rowCount(), sorted(sys.modules)
application.stop()
print(rows, *modules)
sys.exit(code)
"""


def test_the_list_is_shown_without_what_only_others_need(tmp_path: Path) -> None:
    """What the interpreter really has imported. (argparse is not among them: PySide6 itself imports it.)"""
    env = {
        **os.environ,
        "QT_QPA_PLATFORM": "offscreen",
        **{f"XDG_{kind}_HOME": str(tmp_path) for kind in ("CONFIG", "DATA", "CACHE", "STATE")},
    }
    done = subprocess.run(
        [sys.executable, "-c", _SHOW_THE_LIST], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows, *loaded = done.stdout.split()
    assert rows == "1"
    late = (
        *("numpy", "lxml", "pyqtgraph", "vncdotool", "twisted", "cryptography", "PIL", "pyte", "wcwidth"),
        *("guivm.cli", "guivm.console", "guivm.views.dialogs", "guivm.views.forms", "guivm.views.console_page"),
        *("guivm.engine.requests", "guivm.engine.job_types", "guivm.engine.operations", "guivm.engine.capabilities"),
    )
    assert [name for name in loaded if within(name, late)] == []


def test_only_the_theme_knows_colours() -> None:
    import re

    hex_colour = re.compile(r"""["'(\s:]#[0-9a-fA-F]{6}\b""")
    broken = [
        str(path)
        for path in [*modules("views"), *modules("console")]
        if path.name != "theme.py" and hex_colour.search(path.read_text(encoding="utf-8"))
    ]
    assert not broken


def test_what_ends_with_an_object_is_told_by_lifetime_alone() -> None:
    """A method of what lives on threads, connected to ``destroyed``, may be called in freed memory."""
    broken = [
        str(path)
        for path in [*modules("views"), *modules("console")]
        if "self.destroyed.connect(" in path.read_text(encoding="utf-8")
    ]
    assert not broken


def test_top_level_is_as_agreed() -> None:
    for name in ("pyproject.toml", "guivm/views", "guivm/engine", "guivm/console", "resources", "tests", "packaging"):
        assert (ROOT / name).exists(), name
