"""What ``pip install .`` installs, checked on a wheel built with the real build backend."""

from __future__ import annotations

import configparser
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder
from lxml import etree

_CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    target = tmp_path_factory.mktemp("wheel")
    built = list(WheelBuilder(str(_CHECKOUT)).build(directory=str(target), versions=["standard"]))
    assert len(built) == 1
    with zipfile.ZipFile(built[0]) as archive:
        yield archive


def _names(wheel: zipfile.ZipFile) -> set[str]:
    return {name for name in wheel.namelist() if not name.endswith("/")}


def _files(root: Path, pattern: str = "*") -> set[str]:
    return {
        path.relative_to(root).as_posix()
        for path in root.rglob(pattern)
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_has_every_module(wheel: zipfile.ZipFile) -> None:
    modules = {f"guivm/{name}" for name in _files(_CHECKOUT / "guivm", "*.py")}
    assert modules <= _names(wheel)


def test_the_wheel_has_every_resource_unchanged(wheel: zipfile.ZipFile) -> None:
    resources = _CHECKOUT / "resources"
    for name in _files(resources):
        assert wheel.read(f"guivm/data/{name}") == (resources / name).read_bytes(), name


def test_the_wheel_has_nothing_of_tests_or_builds(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in _names(wheel)}
    assert len(tops) == 3
    assert "guivm" in tops
    assert {top.partition(".")[2].rpartition(".")[2] for top in tops - {"guivm"}} == {"data", "dist-info"}


def test_an_installed_copy_finds_its_resources(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path)
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from guivm.resources import resource_path\n"
        "print(resource_path('icons/guivm.svg'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, str(tmp_path)], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert Path(done.stdout.strip()) == tmp_path / "guivm" / "data" / "icons" / "guivm.svg"


def _shared(wheel: zipfile.ZipFile, name: str) -> bytes:
    path = next(entry for entry in _names(wheel) if entry.endswith(f".data/data/share/{name}"))
    return wheel.read(path)


def test_the_desktop_finds_the_application(wheel: zipfile.ZipFile) -> None:
    entry = configparser.ConfigParser(interpolation=None, delimiters=("=",))
    entry.optionxform = str  # type: ignore[assignment,method-assign]  # keys are case-sensitive
    entry.read_string(_shared(wheel, "applications/guivm.desktop").decode())
    application = entry["Desktop Entry"]
    assert application["Type"] == "Application"
    assert application["Exec"] == application["Icon"] == "guivm"

    metainfo = etree.fromstring(_shared(wheel, "metainfo/guivm.metainfo.xml"))
    assert metainfo.findtext("launchable") == "guivm.desktop"
    assert metainfo.findtext("provides/binary") == application["Exec"]

    icon = etree.fromstring(_shared(wheel, "icons/hicolor/scalable/apps/guivm.svg"))
    assert icon.get("viewBox") == "0 0 128 128"


def test_the_wheel_has_the_command(wheel: zipfile.ZipFile) -> None:
    name = next(entry for entry in _names(wheel) if entry.endswith(".dist-info/entry_points.txt"))
    assert "guivm = guivm.__main__:main" in wheel.read(name).decode().splitlines()
