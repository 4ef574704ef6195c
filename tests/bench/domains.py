"""Host files for libvirt's test driver (``test:///FILE``) with any number of complete small domains.

Format: https://libvirt.org/drvtest.html and libvirt's ``src/test/test_driver.c``: a ``<node>`` of ``<domain>`` elements
written out; ``runstate`` in the driver's own namespace takes a virDomainState (1 running, 5 shut off). Each domain has
what a small server has: processor, memory, disk, network card, VNC, video. The driver lives in the program that opens
it, so that program's time and memory include parsing and keeping every domain.
"""

from __future__ import annotations

import uuid
from pathlib import Path

_NAMESPACE = uuid.UUID("6f1d2f0e-8f0c-5f43-9d4e-3a1f6c0a7b52")

_DOMAIN = """\
  <domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>
    <name>{name}</name>
    <uuid>{uuid}</uuid>
{words}    <memory unit='MiB'>{memory}</memory>
    <vcpu>{vcpus}</vcpu>
    <os><type arch='x86_64' machine='q35'>hvm</type><boot dev='hd'/></os>
    <features><acpi/><apic/></features>
    <devices>
      <disk type='file' device='disk'>
        <driver name='qemu' type='qcow2'/>
        <source file='/guests/{name}.qcow2'/>
        <target dev='vda' bus='virtio'/>
      </disk>
      <interface type='user'><mac address='{mac}'/><model type='virtio'/></interface>
      <graphics type='vnc' port='-1' autoport='yes'/>
      <video><model type='virtio' heads='1'/></video>
    </devices>
    <test:runstate>{state}</test:runstate>
  </domain>
"""


def domain_xml(number: int) -> str:
    """The domain of that number: every second one runs, every tenth has a title and a description."""
    words = ""
    if number % 10 == 0:
        words = (
            f"    <title>Service {number}</title>\n"
            f"    <description>Number {number} of the generated machines.\nA second line of notes.</description>\n"
        )
    return _DOMAIN.format(
        name=f"guest-{number:05d}",
        uuid=uuid.uuid5(_NAMESPACE, str(number)),
        words=words,
        memory=(512, 1024, 2048, 4096)[number % 4],
        vcpus=1 + number % 4,
        mac=f"52:54:00:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}",
        state=1 if number % 2 == 0 else 5,
    )


def write_host_file(path: Path, domains: int) -> str:
    """Write the file; returns the URI that opens it."""
    path.write_text("<node>\n" + "".join(domain_xml(number) for number in range(domains)) + "</node>\n", "utf-8")
    return f"test://{path}"
