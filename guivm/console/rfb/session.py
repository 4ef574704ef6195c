"""The client's side of one RFB connection, without input or output of its own.

Bytes from the server go where :meth:`RfbSession.buffers` says and are announced with :meth:`RfbSession.received`;
bytes for the server come from :meth:`RfbSession.take_output`; what happened comes from
:meth:`RfbSession.take_events`. When :attr:`RfbSession.tls_wanted` is set, the transport sends what there is to send,
starts TLS and says so with :meth:`RfbSession.tls_started`; nothing is received before. Any transport can drive it, one
byte at a time if it likes. Not thread-safe.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence

from guivm.console.frame import (
    ClipboardPolicy,
    Framebuffer,
    PointerButton,
    PointerMode,
    PowerAction,
    SourceFeature,
)
from guivm.console.rfb import wire
from guivm.console.rfb.clipboard import MAX_MESSAGE_BYTES, Clipboard
from guivm.console.rfb.damage import Damage
from guivm.console.rfb.encoding_choice import LOCAL, EncodingChoice
from guivm.console.rfb.errors import RfbEndError, RfbError
from guivm.console.rfb.events import Bell, CutText, Event, Refused, Resized, SoundBegan, SoundData, SoundEnded
from guivm.console.rfb.inbox import Inbox, Steps, TlsKind, Want
from guivm.console.rfb.keycodes import qemu_key_number
from guivm.console.rfb.limits import (
    MAX_NAME_BYTES,
    MAX_SOUND_BYTES,
    MAX_TEXT_BYTES,
    RECT_PIXELS,
    WORK_PIXELS,
    check_length,
    check_size,
)
from guivm.console.rfb.outbox import Outbox
from guivm.console.rfb.security import Login, SecurityHandshake
from guivm.console.rfb.snapshot import SessionSnapshot
from guivm.console.rfb.updates import Updates
from guivm.console.rfb.wire import Screen, ServerMessage, SoundOperation

_BUFFERS_AT_ONCE = 256  # iovec entries; Linux takes 1024
_BELL = Bell()
SOUND_CHANNELS, SOUND_RATE = 2, 48_000  # and signed 16 bits, little-endian

Tap = Callable[[memoryview], None]
"""Takes the server's bytes from ServerInit on, in order, as they come; the view is valid during the call only."""


class Phase(enum.Enum):
    """Where in the conversation we are; for deadlines and for saying where a connection broke."""

    HANDSHAKE = "in the handshake"
    IDLE = "between messages"
    MESSAGE = "in the middle of a message"
    FAILED = "failed"


