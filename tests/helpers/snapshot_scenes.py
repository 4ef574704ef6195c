"""The Snapshots page, its dialogs and the clone dialog in their states, for pictures."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QRect, Qt
from PySide6.QtGui import QColor, QFont, QImage, QImageWriter, QPainter
from PySide6.QtWidgets import QAbstractButton, QApplication, QDialog, QMenu, QWidget

from guivm.engine import requests as rq
from guivm.engine.cloning.due import LINUX_BY_HAND
from guivm.engine.job_types import Screenshot
from guivm.engine.jobs import JobProgress
from guivm.engine.snapshots.values import FileAction, FileEffect, SnapshotId, SnapshotInfo, SnapshotMode, SnapshotPolicy
from guivm.engine.types import IdentityDue, IdentityState, VmKey, VmState
from guivm.errors import HostError
from guivm.views.bridge import Bridge
from guivm.views.main_window import MainWindow
from guivm.views.settings import Settings
from guivm.views.snapshots.page import SnapshotsPage
from guivm.views.vm_settings.dialog import SettingsDialog
from tests.helpers.fake_engine import GIB, FakeEngine
from tests.helpers.fake_snapshots import MIB, snapshot
from tests.helpers.settings_stage import DOMAIN

Scene = Callable[[], QWidget]
_DAY = 86_400.0
_NOT_ITS_OWN = IdentityDue(
    IdentityState.FAILED,
    "It has no guest agent, and virt-sysprep (guestfs-tools) is not installed here.",
    LINUX_BY_HAND,
)
_SCREENS = (
    ("Debian GNU/Linux installer", "Partitioning disks ... done", "Installing the base system ... 100 %"),
    ("web login: user", "Last login: Mon Oct  6 09:14:22", "user@web:~$ _"),
    ("user@web:~$ sudo apt upgrade", "14 upgraded, 2 newly installed", "After this operation 35 MB will be used."),
    ("nginx: configuration file test is successful", "user@web:~$ systemctl reload nginx", "user@web:~$ _"),
    ("[  2.104] EXT4-fs (vda1): recovering journal", "[  2.377] systemd[1]: Reached target Basic System", ""),
)


def screen(number: int) -> Screenshot:
    """A picture of a text console."""
    image = QImage(1024, 640, QImage.Format.Format_RGB32)
    image.fill(QColor(Qt.GlobalColor.black))
    painter = QPainter(image)
    font = QFont("DejaVu Sans Mono")
    font.setPixelSize(24)
    painter.setFont(font)
    painter.setPen(QColor(Qt.GlobalColor.lightGray))
    for line, text in enumerate(_SCREENS[number % len(_SCREENS)] * (1 + number % 3)):
        painter.drawText(QRect(16, 16 + line * 34, 1000, 34), int(Qt.AlignmentFlag.AlignLeft), text)
    painter.end()
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    assert QImageWriter(buffer, QByteArray(b"png")).write(image)
    return Screenshot("image/png", bytes(buffer.data().data()))


def believable(now_s: float) -> tuple[SnapshotInfo, ...]:
    """A small tree with two branches."""

    def one(name: str, parent: str | None, age_s: float, title: str, **fields: Any) -> SnapshotInfo:
        return replace(snapshot(name, parent, title=title, **fields), taken_s=now_s - age_s)

    running: dict[str, Any] = {"has_memory": True, "vm_state": VmState.RUNNING, "has_picture": True}
    return (
        one("fresh", None, 31 * _DAY, "Fresh installation", size_bytes=2 * GIB, has_picture=True,
            notes="Debian 12, nothing but the base system and SSH."),
        one("nginx", "fresh", 6 * _DAY, "nginx runs", size_bytes=900 * MIB, pause_s=1.2, **running,
            notes="Configuration from the old server.\nNext: certificates."),
        one("upgrade", "nginx", 2 * _DAY + 300, "Before the upgrade to 13", size_bytes=610 * MIB, pause_s=0.8,
            **running),
        one("try", "upgrade", 26 * 3600, "Upgraded, mail broken", size_bytes=1800 * MIB, pause_s=1.4, **running,
            cannot_delete="“mail-test” is a linked clone of it. Detach or delete that one first."),
        one("certs", "nginx", 5 * 3600, "Certificates", size_bytes=80 * MIB),
        one("fix", "certs", 12 * 60, "Mail works", size_bytes=420 * MIB, pause_s=0.6, **running),
    )  # fmt: skip


class SnapshotScenes:
    """``settle`` lets everything that is waiting happen; ``wait_for`` waits until something is so."""

    def __init__(
        self, settings: Settings, settle: Callable[[], None], wait_for: Callable[[Callable[[], bool]], None]
    ) -> None:
        self._settings = settings
        self._settle = settle
        self._wait_for = wait_for
        self._engine = FakeEngine()
        self._kept: list[QWidget] = []
        self._key: VmKey | None = None

    def all(self) -> dict[str, Scene]:
        return {
            "snapshots": self.page,
            "snapshots-several": self.several,
            "snapshots-timeline": self.timeline,
            "snapshots-narrow": self.narrow,
            "snapshots-deep": self.deep,
            "snapshots-empty": lambda: self._window(()),
            "snapshots-cannot": self.cannot,
            "snapshots-reading": lambda: self._window((), held=(rq.ReadSnapshots,)),
            "snapshots-failed": self.failed,
            "snapshots-notices": self.notices,
            "snapshots-foreign": self.foreign,
            "snapshots-job": self.job,
            "snapshot-take": self.take,
            "snapshot-take-off": lambda: self.take(VmState.OFF),
            "snapshot-restore": lambda: self.ask("restore-snapshot", "nginx"),
            "snapshot-restore-details": lambda: self.details("restore-snapshot", "nginx"),
            "snapshot-restore-without": self.restore_without,
            "snapshot-delete": lambda: self.details("delete-snapshot", "nginx"),
            "snapshot-delete-refused": lambda: self.ask("delete-snapshot", "upgrade", refuse=True),
            "snapshot-help": self.help,
            "clone": lambda: self.action("clone"),
            "clone-more": self.clone_more,
            "snapshots-schedule": self.schedule,
            "snapshot-policy": self.policy,
            "snapshot-policy-off": lambda: self.action("snapshot-policy"),
            "snapshot-policy-refused": self.policy_refused,
            "clone-identity": lambda: self.kind("overview", VmState.OFF, identity=_NOT_ITS_OWN),
            "disposable": lambda: self.kind("overview", is_disposable=True),
            "disposable-console": self.disposable_console,
            "template-overview": lambda: self.kind("overview", VmState.OFF, is_template=True),
            "template-console": lambda: self.kind("console", VmState.OFF, is_template=True),
            "template-menu": self.template_menu,
            "template-settings": self.template_settings,
            "template": lambda: self.action("template", VmState.OFF),
            "snapshots-linked": lambda: self.linked(()),
            "detach-clone": self.detach,
        }

    # --- parts ----------------------------------------------------------------------------------------

    def _window(
        self,
        snapshots: tuple[SnapshotInfo, ...] | None = None,
        state: VmState = VmState.RUNNING,
        *,
        held: tuple[type, ...] = (),
        policy: SnapshotPolicy | None = None,
        **fields: Any,
    ) -> MainWindow:
        self._engine = FakeEngine()
        self._key = self._engine.add_vm("web", state, title="Web server", vcpus=4)
        self._engine.add_vm("mail-test")
        self._engine.hold(*held)
        given = believable(time.time()) if snapshots is None else snapshots
        self._engine.snapshots.put(self._key, *given, **({"changed": True, "can_quiesce": True} | fields))
        if policy is not None:
            self._engine.snapshots.policies[self._key] = policy
        for number, info in enumerate(given):
            if info.has_picture:
                self._engine.snapshots.pictures[info.id] = screen(number)
        bridge = Bridge(self._engine)
        window = MainWindow(bridge, self._settings)
        bridge.setParent(window)
        self._kept = [window]
        window.resize(1180, 760)
        window.show()
        self._settle()
        window.select_vm(self._key)
        window.show_page("snapshots")
        self._settle()
        return window

    def _page(self, window: MainWindow) -> SnapshotsPage:
        return window.vm_page.snapshots

    def _select(self, window: MainWindow, name: str) -> None:
        page = self._page(window)
        page.tree.choose(SnapshotId(name))
        info = page.model.snapshot(SnapshotId(name))
        if info is not None and info.has_picture:
            self._wait_for(lambda: not page.details.picture.image.isNull())
        self._settle()

    def _dialog(self) -> QDialog:
        self._settle()
        shown = [w for w in QApplication.topLevelWidgets() if isinstance(w, QDialog) and w.isVisible()]
        assert shown
        dialog = shown[-1]
        button = dialog.findChild(QAbstractButton, "plan-details")
        self._wait_for(lambda: button is None or not button.isHidden() or not dialog.primary.isEnabled())  # type: ignore[attr-defined]
        self._settle()
        return dialog

    # --- the page -------------------------------------------------------------------------------------

    def page(self) -> QWidget:
        window = self._window()
        self._select(window, "nginx")
        return window

    def several(self) -> QWidget:
        window = self._window()
        self._page(window).tree.selectAll()
        self._settle()
        return window

    def timeline(self) -> QWidget:
        window = self._window()
        page = self._page(window)
        page.toolbar.view.set_value("timeline")
        page.timeline.choose(SnapshotId("upgrade"))
        self._wait_for(lambda: not page.timeline.picture.image.isNull())
        for _ in range(20):
            self._settle()
        self._wait_for(lambda: page.pictures.small(SnapshotId("fix")) is not None)
        return window

    def narrow(self) -> QWidget:
        window = self._window()
        window.resize(860, 760)
        self._select(window, "upgrade")
        return window

    def deep(self) -> QWidget:
        chain = tuple(
            snapshot(f"s{n}", f"s{n - 1}" if n else None, age_s=(40 - n) * 3600.0, title=f"Nightly {n + 1}")
            for n in range(40)
        )
        window = self._window(chain)
        self._select(window, "s39")
        return window

    def cannot(self) -> QWidget:
        reason = (
            "It has a raw disk on another host, of which no snapshot can be taken. Convert the disk to qcow2 first."
        )
        return self._window((), cannot_take=reason)

    def failed(self) -> QWidget:
        window = self._window(held=(rq.ReadSnapshots,))
        self._engine.fail_held(HostError("The host did not answer in time.", advice="Try again."))
        self._settle()
        return window

    def notices(self) -> QWidget:
        window = self._window(
            state=VmState.OFF,
            problems=("The image “/home/user/images/web.4f1c.qcow2” is missing; “web.9a2e.qcow2” needs it.",
                      "The image “/home/user/images/web.qcow2” was changed since it was frozen."),
            can_undo_restore="Certificates",
            is_template=True,
            needed_by=("mail-test", "web-2", "web-3", "web-4", "web-5", "web-6"),
        )  # fmt: skip
        self._select(window, "try")
        return window

    def foreign(self) -> QWidget:
        kept = believable(time.time())
        infos = tuple(replace(info, mode=SnapshotMode.FOREIGN, has_picture=False) for info in kept)
        window = self._window(infos)
        self._select(window, "certs")
        return window

    def job(self) -> QWidget:
        window = self._window()
        assert self._key is not None
        self._engine.hold(rq.DeleteSnapshots)
        self._engine.submit(rq.DeleteSnapshots(self._key, (SnapshotId("nginx"),)))
        (job,) = self._engine.held_jobs()
        job.on_cancel(lambda: None)
        job.report(JobProgress(700 << 20, 2 << 30, speed_per_s=210 << 20, remaining_s=6.6, step="Merging images"))
        page = self._page(window)
        self._wait_for(lambda: bool(page.jobs.rows))
        return window

    def linked(self, snapshots: tuple[SnapshotInfo, ...] | None = None) -> MainWindow:
        return self._window(snapshots, VmState.OFF, based_on=("/home/user/.local/share/guivm/images/base.qcow2",))

    # --- dialogs --------------------------------------------------------------------------------------

    def action(self, action_id: str, state: VmState = VmState.RUNNING) -> QDialog:
        window = self._window(state=state)
        window.registry.action(action_id).trigger()
        return self._dialog()

    def take(self, state: VmState = VmState.RUNNING) -> QWidget:
        return self.action("take-snapshot", state)

    def ask(self, action_id: str, name: str, *, refuse: bool = False) -> QDialog:
        window = self._window()
        self._select(window, name)
        if refuse:
            self._engine.snapshots.refusals[rq.DeleteSnapshots] = (
                "It runs, and the image “/home/user/images/web.4f1c.qcow2” can only be merged while it is off.",
                "Shut it down first.",
            )
        window.registry.action(action_id).trigger()
        return self._dialog()

    def details(self, action_id: str, name: str) -> QDialog:
        dialog = self.ask(action_id, name)
        button = dialog.findChild(QAbstractButton, "plan-details")
        assert button is not None
        button.click()
        self._settle()
        return dialog

    def restore_without(self) -> QWidget:
        dialog = self.ask("restore-snapshot", "nginx")
        box = dialog.findChild(QAbstractButton, "keep-current")
        assert box is not None
        box.click()
        self._wait_for(lambda: bool(dialog.plan_view.notes))  # type: ignore[attr-defined]
        return dialog

    def clone_more(self) -> QWidget:
        window = self._window()
        assert self._key is not None
        tpm = "<domain><devices><tpm model='tpm-crb'><backend type='emulator'/></tpm></devices></domain>"
        self._engine.details[self._key] = replace(self._engine.submit(rq.ReadDetails(self._key)).result(1), xml=tpm)
        window.registry.action("clone").trigger()
        dialog = self._dialog()
        for name in ("clone-kind-linked", "clone-more"):
            button = dialog.findChild(QAbstractButton, name)
            assert button is not None
            button.click()
        dialog.macs.setCurrentIndex(1)  # type: ignore[attr-defined]
        self._wait_for(lambda: bool(dialog.plan_view.notes))  # type: ignore[attr-defined]
        return dialog

    def detach(self) -> QWidget:
        window = self.linked()
        assert self._key is not None
        self._engine.snapshots.linked[self._key] = self._key
        window.registry.action("detach-clone").trigger()
        return self._dialog()

    # --- schedules ------------------------------------------------------------------------------------

    def schedule(self) -> QWidget:
        now_s = time.time()
        kept = tuple(replace(info, scheduled=info.id in ("certs", "fix", "try")) for info in believable(now_s))
        window = self._window(kept, policy=SnapshotPolicy(6, 7))
        self._select(window, "fix")
        return window

    def policy(self) -> QWidget:
        window = self._window(policy=SnapshotPolicy(6, 7))
        self._engine.snapshots.plan_fields = {
            "effects": tuple(
                FileEffect(FileAction.CHANGE, f"/home/user/.config/systemd/user/guivm-snapshot-3f0a1d5c.{kind}")
                for kind in ("service", "timer")
            ),
            "needs_bytes": 9 * GIB,
            "warnings": (
                "What the guest writes between two snapshots comes on top.",
                "The guest stands still for as long as it takes to write its memory, each time.",
                "It works while you are logged in; for always, allow it once with “loginctl enable-linger”.",
            ),
        }
        window.registry.action("snapshot-policy").trigger()
        return self._dialog()

    def policy_refused(self) -> QWidget:
        window = self._window(policy=SnapshotPolicy(48, 3))
        self._engine.snapshots.refusals[rq.SetSnapshotPolicy] = (
            "This computer has no systemd of the person's own, which would carry the timer.",
            "Run “guivm snapshot take” from another timer, such as cron.",
        )
        window.registry.action("snapshot-policy").trigger()
        return self._dialog()

    # --- VMs that are not as others are ---------------------------------------------------------------

    def kind(self, page: str, state: VmState = VmState.RUNNING, **fields: Any) -> MainWindow:
        window = self._window(state=state)
        assert self._key is not None
        others: tuple[tuple[str, VmState, dict[str, Any]], ...] = (
            ("base-debian", VmState.OFF, {"is_template": True, "title": "Debian 12, updated"}),
            ("try-it", VmState.RUNNING, {"is_disposable": True}),
            ("mail", VmState.RUNNING, {"pending": 2}),
        )
        for name, its_state, more in others:
            self._engine.add_vm(name, its_state, **more)
        self._engine.change_vm(self._key, **fields)
        window.show_page(page)
        self._settle()
        return window

    def disposable_console(self) -> QWidget:
        window = self.kind("console", is_disposable=True)
        window.registry.action("detach-console").trigger()
        self._settle()
        assert self._key is not None
        found = window.consoles.window(self._key)
        assert found is not None
        return found

    def template_menu(self) -> QWidget:
        window = self.kind("overview", VmState.OFF, is_template=True)
        menu = window.findChild(QMenu, "header-menu")
        assert isinstance(menu, QMenu)
        menu.popup(window.mapToGlobal(window.rect().topLeft()))
        self._settle()
        return menu

    def template_settings(self) -> QWidget:
        window = self.kind("overview", VmState.OFF, is_template=True)
        assert self._key is not None
        self._engine.settings.put(self._key, DOMAIN, "")
        window.registry.action("settings").trigger()
        dialog = window.findChild(SettingsDialog)
        assert isinstance(dialog, SettingsDialog)
        self._wait_for(lambda: dialog.form is not None)
        self._settle()
        return dialog

    def help(self) -> QWidget:
        window = self._window()
        self._page(window).show_help()
        self._settle()
        found = window.findChild(QDialog, "settings-help")
        assert isinstance(found, QDialog)
        return found
