"""QEMU's own guest agent in a Linux guest (TCG), and in one that says it is Windows: identities, disks at rest."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import libvirt
import pytest

from guivm.engine.cloning import identity
from guivm.engine.cloning.agent import Agent, Ended, SilentError
from guivm.engine.initramfs import Cpio
from guivm.engine.requests import ResetIdentity, TakeSnapshot
from guivm.engine.snapshots import handlers as snapshots
from guivm.engine.types import VmKey
from guivm.engine.xml.domain import DomainXml
from guivm.errors import OperationError, UnsupportedError
from guivm.resources import resource_path
from tests.helpers.clone_house import House
from tests.helpers.daemon import SessionDaemon, wait_until
from tests.helpers.guests import sample_guest

MACHINE_ID = "0123456789abcdef0123456789abcdef"

_GUEST = """
<domain type='qemu'>
  <name>{name}</name><memory unit='MiB'>256</memory><vcpu>1</vcpu>
  <metadata>{metadata}</metadata>
  <os><type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{kernel}</kernel><initrd>{initrd}</initrd><cmdline>{arguments}</cmdline></os>
  <features><acpi/></features><cpu mode='maximum'/>
  <devices>
    <disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{disk}'/>
      <target dev='vda' bus='virtio'/></disk>
    <interface type='user'><mac address='52:54:00:00:00:0a'/><model type='virtio'/></interface>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <serial type='pty'><target port='0'/></serial>
  </devices>
</domain>"""

_WINDOWS = (
    "<libosinfo:libosinfo xmlns:libosinfo='http://libosinfo.org/xmlns/libvirt/domain/1.0'>"
    "<libosinfo:os id='http://microsoft.com/win/11'/></libosinfo:libosinfo>"
)

_MOUNT = """
n=0
while [ ! -b /dev/vda ] && [ $n -lt 100 ]; do usleep 100000; n=$((n+1)); done
mount -t ext4 /dev/vda /mnt && mount -o bind /mnt/etc /etc
"""

# Its owner forbids guest-exec, as some distributions do, until /run/go is there.
_BLOCKED = r"""
mkdir -p /etc/qemu; printf '[general]\nblock-rpcs=guest-exec\n' >/etc/qemu/qemu-ga.conf; sleep 1; killall qemu-ga
while [ ! -e /run/go ]; do sleep 1; done; rm -r /etc/qemu; killall qemu-ga
"""

# Names with backslashes are ordinary names to Linux. /run is empty after a restart.
_PROGRAMS = {
    "C:\\Windows\\System32\\Sysprep\\sysprep.exe": """#!/bin/sh
echo "$* $(cat /sys/class/net/eth0/carrier)" >>/mnt/sysprep
echo IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE >/mnt/state; touch /run/sealed; sync
""",
    "C:\\Windows\\System32\\reg.exe": """#!/bin/sh
[ -e /run/sealed ] || echo IMAGE_STATE_COMPLETE >/mnt/state
printf '\\r\\n    ImageState    REG_SZ    %s\\r\\n' "$(cat /mnt/state)"
""",
}


def initrd(path: Path) -> Path:
    """The sample guest's, with its settings on a disk, ``ssh-keygen`` and what stands for programs of Windows."""
    more = Cpio()
    init = resource_path("sample-guest/init").read_text()
    before, name, after = init.partition("hostname -F")
    assert name
    more.add_file("init", f"{before}{_MOUNT}{name}{after}".encode(), 0o755)
    program = shutil.which("ssh-keygen")
    assert program
    more.add_file("bin/ssh-keygen", Path(program).read_bytes(), 0o755)
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    for library in re.findall(r"=> (/\S+)", listed):
        more.add_file(f"lib/x86_64-linux-gnu/{Path(library).name}", Path(library).read_bytes(), 0o755)
    for word, text in _PROGRAMS.items():
        more.add_file(f"bin/{word}", text.encode(), 0o755)
    base = sample_guest().initrd.read_bytes()
    path.write_bytes(base + bytes(-len(base) % 4) + more.to_bytes())
    return path


