"""A person's whole way with a VM: create, boot, type, pause, save, close, reopen, restore, shut down, delete."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.desk import Desk
from tests.helpers.driven_app import DrivenApp
from tests.helpers.guests import boot_sector_image
from tests.helpers.live_iso import live_iso
from tests.helpers.serial_port import SerialPort

pytestmark = pytest.mark.e2e

_STATE = "next((vm.state.value for vm in app.engine.vms(app.engine.hosts()[0].id) if vm.name == {name!r}), 'gone')"


def wait_state(app: DrivenApp, name: str, state: str, timeout: float = 60) -> None:
    app.wait(f"{_STATE.format(name=name)} == {state!r}", timeout)


def create(app: DrivenApp, name: str, kind: str, path: Path) -> None:
    """Fill the New VM page with keyboard and mouse and press Create."""
    app.key("ctrl+n")
    app.wait("shown('new-vm-form')")
    app.click(f"source-{kind}")
    app.click({"iso": "iso-path", "disk": "disk-image-path"}[kind])
    app.type(str(path))
    app.click("name")
    app.key("ctrl+a")
    app.type(name)
    if kind == "iso":
        app.click("disk-size")
        app.key("ctrl+a")
        app.type("1 GiB")
    app.wait("find('primary').isEnabled()")
    app.click("primary")
    app.wait("not shown('new-vm-form')", 90)
    wait_state(app, name, "running")


def show_console(app: DrivenApp, width: int) -> None:
    """Open the console and wait for a live picture of this many pixels across."""
    app.run("window.show_page('console')")
    app.wait(
        "shown('console-screen') and find('console-screen').face().name == 'LIVE' and "
        f"find('console-screen').current_image().width() == {width}",
        90,
    )


def picture(app: DrivenApp, path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """What the console shows of the guest, R, G, B."""
    assert app.eval(f"find('console-screen').current_image().save({str(path)!r})")
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def host_key_and(app: DrivenApp, key: str) -> None:
    app.key_down("Control_R")
    app.key(key)
    app.key_up("Control_R")


def counters(text: str) -> list[int]:
    return [int(line.split()[1]) for line in text.splitlines() if line.startswith("counter ") and line.split()[1:]]


def test_linux_from_an_iso(desk: Desk, tmp_path: Path) -> None:
    iso = desk.files / "live.iso"
    shutil.copy(live_iso(), iso)
    with desk.open_app() as app:
        create(app, "live", "iso", iso)
        with SerialPort(desk.serial_path("live")) as serial:
            serial.wait(r"sample\S*:~# ", 120)
            show_console(app, 1280)
            app.click("console-screen")
            app.wait("find('console-screen').is_captured()")
            app.type("echo answer-$((6*7)) >/dev/ttyS0\n")
            serial.wait("answer-42")

            # What we paint is what another client sees. A blinking cursor would differ by chance.
            app.type("printf '\\033[?25l'; clear; echo same; echo ready >/dev/ttyS0\n")
            serial.wait("ready")
            desk.vncdotool_capture("live", tmp_path / "witness.png")
            with Image.open(tmp_path / "witness.png") as image:
                witness = np.asarray(image.convert("RGB"))
            assert witness.any(), "the witness saw a black screen"
            assert np.array_equal(picture(app, tmp_path / "ours.png"), witness)

            app.type("counter\n")
            serial.wait("counter 3\r?\n")
            host_key_and(app, "p")
            wait_state(app, "live", "paused")
            serial.drain(1.0)  # what was on its way
            assert serial.drain(2.0) == "", "the counter of a paused guest went on"
            host_key_and(app, "p")
            wait_state(app, "live", "running")
            serial.wait(r"counter \d+\r?\n")

            app.key("Control_R")
            app.wait("not find('console-screen').is_captured()")
            app.key("ctrl+s")
            wait_state(app, "live", "saved", 120)
            last = max(counters(serial.text.replace("\r", "")) or [3])
        assert app.close() == 0
    assert desk.virsh("domstate", "live") == "shut off"

    with desk.open_app() as app:
        wait_state(app, "live", "saved")
        app.wait("[vm.name for vm in window.selected()] == ['live']")  # the selection is remembered
        app.key("ctrl+Return")
        wait_state(app, "live", "running", 120)
        with SerialPort(desk.serial_path("live")) as serial:
            first = int(serial.wait(r"counter (\d+)\r?\n").group(1))
            assert first > last, "the counter did not go on where it stood"
            second = int(serial.wait(r"counter (\d+)\r?\n").group(1))
            assert second > first

        app.key("ctrl+h")
        wait_state(app, "live", "off", 120)

        disk = next(Path(path) for path in desk.virsh("domblklist", "live").split() if path.endswith(".qcow2"))
        before = hashlib.sha256(disk.read_bytes()).hexdigest()
        for undo in (True, False):
            app.key("Delete")
            app.wait("shown('file-1')")
            app.click("file-1")
            app.click("primary")
            app.wait("not shown('file-1')")
            wait_state(app, "live", "gone")
            assert not disk.exists()
            if undo:
                app.wait("shown('message-action-0')")
                app.click("message-action-0")
                wait_state(app, "live", "off")
                assert hashlib.sha256(disk.read_bytes()).hexdigest() == before
                app.wait("[vm.name for vm in window.selected()] == ['live']")
        assert desk.virsh("list", "--all", "--name") == ""
        assert iso.exists(), "installation media must not go with a VM"
        assert app.close() == 0


def test_boot_sector_from_a_disk_image(desk: Desk, tmp_path: Path) -> None:
    image = boot_sector_image(desk.files / "tiny.img")
    before = hashlib.sha256(image.read_bytes()).hexdigest()
    with desk.open_app() as app:
        create(app, "tiny", "disk", image)
        show_console(app, 720)
        with SerialPort(desk.serial_path("tiny")) as serial:
            app.click("console-screen")
            app.wait("find('console-screen').is_captured()")
            app.type("hello")
            serial.wait("hello")
        app.key("Control_R")
        app.wait("not find('console-screen').is_captured()")

        app.key("ctrl+p")
        wait_state(app, "tiny", "paused")
        desk.vncdotool_capture("tiny", tmp_path / "one.png")
        desk.vncdotool_capture("tiny", tmp_path / "two.png")
        assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes(), "a paused guest moved"
        app.key("ctrl+p")
        wait_state(app, "tiny", "running")
        still = picture(app, tmp_path / "before.png")
        app.run("global old; old = find('console-screen').current_image()")
        app.wait("find('console-screen').current_image() != old")
        assert not np.array_equal(picture(app, tmp_path / "after.png"), still)

        app.key("ctrl+shift+f")
        app.wait("shown('primary')")
        app.click("primary")
        wait_state(app, "tiny", "off")
        assert app.close() == 0
    assert hashlib.sha256(image.read_bytes()).hexdigest() == before
