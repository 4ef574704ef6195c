"""What the owner of a console puts into its thread's queue. Frozen values."""

from __future__ import annotations

from dataclasses import dataclass

from guivm.console.frame import ClipboardPolicy, PointerButton, PointerMode, PowerAction, Quality


@dataclass(frozen=True, slots=True)
class Key:
    scancode: int
    keysym: int
    pressed: bool


@dataclass(frozen=True, slots=True)
class Pointer:
    x: int
    y: int
    buttons: PointerButton
    mode: PointerMode  # what x and y mean
    is_move: bool = False  # no button changed: may wait, and may be merged with the next


@dataclass(frozen=True, slots=True)
class Visible:
    visible: bool


@dataclass(frozen=True, slots=True)
class Size:
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Power:
    action: PowerAction


@dataclass(frozen=True, slots=True)
class Policy:
    policy: ClipboardPolicy


@dataclass(frozen=True, slots=True)
class Clipboard:
    text: str


@dataclass(frozen=True, slots=True)
class QualityWish:
    quality: Quality


@dataclass(frozen=True, slots=True)
class Sound:
    on: bool


Input = Key | Pointer | Visible | Size | Power | Policy | Clipboard | QualityWish | Sound
