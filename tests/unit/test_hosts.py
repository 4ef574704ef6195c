from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from guivm.engine import hosts
from guivm.errors import HostError


@pytest.mark.parametrize(
    ("uri", "host_id", "label", "local"),
    [
        ("qemu:///session", "qemu:///session", "This computer", True),
        (" QEMU:///session ", "qemu:///session", "This computer", True),
        ("qemu:///system", "qemu:///system", "This computer (system)", True),
        ("qemu:///embed?root=/A/b", "qemu:///embed?root=/A/b", "This computer", True),
        ("qemu+unix:///session?socket=/x/y", "qemu+unix:///session?socket=/x/y", "This computer", True),
        ("test:///default", "test:///default", "Test driver", True),
        ("test:///a/Host.xml", "test:///a/Host.xml", "Test driver", True),
        ("qemu+ssh://Ann@Server.Example/system", "qemu+ssh://Ann@server.example/system", "server.example", False),
        ("qemu+ssh://server:2222/session", "qemu+ssh://server:2222/session", "server (session)", False),
        ("qemu+tls://[2001:db8::1]/system", "qemu+tls://[2001:db8::1]/system", "2001:db8::1", False),
    ],
)
def test_addresses(uri: str, host_id: str, label: str, local: bool) -> None:
    assert hosts.normalise(uri) == host_id
    assert hosts.label_for(host_id) == label
    assert hosts.is_local(host_id) is local


@pytest.mark.parametrize("uri", ["", "  ", "server", "/a/path", "qemu:", "qemu:/x", "://x", "http://x/", "qemu:///a b"])
def test_what_is_no_address(uri: str) -> None:
    with pytest.raises(HostError):
        hosts.normalise(uri)


def test_what_runs_in_our_own_process() -> None:
    assert hosts.is_in_process("test:///default")
    assert hosts.is_in_process("qemu:///embed?root=/x")
    assert not hosts.is_in_process("qemu:///session")
    assert not hosts.is_in_process("test+unix:///default")


def test_an_ordinary_user_has_a_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert hosts.default_uri() == "qemu:///session"


def test_root_uses_the_systems_daemon_when_it_answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    path = tmp_path / "sock"
    monkeypatch.setattr(hosts, "_SYSTEM_SOCKETS", (tmp_path / "absent", path))
    embedded = hosts.default_uri()
    assert hosts.is_embed(embedded)
    root = hosts.embed_root_of(embedded)
    assert root is not None
    assert root.is_dir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        assert hosts.is_embed(hosts.default_uri()), "a socket that nobody listens on is no daemon"
        listener.listen()
        assert hosts.default_uri() == "qemu:///system"


def test_the_embedded_engine_is_configured_before_it_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    root = tmp_path / "with space & more"
    uri = hosts.embed_uri(root)
    assert hosts.embed_root_of(hosts.normalise(uri)) == root
    hosts.prepare_embed(uri)
    conf = root / "etc" / "qemu.conf"
    text = conf.read_text(encoding="utf-8")
    for line in ('user = "root"', 'group = "root"', "remember_owner = 0", 'stdio_handler = "file"'):
        assert line in text
    assert root.stat().st_mode & 0o777 == 0o700
    conf.write_text("changed by the person\n", encoding="utf-8")
    hosts.prepare_embed(uri)
    assert conf.read_text(encoding="utf-8") == "changed by the person\n"


@pytest.mark.parametrize("uri", ["qemu:///embed", "qemu:///embed?root=relative", "qemu:///embed?root="])
def test_an_embedded_engine_without_a_directory_is_refused(uri: str) -> None:
    with pytest.raises(HostError, match="needs a directory"):
        hosts.prepare_embed(uri)


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(HostError) as caught:
        hosts.prepare_embed(hosts.embed_uri(tmp_path / "file" / "root"))
    assert caught.value.details
