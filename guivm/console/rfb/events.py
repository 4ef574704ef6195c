"""What a session has to tell. Frozen values; the latest of a kind replaces the earlier ones."""

from __future__ import annotations

from dataclasses import dataclass

from guivm.console.frame import CursorShape, Framebuffer, Head, KeyboardLeds, PointerMode, SourceFeature


@dataclass(frozen=True, slots=True)
class Resized:
    """A new framebuffer, the first one included; damage told before is void. ``heads``: empty where not told."""

    framebuffer: Framebuffer
    heads: tuple[Head, ...] = ()


@dataclass(frozen=True, slots=True)
class UpdateEnded:
    """A whole update is in the framebuffer. ``pixels``: it had any."""

    pixels: bool


@dataclass(frozen=True, slots=True)
class CursorChanged:
    cursor: CursorShape | None


@dataclass(frozen=True, slots=True)
class PointerModeChanged:
    mode: PointerMode


@dataclass(frozen=True, slots=True)
class LedsChanged:
    leds: KeyboardLeds


@dataclass(frozen=True, slots=True)
class NameChanged:
    name: str  # cleaned


@dataclass(frozen=True, slots=True)
class Bell:
    pass


@dataclass(frozen=True, slots=True)
class CutText:
    """The guest's clipboard, if the policy lets it in: lines end with LF, no other control character but tab."""

    text: str


@dataclass(frozen=True, slots=True)
class HeadsChanged:
    heads: tuple[Head, ...]  # at least one


@dataclass(frozen=True, slots=True)
class FeaturesChanged:
    features: SourceFeature


@dataclass(frozen=True, slots=True)
class Refused:
    """The server does not do what was asked."""

    reason: str  # one sentence


@dataclass(frozen=True, slots=True)
class SoundBegan:
    pass


@dataclass(frozen=True, slots=True)
class SoundData:
    """Samples in the format of :data:`guivm.console.rfb.session.SOUND_FORMAT`."""

    samples: bytes


@dataclass(frozen=True, slots=True)
class SoundEnded:
    pass


Event = (
    Resized
    | UpdateEnded
    | CursorChanged
    | PointerModeChanged
    | LedsChanged
    | NameChanged
    | Bell
    | CutText
    | HeadsChanged
    | FeaturesChanged
    | Refused
    | SoundBegan
    | SoundData
    | SoundEnded
)
