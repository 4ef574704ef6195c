"""Windows in a clone is generalised by Sysprep, disconnected until that is done. Worker only; :func:`advance` is pure.

The clone is defined with its links down. When its agent answers, Sysprep is run in it; when that has ended and Windows
says that it is generalised, the definition gets its links back and Windows is restarted; when the agent answers again
and Windows has specialised itself, the running VM gets its links back. How far that is stands in the definition, so
that whoever runs next goes on with it.

``/quit`` and not ``/shutdown``: the answer can be looked at, and no end of the VM has to be guessed about. ``/quiet``:
nobody sees the boxes of a program that the agent starts. Not ``/mode:vm``: it is for an image that comes back on the
same virtual hardware, and a clone may be given other cards.

Sources: Microsoft, "Sysprep command-line options", "Sysprep process overview" (its place; only an administrator and
only one instance may run it; its two log files are below ``Sysprep\\Panther``), "Windows Setup states" (the registry
key, whose value is ImageState, and what its values mean) and "Create a VM image with Packer" for Azure (the same
options, and waiting for the same state); QEMU ``qga/qapi-schema.json``.
"""

from __future__ import annotations

import enum
import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from guivm.engine.cloning import due
from guivm.engine.cloning.agent import Agent, Ended, SilentError
from guivm.engine.libvirt_errors import is_connection_lost, text_of
from guivm.engine.settings.pairing import text_of_element
from guivm.engine.xml.document import NAMESPACES, XmlError
from guivm.engine.xml.domain import DomainXml
from guivm.engine.xml.metadata import GuivmSettings, bare_text
from guivm.errors import OperationError, UnsupportedError
from guivm.text import clean_line

if TYPE_CHECKING:
    import libvirt

_log = logging.getLogger(__name__)

WINDOWS = "mswindows"

_SYSPREP = "C:\\Windows\\System32\\Sysprep\\sysprep.exe"
_OPTIONS = ("/generalize", "/oobe", "/quit", "/quiet")
_REG = "C:\\Windows\\System32\\reg.exe"
_STATE = ("query", "HKLM\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Setup\\State", "/v", "ImageState")
_TASKLIST = "C:\\Windows\\System32\\tasklist.exe"
_IS_SYSPREP = ("/fi", "imagename eq sysprep.exe", "/fo", "csv", "/nh")
_CMD = "C:\\Windows\\System32\\cmd.exe"
_ERRORS = ("/d", "/c", "type", "C:\\Windows\\System32\\Sysprep\\Panther\\setuperr.log")

_GENERALISED = frozenset({"IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE", "IMAGE_STATE_GENERALIZE_RESEAL_TO_AUDIT"})
_COMPLETE = "IMAGE_STATE_COMPLETE"  # nothing has been begun, or all has ended
_SPECIALISED = frozenset({_COMPLETE, "IMAGE_STATE_SPECIALIZE_RESEAL_TO_OOBE", "IMAGE_STATE_SPECIALIZE_RESEAL_TO_AUDIT"})

SYSPREP_S = 1800
"""Sysprep takes minutes; so long is waited for it, and for Windows' setup after the restart."""

_LOOK_S = 2.0
_PROGRAM_S = 60.0
_WHY_CHARS = 600
_FAILED = "Sysprep could not generalise the Windows of this clone."


class Stage(enum.Enum):
    """How far it is. ``DUE``: nothing was begun; ``SEALED``: generalised, to be restarted; ``BY_HAND``: it is left to
    a person."""

    DUE = ""
    RUNS = "runs"
    SEALED = "sealed"
    FAILED = "failed"
    BY_HAND = due.BY_HAND


@dataclass(frozen=True, slots=True)
class State:
    """What the definition says. ``since_s``: seconds of Unix. ``cards``: MAC addresses to be connected in the end."""

    stage: Stage = Stage.DUE
    cards: tuple[str, ...] = ()
    process: int | None = None
    since_s: int = 0
    why: str = ""


