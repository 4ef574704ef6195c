"""The dialog of a schedule with the real engine behind it: from the click to systemd's units and back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from guivm.engine.engine import LibvirtEngine
from guivm.engine.snapshots import policy_timers
from guivm.engine.snapshots.values import SnapshotPolicy
from guivm.engine.types import HostState, VmInfo
from guivm.views.bridge import Bridge
from guivm.views.snapshots.policy import PolicyDialog
from tests.helpers.fake_systemctl import FakeSystemctl
from tests.helpers.recorder import Recorder
from tests.helpers.testdriver import domain, write_host


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSystemctl:
    return FakeSystemctl(tmp_path / "bin", monkeypatch)


@pytest.fixture
def real_bridge(qapp: object, tmp_path: Path) -> Iterator[Bridge]:
    """On libvirt's test driver, with one VM."""
    engine, recorder = LibvirtEngine(warm_up=False), Recorder()
    engine.add_listener(recorder)
    host = engine.open_host(write_host(tmp_path / "host.xml", domain("test")))
    recorder.wait_for_host(host, HostState.CONNECTED)
    bridge = Bridge(engine)
    yield bridge
    bridge.close()
    bridge.deleteLater()
    engine.stop(20)


@pytest.fixture
def vm(real_bridge: Bridge) -> VmInfo:
    engine = real_bridge.engine
    (found,) = engine.vms(engine.hosts()[0].id)
    return found


def opened(qtbot: QtBot, bridge: Bridge, vm: VmInfo, owner: QWidget) -> PolicyDialog:
    dialog = PolicyDialog(bridge, vm, None, owner)
    dialog.decided.connect(lambda request: bridge.submit(request, owner))
    dialog.open()
    qtbot.waitUntil(lambda: dialog.tree is not None)
    return dialog


def test_on_seen_again_and_off(
    qtbot: QtBot, real_bridge: Bridge, vm: VmInfo, owner: QWidget, systemctl: FakeSystemctl
) -> None:
    dialog = opened(qtbot, real_bridge, vm, owner)
    dialog.on.click()
    dialog.unit.setCurrentIndex(0)
    dialog.every.setValue(6)
    dialog.keep.setValue(3)
    qtbot.waitUntil(dialog.primary.isEnabled)
    dialog.primary.click()
    qtbot.waitUntil(lambda: policy_timers.load(vm.key) == SnapshotPolicy(6, 3))
    timer = policy_timers.paths(vm.key)[1].name
    qtbot.waitUntil(lambda: f"enable {timer}" in " ".join(systemctl.calls))
    again = opened(qtbot, real_bridge, vm, owner)
    assert again.policy() == SnapshotPolicy(6, 3)
    assert again.on.isChecked()
    again.on.click()
    qtbot.waitUntil(again.primary.isEnabled)
    again.primary.click()
    qtbot.waitUntil(lambda: not any(path.exists() for path in policy_timers.paths(vm.key)))


def test_without_systemd_nothing_can_be_saved(
    qtbot: QtBot, real_bridge: Bridge, vm: VmInfo, owner: QWidget, systemctl: FakeSystemctl
) -> None:
    systemctl.fail("show")
    dialog = opened(qtbot, real_bridge, vm, owner)
    dialog.on.click()
    qtbot.waitUntil(lambda: "no systemd" in dialog.reason)
    assert "no systemd" in dialog.plan_view.refusal.problem, "in sight"
    assert not dialog.primary.isEnabled()
    dialog.reject()
