"""Whether a running VM's document says that nothing of its run is kept. Pure, and light enough for everybody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guivm.engine.xml.document import XmlError
from guivm.engine.xml.domain import DomainXml
from guivm.errors import WrongStateError
from guivm.text import clean_line

if TYPE_CHECKING:
    import libvirt


def disposable_folders(xml: str) -> tuple[str, ...]:
    """Folders with what the run writes, from the running VM's document; empty for an ordinary run, or none."""
    if "disposable" not in xml:
        return ()
    try:
        return tuple(node.path for node in DomainXml.parse(xml).metadata.run.disposable_folders if node.path)
    except XmlError:
        return ()


def refuse_disposable(domain: libvirt.virDomain, what: str) -> None:
    """Raises WrongStateError for a run that is thrown away. ``what``: "Its state cannot be saved". Raises libvirtError.

    Worker only.
    """
    if domain.isActive() and disposable_folders(str(domain.XMLDesc(0))):
        raise WrongStateError(
            f"“{clean_line(str(domain.name()))}” was started for once: everything is thrown away when it ends. {what}.",
            advice="Start it in the ordinary way for that.",
        )
