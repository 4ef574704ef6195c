"""Names of the files that plans make. Pure: what is taken is told, and so is what makes a name new."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Container

TRASH_NAME = ".guivm-trash"
"""As in :mod:`guivm.engine.trash`."""

_LONGEST = 255 - len(".part") - 1
"""Bytes of a name that every file system of Linux takes, with what is appended while the file is made."""

_EXTENSION = re.compile(r"\.(qcow2|qcow|img|raw|vmdk|vdi|bin|fd)\Z", re.IGNORECASE)
_TOKEN = re.compile(r"\.[0-9a-f]{8}(?:-\d{1,4})?\Z")


def is_token(token: str) -> bool:
    """Whether a text can make names new: eight hexadecimal digits."""
    return re.fullmatch(r"[0-9a-f]{8}", token) is not None


def overlay_path(replaced: str, token: str, taken: Container[str]) -> str:
    """``NAME.TOKEN.qcow2`` beside the image replaced; a token of an earlier time goes."""
    folder, name = posixpath.split(replaced)
    return _free(folder, _TOKEN.sub("", _EXTENSION.sub("", name)), token, ".qcow2", taken)


def is_overlay_name(path: str) -> bool:
    """Whether a file is called as :func:`overlay_path` calls them."""
    stem, extension = posixpath.splitext(posixpath.basename(path))
    return extension == ".qcow2" and _TOKEN.search(stem) is not None


def clone_path(folder: str, name: str, target: str, taken: Container[str]) -> str:
    """``NAME-TARGET.qcow2`` for a drive of a new VM."""
    plain = f"{name}-{target}".replace("/", "-").lstrip(".-")
    return _free(folder, plain, "", ".qcow2", taken)


def beside(path: str, token: str, taken: Container[str]) -> str:
    """``PATH.TOKEN``, for what is prepared there before it takes its place."""
    folder, name = posixpath.split(path)
    return _free(folder, name, token, "", taken)


def own_path(folder: str, snapshot: str, kind: str, taken: Container[str]) -> str:
    """``ID.KIND`` among the VM's own files."""
    return _free(folder, snapshot, "", f".{kind}", taken)


def kept_path(path: str, token: str, index: int) -> str:
    """Where a file is kept when it is moved aside: the same file system, beside it. ``index`` keeps names apart."""
    folder, name = posixpath.split(path)
    return posixpath.join(folder, TRASH_NAME, token, _cut(f"{index}-{name}", _LONGEST))


def _free(folder: str, stem: str, token: str, extension: str, taken: Container[str]) -> str:
    stem = "".join(c if c.isprintable() else "_" for c in stem) or "disk"
    number = 1
    while True:
        count = f"-{number}" if number > 1 else ""
        end = f"{f'.{token}' if token else ''}{count}{extension}"
        path = posixpath.join(folder, _cut(stem, _LONGEST - len(end)) + end)
        if path not in taken:
            return path
        number += 1


def _cut(name: str, limit: int) -> str:
    """At most ``limit`` bytes of a name, characters whole."""
    raw = name.encode("utf-8", "surrogateescape")
    return name if len(raw) <= limit else raw[:limit].decode("utf-8", "ignore")
