"""A Trusted Platform Module. (formatdomain.html, "TPM device")"""

from __future__ import annotations

from typing import Any

from guivm.engine.options.devices import (
    Known,
    dropping,
    first_offered,
    is_x86,
    label_of,
    listing,
    one_of,
    required,
    since,
    when,
    words,
)
from guivm.engine.options.option import Group, HostPath, N, Option, PathKind, Resource, Situation, Switch, Value, stored
from guivm.engine.xml.domain import Devices
from guivm.engine.xml.peripherals import Tpm

_TPM_MODELS = (
    Known("tpm-crb", N("CRB"), N("Today's interface, for TPM 2.0; PCs only.")),
    Known("tpm-tis", N("TIS"), N("The older one, for TPM 1.2 and 2.0.")),
    Known("tpm-spapr", N("sPAPR")),
)
_TPM_BACKENDS = (
    Known("emulator", N("Emulated (swtpm)"), N("A TPM of the VM's own; its secrets are in a file of the host.")),
    Known(
        "passthrough", N("The host's own"), N("Real hardware for one VM only; the host loses it, the VM cannot move.")
    ),
    Known("external", N("A program that runs already"), N("Reached by its socket.")),
)
_TPM_VERSIONS = (Known("2.0", N("2.0"), N("As Windows 11 wants it.")), Known("1.2", N("1.2"), N("For older systems.")))


def _tpm_backend_refusal(situation: Situation, _tpm: Tpm, backend: str) -> str:
    facts = situation.facts
    if backend == "emulator" and not facts.capabilities.has_tpm and facts.offers_any("tpm") is not None:
        return N("The host lacks the program swtpm; install it there.")
    if backend == "external":
        return since(situation, 9, 0, N("It needs libvirt 9.0."))
    return ""


def _set_tpm_backend(tpm: Tpm, value: Value | None) -> None:
    backend = "emulator" if value is None else str(value)
    if backend == tpm.backend_type:
        return
    tpm.device_path = tpm.encryption_secret = None
    tpm.source_type = tpm.source_mode = tpm.source_path = None
    tpm.persistent_state = tpm.backend_version = None
    tpm.pcr_sha1 = tpm.pcr_sha256 = tpm.pcr_sha384 = tpm.pcr_sha512 = False
    tpm.backend_type = backend
    if backend == "emulator":
        tpm.backend_version = "2.0"
    elif backend == "passthrough":
        tpm.device_path = "/dev/tpm0"
    elif backend == "external":
        tpm.source_type, tpm.source_mode, tpm.source_path = "unix", "connect", "/run/swtpm/sock"


def _set_tpm_version(tpm: Tpm, value: Value | None) -> None:
    """TPM 1.2 has no CRB interface."""
    tpm.backend_version = None if value is None else str(value)
    if value == "1.2" and tpm.model == "tpm-crb":
        tpm.model = "tpm-tis"


def _tpm_model_refusal(situation: Situation, tpm: Tpm, model: str) -> str:
    if model == "tpm-crb" and tpm.backend_version == "1.2":
        return N("TPM 1.2 knows TIS only.")
    if model == "tpm-crb" and not is_x86(situation):
        return N("Only PCs have it.")
    return ""


def _add_tpm(situation: Situation) -> Tpm:
    tpm = situation.domain.devices.tpms.add()
    wanted = ("tpm-crb", "tpm-tis") if is_x86(situation) else ("tpm-tis", "tpm-spapr")
    tpm.model = first_offered(situation, "tpm/model", wanted)
    tpm.backend_type, tpm.backend_version = "emulator", "2.0"
    return tpm


def _tpm_refusal(situation: Situation) -> str:
    if len(situation.domain.devices.tpms):
        return N("A VM can have only one TPM, and this one has it.")
    if situation.facts.offers_any("tpm") is False:
        return N("This host's QEMU has no TPM for such a machine.")
    has_any = situation.facts.capabilities.has_tpm or situation.facts.offers_any("tpm") is None
    return "" if has_any else N("The host lacks the program swtpm, which emulates a TPM; install it there.")


_TPM_OPTIONS: tuple[Option[Tpm], ...] = (
    Option(
        "backend",
        N("Kind"),
        N("An emulated TPM moves with the VM and is as safe as the host's disk; the real one belongs to one VM alone."),
        *one_of(_TPM_BACKENDS, Tpm.backend_type, write=_set_tpm_backend, default=None, refuse=_tpm_backend_refusal),
        keywords="swtpm passthrough emulator",
    ),
    Option(
        "model",
        N("Interface"),
        N("How the guest talks to it: CRB for today's systems, TIS for older ones."),
        *one_of(_TPM_MODELS, Tpm.model, path="tpm/model", refuse=_tpm_model_refusal),
        more=True,
        keywords="crb tis",
    ),
    Option(
        "version",
        N("Version"),
        N("Windows 11 wants 2.0; a guest cannot take its secrets from one version to the other."),
        *one_of(_TPM_VERSIONS, Tpm.backend_version, write=_set_tpm_version, path="tpm/backendVersion"),
        shown=when(Tpm.backend_type, "emulator"),
        keywords="1.2 2.0",
    ),
    Option(
        "persistent-state",
        N("Keep its secrets"),
        N("They stay when a VM that exists only while it runs is gone; delete them yourself then."),
        Switch(None),
        *stored(Tpm.persistent_state),
        shown=when(Tpm.backend_type, "emulator"),
        more=True,
    ),
    Option(
        "device",
        N("Device of the host"),
        N("The TPM that the host gives away."),
        HostPath(PathKind.DEVICE),
        *required(Tpm.device_path, "/dev/tpm0"),
        shown=when(Tpm.backend_type, "passthrough"),
    ),
    Option(
        "socket",
        N("Socket"),
        N("Where the program that plays the TPM listens; the VM starts only when it is there."),
        HostPath(PathKind.FILE),
        *required(Tpm.source_path, "/run/swtpm/sock"),
        shown=when(Tpm.backend_type, "external"),
    ),
)

RESOURCES: tuple[Resource[Any], ...] = (
    Resource(
        id="tpm",
        title=N("TPM"),
        group=Group.PERIPHERALS,
        icon="tpm",
        help="tpm",
        nodes=listing(Devices.tpms),
        options=_TPM_OPTIONS,
        summary=lambda _s, tpm: words(label_of(_TPM_BACKENDS, tpm.backend_type), tpm.backend_version),
        keywords="trusted platform module swtpm bitlocker windows 11 security",
        add=_add_tpm,
        remove=dropping(Devices.tpms),
        add_refusal=_tpm_refusal,
    ),
)
