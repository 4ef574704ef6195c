"""The command line against real libvirt and QEMU, and ``guivm console VM`` as a window."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.helpers.desk import Desk
from tests.helpers.driven_app import DrivenApp
from tests.helpers.guests import boot_sector_image, give_sample_guest
from tests.helpers.serial_port import SerialPort

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


def start_sample_guest(desk: Desk, name: str) -> None:
    guest = give_sample_guest(desk.files / "guest")
    guivm(
        desk,
        *("create", name, "--kernel", str(guest.kernel), "--initrd", str(guest.initrd), "--append", guest.arguments),
        *("--memory", "256M", "--cpus", "1", "--start"),
    )


def test_automate_types_in_linux_and_waits_for_what_it_shows(desk: Desk) -> None:
    start_sample_guest(desk, "auto")
    script = desk.files / "demo.guivm"
    with SerialPort(desk.serial_path("auto")) as serial:
        serial.wait(r"sample\S*:~# ", 120)
        script.write_text(
            """
            # The prompt comes to the screen when it comes to the serial port, or a little later.
            wait-still 1
            capture before.png
            typeline "printf '\\033[?25l'; clear; echo $word | tr a-z A-Z >/dev/ttyS0"
            wait-still 1
            capture shown.png
            typeline 'clear; echo b$((6*7))d >/dev/ttyS0; echo "{|}~@" >/dev/ttyS0'
            wait-still 1
            capture part.png region 0 0 200 64
            wait-picture shown.png
            """
        )
        lines = guivm(desk, "automate", "auto", str(script), "--set", "word=hello", "--layout", "us", "--json")
        serial.wait("HELLO")
        serial.wait("b42d")
        serial.wait(r"\{\|\}~@")
    news = [json.loads(line) for line in lines.splitlines()]
    assert [entry["event"] for entry in news] == ["start", "end"] * 9 + ["done"]
    assert news[-2]["note"] == "at 0 0"
    with Image.open(desk.files / "part.png") as part, Image.open(desk.files / "shown.png") as shown:
        assert part.size == (200, 64)
        assert shown.getextrema() != ((0, 0),) * 3
        assert part.tobytes() == shown.crop((0, 0, 200, 64)).tobytes()

    script.write_text("keydown shift\nwait-picture before.png timeout 0.5")
    said = guivm(desk, "automate", "auto", str(script), "--layout", "us", code=1)
    assert "demo.guivm:2: The picture “before.png”" in said
    assert "demo-failed.png" in said
    with Image.open(desk.files / "demo-failed.png") as picture:
        assert picture.size == (1280, 800)
    assert list((desk.daemon.root / "r" / "guivm").iterdir()) == [desk.daemon.root / "r" / "guivm" / "gates.lock"]


def test_type_and_key(desk: Desk) -> None:
    image = boot_sector_image(desk.files / "tiny.img")
    guivm(desk, "create", "tiny", "--image", str(image), "--memory", "64M", "--cpus", "1")
    desk.virsh("start", "tiny", "--paused")  # QEMU keeps nothing of what is said before the port is open
    with SerialPort(desk.serial_path("tiny")) as serial:
        guivm(desk, "resume", "tiny")
        serial.wait("guivm boot sector", 60)
        slow = ("--rate", "5")  # the BIOS loses what comes while the machine is busy with something else
        text = "The quick brown fox: (jumps) over {13} lazy dogs & more!"
        assert guivm(desk, "type", "tiny", text, "--layout", "us", "--enter", *slow) == ""
        serial.wait(re.escape(text) + "\r")
        guivm(desk, "type", "tiny", "yz-ß/", "--layout", "de", *slow)  # the guest's BIOS has a US keyboard
        serial.wait(re.escape("zy/-&"))
        guivm(desk, "key", "tiny", "f2", "down")
        serial.wait("<3C00><50E0>")
        assert answer(desk, "key", "tiny", "ctrl-alt-del")["state"] == "running"
        serial.wait("guivm boot sector")
        guivm(desk, "pause", "tiny")
        guivm(desk, "force-off", "tiny")
    assert guivm(desk, "type", "tiny", "x", code=5)
    assert guivm(desk, "key", "nobody", "x", code=3)


def test_bad_scripts_touch_nothing(desk: Desk) -> None:
    script = desk.files / "bad.guivm"
    script.write_text("sleep 1\nclik 3\n")
    assert "bad.guivm:2: “clik” is no statement." in guivm(desk, "automate", "nobody", str(script), code=2)
    script.write_text("sleep 1\n")
    assert "1 statements, all right" in guivm(desk, "automate", "nobody", str(script), "--check")
    assert guivm(desk, "automate", "nobody", str(script), code=3)
    assert "no-such.guivm" in guivm(desk, "automate", "nobody", "no-such.guivm", code=1)


def test_a_stopped_script_lets_go_of_its_keys(desk: Desk) -> None:
    image = boot_sector_image(desk.files / "tiny.img")
    guivm(desk, "create", "tiny", "--image", str(image), "--memory", "64M", "--cpus", "1", "--start")
    process = subprocess.Popen(
        desk.daemon.wrap([sys.executable, "-m", "guivm", "automate", "tiny", "-", "--json"]),
        env=desk.daemon.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write("keydown shift\nsleep 1000\n")
        process.stdin.close()
        assert [json.loads(process.stdout.readline())["line"] for _ in range(3)] == [1, 1, 2]
        process.terminate()
        assert process.wait(30) == 130
        assert process.stderr.read().count("\n") == 1
    with SerialPort(desk.serial_path("tiny")) as serial:
        guivm(desk, "type", "tiny", "aha", "--layout", "us", "--rate", "5")
        serial.wait("aha")
