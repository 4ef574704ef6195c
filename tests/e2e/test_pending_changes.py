"""What virsh stores beside the running application is seen: nobody asks for it, and libvirt has no event for it."""

from __future__ import annotations

from tests.helpers.desk import Desk
from tests.helpers.testdriver import BARE_VM

NAME = "a name with.xml"
_VM = f"next(vm for vm in app.engine.vms(app.engine.hosts()[0].id) if vm.name == {NAME!r})"
_SPOKEN = "window.table.index(0, 0).data(QtCore.Qt.ItemDataRole.AccessibleTextRole)"


def test_the_number_of_changes_that_virsh_stored_comes_and_goes(desk: Desk) -> None:
    xml = desk.files / "vm.xml"
    xml.write_text(BARE_VM.format(name=NAME), encoding="ascii")
    desk.virsh("define", str(xml))
    desk.virsh("start", NAME)
    with desk.open_app() as app:
        app.wait(f"{_VM}.state.value == 'running'")
        app.run(f"window.select_vm({_VM}.key)")
        app.run(  # neither the window's focus nor a question of ours may be what finds it
            "app.submitted = []\n"
            "submit = app.engine.submit\n"
            "app.engine.submit = lambda request: (app.submitted.append(type(request).__name__), submit(request))[1]"
        )
        # The directory is watched some time after the list is complete.
        app.wait("any(host._connection._shared.link._definitions for host in app.engine._hosts.values())")
        assert app.eval(f"{_VM}.pending") == 0
        assert app.eval("find('pending-badge').isHidden()")

        desk.virsh("setvcpus", NAME, "3", "--config", "--maximum")
        app.wait(f"{_VM}.pending == 1")
        app.wait("shown('pending-badge') and find('pending-badge').count == 1")
        app.wait(f"'1 change waits' in {_SPOKEN}")
        desk.virsh("setvcpus", NAME, "1", "--config", "--maximum")
        app.wait(f"{_VM}.pending == 0")
        app.wait("find('pending-badge').isHidden()")

        desk.virsh("autostart", NAME)
        app.wait(f"{_VM}.autostart")
        desk.virsh("autostart", "--disable", NAME)
        app.wait(f"not {_VM}.autostart")

        desk.virsh("destroy", NAME)
        app.wait(f"{_VM}.state.value == 'off'")
        desk.virsh("setvcpus", NAME, "2", "--config", "--maximum")
        desk.virsh("setvcpus", NAME, "2", "--config")
        app.wait(f"{_VM}.vcpus == 2")
        assert app.eval(f"{_VM}.pending") == 0
        assert "ReadPending" not in app.eval("app.submitted")
        assert app.close() == 0
    desk.virsh("undefine", NAME)
