"""``guivm identity``: a clone whose guest still has the identity of its source."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from guivm.cli.exits import Exit
from guivm.cli.output import print_json, vm_values
from guivm.cli.verbs import Verbs, add_vm

if TYPE_CHECKING:
    from guivm.cli.session import Session
    from guivm.engine.types import VmInfo

_OWN = "Its guest has an identity of its own, as far as guivm knows."


def add_verbs(verbs: Verbs) -> None:
    parser = verbs.add("identity", "whether a clone's guest has an identity of its own yet", _identity)
    add_vm(parser)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--retry", action="store_true", help="try again to give it one")
    what.add_argument("--done", action="store_true", help="it has one, or needs none: connect its cards, say no more")


def identity_words(vm: VmInfo) -> str:
    """In sentences; empty when nothing is due."""
    from guivm.engine.types import IdentityState

    due = vm.identity
    if due is None:
        return ""
    match due.state:
        case IdentityState.WAITS:
            return "its source's until its guest agent answers first"
        case IdentityState.RUNS:
            return "its Windows is being generalised by Sysprep"
        case IdentityState.FAILED:
            return f"its source's still. {due.why}".strip()


def _identity(session: Session, arguments: argparse.Namespace) -> int:
    from guivm.engine.requests import DismissIdentity, ReadDetails, ResetIdentity
    from guivm.engine.types import IdentityState

    vm = session.find(arguments.vm)
    told: tuple[str, ...] = ()
    if arguments.retry:
        told = session.ask(ResetIdentity(vm.key))
    elif arguments.done:
        session.ask(DismissIdentity(vm.key))
    else:
        session.ask(ReadDetails(vm.key))
    vm = session.vm(vm.key) or vm  # complete now
    if session.as_json:
        print_json(vm_values(vm))
        return Exit.OK
    if not told:
        words = identity_words(vm)
        told = (words[0].upper() + words[1:] if words else _OWN,)
        if vm.identity is not None and vm.identity.state is IdentityState.FAILED:
            told = (*told, f"By hand: {vm.identity.steps}", "Then: guivm identity --done")
    for sentence in told:
        print(sentence)
    return Exit.OK