class Windows(Protocol):
    """A running clone. What asks the guest raises SilentError, or UnsupportedError when it refuses."""

    def start_sysprep(self) -> int: ...
    def sysprep_ended(self, process: int) -> Ended | None: ...
    def sysprep_runs(self) -> bool: ...
    def image_state(self) -> str: ...
    def last_errors(self) -> str: ...
    def restart(self) -> None: ...
    def unplug(self) -> tuple[str, ...]:
        """Disconnect all cards, now and from now on; answers those that were connected."""

    def plug(self, cards: tuple[str, ...], *, now: bool) -> None:
        """Connect cards in the definition; ``now``: in the running VM too."""

    def are_unplugged(self, cards: tuple[str, ...]) -> bool:
        """Whether one of these is still disconnected by the definition."""

    def note(self, state: State | None) -> None:
        """Keep the state; None: nothing is due any more."""


# --- what comes next --------------------------------------------------------------------------------------


def advance(state: State, windows: Windows, now_s: int) -> State | None:
    """One step, kept before it is answered. The same state: it is waited for. None: all is done.

    Each step may be done again when it was cut short. Raises OperationError when it failed; then that is kept.
    """
    match state.stage:
        case Stage.DUE:
            return _begin(state, windows, now_s)
        case Stage.RUNS:
            return _look(state, windows, now_s)
        case Stage.SEALED:
            return _release(state, windows, now_s)
        case Stage.FAILED | Stage.BY_HAND:
            if not state.cards or windows.are_unplugged(state.cards):
                raise OperationError(_FAILED, advice=_advice(state.cards), details=state.why)
            windows.note(None)  # somebody has done it by hand
            return None


def _begin(state: State, windows: Windows, now_s: int) -> State:
    found = windows.unplug()
    state = replace(state, cards=tuple(dict.fromkeys((*state.cards, *found))))
    # Kept first: a Sysprep that was begun must not be begun a second time.
    state = replace(state, stage=Stage.RUNS, since_s=now_s, process=None)
    windows.note(state)
    try:
        process = windows.start_sysprep()
    except SilentError:
        return state  # it may have been begun
    except UnsupportedError as error:
        raise _fail(state, windows, f"{error} {error.details}") from error
    state = replace(state, process=process)
    windows.note(state)
    return state


def _look(state: State, windows: Windows, now_s: int) -> State:
    too_long = now_s - state.since_s > SYSPREP_S
    said = "It was cut short."
    try:
        if state.process is not None:
            try:
                ended = windows.sysprep_ended(state.process)
            except SilentError:
                raise
            except UnsupportedError:
                ended = Ended(None, said)  # the guest, or its agent, was started anew
            if ended is None and not too_long:
                return state
            said = "It takes too long." if ended is None else f"Its code is {ended.exit_code}. {ended.said}"
        elif not too_long and windows.sysprep_runs():
            return state  # its number was lost
        image = windows.image_state()
    except SilentError as error:
        if too_long:
            raise _fail(state, windows, "The agent does not answer any more.") from error
        return state
    if state.process is None and image == _COMPLETE:
        return _begin(state, windows, now_s)  # it was kept that it begins, and no more: it never did
    if image not in _GENERALISED:
        errors = windows.last_errors()
        raise _fail(state, windows, f"{said}\nThe state of Windows is {image or 'unknown'}.\n{errors}".strip())
    state = replace(state, stage=Stage.SEALED, process=None, since_s=now_s)
    windows.note(state)
    windows.plug(state.cards, now=False)
    windows.restart()
    return state


def _release(state: State, windows: Windows, now_s: int) -> State | None:
    windows.plug(state.cards, now=False)
    try:
        image = windows.image_state()
    except SilentError:
        image = ""
    if image in _SPECIALISED:
        windows.plug(state.cards, now=True)
        windows.note(None)
        return None
    if now_s - state.since_s > SYSPREP_S:
        raise OperationError(
            "The Windows of this clone was generalised, but it does not say that its setup has gone on.",
            advice="Look at its screen. Its network is connected when it is shut down and started again.",
            details=image,
        )
    if image in _GENERALISED and now_s - state.since_s > _PROGRAM_S:
        windows.restart()
    return state


def _fail(state: State, windows: Windows, why: str) -> OperationError:
    windows.note(replace(state, stage=Stage.FAILED, process=None, why=_capped(why)))
    return OperationError(_FAILED, advice=_advice(state.cards), details=why)


