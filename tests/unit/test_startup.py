from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from guivm import paths, startup
from guivm.__main__ import window_uris
from guivm.engine.reader import texts_of


@pytest.mark.parametrize(
    ("argv", "uris"),
    [
        ([], []),
        (["--connect", "test:///default"], ["test:///default"]),
        (["--connect", "a:///", "--connect", "b:///"], ["a:///", "b:///"]),
        (["--connect"], None),
        (["--connect", "--version"], None),
        (["--connect=a:///"], None),
        (["list"], None),
        (["list", "--json"], None),
        (["--connect", "a:///", "list"], None),
        (["--help"], None),
    ],
)
def test_what_opens_the_window_without_a_parser(argv: list[str], uris: list[str] | None) -> None:
    assert window_uris(argv) == uris


@pytest.fixture
def _normal() -> Iterator[None]:
    interval = sys.getswitchinterval()
    yield
    sys.setswitchinterval(interval)
    gc.unfreeze()
    gc.enable()


@pytest.mark.usefixtures("_normal")
def test_the_hurry_ends() -> None:
    interval = sys.getswitchinterval()
    startup.hurry()
    assert not gc.isenabled()
    assert sys.getswitchinterval() < interval
    startup.settle()
    assert sys.getswitchinterval() == pytest.approx(interval)


def test_directories_follow_the_specification(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative/is/ignored")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", "")
    assert paths.cache_dir() == tmp_path / "elsewhere" / "guivm"
    assert paths.config_dir() == tmp_path / ".config" / "guivm"
    assert paths.data_dir() == tmp_path / ".local/share/guivm"
    assert paths.log_dir() == tmp_path / ".local/state/guivm"
    assert paths.log_dir().stat().st_mode & 0o777 == 0o700


def test_a_list_does_not_expand_entities() -> None:
    bomb = "<!DOCTYPE d [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;'>]><domain><name>x&b;</name></domain>"
    assert "a" not in texts_of(bomb).name


_PYSIDE = """
import sys
from guivm import startup

startup.spare_pyside()
import PySide6.QtWidgets
put_off = [
    module
    for module in set(sys.modules.values())
    if isinstance(module, startup.LateModule) and "signature" in module.__name__
]
from PySide6.QtCore import QObject, QSize

def shown(work):
    try:
        work()
    except (TypeError, AttributeError) as error:
        return str(error)

print(len(put_off))
print(shown(lambda: QSize("wide", "high")))
print(shown(lambda: QObject(unheard_of=1)))
from shibokensupport.signature import get_signature
print(get_signature(QSize.scaled))
print(sum(module.is_run for module in put_off))
"""


def test_what_is_put_off_of_pyside_comes_when_it_is_needed() -> None:
    done = subprocess.run([sys.executable, "-c", _PYSIDE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    put_off, shown = done.stdout.split("\n", 1)
    assert put_off == "6"
    assert "called with wrong argument types" in shown
    assert "unheard_of" in shown
    assert "(self, s: PySide6.QtCore.QSize" in shown
    assert shown.endswith("4\n")  # not the two that write type stubs


_STANDARD_LIBRARY = """
import sys
from guivm import startup

startup.hurry()
import dataclasses, logging
print(sys.modules["inspect"].is_run, sys.modules["traceback"].is_run)

@dataclasses.dataclass
class Undocumented:
    value: int = 3

print(Undocumented.__doc__)
try:
    raise ValueError("late")
except ValueError:
    logging.exception("told")
import inspect
from inspect import isfunction
print(inspect.signature(isfunction), hasattr(inspect, "no_such_thing"))
"""


def test_what_is_put_off_of_the_standard_library_works_all_the_same() -> None:
    done = subprocess.run([sys.executable, "-c", _STANDARD_LIBRARY], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "False False\nUndocumented(value: int = 3)\n(object) False\n"
    assert 'raise ValueError("late")' in done.stderr or "ValueError: late" in done.stderr
