"""What libvirt 9.0 answers for a running VM (QEMU 7.2, TCG) and for its definition: nobody changed anything.

``LIVE…`` is XMLDesc(0), ``DEFINED…`` XMLDesc(INACTIVE | SECURE), kept in ``tests/data/running/``; only paths were
shortened, and the balloon is as a guest with a driver would have filled it.
"""

from __future__ import annotations

from pathlib import Path

_DOMAINS = Path(__file__).parent.parent / "data" / "running"

LIVE = (_DOMAINS / "plain-live.xml").read_text(encoding="utf-8")
DEFINED = (_DOMAINS / "plain-defined.xml").read_text(encoding="utf-8")
LIVE_UEFI = (_DOMAINS / "uefi-live.xml").read_text(encoding="utf-8")
DEFINED_UEFI = (_DOMAINS / "uefi-defined.xml").read_text(encoding="utf-8")