def _capped(why: str) -> str:
    return clean_line(why[-_WHY_CHARS:], _WHY_CHARS)


def _advice(cards: tuple[str, ...]) -> str:
    return f"{'It stays disconnected from its networks. ' if cards else ''}{due.WINDOWS_BY_HAND}"


# --- documents --------------------------------------------------------------------------------------------


def mark_due(document: DomainXml, host_name: str, *, pull_links: bool, by_hand: str = "") -> None:
    """In a clone's definition: its identity is due, and until then it is disconnected. ``by_hand``: why its agent will
    not see to that; empty: it will."""
    settings = document.metadata.settings
    settings.identity_host_name = host_name
    cards = _unplug(document) if pull_links else ()
    settings.identity_cards = " ".join(cards) or None
    if by_hand:
        settings.identity_stage = Stage.BY_HAND.value
        settings.identity_why = by_hand


def plug_all(document: DomainXml) -> None:
    """Take back what :func:`mark_due` did."""
    settings = document.metadata.settings
    _plug(document, _state_of(settings).cards)
    _write(settings, None)
    settings.identity_host_name = None


def _unplug(document: DomainXml) -> tuple[str, ...]:
    found = []
    for nic in document.devices.interfaces:
        if nic.link_state != "down" and nic.mac:
            nic.link_state = "down"
            found.append(nic.mac.lower())
    return tuple(found)


def _plug(document: DomainXml, cards: tuple[str, ...]) -> None:
    for nic in document.devices.interfaces:
        if (nic.mac or "").lower() in cards and nic.link_state == "down":
            nic.link_state = "up"


def _state_of(settings: GuivmSettings) -> State:
    try:
        stage = Stage(settings.identity_stage or "")
    except ValueError:
        stage = Stage.FAILED
    return State(
        stage,
        tuple((settings.identity_cards or "").lower().split()),
        settings.identity_process,
        settings.identity_since_s or 0,
        settings.identity_why or "",
    )


def _write(settings: GuivmSettings, state: State | None) -> None:
    shown = state or State()
    settings.identity_stage = shown.stage.value or None
    settings.identity_cards = " ".join(shown.cards) or None
    settings.identity_process = shown.process
    settings.identity_since_s = shown.since_s or None
    settings.identity_why = shown.why or None
    if state is None:
        settings.identity_host_name = None


# --- for real ---------------------------------------------------------------------------------------------


