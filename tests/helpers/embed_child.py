"""One run of the embedded engine, in a process of its own: ``python -m tests.helpers.embed_child WHAT ROOT``.

The embedded driver admits one process per directory and leaves threads behind in it. Prints one JSON object.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from guivm.engine import requests as rq
from guivm.engine.engine import LibvirtEngine
from guivm.engine.hosts import embed_uri
from guivm.engine.types import HostId, HostState, VmKey, VmState
from guivm.errors import GuivmError
from tests.helpers.recorder import Recorder
from tests.helpers.testdriver import BARE_VM

WAIT_S = 90.0
NAME = "embedded"


class Child:
    def __init__(self, root: Path) -> None:
        self.engine = LibvirtEngine(warm_up=False)
        self.recorder = Recorder()
        self.engine.add_listener(self.recorder)
        self.host: HostId = self.engine.open_host(embed_uri(root))
        self.recorder.wait_for(
            lambda: self.recorder.host_states(self.host)[-1:] in ([HostState.CONNECTED], [HostState.FAILED])
        )

    def do(self, request: rq.Request[Any]) -> Any:
        return self.engine.submit(request).result(WAIT_S)

    def define(self) -> VmKey:
        """A VM with nothing to boot, defined behind the engine's back."""
        import libvirt

        connection = libvirt.open(self.host)
        try:
            domain = connection.defineXML(BARE_VM.format(name=NAME))
            key = VmKey(self.host, domain.UUIDString())
        finally:
            connection.close()
        self.recorder.wait_for_state(key, VmState.OFF)
        return key

    def life(self) -> dict[str, Any]:
        """Every state that needs no guest."""
        key = self.define()
        for verb in (rq.Start, rq.Pause, rq.Resume, rq.SaveState, rq.RestoreState, rq.Reset, rq.ForceOff, rq.Start):
            self.do(verb(key))
        endpoint = self.do(rq.OpenConsole(key))
        greeting = os.read(endpoint.fd, 12)
        os.close(endpoint.fd)
        picture = self.do(rq.TakeScreenshot(key))
        self.do(rq.SetNotes(key, "Notes of a running VM"))
        self.do(rq.ForceOff(key))
        vm = self.engine.vm(key)
        assert vm is not None
        return {
            "states": [state.value for state in self.recorder.states(key)],
            "greeting": greeting.decode("ascii"),
            "picture": [picture.mime, len(picture.data)],
            "notes": vm.notes,
            "conf": (Path(sys.argv[2]) / "etc" / "qemu.conf").exists(),
        }

    def leave(self) -> dict[str, Any]:
        """Start a VM and go."""
        self.do(rq.Start(self.define()))
        return {}

    def find(self) -> dict[str, Any]:
        """What an earlier process left."""
        found = {vm.name: vm.state.value for vm in self.engine.vms(self.host)}
        for vm in self.engine.vms(self.host):
            self.do(rq.ForceOff(vm.key))
        return {"found": found}

    def busy(self) -> dict[str, Any]:
        """Hold the directory until told to go on."""
        print("{}", flush=True)
        sys.stdin.readline()
        return {}

    def look(self) -> dict[str, Any]:
        """How the host presents itself."""
        (info,) = self.engine.hosts()
        try:
            self.do(rq.ReadCapabilities(self.host))
        except GuivmError as error:
            return {"state": info.state.value, "problem": info.problem, "error": str(error)}
        return {"state": info.state.value, "problem": info.problem}


def main() -> None:
    child = Child(Path(sys.argv[2]))
    verbs = {"life": child.life, "leave": child.leave, "find": child.find, "busy": child.busy, "look": child.look}
    answer = verbs[sys.argv[1]]()
    child.engine.stop()
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
