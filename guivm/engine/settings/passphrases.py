"""Passphrases of encrypted disks, kept as libvirt secrets. Worker only."""

from __future__ import annotations

import uuid as uuid_module
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from guivm.engine.libvirt_errors import code_of
from guivm.engine.options.new_disks import NewDisk
from guivm.engine.xml.disk import Encryption
from guivm.engine.xml.domain import DomainXml
from guivm.errors import OperationError

if TYPE_CHECKING:
    import libvirt


def store_passphrases(
    connection: libvirt.virConnect, new: DomainXml, passphrases: Iterable[tuple[str, str]]
) -> list[tuple[str, Callable[[], object]]]:
    """Keep each passphrase in a secret that its disk in ``new`` names; answers what takes each back again.

    Raises OperationError when ``new`` has no encrypted disk of a path, and libvirtError; those stored before stay then.
    """
    undo: list[tuple[str, Callable[[], object]]] = []
    for path, passphrase in passphrases:
        encryption = _encryption(new, path)
        if encryption is None:
            raise OperationError(f"There is no encrypted drive with the file “{path}”.")
        uuid = encryption.secret_uuid or str(uuid_module.uuid4())
        known = _known(connection, uuid, path)
        secret = known or connection.secretDefineXML(_secret_xml(uuid, path), 0)
        if known is None:
            undo.append(("the secret of a drive", secret.undefine))
        else:
            undo.append(("the secret of a drive", partial(secret.setValue, secret.value(0), 0)))
        secret.setValue(passphrase.encode("utf-8"), 0)
        encryption.secret_type = "passphrase"  # noqa: S105  (libvirt's word for the kind of secret)
        encryption.secret_uuid = str(secret.UUIDString())
        encryption.secret_usage = None
    return undo


def keep_passphrase(connection: libvirt.virConnect, disk: NewDisk) -> None:
    """Keep that of a new image where QEMU gets it from; nobody can read it back (``private``). Raises libvirtError."""
    secret = connection.secretDefineXML(_secret_xml(disk.secret_uuid, disk.path, is_private=True), 0)
    try:
        secret.setValue(disk.passphrase.encode(), 0)
    except BaseException:
        secret.undefine()
        raise


def drop_passphrase(connection: libvirt.virConnect, uuid: str) -> None:
    """One that is not there is no failure. Raises libvirtError."""
    import libvirt

    try:
        connection.secretLookupByUUIDString(uuid).undefine()
    except libvirt.libvirtError as error:
        if code_of(error) != libvirt.VIR_ERR_NO_SECRET:
            raise


def _encryption(domain: DomainXml, path: str) -> Encryption | None:
    for disk in domain.devices.disks:
        if disk.path == path:
            for encryption in (disk.source.encryption, disk.encryption):
                if encryption.exists:
                    return encryption
    return None


def _known(connection: libvirt.virConnect, uuid: str, path: str) -> libvirt.virSecret | None:
    """The secret of that UUID, or of that file: libvirt has one for each use."""
    import libvirt

    try:
        return connection.secretLookupByUUIDString(uuid)
    except libvirt.libvirtError as error:
        if code_of(error) != libvirt.VIR_ERR_NO_SECRET:
            raise
    try:
        return connection.secretLookupByUsage(libvirt.VIR_SECRET_USAGE_TYPE_VOLUME, path)
    except libvirt.libvirtError as error:
        if code_of(error) != libvirt.VIR_ERR_NO_SECRET:
            raise
    return None


def _secret_xml(uuid: str, path: str, *, is_private: bool = False) -> str:
    """(https://libvirt.org/formatsecret.html)"""
    from xml.sax.saxutils import escape

    return (
        f"<secret ephemeral='no' private='{'yes' if is_private else 'no'}'><uuid>{uuid}</uuid>"
        f"<description>{escape(path)}</description>"
        f"<usage type='volume'><volume>{escape(path)}</volume></usage></secret>"
    )
