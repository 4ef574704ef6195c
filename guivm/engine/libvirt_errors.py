"""libvirt's errors put into words. The codes and domains are those of libvirt's ``virterror.h``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guivm.errors import (
    CancelledError,
    EngineBusyError,
    GuivmError,
    HostError,
    ImageError,
    InUseError,
    NoSpaceError,
    OperationError,
    UnsupportedError,
    VmNotFoundError,
    WrongStateError,
)

if TYPE_CHECKING:
    import libvirt

# What libvirt's and QEMU's own words betray where the code is only "internal error" or "operation failed".
# In order; the first hit counts. Text is compared in lower case.
_BY_TEXT: tuple[tuple[tuple[str, ...], type[GuivmError], str, str], ...] = (
    (
        ("no space left on device", "enospc"),
        NoSpaceError,
        "There is not enough free disk space.",
        "Free some space, then try again.",
    ),
    (
        # QEMU tells no more of a snapshot within an image, whatever kept it from writing (seen with QEMU 7.2).
        ("error while writing vm state",),
        NoSpaceError,
        "The memory could not be written into the disk image.",
        "Most often the host's disk is full: free some space, then try again.",
    ),
    (
        ("cannot set up guest memory", "cannot allocate memory"),
        NoSpaceError,
        "The host has not enough free memory.",
        "Close other programs or give the virtual machine less memory.",
    ),
    (
        ('failed to get "write" lock', "failed to get shared", "failed to get lock"),
        InUseError,
        "A disk image is in use by another program or virtual machine.",
        "Stop the other one first.",
    ),
    (
        ("could not access kvm kernel module", "failed to initialize kvm", "kvm is not available", "kvm_init"),
        UnsupportedError,
        "Hardware virtualisation (KVM) cannot be used on the host.",
        "Use software emulation (TCG) for this virtual machine.",
    ),
    (
        ("image is not in ", "unsupported qcow2 version"),
        ImageError,
        "A disk image is not of the format that the virtual machine expects.",
        "See the details for its path.",
    ),
    (
        ("no screens to take screenshot from",),
        UnsupportedError,
        "It has no screen.",
        "Add a video card and a display to it while it is off.",
    ),
    (
        ("cannot access storage file", "could not open", "cannot access backing file", "cannot open file"),
        OperationError,
        "A file the virtual machine needs is missing or may not be read.",
        "See the details for its path.",
    ),
    (
        ("cannot acquire state change lock", "timed out during operation"),
        OperationError,
        "Another operation on the virtual machine is still going on.",
        "Wait until it has ended, then try again.",
    ),
    (
        ("support migration", "cannot migrate domain", "state blocked by non-migratable"),
        UnsupportedError,
        "One of its devices cannot be saved with this version of QEMU.",
        "The details name the device; remove it while the virtual machine is off.",
    ),
    (
        ("guest agent is not", "agent is not connected", "qemu guest agent"),
        OperationError,
        "The guest agent does not answer.",
        "Check that it is installed and running in the guest.",
    ),
)

_LOST_TEXT = (
    "client socket is closed",
    "connection closed due to keepalive timeout",
    "end of file while reading data",
    "cannot write data",
    "cannot recv data",
    "broken pipe",
    "connection reset by peer",
    "invalid connection pointer",
)

_AUTH_TEXT = ("host key verification failed", "authentication failed", "permission denied", "no agent is available")


def code_of(error: libvirt.libvirtError) -> int:
    """The virErrorNumber, or -1 when libvirt gave none (the binding's own errors)."""
    code = error.get_error_code()
    return -1 if code is None else int(code)


def text_of(error: libvirt.libvirtError) -> str:
    """libvirt's own words."""
    return str(error.get_error_message() or error)


def is_connection_lost(error: libvirt.libvirtError) -> bool:
    """True when the error says that the daemon or the link to it is gone."""
    import libvirt

    if code_of(error) == libvirt.VIR_ERR_INVALID_CONN:
        return True
    if error.get_error_domain() not in (libvirt.VIR_FROM_RPC, libvirt.VIR_FROM_REMOTE):
        return False
    text = text_of(error).lower()
    return any(part in text for part in _LOST_TEXT)


def translate(error: libvirt.libvirtError, failed: str) -> GuivmError:
    """Put an error of an operation into words; ``failed`` says what: "“Debian” could not be started.".

    libvirt's own text is always in ``details``. Raise the answer ``from`` the original.
    """
    import libvirt

    code, text = code_of(error), text_of(error)
    if is_connection_lost(error):
        return HostError(
            f"{failed} The connection to the host was lost.",
            advice="Look at the virtual machine again when the host is back.",
            details=text,
        )
    if code in (libvirt.VIR_ERR_OPERATION_ABORTED, libvirt.VIR_ERR_MIGRATE_FINISH_OK):
        return CancelledError("Cancelled.", details=text)
    if code in (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_INVALID_DOMAIN):
        return VmNotFoundError(f"{failed} The virtual machine is not there any more.", details=text)
    if code in (libvirt.VIR_ERR_DOM_EXIST,):
        return OperationError(f"{failed} Another virtual machine has that name or UUID.", details=text)
    lower = text.lower()
    for parts, kind, why, advice in _BY_TEXT:
        if any(part in lower for part in parts):
            return kind(f"{failed} {why}", advice=advice, details=text)
    if code == libvirt.VIR_ERR_OPERATION_INVALID:
        return WrongStateError(f"{failed} It is not in the right state for that.", details=text)
    if code in (
        libvirt.VIR_ERR_NO_SUPPORT,
        libvirt.VIR_ERR_OPERATION_UNSUPPORTED,
        libvirt.VIR_ERR_CONFIG_UNSUPPORTED,
        libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED,
    ):
        return UnsupportedError(f"{failed} The host does not support it.", details=text)
    if code in (libvirt.VIR_ERR_OPERATION_TIMEOUT, libvirt.VIR_ERR_RESOURCE_BUSY):
        return OperationError(
            f"{failed} The host is busy with it.", advice="Wait a moment, then try again.", details=text
        )
    if code in (libvirt.VIR_ERR_OPERATION_DENIED, libvirt.VIR_ERR_ACCESS_DENIED, libvirt.VIR_ERR_AUTH_FAILED):
        return OperationError(f"{failed} The host does not allow it.", details=text)
    return OperationError(failed, details=text)


def is_unsupported(error: libvirt.libvirtError) -> bool:
    """True when a driver does not know a call or one of its flags: ask in a plainer way."""
    import libvirt

    return code_of(error) in (
        libvirt.VIR_ERR_NO_SUPPORT,
        libvirt.VIR_ERR_OPERATION_UNSUPPORTED,
        libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED,
        libvirt.VIR_ERR_CONFIG_UNSUPPORTED,
        libvirt.VIR_ERR_INVALID_ARG,
    )


def connect_failure(error: libvirt.libvirtError, uri: str) -> tuple[HostError, bool]:
    """Words for a connection that could not be made, and whether trying again is senseless."""
    import libvirt

    code, text = code_of(error), text_of(error)
    lower = text.lower()
    scheme = uri.partition(":")[0]
    if "/embed" in uri:
        if "failed to acquire pid file" in lower or "already running" in lower:
            return EngineBusyError(
                "Another guivm already runs the built-in engine.",
                advice="Close the other window, or use it.",
                details=text,
            ), True
        if "failed to parse user" in lower or "failed to parse group" in lower:
            return HostError(
                "The built-in engine needs the system user “libvirt-qemu”.",
                advice="Install the package “libvirt-daemon-system”, or run ./dev once.",
                details=text,
            ), True
        return HostError("The built-in engine could not be started.", details=text), True
    if code in (libvirt.VIR_ERR_AUTH_FAILED, libvirt.VIR_ERR_AUTH_CANCELLED, libvirt.VIR_ERR_AUTH_UNAVAILABLE) or any(
        part in lower for part in _AUTH_TEXT
    ):
        advice = "Check the user name, key and rights on the host."
        if scheme == "qemu" and "://" in uri and uri.partition("://")[2].startswith("/system"):
            advice = "Ask an administrator to add you to the group “libvirt”, then log in again."
        return HostError("The host refused the connection.", advice=advice, details=text), True
    if scheme.startswith("test"):
        return HostError("The test driver could not read its file.", advice="Check the path.", details=text), True
    hopeless = (
        libvirt.VIR_ERR_NO_CONNECT,
        libvirt.VIR_ERR_INVALID_ARG,
        libvirt.VIR_ERR_CONFIG_UNSUPPORTED,
        libvirt.VIR_ERR_NO_SUPPORT,
        libvirt.VIR_ERR_ACCESS_DENIED,
    )
    if code in hopeless or "uri path" in lower:
        return HostError(
            "The address of the host is not one that libvirt understands.", advice="Check the URI.", details=text
        ), True
    return HostError("The host does not answer.", details=text), False


def lookup(connection: libvirt.virConnect, uuid: str) -> libvirt.virDomain:
    """Find a domain by UUID; VmNotFoundError when the host does not know it."""
    import libvirt

    try:
        return connection.lookupByUUIDString(uuid)
    except libvirt.libvirtError as error:
        if code_of(error) in (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_INVALID_ARG):
            raise VmNotFoundError("The virtual machine is not there any more.", details=text_of(error)) from error
        raise translate(error, "The virtual machine could not be looked up.") from error
