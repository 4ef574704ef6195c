"""Framebuffer updates: rectangles of pixels, and the pseudo rectangles that tell something else."""

from __future__ import annotations

import copy
import zlib
from collections.abc import Callable

import numpy as np

from guivm.console.frame import Framebuffer, Head, KeyboardLeds, PointerMode, SourceFeature
from guivm.console.rfb import wire
from guivm.console.rfb.damage import Damage
from guivm.console.rfb.decoders import Decoder
from guivm.console.rfb.decoders import cursor as cursors
from guivm.console.rfb.decoders.table import make_decoders
from guivm.console.rfb.errors import RfbError
from guivm.console.rfb.events import (
    CursorChanged,
    Event,
    FeaturesChanged,
    HeadsChanged,
    LedsChanged,
    NameChanged,
    PointerModeChanged,
    Refused,
    Resized,
    UpdateEnded,
)
from guivm.console.rfb.inbox import Inbox, Steps
from guivm.console.rfb.limits import (
    DIRECT_BYTES,
    MAX_NAME_BYTES,
    MAX_SIDE,
    RECT_PIXELS,
    check_length,
    check_rect,
    check_size,
)
from guivm.console.rfb.rawrows import RawRows
from guivm.console.rfb.snapshot import SessionSnapshot
from guivm.console.rfb.wire import Encoding, Screen
from guivm.text import clean_line

_REFUSALS = {
    1: "The guest's display does not allow a change of its size.",
    2: "The display's server is out of memory for a screen of that size.",
    3: "The display's server does not accept a screen of that size.",
}
_REFUSAL = "The display's server does not change the size."
_FORWARDED = 4  # the guest was asked and may follow later: no refusal


