"""This very process as another user for a while."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def as_user(uid: int) -> Iterator[None]:
    """Root is ``uid``, and in no other group, until the end of the ``with``; an ordinary user stays who he is."""
    if os.geteuid() != 0:
        yield
        return
    groups = os.getgroups()
    os.setgroups([])
    os.setresgid(uid, uid, 0)
    os.setresuid(uid, uid, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)
        os.setgroups(groups)


@contextmanager
def as_root() -> Iterator[None]:
    """Within :func:`as_user`: who one was before."""
    uid, _, saved = os.getresuid()
    if uid == saved:
        yield
        return
    groups = os.getgroups()
    os.setresuid(0, 0, 0)
    os.setresgid(0, 0, 0)
    try:
        yield
    finally:
        os.setgroups(groups)
        os.setresgid(uid, uid, 0)
        os.setresuid(uid, uid, 0)
