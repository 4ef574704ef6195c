"""What becomes of running VMs when their host shuts down, read from files as distributions have them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from guivm.engine.options import system
from guivm.engine.options.facts import OnHostShutdown
from guivm.engine.options.text import show
from guivm.engine.settings import host_shutdown
from guivm.engine.xml.domain import DomainXml
from tests.helpers.machine_settings import situation_of
from tests.helpers.settings_domains import EMPTY

OLD, NEW = (9, 0, 0), (11, 2, 0)
Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a file of a computer that has none yet."""
    monkeypatch.setattr(host_shutdown, "_SYSTEM_CONFIG", tmp_path / "qemu.conf")
    monkeypatch.setattr(host_shutdown, "_DEFAULTS", (tmp_path / "default",))
    monkeypatch.setattr(host_shutdown, "_SCRIPTS", (tmp_path / "script",))
    monkeypatch.setattr(host_shutdown, "_WANTS", (tmp_path,))

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write


def of_system(version: tuple[int, ...] = OLD) -> OnHostShutdown:
    return host_shutdown.on_host_shutdown(is_session=False, version=version)


def of_session(version: tuple[int, ...], config: Path) -> OnHostShutdown:
    return host_shutdown.on_host_shutdown(is_session=True, version=version, config=config)


def test_without_the_service_the_systems_vms_are_ended(write: Write) -> None:
    write("default", "ON_SHUTDOWN=suspend\n")
    assert of_system() is OnHostShutdown.OFF


def test_the_service_does_as_it_is_told(write: Write) -> None:
    write("multi-user.target.wants/libvirt-guests.service", "")
    assert of_system() is OnHostShutdown.SAVE, "what upstream does"
    write("script", 'URIS="default"\nON_SHUTDOWN="shutdown"\n')
    assert of_system() is OnHostShutdown.SHUT_DOWN, "what the distribution made of it"
    write("default", "# - suspend\n#ON_SHUTDOWN=shutdown\nON_SHUTDOWN='suspend' # better\n")
    assert of_system() is OnHostShutdown.SAVE
    write("default", "#ON_SHUTDOWN=suspend\n")
    assert of_system() is OnHostShutdown.SHUT_DOWN


def test_a_session_saves_its_vms_unless_it_is_told_otherwise(write: Write, tmp_path: Path) -> None:
    config = write("user.conf", 'auto_shutdown_try_save = "none"\n')
    assert of_session(OLD, config) is OnHostShutdown.SAVE, "it does not know the setting"
    assert of_session(NEW, tmp_path / "missing") is OnHostShutdown.SAVE
    assert of_session(NEW, config) is OnHostShutdown.SHUT_DOWN
    write("user.conf", 'auto_shutdown_try_save = "none"\nauto_shutdown_try_shutdown = "transient"\n')
    assert of_session(NEW, config) is OnHostShutdown.OFF


def test_a_newer_libvirt_without_the_service(write: Write) -> None:
    assert of_system(NEW) is OnHostShutdown.OFF
    write("qemu.conf", 'auto_shutdown_try_shutdown = "all"\n')
    assert of_system(NEW) is OnHostShutdown.SHUT_DOWN
    assert of_system(OLD) is OnHostShutdown.OFF


@pytest.mark.parametrize("outcome", [None, *OnHostShutdown])
def test_it_is_shown_and_cannot_be_changed(outcome: OnHostShutdown | None) -> None:
    (option,) = (option for option in system.SYSTEM.options if option.id == "host-shutdown")
    domain = DomainXml.parse(EMPTY)
    situation = situation_of(domain, on_shutdown=outcome)
    assert option.refusal(situation, domain)
    words = show(option, option.get(domain), situation, domain)
    assert words
    assert ("host" in words) is (outcome is None)
    with pytest.raises(ValueError, match="cannot be changed"):
        option.set(domain, "save")
