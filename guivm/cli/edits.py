"""What ``guivm set`` is told, word by word, before anything is known of the VM. Imports no catalogue."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

from guivm.cli.verbs import UsageError

# Short forms for what is changed most: flag → resource and option.
_SHORT = {
    "memory": ("memory", "maximum"),
    "vcpus": ("cpu", "count"),
    "name": ("system", "name"),
    "title": ("system", "title"),
    "notes": ("system", "notes"),
}
_YES = ("yes", "on", "true")
_NO = ("no", "off", "false")


@dataclass(frozen=True, slots=True)
class Edit:
    """``verb``: "set" (one value), "add" (any number of them) or "remove". ``device`` empty: the only one."""

    verb: str
    resource: str
    device: str = ""
    values: tuple[tuple[str, str], ...] = ()  # option and text


@dataclass(slots=True)
class Edits:
    """Everything behind the VM's name. ``listed``: the resource of ``--list``, empty for all, None without it."""

    edits: list[Edit] = field(default_factory=list)
    connect: list[str] = field(default_factory=list)
    listed: str | None = None
    autostart: bool | None = None
    dry_run: bool = False
    qemu: bool = False
    next_start: bool = False
    as_json: bool = False


def parse_edits(words: Sequence[str]) -> Edits:
    """Raises UsageError."""
    found = Edits()
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        if not word.startswith("--") or len(word) == 2:
            raise UsageError(f"“{word}” stands for nothing here; settings begin with “--”")
        flag, equals, value = word[2:].partition("=")
        match flag:
            case "dry-run" | "qemu" | "next-start" | "json" if equals:
                raise UsageError(f"--{flag} takes no value")
            case "dry-run":
                found.dry_run = True
            case "qemu":
                found.qemu = True
            case "next-start":
                found.next_start = True
            case "json":
                found.as_json = True
            case "connect":
                found.connect.append(value if equals else _next(waiting, flag, "a URI"))
            case "list":
                found.listed = value if equals else waiting.pop(0) if _is_plain(waiting) else ""
            case "autostart":
                found.autostart = _yes_or_no(value if equals else _next(waiting, flag, "yes or no"))
            case "add":
                resource = value if equals else _next(waiting, flag, "a resource")
                values = tuple(_pair(text) for text in _assignments(waiting))
                found.edits.append(Edit("add", resource, values=values))
            case "remove":
                resource = value if equals else _next(waiting, flag, "a resource")
                found.edits.append(Edit("remove", resource, _next(waiting, flag, "a device")))
            case _:
                found.edits += _settings(flag, value if equals else None, waiting)
    if found.listed is not None and found.edits:
        raise UsageError("--list changes nothing: leave the settings out, or try --dry-run")
    if found.qemu and not found.dry_run:
        raise UsageError("--qemu belongs to --dry-run")
    if found.listed is None and not found.edits and found.autostart is None and not found.qemu:
        raise UsageError("say what to change, or --list; see --help")
    return found


def typed(resource: str, device: str, option: str, value: str | int | bool | None) -> str:
    """One edit as it would be typed in a shell; :func:`parse_edits` reads it back."""
    name = f"{device}.{option}" if device else option
    text = "default" if value is None else ("yes" if value else "no") if isinstance(value, bool) else str(value)
    return shlex.join((f"--{resource}", f"{name}={text}"))


def _settings(flag: str, value: str | None, waiting: list[str]) -> list[Edit]:
    """``--cpu.mode X``, ``--disk vda.cache=none …``, ``--memory 2GiB``."""
    resource, dot, option = flag.partition(".")
    if dot:
        device, _, option = option.rpartition(".")
        text = value if value is not None else _next(waiting, flag, "a value")
        return [Edit("set", resource, device, ((option, text),))]
    first = [value] if value is not None else []
    if flag in _SHORT and not (value is None and _is_plain(waiting) and _is_assignment(waiting[0], flag)):
        resource, option = _SHORT[flag]
        text = value if value is not None else _next(waiting, flag, "a value")
        return [Edit("set", resource, "", ((option, text),))]
    texts = first + _assignments(waiting)
    if not texts:
        raise UsageError(f"--{flag} needs OPTION=VALUE or DEVICE.OPTION=VALUE")
    edits = []
    for text in texts:
        name, setting = _pair(text)
        device, _, option = name.rpartition(".")
        edits.append(Edit("set", flag, device, ((option, setting),)))
    return edits


def _is_assignment(word: str, flag: str) -> bool:
    """``--memory current=1GiB`` is one; ``--title a=b`` is a title."""
    return flag == "memory" and "=" in word


def _assignments(waiting: list[str]) -> list[str]:
    found = []
    while _is_plain(waiting) and "=" in waiting[0]:
        found.append(waiting.pop(0))
    return found


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"“{text}” is no OPTION=VALUE")
    return name, value


def _is_plain(waiting: list[str]) -> bool:
    return bool(waiting) and not waiting[0].startswith("--")


def _next(waiting: list[str], flag: str, what: str) -> str:
    if not waiting or waiting[0].startswith("--"):
        raise UsageError(f"--{flag} needs {what}; write --{flag}=… for one that begins with “--”")
    return waiting.pop(0)


def _yes_or_no(text: str) -> bool:
    if text.lower() not in (*_YES, *_NO):
        raise UsageError("--autostart is yes or no")
    return text.lower() in _YES
