"""Shared libraries that are opened ahead: the right ones, and nothing that changes what a start does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from guivm import libraries

_OPENED_AHEAD = """
import sys
before = set(sys.modules)
from guivm import libraries
print(*sorted(set(sys.modules) - before - {"guivm", "guivm.libraries", "__future__"}), sep=",")
files = libraries._files()
lock = libraries.allocate_lock()
lock.acquire()
libraries._open(files, lock)
assert lock.acquire(False), "whoever waits for it to begin would wait for ever"
mapped = open("/proc/self/maps").read()
print(*(file.decode() for file in files if file.decode() not in mapped), sep=",")
print(*sorted(name for name in sys.modules if name.startswith(("PySide6", "shiboken6", "libvirt"))), sep=",")
"""


def _run(code: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_all_that_is_installed_is_opened_and_nothing_is_imported() -> None:
    imported, not_mapped, ours = _run(_OPENED_AHEAD)
    assert imported == "", "it would come before the libraries"
    assert not_mapped == ""
    assert ours == ""


@pytest.mark.parametrize("platform", ["xcb", "offscreen"])
def test_the_libraries_are_those_of_a_start(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    monkeypatch.setenv("QT_QPA_PLATFORM", platform)
    names = [Path(file.decode()).name.partition(".")[0] for file in libraries._files()]
    assert names == ["libvirtmod", "Shiboken", "QtCore", "QtGui", "QtWidgets", "QtSvg", f"libq{platform}"]


def test_a_platform_that_is_a_path_is_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QT_QPA_PLATFORM", "../../evil")
    monkeypatch.delenv("XDG_SESSION_TYPE", raising=False)
    assert libraries._files()[-1].endswith(b"/libqxcb.so")


def test_nothing_installed_is_nothing_to_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    assert libraries._files() == []


def test_a_start_waits_for_nothing_but_the_beginning() -> None:
    """The application's own imports find what is open, and a program that ends at once ends."""
    assert _run("from guivm import libraries; libraries.open_ahead(); import PySide6.QtWidgets; print('there')") == [
        "there"
    ]
    assert _run("from guivm import libraries; libraries.open_ahead(); print('gone')") == ["gone"]
