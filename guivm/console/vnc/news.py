"""What a console's thread has to tell its owner: the latest of each kind, however much happens."""

from __future__ import annotations

from dataclasses import dataclass

from guivm.console.frame import (
    CursorShape,
    Framebuffer,
    Head,
    KeyboardLeds,
    PointerMode,
    SourceFeature,
    SourceSecurity,
    SourceState,
)


@dataclass(slots=True)
class News:
    """What happened since the mailbox was last emptied; None or False: nothing of that kind."""

    framebuffer: Framebuffer | None = None
    cursor: tuple[CursorShape | None] | None = None  # a 1-tuple when it changed
    pointer_mode: PointerMode | None = None
    leds: KeyboardLeds | None = None
    name: str | None = None
    heads: tuple[Head, ...] | None = None
    features: SourceFeature | None = None
    security: SourceSecurity | None = None
    clipboard: str | None = None
    refused: str | None = None
    bell: bool = False
    damaged: bool = False
    state: SourceState | None = None

    def add(self, later: News) -> None:
        """Take over what is newer."""
        if later.framebuffer is not None:
            self.framebuffer = later.framebuffer
            self.damaged = False
            self.heads = None  # those of the framebuffer before
        self.cursor = later.cursor or self.cursor
        self.pointer_mode = later.pointer_mode or self.pointer_mode
        self.leds = later.leds if later.leds is not None else self.leds
        self.name = later.name if later.name is not None else self.name
        self.heads = later.heads or self.heads
        self.features = later.features if later.features is not None else self.features
        self.security = later.security or self.security
        self.clipboard = later.clipboard if later.clipboard is not None else self.clipboard
        self.refused = later.refused or self.refused
        self.bell = self.bell or later.bell
        self.damaged = self.damaged or later.damaged
        self.state = later.state or self.state
