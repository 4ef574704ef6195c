"""What a session has to tell. Frozen values; the latest of a kind replaces the earlier ones."""

from __future__ import annotations

from dataclasses import dataclass

from guivm.console.frame import CursorShape, Framebuffer, KeyboardLeds, PointerMode


@dataclass(frozen=True, slots=True)
class Resized:
    """A new framebuffer, the first one included; damage told before is void."""

    framebuffer: Framebuffer


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
    """The server's clipboard, not cleaned: what becomes of it is the clipboard policy's business."""

    text: str


Event = Resized | UpdateEnded | CursorChanged | PointerModeChanged | LedsChanged | NameChanged | Bell | CutText
