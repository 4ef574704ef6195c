"""``<sound>`` and ``<audio>``: sound cards, and where their sound goes (formatdomain.html, "Sound devices")."""

from __future__ import annotations

from guivm.engine.xml.device import Device
from guivm.engine.xml.node import XmlNode
from guivm.engine.xml.properties import INTEGER, YES_NO, Child, Children, attribute


class Codec(XmlNode):
    __slots__ = ()

    type = attribute("@type")  # "duplex", "micro", "output"


class Sound(Device):
    __slots__ = ()

    model = attribute("@model")  # "ich9", "ich6", "ac97", "usb", "virtio", …
    audio_id = attribute("audio/@id", INTEGER)
    codecs = Children(Codec, "codec")
    multichannel = attribute("@multichannel", YES_NO)  # of "usb"; libvirt 9.4
    streams = attribute("@streams", INTEGER)  # of "virtio"; libvirt 10.4


class AudioDirection(XmlNode):
    """``<input>`` or ``<output>`` of a back end."""

    __slots__ = ()

    mixing_engine = attribute("@mixingEngine", YES_NO)
    fixed_settings = attribute("@fixedSettings", YES_NO)
    voices = attribute("@voices", INTEGER)
    buffer_length_us = attribute("@bufferLength", INTEGER)
    buffer_count = attribute("@bufferCount", INTEGER)
    dev = attribute("@dev")
    name = attribute("@name")  # of PulseAudio, like the next two
    stream_name = attribute("@streamName")
    latency_us = attribute("@latency", INTEGER)
    server_name = attribute("@serverName")  # of JACK, like the next three
    client_name = attribute("@clientName")
    connect_ports = attribute("@connectPorts")
    exact_name = attribute("@exactName", YES_NO)
    try_poll = attribute("@tryPoll", YES_NO)
    frequency_hz = attribute("settings/@frequency", INTEGER)
    channels = attribute("settings/@channels", INTEGER)
    format = attribute("settings/@format")  # "s16", "f32", …


class Audio(XmlNode):
    """``<audio>``: a back end on the host."""

    __slots__ = ()

    id = attribute("@id", INTEGER)
    type = attribute("@type")  # "none", "pulseaudio", "pipewire", "alsa", "jack", "oss", "sdl", "spice", "file", "dbus"
    timer_period_us = attribute("@timerPeriod", INTEGER)
    server_name = attribute("@serverName")
    path = attribute("@path")
    driver = attribute("@driver")
    input = Child(AudioDirection, "input")
    output = Child(AudioDirection, "output")
