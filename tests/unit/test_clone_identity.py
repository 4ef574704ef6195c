"""What a clone's guest is told to do about its identity. The script is run by a real shell, in folders of its own."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as some

from guivm.engine.cloning import identity
from guivm.engine.cloning.agent import Agent
from guivm.engine.cloning.due import due_of
from guivm.engine.cloning.identity import host_name_for, linux_script, run_script
from guivm.engine.cloning.offline import command_for
from guivm.engine.reader import parse_domain
from guivm.engine.types import IdentityDue, IdentityState
from guivm.engine.xml.domain import DomainXml
from guivm.errors import OperationError

AGENT = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"


@given(some.text(max_size=80))
def test_any_name_gives_a_host_name_that_a_shell_cannot_misread(name: str) -> None:
    host = host_name_for(name)
    assert all(c in "abcdefghijklmnopqrstuvwxyz0123456789-" for c in host)
    assert len(host) <= 63
    assert host == host.strip("-")
    assert f"new='{host}'" in linux_script(host)


def test_names_become_what_one_would_expect() -> None:
    assert host_name_for("Débian 12 (Kopie)") == "debian-12-kopie"
    assert host_name_for("日本") == ""
    with pytest.raises(ValueError, match="host name"):
        linux_script("a'; reboot; '")


@pytest.fixture
def guest(tmp_path: Path) -> Path:
    """A guest's folders, and programs that only say that they were called."""
    for name in ("etc/ssh", "etc/udev/rules.d", "var/lib/dbus", "var/lib/dhcp", "var/lib/systemd/network", "bin"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    (tmp_path / "var/lib/dbus/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    (tmp_path / "etc/hostname").write_text("old.host\n")
    (tmp_path / "etc/hosts").write_text("127.0.0.1 localhost\n127.0.1.1 old.host oldxhost\told.host\n")
    for kind in ("rsa", "ed25519"):
        (tmp_path / f"etc/ssh/ssh_host_{kind}_key").write_text("old")
        (tmp_path / f"etc/ssh/ssh_host_{kind}_key.pub").write_text("old")
    (tmp_path / "etc/ssh/sshd_config").write_text("kept")
    (tmp_path / "var/lib/dhcp/dhclient.eth0.leases").write_text("lease")
    (tmp_path / "var/lib/systemd/random-seed").write_text("seed")
    programs = {
        "systemctl": "exit 0",
        "systemd-machine-id-setup": "echo 0123456789abcdef >/etc/machine-id",
        "ssh-keygen": "echo new >/etc/ssh/ssh_host_ed25519_key",
        "cloud-init": "exit 0",
        "dbus-uuidgen": "exit 0",
        "hostname": "exit 0",
    }
    for name, does in programs.items():
        path = tmp_path / "bin" / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>"{tmp_path}/called"\n{does}\n')
        path.chmod(0o755)
    return tmp_path


def run_in(guest: Path, script: str) -> subprocess.CompletedProcess[str]:
    """By a shell that sees the guest's /etc and /var/lib, in namespaces of its own."""
    inside = f'mount --bind "{guest}/etc" /etc && mount --bind "{guest}/var/lib" /var/lib && exec /bin/sh -s'
    return subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "--uts", "--", "/bin/sh", "-c", inside],
        input=script,
        env={"PATH": f"{guest}/bin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_a_linux_guest_gets_an_identity_of_its_own(guest: Path) -> None:
    done = run_in(guest, linux_script("copy"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (guest / "etc/machine-id").read_text() == "0123456789abcdef\n"
    assert not (guest / "var/lib/dbus/machine-id").exists()
    assert {path.name for path in (guest / "etc/ssh").iterdir()} == {"ssh_host_ed25519_key", "sshd_config"}
    assert (guest / "etc/ssh/ssh_host_ed25519_key").read_text() == "new\n"
    assert (guest / "etc/hostname").read_text() == "copy\n"
    assert (guest / "etc/hosts").read_text() == "127.0.0.1 localhost\n127.0.1.1 copy oldxhost\tcopy\n"
    assert not list((guest / "var/lib/dhcp").iterdir())
    assert not (guest / "var/lib/systemd/network").exists()
    called = (guest / "called").read_text().splitlines()
    assert "cloud-init clean --logs" in called
    assert "ssh-keygen -A" in called


def test_what_a_guest_cannot_do_is_told(guest: Path) -> None:
    (guest / "bin/ssh-keygen").write_text("#!/bin/sh\nexit 1\n")
    (guest / "bin/cloud-init").write_text("#!/bin/sh\nexit 1\n")
    done = run_in(guest, linux_script("copy"))
    assert (done.returncode, done.stdout.splitlines()) == (0, ["SSH host keys", "cloud-init"])


def test_a_guest_without_anything_is_left_alone(guest: Path) -> None:
    for name in ("etc/machine-id", "etc/hostname", "etc/hosts", "var/lib/systemd/random-seed"):
        (guest / name).unlink()
    for path in (guest / "etc/ssh").iterdir():
        path.unlink()
    done = run_in(guest, linux_script(""))
    assert (done.returncode, done.stdout) == (0, "")
    assert not (guest / "etc/hostname").exists()


# --- through the agent ------------------------------------------------------------------------------------


def agent_of(answer: Callable[[dict[str, Any]], object]) -> Agent:
    return Agent(cast(Any, None), lambda command: json.dumps({"return": answer(json.loads(command))}))


def test_the_agent_runs_the_script_and_tells_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "_LOOK_S", 0.0)
    asked: list[dict[str, Any]] = []

    def answer(command: dict[str, Any]) -> object:
        if command["execute"] == "guest-info":
            return {"supported_commands": [{"name": "guest-exec", "enabled": True}]}
        asked.append(command)
        if command["execute"] == "guest-exec":
            return {"pid": 7}
        if len(asked) < 3:
            return {"exited": False}
        return {
            "exited": True,
            "exitcode": 0,
            "out-data": base64.b64encode("cloud-init\n\x1b[31m\u202ex\n".encode()).decode(),
        }

    assert run_script(agent_of(answer), "copy") == ("cloud-init", "[31mx")
    begun = asked[0]["arguments"]
    assert (begun["path"], begun["arg"]) == ("/bin/sh", ["-s"])
    assert base64.b64decode(begun["input-data"]).decode() == linux_script("copy")
    assert [command["arguments"] for command in asked[1:]] == [{"pid": 7}, {"pid": 7}]


@pytest.mark.parametrize(
    "answers",
    [
        ([], {}),
        ({"pid": "7"}, {}),
        ({"pid": 7}, []),
        ({"pid": 7}, {"exited": True, "exitcode": 1, "err-data": "!!!"}),
        ({"pid": 7}, {"exited": True}),
    ],
)
def test_an_agent_that_fails_or_talks_nonsense_is_an_error(answers: tuple[object, object]) -> None:
    with pytest.raises(OperationError, match="identity of its own"):
        run_script(agent_of(lambda command: answers[command["execute"] == "guest-exec-status"]), "copy")


def test_an_agent_that_may_not_run_programs_is_said_so() -> None:
    with pytest.raises(OperationError, match="identity of its own") as caught:
        run_script(agent_of(lambda _: {"supported_commands": [{"name": "guest-exec", "enabled": False}]}), "copy")
    assert "guest-exec" in caught.value.advice
    assert "machine-id" in caught.value.advice
    assert "guest-exec" in caught.value.details, "which is kept as the reason"


# --- which way --------------------------------------------------------------------------------------------


def domain(devices: str = "", metadata: str = "", features: str = "") -> DomainXml:
    return DomainXml.parse(
        f"<domain><name>n</name><metadata>{metadata}</metadata><os><type>hvm</type></os>"
        f"<features>{features}</features><devices>{devices}</devices></domain>"
    )


WINDOWS = (
    "<libosinfo:libosinfo xmlns:libosinfo='http://libosinfo.org/xmlns/libvirt/domain/1.0'>"
    "<libosinfo:os id='http://microsoft.com/win/11'/></libosinfo:libosinfo>"
)


def test_who_does_it() -> None:
    assert identity.waits_for_agent(domain(AGENT))
    assert not identity.waits_for_agent(domain())
    assert identity.waits_for_agent(domain(AGENT, WINDOWS))
    assert not identity.waits_for_agent(domain(AGENT + "<interface type='hostdev'/>", WINDOWS))
    assert "Sysprep" in identity.steps_by_hand(domain(AGENT, WINDOWS))
    assert "Sysprep" in identity.steps_by_hand(domain(features="<hyperv><relaxed state='on'/></hyperv>"))
    assert "machine-id" in identity.steps_by_hand(domain())


def test_sysprep_is_given_arguments_and_no_shell() -> None:
    command = command_for("copy", (("/i/a b.qcow2", "qcow2"), ("/i/--x.img", "raw")))
    assert command[0] == "virt-sysprep"
    assert command[-8:] == ("--format", "qcow2", "-a", "/i/a b.qcow2", "--format", "raw", "-a", "/i/--x.img")
    assert command[command.index("--hostname") : command.index("--hostname") + 2] == ("--hostname", "copy")
    assert "--hostname" not in command_for("", (("/i/a", "raw"),))


# --- what the list tells of it ----------------------------------------------------------------------------


def due(attributes: str, other: str = "", features: str = "") -> IdentityDue | None:
    kept = f"<g:settings xmlns:g='https://guivm.org/xmlns/domain/1'><g:identity {attributes}/></g:settings>"
    return due_of(parse_domain(domain(metadata=kept + other, features=features).to_text()))


def test_what_is_due_is_told_with_the_reason_and_the_steps() -> None:
    assert due_of(parse_domain(domain().to_text())) is None
    assert due("stage='failed'") is None, "without a name nothing is due"
    waits = due("hostName='n'")
    assert waits is not None
    assert (waits.state, waits.why) == (IdentityState.WAITS, "")
    assert "machine-id" in waits.steps
    for attributes in ("stage='failed' why='x\u202ey'", "stage='by-hand' why='xy'", "why='xy'"):
        failed = due(f"hostName='n' {attributes}", WINDOWS)
        assert failed is not None
        assert (failed.state, failed.why) == (IdentityState.FAILED, "xy")
        assert "Sysprep" in failed.steps
    for stage in ("runs", "sealed"):
        runs = due(f"hostName='n' stage='{stage}'", features="<hyperv mode='custom'/>")
        assert runs is not None
        assert runs.state is IdentityState.RUNS
        assert "Sysprep" in runs.steps
