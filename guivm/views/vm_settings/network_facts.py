"""What the settings know of the host's networks, kept up to date while they are open. GUI thread."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QObject, Slot

from guivm.engine.options.facts import NetworkFact
from guivm.engine.requests import ReadNetworkFacts
from guivm.errors import GuivmError
from guivm.views.bridge import Bridge
from guivm.views.vm_settings.draft import Draft


class NetworkFacts(QObject):
    """Reads the networks again when one came, went, started or stopped; the edits of the draft stay."""

    def __init__(self, bridge: Bridge, draft: Draft, parent: QObject) -> None:
        super().__init__(parent)
        self._bridge = bridge
        self._draft = draft
        bridge.networksChanged.connect(self._on_changed)

    @Slot(str)
    def _on_changed(self, host: str) -> None:
        mine = self._draft.settings.key.host
        if host == mine:
            self._bridge.submit(ReadNetworkFacts(mine), self, self._on_read, _skip)

    def _on_read(self, networks: tuple[NetworkFact, ...]) -> None:
        facts = self._draft.settings.facts
        if networks != facts.networks:
            self._draft.learn(replace(facts, networks=networks))


def _skip(_error: GuivmError) -> None:
    """What was known before is still shown."""
