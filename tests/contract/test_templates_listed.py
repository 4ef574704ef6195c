"""Which VMs are templates is told with the list, and anew when somebody asks about one's snapshots."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from guivm import paths
from guivm.engine import requests as rq
from guivm.engine.engine import LibvirtEngine
from guivm.engine.snapshots import store
from guivm.engine.snapshots.tree import BranchTree
from guivm.engine.types import HostState, VmState
from tests.helpers.recorder import Recorder
from tests.helpers.testdriver import domain, uuid_of, write_host


def keep(name: str, *, template: bool) -> None:
    """As the command line does it, of which no event tells."""
    folder = store.folder_of(paths.images_dir(), uuid_of(name))
    store.save(folder, BranchTree(uuid_of(name), name, is_template=template))


@pytest.fixture
def engine() -> Iterator[LibvirtEngine]:
    engine = LibvirtEngine()
    yield engine
    engine.stop()


def test_templates_are_listed(engine: LibvirtEngine, tmp_path: Path) -> None:
    recorder = Recorder()
    engine.add_listener(recorder)
    keep("base", template=True)
    keep("plain", template=False)
    domains = [domain(name, VmState.OFF) for name in ("base", "plain", "other")]
    host = engine.open_host(write_host(tmp_path / "host.xml", *domains))
    recorder.wait_for_host(host, HostState.CONNECTED)
    recorder.wait_for(lambda: len(recorder.vms(host)) == 3)

    def templates() -> set[str]:
        return {vm.name for vm in recorder.vms(host).values() if vm.is_template}

    recorder.wait_for(lambda: templates() == {"base"})
    keep("plain", template=True)
    plain = next(vm.key for vm in engine.vms(host) if vm.name == "plain")
    assert engine.submit(rq.ReadSnapshots(plain)).result(30).is_template
    recorder.wait_for(lambda: templates() == {"base", "plain"})
    keep("base", template=False)
    base = next(vm.key for vm in engine.vms(host) if vm.name == "base")
    engine.submit(rq.SetTitle(base, "T")).result(30)
    recorder.wait_for(lambda: templates() == {"plain"})
