"""What guivm keeps in a domain's ``<metadata>``: libvirt stores it and hands it back unread."""

from __future__ import annotations

import copy

from lxml import etree

from guivm.engine.xml.node import XmlNode
from guivm.engine.xml.properties import INTEGER, Child, Children, attribute


class SettingsPortForward(XmlNode):
    """A port of the host that leads into a guest on a user-mode network (slirp); kept here to be made at each start."""

    __slots__ = ()

    mac = attribute("@mac")  # of the card it belongs to
    protocol = attribute("@protocol")  # "tcp", "udp"
    host_address = attribute("@hostAddress")  # None: 127.0.0.1
    host_port = attribute("@hostPort", INTEGER)
    guest_port = attribute("@guestPort", INTEGER)


class DisposableFolder(XmlNode):
    """A folder with what a run writes that is thrown away at its end."""

    __slots__ = ()

    path = attribute("@folder")


class GuivmSettings(XmlNode):
    """``<guivm:settings>``. libvirt allows one element of a namespace."""

    __slots__ = ()

    port_forwards = Children(SettingsPortForward, "guivm:portForward")
    identity_host_name = attribute(
        "guivm:identity/@hostName"
    )  # of a clone whose guest is to get an identity of its own
    identity_stage = attribute("guivm:identity/@stage")  # how far Sysprep has come: guivm.engine.cloning.sysprep
    identity_cards = attribute("guivm:identity/@cards")  # MAC addresses whose links are down until that is done
    identity_process = attribute("guivm:identity/@process", INTEGER)  # of Sysprep, in the guest
    identity_since_s = attribute("guivm:identity/@since", INTEGER)  # it runs since then, seconds of Unix
    identity_why = attribute("guivm:identity/@why")  # it failed


class GuivmRun(XmlNode):
    """``<guivmrun:run>``: in the running VM's document only. Apart from the settings, which are replaced as a whole."""

    __slots__ = ()

    disposable_folders = Children(DisposableFolder, "guivmrun:disposable")  # any: nothing of this run is kept


def bare_text(node: XmlNode) -> str:
    """The element without its namespace: virDomainSetMetadata gives it to all elements that have none. Empty: none."""
    element = node.find()
    if element is None:
        return ""
    bare = copy.deepcopy(element)
    bare.tail = None
    for each in bare.iter(etree.Element):
        each.tag = etree.QName(each).localname
    etree.cleanup_namespaces(bare)
    return etree.tostring(bare, encoding="unicode")


class Metadata(XmlNode):
    """``<metadata>``: what belongs to others is not touched."""

    __slots__ = ()

    settings = Child(GuivmSettings, "guivm:settings")
    run = Child(GuivmRun, "guivmrun:run")
    os_id = attribute("libosinfo:libosinfo/libosinfo:os/@id")  # of the osinfo database, as virt-manager keeps it
