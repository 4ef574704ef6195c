"""What only a Wayland compositor can give: every key for the guest, and a mouse that moves without end.

Qt 6.11 asks for neither: it ignores ``grabKeyboard``, and its way to put the pointer back needs a protocol that few
have. Protocols used, all of wayland-protocols: keyboard-shortcuts-inhibit-unstable-v1, pointer-constraints-unstable-v1
and relative-pointer-unstable-v1.
"""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QWindow
from PySide6.QtWidgets import QWidget

from guivm.console.input.wayland_client import Argument, Connection, Interface, Proxy, bind, interface

_DESTROY = ("destroy", "")
_INHIBITORS = interface("zwp_keyboard_shortcuts_inhibit_manager_v1", [_DESTROY, ("inhibit_shortcuts", "noo")])
_INHIBITOR = interface("zwp_keyboard_shortcuts_inhibitor_v1", [_DESTROY], [("active", ""), ("inactive", "")])
_CONSTRAINTS = interface(
    "zwp_pointer_constraints_v1", [_DESTROY, ("lock_pointer", "noo?ou"), ("confine_pointer", "noo?ou")]
)
_LOCKED = interface(
    "zwp_locked_pointer_v1",
    [_DESTROY, ("set_cursor_position_hint", "ff"), ("set_region", "?o")],
    [("locked", ""), ("unlocked", "")],
)
_RELATIVES = interface("zwp_relative_pointer_manager_v1", [_DESTROY, ("get_relative_pointer", "no")])
_RELATIVE = interface("zwp_relative_pointer_v1", [_DESTROY], [("relative_motion", "uuffff")])

_INHIBIT_SHORTCUTS, _LOCK_POINTER, _GET_RELATIVE_POINTER = 1, 1, 1
_NO_REGION = 0
_PERSISTENT = 2  # lifetime: locked again whenever the pointer comes back to the window
_GIVEN = 0  # event of both: active, locked


class _Wish(QObject):
    """Something the compositor may give to one window for a while. GUI thread; nothing here waits.

    Everything it needs is asked for anew each time and given back afterwards, so that nothing outlives the window.
    """

    changed = Signal()
    _needs: tuple[Interface, ...] = ()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._connection: Connection | None = None
        self._window: QWindow | None = None
        self._registry: Proxy | None = None
        self._found: dict[str, int] = {}
        self._objects: list[Proxy] = []
        self._granted: bool | None = None

    @property
    def granted(self) -> bool | None:
        """None while nothing is wished, and until the compositor has answered; the answer may change later."""
        return self._granted

    def wish(self, wanted: bool, view: QWidget) -> None:
        """For the window of ``view``, which is shown. Does nothing where Qt's platform is not Wayland."""
        if not wanted:
            self._stop()
        elif self._connection is None:
            self._start(view.window().windowHandle())

    def _start(self, window: QWindow | None) -> None:
        self._connection, self._window = Connection.of_qt(), window
        if self._connection is None or window is None:
            return
        self._registry = self._connection.registry(self._on_registry)
        self._objects = [self._registry, self._connection.sync(self._on_listed)]

    def _stop(self) -> None:
        objects, self._objects = self._objects, []
        for proxy in reversed(objects):
            proxy.close()
        self._connection = self._window = self._registry = None
        self._found = {}
        if self._granted is not None:
            self._granted = None
            self.changed.emit()

    def _on_registry(self, opcode: int, arguments: Sequence[Argument]) -> None:
        if opcode == 0:  # global; a second one of a kind would be for another seat or a newer version
            self._found.setdefault(bytes(arguments[1].s).decode(errors="replace"), int(arguments[0].u))

    def _on_listed(self, _opcode: int, _arguments: Sequence[Argument]) -> None:
        connection, window, registry = self._connection, self._window, self._registry
        if connection is None or window is None or registry is None:
            return
        numbers = [self._found.get(bytes(need.name).decode()) for need in self._needs]
        seat, surface = connection.seat(), connection.surface(window)
        if None in numbers or seat is None or surface is None:
            self._answer(False)
            return
        managers = [bind(registry, number or 0, need) for number, need in zip(numbers, self._needs, strict=True)]
        self._objects += [*managers, *self._ask(connection, window, managers), connection.sync(self._on_asked)]

    def _ask(self, connection: Connection, window: QWindow, managers: Sequence[Proxy]) -> list[Proxy]:
        """Make the wish known; answers the objects made. Empty: it cannot be."""
        raise NotImplementedError

    def _on_asked(self, _opcode: int, _arguments: Sequence[Argument]) -> None:
        """All answers that come at once are here. A person may be asked meanwhile: then another one follows."""
        if self._granted is None:
            self._answer(False)

    def _on_answer(self, opcode: int, _arguments: Sequence[Argument]) -> None:
        self._answer(opcode == _GIVEN)

    def _answer(self, granted: bool) -> None:
        if granted != self._granted:
            self._granted = granted
            self.changed.emit()