def generalise(
    domain: libvirt.virDomain,
    agent: Agent,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Go on until it is done (True), or the VM has ended or waits for its restart (False).

    Raises OperationError when it failed, libvirtError when the host is lost.
    """
    windows = _Clone(domain, agent)
    state: State | None = windows.state()
    while state is not None:
        before = state.stage
        state = advance(state, windows, int(clock()))
        if state is None:
            return True
        if not domain.isActive() or (before is not Stage.SEALED and state.stage is Stage.SEALED):
            return False  # its agent's next answer goes on
        sleep(_LOOK_S)
    return True


def forget(domain: libvirt.virDomain) -> None:
    """An identity is no longer due: neither in the definition nor in the running VM; its cards are connected."""
    clone = _Clone(domain, Agent(domain))
    clone.plug(clone.state().cards, now=True)
    clone.note(None)


def keep_failure(domain: libvirt.virDomain, why: str, *, by_hand: bool) -> None:
    """An identity is due still, and why; ``by_hand``: nobody but a person tries it again."""
    clone = _Clone(domain, Agent(domain))
    state = replace(clone.state(), stage=Stage.BY_HAND if by_hand else Stage.DUE, process=None, why=_capped(why))
    clone.note(state)


def begin_again(domain: libvirt.virDomain) -> None:
    """What failed is forgotten: it is due as it was when the clone was made."""
    clone = _Clone(domain, Agent(domain))
    clone.note(State(cards=clone.state().cards))


class _Clone:
    """A clone on libvirt."""

    def __init__(self, domain: libvirt.virDomain, agent: Agent) -> None:
        self._domain = domain
        self._agent = agent

    def state(self) -> State:
        return _state_of(self._document(live=False).metadata.settings)

    # --- the guest ------------------------------------------------------------------------------------

    def start_sysprep(self) -> int:
        if not self._agent.runs_programs():
            raise UnsupportedError("Its agent may not run programs (guest-exec).")
        return self._agent.start(_SYSPREP, _OPTIONS)

    def sysprep_ended(self, process: int) -> Ended | None:
        return self._agent.ended(process)

    def sysprep_runs(self) -> bool:
        told = self._run(_TASKLIST, _IS_SYSPREP)
        return not told or "sysprep.exe" in told.lower()  # it says something else when there is none

    def image_state(self) -> str:
        found = re.search(r"\bIMAGE_STATE_[A-Z_]+\b", self._run(_REG, _STATE))
        return found[0] if found else ""

    def last_errors(self) -> str:
        try:
            return self._run(_CMD, _ERRORS)
        except UnsupportedError:
            return ""

    def restart(self) -> None:
        import libvirt

        try:
            self._domain.reboot(libvirt.VIR_DOMAIN_REBOOT_GUEST_AGENT)
        except libvirt.libvirtError as error:
            if is_connection_lost(error):
                raise
            _log.warning("Windows could not be restarted after Sysprep: %s", text_of(error))

    def _run(self, path: str, arguments: tuple[str, ...]) -> str:
        """What a program says that ends soon; empty when it cannot be run."""
        try:
            process = self._agent.start(path, arguments)
            end_s = time.monotonic() + _PROGRAM_S
            while (ended := self._agent.ended(process)) is None:
                if time.monotonic() > end_s:
                    return ""
                time.sleep(_LOOK_S / 10)
        except SilentError:
            raise
        except UnsupportedError as error:
            _log.warning("%s: %s", path, error.details)
            return ""
        return ended.said

    # --- its cards ------------------------------------------------------------------------------------

    def unplug(self) -> tuple[str, ...]:
        return self._change(_unplug, live=False) + self._change(_unplug, live=True)

    def plug(self, cards: tuple[str, ...], *, now: bool) -> None:
        def work(document: DomainXml) -> tuple[str, ...]:
            _plug(document, cards)
            return ()

        for live in (False, True) if now else (False,):
            self._change(work, live=live)

    def are_unplugged(self, cards: tuple[str, ...]) -> bool:
        nics = self._document(live=False).devices.interfaces
        return any((nic.mac or "").lower() in cards and nic.link_state == "down" for nic in nics)

    def _change(self, work: Callable[[DomainXml], tuple[str, ...]], *, live: bool) -> tuple[str, ...]:
        import libvirt

        if live and not self._domain.isActive():
            return ()
        document = self._document(live=live)
        before = [nic.link_state for nic in document.devices.interfaces]
        answer = work(document)
        where = libvirt.VIR_DOMAIN_AFFECT_LIVE if live else libvirt.VIR_DOMAIN_AFFECT_CONFIG
        for old, nic in zip(before, document.devices.interfaces, strict=True):
            element = nic.find()
            if nic.link_state != old and element is not None:
                self._domain.updateDeviceFlags(text_of_element(element), where)
        return answer

    # --- its definition -------------------------------------------------------------------------------

    def note(self, state: State | None) -> None:
        """In the definition, and in the running VM, so that the two do not differ."""
        import libvirt

        for live, where in ((False, libvirt.VIR_DOMAIN_AFFECT_CONFIG), (True, libvirt.VIR_DOMAIN_AFFECT_LIVE)):
            if live and not self._domain.isActive():
                break
            try:
                settings = self._document(live=live).metadata.settings
                _write(settings, state)
                text = bare_text(settings) or None
                self._domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, text, "guivm", NAMESPACES["guivm"], where)
            except (libvirt.libvirtError, XmlError) as error:
                if isinstance(error, libvirt.libvirtError) and (is_connection_lost(error) or not live):
                    raise
                _log.warning("what is known of a clone's identity could not be kept: %s", error)

    def _document(self, *, live: bool) -> DomainXml:
        import libvirt

        return DomainXml.parse(str(self._domain.XMLDesc(0 if live else libvirt.VIR_DOMAIN_XML_INACTIVE)))
