"""What ends together with a QObject, however that ends."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject


def on_destroyed(owner: QObject, act: Callable[[], object]) -> None:
    """Call ``act`` on the GUI thread when ``owner`` is destroyed. ``act`` is kept until then, and must not hold it.

    For whatever lives on threads too. ``destroyed.connect(thing.close)`` would not do: PySide watches the ``thing`` of
    such a method by a weak reference, and calls into freed memory when a thread lets go of it in that very moment.
    """

    def told() -> None:
        act()

    owner.destroyed.connect(told)
