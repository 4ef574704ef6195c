"""The small devices; and all pages of the group, sound, serial lines, shared folders and passed-through devices
included. (formatdomain.html)"""

from __future__ import annotations

from typing import Any

from guivm.engine.options import channels, char_lines, folders, pci_devices, sound, tpm, usb_devices, watchdog
from guivm.engine.options.devices import (
    NO_SPICE,
    NO_USB,
    Known,
    checked,
    drop_virtio_options,
    dropping,
    first_offered,
    has_spice,
    has_usb,
    is_x86,
    label_of,
    listing,
    one_of,
    reader,
    required,
    when,
)
from guivm.engine.options.option import (
    Group,
    HostPath,
    Line,
    N,
    Number,
    Option,
    PathKind,
    Resource,
    Situation,
    Size,
    SizeUnit,
    Value,
    stored,
)
from guivm.engine.options.phrase import Phrase
from guivm.engine.xml.domain import Devices, DomainXml
from guivm.engine.xml.peripherals import InputDevice, RandomSource, SmartCard, Vsock

_VIRTIO = (
    Known("virtio", N("VirtIO")),
    Known("virtio-transitional", N("VirtIO, old and new drivers")),
    Known("virtio-non-transitional", N("VirtIO, new drivers only")),
)


# --- input ------------------------------------------------------------------------------------------------

_INPUTS = (
    Known("tablet", N("Tablet"), N("The pointer is where yours is: no capturing.")),
    Known(
        "mouse", N("Mouse"), N("Moves relatively, so it is captured; for games and systems without a tablet driver.")
    ),
    Known("keyboard", N("Keyboard")),
)
_INPUT_BUSES = (
    Known("usb", N("USB"), N("Known to every system.")),
    Known("virtio", N("VirtIO"), N("Less work for the host; needs a driver.")),
    Known("ps2", N("PS/2"), N("Built in; there from the first moment.")),
)


def _input_type_refusal(_situation: Situation, device: InputDevice, kind: str) -> str:
    return N("There is no PS/2 tablet; choose another bus first.") if kind == "tablet" and device.bus == "ps2" else ""


def _input_bus_refusal(situation: Situation, device: InputDevice, bus: str) -> str:
    if bus == "usb" and not has_usb(situation.domain):
        return NO_USB
    if bus == "ps2" and device.type == "tablet":
        return N("There is no PS/2 tablet.")
    return N("Only PCs have PS/2.") if bus == "ps2" and not is_x86(situation) else ""


def _set_input_bus(device: InputDevice, value: Value | None) -> None:
    bus = None if value is None else str(value)
    if bus == device.bus:
        return
    device.bus = bus
    device.address.remove()
    if bus != "virtio":
        device.model = None
        drop_virtio_options(device)


def _add_input(situation: Situation) -> InputDevice:
    kinds = {each.type for each in situation.domain.devices.inputs}
    device = situation.domain.devices.inputs.add()
    device.type = "tablet" if "tablet" not in kinds else "keyboard"
    device.bus = "usb" if has_usb(situation.domain) else "virtio"
    return device


# --- random numbers ---------------------------------------------------------------------------------------

_SOURCES = (
    Known("random", N("A device of the host")),
    Known("builtin", N("QEMU itself"), N("From the host's getrandom; nothing to set up.")),
)


def _set_backend(rng: RandomSource, value: Value | None) -> None:
    model = "random" if value is None else str(value)
    if model == rng.backend_model:
        return
    rng.backend.remove()
    rng.backend_model = model
    if model == "random":
        rng.backend_path = "/dev/urandom"


def _set_rate(rng: RandomSource, value: Value | None) -> None:
    rng.rate_bytes = None if value is None else int(value)
    if value is None:
        rng.rate_period_ms = None


def _add_rng(situation: Situation) -> RandomSource:
    rng = situation.domain.devices.rngs.add()
    rng.model = first_offered(situation, "rng/model", ("virtio",))
    rng.backend_model, rng.backend_path = "random", "/dev/urandom"
    return rng


