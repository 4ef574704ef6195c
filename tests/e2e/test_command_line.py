"""The command line against real libvirt and QEMU, and ``guivm console VM`` as a window."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.helpers.desk import Desk
from tests.helpers.driven_app import DrivenApp
from tests.helpers.guests import boot_sector_image

pytestmark = pytest.mark.e2e


def guivm(desk: Desk, *arguments: str, code: int = 0) -> str:
    done = subprocess.run(
        desk.daemon.wrap([sys.executable, "-m", "guivm", *arguments]),
        env=desk.daemon.env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == code, f"guivm {arguments}: {done.returncode} {done.stdout} {done.stderr}"
    assert len(done.stderr.splitlines()) == (1 if code else 0), done.stderr
    return done.stderr if code else done.stdout


def answer(desk: Desk, *arguments: str) -> Any:
    return json.loads(guivm(desk, *arguments, "--json"))


def test_every_verb_on_a_real_guest(desk: Desk, tmp_path: Path) -> None:
    image = boot_sector_image(desk.files / "tiny.img")
    made = answer(desk, "create", "tiny", "--image", str(image), "--memory", "64M", "--cpus", "1", "--start")
    assert (made["name"], made["state"], made["memory_kib"]) == ("tiny", "running", 65536)
    assert [vm["name"] for vm in answer(desk, "list")] == ["tiny"]
    assert answer(desk, "show", "tiny")["hardware"]["disks"][0]["path"] == str(image)
    assert "tiny" in guivm(desk, "list")
    assert str(image) in guivm(desk, "show", made["uuid"])

    assert answer(desk, "pause", "tiny")["state"] == "paused"
    assert "paused" in guivm(desk, "pause", "tiny", code=5)
    assert answer(desk, "resume", "tiny")["state"] == "running"
    picture = tmp_path / "screen.png"
    guivm(desk, "screenshot", "tiny", str(picture))
    with Image.open(picture) as shot:
        assert shot.size == (720, 400)
    assert answer(desk, "save", "tiny")["state"] == "saved"
    assert answer(desk, "restore", "tiny")["state"] == "running"
    guivm(desk, "shutdown", "tiny")  # the boot sector does not listen: it stays on
    assert answer(desk, "force-off", "tiny")["state"] == "off"
    assert "running virtual" in guivm(desk, "pause", "tiny", code=5)
    guivm(desk, "delete", "tiny")
    assert image.exists()
    assert answer(desk, "list") == []
    assert "tiny" in guivm(desk, "start", "tiny", code=3)


def test_bad_input_leaves_nothing(desk: Desk) -> None:
    missing = str(desk.files / "missing.iso")
    assert "no such file" in guivm(desk, "create", "bad", "--iso", missing, "--disk-size", "1G", code=1)
    assert "memory" in guivm(desk, "create", "bad", "--memory", "900T", code=1)
    assert answer(desk, "list") == []
    assert list((desk.daemon.root / "d").rglob("*.qcow2*")) == []


def test_an_unreachable_host_is_told(desk: Desk) -> None:
    assert guivm(desk, "list", "--connect", "qemu+unix:///session?socket=/nonexistent", code=4)


def test_console_window_alone(desk: Desk, display: str) -> None:
    image = boot_sector_image(desk.files / "tiny.img")
    guivm(desk, "create", "tiny", "--image", str(image), "--memory", "64M", "--cpus", "1", "--start")
    with DrivenApp(
        (),
        env=desk.daemon.env | {"DISPLAY": display},
        log=desk.directory / "console.log",
        prefix=desk.daemon.wrap([]),
        console_of="tiny",
    ) as app:
        app.wait("shown('console-window')")
        app.wait("find('console-screen').face().name == 'LIVE'")
        app.click("console-screen")
        app.wait("find('console-screen').is_captured()")
        app.key_down("Control_R")
        app.key("p")
        app.key_up("Control_R")
        app.wait("find('console-screen').face().name == 'PAUSED'")
        app.run("QtCore.QTimer.singleShot(0, find('console-window').close)")
        assert app.wait_exit() == 0
    assert answer(desk, "show", "tiny")["state"] == "paused"


def test_console_of_nothing(desk: Desk, display: str) -> None:
    done = subprocess.run(
        desk.daemon.wrap([sys.executable, "-m", "guivm", "console", "nobody"]),
        env=desk.daemon.env | {"DISPLAY": display, "QT_QPA_PLATFORM": "xcb"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 3
    assert "nobody" in done.stderr
