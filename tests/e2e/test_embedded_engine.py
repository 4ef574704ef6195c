"""Root without a system daemon: the engine lives in the application, the guests outlive it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from guivm.engine.hosts import embed_uri
from tests.helpers.daemon import share_capabilities
from tests.helpers.driven_app import DrivenApp
from tests.helpers.guests import give_sample_guest

pytestmark = pytest.mark.e2e

_STATES = "[vm.state.value for vm in app.engine.vms(app.engine.hosts()[0].id)]"


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    import shutil
    import tempfile

    root = Path(tempfile.mkdtemp(prefix="gv-", dir="/tmp"))  # the path of a socket holds 107 bytes
    names = {"HOME": "h", "XDG_DATA_HOME": "d", "XDG_CACHE_HOME": "k", "XDG_CONFIG_HOME": "c", "XDG_STATE_HOME": "s"}
    for name in names.values():
        (root / name).mkdir(mode=0o700)
    share_capabilities(root / "d" / "guivm" / "embed" / "cache" / "qemu" / "capabilities")
    give_sample_guest(root / "k" / "guivm")
    yield os.environ | {variable: str(root / name) for variable, name in names.items()}
    shutil.rmtree(root)


def test_guests_outlive_the_window_and_are_found_again(home: dict[str, str], display: str, tmp_path: Path) -> None:
    uri = embed_uri(Path(home["XDG_DATA_HOME"]) / "guivm" / "embed")
    environment = home | {"DISPLAY": display}
    log = tmp_path / "app.log"
    with DrivenApp([uri], env=environment, log=log) as app:
        app.wait("app.engine.hosts()[0].state.value == 'connected'")
        app.wait("shown('choice-sample') and window.isActiveWindow()")
        app.click("choice-sample")
        app.wait(f"{_STATES} == ['running']", 120)

        other = subprocess.run(
            [sys.executable, "-m", "guivm", "list", "--connect", uri],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert other.returncode == 4
        assert len(other.stderr.splitlines()) == 1
        assert "already" in other.stderr
        assert app.close() == 0

    with DrivenApp([uri], env=environment, log=log) as app:
        app.wait(f"{_STATES} == ['running']")
        app.run("window.select_vm(app.engine.vms(app.engine.hosts()[0].id)[0].key); window.show_page('console')")
        app.wait("shown('console-screen') and find('console-screen').face().name == 'LIVE'")
        app.key("ctrl+p")
        app.wait(f"{_STATES} == ['paused']")
        app.key("ctrl+shift+f")
        app.wait("shown('primary')")
        app.click("primary")
        app.wait(f"{_STATES} == ['off']")
        assert app.close() == 0
