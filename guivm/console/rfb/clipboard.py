"""The clipboard of one session: the extended clipboard (rfbproto, "Extended Clipboard") and plain cut text.

QEMU (``ui/vnc-clipboard.c``) passes text between its clients and the guest's agent as it is: it wants neither CR LF
nor a NUL at the end, and a zlib stream that is finished. Others send streams that are not (only flushed).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable

from guivm.console.frame import ClipboardPolicy
from guivm.console.rfb import wire
from guivm.console.rfb.errors import RfbError
from guivm.console.rfb.limits import MAX_TEXT_BYTES, check_length
from guivm.console.rfb.wire import Clip

MAX_MESSAGE_BYTES = MAX_TEXT_BYTES + 4096  # text that does not shrink grows a little
_KNOWN = int(Clip.TEXT | Clip.CAPS | Clip.REQUEST | Clip.PEEK | Clip.NOTIFY | Clip.PROVIDE)
_LINE_ENDS = re.compile("\r\n?")
_PIECE = 32 << 10  # characters
_CONTROLS = {code: None for code in (*range(32), *range(127, 160), *range(0xD800, 0xE000)) if code not in (9, 10)}


class Clipboard:
    """Says to the server what the policy allows, and nothing else; lets in what the policy allows."""

    def __init__(self, say: Callable[[bytes], None]) -> None:
        self.is_extended = False  # the server has told its capabilities
        self.is_verbatim = False  # it is QEMU: text as it is
        self._say = say
        self._policy = ClipboardPolicy.OFF
        self._server = Clip(0)
        self._text: str | None = None  # what the desktop offers
        self._announced = False
        self._requested = False
        self._available = False  # the guest has text, as far as we were told
        self._settled = False

    # --- our side -------------------------------------------------------------------------------------

    def capabilities(self) -> bytes:
        """What we take and give under the policy; under OFF: that we know the extension, and no format at all."""
        flags = Clip.CAPS
        if self._policy.from_guest:
            flags |= Clip.NOTIFY | Clip.PROVIDE
        if self._policy.to_guest:
            flags |= Clip.REQUEST | Clip.PEEK
        if self._policy is ClipboardPolicy.OFF:
            return wire.extended_cut_text(flags)
        # 0: text is never to be sent unasked for, only announced.
        return wire.extended_cut_text(flags | Clip.TEXT, wire.U32.pack(0))

    def set_policy(self, policy: ClipboardPolicy) -> None:
        before, self._policy = self._policy, policy
        if not policy.from_guest:
            self._requested = False
        if not policy.to_guest:
            self._text = None
        if before is policy or not self.is_extended:
            return
        if self._announced and not policy.to_guest:
            self._announced = False
            self._say(wire.extended_cut_text(Clip.NOTIFY))  # there is nothing to be had from us any more
        self._say(self.capabilities())
        if policy.from_guest and not before.from_guest:
            if self._available:
                self._request()
            elif Clip.PEEK in self._server:
                self._say(wire.extended_cut_text(Clip.PEEK))

    def offer(self, text: str) -> bool:
        """The desktop has this text now. False: it is too long to be passed on."""
        if not self._policy.to_guest:
            return True
        if len(text) > MAX_TEXT_BYTES or len(self._encoded(text)) > MAX_TEXT_BYTES - 64:
            return False
        self._text = text
        if self._settled:
            self._announce()
        return True

    def settle(self) -> None:
        """The server has had its chance to name its capabilities: what waits for them is said now."""
        if not self._settled:
            self._settled = True
            if self._text is not None:
                self._announce()

    def _announce(self) -> None:
        if self.is_extended:
            self._announced = True
            self._available = False
            self._say(wire.extended_cut_text(Clip.NOTIFY | Clip.TEXT))
        elif self._text is not None:
            self._say(wire.cut_text(_LINE_ENDS.sub("\n", self._text).encode("latin-1", "replace")))
            self._text = None

    def _request(self) -> None:
        self._requested = True
        self._say(wire.extended_cut_text(Clip.REQUEST | Clip.TEXT))

    def _encoded(self, text: str) -> bytes:
        lines = _LINE_ENDS.sub("\n", text)
        if self.is_verbatim:
            return lines.encode("utf-8", "replace")
        return lines.replace("\n", "\r\n").encode("utf-8", "replace") + b"\0"

    # --- the server's side ----------------------------------------------------------------------------

    def plain(self, data: bytes) -> str | None:
        """The server's cut text. Answers what of it is to be told."""
        return _clean(data.decode("latin-1")) if self._policy.from_guest else None

    def extended(self, flags_word: int, payload: bytes) -> str | None:
        """A message of the extension, its flags taken off. Answers text that is to be told. Raises RfbError."""
        flags = Clip(flags_word & _KNOWN)
        if Clip.CAPS in flags:
            self._learn(flags)
        elif Clip.PROVIDE in flags:
            if self._requested and Clip.TEXT in flags:
                self._requested = False
                return _clean(_inflated(payload).decode("utf-8", "replace"))
        elif Clip.NOTIFY in flags:
            self._available = Clip.TEXT in flags
            if self._available and self._policy.from_guest:
                self._request()
        elif Clip.PEEK in flags:
            if self._policy.to_guest:
                self._announced = self._text is not None
                self._say(wire.extended_cut_text(Clip.NOTIFY | (Clip.TEXT if self._announced else Clip(0))))
        elif Clip.REQUEST in flags and Clip.TEXT in flags and self._policy.to_guest and self._text is not None:
            data = self._encoded(self._text)
            packed = zlib.compress(wire.U32.pack(len(data)) + data)
            self._say(wire.extended_cut_text(Clip.PROVIDE | Clip.TEXT, packed))
        return None

    def _learn(self, flags: Clip) -> None:
        first = not self.is_extended
        self.is_extended = True
        self._server = flags
        if first:
            self._say(self.capabilities())
            if self._policy.from_guest and Clip.PEEK in flags:
                self._say(wire.extended_cut_text(Clip.PEEK))


def _inflated(payload: bytes) -> bytes:
    """The first of the formats provided: its length, then its bytes."""
    try:
        data = zlib.decompressobj().decompress(payload, 4 + MAX_TEXT_BYTES + 1)
    except zlib.error as error:
        raise RfbError(f"a clipboard text that cannot be unpacked ({error})") from None
    if len(data) < 4:
        raise RfbError("a clipboard text without its length")
    (length,) = wire.U32.unpack_from(data)
    check_length(length, MAX_TEXT_BYTES, "a clipboard text")
    if len(data) - 4 < length:
        raise RfbError(f"a clipboard text of {length} bytes that ends after {len(data) - 4}")
    return data[4 : 4 + length]


def _clean(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    # In pieces, between which other threads have their turn.
    pieces = (text[start : start + _PIECE] for start in range(0, len(text), _PIECE))
    return "".join([piece.translate(_CONTROLS) for piece in pieces])
