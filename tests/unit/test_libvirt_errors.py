from __future__ import annotations

import libvirt
import pytest

from guivm.engine.libvirt_errors import connect_failure, is_connection_lost, translate
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

FAILED = "“Debian” could not be started."


def error(code: int, text: str, domain: int = libvirt.VIR_FROM_QEMU) -> libvirt.libvirtError:
    """As libvirt raises it: (code, domain, message, level, str1, str2, str3, int1, int2)."""
    made = libvirt.libvirtError(text)
    made.err = (code, domain, text, 2, "", "", "", 0, 0)
    return made


INTERNAL = libvirt.VIR_ERR_INTERNAL_ERROR


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        (libvirt.VIR_ERR_NO_DOMAIN, "Domain not found", VmNotFoundError),
        (libvirt.VIR_ERR_OPERATION_INVALID, "domain is not running", WrongStateError),
        (libvirt.VIR_ERR_NO_SUPPORT, "this function is not supported", UnsupportedError),
        (libvirt.VIR_ERR_CONFIG_UNSUPPORTED, "unsupported configuration: x", UnsupportedError),
        (libvirt.VIR_ERR_OPERATION_ABORTED, "operation aborted: save job", CancelledError),
        (libvirt.VIR_ERR_OPERATION_TIMEOUT, "Timed out during operation: cannot acquire state change lock",
         OperationError),
        (libvirt.VIR_ERR_DOM_EXIST, "domain exists", OperationError),
        (INTERNAL, "qemu: cannot set up guest memory 'pc.ram': Cannot allocate memory", NoSpaceError),
        (INTERNAL, "write failed: No space left on device", NoSpaceError),
        (INTERNAL, 'Failed to get "write" lock', InUseError),
        (INTERNAL, "Could not access KVM kernel module: Permission denied", UnsupportedError),
        (INTERNAL, "Image is not in qcow2 format", ImageError),
        (libvirt.VIR_ERR_OPERATION_INVALID, "cannot migrate domain: x doesn't yet support migration", UnsupportedError),
        (libvirt.VIR_ERR_SYSTEM_ERROR, "Cannot access storage file '/x': No such file or directory", OperationError),
        (INTERNAL, "something nobody foresaw", OperationError),
    ],
)  # fmt: skip
def test_errors_of_operations(code: int, text: str, kind: type[GuivmError]) -> None:
    words = translate(error(code, text), FAILED)
    assert type(words) is kind
    assert words.details == text, "libvirt's own words are kept"
    if kind is not CancelledError:
        assert words.summary.startswith(FAILED)


def test_a_lost_connection_is_no_failed_operation() -> None:
    lost = error(INTERNAL, "client socket is closed", libvirt.VIR_FROM_RPC)
    assert is_connection_lost(lost)
    words = translate(lost, FAILED)
    assert type(words) is HostError
    assert "lost" in words.summary
    assert is_connection_lost(error(libvirt.VIR_ERR_INVALID_CONN, "invalid connection pointer in virDomainCreate"))
    assert not is_connection_lost(error(INTERNAL, "client socket is closed"))
    assert not is_connection_lost(error(libvirt.VIR_ERR_NO_DOMAIN, "no domain", libvirt.VIR_FROM_REMOTE))


def test_an_error_of_the_binding_itself_has_words_too() -> None:
    words = translate(libvirt.libvirtError("virDomainCreate() failed"), FAILED)
    assert type(words) is OperationError
    assert "virDomainCreate" in words.details


SOCKET = "Failed to connect socket to '/run/libvirt/libvirt-sock': {}"


@pytest.mark.parametrize(
    ("uri", "code", "text", "kind", "permanent"),
    [
        ("qemu:///session", libvirt.VIR_ERR_SYSTEM_ERROR, SOCKET.format("No such file or directory"), HostError, False),
        ("qemu:///system", libvirt.VIR_ERR_SYSTEM_ERROR, SOCKET.format("Connection refused"), HostError, False),
        ("qemu:///system", libvirt.VIR_ERR_SYSTEM_ERROR, SOCKET.format("Permission denied"), HostError, True),
        ("qemu:///system", libvirt.VIR_ERR_AUTH_UNAVAILABLE, "authentication unavailable: no polkit agent", HostError,
         True),
        ("qemu+ssh://server/system", libvirt.VIR_ERR_SYSTEM_ERROR,
         "Cannot recv data: Host key verification failed.", HostError, True),
        ("qemu+ssh://server/system", libvirt.VIR_ERR_SYSTEM_ERROR,
         "Cannot recv data: ssh: connect to host server port 22: No route to host", HostError, False),
        ("qemu:///embed?root=/x", libvirt.VIR_ERR_OPERATION_FAILED,
         "Failed to acquire pid file '/x/driver.pid': Resource temporarily unavailable", EngineBusyError, True),
        ("qemu:///embed?root=/x", libvirt.VIR_ERR_INVALID_ARG, "Failed to parse user 'libvirt-qemu'", HostError, True),
        ("test:///x", libvirt.VIR_ERR_XML_ERROR, "XML error", HostError, True),
        ("qemu:///nonsense", INTERNAL, "unexpected QEMU URI path '/nonsense', try qemu:///system", HostError, True),
        ("esx://h/", libvirt.VIR_ERR_NO_CONNECT, "no connection driver available for esx://h/", HostError, True),
    ],
)  # fmt: skip
def test_errors_of_connecting(uri: str, code: int, text: str, kind: type[HostError], permanent: bool) -> None:
    words, is_permanent = connect_failure(error(code, text), uri)
    assert type(words) is kind
    assert is_permanent is permanent
    assert words.details == text
    if "permission" in text.lower():
        assert "group “libvirt”" in words.advice
    if "parse user" in text:
        assert "libvirt-daemon-system" in words.advice
