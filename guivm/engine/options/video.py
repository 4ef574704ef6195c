"""Graphics cards. (formatdomain.html, "Video devices")"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from guivm.engine.options.devices import (
    Known,
    devices_of,
    drop_virtio_options,
    first_offered,
    label_of,
    listing,
    may_have,
    one_of,
    reader,
    same,
    when,
    with_present,
    words,
)
from guivm.engine.options.option import (
    Choice,
    Group,
    Item,
    N,
    Number,
    Option,
    Resource,
    Situation,
    Size,
    SizeUnit,
    Switch,
    Value,
    stored,
)
from guivm.engine.xml.domain import Devices, DomainXml
from guivm.engine.xml.graphics import Graphics
from guivm.engine.xml.video import Video

MODELS = (
    Known(
        "virtio",
        N("VirtIO GPU"),
        N("Made for virtual machines: any resolution, several screens, 3D where the host can."),
    ),
    Known("qxl", N("QXL"), N("Made for SPICE; good with its driver, plain VGA without.")),
    Known("vga", N("Standard VGA"), N("Every system shows something on it; resolutions up to its memory.")),
    Known("bochs", N("Bochs display"), N("Plain picture memory without VGA; for UEFI guests.")),
    Known("ramfb", N("Ramfb"), N("Only a picture in memory, for firmware; slow afterwards.")),
    Known("cirrus", N("Cirrus Logic"), N("For systems of the nineties; 4 MiB at most.")),
    Known("vmvga", N("VMware SVGA"), N("For machines that come from VMware.")),
    Known("none", N("None"), N("No screen: the guest is reached by its serial line or the network.")),
)
_HEADED = ("virtio", "qxl")
_SIZED = ("virtio", "vga", "qxl", "bochs")
_WITH_MEMORY = ("vga", "qxl", "vmvga", "bochs")
_SECONDARY = ("virtio", "qxl")


def _video_refusal(situation: Situation, video: Video, model: str) -> str:
    cards = situation.domain.devices.videos
    if model == "none" and len(cards) > 1:
        return N("This VM has another graphics card; remove it first.")
    is_first = len(cards) == 0 or same(cards[0], video)
    if not is_first and model not in _SECONDARY:
        return N("Only VirtIO and QXL can be a second card.")
    return ""


def _set_video_model(video: Video, value: Value | None) -> None:
    """What only the old model had goes: its memory, its heads, 3D."""
    model = "vga" if value is None else str(value)
    if model == video.model:
        return
    if video.accel_3d:
        _set_accel(video, None)
    video.ram_kib = video.vram_kib = video.vram64_kib = video.video_memory_kib = None
    video.render_node, video.accel_2d, video.blob = None, None, None
    video.vga_conf = None
    if model not in _HEADED:
        video.heads = None
    if model not in _SIZED:
        video.width = video.height = None
    if model in ("none", "ramfb"):
        video.primary = None
    if model != "virtio":
        drop_virtio_options(video)
        video.driver_name = None
    video.address.remove()
    video.model = model


def _headless(video: Video) -> Graphics | None:
    return next((each for each in devices_of(video).graphics if each.type == "egl-headless"), None)


def _set_accel(video: Video, value: Value | None) -> None:
    """3D needs a display that draws with OpenGL: one without a window is put beside VNC, and taken out again."""
    video.accel_3d = None if value is None else bool(value)
    devices = devices_of(video)
    drawing = _headless(video)
    if value and drawing is None and not any(each.gl_enable for each in devices.graphics):
        devices.graphics.add().type = "egl-headless"
    elif not value and drawing is not None:
        devices.graphics.remove(drawing)


def _accel_refusal(situation: Situation, video: Video) -> str:
    if video.accel_3d:
        return ""
    if situation.facts.render_refusal:
        return situation.facts.render_refusal
    if not may_have(situation, "graphics/type", "egl-headless"):
        return N("This host's QEMU is built without OpenGL.")
    return ""


def _get_node(video: Video) -> Value | None:
    return next((each.gl_render_node for each in devices_of(video).graphics if each.gl_render_node), None)


def _set_node(video: Video, value: Value | None) -> None:
    for graphics in devices_of(video).graphics:
        if graphics.type == "egl-headless" or graphics.gl_enable:
            graphics.gl_render_node = None if value is None else str(value)


def _node_items(situation: Situation, video: Video) -> Sequence[Item]:
    nodes = (Item(node.path, node.label or node.path) for node in situation.facts.render_nodes)
    return with_present([Item(None, N("The host's first")), *nodes], _get_node(video))


_RESOLUTIONS = ("1024x768", "1280x720", "1280x800", "1366x768", "1600x900", "1920x1080", "2560x1440", "3840x2160")


def _resolution_items(_situation: Situation, video: Video) -> Sequence[Item]:
    known = [Item(text, text.replace("x", " × ")) for text in _RESOLUTIONS]
    return with_present([Item(None, N("The guest's choice")), *known], _get_resolution(video))


def _get_resolution(video: Video) -> Value | None:
    return f"{video.width}x{video.height}" if video.width and video.height else None


def _set_resolution(video: Video, value: Value | None) -> None:
    if value is None:
        video.width = video.height = None
        return
    match = re.fullmatch(r"([0-9]{2,5})\s*[x×]\s*([0-9]{2,5})", str(value).strip(), re.ASCII)
    if match is None or not (64 <= int(match[1]) <= 16384 and 64 <= int(match[2]) <= 16384):
        raise ValueError(N("Write a resolution as 1920x1080."))
    video.width, video.height = int(match[1]), int(match[2])


def _set_framebuffer(video: Video, value: Value | None) -> None:
    if value is not None and (int(value) & (int(value) - 1) or int(value) < 1024):
        raise ValueError(N("QXL's picture memory must be a power of two, of 1 MiB or more."))
    video.video_memory_kib = None if value is None else int(value)


_VIDEO_OPTIONS: tuple[Option[Video], ...] = (
    Option(
        "model",
        N("Model"),
        N(
            "Which graphics card the guest sees: VirtIO is best with today's systems, VGA shows something on every "
            "one. Another model gives up memory, screens and 3D of the old one."
        ),
        *one_of(
            MODELS, Video.model, write=_set_video_model, path="video/modelType", default=None, refuse=_video_refusal
        ),
        keywords="graphics card gpu virtio qxl vga",
    ),
    Option(
        "heads",
        N("Screens"),
        N("How many screens the guest may have; each costs memory, and the guest decides which it uses."),
        Number(1, 16),
        *stored(Video.heads),
        shown=when(Video.model, *_HEADED),
        keywords="monitors heads multi screen",
        default="1",
    ),
    Option(
        "resolution",
        N("Preferred resolution"),
        N("What the guest starts with; its driver may change it at any time, and follows the window where it can."),
        Choice(_resolution_items, free=True),
        _get_resolution,
        _set_resolution,
        shown=when(Video.model, *_SIZED),
        keywords="resolution size width height edid",
    ),
    Option(
        "accel3d",
        N("3D acceleration (OpenGL)"),
        N(
            "The guest draws with the host's graphics card (virgl): desktops and 3D are quick, but the guest comes "
            "close to the host's driver, and cannot be saved or moved. Adds a display that draws without a window."
        ),
        Switch(False),
        reader(Video.accel_3d),
        _set_accel,
        shown=when(Video.model, "virtio"),
        refusal=_accel_refusal,
        keywords="opengl virgl 3d gpu acceleration gl",
    ),
    Option(
        "render-node",
        N("Drawn by"),
        N("Which of the host's graphics cards draws for the guest."),
        Choice(_node_items),
        _get_node,
        _set_node,
        shown=lambda _s, video: bool(video.accel_3d),
        more=True,
        keywords="render node dri gpu",
    ),
    Option(
        "memory",
        N("Video memory"),
        N("Bounds the resolution: 16 MiB suffice for 2560 × 1600; more is wasted on one screen."),
        Size(SizeUnit.KIB, minimum=1024, maximum=1 << 21),
        *stored(Video.vram_kib),
        shown=when(Video.model, *_WITH_MEMORY),
        more=True,
        keywords="vram vgamem",
        default=N("libvirt's choice"),
    ),
    Option(
        "framebuffer",
        N("Picture memory"),
        N("QXL's memory for the picture of one screen; a power of two."),
        Size(SizeUnit.KIB, minimum=1024, maximum=1 << 21),
        reader(Video.video_memory_kib),
        _set_framebuffer,
        shown=when(Video.model, "qxl"),
        more=True,
        keywords="vgamem",
        default=N("libvirt's choice"),
    ),
    Option(
        "ram",
        N("Command memory"),
        N("QXL's memory for what is to be drawn; more helps with several large screens."),
        Size(SizeUnit.KIB, minimum=1024, maximum=1 << 21),
        *stored(Video.ram_kib),
        shown=when(Video.model, "qxl"),
        more=True,
        default=N("libvirt's choice"),
    ),
)


def _video_summary(_situation: Situation, video: Video) -> str:
    heads = video.heads or 1
    return words(
        label_of(MODELS, video.model) or N("libvirt's choice"),
        f"{heads} screens" if heads > 1 else "",
        str(_get_resolution(video) or ""),
        N("3D") if video.accel_3d else "",
    )


def _add_video(situation: Situation) -> Video:
    wanted = ("virtio", "qxl") if len(situation.domain.devices.videos) else ("virtio", "vga", "qxl", "bochs", "ramfb")
    video = situation.domain.devices.videos.add()
    video.model = first_offered(situation, "video/modelType", wanted)
    return video


def _add_video_refusal(situation: Situation) -> str:
    cards = situation.domain.devices.videos
    if any(card.model == "none" for card in cards):
        return N("This VM is set to have no graphics card; choose another model there instead.")
    if len(cards) and not any(may_have(situation, "video/modelType", model) for model in _SECONDARY):
        return N("Only VirtIO and QXL can be a second card, and this host's QEMU has neither.")
    return ""


def _remove_video(domain: DomainXml, video: Video) -> None:
    """With it goes the display that drew for its 3D."""
    if video.accel_3d:
        _set_accel(video, None)
    domain.devices.videos.remove(video)


RESOURCES: tuple[Resource[Any], ...] = (
    Resource(
        id="video",
        title=N("Graphics card"),
        group=Group.DISPLAY,
        icon="video-card",
        help="video",
        nodes=listing(Devices.videos),
        options=_VIDEO_OPTIONS,
        summary=_video_summary,
        keywords="gpu vga screen monitor 3d opengl",
        add=_add_video,
        remove=_remove_video,
        add_refusal=_add_video_refusal,
    ),
)
