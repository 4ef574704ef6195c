"""ApplySettings: the running VM first, then the definition; when that fails, everything is taken back. Worker only."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from guivm.engine.context import HandlerContext
from guivm.engine.libvirt_errors import code_of, is_connection_lost, text_of, translate
from guivm.engine.options.phrase import Phrase
from guivm.engine.options.values import AppliedSettings, Change, ChangeKind, Outcome, Place, Reach
from guivm.engine.requests import ApplySettings, Rename
from guivm.engine.settings.documents import (
    definition_of,
    is_persistent,
    parsed,
    starts_with_host,
)
from guivm.engine.settings.domain_events import DomainEvents
from guivm.engine.settings.live import Documents, live_steps
from guivm.engine.settings.live_step import Step, WaitsError
from guivm.engine.settings.passphrases import store_passphrases
from guivm.engine.settings.started import started_document
from guivm.engine.xml.diff import unified
from guivm.engine.xml.domain import DomainXml
from guivm.errors import ChangedOutsideError, GuivmError, HostError, OperationError, WrongStateError
from guivm.text import clean_line

if TYPE_CHECKING:
    import libvirt

_log = logging.getLogger(__name__)

_WAITS = "It can be changed only while the virtual machine is off."
_OUI = (0x52, 0x54, 0x00)  # what QEMU's and libvirt's own MAC addresses begin with


@dataclass(slots=True)
class _Done:
    """What has been done so far, and how to take it back."""

    steps: list[tuple[str, Callable[[], object]]] = field(default_factory=list)

    def add(self, words: str, undo: Callable[[], object]) -> None:
        self.steps.append((words, undo))

    def take_back(self) -> str:
        """Last first. Answers in words what came of it; empty when there was nothing."""
        import libvirt

        back: list[str] = []
        stuck: list[str] = []
        while self.steps:
            words, undo = self.steps.pop()
            try:
                undo()
                back.append(words)
            except (libvirt.libvirtError, GuivmError) as error:
                _log.warning("%s could not be taken back: %s", words, error)
                stuck.append(words)
        parts = [f"Taken back: {', '.join(dict.fromkeys(back))}."] if back else []
        parts += [f"Could not be taken back: {', '.join(dict.fromkeys(stuck))}."] if stuck else []
        return " ".join(parts)


@dataclass(frozen=True, slots=True)
class _Refusal:
    """A live change that waits, and why."""

    step: Step
    reason: str

    def is_about(self, place: Place) -> bool:
        mine, options = self.step.place, self.step.options
        if mine.resource != place.resource or mine.device not in ("", place.device):
            return False
        return not options or not place.option or place.option in options

    def denies(self, place: Place) -> bool:
        """Whether the option is not as the documents say."""
        return self.step.is_hidden and self.is_about(place)


def apply_settings(context: HandlerContext, request: ApplySettings) -> AppliedSettings:
    """Handler of ApplySettings.

    Raises ChangedOutsideError when the definition is no longer ``request.base``, XmlError, and OperationError and its
    like when it cannot be stored: then the running VM was changed back, or the error says what was not. A change that
    the running VM does not take is no failure: it waits.
    """
    from guivm.engine.cloning.templates import require_no_template

    require_no_template(context, request.key)
    domain = context.domain(request.key)
    present = definition_of(domain)
    _require_unchanged(request, present)
    new = parsed(request.xml)
    renamed = _checked_identity(domain, parsed(request.base), new)
    persistent = is_persistent(domain)
    live_xml = started_document(domain, present)
    if not persistent and (not request.live or request.autostart):
        raise WrongStateError(
            f"“{clean_line(domain.name())}” exists only while it runs.",
            advice="Its settings can be changed only as it runs.",
        )
    done = _Done()
    refusals: list[_Refusal] = []
    try:
        _complete(new)
        for words, undo in store_passphrases(context.connection, new, request.passphrases):
            done.add(words, undo)
        wanted = new.to_text()
        if live_xml and request.live:
            refusals = _change_live(context, domain, Documents(request.base, wanted, live_xml), done)
        if persistent:
            _require_unchanged(request, definition_of(domain))
            _store(context, domain, present, wanted, done)
            autostart_was = starts_with_host(domain)
            _set_autostart(domain, request.autostart, autostart_was, done)
            if renamed:
                _rename(context, request, renamed)
        else:
            _require_all(refusals)
            autostart_was = False
    except Exception as error:
        raise _taken_back(context, domain, error, done) from error
    domain = context.domain(request.key)
    xml = definition_of(domain)
    live_now = started_document(domain, xml)
    outcomes = _outcomes(request.base, wanted, xml, live_now, refusals, tried=bool(live_xml) and request.live)
    if request.autostart is not None and request.autostart != autostart_was and persistent:
        outcomes = (*outcomes, _autostart_outcome(request.autostart))
    return AppliedSettings(outcomes, xml, live_now)


# --- before anything is done ------------------------------------------------------------------------------


def _require_unchanged(request: ApplySettings, present: str) -> None:
    theirs = unified(request.base, present, "changed elsewhere")
    if theirs:
        raise ChangedOutsideError(
            "The virtual machine was changed elsewhere since its settings were opened. Nothing was overwritten.",
            theirs=theirs,
            ours=unified(request.base, request.xml, "changed here"),
            advice="Read the settings again, then make your changes anew.",
        )


def _checked_identity(domain: libvirt.virDomain, base: DomainXml, new: DomainXml) -> str:
    """The new name when it was changed, else empty; ``new`` has the present one then, for libvirt takes another for
    another VM. Raises WrongStateError and OperationError."""
    from guivm.engine.operations import checked_name

    if (new.uuid or "").lower() != (base.uuid or "").lower():
        raise OperationError(
            "The UUID of a virtual machine cannot be changed.", advice="Clone it to have it under another."
        )
    name = new.name or ""
    if name == (base.name or ""):
        return ""
    checked_name(name)
    if domain.isActive():
        raise WrongStateError(
            f"“{clean_line(domain.name())}” is running.", advice="Only a virtual machine that is off can be renamed."
        )
    new.name = base.name
    return name


def _complete(new: DomainXml) -> None:
    """Give new network cards a MAC address: libvirt would make one for the running VM and one for the definition."""
    taken = {(nic.mac or "").lower() for nic in new.devices.interfaces}
    for nic in new.devices.interfaces:
        while not nic.mac:
            mac = ":".join(f"{byte:02x}" for byte in (*_OUI, *secrets.token_bytes(3)))
            if mac not in taken:
                taken.add(mac)
                nic.mac = mac


# --- the running VM ---------------------------------------------------------------------------------------


def _change_live(
    context: HandlerContext, domain: libvirt.virDomain, documents: Documents, done: _Done
) -> list[_Refusal]:
    """Try each change; answers those that wait."""
    refusals: list[_Refusal] = []
    context.job.on_cancel(_nothing)  # looked at between the steps and while a guest is waited for
    try:
        with DomainEvents(context.connection, domain, context.job) as events:
            for step in live_steps(context.connection, domain, documents, events):
                context.job.check_cancelled()
                reason = _attempt(step, done)
                if reason:
                    refusals.append(_Refusal(step, reason))
    finally:
        context.job.on_cancel(None)
    return refusals


def _nothing() -> None:
    """The cancel flag alone is enough."""


def _attempt(step: Step, done: _Done) -> str:
    """Empty when it is done, else why it waits."""
    import libvirt

    try:
        step.do()
    except WaitsError as error:
        if error.asked:
            done.add(step.words, step.undo)
        return f"{error} {error.details}".strip()
    except libvirt.libvirtError as error:
        if is_connection_lost(error):
            raise
        return clean_line(f"The running virtual machine does not take it: {text_of(error)}", 500)
    done.add(step.words, step.undo)
    return ""


def _require_all(refusals: list[_Refusal]) -> None:
    """Of a VM without a definition, what cannot be done now can never be."""
    if refusals:
        raise WrongStateError(
            "The virtual machine exists only while it runs, and not all of this can be changed as it runs.",
            advice="Make it permanent first.",
            details="\n".join(refusal.reason for refusal in refusals),
        )


# --- the definition ---------------------------------------------------------------------------------------


def _store(context: HandlerContext, domain: libvirt.virDomain, present: str, wanted: str, done: _Done) -> None:
    name = clean_line(domain.name())
    difference = unified(present, wanted, name)
    if not difference:
        return
    _define(context.connection, present, wanted)
    _log.info("Defined “%s”:\n%s", name, difference)
    done.add("the definition", lambda: _restore(context, present, name))


def _restore(context: HandlerContext, present: str, name: str) -> None:
    context.connection.defineXMLFlags(present, 0)
    _log.info("Defined “%s” as it was before.", name)


def _define(connection: libvirt.virConnect, present: str, wanted: str) -> None:
    """Store it, checked against libvirt's schema, unless what is there fails the check already: made by another tool,
    or written by libvirt in a way its own schema does not know. Such a VM must not be locked against edits."""
    import libvirt

    try:
        connection.defineXMLFlags(wanted, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
    except libvirt.libvirtError as error:
        if code_of(error) != libvirt.VIR_ERR_XML_INVALID_SCHEMA or _passes_schema(connection, present):
            raise
        connection.defineXMLFlags(wanted, 0)


def _passes_schema(connection: libvirt.virConnect, present: str) -> bool:
    """Whether what is defined may be defined again: it changes nothing."""
    import libvirt

    try:
        connection.defineXMLFlags(present, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
    except libvirt.libvirtError as error:
        if code_of(error) == libvirt.VIR_ERR_XML_INVALID_SCHEMA:
            return False
        raise
    return True


def _set_autostart(domain: libvirt.virDomain, wanted: bool | None, was: bool, done: _Done) -> None:
    if wanted is None or wanted == was:
        return
    domain.setAutostart(int(wanted))
    done.add("autostart", lambda: domain.setAutostart(int(was)))


def _rename(context: HandlerContext, request: ApplySettings, name: str) -> None:
    """The last step: it needs no way back."""
    from guivm.engine.operations import rename

    rename(context, Rename(request.key, name))


# --- when it fails ----------------------------------------------------------------------------------------


def _taken_back(context: HandlerContext, domain: libvirt.virDomain, error: Exception, done: _Done) -> Exception:
    """Undo everything; answers the error to raise."""
    import libvirt

    failed = f"The settings of “{_name(domain)}” could not be changed."
    if isinstance(error, libvirt.libvirtError):
        if is_connection_lost(error):
            return HostError(
                f"{failed} The connection to the host was lost.",
                advice="When the host is back, look at what the virtual machine has: some of it may have been done.",
                details=text_of(error),
            )
        first: GuivmError = translate(error, failed)
    elif isinstance(error, GuivmError):
        first = error
    else:
        done.take_back()
        return error
    words = done.take_back()
    if not words:
        return first
    summary, details = f"{first.summary} {words}", first.details
    if isinstance(first, ChangedOutsideError):
        return ChangedOutsideError(summary, theirs=first.theirs, ours=first.ours, advice=first.advice)
    return type(first)(summary, advice=first.advice, details=details)


def _name(domain: libvirt.virDomain) -> str:
    return clean_line(str(domain.name()))


# --- what became of it ------------------------------------------------------------------------------------


def _outcomes(
    base: str, wanted: str, xml: str, live_xml: str, refusals: list[_Refusal], *, tried: bool
) -> tuple[Outcome, ...]:
    """What the running VM has now decides, not what was tried. ``xml``: what libvirt made of ``wanted``."""
    from guivm.engine.options.changes import changes
    from guivm.engine.options.firmware import forget_chosen_files

    stored = parsed(xml)
    forget_chosen_files(stored, parsed(wanted))
    made = changes(parsed(base), stored)
    if not live_xml:
        return tuple(Outcome(change, Reach.NEXT_START) for change in made)
    pending = {change.place for change in changes(parsed(live_xml), parsed(xml))}
    found: list[Outcome] = []
    told: list[_Refusal] = []
    for change in made:
        about = [one for one in refusals if one.is_about(change.place)]
        told.extend(about)
        waits = change.place in pending or _is_part_of(change, pending)
        if not waits and not any(one.denies(change.place) for one in about):
            found.append(Outcome(change, Reach.LIVE))
            continue
        reason = " ".join(dict.fromkeys(one.reason for one in about))
        found.append(Outcome(change, Reach.NEXT_START, reason or (_WAITS if tried else "")))
    found.extend(Outcome(_step_change(one.step), Reach.NEXT_START, one.reason) for one in refusals if one not in told)
    return tuple(found)


def _step_change(step: Step) -> Change:
    return Change(step.place, ChangeKind.CHANGED, Phrase(step.words), "", "", "")


def _is_part_of(change: Change, pending: set[Place]) -> bool:
    """A whole device that waits takes its options with it."""
    return Place(change.place.resource, change.place.device) in pending


def _autostart_outcome(on: bool) -> Outcome:
    words = ("no", "yes")
    change = Change(
        Place("system", option="autostart"),
        ChangeKind.CHANGED,
        Phrase("System"),
        "Start with the host",
        words[not on],
        words[on],
    )
    return Outcome(change, Reach.LIVE)
