"""The settings window in its states, for pictures."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QAbstractButton, QDialog, QPushButton, QWidget

from guivm.engine.networks.values import NetworkMode, NetworkSpec
from guivm.engine.options.phrase import Phrase
from guivm.engine.options.values import AccessFix, EditFix, Place, SettingProblem
from guivm.engine.types import VmState
from guivm.views.bridge import Bridge
from guivm.views.dialogs.networks import NetworksDialog
from guivm.views.vm_settings.dialog import CHANGES, XML, SettingsDialog
from tests.helpers.fake_engine import FakeEngine
from tests.helpers.settings_stage import DOMAIN, with_difference

Scene = Callable[[], QWidget]

_QEMU = """\
LC_ALL=C \\
HOME=/var/lib/libvirt/qemu/domain--1-web \\
/usr/bin/qemu-system-x86_64 \\
  -name guest=web,debug-threads=on \\
  -S \\
  -object '{"qom-type":"secret","id":"masterKey0","format":"raw","file":"/var/lib/libvirt/qemu/domain--1-web/\
master-key.aes"}' \\
  -machine pc-q35-7.2,usb=off,dump-guest-core=off,memory-backend=pc.ram \\
  -accel kvm \\
  -cpu host,migratable=on \\
  -m 8192 \\
  -blockdev '{"driver":"file","filename":"/home/user/images/web.qcow2","node-name":"libvirt-1-storage"}' \\
  -no-shutdown
# Not shown: 1 network card, which libvirt opens at the start and hands over."""