_RNG_OPTIONS: tuple[Option[RandomSource], ...] = (
    Option(
        "source",
        N("From"),
        N("Where the randomness comes from; both never run dry."),
        *one_of(
            _SOURCES,
            RandomSource.backend_model,
            write=_set_backend,
            path="rng/backendModel",
            default=None,
            more=False,
        ),
        keywords="entropy urandom builtin",
    ),
    Option(
        "device",
        N("Device"),
        N("/dev/urandom is right for nearly everybody; /dev/hwrng is hardware and may be slow."),
        HostPath(PathKind.DEVICE),
        *required(RandomSource.backend_path, "/dev/urandom"),
        shown=when(RandomSource.backend_model, "random"),
        more=True,
    ),
    Option(
        "rate",
        N("At most"),
        N("Keeps a greedy guest from using the host's processor up; too little makes it wait at its start."),
        Size(SizeUnit.BYTES, minimum=1, maximum=(1 << 31) - 1),
        reader(RandomSource.rate_bytes),
        _set_rate,
        more=True,
        default=N("unlimited"),
    ),
    Option(
        "rate-period",
        N("In each"),
        N("The time in which that much may be taken."),
        Number(1, (1 << 31) - 1, "ms"),
        *stored(RandomSource.rate_period_ms),
        more=True,
        shown=lambda _s, rng: rng.rate_bytes is not None,
        default=N("second"),
    ),
    Option(
        "model",
        N("Model"),
        N("VirtIO in the form that the guest's driver knows."),
        *one_of(_VIRTIO, RandomSource.model, needs="virtio", path="rng/model", default=None),
        more=True,
    ),
)

# --- smart card -------------------------------------------------------------------------------------------

_CARD_MODES = (
    Known("passthrough", N("The viewer's reader"), N("Over SPICE, from wherever you sit.")),
    Known("host", N("The host's reader"), N("The guest sees the card put into the host's reader.")),
    Known("host-certificates", N("Certificates of the host"), N("Three certificates of a database play a card.")),
)


def _card_refusal(situation: Situation, _card: SmartCard, mode: str) -> str:
    return NO_SPICE if mode == "passthrough" and not has_spice(situation.domain.devices) else ""


def _set_card_mode(card: SmartCard, value: Value | None) -> None:
    mode = "host" if value is None else str(value)
    if mode == card.mode:
        return
    card.certificates.clear()
    card.database = None
    card.sources.clear()
    card.protocol = None
    card.type = "spicevmc" if mode == "passthrough" else None
    card.mode = mode
    if mode == "host-certificates":
        for number in (1, 2, 3):
            card.certificates.add().name = f"cert{number}"


def _get_certificates(card: SmartCard) -> Value | None:
    return ",".join(certificate.name or "" for certificate in card.certificates) or None


def _certificates_check(text: str) -> str:
    names = [name.strip() for name in text.split(",")]
    return "" if len(names) == 3 and all(names) else N("Name three certificates, divided by commas.")


def _set_certificates(card: SmartCard, value: Value | None) -> None:
    text = checked(_certificates_check, "cert1,cert2,cert3" if value is None else str(value))
    for certificate, name in zip(card.certificates, text.split(","), strict=False):
        certificate.name = name.strip()


def _add_card(situation: Situation) -> SmartCard:
    card = situation.domain.devices.smart_cards.add()
    _set_card_mode(card, "passthrough" if has_spice(situation.domain.devices) else "host")
    return card


def _add_card_refusal(situation: Situation) -> str:
    if not has_usb(situation.domain):
        return NO_USB
    return N("A VM can have one smart card only.") if len(situation.domain.devices.smart_cards) else ""


# --- vsock ------------------------------------------------------------------------------------------------


def _get_cid(vsock: Vsock) -> Value | None:
    return None if vsock.cid_auto else vsock.cid


def _set_cid(vsock: Vsock, value: Value | None) -> None:
    vsock.cid = None if value is None else int(value)
    vsock.cid_auto = True if value is None else None


def _vsocks(domain: DomainXml) -> list[Vsock]:
    return [domain.devices.vsock] if domain.devices.vsock.exists else []


def _add_vsock(situation: Situation) -> Vsock:
    vsock = situation.domain.devices.vsock
    vsock.model, vsock.cid_auto = "virtio", True
    return vsock


def _vsock_refusal(situation: Situation) -> str:
    return N("A VM can have only one.") if situation.domain.devices.vsock.exists else ""


