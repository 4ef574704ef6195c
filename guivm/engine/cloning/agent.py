"""The guest's agent as far as clones need it: what it is asked, and programs that it runs. Worker only.

Its answers are the guest's words: hostile. Commands: QEMU ``qga/qapi-schema.json``.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guivm.engine.libvirt_errors import code_of, is_connection_lost, text_of
from guivm.errors import UnsupportedError
from guivm.text import clean_block

if TYPE_CHECKING:
    import libvirt

_ANSWER_S = 10
_MAX_TEXT = 4096
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


class SilentError(UnsupportedError):
    """The agent does not answer now; it may later."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A program of the guest that has ended. ``said``: the end of its output, or of its errors when there is none."""

    exit_code: int | None
    said: str


class Agent:
    """The guest's agent. ``call`` takes and gives the text of a command and its answer; default: by libvirt."""

    def __init__(self, domain: libvirt.virDomain, call: Callable[[str], str] | None = None) -> None:
        self._domain = domain
        self._call = call or self._by_libvirt

    def ask(self, command: Mapping[str, object]) -> object:
        """Raises SilentError, UnsupportedError when it refuses or does not know the command, libvirtError."""
        import libvirt

        try:
            answer = json.loads(self._call(json.dumps(command)))
            return answer["return"]
        except libvirt.libvirtError as error:
            if is_connection_lost(error):
                raise
            if code_of(error) in (libvirt.VIR_ERR_AGENT_UNRESPONSIVE, libvirt.VIR_ERR_AGENT_UNSYNCED):
                raise SilentError("The guest's agent does not answer.", details=text_of(error)) from error
            raise UnsupportedError("The guest's agent does not do that.", details=text_of(error)) from error
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise UnsupportedError("The guest's agent answers nonsense.", details=str(error)) from error

    def _by_libvirt(self, command: str) -> str:
        import libvirt_qemu

        return str(libvirt_qemu.qemuAgentCommand(self._domain, command, _ANSWER_S, 0))

    def system(self) -> str:
        """ "mswindows" for Windows, else the ID of os-release(5); empty when it does not say. Raises as :meth:`ask`."""
        told = self.ask({"execute": "guest-get-osinfo"})
        found = told.get("id") if isinstance(told, dict) else None
        return found if isinstance(found, str) else ""

    def runs_programs(self) -> bool:
        """Whether its owner lets it run programs; some distributions do not. Raises as :meth:`ask`."""
        told = self.ask({"execute": "guest-info"})
        commands = told.get("supported_commands") if isinstance(told, dict) else None
        named = {"guest-exec": True, "guest-exec-status": True}
        for each in commands if isinstance(commands, list) else ():
            if isinstance(each, dict) and each.get("name") in named and each.get("enabled") is False:
                return False
        return True

    def start(self, path: str, arguments: tuple[str, ...], *, typed: str = "") -> int:
        """Run a program of the guest; answers its process. ``typed``: ASCII for it to read. Raises as :meth:`ask`."""
        given: dict[str, object] = {"path": path, "arg": list(arguments), "capture-output": True}
        if typed:
            given["input-data"] = base64.b64encode(typed.encode("ascii")).decode("ascii")
        begun = self.ask({"execute": "guest-exec", "arguments": given})
        pid = begun.get("pid") if isinstance(begun, dict) else None
        if not isinstance(pid, int) or isinstance(pid, bool):
            raise UnsupportedError("The guest's agent answers nonsense.", details="no process")
        return pid

    def ended(self, pid: int) -> Ended | None:
        """None while it runs. The agent tells it once. Raises as :meth:`ask`, also for a process it does not know."""
        state = self.ask({"execute": "guest-exec-status", "arguments": {"pid": pid}})
        if not isinstance(state, dict):
            raise UnsupportedError("The guest's agent answers nonsense.", details="no state")
        if state.get("exited") is not True:
            return None
        code = state.get("exitcode")
        said = _decoded(state.get("out-data")) or _decoded(state.get("err-data"))
        return Ended(code if isinstance(code, int) else None, said)


def _decoded(data: object) -> str:
    try:
        raw = base64.b64decode(data if isinstance(data, str) else "")
    except ValueError:
        return ""
    text = raw.decode("utf-16" if raw.startswith(_UTF16_MARKS) else "utf-8", "replace")
    return clean_block(text[-_MAX_TEXT:], _MAX_TEXT)
