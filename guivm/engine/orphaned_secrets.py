"""Passphrases that nobody needs once a deleted VM's images are gone for good. Worker only.

libvirt keeps a secret for the path of an image (https://libvirt.org/formatsecret.html, usage "volume"). While the
images lie in the trash it stays: an undone deletion needs it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from guivm.engine import trash
from guivm.engine.context import HandlerContext
from guivm.engine.job_types import DeletedVm
from guivm.engine.references import domain_documents
from guivm.engine.xml.document import XmlError, parse_xml

if TYPE_CHECKING:
    import libvirt

_log = logging.getLogger(__name__)


def drop_orphaned_secrets(context: HandlerContext, deleted: DeletedVm) -> None:
    """Forget the passphrases of the deletion's images, those that another VM or another deletion names excepted.

    For when the images are removed already. A secret that cannot be looked at, or removed, stays; that is logged.
    """
    import libvirt

    named = set(_named(deleted.xml, *deleted.snapshots))
    if not named:
        return
    images = {os.path.normpath(file.original) for file in deleted.files}
    try:
        orphans = [
            secret
            for secret in context.connection.listAllSecrets(0)
            if secret.usageType() == libvirt.VIR_SECRET_USAGE_TYPE_VOLUME
            and os.path.normpath(secret.usageID()) in images
            and named & _names(secret)
        ]
        if orphans:
            needed = set(_needed(context, deleted))
            for secret in orphans:
                if not needed & _names(secret):
                    secret.undefine()
    except (libvirt.libvirtError, XmlError) as error:
        _log.warning("The passphrases of “%s” could not all be forgotten: %s", deleted.name, error)


def _names(secret: libvirt.virSecret) -> set[str]:
    """What a document can call it."""
    return {str(secret.UUIDString()).lower(), str(secret.usageID())}


def _needed(context: HandlerContext, deleted: DeletedVm) -> Iterator[str]:
    """Everything that any VM names, and any deletion that can still be undone."""
    for domain in context.connection.listAllDomains(0):
        yield from _named(*domain_documents(domain))
    folders = dict.fromkeys([context.images_dir, *(place.parent.parent for place in deleted.trash_dirs)])
    for receipt in trash.receipts(folders):
        if receipt.deleted.trash_dirs != deleted.trash_dirs:
            yield from _named(receipt.deleted.xml, *receipt.deleted.snapshots)


def _named(*documents: str) -> Iterator[str]:
    """UUIDs and uses of all secrets that the documents name, of whatever they are. Raises XmlError."""
    for text in documents:
        for element in parse_xml(text).iter("secret", "encryption"):
            for attribute in ("uuid", "usage", "secret"):
                value = element.get(attribute)
                if value:
                    yield value.lower() if attribute != "usage" else value
