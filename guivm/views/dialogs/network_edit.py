"""Make or change a virtual network: proposes what is free, checks while the person types."""

from __future__ import annotations

import functools

from PySide6.QtCore import QTimer, Signal, Slot
from PySide6.QtWidgets import QWidget

from guivm.engine.networks.rules import RangeError, parse_subnet, usual_range
from guivm.engine.networks.values import NetworkChange, NetworkDetails, NetworkOffer, NetworkProblem
from guivm.engine.requests import CheckNetwork, CreateNetwork, ProposeNetwork, UpdateNetwork
from guivm.engine.types import HostId
from guivm.errors import GuivmError
from guivm.text import clean_line
from guivm.views.bridge import Bridge
from guivm.views.dialogs.base import JobDialog
from guivm.views.dialogs.network_form import NetworkForm

CHECK_DELAY_MS = 300
_WIDTH = 680
_SHOWN = 40


class NetworkDialog(JobDialog):
    """Of a host, or (``details``) of a network that exists. Show with ``open()``."""

    created = Signal(str)  # UUID
    updated = Signal(object)  # NetworkChange

    def __init__(
        self, bridge: Bridge, host: HostId, details: NetworkDetails | None = None, parent: QWidget | None = None
    ) -> None:
        if details is None:
            title, verb = self.tr("New Network"), self.tr("&Create")
        else:
            name = clean_line(details.network.name, _SHOWN)
            title, verb = self.tr("Network “{name}”").format(name=name), self.tr("&Apply")
        super().__init__(bridge, title, verb, parent, name="network", width=_WIDTH, scrolls=True)
        self._host = host
        self._details = details
        self._serial = 0
        self._answered = -1
        self._want = False
        self._usual = ""
        self._problems: tuple[NetworkProblem, ...] = ()
        self.page = NetworkForm(self.content)
        self.body.addWidget(self.page)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(CHECK_DELAY_MS)
        self._timer.timeout.connect(self._check)
        self.page.edited.connect(self._on_edited)
        self.page.heightChanged.connect(self.grow)
        if details is None:
            self.content.setEnabled(False)
            self.set_reason(self.tr("Looking for free addresses…"))
            bridge.submit(ProposeNetwork(host), self, self._on_offer, self._on_no_offer)
        else:
            self.page.set_spec(details.spec, details.devices, name_is_fixed=True)
            self._check()

    @property
    def problems(self) -> tuple[NetworkProblem, ...]:
        """Of the form as it was last checked."""
        return self._problems

    def submit(self) -> None:
        """Do it, once the form as it is now has been checked."""
        if self.busy:
            return
        self._want = True
        if self._answered == self._serial:
            self._go()
        elif self._timer.isActive():
            self._timer.stop()
            self._check()

    # --- a new one ------------------------------------------------------------------------------------

    def _on_offer(self, offer: NetworkOffer) -> None:
        self._usual = offer.spec.dhcp4
        self.content.setEnabled(True)
        self.set_reason("")
        self.page.set_spec(offer.spec, offer.devices)
        self.page.ipv6.setPlaceholderText(offer.ipv6)
        self.page.name.selectAll()
        self.page.name.setFocus()
        self.grow()
        self._check()

    def _on_no_offer(self, error: GuivmError) -> None:
        self.strip.show_error(error)
        self.set_reason(error.summary, shown=True)
        self.grow()

    # --- checking -------------------------------------------------------------------------------------

    @Slot()
    def _on_edited(self) -> None:
        self._follow_range()
        self._want = False
        self._serial += 1
        self._timer.start()

    def _follow_range(self) -> None:
        """The addresses given out follow the range as long as nobody chose them."""
        if self._details is not None or self.page.dhcp.text() != self._usual:
            return
        try:
            self._usual = usual_range(parse_subnet(self.page.ipv4.text(), 4))
        except RangeError:
            return
        self.page.suggest_dhcp(self._usual)

    @Slot()
    def _check(self) -> None:
        uuid = "" if self._details is None else self._details.network.uuid
        self.bridge.submit(
            CheckNetwork(self._host, self.page.spec(), uuid),
            self,
            functools.partial(self._on_checked, self._serial),
            functools.partial(self._on_unchecked, self._serial),
        )

    def _on_checked(self, serial: int, problems: tuple[NetworkProblem, ...]) -> None:
        if serial != self._serial or self.busy:
            return
        self._answered = serial
        self._problems = problems
        self.page.show_problems(problems)
        first = next((each.message for each in problems if not each.is_warning), "")
        self.set_reason(first, shown=True)
        self.grow()
        self._go()

    def _on_unchecked(self, serial: int, error: GuivmError) -> None:
        """The host did not answer: the verb itself checks again."""
        if serial == self._serial and not self.busy:
            self._answered = serial
            self._go()

    # --- doing ----------------------------------------------------------------------------------------

    def _go(self) -> None:
        if not self._want or self.reason:
            self._want = False
            return
        self._want = False
        spec = self.page.spec()
        if self._details is None:
            self.run(CreateNetwork(self._host, spec), self.tr("Creating and starting…"), self._on_created)
            return
        network = self._details.network
        request = UpdateNetwork(self._host, network.uuid, network.name, self._details.xml, spec)
        self.run(request, self.tr("Applying…"), self._on_updated)

    def _on_created(self, uuid: str) -> None:
        self.created.emit(uuid)
        if not self.closed:
            self.accept()

    def _on_updated(self, change: NetworkChange) -> None:
        self.updated.emit(change)
        if not self.closed:
            self.accept()
