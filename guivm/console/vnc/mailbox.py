"""Where a console's thread leaves its news and its damage, and its owner fetches them, each when it has time."""

from __future__ import annotations

import threading
from collections.abc import Callable

from guivm.console.frame import Framebuffer, Head, Rect, SourceState
from guivm.console.rfb.damage import Damage
from guivm.console.vnc.news import News


class Mailbox:
    """``notify`` is called when it turns from empty to not empty, by whoever tells; never after :meth:`close`.

    Any thread.
    """

    def __init__(self, notify: Callable[[], None]) -> None:
        self._notify = notify
        self._lock = threading.Lock()
        self._news = News()
        self._has_news = False
        self._damage = Damage(1, 1)
        self._damage_told = False
        self._closed = False

    # --- owner's side ---------------------------------------------------------------------------------

    def take(self) -> News:
        """All news since the last time."""
        with self._lock:
            news, self._news = self._news, News()
            self._has_news = False
            return news

    def take_damage(self) -> list[Rect]:
        """Damage of the framebuffer last taken; none while a newer one waits here."""
        with self._lock:
            self._damage_told = False
            if self._news.framebuffer is not None:
                return []
            return self._damage.take()

    def close(self) -> None:
        """Nobody listens any more: what is here and what is still told is dropped."""
        with self._lock:
            self._closed = True
            self._news = News()

    # --- the thread's side ----------------------------------------------------------------------------

    def tell(self, news: News) -> None:
        with self._lock:
            self._tell(news)

    def tell_framebuffer(self, framebuffer: Framebuffer, heads: tuple[Head, ...]) -> None:
        """A new one: damage of the one before is void. ``heads``: empty where the server says nothing of them."""
        damage = Damage(framebuffer.width, framebuffer.height)
        with self._lock:
            self._damage = damage
            self._damage_told = False
            self._tell(News(framebuffer=framebuffer, heads=heads or None))

    def tell_damage(self, rects: list[Rect], state: SourceState | None) -> None:
        """Of the newest framebuffer; said once until it is fetched. ``state``: what else is to be told with it."""
        with self._lock:
            self._damage.merge(rects)
            if state is not None or not self._damage_told:
                damaged, self._damage_told = not self._damage_told, True
                self._tell(News(state=state, damaged=damaged))

    def _tell(self, news: News) -> None:
        """With the lock held."""
        if self._closed:
            return
        self._news.add(news)
        if not self._has_news:
            self._has_news = True
            self._notify()
