"""Sound cards, and where their sound goes on the host. (formatdomain.html, "Sound devices", "Audio backends")"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from guivm.engine.options.devices import (
    NO_SPICE,
    NO_USB,
    Known,
    choice,
    devices_of,
    dropping,
    free_number,
    has_spice,
    has_usb,
    label_of,
    listing,
    one_of,
    since,
    when,
    with_present,
    words,
)
from guivm.engine.options.option import (
    Choice,
    Group,
    HostPath,
    Item,
    Line,
    N,
    Option,
    PathKind,
    Resource,
    Situation,
    Value,
    stored,
)
from guivm.engine.options.phrase import Phrase
from guivm.engine.xml.audio import Audio, Sound
from guivm.engine.xml.domain import Devices, DomainXml

MODELS = (
    Known("ich9", N("Intel HD Audio (ICH9)"), N("Every system of today knows it.")),
    Known("ich6", N("Intel HD Audio (ICH6)"), N("The same for older machine types.")),
    Known("usb", N("USB audio"), N("Needs no sound driver but USB; plays only.")),
    Known("virtio", N("VirtIO sound"), N("Made for virtual machines; needs libvirt 10.4, QEMU 8.2 and a new guest.")),
    Known("ac97", N("AC97"), N("For Windows XP and its time.")),
    Known("es1370", N("Ensoniq ES1370"), N("For systems around 2000.")),
    Known("sb16", N("Sound Blaster 16"), N("For DOS and its games.")),
    Known("pcspk", N("PC speaker"), N("Beeps only.")),
)
BACKENDS = (
    Known("none", N("Nowhere"), N("The guest sees a card and nothing is heard, except over VNC or SPICE.")),
    Known("pulseaudio", N("PulseAudio"), N("As your own programs do; for machines that run as you.")),
    Known("pipewire", N("PipeWire"), N("As your own programs do; needs libvirt 9.10 and QEMU 8.1.")),
    Known("alsa", N("ALSA"), N("Straight to the host's sound card.")),
    Known("jack", N("JACK"), N("For studios.")),
    Known("oss", N("OSS")),
    Known("sdl", N("SDL")),
    Known("spice", N("SPICE"), N("To the viewer; needs a SPICE display.")),
    Known("dbus", N("D-Bus")),
    Known("file", N("A file"), N("Records what the guest plays, as WAV.")),
)
_CODECS = (
    Known("duplex", N("Line out and line in")),
    Known("micro", N("Speaker and microphone")),
    Known("output", N("Line out only"), N("The guest cannot listen.")),
)


def _model_refusal(situation: Situation, _sound: Sound, model: str) -> str:
    if model == "usb" and not has_usb(situation.domain):
        return NO_USB
    return since(situation, 10, 4, N("It needs libvirt 10.4.")) if model == "virtio" else ""


def _set_model(sound: Sound, value: Value | None) -> None:
    """Codecs belong to Intel's HD Audio, streams to VirtIO; the address to the bus."""
    model = "ich9" if value is None else str(value)
    if model == sound.model:
        return
    if model not in ("ich6", "ich9"):
        sound.codecs.clear()
    sound.streams = sound.multichannel = None
    sound.address.remove()
    sound.model = model


def _get_codec(sound: Sound) -> Value | None:
    return next((codec.type for codec in sound.codecs), None)


def _set_codec(sound: Sound, value: Value | None) -> None:
    if value == _get_codec(sound):
        return
    sound.codecs.clear()
    if value is not None:
        sound.codecs.add().type = str(value)


def _backend_words(audio: Audio) -> str:
    return f"{audio.id or 1}: {label_of(BACKENDS, audio.type)}"


def _audio_items(situation: Situation, sound: Sound) -> Sequence[Item]:
    outputs = [each for each in situation.domain.devices.audios if each.id is not None]
    found = [Item(None, N("The first")), *(Item(each.id, _backend_words(each)) for each in outputs)]
    return with_present(found, sound.audio_id)


