"""What is known of one virtual network, and what can be done with it."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QDateTime, QLocale, Qt, Signal, Slot
from PySide6.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from guivm.engine.networks.values import Lease, NetworkDetails, VirtualNetwork
from guivm.text import clean_line
from guivm.views.dialogs.network_words import field_words, mode_help, mode_word
from guivm.views.forms import Form, FormRow, NoteLine, Tone, plain_label
from guivm.views.theme import GRID

_SHOWN_USERS = 6


class NetworkPage(QWidget):
    """Signals name what was asked for; the owner of the page does it."""

    switchRequested = Signal()  # start, or stop
    editRequested = Signal()
    deleteRequested = Signal()
    autostartRequested = Signal(bool)
    leasesRequested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("network-page")
        self.heading = plain_label("", self)
        self.heading.setProperty("role", "heading")
        self.state = plain_label("", self)
        self.state.setProperty("tone", "quiet")
        self.switch = self._button("network-switch", self.tr("&Start"))
        self.edit = self._button("network-edit", self.tr("&Edit…"))
        self.delete = self._button("network-delete", self.tr("De&lete…"))
        self.switch.clicked.connect(self.switchRequested)
        self.edit.clicked.connect(self.editRequested)
        self.delete.clicked.connect(self.deleteRequested)
        buttons = QHBoxLayout()
        buttons.setSpacing(GRID)
        for button in (self.switch, self.edit, self.delete):
            buttons.addWidget(button)
        buttons.addStretch(1)
        self.waits = NoteLine("", self)
        self.waits.setObjectName("network-waits")
        self.waits.hide()
        self.autostart = QCheckBox(self.tr("Start with the &host"), self)
        self.autostart.setObjectName("network-autostart")
        self.autostart.setAccessibleName(self.tr("Start with the host"))
        self.autostart.clicked.connect(self.autostartRequested)
        self._form = Form(self)
        self._facts = {
            name: self._fact(label)
            for name, label in (
                ("mode", self.tr("Mode")),
                ("addresses", self.tr("Addresses")),
                ("dhcp", self.tr("DHCP")),
                ("bridge", self.tr("Bridge")),
                ("users", self.tr("Used by")),
            )
        }
        self._build_leases()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GRID)
        for widget in (self.heading, self.state):
            layout.addWidget(widget)
        layout.addLayout(buttons)
        layout.addWidget(self.waits)
        layout.addSpacing(GRID)
        layout.addWidget(self._form)
        layout.addWidget(self.autostart)
        layout.addSpacing(GRID)
        layout.addLayout(self._leases_head)
        layout.addWidget(self.leases, 1)
        layout.addWidget(self.leases_note)

    def _build_leases(self) -> None:
        title = plain_label(self.tr("Leases"), self)
        title.setProperty("role", "strong")
        self.refresh = self._button("leases-refresh", self.tr("&Refresh"))
        self.refresh.clicked.connect(self.leasesRequested)
        self._leases_head = QHBoxLayout()
        self._leases_head.addWidget(title)
        self._leases_head.addStretch(1)
        self._leases_head.addWidget(self.refresh)
        self.leases = QTableWidget(0, 4, self)
        self.leases.setObjectName("leases")
        self.leases.setAccessibleName(self.tr("Leases"))
        self.leases.setHorizontalHeaderLabels(
            [self.tr("Name"), self.tr("MAC address"), self.tr("Address"), self.tr("Until")]
        )
        self.leases.verticalHeader().hide()
        self.leases.setShowGrid(False)
        self.leases.setTabKeyNavigation(False)
        self.leases.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.leases.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.leases.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.leases.setMinimumHeight(16 * GRID)
        self.leases_note = NoteLine("", self)
        self.leases_note.setObjectName("leases-note")

    def _button(self, name: str, text: str) -> QPushButton:
        button = QPushButton(text, self)
        button.setObjectName(name)
        button.setAccessibleName(text.replace("&", "").rstrip("…"))
        button.setAutoDefault(False)
        button.setProperty("kind", "small")
        return button

    def _fact(self, label: str) -> tuple[FormRow, QLabel]:
        text = plain_label("", self._form, wrap=True)
        text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        row = self._form.add_row(label, text)
        row.note.hide()
        return row, text

    # --- showing --------------------------------------------------------------------------------------

    def show_network(self, network: VirtualNetwork) -> None:
        """What the list knows of it."""
        self.heading.setText(network.name)
        self.state.setText(self.tr("Active") if network.is_active else self.tr("Inactive"))
        words = self.tr("Sto&p…") if network.is_active and any(user.is_active for user in network.users) else ""
        self.switch.setText(words or (self.tr("Sto&p") if network.is_active else self.tr("&Start")))
        self.switch.setAccessibleName(self.switch.text().replace("&", "").rstrip("…"))
        self.edit.setEnabled(network.persistent)
        self.edit.setToolTip("" if network.persistent else self.tr("It exists only while it runs."))
        self.delete.setEnabled(not network.users)
        reason = self.tr("Virtual machines use it: give their network cards another one first.")
        self.delete.setToolTip(reason if network.users else "")
        self.delete.setAccessibleDescription(reason if network.users else "")
        self.autostart.setChecked(network.autostart)
        self.autostart.setEnabled(network.persistent)
        self._set("mode", mode_word(network.mode, network.forward))
        self._facts["mode"][0].set_help(mode_help(network.mode))
        self._facts["mode"][0].note.show()
        self._set("addresses", ", ".join(network.addresses) or self.tr("None: guests have only what they agree on"))
        self._set("dhcp", self.tr("Yes") if network.has_dhcp else self.tr("No"))
        self._set("bridge", network.bridge or "—")
        self._set("users", self._users(network))
        self.refresh.setEnabled(network.is_active)

    def show_details(self, details: NetworkDetails) -> None:
        """What only its definition tells."""
        spec = details.spec
        ranges = ", ".join(part for part in (spec.dhcp4, spec.dhcp6) if part)
        if ranges:
            self._set("dhcp", ranges)
        words = self.tr("Changed, in force at its next start: {fields}.").format(fields=field_words(details.waits))
        self.waits.set_problem(words if details.waits else "", Tone.WARNING)
        self.waits.setVisible(bool(details.waits))

    def show_leases(self, leases: Sequence[Lease], note: str = "") -> None:
        locale = QLocale()
        self.leases.setRowCount(len(leases))
        for row, lease in enumerate(leases):
            until = self.tr("for ever")
            if lease.expires_s:
                moment = QDateTime.fromSecsSinceEpoch(lease.expires_s)
                until = locale.toString(moment, QLocale.FormatType.ShortFormat)
            name = lease.vm or lease.name
            if lease.vm and lease.name and lease.name != lease.vm:
                name = f"{lease.vm} ({lease.name})"
            for column, text in enumerate((name, lease.mac, lease.ip, until)):
                self.leases.setItem(row, column, QTableWidgetItem(clean_line(text, 120)))
        self.leases_note.set_help(note)
        self.leases_note.setVisible(bool(note))

    def _set(self, name: str, text: str) -> None:
        self._facts[name][1].setText(text)
        self._facts[name][1].setAccessibleName(text)

    def _users(self, network: VirtualNetwork) -> str:
        names = [
            self.tr("{name} (running)").format(name=user.name) if user.is_active else user.name
            for user in network.users[:_SHOWN_USERS]
        ]
        more = len(network.users) - len(names)
        if more > 0:
            names.append(self.tr("{n} more").format(n=more))
        return ", ".join(names) or self.tr("No virtual machine")

    @Slot()
    def clear_details(self) -> None:
        """Another network is about to be shown."""
        self.waits.hide()
        self.show_leases(())
