"""Channels: named pipes between programs of the host and of the guest. (formatdomain.html, "Channel")"""

from __future__ import annotations

import re
from typing import Any

from guivm.engine.options.char_lines import kind_refusal, set_kind, set_path
from guivm.engine.options.devices import (
    Known,
    checked,
    dropping,
    has_spice,
    label_of,
    listing,
    may_have,
    one_of,
    reader,
    when,
    words,
)
from guivm.engine.options.option import Group, HostPath, N, Option, PathKind, Resource, Situation, Switch, Value, stored
from guivm.engine.options.phrase import Phrase
from guivm.engine.xml.chardev import Channel
from guivm.engine.xml.domain import Devices

_CHANNEL_KINDS = (
    Known("unix", N("A UNIX socket"), N("What agents use; libvirt chooses the path.")),
    Known("spicevmc", N("SPICE's viewer"), N("For its agent; needs a SPICE display.")),
    Known("qemu-vdagent", N("QEMU itself"), N("Clipboard over VNC; older QEMU then refuses to save the VM.")),
    Known("pty", N("A terminal of the host")),
)
AGENT, CLIPBOARD = "org.qemu.guest_agent.0", "com.redhat.spice.0"
_NAMES = (
    Known(AGENT, N("QEMU guest agent"), N("Lets the host ask for addresses, freeze file systems, set the time.")),
    Known(CLIPBOARD, N("SPICE agent (clipboard)"), N("Clipboard and screen size, with spice-vdagent in the guest.")),
    Known("org.spice-space.webdav.0", N("SPICE shared folder")),
    Known("com.redhat.rhevm.vdsm", N("oVirt agent")),
)


def _channel_name(channel: Channel) -> Phrase:
    return Phrase(label_of(_NAMES, channel.target_name) or N("Channel"))


def _channel_summary(_situation: Situation, channel: Channel) -> str:
    state = {"connected": N("in use by the guest"), "disconnected": N("not used by the guest")}
    return words(label_of(_CHANNEL_KINDS, channel.type), channel.target_name, state.get(channel.target_state or "", ""))


def _set_channel_kind(channel: Channel, value: Value | None) -> None:
    kind = "unix" if value is None else str(value)
    if kind != channel.type:
        set_kind(channel, kind)
        channel.source_mode = None
        if kind in ("spicevmc", "qemu-vdagent"):
            channel.target_name = CLIPBOARD


_PORT_NAME = re.compile(r"[\w.:/@+-]{1,100}", re.ASCII)


def _name_check(text: str) -> str:
    return (
        "" if _PORT_NAME.fullmatch(text) else N("Only letters, digits and “. _ : / @ + -” can be in a channel's name.")
    )


def _set_name(channel: Channel, value: Value | None) -> None:
    channel.target_name = checked(_name_check, AGENT if value is None else str(value))


def _channel_wishes(situation: Situation) -> list[tuple[str, str]]:
    """(kind, name) of the channels that make sense here and are not there yet."""
    names = {channel.target_name for channel in situation.domain.devices.channels}
    wishes = [("unix", AGENT)]
    if has_spice(situation.domain.devices):
        wishes.append(("spicevmc", CLIPBOARD))
    elif "qemu-vdagent" in situation.facts.offered("channel/type"):
        wishes.append(("qemu-vdagent", CLIPBOARD))
    number = 0
    while f"org.guivm.{number}" in names:
        number += 1
    wishes.append(("unix", f"org.guivm.{number}"))
    return [wish for wish in wishes if wish[1] not in names]


def _add_channel(situation: Situation) -> Channel:
    kind, name = _channel_wishes(situation)[0]
    channel = situation.domain.devices.channels.add()
    channel.type, channel.target_type, channel.target_name = kind, "virtio", name
    if kind == "qemu-vdagent":
        channel.clipboard_copypaste = False  # sharing the clipboard is the person's choice
    return channel


def _channel_refusal(situation: Situation) -> str:
    return "" if may_have(situation, "channel/type", "unix") else N("This host's QEMU has no channels.")


RESOURCES: tuple[Resource[Any], ...] = (
    Resource(
        id="channel",
        title=N("Channel"),
        group=Group.PERIPHERALS,
        icon="channel",
        help="channel",
        nodes=listing(Devices.channels),
        options=(
            Option(
                "name",
                N("Purpose"),
                N("The name by which a program in the guest finds it; the host can do only what that program answers."),
                *one_of(_NAMES, Channel.target_name, write=_set_name, default=None, free=True),
                shown=lambda _s, channel: channel.target_type != "guestfwd",
                keywords="guest agent spice vdagent clipboard",
            ),
            Option(
                "type",
                N("Leads to"),
                N("Who answers on the host."),
                *one_of(
                    _CHANNEL_KINDS,
                    Channel.type,
                    write=_set_channel_kind,
                    path="channel/type",
                    default=None,
                    refuse=kind_refusal,
                ),
                keywords="unix spicevmc vdagent",
            ),
            Option(
                "clipboard",
                N("Shared clipboard"),
                N("What is copied on one side can be pasted on the other, passwords included."),
                Switch(False),
                *stored(Channel.clipboard_copypaste),
                shown=when(Channel.type, "qemu-vdagent"),
                keywords="copy paste",
            ),
            Option(
                "path",
                N("Socket"),
                N("A fixed path for programs of your own; libvirt makes one where none is given."),
                HostPath(PathKind.NEW_FILE),
                reader(Channel.source_path),
                set_path,
                shown=when(Channel.type, "unix"),
                more=True,
                default=N("libvirt's choice"),
            ),
        ),
        summary=_channel_summary,
        name=_channel_name,
        identity=lambda channel: channel.target_name or "",
        keywords="guest agent qemu-ga clipboard spice vdagent virtio-serial",
        add=_add_channel,
        remove=dropping(Devices.channels),
        add_refusal=_channel_refusal,
        hotplug=True,
    ),
)
