"""A clone's guest gets an identity of its own: machine-id, SSH host keys, host name, DHCP ids, cloud-init's state.

Three ways, the first that is there: the guest's agent does it when it first answers (:func:`reset_if_due`),
``virt-sysprep`` of libguestfs does it before the first start (:mod:`offline`), or a person does it, and is told how
(:func:`steps_by_hand`). Until it is done or dismissed the clone's definition says that it is due, and why not done.
Worker only; the plans are pure.

Formats: QEMU ``qga/qapi-schema.json``; machine-id(5); virt-sysprep(1).
"""

from __future__ import annotations

import logging
import re
import time
import unicodedata
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guivm.engine.cloning import due, offline, sysprep
from guivm.engine.cloning.agent import Agent as Agent
from guivm.engine.cloning.agent import SilentError
from guivm.engine.cloning.due import due_of
from guivm.engine.cloning.marks import disposable_folders
from guivm.engine.libvirt_errors import is_connection_lost
from guivm.engine.reader import parse_domain
from guivm.engine.types import IdentityState, VmKey
from guivm.engine.xml.domain import DomainXml
from guivm.errors import BusyError, CancelledError, GuivmError, OperationError, UnsupportedError, WrongStateError
from guivm.text import clean_line

if TYPE_CHECKING:
    import libvirt

    from guivm.engine.context import HandlerContext
    from guivm.engine.requests import DismissIdentity, ResetIdentity

_log = logging.getLogger(__name__)

_SCRIPT_S = 120.0
_LOOK_S = 0.5

# Each part goes on without the others: a guest lacks some of them. What it prints is what could not be done.
_LINUX = r"""
export PATH="${PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}"
has() { command -v "$1" >/dev/null 2>&1; }
new='@NAME@'

if [ -f /etc/machine-id ]; then
  : >/etc/machine-id || echo "machine-id"
  if [ -f /var/lib/dbus/machine-id ] && [ ! -L /var/lib/dbus/machine-id ]; then rm -f /var/lib/dbus/machine-id; fi
  if has systemd-machine-id-setup; then systemd-machine-id-setup >/dev/null 2>&1 || echo "machine-id"; fi
  if [ ! -s /etc/machine-id ] && ! has systemd-machine-id-setup && [ -r /proc/sys/kernel/random/uuid ]; then
    tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id
  fi
  if [ ! -e /var/lib/dbus/machine-id ] && has dbus-uuidgen; then dbus-uuidgen --ensure >/dev/null 2>&1; fi
fi
rm -f /var/lib/systemd/random-seed

if ls /etc/ssh/ssh_host_*_key >/dev/null 2>&1; then
  rm -f /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub
  if has ssh-keygen && ssh-keygen -A >/dev/null 2>&1; then
    if has systemctl; then systemctl try-restart ssh.service sshd.service >/dev/null 2>&1; fi
  else
    echo "SSH host keys"
  fi
fi

old=$(cat /etc/hostname 2>/dev/null | head -n 1 | tr -cd 'A-Za-z0-9.-')
if [ -n "$new" ]; then
  echo "$new" >/etc/hostname || echo "host name"
  if [ -n "$old" ] && [ -f /etc/hosts ]; then
    pattern=$(printf '%s' "$old" | sed 's/\./\\./g')
    changed=$(sed "s/\(^\|[[:space:]]\)$pattern\([[:space:]]\|\$\)/\1$new\2/g" /etc/hosts) &&
      printf '%s\n' "$changed" >/etc/hosts || echo "host name in /etc/hosts"
  fi
  hostname "$new" >/dev/null 2>&1
fi

rm -f /var/lib/dhcp/*.leases /var/lib/dhclient/*.lease* /var/lib/dhcpcd/*.lease* /var/lib/dhcpcd/duid \
  /var/lib/NetworkManager/*.lease /var/lib/NetworkManager/secret_key /etc/udev/rules.d/70-persistent-net.rules
rm -rf /var/lib/systemd/network

if has cloud-init; then cloud-init clean --logs >/dev/null 2>&1 || echo "cloud-init"; fi
sync
exit 0
"""

_NO_PROGRAMS = (
    "Its agent may not run programs (guest-exec): allow that in the guest, in /etc/sysconfig/qemu-ga or "
    "/etc/qemu/qemu-ga.conf, and restart the guest."
)
_NEEDS_AGENT = "It has no guest agent, and virt-sysprep (guestfs-tools) is not installed here."
_WINDOWS_NEEDS_AGENT = "Sysprep is run by the guest agent, which it has not, or a network card cannot be disconnected."
_NOT_FINISHED = "Giving its guest an identity of its own was begun and not finished."
_LEFT = "Its guest could not renew: {}. The rest is done."
_DONE = "Its guest was given an identity of its own."
_WHEN_IT_ANSWERS = "Its guest gets an identity of its own when its agent answers first; restart it once after that."


_WINDOWS_WHEN_IT_ANSWERS = (
    "Its Windows is generalised by Sysprep when its agent answers first, and restarts after that. Until then it is "
    "disconnected from its networks. Let it run: do not shut it down meanwhile."
)


