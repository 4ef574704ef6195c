"""Worker threads of one host. No Qt, no libvirt.

Each host has pools of its own, so that a host that hangs keeps nobody waiting but itself.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guivm.engine.requests import Lane

Task = Callable[[], object]  # the answer is not looked at

_IDLE_S = 10.0
_READ = "read"
_UNASKED = "unasked"


class KeyedPool:
    """Daemon threads on demand. Tasks of one key run one after another, in the order given. Thread-safe.

    Tasks must not raise. A thread that finds nothing to do for ``idle_s`` seconds ends.
    """

    def __init__(self, name: str, limit: int, idle_s: float = _IDLE_S) -> None:
        self._name = name
        self._limit = limit
        self._idle_s = idle_s
        self._condition = threading.Condition()
        self._ready: deque[Hashable] = deque()
        self._waiting: dict[Hashable, deque[Task]] = {}  # a key is here from its first task to the end of its last
        self._threads: set[threading.Thread] = set()
        self._idle = 0
        self._count = 0
        self._closed = False

    def submit(self, key: Hashable, task: Task) -> bool:
        """Queue ``task``; None as key: in no order with any other. False when the pool is closed."""
        with self._condition:
            if self._closed:
                return False
            queue_key: Hashable = object() if key is None else key
            tasks = self._waiting.get(queue_key)
            if tasks is not None:
                tasks.append(task)
                return True
            self._waiting[queue_key] = deque((task,))
            self._ready.append(queue_key)
            if self._idle >= len(self._ready):
                self._condition.notify()
            elif len(self._threads) < self._limit:
                self._count += 1
                thread = threading.Thread(target=self._run, name=f"{self._name}-{self._count}", daemon=True)
                self._threads.add(thread)
                thread.start()
        return True

    def close(self) -> None:
        """Take no more; drop what has not begun; threads end after their task. Does not wait."""
        with self._condition:
            self._closed = True
            self._ready.clear()
            for tasks in self._waiting.values():
                tasks.clear()
            self._condition.notify_all()

    def join(self, deadline_s: float) -> bool:
        """After :meth:`close`: wait until ``deadline_s`` (monotonic seconds); False when a thread is left behind."""
        with self._condition:
            threads = tuple(self._threads)
        for thread in threads:
            thread.join(max(0.0, deadline_s - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    @property
    def is_alive(self) -> bool:
        """True while a thread of the pool is at work or waits for some."""
        with self._condition:
            return bool(self._threads)

    def _run(self) -> None:
        try:
            while (key := self._next()) is not None:
                self._work_off(key)
        finally:
            with self._condition:
                self._threads.discard(threading.current_thread())

    def _next(self) -> Hashable | None:
        with self._condition:
            deadline = time.monotonic() + self._idle_s
            while not self._ready:
                left = deadline - time.monotonic()
                if self._closed or left <= 0:
                    # Under the lock with the decision: a task submitted now must not count on this thread.
                    self._threads.discard(threading.current_thread())
                    return None
                self._idle += 1
                self._condition.wait(left)
                self._idle -= 1
            return self._ready.popleft()

    def _work_off(self, key: Hashable) -> None:
        """One task of ``key``; the key goes to the end of the line when it has more."""
        with self._condition:
            tasks = self._waiting[key]
            task = tasks.popleft() if tasks else None
        try:
            if task is not None:
                task()
        finally:
            with self._condition:
                if not tasks:
                    del self._waiting[key]
                elif not self._closed:
                    self._ready.append(key)
                    self._condition.notify()


class HostQueues:
    """The three lanes of a host (see :class:`guivm.engine.requests.Lane`), and one for what nobody asked for."""

    def __init__(self, name: str) -> None:
        # By the values of Lane: requests are not imported before the first of them.
        self._pools = {
            "vm": KeyedPool(f"{name}-vm", 8),
            _READ: KeyedPool(f"{name}-read", 4),
            "urgent": KeyedPool(f"{name}-urgent", 4),
            _UNASKED: KeyedPool(f"{name}-unasked", 8),
        }

    def submit(self, lane: Lane, key: Hashable, task: Task) -> bool:
        """Queue a task; reads have no order, whatever their key. False when closed."""
        return self._pools[lane.value].submit(None if lane.value == _READ else key, task)

    def submit_unasked(self, key: Hashable, task: Task) -> bool:
        """Queue a task that may wait for a guest for long, and that no request waits behind. False when closed."""
        return self._pools[_UNASKED].submit(key, task)

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()

    def join(self, deadline_s: float) -> bool:
        left_behind = [pool for pool in self._pools.values() if not pool.join(deadline_s)]
        return not left_behind

    @property
    def is_alive(self) -> bool:
        """True while a thread of any lane is left."""
        return any(pool.is_alive for pool in self._pools.values())
