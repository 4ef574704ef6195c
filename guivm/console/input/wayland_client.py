"""Qt's own Wayland connection, for requests that Qt has no words for; through libwayland-client by ctypes.

The library is the one Qt has loaded, so there is nothing to install. Objects made here are on the event queue that
Qt reads: their events come on the GUI thread, in order with Qt's own. Facts: wayland-client-core.h, wayland-util.h.
"""

from __future__ import annotations

import ctypes
import functools
import weakref
from collections.abc import Callable, Sequence
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_int, c_int32, c_uint32, c_void_p

from PySide6.QtGui import QGuiApplication, QNativeInterface, QWindow

_FIXED = 256  # wl_fixed_t has eight bits after the point
_MOST_ARGUMENTS = 8
_SMALLEST_ADDRESS = 0x1_0000  # QWindow.winId is the wl_surface; Qt before 6.7 or so counted its windows from 1

_DISPLAY_SYNC, _DISPLAY_GET_REGISTRY, _REGISTRY_BIND = 0, 1, 0


class Argument(ctypes.Union):
    """``union wl_argument`` of an event; which member is meant follows from the protocol."""

    _fields_ = [("i", c_int32), ("u", c_uint32), ("s", c_char_p), ("o", c_void_p)]

    @property
    def fixed(self) -> float:
        """A ``wl_fixed_t``."""
        return int(self.i) / _FIXED


class _Message(ctypes.Structure):
    """``struct wl_message``."""

    _fields_ = [("name", c_char_p), ("signature", c_char_p), ("types", c_void_p)]


class Interface(ctypes.Structure):
    """``struct wl_interface``. Keep it alive as long as the program."""

    _fields_ = [
        ("name", c_char_p),
        ("version", c_int),
        ("method_count", c_int),
        ("methods", POINTER(_Message)),
        ("event_count", c_int),
        ("events", POINTER(_Message)),
    ]


_NO_TYPES = (c_void_p * _MOST_ARGUMENTS)()  # libwayland reads them only to print


def interface(name: str, requests: Sequence[tuple[str, str]], events: Sequence[tuple[str, str]] = ()) -> Interface:
    """Version 1 of an interface; requests and events as (name, signature) in the order of the protocol's file."""

    def messages(listed: Sequence[tuple[str, str]]) -> ctypes.Array[_Message]:
        types = ctypes.cast(_NO_TYPES, c_void_p)
        return (_Message * len(listed))(*(_Message(word.encode(), sign.encode(), types) for word, sign in listed))

    return Interface(name.encode(), 1, len(requests), messages(requests), len(events), messages(events))


Events = Callable[[int, Sequence[Argument]], None]
"""Is told an event: its place in the protocol's list, and its arguments."""

_DISPATCHER = CFUNCTYPE(c_int, c_void_p, c_void_p, c_uint32, c_void_p, POINTER(Argument))


class _Library:
    def __init__(self) -> None:
        """OSError or AttributeError when there is no usable libwayland-client."""
        self.calls = calls = ctypes.CDLL("libwayland-client.so.0")
        arguments = POINTER(Argument)
        calls.wl_proxy_marshal_array.argtypes = [c_void_p, c_uint32, arguments]
        calls.wl_proxy_marshal_array.restype = None
        make = calls.wl_proxy_marshal_array_constructor_versioned
        make.argtypes = [c_void_p, c_uint32, arguments, POINTER(Interface), c_uint32]
        make.restype = c_void_p
        calls.wl_proxy_add_dispatcher.argtypes = [c_void_p, _DISPATCHER, c_void_p, c_void_p]
        calls.wl_proxy_destroy.argtypes = [c_void_p]
        calls.wl_proxy_destroy.restype = None
        self.registry = Interface.in_dll(calls, "wl_registry_interface")
        self.callback = Interface.in_dll(calls, "wl_callback_interface")
        # One function for all events, alive as long as the program: libwayland must never call one that is gone.
        self.dispatcher = _DISPATCHER(self._dispatch)
        self.proxies: weakref.WeakValueDictionary[int, Proxy] = weakref.WeakValueDictionary()

    def _dispatch(self, _data: int, target: int, opcode: int, _message: int, arguments: Sequence[Argument]) -> int:
        proxy = self.proxies.get(target)
        if proxy is not None and proxy.events is not None:
            proxy.events(opcode, arguments)
        return 0


