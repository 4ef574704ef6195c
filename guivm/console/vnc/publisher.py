"""From the session to the owner: what happened becomes news in the mailbox. On the console's thread."""

from __future__ import annotations

import time

from guivm.console.frame import SourceState
from guivm.console.rfb.events import (
    Bell,
    CursorChanged,
    CutText,
    FeaturesChanged,
    HeadsChanged,
    LedsChanged,
    NameChanged,
    PointerModeChanged,
    Refused,
    Resized,
    SoundBegan,
    SoundData,
    SoundEnded,
    UpdateEnded,
)
from guivm.console.rfb.session import SOUND_CHANNELS, SOUND_RATE, RfbSession
from guivm.console.vnc.audio import GuestSound
from guivm.console.vnc.mailbox import Mailbox
from guivm.console.vnc.news import News

_BELL_INTERVAL_S = 0.1  # nobody needs to hear more
_STALE_DAMAGE_S = 0.1  # an update that takes longer than this is shown in parts


class Publisher:
    """Shows whole updates where it can, and plays the guest's sound."""

    def __init__(self, session: RfbSession, mailbox: Mailbox) -> None:
        self.has_picture = False  # and CONNECTED was told with it
        self._session = session
        self._mailbox = mailbox
        self._sound = GuestSound(SOUND_CHANNELS, SOUND_RATE)
        self._next_bell = 0.0
        self._update_since = 0.0  # there is damage that was not told

    def close(self) -> None:
        """End the sound."""
        self._sound.close()

    def publish(self, *, ended: bool) -> None:
        """Move what the session has to tell into the mailbox. ``ended``: no more will come."""
        session, tell = self._session, self._mailbox.tell
        complete = False
        for event in session.take_events():
            match event:
                case UpdateEnded(pixels=pixels):
                    complete = complete or pixels
                    self._update_since = 0.0
                case Resized(framebuffer=framebuffer, heads=heads):
                    complete = False
                    self._mailbox.tell_framebuffer(framebuffer, heads)
                case CursorChanged(cursor=cursor):
                    tell(News(cursor=(cursor,)))
                case PointerModeChanged(mode=mode):
                    tell(News(pointer_mode=mode))
                case LedsChanged(leds=leds):
                    tell(News(leds=leds))
                case NameChanged(name=name):
                    tell(News(name=name))
                case Bell():
                    if (now := time.monotonic()) >= self._next_bell:
                        self._next_bell = now + _BELL_INTERVAL_S
                        tell(News(bell=True))
                case CutText(text=text):
                    tell(News(clipboard=text))
                case HeadsChanged(heads=heads):
                    tell(News(heads=heads))
                case FeaturesChanged(features=features):
                    tell(News(features=features))
                case Refused(reason=reason):
                    tell(News(refused=reason))
                case SoundBegan() | SoundData() | SoundEnded():
                    refusal = self._sound.hear(event)
                    if refusal is not None:
                        session.set_sound(False)
                        tell(News(refused=refusal))
        if not session.damage:
            return
        now = time.monotonic()
        if not self._update_since:
            self._update_since = now
        if complete or ended or now - self._update_since > _STALE_DAMAGE_S:
            self._publish_damage()

    def _publish_damage(self) -> None:
        self._update_since = 0.0
        state = None if self.has_picture else SourceState.CONNECTED
        self.has_picture = True
        self._mailbox.tell_damage(self._session.damage.take(), state)
