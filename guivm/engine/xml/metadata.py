"""What guivm keeps in a domain's ``<metadata>``: libvirt stores it and hands it back unread."""

from __future__ import annotations

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
    """A folder with what a run writes that is thrown away at its end; in the running VM's document only."""

    __slots__ = ()

    path = attribute("@folder")


class GuivmSettings(XmlNode):
    """``<guivm:settings>``. libvirt allows one element of a namespace."""

    __slots__ = ()

    port_forwards = Children(SettingsPortForward, "guivm:portForward")
    identity_host_name = attribute("guivm:identity/@hostName")  # of a clone whose guest is to get an identity of its own
    disposable_folders = Children(DisposableFolder, "guivm:disposable")  # of the running VM: nothing of it is kept


class Metadata(XmlNode):
    """``<metadata>``: what belongs to others is not touched."""

    __slots__ = ()

    settings = Child(GuivmSettings, "guivm:settings")
    os_id = attribute("libosinfo:libosinfo/libosinfo:os/@id")  # of the osinfo database, as virt-manager keeps it