_INPUT: Resource[InputDevice] = Resource(
    id="input",
    title=N("Input device"),
    group=Group.PERIPHERALS,
    icon="mouse",
    help="input",
    nodes=listing(Devices.inputs),
    options=(
        Option(
            "type",
            N("Kind"),
            N("A tablet puts the guest's pointer where yours is; a mouse must be captured, and suits games."),
            *one_of(_INPUTS, InputDevice.type, needs="tablet", default=None, refuse=_input_type_refusal),
            keywords="tablet mouse keyboard pointer",
            refusal=lambda _s, device: (
                N("A device of the host; add another one instead.") if device.type in ("evdev", "passthrough") else ""
            ),
        ),
        Option(
            "bus",
            N("Bus"),
            N("USB is known everywhere and keeps the host a little busy; VirtIO does not, and needs a driver."),
            *one_of(_INPUT_BUSES, InputDevice.bus, write=_set_input_bus, refuse=_input_bus_refusal),
            keywords="usb virtio ps2",
            shown=lambda _s, device: device.type != "evdev",
        ),
        Option(
            "source",
            N("Device of the host"),
            N("The guest takes this keyboard or mouse for itself; both Ctrl keys together give it back."),
            HostPath(PathKind.DEVICE),
            *required(InputDevice.source_dev, "/dev/input/event0"),
            shown=when(InputDevice.type, "evdev"),
        ),
    ),
    summary=lambda _s, device: label_of(_INPUT_BUSES, device.bus),
    name=lambda device: Phrase(label_of(_INPUTS, device.type) or N("Input device")),
    keywords="mouse tablet keyboard pointer cursor",
    add=_add_input,
    remove=dropping(Devices.inputs),
    hotplug=True,
)

_SMALL: tuple[Resource[Any], ...] = (
    Resource(
        id="rng",
        title=N("Random number source"),
        group=Group.PERIPHERALS,
        icon="random",
        help="rng",
        nodes=listing(Devices.rngs),
        options=_RNG_OPTIONS,
        summary=lambda _s, rng: rng.backend_path or label_of(_SOURCES, rng.backend_model),
        keywords="entropy random rng urandom",
        add=_add_rng,
        remove=dropping(Devices.rngs),
        add_refusal=lambda situation: (
            N("This host's QEMU has none.") if situation.facts.offers_any("rng") is False else ""
        ),
        hotplug=True,
    ),
    Resource(
        id="smartcard",
        title=N("Smart card"),
        group=Group.PERIPHERALS,
        icon="smartcard",
        help="smartcard",
        nodes=listing(Devices.smart_cards),
        options=(
            Option(
                "mode",
                N("Card"),
                N("Whose card the guest sees; whoever uses the guest can sign with it while it is in."),
                *one_of(_CARD_MODES, SmartCard.mode, write=_set_card_mode, default=None, refuse=_card_refusal),
                keywords="reader certificate spice ccid",
            ),
            Option(
                "certificates",
                N("Certificates"),
                N("Three names in the host's certificate database, divided by commas."),
                Line("cert1,cert2,cert3", 255, _certificates_check),
                _get_certificates,
                _set_certificates,
                shown=when(SmartCard.mode, "host-certificates"),
            ),
        ),
        summary=lambda _s, card: label_of(_CARD_MODES, card.mode),
        keywords="ccid reader certificate sign",
        add=_add_card,
        remove=dropping(Devices.smart_cards),
        add_refusal=_add_card_refusal,
    ),
    Resource(
        id="vsock",
        title=N("Host socket (vsock)"),
        group=Group.PERIPHERALS,
        icon="channel",
        help="vsock",
        nodes=_vsocks,
        options=(
            Option(
                "cid",
                N("Address (CID)"),
                N(
                    "The guest's number on this host; left open, a free one is taken at each start. Two VMs with one "
                    "number cannot run together."
                ),
                Number(3, (1 << 32) - 1),
                _get_cid,
                _set_cid,
                live=True,
                keywords="cid context id",
                default=N("a free one at each start"),
            ),
            Option(
                "model",
                N("Model"),
                N("VirtIO in the form that the guest's driver knows."),
                *one_of(_VIRTIO, Vsock.model),
                more=True,
            ),
        ),
        summary=lambda _s, vsock: f"CID {vsock.cid}" if vsock.cid is not None else N("a free CID"),
        keywords="vsock socket host guest communication",
        add=_add_vsock,
        remove=lambda domain, _node: domain.devices.vsock.remove(),
        add_refusal=_vsock_refusal,
        hotplug=True,
    ),
)

# In the order of the list.
RESOURCES: tuple[Resource[Any], ...] = (
    _INPUT,
    *sound.RESOURCES,
    *usb_devices.RESOURCES,
    *pci_devices.RESOURCES,
    *folders.RESOURCES,
    *char_lines.RESOURCES,
    *channels.RESOURCES,
    *tpm.RESOURCES,
    *watchdog.RESOURCES,
    *_SMALL,
)