# --- plans (pure) -----------------------------------------------------------------------------------------


def host_name_for(name: str) -> str:
    """A host name made of a VM's name: letters, digits, hyphens, at most 63 (RFC 1123); empty when nothing is left."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode("ascii").lower()
    return re.sub(r"[^a-z0-9]+", "-", plain)[:63].strip("-")


def linux_script(host_name: str) -> str:
    """What the guest's shell is given. ``host_name`` as :func:`host_name_for` makes it; empty: it is kept."""
    if host_name and re.fullmatch(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", host_name) is None:
        raise ValueError("no host name")
    return _LINUX.replace("@NAME@", host_name)


def is_windows(document: DomainXml) -> bool:
    """By what whoever made the VM said it is for (libosinfo), or by what only Windows is given."""
    os_id = (document.metadata.os_id or "").lower()
    return "microsoft.com" in os_id or (not os_id and _is_told_of_hyperv(document))


def _is_told_of_hyperv(document: DomainXml) -> bool:
    features = document.features
    return features.hyperv_mode is not None or features.hyperv_relaxed is not None


def has_agent(document: DomainXml) -> bool:
    return any(channel.target_name == "org.qemu.guest_agent.0" for channel in document.devices.channels)


def steps_by_hand(document: DomainXml) -> str:
    """What a person has to do, in sentences."""
    if is_windows(document):
        return f"Its Windows still has the identity of its source. {due.WINDOWS_BY_HAND}"
    return f"Its guest still has the identity of its source. {due.LINUX_BY_HAND}"


def waits_for_agent(document: DomainXml) -> bool:
    """Whether a clone of this VM can be left to its agent. The link of a card of the host's own cannot be pulled."""
    if not has_agent(document):
        return False
    return not is_windows(document) or all(nic.type != "hostdev" for nic in document.devices.interfaces)


def why_not_by_agent(document: DomainXml) -> str:
    """Of a VM that does not wait for its agent: what is to be said until its identity is reset."""
    if is_windows(document):
        return _WINDOWS_NEEDS_AGENT
    return _NOT_FINISHED if offline.is_installed() else _NEEDS_AGENT


# --- before the first start -------------------------------------------------------------------------------


def reset(context: HandlerContext, key: VmKey) -> tuple[str, ...]:
    """For a clone that was just made and is off. Answers sentences on what was done and what a person has to do; that
    is in its definition too, until it is done or dismissed."""
    document = _document(context, key)
    if not is_due(document):
        return ()
    if waits_for_agent(document):
        return (_WINDOWS_WHEN_IT_ANSWERS if is_windows(document) else _WHEN_IT_ANSWERS,)
    try:
        _reset_before_start(context, key, document)
    except GuivmError as error:
        if error.summary != document.metadata.settings.identity_why:
            sysprep.keep_failure(context.domain(key), error.summary, by_hand=True)
        return (f"{error.summary} {steps_by_hand(document)}",)
    return (_DONE,)


def _reset_before_start(context: HandlerContext, key: VmKey, document: DomainXml) -> None:
    """Raises UnsupportedError when it cannot be, OperationError and CancelledError when it was not."""
    if is_windows(document) or not offline.is_installed():
        raise UnsupportedError(why_not_by_agent(document))
    try:
        offline.reset_offline(context, host_name_for(document.name or ""), _images(document))
    except CancelledError as error:  # the clone is made, and stays
        raise CancelledError("Giving its guest an identity of its own was cancelled.") from error
    except GuivmError as error:
        _log.warning("virt-sysprep: %s %s", error, error.details)
        raise
    sysprep.forget(context.domain(key))


def _document(context: HandlerContext, key: VmKey) -> DomainXml:
    import libvirt

    return DomainXml.parse(str(context.domain(key).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)))


def _images(document: DomainXml) -> tuple[tuple[str, str], ...]:
    """Disks that the guest writes: (path, format)."""
    return tuple(
        (disk.path, disk.driver_type or "raw")
        for disk in document.devices.disks
        if disk.device in (None, "disk") and disk.source_file and not disk.read_only and not disk.shareable
    )


# --- asked for by a person --------------------------------------------------------------------------------


def reset_again(context: HandlerContext, request: ResetIdentity) -> tuple[str, ...]:
    """Handler of ResetIdentity: what failed is tried again. Answers sentences. Raises GuivmError."""
    key = request.key
    domain = context.domain(key)
    document = _document(context, key)
    if not is_due(document):
        raise WrongStateError("Its guest is not waiting for an identity of its own.")
    told = due_of(parse_domain(document.to_text()))
    if told is not None and told.state is IdentityState.RUNS:
        raise WrongStateError("Its Windows is being generalised by Sysprep.", advice="Let it run.")
    if waits_for_agent(document):
        with _alone(context, key):
            sysprep.begin_again(domain)
        done = reset_if_due(context, key)
        if done is not None and done.left:
            return (_LEFT.format(", ".join(done.left)), steps_by_hand(document))
        if done is not None or not _is_due(domain):
            return (_DONE,)
        return (_WINDOWS_WHEN_IT_ANSWERS if is_windows(document) else _WHEN_IT_ANSWERS,)
    if domain.isActive():
        raise WrongStateError("It has no guest agent, and its disks are in use.", advice=steps_by_hand(document))
    try:
        with _alone(context, key):
            _reset_before_start(context, key, document)
    except UnsupportedError as error:
        raise UnsupportedError(error.summary, advice=steps_by_hand(document)) from error
    return (_DONE,)


