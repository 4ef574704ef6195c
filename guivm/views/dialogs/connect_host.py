"""Connect to a host: this computer's two services, another computer over SSH, or any libvirt URI."""

from __future__ import annotations

import enum
import ipaddress
import re
from urllib.parse import quote, urlsplit

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QLineEdit, QRadioButton, QSpinBox, QVBoxLayout, QWidget

from guivm.text import clean_line
from guivm.views.dialogs.base import VerbDialog
from guivm.views.forms import Form, ToneLabel, pad_spin
from guivm.views.theme import GRID

_WIDTH = 560
_SSH_PORT = 22
# A leading dash would be an option to ssh.
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*\Z")
_USER = re.compile(r"[^\s\x00-\x20/:?#-][^\s\x00-\x20/:?#]*\Z")
_URI = re.compile(r"[a-z][a-z0-9]*(\+[a-z0-9]+)?:\S*\Z")


class HostKind(enum.Enum):
    SESSION = "session"
    SYSTEM = "system"
    SSH = "ssh"
    OTHER = "other"


def ssh_uri(host: str, user: str = "", port: int = _SSH_PORT) -> str:
    """libvirt's URI of the system service of another computer (https://libvirt.org/uri.html)."""
    place = f"[{host}]" if ":" in host else host
    who = f"{quote(user, safe='')}@" if user else ""
    where = "" if port == _SSH_PORT else f":{port}"
    return f"qemu+ssh://{who}{place}{where}/system"


def host_problem(host: str) -> bool:
    """True when ``host`` is neither a host name nor an IP address."""
    if _HOST.match(host):
        return False
    try:
        ipaddress.IPv6Address(host.partition("%")[0])
    except ValueError:
        return True
    return "%" in host