@functools.cache
def _library() -> _Library | None:
    try:
        return _Library()
    except (OSError, AttributeError):
        return None


class Proxy:
    """One object of the connection. GUI thread. Nothing is freed by itself: :meth:`close`."""

    def __init__(self, library: _Library, address: int, destructor: int | None = None) -> None:
        """``destructor``: opcode of the request that ends it, None where the protocol has none."""
        self._library = library
        self._destructor = destructor
        self.address = address
        self.events: Events | None = None

    def send(self, opcode: int, *arguments: int | bytes | c_void_p) -> None:
        """Numbers are unsigned, bytes are texts, pointers are objects."""
        self._library.calls.wl_proxy_marshal_array(self.address, opcode, _packed(arguments))

    def make(
        self,
        opcode: int,
        kind: Interface,
        *arguments: int | bytes | c_void_p,
        destructor: int | None = 0,
        events: Events | None = None,
    ) -> Proxy:
        """A request that makes an object; a 0 stands for the new one among the arguments."""
        library = self._library
        make = library.calls.wl_proxy_marshal_array_constructor_versioned
        new = Proxy(library, make(self.address, opcode, _packed(arguments), ctypes.byref(kind), 1), destructor)
        new.events = events
        library.proxies[new.address] = new
        library.calls.wl_proxy_add_dispatcher(new.address, library.dispatcher, None, None)
        return new

    def close(self) -> None:
        """Give the object back. Not to be used afterwards; a second time does nothing."""
        if self._library.proxies.pop(self.address, None) is not self:
            return
        self.events = None
        if QGuiApplication.instance() is None:  # with it Qt has ended the connection
            return
        if self._destructor is not None:
            self.send(self._destructor)
        self._library.calls.wl_proxy_destroy(self.address)


def _packed(arguments: Sequence[int | bytes | c_void_p]) -> ctypes.Array[Argument]:
    packed = (Argument * _MOST_ARGUMENTS)()
    for place, argument in zip(packed, arguments, strict=False):
        match argument:
            case bytes():
                place.s = argument
            case c_void_p():
                place.o = argument
            case int():
                place.u = argument
    return packed


class Connection:
    """What Qt's connection offers. GUI thread."""

    def __init__(self, library: _Library, native: QNativeInterface.QWaylandApplication) -> None:
        self._native = native
        self._display = Proxy(library, native.display())
        self._registry = library.registry
        self._callback = library.callback

    @classmethod
    def of_qt(cls) -> Connection | None:
        """None where Qt's platform is another one."""
        app = QGuiApplication.instance()
        if not isinstance(app, QGuiApplication) or not QGuiApplication.platformName().startswith("wayland"):
            return None
        native = app.nativeInterface()
        library = _library()
        if not isinstance(native, QNativeInterface.QWaylandApplication) or library is None:
            return None
        return cls(library, native)

    def seat(self) -> c_void_p | None:
        """``wl_seat``."""
        return _pointer(self._native.seat())

    def mouse(self) -> c_void_p | None:
        """``wl_pointer``; None while the seat has no mouse."""
        return _pointer(self._native.pointer())

    @staticmethod
    def surface(window: QWindow) -> c_void_p | None:
        """``wl_surface`` of a window that is shown."""
        return _pointer(window.winId())

    def registry(self, events: Events) -> Proxy:
        """``wl_registry``; its event 0 tells number, interface and version of each global."""
        return self._display.make(_DISPLAY_GET_REGISTRY, self._registry, 0, destructor=None, events=events)

    def sync(self, events: Events) -> Proxy:
        """``wl_callback``: its event comes when all that was asked before is answered."""
        return self._display.make(_DISPLAY_SYNC, self._callback, 0, destructor=None, events=events)


def bind(registry: Proxy, number: int, kind: Interface) -> Proxy:
    """Version 1 of a global."""
    return registry.make(_REGISTRY_BIND, kind, number, bytes(kind.name), 1, 0)


def _pointer(address: int) -> c_void_p | None:
    return c_void_p(address) if address >= _SMALLEST_ADDRESS else None
