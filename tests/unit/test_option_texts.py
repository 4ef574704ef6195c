"""Texts of options that touch more than one value, and their reverse."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guivm.engine.options.clock import TICK_POLICIES, TIMERS, timer_states, timers_text
from guivm.engine.options.new_disk_xml import new_secret_uuid, shape_problem, write_new_disk
from guivm.engine.options.new_disks import NewDisk
from guivm.engine.options.processors import (
    cpu_set,
    cpu_set_text,
    feature_policies,
    features_text,
    pinning_text,
    pins_of,
    topology_splits,
)
from tests.helpers.settings_world import edited

CPU_SETS = st.frozensets(st.integers(0, 300), min_size=1)
NAMES = st.from_regex(r"[a-z][a-z0-9._-]{0,12}", fullmatch=True)


@given(CPU_SETS)
def test_sets_of_cpus(cpus: frozenset[int]) -> None:
    assert cpu_set(cpu_set_text(cpus)) == cpus


@given(st.dictionaries(st.integers(0, 64), CPU_SETS))
def test_pinning(pins: dict[int, frozenset[int]]) -> None:
    assert pins_of(pinning_text(pins)) == pins


@given(st.dictionaries(NAMES, st.sampled_from(("require", "disable", "force", "optional", "forbid"))))
def test_features(policies: dict[str, str]) -> None:
    assert feature_policies(features_text(policies)) == policies


@given(
    st.dictionaries(
        st.sampled_from(TIMERS), st.tuples(st.sampled_from(("", "on", "off")), st.sampled_from(("", *TICK_POLICIES)))
    )
)
def test_timers(states: dict[str, tuple[str, str]]) -> None:
    assert timer_states(timers_text(states)) == states


@given(st.integers(1, 512))
def test_splits_give_the_count(count: int) -> None:
    splits = topology_splits(count)
    assert splits[0] == (1, count, 1)
    assert all(sockets * cores * threads == count for sockets, cores, threads in splits)


PLAN = NewDisk("/images/new.qcow2", 1 << 30)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"path": "new.qcow2"}, "beginning with"),
        ({"path": ""}, "beginning with"),
        ({"path": "/dev/sda"}, "not a device"),
        ({"path": "/images/a\0b"}, "name of a file"),
        ({"path": "/images/" + "a" * 260}, "name of a file"),
        ({"format": "vmdk"}, "qcow2 or raw"),
        ({"size_bytes": 0}, "size"),
        ({"size_bytes": 1 << 60}, "size"),
        ({"format": "raw", "preallocation": "metadata"}, "metadata"),
        ({"secret_uuid": "x", "passphrase": "short"}, "8 characters"),
        ({"secret_uuid": "x", "passphrase": "line\nbreak and more"}, "typed"),
        ({"secret_uuid": "x", "passphrase": "long enough", "format": "raw"}, "qcow2"),
    ],
)
def test_new_disks_that_cannot_be(wrong: dict[str, str | int], words: str) -> None:
    assert words in shape_problem(replace(PLAN, **wrong))  # type: ignore[arg-type]  # named fields of their own types
    assert shape_problem(PLAN) == ""


def test_a_new_disk_in_the_definition() -> None:
    domain = edited()
    disk = domain.devices.disks[0]
    uuid = new_secret_uuid()
    write_new_disk(disk, replace(PLAN, passphrase="long enough", secret_uuid=uuid))
    assert (disk.path, disk.driver_type, disk.source.encryption.secret_uuid) == (PLAN.path, "qcow2", uuid)
    assert "long enough" not in domain.to_text()
    write_new_disk(disk, replace(PLAN, format="raw"))
    assert not disk.source.encryption.exists
