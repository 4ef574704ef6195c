"""The gate before a real QEMU: passwords, TLS, and vncdotool's own program as the client."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from guivm.automation.gate import Gate
from guivm.automation.remote import CancelFlag, Remote
from guivm.automation.runner import Options, Runner
from guivm.automation.script import parse
from guivm.engine.job_types import ConsoleEndpoint
from tests.e2e.test_console_qemu import Qemu

pytestmark = pytest.mark.e2e

_WAYS = {
    "open": (),
    "password": ("-object", "secret,id=p,data=sesame", "-vnc", "unix:{vnc},password-secret=p"),
    "tls": ("-object", "tls-creds-anon,id=t,endpoint=server", "-vnc", "unix:{vnc},tls-creds=t"),
    "tls and password": (
        *("-object", "tls-creds-anon,id=t,endpoint=server", "-object", "secret,id=p,data=sesame"),
        *("-vnc", "unix:{vnc},tls-creds=t,password-secret=p"),
    ),
}


@pytest.fixture(params=_WAYS)
def gate(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Qemu, Gate]]:
    vnc = tmp_path / "second"
    arguments = [argument.format(vnc=vnc) for argument in _WAYS[request.param]]
    qemu = Qemu(tmp_path, "-S", *arguments)
    try:
        endpoint = ConsoleEndpoint(unix_path=str(vnc if arguments else qemu.vnc), password="sesame")
        with Gate(endpoint, directory=tmp_path) as value:
            yield qemu, value
    finally:
        qemu.close()


def test_vncdotool_captures_through_the_gate(gate: tuple[Qemu, Gate], tmp_path: Path) -> None:
    qemu, opened = gate
    picture = tmp_path / "capture.png"
    subprocess.run(
        [sys.executable, "-m", "vncdotool.command", "-s", str(opened.path), "capture", str(picture)],
        check=True,
        timeout=60,
        capture_output=True,
    )
    with Image.open(picture) as image:
        assert np.array_equal(np.asarray(image.convert("RGB")), qemu.screendump(tmp_path))


def test_a_script_types_through_the_gate(gate: tuple[Qemu, Gate], tmp_path: Path) -> None:
    qemu, opened = gate
    qemu.command("cont")
    cancel = CancelFlag()
    remote = Remote(opened.path, cancel)
    try:
        remote.open()
        script = parse("layout de\ntype z\nkey pause altgr rctrl-kpenter\nclick right\nwait-still 0.2\ncapture a.png")
        assert Runner(remote, Options(tmp_path), lambda _news: None).run(script) is None
    finally:
        remote.close()
        cancel.close()
    opened.finish()
    assert opened.error is None
    keys = [line.rsplit(" ", 3)[1] for line in qemu.traced() if "key qcode" in line]
    assert [key.rstrip(",") for key in keys] == [
        *("y", "y", "pause", "pause", "alt_r", "alt_r"),
        *("ctrl_r", "kp_enter", "kp_enter", "ctrl_r"),
    ]
    buttons = [line.split(", ", 1)[1] for line in qemu.traced() if "input_event_btn" in line]
    assert buttons == ["button right, down 1", "button right, down 0"]
    assert (tmp_path / "a.png").exists()
