"""The fields of a virtual network: no requests, and no rules but the form's own."""

from __future__ import annotations

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from guivm.engine.networks.rules import RangeError, parse_subnet
from guivm.engine.networks.values import NetworkField, NetworkMode, NetworkProblem, NetworkSpec
from guivm.views import formats
from guivm.views.dialogs.choices import SegmentedChooser
from guivm.views.dialogs.network_fixed import FixedTable
from guivm.views.dialogs.network_words import mode_help
from guivm.views.forms import Form, FormRow
from guivm.views.theme import GRID

_F = NetworkField
_MODES = (NetworkMode.NAT, NetworkMode.ROUTED, NetworkMode.ISOLATED, NetworkMode.OPEN)


class NetworkForm(QWidget):
    """Simple fields above, the rest under More. ``edited`` is told of a person's changes only."""

    edited = Signal()
    heightChanged = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("network-form")
        self._silent = False
        self._mode_is_ours = True
        self._spec = NetworkSpec("", NetworkMode.NAT)
        self.form = Form(self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.form)
        layout.addStretch(1)
        self._build_basic()
        self._build_more()
        self.rows: dict[NetworkField, FormRow] = {
            _F.NAME: self.name_row,
            _F.MODE: self.mode_row,
            _F.IPV4: self.ipv4_row,
            _F.DHCP4: self.dhcp_row,
            _F.IPV6: self.ipv6_row,
            _F.DHCP6: self.dhcp6_row,
            _F.DEVICE: self.device_row,
            _F.DOMAIN: self.domain_row,
            _F.BRIDGE: self.bridge_row,
            _F.FIXED: self.fixed_row,
        }
        self._follow()
        self.show_more(False)

    # --- building -------------------------------------------------------------------------------------

    def _build_basic(self) -> None:
        self.name = self._line("name", "")
        self.name.setMaxLength(80)
        self.name_row = self.form.add_row(self.tr("&Name"), self.name, self.tr("How network cards name it."))
        self.mode = SegmentedChooser[NetworkMode](
            "mode",
            (
                (NetworkMode.NAT, "nat", self.tr("NA&T")),
                (NetworkMode.ROUTED, "route", self.tr("&Routed")),
                (NetworkMode.ISOLATED, "isolated", self.tr("&Isolated")),
                (NetworkMode.OPEN, "open", self.tr("&Open")),
            ),
            self,
        )
        self.mode.setAccessibleName(self.tr("Mode"))
        self.mode.changed.connect(self._on_edited)
        self.mode_row = self.form.add_row(self.tr("Mode"), self.mode)
        self.ipv4 = self._line("ipv4", "192.168.100.0/24")
        self.ipv4_row = self.form.add_row(self.tr("Address rang&e"), self.ipv4)
        self.dhcp_on = self._check("dhcp-on", self.tr("Gi&ve out addresses (DHCP)"))
        self.form.add_row("", self.dhcp_on).note.hide()
        self.dhcp = self._line("dhcp4", "192.168.100.2 – 192.168.100.254")
        self.dhcp_row = self.form.add_row(
            self.tr("From – to"), self.dhcp, self.tr("Guests that ask for an address get one of these.")
        )
        self.autostart = self._check("autostart", self.tr("Start with the &host"))
        self.form.add_row("", self.autostart).note.hide()
        self.more = QPushButton(self.tr("&More"), self)
        self.more.setObjectName("more")
        self.more.setAccessibleName(self.tr("More"))
        self.more.setCheckable(True)
        self.more.setAutoDefault(False)
        self.more.setProperty("kind", "small")
        self.more.toggled.connect(self.show_more)
        self.form.add_row("", _leading(self.more, self)).note.hide()

    def _build_more(self) -> None:
        self.ipv6 = self._line("ipv6", "fd12:3456:789a::/64")
        self.ipv6_row = self.form.add_row(self.tr("IPv&6 range"), self.ipv6)
        self.dhcp6 = self._line("dhcp6", "")
        self.dhcp6_row = self.form.add_row(
            self.tr("DHCPv6"), self.dhcp6, self.tr("Empty: guests choose their IPv6 addresses by themselves.")
        )
        self.device = QComboBox(self)
        typed = QLineEdit(self.device)
        typed.setObjectName("device-name")
        typed.setAccessibleName(self.tr("Out by"))
        typed.setPlaceholderText(self.tr("Any interface"))
        self.device.setObjectName("device")
        self.device.setEditable(True)
        self.device.setLineEdit(typed)
        self.device.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.device.currentTextChanged.connect(self._on_edited)
        self.device_row = self.form.add_row(
            self.tr("Out &by"), self.device, self.tr("The only interface of the host that packets leave by.")
        )
        self.domain = self._line("domain", "lab.example")
        self.domain_row = self.form.add_row(
            self.tr("&DNS domain"), self.domain, self.tr("Guests are found by name below it.")
        )
        self.bridge = self._line("bridge", self.tr("Chosen by libvirt"))
        self.bridge_row = self.form.add_row(
            self.tr("Brid&ge"), self.bridge, self.tr("The host's end of the network; at most 15 characters.")
        )
        self.fixed = FixedTable(self)
        self.fixed.changed.connect(self._on_edited)
        self.fixed_row = self.form.add_row(
            self.tr("Fi&xed addresses"),
            self.fixed,
            self.tr("These cards get the same address each time, and their name in the network's DNS."),
            tall=True,
        )
        self._more_rows = (
            self.ipv6_row, self.dhcp6_row, self.device_row, self.domain_row, self.bridge_row, self.fixed_row,
        )  # fmt: skip

    def _line(self, name: str, placeholder: str) -> QLineEdit:
        edit = QLineEdit(self)
        edit.setObjectName(name)
        edit.setPlaceholderText(placeholder)
        edit.textChanged.connect(self._on_edited)
        return edit

    def _check(self, name: str, text: str) -> QCheckBox:
        box = QCheckBox(text, self)
        box.setObjectName(name)
        box.setAccessibleName(text.replace("&", ""))
        box.toggled.connect(self._on_edited)
        return box

    # --- values ---------------------------------------------------------------------------------------

    def spec(self) -> NetworkSpec:
        """What the form says now."""
        return NetworkSpec(
            name=self.name.text().strip(),
            mode=self.mode.value() if self._mode_is_ours else NetworkMode.OTHER,
            ipv4=self.ipv4.text().strip(),
            dhcp4=self.dhcp.text().strip() if self.dhcp_on.isChecked() else "",
            ipv6=self.ipv6.text().strip(),
            dhcp6=self.dhcp6.text().strip(),
            device=self.device.currentText().strip() if self.device.isEnabled() else "",
            domain=self.domain.text().strip(),
            bridge=self.bridge.text().strip(),
            autostart=self.autostart.isChecked(),
            fixed=self.fixed.values(),
        )

    def set_spec(self, spec: NetworkSpec, devices: tuple[str, ...] = (), *, name_is_fixed: bool = False) -> None:
        """Show a network; silent. ``devices``: interfaces of the host to choose from."""
        self._silent = True
        self._mode_is_ours = spec.mode in _MODES
        self.name.setText(spec.name)
        self.name.setReadOnly(name_is_fixed)
        if self._mode_is_ours:
            self.mode.set_value(spec.mode)
        self.mode.setEnabled(self._mode_is_ours)
        self.ipv4.setText(spec.ipv4)
        self.dhcp.setText(spec.dhcp4)
        self.dhcp_on.setChecked(bool(spec.dhcp4))
        self.ipv6.setText(spec.ipv6)
        self.dhcp6.setText(spec.dhcp6)
        self.device.clear()
        self.device.addItems(["", *devices])
        self.device.setEditText(spec.device)
        self.domain.setText(spec.domain)
        self.bridge.setText(spec.bridge)
        self.autostart.setChecked(spec.autostart)
        self.fixed.set_values(spec.fixed)
        if name_is_fixed:
            self.name_row.set_help(self.tr("A network cannot be renamed."))
        for field in (self.ipv4, self.dhcp, self.dhcp_on, self.ipv6, self.dhcp6, self.device, self.bridge, self.fixed):
            field.setEnabled(self._mode_is_ours)
        self._silent = False
        self._follow()

    def suggest_dhcp(self, text: str) -> None:
        """The usual addresses of a range just typed; silent."""
        self._silent = True
        self.dhcp.setText(text)
        self._silent = False

    def show_problems(self, problems: tuple[NetworkProblem, ...]) -> None:
        """The first of each field beside it, real problems before warnings; under More it opens."""
        for field, row in self.rows.items():
            mine = sorted((each for each in problems if each.field is field), key=lambda each: each.is_warning)
            row.set_problem(mine[0].message if mine else "", is_warning=bool(mine) and mine[0].is_warning)
            if mine and row in self._more_rows and not mine[0].is_warning:
                self.more.setChecked(True)

    @Slot(bool)
    def show_more(self, shown: bool) -> None:
        for row in self._more_rows:
            row.set_visible(shown)
        self._follow()
        self.heightChanged.emit()

    # --- following ------------------------------------------------------------------------------------

    @Slot()
    def _on_edited(self) -> None:
        if not self._silent:
            self._follow()
            self.edited.emit()

    def _follow(self) -> None:
        mode = self.mode.value() if self._mode_is_ours else NetworkMode.OTHER
        self.mode_row.set_help(mode_help(mode))
        self.dhcp_row.set_visible(self.dhcp_on.isChecked())
        self.ipv4_row.set_help(self._range_help(self.ipv4.text(), 4))
        self.ipv6_row.set_help(self._range_help(self.ipv6.text(), 6))
        self.device.setEnabled(mode in (NetworkMode.NAT, NetworkMode.ROUTED))

    def _range_help(self, text: str, version: int) -> str:
        """What a range means, in words."""
        try:
            found = parse_subnet(text, version)
        except RangeError:
            return (
                self.tr("Empty: no IPv6.") if version == 6 else self.tr("Empty: guests have only what they agree on.")
            )
        host = found.ip
        if version == 6 or found.network.num_addresses < 4:
            return self.tr("The host itself is {host}.").format(host=host)
        count = formats.number(found.network.num_addresses - 3)
        return self.tr("The host itself is {host}; {count} addresses are left for guests.").format(
            host=host, count=count
        )


def _leading(widget: QWidget, parent: QWidget) -> QWidget:
    """The widget at the leading edge of its row."""
    box = QWidget(parent)
    layout = QHBoxLayout(box)
    layout.setContentsMargins(0, GRID, 0, GRID)
    layout.addWidget(widget)
    layout.addStretch(1)
    box.setFocusProxy(widget)
    return box