class ShortcutInhibitor(_Wish):
    """The compositor keeps no keys for its own shortcuts while the window has the keyboard."""

    _needs = (_INHIBITORS,)

    def _ask(self, connection: Connection, window: QWindow, managers: Sequence[Proxy]) -> list[Proxy]:
        surface, seat = connection.surface(window), connection.seat()
        if surface is None or seat is None:
            return []
        return [managers[0].make(_INHIBIT_SHORTCUTS, _INHIBITOR, 0, surface, seat, events=self._on_answer)]


class PointerLock(_Wish):
    """The pointer stays where it is, and only movements are told."""

    moved = Signal(float, float)  # logical pixels, accelerated as the desktop does, right and down
    _needs = (_CONSTRAINTS, _RELATIVES)

    def _ask(self, connection: Connection, window: QWindow, managers: Sequence[Proxy]) -> list[Proxy]:
        surface, mouse = connection.surface(window), connection.mouse()
        if surface is None or mouse is None:
            return []
        constraints, relatives = managers
        motion = relatives.make(_GET_RELATIVE_POINTER, _RELATIVE, 0, mouse, events=self._on_motion)
        locked = constraints.make(
            _LOCK_POINTER, _LOCKED, 0, surface, mouse, _NO_REGION, _PERSISTENT, events=self._on_answer
        )
        return [motion, locked]

    def _on_motion(self, _opcode: int, arguments: Sequence[Argument]) -> None:
        if self._granted:
            self.moved.emit(arguments[2].fixed, arguments[3].fixed)


class WaylandGrab(QObject):
    """What a console asks of the compositor, and what it did not get in words. On other platforms nothing happens."""

    changed = Signal()  # of trouble()
    moved = Signal(float, float)  # as PointerLock's

    def __init__(self, view: QWidget) -> None:
        super().__init__(view)
        self._view = view
        self._keys = ShortcutInhibitor(self)
        self._mouse = PointerLock(self)
        self._keys.changed.connect(self.changed)
        self._mouse.changed.connect(self.changed)
        self._mouse.moved.connect(self.moved)

    def update(self, *, keys: bool, mouse: bool) -> None:
        """``keys``: the guest has the keyboard; ``mouse``: it wants movements, not positions."""
        self._keys.wish(keys, self._view)
        self._mouse.wish(mouse, self._view)

    @property
    def holds_shortcuts(self) -> bool:
        """The desktop's own shortcuts go to the guest as well."""
        return self._keys.granted is True

    @property
    def holds_pointer(self) -> bool:
        """Movements come by ``moved``; positions tell nothing."""
        return self._mouse.granted is True

    def trouble(self) -> str:
        """Sentences (translated) about what the person's desktop keeps to itself while captured; mostly empty."""
        words = []
        if self._keys.granted is False:
            words.append(self.tr("The desktop keeps its own shortcuts."))
        if self._mouse.granted is False:
            words.append(self.tr("The mouse stops at the window's edges: this desktop does not lend its pointer."))
        return " ".join(words)