def dismiss(context: HandlerContext, request: DismissIdentity) -> None:
    """Handler of DismissIdentity: a person has done it, or wants none. Its cards are connected again."""
    domain = context.domain(request.key)
    if not is_due(_document(context, request.key)):
        return
    with _alone(context, request.key):
        sysprep.forget(domain)


# --- by the agent -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reset:
    """What came of it. ``left``: what the guest could not do, in its own words."""

    host_name: str
    left: tuple[str, ...] = ()


def is_due(document: DomainXml) -> bool:
    return document.metadata.settings.identity_host_name is not None


def reset_if_due(context: HandlerContext, key: VmKey) -> Reset | None:
    """When the agent of a running VM answers and its identity is due. None: nothing was to be done, or not yet.

    Raises OperationError when the guest failed; then it is due still. Raises libvirtError when the host is lost.
    """
    import libvirt

    domain = context.domain(key)
    if not domain.isActive() or not domain.isPersistent() or not _is_due(domain):
        return None
    if disposable_folders(str(domain.XMLDesc(0))):
        return None  # in a run that is thrown away it would be lost with all the rest
    agent = Agent(domain)
    try:
        system = agent.system()
    except UnsupportedError:
        return None  # it does not answer (yet)
    try:
        with _alone(context, key):
            if not _is_due(domain):
                return None  # somebody else was quicker
            document = DomainXml.parse(str(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)))
            host_name = host_name_for(document.metadata.settings.identity_host_name or "")
            if system == sysprep.WINDOWS:
                return Reset(host_name) if sysprep.generalise(domain, agent) else None
            return _reset_linux(domain, agent, host_name)
    except SilentError:
        return None  # it does not answer (yet)
    except BusyError:
        return None  # somebody else does it


def _reset_linux(domain: libvirt.virDomain, agent: Agent, host_name: str) -> Reset:
    try:
        left = run_script(agent, host_name)
    except OperationError as error:
        sysprep.keep_failure(domain, error.details or error.advice, by_hand=False)  # the agent's next start
        raise
    if left:
        sysprep.keep_failure(domain, _LEFT.format(", ".join(left)), by_hand=True)
    else:
        sysprep.forget(domain)
    return Reset(host_name, left)


def _is_due(domain: libvirt.virDomain) -> bool:
    import libvirt

    text = str(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    if "identity" not in text:
        return False
    document = DomainXml.parse(text)
    return is_due(document) and document.metadata.settings.identity_stage != due.BY_HAND


def _alone(context: HandlerContext, key: VmKey) -> AbstractContextManager[None]:
    """Nobody else does it meanwhile, nor changes its images. Raises BusyError when somebody does."""
    from guivm.engine.snapshots import journal, store

    if context.kept_here is None:
        return nullcontext()
    return journal.locked(store.folder_of(context.kept_here, key.uuid), clean_line(str(context.domain(key).name())))


def reset_all_due(context: HandlerContext) -> None:
    """For guests whose agents answered before anybody listened. Raises libvirtError when the host is lost."""
    import libvirt

    if context.connection.getType() != "QEMU":
        return
    for domain in context.connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
        try:
            reset_if_due(context, VmKey(context.host.id, str(domain.UUIDString())))
        except libvirt.libvirtError as error:
            if is_connection_lost(error):
                raise
        except GuivmError as error:
            _log.warning("the identity of a guest: %s %s", error, error.details)


def run_script(agent: Agent, host_name: str) -> tuple[str, ...]:
    """Run the script in the guest to its end; answers what could not be done. Raises OperationError."""
    failed = "The guest could not be given an identity of its own."
    try:
        if not agent.runs_programs():
            advice = f"{_NO_PROGRAMS} Or do it by hand: {due.LINUX_BY_HAND}"
            raise OperationError(failed, advice=advice, details=_NO_PROGRAMS)
        pid = agent.start("/bin/sh", ("-s",), typed=linux_script(host_name))
        end_s = time.monotonic() + _SCRIPT_S
        while (ended := agent.ended(pid)) is None:
            if time.monotonic() > end_s:
                raise OperationError(failed, advice=due.LINUX_BY_HAND, details="It takes too long.")
            time.sleep(_LOOK_S)
    except UnsupportedError as error:
        raise OperationError(failed, advice=due.LINUX_BY_HAND, details=f"{error} {error.details}") from error
    if ended.exit_code != 0:
        raise OperationError(failed, advice=due.LINUX_BY_HAND, details=ended.said)
    return tuple(clean_line(line, 80) for line in ended.said.splitlines() if line.strip())[:20]