class Stage:
    """Guests with an agent, on a host."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.initrd = initrd(house.folder / "initrd")

    def define(self, *, windows: bool = False) -> VmKey:
        tree = self.house.folder / "tree"
        shutil.copytree(resource_path("sample-guest/etc"), tree / "etc")
        (tree / "etc/machine-id").write_text(f"{MACHINE_ID}\n")
        (tree / "etc/ssh").mkdir()
        (tree / "etc/ssh/ssh_host_ed25519_key").write_text("the source's")
        if windows:
            (tree / "etc/os-release").write_text("ID=mswindows\n")
        disk = self.house.images / "source.img"
        command = ["mke2fs", "-q", "-t", "ext4", "-d", os.fspath(tree), "-E", "root_owner=0:0", os.fspath(disk), "16M"]
        subprocess.run(command, check=True, env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"})
        built = sample_guest()
        xml = _GUEST.format(
            name="source", metadata=_WINDOWS if windows else "", kernel=built.kernel, initrd=self.initrd,
            arguments=built.arguments, disk=disk,
        )  # fmt: skip
        return VmKey(self.house.host, self.house.connection.defineXML(xml).UUIDString())

    def inside(self, key: VmKey, command: str) -> str:
        """What a shell command prints, in the guest."""
        agent = Agent(self.house.domain(key))
        pid = agent.start("/bin/sh", ("-c", command))
        ended: list[Ended] = []

        def has_ended() -> bool:
            state = agent.ended(pid)
            ended.extend([] if state is None else [state])
            return bool(ended)

        wait_until(has_ended, command)
        return ended[0].said.strip()

    def wait_for_agent(self, key: VmKey) -> None:
        def answers() -> bool:
            try:
                return bool(Agent(self.house.domain(key)).system())
            except UnsupportedError:
                return False

        wait_until(answers, "the agent", 90)

    def runs_programs(self, key: VmKey) -> bool | None:
        """None: it does not answer."""
        try:
            return Agent(self.house.domain(key)).runs_programs()
        except SilentError:
            return None

    def links(self, key: VmKey) -> list[str | None]:
        """By the definition and by the running VM."""
        domain = self.house.domain(key)
        texts = (domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE), domain.XMLDesc(0))
        return [nic.link_state for text in texts for nic in DomainXml.parse(text).devices.interfaces]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with SessionDaemon() as daemon:
        connection = libvirt.open(daemon.uri)
        yield Stage(House(connection, tmp_path))
        for domain in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
            domain.destroy()
        connection.close()


def test_a_linux_clone_becomes_another_and_is_snapshot_at_rest(stage: Stage) -> None:
    house = stage.house
    source = stage.define()
    before = (house.images / "source.img").read_bytes()
    made = house.clone(source, "A copy")
    house.domain(made.key).create()
    stage.wait_for_agent(made.key)
    stage.inside(made.key, f"({_BLOCKED}) >/dev/null 2>&1 &")
    wait_until(lambda: stage.runs_programs(made.key) is False, "an agent that may not run programs")
    with pytest.raises(OperationError) as caught:
        identity.reset_if_due(house.context, made.key)
    assert "guest-exec" in caught.value.advice
    assert "guest-exec" in (house.document(made.key).metadata.settings.identity_why or ""), (
        "it is told until it is done"
    )
    Agent(house.domain(made.key)).ask({"execute": "guest-file-open", "arguments": {"path": "/run/go", "mode": "w"}})
    wait_until(lambda: stage.runs_programs(made.key) is True, "an agent that may")
    assert "of its own" in identity.reset_again(house.context, ResetIdentity(made.key))[0]
    assert identity.reset_if_due(house.context, made.key) is None, "once"
    assert house.document(made.key).metadata.settings.identity_why is None
    assert stage.inside(made.key, "cat /etc/hostname; hostname").split() == ["a-copy", "a-copy"]
    new_id = stage.inside(made.key, "cat /mnt/etc/machine-id")
    assert re.fullmatch("[0-9a-f]{32}", new_id)
    assert new_id != MACHINE_ID
    assert "OPENSSH PRIVATE KEY" in stage.inside(made.key, "head -1 /mnt/etc/ssh/ssh_host_ed25519_key")
    assert (house.images / "source.img").read_bytes() == before

    disk = house.disk(made.key)
    snapshots.take_snapshot(house.context, TakeSnapshot(made.key, "at rest", memory=False, quiesce=True))
    assert house.disk(made.key) != disk
    told = subprocess.run(["/usr/sbin/dumpe2fs", "-h", disk], capture_output=True, text=True, check=True).stdout
    assert "needs_recovery" not in told, "the file system was not at rest"
    assert stage.inside(made.key, "echo on >/mnt/written && cat /mnt/written") == "on", "it goes on"


def test_windows_is_disconnected_until_sysprep_has_ended(stage: Stage) -> None:
    house = stage.house
    made = house.clone(stage.define(windows=True), "A copy")
    assert any("Sysprep" in remark for remark in made.remarks)
    house.domain(made.key).create()
    assert stage.links(made.key) == ["down", "down"]
    stage.wait_for_agent(made.key)
    assert identity.reset_if_due(house.context, made.key) is None, "it restarts"
    assert stage.links(made.key) == ["up", "down"]
    results: list[identity.Reset] = []

    def is_done() -> bool:
        results.extend(filter(None, [identity.reset_if_due(house.context, made.key)]))
        return bool(results)

    wait_until(is_done, "the second start", 90)
    assert stage.links(made.key) == ["up", "up"]
    assert stage.inside(made.key, "cat /mnt/sysprep") == "/generalize /oobe /quit /quiet 0"
    assert stage.inside(made.key, "cat /sys/class/net/eth0/carrier") == "1"
    assert house.document(made.key).metadata.settings.identity_host_name is None
