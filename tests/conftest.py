"""What every test shares: a private home, offscreen Qt, and fixtures that fail on leaks."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

# A speed is never a test: how long an example takes depends on what else the machine does.
hypothesis.settings.register_profile("guivm", deadline=None)
hypothesis.settings.load_profile("guivm")

if "GUIVM_TEST_PLATFORM" not in os.environ:
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
os.environ.setdefault("QT_LOGGING_RULES", "qt.text.font.db=false")

if TYPE_CHECKING:
    from guivm.views.actions import ActionRegistry
    from guivm.views.bridge import Bridge
    from guivm.views.settings import Settings
    from tests.helpers.fake_engine import FakeEngine

# Threads that live as long as the process by design: libvirt's event loop, and Qt's and Python's own helpers.
_LASTING_THREADS = ("guivm-libvirt-events", "pydevd", "ThreadPoolExecutor-")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """As in the application: what a test of Qt leaves in cycles dies here, not on a worker that happens to allocate."""
    if "qapp" not in getattr(item, "fixturenames", ()):
        return (yield)
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.enable()


@pytest.fixture(autouse=True)
def _private_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    for name in ("DATA", "CONFIG", "CACHE", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(home / name.lower()))


@pytest.fixture(autouse=True)
def _no_leaked_threads() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 5
    leaked: list[threading.Thread] = []
    while time.monotonic() < deadline:
        leaked = [
            thread
            for thread in threading.enumerate()
            if thread not in before and not thread.name.startswith(_LASTING_THREADS)
        ]
        if not leaked:
            return
        leaked[0].join(timeout=max(0.0, deadline - time.monotonic()))
    pytest.fail(f"threads were left behind: {[thread.name for thread in leaked]}")


@pytest.fixture(autouse=True)
def _no_leaked_qt_objects(request: pytest.FixtureRequest) -> Iterator[None]:
    """Top-level widgets and running timers that a GUI test leaves behind fail it."""
    if "qtbot" not in request.fixturenames:
        yield
        return
    from PySide6.QtCore import QCoreApplication, QEvent, QTimer
    from PySide6.QtWidgets import QApplication

    request.getfixturevalue("qapp")
    before = {id(widget) for widget in QApplication.topLevelWidgets()}
    yield
    # pytest-qt closes the widgets given to qtbot in its own teardown hook, which runs before fixtures end.
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
    QCoreApplication.processEvents()
    gc.collect()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
    leaked = [widget for widget in QApplication.topLevelWidgets() if id(widget) not in before]
    names = [f"{type(widget).__name__} {widget.objectName()!r}" for widget in leaked]
    timers = [timer for timer in gc.get_objects() if type(timer) is QTimer and _is_running(timer)]
    for widget in leaked:
        widget.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
    assert not leaked, f"widgets were left behind: {names}"
    assert not timers, f"timers were left running: {timers}"


def _is_running(timer: object) -> bool:
    import shiboken6
    from PySide6.QtCore import QTimer

    return isinstance(timer, QTimer) and shiboken6.isValid(timer) and timer.isActive()


@pytest.fixture
def fake_engine() -> FakeEngine:
    from tests.helpers.fake_engine import FakeEngine

    return FakeEngine()


@pytest.fixture
def settings(qapp: object, tmp_path: Path) -> Iterator[Settings]:
    from PySide6.QtCore import QSettings

    from guivm.views.settings import Settings

    store = QSettings(str(tmp_path / "settings.ini"), QSettings.Format.IniFormat)
    value = Settings(store)
    store.setParent(value)
    yield value
    value.deleteLater()


@pytest.fixture
def bridge(qapp: object, fake_engine: FakeEngine) -> Iterator[Bridge]:
    from guivm.views.bridge import Bridge

    value = Bridge(fake_engine)
    yield value
    value.close()
    value.deleteLater()


@pytest.fixture
def actions(settings: Settings) -> Iterator[ActionRegistry]:
    from guivm.views.actions import ActionRegistry

    value = ActionRegistry(settings)
    yield value
    value.deleteLater()
