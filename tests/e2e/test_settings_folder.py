"""Folders of the host that a guest really mounts (9p; real QEMU, TCG). One boot."""

from __future__ import annotations

from pathlib import Path

from guivm.engine.options import catalogue
from guivm.engine.options.option import Situation
from guivm.engine.xml.domain import DomainXml
from tests.helpers.guests import sample_guest
from tests.helpers.live_guest import live_guest
from tests.helpers.settings_domains import bare_facts

_GUEST = """
<domain type='qemu'>
  <name>folders</name><memory unit='MiB'>256</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{kernel}</kernel><initrd>{initrd}</initrd><cmdline>{arguments}</cmdline></os>
  <features><acpi/></features><cpu mode='maximum'/>
  <devices><serial type='pty'><target port='0'/></serial></devices>
</domain>"""


def share(domain: DomainXml, folder: Path, **values: str | bool) -> str:
    """Add a folder as the settings do; its tag."""
    resource = catalogue.resource("filesystem")
    assert resource.add is not None
    node = resource.add(Situation(bare_facts(), domain))
    for option in resource.options:
        if option.id == "folder":
            option.set(node, str(folder))
        elif option.id in values:
            option.set(node, values[option.id])
    return str(node.target_dir)


def test_a_guest_reads_and_writes_what_it_may(tmp_path: Path) -> None:
    open_folder, closed_folder = tmp_path / "open", tmp_path / "closed"
    for folder in (open_folder, closed_folder):
        folder.mkdir()
        (folder / "hello").write_text(f"from {folder.name}\n", encoding="ascii")
    built = sample_guest()
    domain = DomainXml.parse(_GUEST.format(kernel=built.kernel, initrd=built.initrd, arguments=built.arguments))
    tags = share(domain, open_folder), share(domain, closed_folder, **{"read-only": True})
    assert len(set(tags)) == 2
    with live_guest(domain.to_text(), tmp_path) as guest:
        guest.run("modprobe -a 9pnet_virtio 9p")
        for tag in tags:
            assert guest.run(f"mkdir -p /{tag}; mount -t 9p -o trans=virtio {tag} /{tag} || echo failed") == ""
        assert guest.run(f"cat /{tags[0]}/hello /{tags[1]}/hello") == "from open\nfrom closed"
        guest.run(f"echo from the guest >/{tags[0]}/answer; sync")
        assert guest.run(f"echo no >/{tags[1]}/answer || echo refused").endswith("refused")
    assert (open_folder / "answer").read_text(encoding="ascii") == "from the guest\n"
    assert sorted(path.name for path in closed_folder.iterdir()) == ["hello"]
