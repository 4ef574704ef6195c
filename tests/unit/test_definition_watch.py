"""Definitions that libvirt writes are seen by their files: renamed into place, linked for the start with the host."""

from __future__ import annotations

import os
import queue
from collections.abc import Iterator
from pathlib import Path

import pytest

from guivm.engine.definition_watch import DefinitionWatch, directory_of
from guivm.engine.eventloop import ensure_event_loop

WAIT_S = 20.0
Told = queue.SimpleQueue[frozenset[str] | None]


@pytest.fixture
def told() -> Told:
    return queue.SimpleQueue()


@pytest.fixture
def watch(tmp_path: Path, told: Told) -> Iterator[DefinitionWatch]:
    ensure_event_loop()
    value = DefinitionWatch(tmp_path, told.put)
    yield value
    value.close()


def names(*names: str) -> frozenset[str]:
    return frozenset(names)


def write(directory: Path, file: str) -> None:
    """As libvirt does."""
    new = directory / f"{file}.new"
    new.write_text("<domain/>", encoding="ascii")
    new.rename(directory / file)


def test_a_file_that_is_renamed_into_place_is_told_by_the_name_of_the_vm(
    watch: DefinitionWatch, told: Told, tmp_path: Path
) -> None:
    for name in ("web", "a b.xml", "Müller"):
        write(tmp_path, f"{name}.xml")
        assert told.get(timeout=WAIT_S) == names(name)


def test_what_is_no_definition_is_not_told(watch: DefinitionWatch, told: Told, tmp_path: Path) -> None:
    (tmp_path / "half.xml.new").write_text("<domain", encoding="ascii")
    (tmp_path / "save").mkdir()
    write(tmp_path, "notes.txt")
    write(tmp_path, "web.xml")
    (tmp_path / "web.xml").unlink()  # an event of libvirt tells that
    write(tmp_path, "last.xml")
    seen: set[str] = set()
    while "last" not in seen:
        seen |= told.get(timeout=WAIT_S) or set()
    assert seen == {"web", "last"}


def test_the_start_with_the_host_is_told_also_where_its_directory_comes_later(
    watch: DefinitionWatch, told: Told, tmp_path: Path
) -> None:
    links = tmp_path / "autostart"
    links.mkdir()
    (links / "web.xml").symlink_to(tmp_path / "web.xml")
    assert told.get(timeout=WAIT_S) == names("web")
    (links / "mail.xml").symlink_to(tmp_path / "mail.xml")
    seen = told.get(timeout=WAIT_S)
    while seen is not None and "mail" not in seen:  # the first may be told twice: as found, and as made
        assert seen == names("web")
        seen = told.get(timeout=WAIT_S)
    (links / "mail.xml").unlink()
    assert told.get(timeout=WAIT_S) == names("mail")


def test_nothing_is_told_or_left_open_after_the_end(tmp_path: Path, told: Told) -> None:
    ensure_event_loop()
    write(tmp_path, "warm.xml")
    DefinitionWatch(tmp_path, told.put).close()
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    first, second = DefinitionWatch(tmp_path, told.put), DefinitionWatch(tmp_path, told.put)
    first.close()
    first.close()
    write(tmp_path, "web.xml")
    assert told.get(timeout=WAIT_S) == names("web")
    second.close()
    assert told.empty(), "one of the two had ended"
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_a_directory_that_is_not_there_is_an_error_and_leaves_nothing_open(tmp_path: Path, told: Told) -> None:
    ensure_event_loop()
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with pytest.raises(OSError, match="No such file"):
        DefinitionWatch(tmp_path / "none", told.put)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


@pytest.mark.parametrize(
    "uri",
    [
        "qemu+ssh://server/session",
        "qemu+ssh://server/system",
        "qemu://server/system",
        "qemu+unix:///session?socket=/run/user/1000/somewhere",
        "qemu:///embed?root=/srv/vms",
        "test:///default",
        "xen:///system",
    ],
)
def test_hosts_whose_files_are_elsewhere_have_no_directory(uri: str) -> None:
    assert directory_of(uri) is None


def test_the_directories_of_this_computers_daemons(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    system = Path("/etc/libvirt/qemu")
    assert directory_of("qemu:///system") == system
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert directory_of("qemu:///session") == system, "root's only daemon"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert directory_of("qemu:///session") == tmp_path / "config" / "libvirt" / "qemu"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert directory_of("qemu+unix:///session") == tmp_path / "home" / ".config" / "libvirt" / "qemu"