class ConnectDialog(VerbDialog):
    """``chosen`` carries the URI and a label for the list. Show with ``open()``."""

    chosen = Signal(str, str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(
            self.tr("Connect to a Host"), self.tr("&Connect"), parent, name="connect", width=_WIDTH, scrolls=True
        )
        self.body.setSpacing(GRID)
        self._touched = False
        self._group = QButtonGroup(self)
        self._buttons: dict[HostKind, QRadioButton] = {}
        for kind, text, help_text in (
            (
                HostKind.SESSION,
                self.tr("&This computer (session)"),
                self.tr("Your own VMs. Needs no rights; networks are limited to user-mode NAT."),
            ),
            (
                HostKind.SYSTEM,
                self.tr("This computer (s&ystem)"),
                self.tr("All users' VMs, with bridges and NAT networks. Needs the “libvirt” group."),
            ),
            (
                HostKind.SSH,
                self.tr("&Another computer over SSH"),
                self.tr("VMs of a server that runs libvirt and lets you in with SSH keys."),
            ),
            (HostKind.OTHER, self.tr("Other &URI"), self.tr("Anything libvirt can connect to.")),
        ):
            self._add_kind(kind, text, help_text)
        self._form = Form(self.content)
        self._build_fields()
        self.body.addSpacing(GRID)
        self.body.addWidget(self._form)
        self.body.addStretch(1)
        self._buttons[HostKind.SESSION].setChecked(True)
        self._buttons[HostKind.SESSION].setFocus()
        self._group.buttonToggled.connect(self._on_kind)
        self._follow()

    @property
    def kind(self) -> HostKind:
        return next(kind for kind, button in self._buttons.items() if button.isChecked())

    def set_kind(self, kind: HostKind) -> None:
        self._buttons[kind].setChecked(True)

    def uri_text(self) -> str:
        """The address the fields make."""
        match self.kind:
            case HostKind.SESSION:
                return "qemu:///session"
            case HostKind.SYSTEM:
                return "qemu:///system"
            case HostKind.SSH:
                host = self.host.text().strip()
                return ssh_uri(host, self.user.text().strip(), self.port.value()) if host else ""
            case HostKind.OTHER:
                return self.uri.text().strip()

    def submit(self) -> None:
        self.chosen.emit(self.uri_text(), self._label())
        self.accept()

    # --- building -------------------------------------------------------------------------------------

    def _add_kind(self, kind: HostKind, text: str, help_text: str) -> None:
        button = QRadioButton(text, self.content)
        button.setObjectName(f"kind-{kind.value}")
        button.setAccessibleName(text.replace("&", ""))
        button.setAccessibleDescription(help_text)
        note = ToneLabel(help_text, self.content)
        note.setContentsMargins(3 * GRID + 2, 0, 0, 0)
        column = QVBoxLayout()
        column.setSpacing(2)
        column.addWidget(button)
        column.addWidget(note)
        self.body.addLayout(column)
        self._group.addButton(button)
        self._buttons[kind] = button

    def _build_fields(self) -> None:
        self.host = QLineEdit(self)
        self.host.setObjectName("host")
        self.host.setPlaceholderText("server.example")
        self.user = QLineEdit(self)
        self.user.setObjectName("user")
        self.port = QSpinBox(self)
        self.port.setObjectName("port")
        self.port.setRange(1, 65_535)
        self.port.setValue(_SSH_PORT)
        pad_spin(self.port)
        port_box = QWidget(self)
        line = QHBoxLayout(port_box)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(self.port)
        line.addStretch(1)
        port_box.setFocusProxy(self.port)
        self.uri = QLineEdit(self)
        self.uri.setObjectName("uri")
        self.host_row = self._form.add_row(
            self.tr("&Host"), self.host, self.tr("Name or address, or a name from your SSH configuration.")
        )
        self.user_row = self._form.add_row(
            self.tr("Us&er"),
            self.user,
            self.tr("Empty: the name you have on this computer, or what SSH is set up for."),
        )
        self.port_row = self._form.add_row(self.tr("&Port"), port_box, self.tr("22 unless the server differs."))
        self.port.setAccessibleName(self.tr("Port"))
        self.uri_row = self._form.add_row(self.tr("A&ddress"), self.uri)
        for edit in (self.host, self.user):
            edit.textChanged.connect(self._on_edited)
        self.port.valueChanged.connect(self._on_edited)
        self.uri.textEdited.connect(self._on_edited)

    # --- following ------------------------------------------------------------------------------------

    @Slot()
    def _on_kind(self) -> None:
        before = self.uri.text()
        self._touched = False
        if self.kind is HostKind.OTHER:
            self.uri.setText(before or "qemu:///session")
        self._follow()
        self.grow()

    @Slot()
    def _on_edited(self) -> None:
        self._touched = True
        self._follow()

    def _follow(self) -> None:
        kind = self.kind
        for row in (self.host_row, self.user_row, self.port_row):
            row.set_visible(kind is HostKind.SSH)
        self.uri.setReadOnly(kind is not HostKind.OTHER)
        if kind is not HostKind.OTHER:
            self.uri.setText(self.uri_text())
            self.uri_row.set_help(self.tr("The address libvirt will be asked to open."))
        else:
            self.uri_row.set_help(self.tr("Such as qemu+tls://server.example/system or test:///default."))
        problems = {
            self.host_row: self._host_problem() if kind is HostKind.SSH else "",
            self.user_row: self._user_problem() if kind is HostKind.SSH else "",
            self.uri_row: self._uri_problem() if kind is HostKind.OTHER else "",
        }
        first = ""
        for row, problem in problems.items():
            first = first or problem
            row.set_problem(problem if self._touched else "")
        if not first and kind is HostKind.OTHER:
            self.uri_row.set_problem(self._uri_warning(), is_warning=True)
        self.set_reason(first, shown=self._touched)

    def _host_problem(self) -> str:
        host = self.host.text().strip()
        if not host:
            return self.tr("Give the name or address of the other computer.")
        if "@" in host:
            return self.tr("Put the user's name into its own field.")
        if host_problem(host):
            return self.tr("This is neither a host name nor an address.")
        return ""

    def _user_problem(self) -> str:
        user = self.user.text().strip()
        return "" if not user or _USER.match(user) else self.tr("This is no user name.")

    def _uri_problem(self) -> str:
        uri = self.uri.text().strip()
        if not uri:
            return self.tr("Give a libvirt URI.")
        if not _URI.match(uri) or ":/" not in uri:
            return self.tr("A libvirt URI looks like qemu:///system.")
        return ""

    def _uri_warning(self) -> str:
        query = urlsplit(self.uri.text().strip()).query
        keys = {part.partition("=")[0] for part in query.split("&")}
        if keys & {"command", "proxy"}:
            return self.tr("This address names a program that will be run on this computer.")
        if keys & {"no_verify", "known_hosts_verify", "no_sanity"}:
            return self.tr("This address may switch off the check of who the server is.")
        return ""

    def _label(self) -> str:
        match self.kind:
            case HostKind.SESSION:
                return self.tr("This computer")
            case HostKind.SYSTEM:
                return self.tr("This computer (system)")
            case HostKind.SSH:
                return clean_line(self.host.text().strip())
            case HostKind.OTHER:
                uri = self.uri.text().strip()
                return clean_line(urlsplit(uri).hostname or uri)