_SOUND_OPTIONS: tuple[Option[Sound], ...] = (
    Option(
        "model",
        N("Model"),
        N("Which sound card the guest sees: HD Audio for today's systems, the others for old ones."),
        *one_of(MODELS, Sound.model, write=_set_model, path="sound/model", default=None, refuse=_model_refusal),
        keywords="hda ac97 card",
    ),
    Option(
        "codec",
        N("Jacks"),
        N("What is plugged into the card; without an input the guest cannot hear the host's microphone."),
        choice(_CODECS, default=N("Default (line out and line in)")),
        _get_codec,
        _set_codec,
        more=True,
        shown=when(Sound.model, "ich6", "ich9"),
        keywords="microphone speaker duplex",
    ),
    Option(
        "audio",
        N("Played by"),
        N("Which of the VM's ways out on the host it uses."),
        Choice(_audio_items),
        *stored(Sound.audio_id),
        more=True,
        keywords="backend output",
    ),
)


# --- ways out ---------------------------------------------------------------------------------------------


def _backend_refusal(situation: Situation, _audio: Audio, backend: str) -> str:
    if backend == "spice" and not has_spice(situation.domain.devices):
        return NO_SPICE
    if backend in ("pulseaudio", "pipewire") and not situation.facts.is_session:
        return N("The system's virtual machines do not run as you, so they cannot reach your sound.")
    return since(situation, 9, 10, N("It needs libvirt 9.10.")) if backend == "pipewire" else ""


def _set_backend(audio: Audio, value: Value | None) -> None:
    new = "none" if value is None else str(value)
    if new == audio.type:
        return
    audio.server_name = audio.path = audio.driver = None
    audio.input.remove()
    audio.output.remove()
    audio.type = new


_AUDIO_OPTIONS: tuple[Option[Audio], ...] = (
    Option(
        "type",
        N("Goes to"),
        N("Where the guest's sound is played on the host; over VNC this program plays it wherever you are."),
        *one_of(BACKENDS, Audio.type, write=_set_backend, path="audio/type", default=None, refuse=_backend_refusal),
        keywords="pulseaudio pipewire alsa jack spice backend driver",
    ),
    Option(
        "path",
        N("File"),
        N("A WAV file that grows while the guest plays; it is overwritten at each start."),
        HostPath(PathKind.NEW_FILE, ("WAV (*.wav)",)),
        *stored(Audio.path),
        shown=when(Audio.type, "file"),
        default=N("qemu.wav, where QEMU runs"),
    ),
    Option(
        "server",
        N("Server"),
        N("The sound server's address, where it is not the usual one."),
        Line(),
        *stored(Audio.server_name),
        more=True,
        shown=when(Audio.type, "pulseaudio"),
        default=N("the usual one"),
    ),
)


def _add_sound(situation: Situation) -> Sound:
    sound = situation.domain.devices.sounds.add()
    sound.model = "ich9"
    return sound


def _add_audio(situation: Situation) -> Audio:
    audios = situation.domain.devices.audios
    number = free_number((each.id for each in audios), 1)
    audio = audios.add()
    audio.id, audio.type = number, "none"
    return audio


def _remove_audio(domain: DomainXml, audio: Audio) -> None:
    """Cards and displays that named it go to the first that is left."""
    for user in (*domain.devices.sounds, *domain.devices.graphics):
        if user.audio_id == audio.id:
            user.audio_id = None
    domain.devices.audios.remove(audio)


def _sound_summary(_situation: Situation, sound: Sound) -> str:
    audios = list(devices_of(sound).audios)
    mine = next((each for each in audios if each.id == sound.audio_id), audios[0] if audios else None)
    return words(label_of(MODELS, sound.model), "" if mine is None else label_of(BACKENDS, mine.type))


RESOURCES: tuple[Resource[Any], ...] = (
    Resource(
        id="sound",
        title=N("Sound card"),
        group=Group.PERIPHERALS,
        icon="sound",
        help="sound",
        nodes=listing(Devices.sounds),
        options=_SOUND_OPTIONS,
        summary=_sound_summary,
        keywords="audio speaker microphone hda ac97",
        add=_add_sound,
        remove=dropping(Devices.sounds),
    ),
    Resource(
        id="audio",
        title=N("Sound output"),
        group=Group.PERIPHERALS,
        icon="sound",
        help="sound",
        nodes=listing(Devices.audios),
        options=_AUDIO_OPTIONS,
        summary=lambda _situation, audio: label_of(BACKENDS, audio.type),
        name=lambda audio: Phrase(N("Sound output {}"), str(audio.id or 1)),
        identity=lambda audio: str(audio.id or ""),
        keywords="audio backend pulseaudio pipewire alsa",
        add=_add_audio,
        remove=_remove_audio,
    ),
)