class RfbSession:
    """See the module. After an RfbError the session is over and must be dropped.

    ``replay``: the stream begins with ServerInit, and nobody listens: nothing is ever to be sent. ``resume``: with
    ``replay``, the stream goes on where that snapshot was made. ``pauses``: long work is interrupted, see
    :attr:`is_paused`.
    """

    def __init__(
        self,
        password: str | None = None,
        *,
        login: Login | None = None,
        choice: EncodingChoice = LOCAL,
        replay: bool = False,
        resume: SessionSnapshot | None = None,
        tap: Tap | None = None,
        pauses: bool = False,
    ) -> None:
        self.phase = Phase.HANDSHAKE
        self.tls_wanted: TlsKind | None = None
        self.security: TlsKind | None = None  # what protects the connection, once it is agreed on
        self.messages = 0  # begun so far
        self.is_paused = False  # there is work left: call received(0) before anything is received
        self._login = login or Login(password=password)
        self._choice = choice
        self._asked: list[int] = []
        self._replay = replay
        self._tap = tap
        self._tapping = False
        self._inbox = Inbox()
        self._inbox.work_limit = WORK_PIXELS if pauses else None
        self._outbox = Outbox(muted=replay)
        self._events: list[Event] = []
        self._resized_at: int | None = None  # index of the one Resized among them
        self._updates = Updates(self._inbox, self._outbox.say, self._events_append)
        self._clipboard = Clipboard(self._outbox.say)
        self._sound = False
        self._sound_wanted = False
        self._targets: list[memoryview] = []
        self._target_index = 0
        self._demand = 0
        if resume is not None:
            self._updates.restore(resume)
            self._learn_name()
        self._steps = self._run()
        self._advance()

    def _events_append(self, event: Event) -> None:
        if isinstance(event, Resized):
            # The one before is void, and keeping the framebuffers of a storm would fill the memory.
            if self._resized_at is not None:
                del self._events[self._resized_at]
            self._resized_at = len(self._events)
        self._events.append(event)

    # --- transport's side -----------------------------------------------------------------------------

    def buffers(self) -> Sequence[memoryview]:
        """Where the next bytes of the stream go, in this order; none of them is empty."""
        if self._targets:
            return self._targets[self._target_index : self._target_index + _BUFFERS_AT_ONCE]
        return (self._inbox.space(),)

    def received(self, count: int) -> None:
        """``count`` bytes were put into the buffers; 0 only while it is paused. Raises RfbError."""
        if self._tapping and count:
            self._tapped(count)
        if self._targets:
            self._filled(count)
            if self._targets:
                return
        else:
            inbox = self._inbox
            inbox.end += count
            if inbox.end - inbox.pos < self._demand:
                return
        self._advance()

    def tls_started(self) -> None:
        """The transport now encrypts. Raises RfbError."""
        assert self.tls_wanted is not None
        self.tls_wanted = None
        self._advance()

    def close(self) -> None:
        """Let go of all that is large now, and not when somebody looks for garbage. The session is over."""
        self._steps.close()
        self._targets = []
        self._events.clear()
        self._updates.close()

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
        return self._outbox.take()

    def take_events(self) -> list[Event]:
        events = self._events[:]
        self._events.clear()
        self._resized_at = None
        return events

    @property
    def damage(self) -> Damage:
        """Pixels written since somebody last took them; whole updates only when UpdateEnded was told."""
        return self._updates.damage

    def _tapped(self, count: int) -> None:
        assert self._tap is not None
        if not self._targets:
            end = self._inbox.end
            self._tap(self._inbox.view[end : end + count])
            return
        for target in self._targets[self._target_index :]:
            self._tap(target[:count])
            count -= len(target)
            if count <= 0:
                return

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
        self.is_paused = False
        self._inbox.work = 0
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
            self.is_paused = want == 0
        elif isinstance(want, TlsKind):
            self.tls_wanted = want
        else:
            self._targets = want
            self._target_index = 0

    # --- what is known --------------------------------------------------------------------------------

    @property
    def framebuffer(self) -> Framebuffer | None:
        return self._updates.framebuffer

    @property
    def name(self) -> str:
        return self._updates.name

    @property
    def screens(self) -> tuple[Screen, ...]:
        return self._updates.screens

    @property
    def pointer_mode(self) -> PointerMode:
        return self._updates.pointer_mode

    @property
    def features(self) -> SourceFeature:
        return self._updates.features

    @property
    def has_extended_keys(self) -> bool:
        return self._updates.has_extended_keys

    @property
    def has_extended_buttons(self) -> bool:
        return self._updates.has_extended_buttons

    @property
    def updates(self) -> int:
        """Updates begun so far."""
        return self._updates.updates

    @property
    def can_nudge(self) -> bool:
        """True where :meth:`nudge` is understood and of use."""
        return self._clipboard.is_extended and self._updates.is_qemu and self._updates.wanted

    def snapshot(self) -> SessionSnapshot | None:
        """All that is known, for ``resume``; None before the first picture and inside a message."""
        between = self.phase is Phase.IDLE and not self.is_paused
        return self._updates.snapshot() if between else None

    # --- user's side ----------------------------------------------------------------------------------

    def send_key(self, scancode: int, keysym: int, pressed: bool) -> None:
        """``scancode``: evdev. A key the server cannot be told about is left out."""
        number = qemu_key_number(scancode) if self.has_extended_keys else None
        if number is not None:
            self._outbox.say(wire.extended_key_event(number, keysym, pressed))
        elif keysym:
            self._outbox.say(wire.key_event(keysym, pressed))

    def send_pointer(self, x: int, y: int, buttons: PointerButton) -> None:
        """A position on the screen (clamped to it), or a movement while the pointer is relative."""
        fb = self.framebuffer
        if fb is None:
            return
        if self.pointer_mode is PointerMode.RELATIVE:
            x = min(max(x + wire.RELATIVE_ORIGIN, 0), 0xFFFF)
            y = min(max(y + wire.RELATIVE_ORIGIN, 0), 0xFFFF)
        else:
            x = min(max(x, 0), fb.width - 1)
            y = min(max(y, 0), fb.height - 1)
        if self.has_extended_buttons and buttons > 0x7F:
            self._outbox.say(wire.extended_pointer_event(x, y, buttons))
        else:
            self._outbox.say(wire.pointer_event(x, y, buttons))

    def set_updates_wanted(self, wanted: bool) -> None:
        """Stop asking for updates, or ask again for all that changed meanwhile."""
        self._updates.want(wanted)

    def request_size(self, width: int, height: int) -> None:
        """Pixels. The answer is a Resized, a Refused, or none at all."""
        self._updates.request_size(width, height)

    def send_power(self, action: PowerAction) -> None:
        if SourceFeature.POWER in self.features:
            self._outbox.say(wire.power(action.value))

    def set_clipboard_policy(self, policy: ClipboardPolicy) -> None:
        self._clipboard.set_policy(policy)

    def send_clipboard(self, text: str) -> None:
        if not self._clipboard.offer(text):
            self._events.append(Refused("The text is too long for the guest's clipboard (1 MiB are possible)."))

    def set_sound(self, on: bool) -> None:
        """Ask for the guest's sound as soon as the server has any, or for no more of it."""
        self._sound_wanted = on
        self._switch_sound()

    def _switch_sound(self) -> None:
        if SourceFeature.SOUND in self.features and self._sound_wanted is not self._sound:
            self._sound = self._sound_wanted
            if self._sound:
                self._outbox.say(wire.sound_format(SOUND_CHANNELS, SOUND_RATE))
            self._outbox.say(wire.sound_switch(self._sound))

    def set_choice(self, choice: EncodingChoice) -> None:
        """Ask for other encodings from now on."""
        self._choice = choice
        if self._asked:  # else: with the first list
            self._ask_for_encodings()

    def nudge(self) -> None:
        """Say something harmless: QEMU, which looks ever less often at a screen that stands still, looks again.

        ``ui/vnc.c`` goes back to its fastest pace at every message of a type above 3; the clipboard's capabilities
        change nothing there, and say no more than the clipboard policy allows.
        """
        if self.can_nudge:
            self._outbox.say(self._clipboard.capabilities())

    # --- the conversation -----------------------------------------------------------------------------

    def _run(self) -> Steps[None]:
        inbox = self._inbox
        updates = self._updates
        if not self._replay:
            yield from self._handshake()
        if updates.framebuffer is None:  # else: resumed
            self._start_tap()
            yield from self._server_init()
        while True:
            self.phase = Phase.IDLE
            inbox.work += RECT_PIXELS
            if inbox.work_limit is not None and inbox.work > inbox.work_limit:
                yield 0
            start = yield from inbox.take(1)
            self.phase = Phase.MESSAGE
            self.messages += 1
            kind = inbox.data[start]
            if kind == ServerMessage.UPDATE:
                self._clipboard.settle()
                yield from updates.read()
                if self._sound_wanted is not self._sound:
                    self._switch_sound()
            elif kind == ServerMessage.BELL:
                if not self._events or self._events[-1] != _BELL:  # a storm of them is one
                    self._events.append(_BELL)
            elif kind == ServerMessage.CUT_TEXT:
                yield from self._cut_text()
            elif kind == ServerMessage.COLOUR_MAP:
                yield from self._colour_map()
            elif kind == ServerMessage.XVP:
                yield from self._xvp()
            elif kind == ServerMessage.QEMU:
                yield from self._qemu()
            else:
                raise RfbError(f"a message of unknown type {kind}")

    def _handshake(self) -> Steps[None]:
        minor = wire.parse_version((yield from self._inbox.take_bytes(12)))
        self._outbox.say(wire.version_reply(minor))
        security = SecurityHandshake(self._inbox, self._outbox.say, minor, self._login)
        yield from security.run()
        self.security = security.tls
        self._outbox.say(b"\1")  # ClientInit: share the display with others

    def _start_tap(self) -> None:
        if self._tap is not None:
            self._tapping = True
            inbox = self._inbox
            if inbox.end > inbox.pos:
                self._tap(inbox.view[inbox.pos : inbox.end])

    def _server_init(self) -> Steps[None]:
        inbox = self._inbox
        start = yield from inbox.take(wire.SERVER_INIT.size)
        width, height, bpp, depth, _big, true_colour, *rest, name_length = wire.SERVER_INIT.unpack_from(
            inbox.data, start
        )
        check_size(width, height)
        wire.check_pixel_format(bpp, depth, true_colour, rest[:3], rest[3:])
        check_length(name_length, MAX_NAME_BYTES, "a name")
        self._updates.set_name((yield from inbox.take_bytes(name_length)))
        self._learn_name()
        self._outbox.say(wire.set_pixel_format())
        self._ask_for_encodings()
        self._updates.new_framebuffer(width, height)

    def _learn_name(self) -> None:
        self._clipboard.is_verbatim = self._updates.is_qemu

    def _ask_for_encodings(self) -> None:
        wanted = self._choice.encodings(self._updates.available)
        if wanted != self._asked:
            self._asked = wanted
            self._outbox.say(wire.set_encodings(wanted))

    # --- messages -------------------------------------------------------------------------------------

    def _colour_map(self) -> Steps[None]:
        """Not meant for true colour; read over, but not believed."""
        start = yield from self._inbox.take(wire.COLOUR_MAP.size)
        first, count = wire.COLOUR_MAP.unpack_from(self._inbox.data, start)
        if first + count > 256:
            raise RfbError(f"{count} colours from number {first} in a table of 256")
        yield from self._inbox.take(count * 6)

    def _cut_text(self) -> Steps[None]:
        inbox = self._inbox
        start = yield from inbox.take(wire.CUT_TEXT.size)
        (length,) = wire.CUT_TEXT.unpack_from(inbox.data, start)
        if length >= 0:
            check_length(length, MAX_TEXT_BYTES, "a clipboard text")
            text = self._clipboard.plain((yield from inbox.take_bytes(length)))
        else:
            if not 4 <= -length <= MAX_MESSAGE_BYTES:
                raise RfbError(f"a clipboard text of {length} bytes (4 to {MAX_MESSAGE_BYTES}, as a message)")
            message = yield from inbox.take_bytes(-length)
            (flags,) = wire.U32.unpack_from(message)
            text = self._clipboard.extended(flags, message[4:])
            if self._clipboard.is_extended:
                self._updates.gain(SourceFeature.CLIPBOARD)
        if text is not None:
            self._events.append(CutText(text))

    def _xvp(self) -> Steps[None]:
        start = yield from self._inbox.take(wire.XVP.size)
        version, code = wire.XVP.unpack_from(self._inbox.data, start)
        if code == 0:
            self._events.append(Refused("The display's server did not do what was asked with the power."))
        elif code == 1 and version >= 1:
            self._updates.gain(SourceFeature.POWER)

    def _qemu(self) -> Steps[None]:
        inbox = self._inbox
        start = yield from inbox.take(1)
        kind = inbox.data[start]
        if kind != 1:
            raise RfbError(f"a message of QEMU's of unknown type {kind}")
        start = yield from inbox.take(2)
        (operation,) = wire.U16.unpack_from(inbox.data, start)
        if operation == SoundOperation.BEGIN:
            if self._sound:  # else nobody wants a player
                self._events.append(SoundBegan())
        elif operation == SoundOperation.END:
            self._events.append(SoundEnded())
        elif operation == SoundOperation.DATA:
            start = yield from inbox.take(4)
            (length,) = wire.U32.unpack_from(inbox.data, start)
            check_length(length, MAX_SOUND_BYTES, "a piece of sound")
            samples = yield from inbox.take_bytes(length)
            if self._sound:
                self._events.append(SoundData(samples))
        else:
            raise RfbError(f"a sound message of unknown kind {operation}")
