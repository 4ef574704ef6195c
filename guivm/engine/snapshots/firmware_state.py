"""Where libvirt keeps UEFI's variables and the state of an emulated TPM. Worker only.

With ``firmware='efi'`` libvirt 9.0 names the file of the variables only in a running VM's document; what it would start
(``domxml-to-native``) names it always, and tells where the driver's folders are: libvirt's ``src/qemu/qemu_conf.c``,
``libDir`` and ``swtpmStorageDir``.
"""

from __future__ import annotations

import itertools
import json
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from guivm.engine.context import HandlerContext
from guivm.engine.libvirt_errors import is_connection_lost
from guivm.engine.snapshots.reading import nvram_of
from guivm.engine.snapshots.situation import Situation
from guivm.engine.xml.domain import DomainXml

if TYPE_CHECKING:
    import libvirt

_VARIABLES = "libvirt-pflash1-storage"


def nvram_path(context: HandlerContext, seen: Situation) -> str:
    """The file with UEFI's variables, whether it is there or not, links resolved; empty without UEFI.

    Raises libvirtError.
    """
    document = DomainXml.parse(seen.xml)
    path = nvram_of(document)
    if not path and seen.live_xml:
        path = nvram_of(DomainXml.parse(seen.live_xml))
    if not path and document.os.uses_uefi:
        path = variables_in(_command(context.connection, seen.xml))
    return os.path.realpath(path) if path else ""


def tpm_folder(context: HandlerContext, seen: Situation) -> str:
    """The folder with the VM's TPM state, whether it is there or not, links resolved; empty without an emulated TPM, or
    when nobody knows. Raises libvirtError."""
    tpm = DomainXml.parse(seen.xml).devices.tpm
    if not tpm.exists or tpm.backend_type != "emulator":
        return ""
    library = library_folder(_command(context.connection, seen.xml))
    if library is None:
        return ""
    return os.path.realpath(library.parent / "swtpm" / seen.key.uuid)


def _command(connection: libvirt.virConnect, xml: str) -> list[str]:
    """How libvirt would start the VM without its devices; empty where the driver does not tell."""
    import libvirt

    document = DomainXml.parse(xml)
    devices = document.devices.find()
    if devices is not None:
        for node in list(devices):
            if node.tag != "emulator":
                devices.remove(node)
    try:
        return shlex.split(str(connection.domainXMLToNative("qemu-argv", document.to_text(), 0)))
    except libvirt.libvirtError as error:
        if is_connection_lost(error):
            raise
        return []
    except ValueError:
        return []


def variables_in(command: list[str]) -> str:
    """Path of the second flash image; empty when there is none. Pure."""
    for option, value in itertools.pairwise(command):
        if option != "-blockdev":
            continue
        try:
            node = json.loads(value)
        except ValueError:
            continue
        match node:
            case {"node-name": name, "filename": str(path)} if name == _VARIABLES and path.startswith("/"):
                return path
    return ""


def library_folder(command: list[str]) -> Path | None:
    """libvirt's ``libDir``, below which each VM's folder with its monitor is. Pure."""
    for option, value in itertools.pairwise(command):
        if option == "-chardev" and "id=charmonitor" in value.split(","):
            path = next((part[5:] for part in value.split(",") if part.startswith("path=/")), "")
            if path:
                return Path(path).parent.parent
    return None
