"""The scaled picture through OpenGL: the same pixels as raster painting, and raster where OpenGL is not fit for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot

from guivm.console.picture import gl_plane
from guivm.console.picture.gl_plane import GlPolicy, can_use, is_software
from guivm.console.widget import ConsoleFace, ConsoleWidget
from tests.helpers.fake_source import FakeSource
from tests.helpers.rfb_server import picture
from tests.helpers.xserver import x_server


def test_opengl_shows_what_raster_shows() -> None:
    """In a process of its own on a real X server, with a software renderer forced."""
    with x_server(1024, 600) as display:
        result = subprocess.run(
            [sys.executable, "-m", "tests.helpers.console_gl"],
            env={**os.environ, "QT_QPA_PLATFORM": "xcb", "DISPLAY": display, "LIBGL_ALWAYS_SOFTWARE": "1"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert result.returncode == 0, result.stderr
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    logged = [line["text"] for line in lines if line["check"] == "log"]
    assert logged == ["OpenGL is not used for this console any more: tried."]
    checks = {line["check"]: line for line in lines if line["check"] != "log"}
    raster = {"one to one", "actual", "paused", "overlaid", "under a bar", "failed"}
    crisp = {"integer", "integer, damaged", "free, scrolled", "free, scrolled, damaged"}
    smooth = {
        "fit",
        "fit, damaged",
        "free, smooth",
        "free, smooth, damaged",
        "live again",
        "resized",
        "moved",
        "another window",
    }
    assert set(checks) == raster | crisp | smooth
    assert {name for name, check in checks.items() if not check["gl"]} == raster
    assert {name: checks[name]["worst"] for name in raster | crisp} == dict.fromkeys(raster | crisp, 0)
    assert {name: checks[name]["worst"] for name in smooth if checks[name]["worst"] > 4} == {}, "rounding only"


@pytest.mark.parametrize(
    ("name", "software"),
    [
        ("llvmpipe (LLVM 15.0.6, 256 bits)", True),
        ("softpipe", True),
        ("Mesa Intel(R) UHD Graphics 620 (KBL GT2)", False),
        ("AMD Radeon RX 6600 (navi23, LLVM 15.0.6, DRM 3.49, 6.1.0)", False),
        ("NVIDIA GeForce RTX 3060/PCIe/SSE2", False),
        ("ANGLE (Google, Vulkan 1.3.0 (SwiftShader Device (LLVM 10.0.0)), SwiftShader driver)", True),
    ],
)
def test_programs_are_told_from_processors(name: str, software: bool) -> None:
    assert is_software(name) is software


@pytest.mark.parametrize(
    ("policy", "platform", "gpu", "renderer", "expected"),
    [
        (GlPolicy.AUTO, "xcb", True, "Mesa Intel(R) UHD Graphics", True),
        (GlPolicy.AUTO, "wayland", True, "Mesa Intel(R) UHD Graphics", True),
        (GlPolicy.AUTO, "xcb", True, "llvmpipe (LLVM 15)", False),
        (GlPolicy.AUTO, "xcb", True, "", False),
        (GlPolicy.AUTO, "xcb", False, None, False),
        (GlPolicy.AUTO, "offscreen", True, None, False),
        (GlPolicy.FORCE, "xcb", False, "llvmpipe (LLVM 15)", True),
        (GlPolicy.FORCE, "xcb", False, "", False),
        (GlPolicy.OFF, "xcb", True, None, False),
    ],
)
def test_when_opengl_is_used(
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
    policy: GlPolicy,
    platform: str,
    gpu: bool,
    renderer: str | None,
    expected: bool,
) -> None:
    """``renderer`` None: OpenGL, whose driver is large, must not even be asked."""

    def asked() -> str:
        assert renderer is not None
        return renderer

    monkeypatch.setattr(QGuiApplication, "platformName", lambda: platform)
    monkeypatch.setattr(gl_plane, "has_gpu", lambda: gpu)
    monkeypatch.setattr(gl_plane, "renderer", asked)
    assert can_use(policy) is expected


@pytest.mark.parametrize(
    ("value", "policy"), [("off", GlPolicy.OFF), ("force", GlPolicy.FORCE), ("", GlPolicy.AUTO), (None, GlPolicy.AUTO)]
)
def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch, value: str | None, policy: GlPolicy) -> None:
    monkeypatch.delenv("GUIVM_OPENGL", raising=False)
    if value is not None:
        monkeypatch.setenv("GUIVM_OPENGL", value)
    assert GlPolicy.from_environment() is policy


def test_a_console_without_opengl_asks_once(qtbot: QtBot) -> None:
    console = ConsoleWidget(gl=GlPolicy.FORCE)  # of which there is none on this platform
    qtbot.addWidget(console)
    console.resize(404, 304)
    console.set_face(ConsoleFace.LIVE)
    console.show()
    qtbot.waitExposed(console)
    source = FakeSource()
    console.set_source(source)
    source.show(picture(100, 70))
    assert console._plane.is_out_of_use
    assert console._plane.rect is None
    assert console.grab().toImage().pixelColor(200, 150).isValid()
    console.set_source(None)