class Updates:
    """What the server's updates have told so far. ``request`` in the words of RFC 6143: FramebufferUpdateRequest."""

    def __init__(self, inbox: Inbox, say: Callable[[bytes], None], tell: Callable[[Event], None]) -> None:
        self.framebuffer: Framebuffer | None = None
        self.damage = Damage(1, 1)
        self.name = ""
        self.screens: tuple[Screen, ...] = ()
        self.pointer_mode = PointerMode.ABSOLUTE
        self.features = SourceFeature.NONE
        self.has_extended_keys = False
        self.has_extended_buttons = False
        self.wanted = True
        self.request_pending = False
        self.updates = 0  # begun so far
        self._inbox = inbox
        self._say = say
        self._tell = tell
        self._decoders: dict[int, Decoder] = make_decoders()
        self._rows: RawRows

    @property
    def is_qemu(self) -> bool:
        return self.name.startswith("QEMU")  # "QEMU", or "QEMU (name)"

    @property
    def available(self) -> frozenset[int]:
        """Encodings we can decode."""
        return frozenset(self._decoders)

    def request(self, *, incremental: bool) -> None:
        fb = self.framebuffer
        if fb is not None:
            self._say(wire.update_request(fb.width, fb.height, incremental=incremental))
            self.request_pending = True

    def want(self, wanted: bool) -> None:
        """Stop asking for updates, or ask again for all that changed meanwhile."""
        self.wanted = wanted
        if wanted and not self.request_pending:
            self.request(incremental=True)

    def read(self) -> Steps[None]:
        """One update, behind its type."""
        inbox = self._inbox
        start = yield from inbox.take(wire.UPDATE.size)
        (left,) = wire.UPDATE.unpack_from(inbox.data, start)
        self.updates += 1
        # Asked for now and not after decoding: QEMU prepares the next update while we take this one.
        self.request_pending = False
        if self.wanted:
            self.request(incremental=True)
        decoders = self._decoders
        unpack = wire.RECT.unpack_from
        size = wire.RECT.size
        data = inbox.data
        pixels = False
        while left:
            if inbox.end - inbox.pos < size:
                yield size
            pos = inbox.pos
            x, y, width, height, encoding = unpack(data, pos)
            if encoding == 0 and width and height:
                # Raw and small decides how many rectangles a second are possible: as few steps as can be.
                after = pos + size + width * height * 4
                if after <= inbox.end:
                    if left > 1 and data[pos + 4 : pos + 12] == data[after + 4 : after + 12]:
                        count = self._rows.copy_run(inbox, self.damage, left, width, height)
                        if count:
                            left -= count
                            pixels = True
                            continue
                    fb = self.framebuffer
                    assert fb is not None
                    if x + width > fb.width or y + height > fb.height:
                        check_rect(x, y, width, height, fb.width, fb.height, "a rectangle")
                    self._rows.copy(data, pos + size, x, y, width, height)
                    self.damage.add(x, y, width, height)
                    inbox.pos = after
                    left -= 1
                    pixels = True
                    continue
                if after - pos < DIRECT_BYTES:
                    fb = self.framebuffer
                    assert fb is not None
                    check_rect(x, y, width, height, fb.width, fb.height, "a rectangle")
                    yield after - pos
                    continue
            inbox.pos += size
            left -= 1
            decoder = decoders.get(encoding)
            if decoder is not None:
                fb = self.framebuffer
                assert fb is not None
                if x + width > fb.width or y + height > fb.height:
                    check_rect(x, y, width, height, fb.width, fb.height, "a rectangle")
                yield from decoder.decode(inbox, fb, x, y, width, height)
                if width and height:
                    self.damage.add(x, y, width, height)
                    pixels = True
                    inbox.work += width * height
            elif encoding == Encoding.LAST_RECT:
                break
            else:
                yield from self._pseudo(encoding, x, y, width, height)
            # A few bytes may fill the whole screen, and the inbox holds very many of them.
            inbox.work += RECT_PIXELS
            if inbox.work_limit is not None and inbox.work > inbox.work_limit:
                yield 0
        self._tell(UpdateEnded(pixels))

    def _pseudo(self, encoding: int, x: int, y: int, width: int, height: int) -> Steps[None]:
        inbox = self._inbox
        if encoding == Encoding.CURSOR:
            shape = yield from cursors.masked_cursor(inbox, x, y, width, height)
            self._tell(CursorChanged(shape))
        elif encoding == Encoding.CURSOR_WITH_ALPHA:
            shape = yield from cursors.alpha_cursor(
                inbox, x, y, width, height, is_qemu=self.is_qemu, decoders=self._decoders
            )
            self._tell(CursorChanged(shape))
        elif encoding == Encoding.X_CURSOR:
            shape = yield from cursors.two_colour_cursor(inbox, x, y, width, height)
            self._tell(CursorChanged(shape))
        elif encoding == Encoding.DESKTOP_SIZE:
            self._resize(width, height)
        elif encoding == Encoding.EXTENDED_DESKTOP_SIZE:
            yield from self._extended_size(x, y, width, height)
        elif encoding == Encoding.POINTER_TYPE:
            self.pointer_mode = PointerMode.ABSOLUTE if x else PointerMode.RELATIVE
            self._tell(PointerModeChanged(self.pointer_mode))
        elif encoding == Encoding.EXTENDED_KEY:
            self.has_extended_keys = True
        elif encoding == Encoding.EXTENDED_MOUSE_BUTTONS:
            self.has_extended_buttons = True
        elif encoding == Encoding.SOUND:
            self.gain(SourceFeature.SOUND)
        elif encoding == Encoding.LED_STATE:
            start = yield from inbox.take(1)
            self._tell(LedsChanged(KeyboardLeds(inbox.data[start] & 7)))
        elif encoding == Encoding.DESKTOP_NAME:
            start = yield from inbox.take(4)
            (length,) = wire.U32.unpack_from(inbox.data, start)
            check_length(length, MAX_NAME_BYTES, "a name")
            self.set_name((yield from inbox.take_bytes(length)))
        else:
            raise RfbError(f"a rectangle in encoding {encoding}, which we did not ask for")

    def snapshot(self) -> SessionSnapshot:
        """Between two messages, and when there is a framebuffer."""
        fb = self.framebuffer
        assert fb is not None
        return SessionSnapshot(
            width=fb.width,
            height=fb.height,
            pixels=zlib.compress(fb.rows, 1),
            decoders=copy.deepcopy(self._decoders),
            name=self.name,
            screens=self.screens,
            pointer_mode=self.pointer_mode,
        )

    def restore(self, snapshot: SessionSnapshot) -> None:
        """Before anything is read. Tells no event."""
        fb = Framebuffer(snapshot.width, snapshot.height)
        fb.pixels.reshape(-1)[:] = np.frombuffer(zlib.decompress(snapshot.pixels), dtype=np.uint8)
        self._take_framebuffer(fb)
        self._decoders = copy.deepcopy(dict(snapshot.decoders))
        self.name = snapshot.name
        self.screens = snapshot.screens
        self.pointer_mode = snapshot.pointer_mode

    def close(self) -> None:
        """Let go of the framebuffer and the streams."""
        if self.framebuffer is not None:
            self.framebuffer = None
            del self._rows
        self._decoders.clear()

    def gain(self, feature: SourceFeature) -> None:
        if feature not in self.features:
            self.features |= feature
            self._tell(FeaturesChanged(self.features))

    def set_name(self, data: bytes) -> None:
        self.name = clean_line(data.decode("utf-8", "replace"))
        self._tell(NameChanged(self.name))

    # --- sizes ----------------------------------------------------------------------------------------

    def new_framebuffer(self, width: int, height: int, heads: tuple[Head, ...] = ()) -> None:
        check_size(width, height)
        fb = Framebuffer(width, height)
        self._take_framebuffer(fb)
        self._tell(Resized(fb, heads))
        self.request(incremental=False)

    def _take_framebuffer(self, fb: Framebuffer) -> None:
        self.framebuffer = fb
        self._rows = RawRows(fb)
        self.damage = Damage(fb.width, fb.height)

    def request_size(self, width: int, height: int) -> None:
        """Ask for another size; of no effect where the server knows no SetDesktopSize, or has that size."""
        fb = self.framebuffer
        width, height = min(max(width, 1), MAX_SIDE), min(max(height, 1), MAX_SIDE)
        if fb is None or SourceFeature.RESIZE not in self.features or (width, height) == (fb.width, fb.height):
            return
        self._say(wire.set_desktop_size(width, height, fitted(self.screens, fb.width, fb.height, width, height)))

    def _extended_size(self, reason: int, status: int, width: int, height: int) -> Steps[None]:
        """``reason`` 1 is the answer to our own SetDesktopSize, ``status`` other than 0 then no new size."""
        start = yield from self._inbox.take(4)
        count = self._inbox.data[start]
        data = yield from self._inbox.take_bytes(count * wire.SCREEN.size)
        if reason == 1 and status != 0:
            if status != _FORWARDED:
                self._tell(Refused(_REFUSALS.get(status, _REFUSAL)))  # one sentence: a guest may make up any number
            return
        before, self.screens = self.screens, tuple(Screen(*fields) for fields in wire.SCREEN.iter_unpack(data))
        heads = self._heads(width, height)
        if not self._resize(width, height, heads) and before != self.screens:
            self._tell(HeadsChanged(heads))
        self.gain(SourceFeature.RESIZE)

    def _resize(self, width: int, height: int, heads: tuple[Head, ...] = ()) -> bool:
        fb = self.framebuffer
        # QEMU answers every full request with the size it has: asking again then would never end.
        if fb is not None and (width, height) == (fb.width, fb.height):
            return False
        self.new_framebuffer(width, height, heads)
        return True

    def _heads(self, width: int, height: int) -> tuple[Head, ...]:
        heads = [
            Head(s.id, s.x, s.y, min(s.width, width - s.x), min(s.height, height - s.y))
            for s in self.screens
            if s.x < width and s.y < height and s.width and s.height
        ]
        return tuple(heads) or (Head(0, 0, 0, width, height),)


def fitted(screens: tuple[Screen, ...], old_width: int, old_height: int, width: int, height: int) -> list[Screen]:
    """Screens for a framebuffer of a new size, with the server's own ids and flags.

    One screen is all of it. Of several those that reach its right or lower edge follow that edge, and those that
    would be outside are left out.
    """
    if len(screens) <= 1:
        known = screens[0] if screens else Screen(0, 0, 0, 0, 0, 0)
        return [Screen(known.id, 0, 0, width, height, known.flags)]
    kept: list[Screen] = []
    for s in screens:
        if s.x >= width or s.y >= height:
            continue
        right = width if s.x + s.width >= old_width else min(s.x + s.width, width)
        lower = height if s.y + s.height >= old_height else min(s.y + s.height, height)
        kept.append(Screen(s.id, s.x, s.y, right - s.x, lower - s.y, s.flags))
    return kept or fitted(screens[:1], old_width, old_height, width, height)
