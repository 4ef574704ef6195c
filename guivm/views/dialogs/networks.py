"""The window of the virtual networks: the list at the left, the network that is selected at the right."""

from __future__ import annotations

import functools
from collections.abc import Callable

from PySide6.QtCore import QSize, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from guivm.engine.events import VmsChanged
from guivm.engine.networks.values import (
    Lease,
    NetworkChange,
    NetworkDetails,
    NetworkList,
    VirtualNetwork,
)
from guivm.engine.requests import (
    DeleteNetwork,
    ListNetworks,
    NetworkRequest,
    ReadLeases,
    ReadNetwork,
    SetNetworkAutostart,
    StartNetwork,
    StopNetwork,
)
from guivm.engine.types import HostId, HostInfo, HostState
from guivm.errors import GuivmError
from guivm.text import clean_line
from guivm.views import formats
from guivm.views.bridge import Bridge
from guivm.views.dialogs.base import VerbDialog
from guivm.views.dialogs.confirm import ConfirmDialog
from guivm.views.dialogs.network_page import NetworkPage
from guivm.views.dialogs.network_words import field_words, mode_word
from guivm.views.icons import icon
from guivm.views.state_page import StatePage
from guivm.views.theme import GRID

_WIDTH = 840
_HEIGHT = 640
_SHOWN = 60
_SETTLE_MS = 400
_UUID = Qt.ItemDataRole.UserRole


