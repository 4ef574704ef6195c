"""Which hosts there are, what they are called, and what the embedded engine needs. No Qt, no libvirt.

The kinds of connection and their traps are described in libvirt's https://libvirt.org/uri.html and
https://libvirt.org/drvqemu.html.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

from guivm import paths
from guivm.engine.types import HostId
from guivm.errors import HostError

SESSION_URI = "qemu:///session"
SYSTEM_URI = "qemu:///system"

# libvirt's drivers (https://libvirt.org/drivers.html). It takes any other scheme for one that its daemon serves.
_DRIVERS = frozenset(
    ("qemu", "test", "bhyve", "ch", "esx", "gsx", "hyperv", "lxc", "openvz", "parallels", "vbox", "vmwareplayer",
     "vmwarefusion", "vmwarews", "vpx", "vz", "xen")
)  # fmt: skip

# Either the monolithic daemon or the QEMU daemon serves qemu:///system.
_SYSTEM_SOCKETS = (Path("/run/libvirt/virtqemud-sock"), Path("/run/libvirt/libvirt-sock"))

# Run as root, QEMU is started as another user by default; where that user may not open /dev/kvm, libvirt finds its
# capability cache invalid on each call and probes QEMU anew for ever. remember_owner needs extended attributes that
# many file systems lack; stdio_handler "logd" needs a daemon that nobody runs for us, and a guest whose output ends
# in a pipe to our process would not outlive it.
_EMBED_CONF = """\
# Written by guivm for its built-in engine; changes are kept.
user = "root"
group = "root"
dynamic_ownership = 1
remember_owner = 0
stdio_handler = "file"
"""


def normalise(uri: str) -> HostId:
    """The one spelling of a URI. Raises HostError for what cannot be one."""
    text = uri.strip()
    parts = urlsplit(text)
    if not parts.scheme or not text[len(parts.scheme) :].startswith("://"):
        raise HostError(
            f"“{text}” is not the address of a host.",
            advice="An address looks like qemu:///session or qemu+ssh://user@server/system.",
        )
    if any(c.isspace() or not c.isprintable() for c in text):
        raise HostError("The address of the host has characters that do not belong there.")
    if parts.scheme.partition("+")[0].lower() not in _DRIVERS:
        raise HostError(
            f"“{parts.scheme}” is no hypervisor that libvirt knows.", advice="Most addresses begin with “qemu”."
        )
    rest = text[len(parts.scheme) :]
    netloc = parts.netloc
    user, at, machine = netloc.rpartition("@")
    rest = rest.replace(f"://{netloc}", f"://{user}{at}{machine.lower()}", 1)
    return HostId(parts.scheme.lower() + rest)


def is_local(uri: str) -> bool:
    """True when files named in requests are on this computer."""
    parts = urlsplit(uri)
    return parts.netloc == "" and not parts.scheme.endswith(("+ssh", "+libssh", "+libssh2", "+tls", "+tcp", "+ext"))


def is_embed(uri: str) -> bool:
    parts = urlsplit(uri)
    return parts.scheme == "qemu" and parts.path == "/embed"


def is_test(uri: str) -> bool:
    """libvirt's test driver in our own process."""
    return urlsplit(uri).scheme == "test"


def is_in_process(uri: str) -> bool:
    """True where no daemon is asked: no keepalive, no connection to lose."""
    return is_embed(uri) or is_test(uri)


def label_for(uri: str) -> str:
    """What a person calls the host."""
    parts = urlsplit(uri)
    if parts.scheme.startswith("test"):
        return "Test driver" if parts.netloc == "" else f"Test driver on {parts.hostname}"
    if parts.netloc == "":
        if parts.path == "/system":
            return "This computer (system)"
        return "This computer"
    name = parts.hostname or parts.netloc
    return f"{name} (session)" if parts.path == "/session" else name


def default_uri() -> str:
    """Where VMs live when nothing else is asked for. May wait a moment for a socket: not for the GUI thread.

    An ordinary user has a session daemon, which libvirt starts by itself. Root uses the system's daemon when one
    answers, and else the engine within our own process.
    """
    if os.geteuid() != 0:
        return SESSION_URI
    if any(_answers(path) for path in _SYSTEM_SOCKETS):
        return SYSTEM_URI
    return embed_uri(paths.embed_root())


def embed_uri(root: Path) -> str:
    return f"qemu:///embed?root={quote(str(root))}"


def embed_root_of(uri: str) -> Path | None:
    """The directory of an embedded engine; None when the URI names none."""
    root = parse_qs(urlsplit(uri).query).get("root")
    return Path(root[0]) if root else None


def prepare_embed(uri: str) -> None:
    """Make the directory and ``etc/qemu.conf`` of an embedded engine; an existing file is left as it is.

    Raises HostError when the address names no absolute directory or it cannot be written.
    """
    root = embed_root_of(uri)
    if root is None or not root.is_absolute():
        raise HostError(
            "The built-in engine needs a directory.", advice="Write qemu:///embed?root=/path, with an absolute path."
        )
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        etc = root / "etc"
        etc.mkdir(exist_ok=True, mode=0o700)
        if os.geteuid() == 0:
            with (etc / "qemu.conf").open("x", encoding="utf-8") as file:
                file.write(_EMBED_CONF)
    except FileExistsError:
        pass
    except OSError as error:
        raise HostError("The directory of the built-in engine cannot be written.", details=str(error)) from error


def images_dir_for(uri: str) -> Path:
    """Folder of new disk images. Another user's QEMU cannot read below our home: the system's own is used there."""
    if urlsplit(uri).path == "/system":
        shared = Path("/var/lib/libvirt/images")
        if os.access(shared, os.W_OK | os.X_OK):
            return shared
    return paths.images_dir()


def _answers(path: Path) -> bool:
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(1.0)
        try:
            sock.connect(str(path))
        except OSError:
            return False
        return True