class SettingsScenes:
    """``settle`` lets everything that is waiting on the event loop happen."""

    def __init__(self, settle: Callable[[], None]) -> None:
        self._settle = settle
        self._engine = FakeEngine()
        self._kept: list[QWidget] = []

    def all(self) -> dict[str, Scene]:
        return {
            "settings-system": lambda: self._at(Place("system")),
            "settings-cpu": lambda: self._at(Place("cpu")),
            "settings-memory": lambda: self._at(Place("memory")),
            "settings-boot": lambda: self._at(Place("boot")),
            "settings-disk": lambda: self._at(Place("disk", "vda")),
            "settings-disk-more": self.disk_more,
            "settings-disk-edited": self.disk_edited,
            "settings-problem": self.problem,
            "settings-network": lambda: self._at(Place("nic", "52:54:00:1a:2b:3c")),
            "settings-display": lambda: self._at(Place("display", "vnc")),
            "settings-search": self.search,
            "settings-search-nothing": self.search_nothing,
            "settings-changes": self.changes,
            "settings-changes-none": lambda: self._at(CHANGES),
            "settings-changes-commands": lambda: self.details("show-commands"),
            "settings-changes-qemu": self.qemu,
            "settings-changes-diff": lambda: self.details("show-diff"),
            "settings-xml": lambda: self._at(XML),
            "settings-xml-error": self.xml_error,
            "settings-xml-use": self.xml_use,
            "settings-add-hardware": lambda: self.add("disk"),
            "settings-add-refused": lambda: self.add("tpm"),
            "settings-help": self.help,
            "settings-conflict": self.conflict,
            "settings-applied": self.applied,
            "settings-restarting": self.restarting,
            "settings-discard": self.discard,
            "settings-reading": self.reading,
            "networks": self.networks,
            "networks-none": lambda: self.networks(none=True),
            "networks-help": self.networks_help,
        }

    def networks(self, *, none: bool = False) -> QWidget:
        self._engine = FakeEngine()
        self._engine.add_vm("web", VmState.RUNNING)
        if not none:
            for spec in (
                NetworkSpec("default", NetworkMode.NAT, "192.168.122.1/24", "192.168.122.2 – 192.168.122.254"),
                NetworkSpec("lab", NetworkMode.ISOLATED, "10.10.0.1/24", ""),
            ):
                self._engine.networks.add(spec)
        bridge = Bridge(self._engine)
        dialog = NetworksDialog(bridge)
        bridge.setParent(dialog)
        self._kept = [dialog]
        dialog.show()
        self._settle()
        return dialog

    def _dialog(self, state: VmState = VmState.RUNNING, *, differs: bool = False, held: bool = False) -> SettingsDialog:
        self._engine = FakeEngine()
        key = self._engine.add_vm("web", state)
        self._engine.settings.put(key, DOMAIN, with_difference(DOMAIN) if differs else "")
        if held:
            from guivm.engine.requests import ReadSettings

            self._engine.hold(ReadSettings)
        bridge = Bridge(self._engine)
        vm = self._engine.vm(key)
        assert vm is not None
        dialog = SettingsDialog(bridge, vm)
        bridge.setParent(dialog)
        self._kept = [dialog]
        dialog.show()
        self._settle()
        return dialog

    def _at(self, place: Place) -> SettingsDialog:
        dialog = self._dialog()
        dialog.show_place(place)
        self._settle()
        return dialog

    def _edit(self, dialog: SettingsDialog) -> None:
        """Three edits: one that can be live, one that cannot, one device more."""
        draft = dialog.draft
        assert draft is not None
        for place, value in (
            (Place("disk", "vda", "cache"), "none"),
            (Place("system", "", "title"), "Web server of the office"),
        ):
            part = draft.part_at(place)
            assert part is not None
            option = next(o for o in part.resource.options if o.id == place.option)
            draft.set_value(part, option, value)
        sound = next((p for p in draft.parts() if p.resource.id == "rng"), None)
        if sound is not None:
            draft.remove(sound)
        self._settle()

    # --- scenes ---------------------------------------------------------------------------------------

    def disk_more(self) -> QWidget:
        dialog = self._at(Place("disk", "vda"))
        assert dialog.form is not None
        dialog.form.more.setChecked(True)
        self._settle()
        bar = dialog.frame.area.verticalScrollBar()
        bar.setValue(bar.maximum() // 2)
        self._settle()
        return dialog

    def disk_edited(self) -> QWidget:
        dialog = self._dialog()
        self._edit(dialog)
        dialog.show_place(Place("disk", "vda"))
        self._settle()
        return dialog

    def problem(self) -> QWidget:
        dialog = self._at(Place("disk", "vdb"))
        self._engine.settings.problems = (
            SettingProblem(
                Place("disk", "vdb", "source"),
                "QEMU runs as the user “libvirt-qemu”, who may not enter “/home/user”; allow it, or move the file "
                "elsewhere, to /var/lib/libvirt/images for example.",
                fix=AccessFix("libvirt-qemu", "x", ("/home/user", "/home/user/.local/share/guivm/images")),
            ),
            SettingProblem(
                Place("disk", "vdb", "cache"),
                "Native I/O needs the cache “none” or “directsync”.",
                fix=EditFix(Place("disk", "vdb", "cache"), "none", Phrase("Use the cache “{}”", "none")),
            ),
            SettingProblem(Place("memory", "", "current"), "This is more than the host has.", is_warning=True),
        )
        assert dialog.draft is not None
        dialog.draft.set_problems(self._engine.settings.problems)
        self._settle()
        return dialog

    def search(self) -> QWidget:
        dialog = self._dialog()
        dialog.frame.search.setText("bridge")
        self._settle()
        return dialog

    def search_nothing(self) -> QWidget:
        dialog = self._dialog()
        dialog.frame.search.setText("flux capacitor")
        self._settle()
        return dialog

    def changes(self) -> SettingsDialog:
        dialog = self._dialog(differs=True)
        self._edit(dialog)
        dialog.show_place(CHANGES)
        self._settle()
        return dialog

    def details(self, button: str) -> QWidget:
        dialog = self.changes()
        found = dialog.findChild(QPushButton, button)
        assert found is not None
        found.click()
        self._settle()
        return dialog

    def qemu(self) -> QWidget:
        dialog = self.changes()
        self._engine.qemu_command = _QEMU
        for name in ("show-commands", "command-kind-qemu"):
            button = dialog.findChild(QAbstractButton, name)
            assert button is not None
            button.click()
        self._settle()
        return dialog

    def networks_help(self) -> QWidget:
        dialog = self.networks()
        assert isinstance(dialog, NetworksDialog)
        dialog.help.click()
        self._settle()
        found = dialog.findChild(QDialog, "settings-help")
        assert isinstance(found, QDialog)
        return found

    def xml_error(self) -> QWidget:
        from guivm.views.vm_settings.xml_page import XmlPage

        dialog = self._at(XML)
        page = dialog.findChild(XmlPage)
        assert page is not None
        page.editor.setPlainText(page.editor.toPlainText().replace("</features>", "</feature>"))
        page.check()
        page.find_bar.open_bar()
        page.find_bar.field.setText("disk")
        self._settle()
        return dialog

    def xml_use(self) -> QWidget:
        from guivm.views.vm_settings.xml_page import XmlPage

        dialog = self._at(XML)
        page = dialog.findChild(XmlPage)
        assert page is not None
        page.editor.setPlainText(page.editor.toPlainText().replace("4194304", "8388608"))
        page.ask_to_use()
        self._settle()
        found = page.findChild(QDialog, "use-text")
        assert isinstance(found, QDialog)
        return found

    def add(self, kind: str) -> QWidget:
        from guivm.views.vm_settings.add_hardware import AddHardwareDialog

        dialog = self._dialog()
        dialog.frame.add_button.click()
        self._settle()
        found = dialog.findChild(AddHardwareDialog)
        assert found is not None
        found.select(kind)
        self._settle()
        return found

    def help(self) -> QWidget:
        dialog = self._at(Place("disk", "vda"))
        dialog.frame.help_button.click()
        self._settle()
        found = dialog.findChild(QDialog, "settings-help")
        assert isinstance(found, QDialog)
        return found

    def conflict(self) -> QWidget:
        dialog = self._dialog()
        self._edit(dialog)
        (key,) = self._engine.settings.xml
        self._engine.settings.change_outside(key, "Web server", "Web server (moved)")
        dialog.apply()
        self._settle()
        found = dialog.findChild(QDialog, "conflict")
        assert isinstance(found, QDialog)
        return found

    def applied(self) -> QWidget:
        dialog = self._dialog()
        self._edit(dialog)
        dialog.apply()
        self._settle()
        more = dialog.findChild(QPushButton, "banner-more")
        assert more is not None
        more.click()
        self._settle()
        return dialog

    def restarting(self) -> QWidget:
        from guivm.engine.requests import ShutDown

        dialog = self.changes()
        self._engine.hold(ShutDown)
        dialog.restart.ask(start_again=True, applies_first=False)
        self._settle()
        question = dialog.findChild(QDialog, "confirm")
        assert isinstance(question, QDialog)
        question.accept()
        self._settle()
        return dialog

    def discard(self) -> QWidget:
        dialog = self._dialog()
        self._edit(dialog)
        dialog.close()
        self._settle()
        found = dialog.findChild(QDialog, "confirm")
        assert isinstance(found, QDialog)
        return found

    def reading(self) -> QWidget:
        return self._dialog(held=True)