class NetworksDialog(VerbDialog):
    """May stay open beside the main window (``show()``); follows the host's networks by its events."""

    connectRequested = Signal()

    def __init__(self, bridge: Bridge, host: HostId | None = None, parent: QWidget | None = None) -> None:
        """``host``: whose networks are shown first; None: the first host that is connected."""
        super().__init__(self.tr("Virtual Networks"), "", parent, name="networks", width=_WIDTH)
        self.setWindowModality(Qt.WindowModality.NonModal)
        self.bridge = bridge
        self._networks: dict[str, VirtualNetwork] = {}
        self._wanted = ""
        self._serial = 0
        self._refusal = ""
        self._shown = ""
        self._later = QTimer(self)  # many VMs may change at once
        self._later.setSingleShot(True)
        self._later.setInterval(_SETTLE_MS)
        self._later.timeout.connect(self.reload)
        self.hosts = QComboBox(self.content)
        self.hosts.setObjectName("host")
        self.hosts.setAccessibleName(self.tr("Host"))
        self.list = QListWidget(self.content)
        self.list.setObjectName("network-list")
        self.list.setAccessibleName(self.tr("Virtual networks"))
        self.list.setFixedWidth(27 * GRID)
        self.list.setIconSize(QSize(20, 20))
        self.page = NetworkPage(self.content)
        self.empty = StatePage("no-networks", "network", "", "", self.content)
        self.empty.setProperty("page", None)
        self.empty.setAttribute(Qt.WidgetAttribute.WA_StyledBackground, False)
        self.connect_button = QPushButton(self.tr("Connect to a H&ost…"), self.empty)
        self.connect_button.setObjectName("connect-host")
        self.connect_button.setAccessibleName(self.tr("Connect to a host"))
        self.connect_button.setAutoDefault(False)
        self.connect_button.clicked.connect(self.connectRequested)
        self.empty.column.addSpacing(GRID)
        self.empty.column.addWidget(self.connect_button, 0, Qt.AlignmentFlag.AlignHCenter)
        self.stack = QStackedWidget(self.content)
        self.stack.addWidget(self.empty)
        self.stack.addWidget(self.page)
        self.new = QPushButton(self.tr("&New Network…"), self)
        self.new.setObjectName("new-network")
        self.new.setAccessibleName(self.tr("New network"))
        self.new.setAutoDefault(False)
        self.help = QPushButton("?", self)
        self.help.setObjectName("help")
        self.help.setAccessibleName(self.tr("Explain virtual networks"))
        self.help.setToolTip(self.tr("What virtual networks are, and what can go wrong (F1)"))
        self.help.setProperty("kind", "small")
        self.help.setAutoDefault(False)
        self.footer.insertWidget(0, self.new)
        self.footer.insertWidget(1, self.help)
        self._offers_connecting = False
        self._lay_out()
        self._fill_hosts(host)
        self._connect()
        self._choose_page()

    def _lay_out(self) -> None:
        left = QVBoxLayout()
        left.setSpacing(GRID)
        left.addWidget(self.hosts)
        left.addWidget(self.list, 1)
        line = QHBoxLayout()
        line.setSpacing(3 * GRID)
        line.addLayout(left)
        line.addWidget(self.stack, 1)
        self.body.addLayout(line, 1)

    def _connect(self) -> None:
        self.new.clicked.connect(self._on_new)
        self.help.clicked.connect(self.show_help)
        QShortcut(QKeySequence(QKeySequence.StandardKey.HelpContents), self).activated.connect(self.show_help)
        self.hosts.currentIndexChanged.connect(self._on_host)
        self.list.currentItemChanged.connect(self._on_selected)
        self.page.switchRequested.connect(self._on_switch)
        self.page.editRequested.connect(self._on_edit)
        self.page.deleteRequested.connect(self._on_delete)
        self.page.autostartRequested.connect(self._on_autostart)
        self.page.leasesRequested.connect(self._read_leases)
        self.bridge.networksChanged.connect(self._on_networks)
        self.bridge.vmsChanged.connect(self._on_vms)
        self.bridge.hostChanged.connect(self._on_host_changed)
        self.bridge.hostRemoved.connect(self._on_host_removed)
        self.strip.retryRequested.connect(self.reload)

    def sizeHint(self) -> QSize:
        return QSize(_WIDTH, _HEIGHT)

    def fit(self) -> None:
        self.resize_to(_HEIGHT)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if not event.spontaneous():
            self.reload()

    def offer_connecting(self, act: Callable[[], None]) -> None:
        """Have a button for ``act`` where another host would help."""
        if not self._offers_connecting:
            self._offers_connecting = True
            self.connectRequested.connect(act)
            self._choose_page()

    @Slot()
    def show_help(self) -> None:
        """The longer text about networks."""
        from guivm.views.vm_settings.help_page import show_help_file

        show_help_file("networks", self)

    # --- hosts ----------------------------------------------------------------------------------------

    @property
    def host(self) -> HostId | None:
        """Whose networks are shown."""
        value = self.hosts.currentData()
        return HostId(value) if isinstance(value, str) else None

    def _fill_hosts(self, wanted: HostId | None) -> None:
        self.hosts.blockSignals(True)
        self.hosts.clear()
        for info in self.bridge.engine.hosts():
            if info.state is HostState.CONNECTED:
                self.hosts.addItem(formats.host_label(info.label, info.id), str(info.id))
        index = self.hosts.findData(str(wanted)) if wanted is not None else 0
        self.hosts.setCurrentIndex(max(0, index))
        self.hosts.setVisible(self.hosts.count() > 1)
        self.hosts.blockSignals(False)

    @Slot()
    def _on_host(self) -> None:
        self._networks = {}
        self._fill()
        self.reload()

    @Slot(object)
    def _on_host_changed(self, info: HostInfo) -> None:
        known = self.hosts.findData(str(info.id)) >= 0
        if known != (info.state is HostState.CONNECTED):
            before = self.host
            self._fill_hosts(before or info.id)
            if self.host != before or self.host == info.id:
                self._on_host()

    @Slot(str)
    def _on_host_removed(self, host: str) -> None:
        before = self.host
        self._fill_hosts(before)
        if before == host:
            self._on_host()

    # --- the list -------------------------------------------------------------------------------------

    @Slot()
    def reload(self) -> None:
        """Read everything again."""
        host = self.host
        self._serial += 1
        if host is None:
            self._choose_page()
            return
        serial = self._serial
        self.bridge.submit(
            ListNetworks(host),
            self,
            functools.partial(self._on_list, serial),
            functools.partial(self._on_no_list, serial),
        )

    @Slot(str)
    def _on_networks(self, host: str) -> None:
        if host == self.host:
            self.reload()

    @Slot(object)
    def _on_vms(self, event: VmsChanged) -> None:
        """VMs that come, go, start or stop use networks and get leases."""
        if event.host == self.host:
            self._later.start()

    def _on_list(self, serial: int, answer: NetworkList) -> None:
        if serial != self._serial:
            return
        self.strip.clear()
        self._refusal = answer.refusal
        self._networks = {network.uuid: network for network in answer.networks}
        self._fill()

    def _on_no_list(self, serial: int, error: GuivmError) -> None:
        if serial == self._serial:
            self.strip.show_error(error, can_retry=True)

    def _fill(self) -> None:
        wanted = self._wanted or self._selected_uuid()
        self._wanted = ""
        self.list.blockSignals(True)
        self.list.clear()
        for network in self._networks.values():
            mode = mode_word(network.mode, network.forward)
            state = self.tr("active") if network.is_active else self.tr("inactive")
            item = QListWidgetItem(icon("network"), f"{clean_line(network.name, _SHOWN)}\n{mode}, {state}", self.list)
            item.setData(_UUID, network.uuid)
            item.setData(Qt.ItemDataRole.AccessibleTextRole, f"{network.name}, {mode}, {state}")
            if network.uuid == wanted:
                self.list.setCurrentItem(item)
        if not self.list.selectedItems() and self.list.count():
            self.list.setCurrentRow(0)
        self.list.blockSignals(False)
        self._on_selected()

    def select(self, uuid: str) -> None:
        """Select a network, now or as soon as it is in the list."""
        self._wanted = uuid
        if uuid in self._networks:
            self._fill()

    def _selected_uuid(self) -> str:
        row = self.list.currentRow()
        return str(self.list.item(row).data(_UUID)) if row >= 0 else ""

    @property
    def selected(self) -> VirtualNetwork | None:
        return self._networks.get(self._selected_uuid())

    # --- the network that is selected -----------------------------------------------------------------

    @Slot()
    def _on_selected(self) -> None:
        network = self.selected
        self._choose_page()
        if network is None:
            return
        self.page.show_network(network)
        if self._shown != network.uuid:
            self._shown = network.uuid
            self.page.clear_details()
        request = ReadNetwork(network.host, network.uuid, network.name)
        self.bridge.submit(request, self, self._on_details, self._on_problem)
        self._read_leases()

    @Slot()
    def _read_leases(self) -> None:
        network = self.selected
        if network is None:
            return
        if not network.is_active:
            self.page.show_leases((), self.tr("It is off and gives out no addresses."))
            return
        self.bridge.submit(
            ReadLeases(network.host, network.uuid, network.name),
            self,
            functools.partial(self._on_leases, network.uuid),
            functools.partial(self._on_no_leases, network.uuid),
        )

    def _on_details(self, details: NetworkDetails) -> None:
        if details.network.uuid == self._selected_uuid():
            self.page.show_details(details)

    def _on_leases(self, uuid: str, leases: tuple[Lease, ...]) -> None:
        if uuid == self._selected_uuid():
            self.page.show_leases(leases, "" if leases else self.tr("No guest has asked for an address yet."))

    def _on_no_leases(self, uuid: str, error: GuivmError) -> None:
        if uuid == self._selected_uuid():
            self.page.show_leases((), str(error))

    def _choose_page(self) -> None:
        has_host = self.host is not None
        self.list.setVisible(bool(self._networks))
        self.new.setEnabled(has_host and not self._refusal)
        self.connect_button.setVisible(self._offers_connecting and (not has_host or bool(self._refusal)))
        self.stack.setCurrentWidget(self.page if self.selected is not None else self.empty)
        if not has_host:
            self.empty.title.setText(self.tr("Not connected"))
            self.empty.text.setText(self.tr("Networks belong to a host: connect to one first."))
        elif self._refusal:
            self.empty.title.setText(self.tr("No virtual networks here"))
            self.empty.text.setText(self._refusal)
        else:
            self.empty.title.setText(self.tr("No virtual networks yet"))
            self.empty.text.setText(
                self.tr(
                    "A network joins virtual machines with each other, with the host, and, with NAT, with the world. "
                    "“New Network…” proposes one with free addresses."
                )
            )

    # --- doing ----------------------------------------------------------------------------------------

    def _submit(self, request: NetworkRequest[None]) -> None:
        self.strip.clear()
        self.bridge.submit(request, self, self._on_done, self._on_problem)

    def _on_done(self, _nothing: None) -> None:
        self.reload()

    def _on_problem(self, error: GuivmError) -> None:
        self.strip.show_error(error)
        self._serial += 1
        self.reload_quietly()

    def reload_quietly(self) -> None:
        """Show the state as it is, the message left in place."""
        network = self.selected
        if network is not None:
            self.page.show_network(network)

    @Slot()
    def _on_new(self) -> None:
        from guivm.views.dialogs.network_edit import NetworkDialog

        host = self.host
        if host is not None:
            dialog = NetworkDialog(self.bridge, host, None, self)
            dialog.created.connect(self._on_created)
            dialog.open()

    @Slot(str)
    def _on_created(self, uuid: str) -> None:
        self.select(uuid)
        self.reload()

    @Slot()
    def _on_edit(self) -> None:
        network = self.selected
        if network is not None:
            request = ReadNetwork(network.host, network.uuid, network.name)
            self.bridge.submit(request, self, self._edit, self._on_problem)

    def _edit(self, details: NetworkDetails) -> None:
        from guivm.views.dialogs.network_edit import NetworkDialog

        dialog = NetworkDialog(self.bridge, details.network.host, details, self)
        dialog.updated.connect(self._on_updated)
        dialog.open()

    @Slot(object)
    def _on_updated(self, change: NetworkChange) -> None:
        words = self.tr("At its next start: {fields}.").format(fields=field_words(change.waits))
        self.set_status(words if change.waits else "")
        self.reload()

    @Slot()
    def _on_switch(self) -> None:
        network = self.selected
        if network is None:
            return
        if not network.is_active:
            self._submit(StartNetwork(network.host, network.uuid, network.name))
            return
        request = StopNetwork(network.host, network.uuid, network.name)
        running = [user.name for user in network.users if user.is_active]
        if not running:
            self._submit(request)
            return
        self._ask(
            self.tr("Stop the network “{name}”?").format(name=clean_line(network.name, _SHOWN)),
            self.tr(
                "{vms} will be cut off, and stay so until they are switched off and started again with the network on."
            ).format(vms=", ".join(running[:5])),
            self.tr("&Stop"),
            request,
        )

    @Slot()
    def _on_delete(self) -> None:
        network = self.selected
        if network is not None:
            self._ask(
                self.tr("Delete the network “{name}”?").format(name=clean_line(network.name, _SHOWN)),
                self.tr("Its definition is removed. No virtual machine uses it."),
                self.tr("&Delete"),
                DeleteNetwork(network.host, network.uuid, network.name),
            )

    def _ask(self, heading: str, text: str, verb: str, request: NetworkRequest[None]) -> None:
        dialog = ConfirmDialog(heading, text, verb, self)
        dialog.accepted.connect(functools.partial(self._submit, request))
        dialog.open()

    @Slot(bool)
    def _on_autostart(self, on: bool) -> None:
        network = self.selected
        if network is not None:
            self._submit(SetNetworkAutostart(network.host, network.uuid, network.name, on))


def networks_window(bridge: Bridge, host: HostId | None, widget: QWidget) -> NetworksDialog:
    """The window of a host's networks, in front of all; there is one for each host.

    It belongs to the application's window that ``widget`` is in, and stays when a dialog between them closes.
    ``host`` None: whichever is open, or else the first host that is connected.
    """
    top = widget.window()
    while (parent := top.parentWidget()) is not None:
        top = parent.window()
    known = (window for window in top.findChildren(NetworksDialog) if window.isVisible())
    dialog = next((window for window in known if host is None or window.host == host), None)
    if dialog is None:
        dialog = NetworksDialog(bridge, host, top)
        dialog.show()
        return dialog
    dialog.raise_()
    dialog.activateWindow()
    return dialog
