"""States in words and shapes. The words are translated; the shapes are names in ``resources/icons``."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication

from guivm.engine.types import HostState, IdentityState, VmInfo, VmState
from guivm.views import formats
from guivm.views.actions import N

_VM_WORDS = {
    VmState.RUNNING: N("States", "Running"),
    VmState.PAUSED: N("States", "Paused"),
    VmState.SUSPENDED: N("States", "Asleep"),
    VmState.SHUTTING_DOWN: N("States", "Shutting down"),
    VmState.OFF: N("States", "Off"),
    VmState.SAVED: N("States", "Saved"),
    VmState.CRASHED: N("States", "Crashed"),
    VmState.UNKNOWN: N("States", "Unknown"),
}

_VM_SENTENCES = {
    VmState.RUNNING: N("States", "The virtual machine is running."),
    VmState.PAUSED: N("States", "Its processors stand still; memory is kept."),
    VmState.SUSPENDED: N("States", "The guest itself went to sleep."),
    VmState.SHUTTING_DOWN: N("States", "The guest is shutting down."),
    VmState.OFF: N("States", "The virtual machine is switched off."),
    VmState.SAVED: N("States", "Switched off with its memory on disk; Start continues from there."),
    VmState.CRASHED: N("States", "The virtual machine stopped by a fault."),
    VmState.UNKNOWN: N("States", "Its host does not answer, so its state is not known."),
}

_START_ADVICE = {
    VmState.OFF: N("States", "Press Start to switch it on."),
    VmState.SAVED: N("States", "Its memory is kept on disk. Press Start to continue where it stopped."),
    VmState.CRASHED: N("States", "Press Start to switch it on again."),
}

_HOST_WORDS = {
    HostState.CONNECTING: N("States", "Connecting…"),
    HostState.CONNECTED: N("States", "Connected"),
    HostState.RECONNECTING: N("States", "Reconnecting…"),
    HostState.FAILED: N("States", "Not connected"),
    HostState.CLOSED: N("States", "Disconnected"),
}

# Order in which states sort: what works first.
_RANK = (
    VmState.RUNNING,
    VmState.SHUTTING_DOWN,
    VmState.PAUSED,
    VmState.SUSPENDED,
    VmState.SAVED,
    VmState.CRASHED,
    VmState.OFF,
    VmState.UNKNOWN,
)
_RANK_OF = {state: rank for rank, state in enumerate(_RANK)}


_TEMPLATE = N("States", "Template")
_TEMPLATE_MEANS = N("States", "It is there to be cloned, and neither started nor changed.")
_DISPOSABLE = N("States", "disposable")
_IDENTITY = N("States", "identity not its own")
_DISPOSABLE_MEANS = N("States", "Everything is thrown away at power-off.")


def state_word(state: VmState) -> str:
    return QCoreApplication.translate("States", _VM_WORDS[state])


def vm_word(vm: VmInfo) -> str:
    """Its state in a word; of a template that it is one."""
    return QCoreApplication.translate("States", _TEMPLATE) if rests_as_template(vm) else state_word(vm.state)


def vm_words(vm: VmInfo) -> str:
    """The same, whether its run is thrown away, and whether a person has to see to its guest's identity."""
    words = [vm_word(vm)]
    if vm.is_disposable:
        words.append(QCoreApplication.translate("States", _DISPOSABLE))
    if vm.identity is not None and vm.identity.state is IdentityState.FAILED:
        words.append(QCoreApplication.translate("States", _IDENTITY))
    return " · ".join(words)


def titled_name(vm: VmInfo, *, with_state: bool = True) -> str:
    """Its name for the title of what shows it alone: with what must not be overlooked."""
    state = [] if vm.state is VmState.RUNNING or not with_state else [vm_word(vm)]
    kind = [QCoreApplication.translate("States", _DISPOSABLE)] if vm.is_disposable else []
    words = ", ".join((*state, *kind))
    return f"{vm.name} ({words})" if words else vm.name


def kind_sentence(vm: VmInfo) -> str:
    """What a person must know of a VM that is not as others are, beside the word for that; empty of most."""
    if vm.is_disposable:
        return QCoreApplication.translate("States", _DISPOSABLE_MEANS)
    return QCoreApplication.translate("States", _TEMPLATE_MEANS) if vm.is_template else ""


def rests_as_template(vm: VmInfo) -> bool:
    """Whether being a template says more of it than its state."""
    return vm.is_template and vm.state in _START_ADVICE


def state_sentence(vm: VmInfo) -> str:
    """Why the VM is in its state where the host said so, else what the state means."""
    if rests_as_template(vm):
        return kind_sentence(vm)
    return vm.reason or QCoreApplication.translate("States", _VM_SENTENCES[vm.state])


def can_start(vm: VmInfo) -> bool:
    """Whether Start is what a person would do next."""
    return vm.state in _START_ADVICE and not vm.is_template


def idle_sentence(vm: VmInfo) -> str:
    """What a page says whose VM has nothing to show: what to do, and why it came to that."""
    if not can_start(vm):
        return state_sentence(vm)
    advice = QCoreApplication.translate("States", _START_ADVICE[vm.state])
    return f"{vm.reason} {advice}".strip() if vm.state is VmState.CRASHED else advice


def pending_sentence(count: int) -> str:
    """How many changes wait for a VM's next start; empty for none."""
    if not count:
        return ""
    return formats.counted(
        count,
        QCoreApplication.translate("States", "{n} change waits for the next start"),
        QCoreApplication.translate("States", "{n} changes wait for the next start"),
    )


def state_icon_name(state: VmState) -> str:
    return f"state-{state.value}"


def vm_icon_name(vm: VmInfo) -> str:
    """The shape that goes with :func:`vm_word`."""
    return "template" if rests_as_template(vm) else state_icon_name(vm.state)


def state_rank(state: VmState) -> int:
    """Place of a state when VMs are sorted by state."""
    return _RANK_OF[state]


def host_word(state: HostState) -> str:
    return QCoreApplication.translate("States", _HOST_WORDS[state])
