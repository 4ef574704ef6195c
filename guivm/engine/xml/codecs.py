"""How the values of properties are written in XML."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Codec(Generic[T]):
    """How a value is read from and written to text. ``decode`` raises ValueError."""

    decode: Callable[[str], T]
    encode: Callable[[T], str]


def _words(true: str, false: str) -> Codec[bool]:
    def decode(text: str) -> bool:
        if text not in (true, false):
            raise ValueError(f"neither {true!r} nor {false!r}")
        return text == true

    return Codec(decode, lambda value: true if value else false)


_INTEGER = re.compile(r"\s*[+-]?(?:0[xX][0-9a-fA-F]{1,32}|[0-9]{1,32})\s*", re.ASCII)


def _decode_integer(text: str) -> int:
    if _INTEGER.fullmatch(text) is None:
        raise ValueError("not an integer")
    return int(text, 16 if "x" in text.lower() else 10)


def _hexadecimal(digits: int) -> Codec[int]:
    return Codec(_decode_integer, lambda value: f"0x{value:0{digits}x}")


TEXT: Codec[str] = Codec(str, str)
INTEGER: Codec[int] = Codec(_decode_integer, str)
HEX1 = _hexadecimal(1)
HEX2 = _hexadecimal(2)
HEX4 = _hexadecimal(4)
YES_NO = _words("yes", "no")
ON_OFF = _words("on", "off")
INTEGERS = (INTEGER, HEX1, HEX2, HEX4)

# In bytes; libvirt reads them without regard to case (virScaleInteger).
UNITS: dict[str, int] = {"b": 1, "bytes": 1} | {
    name: base**power
    for power, letter in enumerate("kmgtpe", start=1)
    for name, base in ((letter, 1024), (f"{letter}ib", 1024), (f"{letter}b", 1000))
}


def writable(text: str) -> str:
    """Return ``text``; raise ValueError when XML 1.0 cannot hold it unchanged."""
    for character in text:
        code = ord(character)
        if (code < 0x20 and character not in "\t\n") or 0xD800 <= code <= 0xDFFF or code in (0xFFFE, 0xFFFF):
            raise ValueError(f"character U+{code:04X} cannot stand in XML")
    return text
