"""What becomes of running VMs when this computer shuts down, as its configuration says. Worker only.

libvirt keeps this for a whole host, never for one VM: the service libvirt-guests (libvirt-guests(8)) for the system's
VMs; a user's own daemon saves them (libvirt, src/remote/remote_daemon.c, daemonRunStateInit); and from 11.2 on both
have ``auto_shutdown_…`` in qemu.conf.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from guivm.engine.options.facts import OnHostShutdown

_SYSTEM_CONFIG = Path("/etc/libvirt/qemu.conf")
_DEFAULTS = (Path("/etc/default/libvirt-guests"), Path("/etc/sysconfig/libvirt-guests"))
_WANTS = (Path("/etc/systemd/system"), Path("/run/systemd/system"), Path("/usr/lib/systemd/system"))
_SCRIPTS = (Path("/usr/lib/libvirt/libvirt-guests.sh"), Path("/usr/libexec/libvirt-guests.sh"))
_MAX_BYTES = 1 << 20
_LINE = re.compile(r"^\s*(\w+)\s*=\s*[\"']?([\w-]*)[\"']?\s*(?:#.*)?$", re.ASCII | re.MULTILINE)


def session_config() -> Path:
    """Where an ordinary user's daemon reads its qemu.conf."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    return Path(base if base.startswith("/") else Path.home() / ".config") / "libvirt" / "qemu.conf"


def on_host_shutdown(*, is_session: bool, version: tuple[int, ...], config: Path | None = None) -> OnHostShutdown:
    """``version``: of libvirt. ``config``: a session's qemu.conf. What cannot be read counts as its default."""
    has_auto = version >= (11, 2)
    said = _settings(config if config is not None else _SYSTEM_CONFIG) if has_auto else {}
    if is_session:
        return _automatic(said, save="persistent", shutdown="all") if has_auto else OnHostShutdown.SAVE
    if _is_guests_service_on():
        return OnHostShutdown.SAVE if _guests_action() == "suspend" else OnHostShutdown.SHUT_DOWN
    return _automatic(said, save="none", shutdown="none")


def _automatic(said: dict[str, str], *, save: str, shutdown: str) -> OnHostShutdown:
    """For a VM with a definition, the first of them that is not switched off."""
    if said.get("auto_shutdown_try_save", save) in ("persistent", "all"):
        return OnHostShutdown.SAVE
    if said.get("auto_shutdown_try_shutdown", shutdown) in ("persistent", "all"):
        return OnHostShutdown.SHUT_DOWN
    return OnHostShutdown.OFF


def _is_guests_service_on() -> bool:
    return any(
        path.is_symlink() or path.exists()
        for directory in _WANTS
        for path in directory.glob("*.wants/libvirt-guests.service")
    )


def _guests_action() -> str:
    """Of the service's configuration, else what its script begins with: distributions differ in it."""
    for path in (*_DEFAULTS, *_SCRIPTS):
        word = _settings(path).get("ON_SHUTDOWN")
        if word:
            return word
    return "suspend"


def _settings(path: Path) -> dict[str, str]:
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES).decode("utf-8", "replace")
    except OSError:
        return {}
    found: dict[str, str] = {}
    for name, value in _LINE.findall(text):
        found.setdefault(name, value)
    return found
