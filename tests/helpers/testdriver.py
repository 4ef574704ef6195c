"""VMs for tests, and host files for libvirt's test driver.

``test:///FILE`` is a host in our own process, private to each connection.
The elements of the namespace ``http://libvirt.org/schemas/domain/test/1.0`` are read by ``src/test/test_driver.c``.
"""

from __future__ import annotations

import uuid as uuidlib
from pathlib import Path
from xml.sax.saxutils import escape

from guivm.engine.types import VmState

# virDomainState
_RUN_STATES = {VmState.RUNNING: 1, VmState.PAUSED: 3, VmState.OFF: 5, VmState.SAVED: 5, VmState.CRASHED: 6}

# A real VM (software emulation) that boots nothing. {name}: its name.
BARE_VM = """
<domain type='qemu'>
  <name>{name}</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features>
  <devices>
    <graphics type='vnc'><listen type='none'/></graphics><video><model type='vga'/></video>
  </devices>
</domain>"""


def uuid_of(name: str) -> str:
    """The UUID that :func:`domain` gives a VM of this name."""
    return str(uuidlib.uuid5(uuidlib.NAMESPACE_DNS, name))


def domain(
    name: str,
    state: VmState = VmState.OFF,
    *,
    title: str = "",
    notes: str = "",
    memory_mib: int = 512,
    vcpus: int = 2,
    graphics: str = "vnc",
) -> str:
    saved = "<test:hasmanagedsave/>" if state is VmState.SAVED else ""
    return f"""
<domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>
  <name>{escape(name)}</name><uuid>{uuid_of(name)}</uuid>
  <title>{escape(title)}</title><description>{escape(notes)}</description>
  <memory unit='MiB'>{memory_mib}</memory><vcpu>{vcpus}</vcpu>
  <os><type arch='x86_64'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/><source file='/images/{uuid_of(name)}.qcow2'/><target dev='vda' bus='virtio'/>
    </disk>
    <interface type='user'><mac address='52:54:00:12:34:56'/><model type='virtio'/></interface>
    {f"<graphics type='{graphics}' port='-1'/>" if graphics else ""}
    <video><model type='vga'/></video>
  </devices>
  <test:runstate>{_RUN_STATES[state]}</test:runstate>{saved}
</domain>"""


def write_host(path: Path, *domains: str) -> str:
    """Write the file; answers the URI."""
    path.write_text(f"<node>{''.join(domains)}</node>", encoding="utf-8")
    return f"test://{path}"
