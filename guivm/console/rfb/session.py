"""The client's side of one RFB connection, without input or output of its own.

Bytes from the server go where :meth:`RfbSession.buffers` says and are announced with :meth:`RfbSession.received`;
bytes for the server come from :meth:`RfbSession.take_output`; what happened comes from
:meth:`RfbSession.take_events`. Any transport can drive it, one byte at a time if it likes. Not thread-safe.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

from guivm.console.frame import Framebuffer, KeyboardLeds, PointerButton, PointerMode
from guivm.console.rfb import wire
from guivm.console.rfb.auth import CHALLENGE_BYTES, vnc_response
from guivm.console.rfb.damage import Damage
from guivm.console.rfb.decoders import Decoder
from guivm.console.rfb.decoders.cursor import alpha_cursor, masked_cursor
from guivm.console.rfb.decoders.table import make_decoders
from guivm.console.rfb.errors import RfbAuthError, RfbEndError, RfbError
from guivm.console.rfb.events import (
    Bell,
    CursorChanged,
    CutText,
    Event,
    LedsChanged,
    NameChanged,
    PointerModeChanged,
    Resized,
    UpdateEnded,
)
from guivm.console.rfb.inbox import Inbox, Steps, Want
from guivm.console.rfb.keycodes import qemu_key_number
from guivm.console.rfb.limits import MAX_NAME_BYTES, MAX_TEXT_BYTES, check_length, check_rect, check_size
from guivm.console.rfb.wire import Encoding, Screen, Security, ServerMessage
from guivm.text import clean_line

_ENCODINGS = (
    Encoding.COPY_RECT,
    Encoding.RAW,
    Encoding.CURSOR_WITH_ALPHA,
    Encoding.CURSOR,
    Encoding.EXTENDED_DESKTOP_SIZE,
    Encoding.DESKTOP_SIZE,
    Encoding.LAST_RECT,
    Encoding.POINTER_TYPE,
    Encoding.EXTENDED_KEY,
    Encoding.LED_STATE,
    Encoding.DESKTOP_NAME,
    Encoding.EXTENDED_MOUSE_BUTTONS,
)
_BUFFERS_AT_ONCE = 256  # iovec entries; Linux takes 1024
_NO_ANSWER_REASON = "The server gave no reason."


class Phase(enum.Enum):
    """Where in the conversation we are; for deadlines and for saying where a connection broke."""

    HANDSHAKE = "handshake"
    IDLE = "between messages"
    MESSAGE = "in the middle of a message"
    FAILED = "failed"


class RfbSession:
    """See the module. After an RfbError the session is over and must be dropped."""

    def __init__(self, password: str | None = None) -> None:
        self.phase = Phase.HANDSHAKE
        self.framebuffer: Framebuffer | None = None
        self.name = ""
        self.screens: tuple[Screen, ...] = ()
        self.pointer_mode = PointerMode.ABSOLUTE
        self.has_extended_keys = False
        self.has_extended_buttons = False
        self.messages = 0  # begun so far
        self._password = password
        self._inbox = Inbox()
        self._output: list[bytes] = []
        self._events: list[Event] = []
        self._damage = Damage(1, 1)
        self._updates_wanted = True
        self._request_pending = False
        self._decoders: dict[int, Decoder] = make_decoders()
        self._targets: list[memoryview] = []
        self._target_index = 0
        self._demand = 0
        self._steps = self._run()
        self._advance()

    # --- transport's side -----------------------------------------------------------------------------

    def buffers(self) -> Sequence[memoryview]:
        """Where the next bytes of the stream go, in this order; none of them is empty."""
        if self._targets:
            return self._targets[self._target_index : self._target_index + _BUFFERS_AT_ONCE]
        return (self._inbox.space(),)

    def received(self, count: int) -> None:
        """``count`` (> 0) bytes were put into the buffers. Raises RfbError."""
        if self._targets:
            self._filled(count)
            if self._targets:
                return
        else:
            self._inbox.end += count
            if self._inbox.end - self._inbox.pos < self._demand:
                return
        self._advance()

    def ended(self) -> RfbError:
        """The server closed the connection: the error that says so."""
        if self.phase is Phase.IDLE:
            return RfbEndError(
                "the connection was closed",
                summary="The display was closed by its server.",
                advice="It comes back when the virtual machine runs again.",
            )
        return RfbEndError(
            f"the connection was closed ({self.phase.value})",
            summary=f"The display was closed by its server, {self.phase.value}.",
            advice="Reconnect to try again.",
        )

    def take_output(self) -> bytes:
        """Bytes to send, in order, once."""
        if not self._output:
            return b""
        data = self._output[0] if len(self._output) == 1 else b"".join(self._output)
        self._output.clear()
        return data

    def take_events(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    @property
    def damage(self) -> Damage:
        """Pixels written since somebody last took them; whole updates only when UpdateEnded was told."""
        return self._damage

    def _filled(self, count: int) -> None:
        index = self._target_index
        targets = self._targets
        while count:
            size = len(targets[index])
            if count < size:
                targets[index] = targets[index][count:]
                break
            count -= size
            index += 1
        self._target_index = index
        if index == len(targets):
            self._targets = []

    def _advance(self) -> None:
        try:
            want: Want = next(self._steps)
        except RfbError:
            self.phase = Phase.FAILED
            raise
        except MemoryError:
            self.phase = Phase.FAILED
            raise RfbError("more pixels than there is memory for") from None
        if isinstance(want, int):
            self._demand = want
        else:
            self._targets = want
            self._target_index = 0

    # --- user's side ----------------------------------------------------------------------------------

    def send_key(self, scancode: int, keysym: int, pressed: bool) -> None:
        """``scancode``: evdev. A key the server cannot be told about is left out."""
        number = qemu_key_number(scancode) if self.has_extended_keys else None
        if number is not None:
            self._output.append(wire.extended_key_event(number, keysym, pressed))
        elif keysym:
            self._output.append(wire.key_event(keysym, pressed))

    def send_pointer(self, x: int, y: int, buttons: PointerButton) -> None:
        """A position on the screen (clamped to it), or a movement while the pointer is relative."""
        if self.framebuffer is None:
            return
        if self.pointer_mode is PointerMode.RELATIVE:
            x = min(max(x + wire.RELATIVE_ORIGIN, 0), 0xFFFF)
            y = min(max(y + wire.RELATIVE_ORIGIN, 0), 0xFFFF)
        else:
            x = min(max(x, 0), self.framebuffer.width - 1)
            y = min(max(y, 0), self.framebuffer.height - 1)
        if self.has_extended_buttons and buttons > 0x7F:
            self._output.append(wire.extended_pointer_event(x, y, buttons))
        else:
            self._output.append(wire.pointer_event(x, y, buttons))

    def set_updates_wanted(self, wanted: bool) -> None:
        """Stop asking for updates, or ask again for all that changed meanwhile."""
        self._updates_wanted = wanted
        if wanted and not self._request_pending:
            self._request(incremental=True)

    def _request(self, *, incremental: bool) -> None:
        if self.framebuffer is not None:
            fb = self.framebuffer
            self._output.append(wire.update_request(fb.width, fb.height, incremental=incremental))
            self._request_pending = True

    # --- the conversation -----------------------------------------------------------------------------

    def _run(self) -> Steps[None]:
        yield from self._handshake()
        while True:
            self.phase = Phase.IDLE
            start = yield from self._inbox.take(1)
            self.phase = Phase.MESSAGE
            self.messages += 1
            kind = self._inbox.data[start]
            if kind == ServerMessage.UPDATE:
                yield from self._update()
            elif kind == ServerMessage.BELL:
                self._events.append(Bell())
            elif kind == ServerMessage.CUT_TEXT:
                yield from self._cut_text()
            elif kind == ServerMessage.COLOUR_MAP:
                yield from self._colour_map()
            else:
                raise RfbError(f"a message of unknown type {kind}")

    def _handshake(self) -> Steps[None]:
        inbox = self._inbox
        minor = wire.parse_version((yield from inbox.take_bytes(12)))
        self._output.append(wire.version_reply(minor))
        security = yield from self._agree_on_security(minor)
        if security == Security.VNC:
            challenge = yield from inbox.take_bytes(CHALLENGE_BYTES)
            self._output.append(vnc_response(self._password or "", challenge))
        if security == Security.VNC or minor >= 8:
            yield from self._security_result(minor)
        self._output.append(b"\1")  # ClientInit: share the display with others
        start = yield from inbox.take(wire.SERVER_INIT.size)
        width, height, bpp, depth, _big, true_colour, *rest, name_length = wire.SERVER_INIT.unpack_from(
            inbox.data, start
        )
        check_size(width, height)
        wire.check_pixel_format(bpp, depth, true_colour, rest[:3], rest[3:])
        check_length(name_length, MAX_NAME_BYTES, "a name")
        self._set_name((yield from inbox.take_bytes(name_length)))
        self._output.append(wire.set_pixel_format())
        self._output.append(wire.set_encodings(_ENCODINGS))
        self._new_framebuffer(width, height)

    def _agree_on_security(self, minor: int) -> Steps[int]:
        inbox = self._inbox
        if minor == 3:
            start = yield from inbox.take(4)
            (kind,) = wire.U32.unpack_from(inbox.data, start)
            offered = [kind] if kind else []
        else:
            start = yield from inbox.take(1)
            offered = list((yield from inbox.take_bytes(inbox.data[start])))
        if not offered:
            reason = yield from self._reason()
            raise RfbAuthError(reason, summary="The display's server refused the connection.", advice=reason)
        if Security.NONE in offered:
            chosen = Security.NONE
        elif Security.VNC in offered:
            if self._password is None:
                raise RfbAuthError(
                    "a password is needed",
                    summary="The display asks for a password.",
                    advice="None is known for it.",
                )
            chosen = Security.VNC
        else:
            kinds = ", ".join(str(kind) for kind in offered[:16])
            raise RfbAuthError(
                f"security types {kinds}",
                summary="The display asks for a way to log in that is not known here.",
                advice=f"It offers the security types {kinds}; known are none (1) and VNC password (2).",
            )
        if minor >= 7:
            self._output.append(bytes([chosen]))
        return chosen

    def _security_result(self, minor: int) -> Steps[None]:
        start = yield from self._inbox.take(4)
        (result,) = wire.U32.unpack_from(self._inbox.data, start)
        if result == 0:
            return
        reason = (yield from self._reason()) if minor >= 8 else _NO_ANSWER_REASON
        raise RfbAuthError(reason, summary="The display's server refused the log-in.", advice=reason)

    def _reason(self) -> Steps[str]:
        start = yield from self._inbox.take(4)
        (length,) = wire.U32.unpack_from(self._inbox.data, start)
        check_length(length, MAX_NAME_BYTES, "a reason")
        data = yield from self._inbox.take_bytes(length)
        return clean_line(data.decode("utf-8", "replace"), 300) or _NO_ANSWER_REASON

    def _colour_map(self) -> Steps[None]:
        """Not meant for true colour; read over, but not believed."""
        start = yield from self._inbox.take(wire.COLOUR_MAP.size)
        first, count = wire.COLOUR_MAP.unpack_from(self._inbox.data, start)
        if first + count > 256:
            raise RfbError(f"{count} colours from number {first} in a table of 256")
        yield from self._inbox.take(count * 6)

    def _cut_text(self) -> Steps[None]:
        start = yield from self._inbox.take(wire.CUT_TEXT.size)
        (length,) = wire.CUT_TEXT.unpack_from(self._inbox.data, start)
        check_length(length, MAX_TEXT_BYTES, "a clipboard text")
        text = yield from self._inbox.take_bytes(length)
        self._events.append(CutText(text.decode("latin-1")))

    # --- updates --------------------------------------------------------------------------------------

    def _update(self) -> Steps[None]:
        inbox = self._inbox
        start = yield from inbox.take(wire.UPDATE.size)
        (count,) = wire.UPDATE.unpack_from(inbox.data, start)
        # Asked for now and not after decoding: QEMU prepares the next update while we take this one.
        self._request_pending = False
        if self._updates_wanted:
            self._request(incremental=True)
        decoders = self._decoders
        unpack = wire.RECT.unpack_from
        size = wire.RECT.size
        pixels = False
        for _ in range(count):
            if inbox.end - inbox.pos < size:
                yield size
            x, y, width, height, encoding = unpack(inbox.data, inbox.pos)
            inbox.pos += size
            decoder = decoders.get(encoding)
            if decoder is not None:
                fb = self.framebuffer
                assert fb is not None
                if x + width > fb.width or y + height > fb.height:
                    check_rect(x, y, width, height, fb.width, fb.height, "a rectangle")
                yield from decoder.decode(inbox, fb, x, y, width, height)
                if width and height:
                    self._damage.add(x, y, width, height)
                    pixels = True
            elif encoding == Encoding.LAST_RECT:
                break
            else:
                yield from self._pseudo(encoding, x, y, width, height)
        self._events.append(UpdateEnded(pixels))

    def _pseudo(self, encoding: int, x: int, y: int, width: int, height: int) -> Steps[None]:
        inbox = self._inbox
        if encoding == Encoding.CURSOR:
            shape = yield from masked_cursor(inbox, x, y, width, height)
            self._events.append(CursorChanged(shape))
        elif encoding == Encoding.CURSOR_WITH_ALPHA:
            is_qemu = self.name.startswith("QEMU")  # "QEMU", or "QEMU (name)"
            shape = yield from alpha_cursor(inbox, x, y, width, height, is_qemu=is_qemu)
            self._events.append(CursorChanged(shape))
        elif encoding == Encoding.DESKTOP_SIZE:
            self._resize(width, height)
        elif encoding == Encoding.EXTENDED_DESKTOP_SIZE:
            yield from self._extended_size(x, y, width, height)
        elif encoding == Encoding.POINTER_TYPE:
            self.pointer_mode = PointerMode.ABSOLUTE if x else PointerMode.RELATIVE
            self._events.append(PointerModeChanged(self.pointer_mode))
        elif encoding == Encoding.EXTENDED_KEY:
            self.has_extended_keys = True
        elif encoding == Encoding.EXTENDED_MOUSE_BUTTONS:
            self.has_extended_buttons = True
        elif encoding == Encoding.LED_STATE:
            start = yield from inbox.take(1)
            self._events.append(LedsChanged(KeyboardLeds(inbox.data[start] & 7)))
        elif encoding == Encoding.DESKTOP_NAME:
            start = yield from inbox.take(4)
            (length,) = wire.U32.unpack_from(inbox.data, start)
            check_length(length, MAX_NAME_BYTES, "a name")
            self._set_name((yield from inbox.take_bytes(length)))
        else:
            raise RfbError(f"a rectangle in encoding {encoding}, which we did not ask for")

    def _extended_size(self, reason: int, status: int, width: int, height: int) -> Steps[None]:
        """``reason`` 1 is the answer to our own SetDesktopSize, ``status`` other than 0 then a refusal."""
        start = yield from self._inbox.take(4)
        count = self._inbox.data[start]
        data = yield from self._inbox.take_bytes(count * wire.SCREEN.size)
        if reason == 1 and status != 0:
            return
        self.screens = tuple(Screen(*fields) for fields in wire.SCREEN.iter_unpack(data))
        self._resize(width, height)

    def _resize(self, width: int, height: int) -> None:
        fb = self.framebuffer
        # QEMU answers every full request with the size it has: asking again then would never end.
        if fb is None or (width, height) != (fb.width, fb.height):
            check_size(width, height)
            self._new_framebuffer(width, height)

    def _new_framebuffer(self, width: int, height: int) -> None:
        self.framebuffer = Framebuffer(width, height)
        self._damage = Damage(width, height)
        self._events.append(Resized(self.framebuffer))
        self._request(incremental=False)

    def _set_name(self, data: bytes) -> None:
        self.name = clean_line(data.decode("utf-8", "replace"))
        self._events.append(NameChanged(self.name))
