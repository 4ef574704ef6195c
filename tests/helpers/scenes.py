"""Every window and dialog with believable content, for pictures: name → function that makes and shows it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QBuffer, QByteArray, QCoreApplication, QIODevice, QObject, QRect, Qt
from PySide6.QtGui import QColor, QFont, QImage, QImageWriter, QPainter
from PySide6.QtWidgets import QApplication, QDialog, QWidget

from guivm.console import rfb_source
from guivm.engine import requests as rq
from guivm.engine.job_types import (
    ConsoleEndpoint,
    DeletePlan,
    DiskFate,
    FieldProblem,
    KvmStatus,
    NewVmField,
    Screenshot,
)
from guivm.engine.jobs import JobProgress
from guivm.engine.types import HostId, HostState, VmKey, VmState
from guivm.errors import OperationError
from guivm.views.bridge import Bridge
from guivm.views.main_window import MainWindow
from guivm.views.settings import CONSOLE_SCALE, Settings
from tests.helpers.console_scenes import ConsoleScenes
from tests.helpers.fake_engine import GIB, LOCAL, FakeEngine
from tests.helpers.fake_source import FakeSource
from tests.helpers.settings_scenes import SettingsScenes
from tests.helpers.snapshot_scenes import SnapshotScenes

Scene = Callable[[], QWidget]

_LINES = (
    "Debian GNU/Linux 12 web tty1",
    "",
    "web login: user",
    "Password:",
    "Linux web 6.1.0-38-amd64 #1 SMP PREEMPT_DYNAMIC Debian x86_64",
    "",
    "user@web:~$ uptime",
    " 14:02:11 up 12 days,  3:41,  1 user,  load average: 0.08, 0.03, 0.01",
    "user@web:~$ _",
)


def scenes(settings: Settings) -> dict[str, Scene]:
    """All scenes; each function makes a fresh window and answers it after it has been shown and settled."""
    maker = _Maker(settings)
    console = ConsoleScenes(settings, maker.console, maker.source, lambda: maker.engine, settle, _wait_for)
    return {
        "main-overview": maker.overview,
        "main-pending": maker.pending,
        "main-console": lambda: maker.console("web"),
        "main-console-captured": maker.console_captured,
        "main-console-paused": lambda: maker.console("Windows 11"),
        "main-console-off": maker.console_off,
        "main-several-selected": maker.several,
        "main-search": maker.search,
        "main-search-nothing": maker.search_nothing,
        "main-messages-and-jobs": maker.messages_and_jobs,
        "main-welcome": maker.welcome,
        "main-connecting": maker.connecting,
        "main-host-problem": maker.host_problem,
        "main-host-lost": maker.host_lost,
        "console-window": maker.console_window,
        **console.all(),
        **SettingsScenes(settle).all(),
        **SnapshotScenes(settings, settle, _wait_for).all(),
        "new-vm": maker.new_vm,
        "new-vm-iso": maker.new_vm_iso,
        "new-vm-problems": maker.new_vm_problems,
        "new-vm-kernel": maker.new_vm_kernel,
        "delete": maker.delete,
        "rename": maker.rename,
        "title-and-notes": maker.notes,
        "preferences-general": lambda: maker.preferences(0),
        "preferences-console": lambda: maker.preferences(1),
        "preferences-shortcuts": lambda: maker.preferences(2),
        "shortcuts": lambda: maker.window_dialog("shortcuts"),
        "connect": lambda: maker.window_dialog("connect"),
        "about": lambda: maker.window_dialog("about"),
        "confirm-force-off": maker.confirm,
        "close-question": maker.close_question,
    }


def settle() -> None:
    """Let everything that is waiting on the event loop happen."""
    for _ in range(8):
        QCoreApplication.sendPostedEvents()
        QCoreApplication.processEvents()


def guest_screen(width: int = 1280, height: int = 800) -> QImage:
    """A picture of a text console."""
    image = QImage(width, height, QImage.Format.Format_RGB32)
    image.fill(QColor(Qt.GlobalColor.black))
    painter = QPainter(image)
    font = QFont("DejaVu Sans Mono")
    font.setPixelSize(24)
    painter.setFont(font)
    painter.setPen(QColor(Qt.GlobalColor.lightGray))
    for number, line in enumerate(_LINES):
        painter.drawText(QRect(8, 8 + number * 30, width, 30), int(Qt.AlignmentFlag.AlignLeft), line)
    painter.end()
    return image


def guest_pixels() -> NDArray[np.uint8]:
    """The same as a framebuffer has it."""
    image = guest_screen()
    return np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.width(), 4).copy()


class _Maker:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.engine = FakeEngine()
        self.keys: dict[str, VmKey] = {}
        self._shown: MainWindow | None = None
        self._source: FakeSource | None = None

    # --- parts ----------------------------------------------------------------------------------------

    def _window(self, *, vms: bool = True, connected: bool = True) -> MainWindow:
        self.engine = FakeEngine(connected=connected)
        buffer = QBuffer()
        buffer.open(QIODevice.OpenModeFlag.WriteOnly)
        writer = QImageWriter(buffer, QByteArray(b"png"))
        assert writer.write(guest_screen())
        self.engine.screenshot = Screenshot("image/png", bytes(buffer.data().data()))
        if vms:
            self._fill()
        bridge = Bridge(self.engine)
        window = MainWindow(bridge, self._settings)
        bridge.setParent(window)
        self._shown = window  # or Python would delete it under its dialogs
        window.resize(1180, 760)
        window.show()
        settle()
        return window

    def _fill(self) -> None:
        def add(name: str, state: VmState, **fields: Any) -> None:
            self.keys[name] = self.engine.add_vm(name, state, **fields)

        add("web", VmState.RUNNING, title="Web server", notes="Debian 12 with nginx.\nReachable on port 8080.", vcpus=4)
        add("database", VmState.RUNNING, memory_kib=8 * 1024**2)
        add("Windows 11", VmState.PAUSED, reason="Paused by the host", memory_kib=8 * 1024**2)
        add("builder", VmState.SAVED, title="Nightly builds")
        add("fedora-test", VmState.OFF)
        add("old-mail", VmState.CRASHED, reason="The guest crashed")
        add("router", VmState.RUNNING, vcpus=1, memory_kib=512 * 1024)
        add("sandbox", VmState.OFF)

    def _selected(self, name: str, page: str = "overview") -> MainWindow:
        window = self._window()
        window.select_vm(self.keys[name])
        window.show_page(page)
        settle()
        return window

    @staticmethod
    def _dialog(window: QWidget) -> QWidget:
        """The dialog on top of a window."""
        settle()
        shown = [w for w in QApplication.topLevelWidgets() if isinstance(w, QDialog) and w.isVisible()]
        assert shown, f"no dialog over {window.objectName()}"
        return shown[-1]

    # --- main window ----------------------------------------------------------------------------------

    def overview(self) -> QWidget:
        window = self._selected("web")
        _wait_for_thumbnail(window)
        return window

    def pending(self) -> QWidget:
        """Running VMs for which something waits."""
        from tests.helpers.settings_stage import DOMAIN, with_difference

        window = self._window()
        self.engine.settings.put(self.keys["web"], DOMAIN, with_difference(DOMAIN))
        self.engine.change_vm(self.keys["web"])
        self.engine.change_vm(self.keys["Windows 11"], pending=12)
        window.select_vm(self.keys["web"])
        window.show_page("overview")
        _wait_for_thumbnail(window)
        _wait_for(lambda: window.vm_page.badge.count > 0)
        return window

    def console(self, name: str) -> MainWindow:
        """A VM's console with a picture in it."""
        self._settings.set(CONSOLE_SCALE, "fit")
        window = self._window()
        self.engine.endpoint = ConsoleEndpoint(unix_path="/nonexistent")
        sources: list[FakeSource] = []

        def make(_endpoint: ConsoleEndpoint, parent: QObject | None = None, *, tap: object = None) -> FakeSource:
            sources.append(FakeSource(parent))
            return sources[-1]

        with patch.object(rfb_source, "make_source", make):
            window.select_vm(self.keys[name])
            window.show_page("console")
            _wait_for(lambda: bool(sources))
        sources[-1].show(guest_pixels())
        self._source = sources[-1]
        settle()
        return window

    def source(self) -> FakeSource:
        """Of the console shown last."""
        assert self._source is not None
        return self._source

    def console_captured(self) -> QWidget:
        window = self.console("web")
        page = window.vm_page.deck.current_page
        assert page is not None
        assert page.console is not None
        page.console.setFocus()
        page.console.capture()
        settle()
        return window

    def console_off(self) -> QWidget:
        return self._selected("builder", "console")

    def several(self) -> QWidget:
        window = self._window()
        window.list.select([self.keys[name] for name in ("web", "database", "router")])
        settle()
        return window

    def search(self) -> QWidget:
        window = self._selected("web")
        window.list.search.setText("running")
        _wait_for_thumbnail(window)
        return window

    def search_nothing(self) -> QWidget:
        window = self._selected("web")
        window.list.search.setText("nothing like this")
        settle()
        return window

    def messages_and_jobs(self) -> QWidget:
        window = self._selected("database")
        self.engine.hold(rq.SaveState, rq.Start)
        self.engine.submit(rq.SaveState(self.keys["web"]))
        self.engine.submit(rq.Start(self.keys["builder"]))
        job = self.engine.held_jobs()[0]
        job.on_cancel(lambda: None)
        job.report(JobProgress(700 << 20, 2 << 30, speed_per_s=210 << 20, remaining_s=6.6, step="Writing memory"))
        window.messages.show_info("“sandbox” was deleted.", actions=[("Undo", lambda: None)])
        window.messages.show_error(
            OperationError(
                "“fedora-test” could not be started: its disk is missing.",
                advice="Put the file back, or choose another disk in its settings.",
                details="Cannot access storage file '/home/user/images/fedora-test.qcow2': No such file or directory",
            )
        )
        window.registry.action("jobs").trigger()
        _wait_for(lambda: len(window.jobs.rows) == 2)
        _wait_for_thumbnail(window)
        return window

    def welcome(self) -> QWidget:
        return self._window(vms=False)

    def connecting(self) -> QWidget:
        return self._window(vms=False, connected=False)

    def host_problem(self) -> QWidget:
        window = self._window(vms=False, connected=False)
        self.engine.set_host(
            LOCAL,
            state=HostState.FAILED,
            problem="Another guivm window holds the built-in engine of this computer. Use that window, or close it.",
            details="Failed to acquire pid file 'driver.pid': Resource temporarily unavailable",
        )
        settle()
        return window

    def host_lost(self) -> QWidget:
        window = self._selected("web")
        self.engine.open_host("qemu+ssh://admin@server.example/system", "server.example")
        self.engine.set_host(
            LOCAL, state=HostState.RECONNECTING, problem="The connection to the host was lost; trying again."
        )
        self.engine.add_vm("backup", VmState.RUNNING, host=HostId("qemu+ssh://admin@server.example/system"))
        settle()
        return window

    def console_window(self) -> QWidget:
        window = self.console("web")
        window.registry.action("detach-console").trigger()
        settle()
        return next(w for w in QApplication.topLevelWidgets() if w.objectName() == "console-window")

    # --- dialogs --------------------------------------------------------------------------------------

    def window_dialog(self, action_id: str) -> QWidget:
        window = self._window()
        window.registry.action(action_id).trigger()
        return self._dialog(window)

    def new_vm(self) -> QWidget:
        return self.window_dialog("new")

    def new_vm_iso(self) -> QWidget:
        window = self._window()
        window.open_file(Path("/home/user/Downloads/debian-12.11.0-amd64-netinst.iso"))
        return self._dialog(window)

    def new_vm_problems(self) -> QWidget:
        window = self._window()
        self.engine.capabilities = _with_kvm(self.engine)
        self.engine.extra_problems = (
            FieldProblem(NewVmField.MEMORY, "This computer has 16 GiB of memory; give the virtual machine less."),
            FieldProblem(NewVmField.DISK, "The folder has 84 GiB free; choose a smaller disk."),
        )
        self.engine.media[Path("/home/user/Downloads/broken.iso")] = OperationError(
            "“broken.iso” is no CD or DVD image.", advice="Download it again."
        )
        window.open_file(Path("/home/user/Downloads/broken.iso"))
        dialog = self._dialog(window)
        _wait_for(lambda: bool(self.engine.requests_of(rq.CheckNewVm)))
        return dialog

    def new_vm_kernel(self) -> QWidget:
        dialog = self.window_dialog("new")
        button = dialog.findChild(QWidget, "source-kernel")
        if button is not None:
            button.click()  # type: ignore[attr-defined]
        settle()
        return dialog

    def delete(self) -> QWidget:
        window = self._selected("builder")
        images = "/home/user/.local/share/guivm/images"
        self.engine.plans[self.keys["builder"]] = DeletePlan(
            self.keys["builder"],
            "builder",
            (
                DiskFate(f"{images}/builder.qcow2", 21 * GIB, True),
                DiskFate(f"{images}/builder-cache.qcow2", 6 * GIB, True),
                DiskFate("/home/user/Downloads/debian-12.iso", GIB // 2, False, "Installation media is not deleted."),
                DiskFate(f"{images}/base.qcow2", 4 * GIB, False, "“web” needs it."),
            ),
            loses_saved_state=True,
        )
        window.registry.action("delete").trigger()
        return self._dialog(window)

    def rename(self) -> QWidget:
        window = self._selected("sandbox")
        window.registry.action("rename").trigger()
        return self._dialog(window)

    def notes(self) -> QWidget:
        window = self._selected("web")
        window.registry.action("edit-notes").trigger()
        return self._dialog(window)

    def preferences(self, section: int) -> QWidget:
        dialog = self.window_dialog("preferences")
        dialog.show_section(section)  # type: ignore[attr-defined]
        settle()
        return dialog

    def confirm(self) -> QWidget:
        window = self._selected("web")
        window.registry.action("force-off").trigger()
        return self._dialog(window)

    def close_question(self) -> QWidget:
        window = self._selected("web")
        window.close()
        return self._dialog(window)


def _with_kvm(engine: FakeEngine) -> Any:
    from dataclasses import replace

    return replace(engine.capabilities, kvm=KvmStatus(True, "Hardware virtualisation is ready."))


def _wait_for(condition: Callable[[], bool]) -> None:
    """Turn the event loop until the condition holds, or two seconds are over."""
    from PySide6.QtCore import QDeadlineTimer, QEventLoop

    deadline = QDeadlineTimer(2000)
    while not condition() and not deadline.hasExpired():
        QCoreApplication.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents, 50)
    settle()


def _wait_for_thumbnail(window: MainWindow) -> None:
    from guivm.views.thumbnail import ScreenThumbnail

    thumbnails = window.findChildren(ScreenThumbnail)
    _wait_for(lambda: any(not thumbnail.image.isNull() for thumbnail in thumbnails))


__all__ = ["Scene", "guest_screen", "scenes", "settle"]
