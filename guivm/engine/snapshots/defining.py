"""Storing a definition so that a name that was given away meanwhile is no reason to stop in the middle. Worker only."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from guivm.engine.definition_watch import directory_of
from guivm.engine.files import fsync_directory
from guivm.engine.libvirt_errors import code_of, is_connection_lost
from guivm.engine.xml.domain import DomainXml

if TYPE_CHECKING:
    import libvirt

_TRIES = 1000


def define(connection: libvirt.virConnect, xml: str) -> None:
    """Store a definition. Again: stores the same.

    A VM that is there keeps its present name, whatever the document says: libvirt takes no other. A new one whose name
    another VM has got meanwhile is called "NAME (2)", and so on. Raises libvirtError, XmlError.
    """
    document = DomainXml.parse(xml)
    uuid, name = (document.uuid or "").strip(), document.name or ""
    present = _name_of(connection, uuid)
    if present is None:
        document.name = _free_name(connection, name)
    elif present != name:
        document.name = present
    connection.defineXML(xml if document.name == name else document.to_text())


def make_durable(uri: str) -> None:
    """What the host of a URI has just stored.

    libvirt syncs the file and renames it, but does not sync the directory (virFileRewrite): a loss of power could bring
    back the definition before, whose images have been moved since. Where the directory is closed to us, as the system's
    may be, all that is not written yet is. Nothing is done where it is not known. Raises OSError.
    """
    directory = directory_of(uri)
    if directory is None:
        return
    try:
        fsync_directory(directory)
    except FileNotFoundError:
        pass
    except PermissionError:
        os.sync()


def _name_of(connection: libvirt.virConnect, uuid: str) -> str | None:
    import libvirt

    try:
        return str(connection.lookupByUUIDString(uuid).name())
    except libvirt.libvirtError as error:
        if is_connection_lost(error) or code_of(error) != libvirt.VIR_ERR_NO_DOMAIN:
            raise
        return None


def _free_name(connection: libvirt.virConnect, name: str) -> str:
    import libvirt

    for number in range(1, _TRIES):
        candidate = name if number == 1 else f"{name} ({number})"
        try:
            connection.lookupByName(candidate)
        except libvirt.libvirtError as error:
            if is_connection_lost(error) or code_of(error) != libvirt.VIR_ERR_NO_DOMAIN:
                raise
            return candidate
    return name
