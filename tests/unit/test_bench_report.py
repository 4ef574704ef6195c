"""The form of the benchmarks: rows, targets, table, JSON, exit code, and the readers of what tools print. No timing."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.bench import peers
from tests.bench.domains import write_host_file
from tests.bench.processes import parse_stat, process_tree, resident_mb
from tests.bench.report import BenchError, Report, Row, Samples, Sense, Target, TargetOn
from tests.bench.windows import client_ids, parse_window


def _row(ours: Sequence[float], peer: Sequence[float], target: Target | None = None) -> Row:
    return Row("start", "s", Samples.of(ours), Samples.of(peer), "virt-manager", target)


def test_median_and_spread() -> None:
    samples = Samples((3.0, 1.0, 2.0, 10.0))
    assert (samples.median, samples.low, samples.high) == (2.5, 1.0, 10.0)
    assert samples.text() == "2.50 [1.00-10.0]"


def test_nothing_measured_is_no_sample() -> None:
    assert Samples.of([]) is None
    with pytest.raises(ValueError, match="no samples"):
        Samples(())


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.01234, "0.0123"), (0.999, "0.999"), (1.234, "1.23"), (12.34, "12.3"), (1234.5, "1234")],
)
def test_figures_have_three_digits(value: float, text: str) -> None:
    assert Samples((value,)).text() == text


@pytest.mark.parametrize(
    ("target", "ours", "peer", "met"),
    [
        (Target(0.5), [1.0], [2.0], True),
        (Target(0.5), [1.01], [2.0], False),
        (Target(2.0, sense=Sense.AT_LEAST), [4.0], [2.0], True),
        (Target(2.0, sense=Sense.AT_LEAST), [3.9], [2.0], False),
        (Target(250, TargetOn.OURS), [249.0], [], True),
        (Target(250, TargetOn.OURS), [251.0], [600.0], False),
        (Target(30, TargetOn.OURS, Sense.AT_LEAST), [31.0], [], True),
    ],
)
def test_targets(target: Target, ours: list[float], peer: list[float], met: bool) -> None:
    assert _row(ours, peer, target).met is met


@pytest.mark.parametrize(
    ("ours", "peer"),
    [([], [2.0]), ([1.0], []), ([1.0], [0.0]), ([math.nan], [1.0]), ([math.inf], [1.0])],
)
def test_what_was_not_measured_misses_its_target(ours: list[float], peer: list[float]) -> None:
    for sense in Sense:
        assert _row(ours, peer, Target(1.0, sense=sense)).met is False


def test_ratio_is_of_medians() -> None:
    assert _row([1.0, 2.0, 9.0], [4.0, 8.0, 4.0]).ratio == 0.5


def test_ratio_of_pairs_is_the_middle_of_their_ratios() -> None:
    row = Row(
        "clone", "s", Samples.of([1.0, 8.0, 12.0]), Samples.of([1.0, 2.0, 12.0]), target=Target(1.1), is_paired=True
    )
    assert row.pair_ratios == Samples((1.0, 4.0, 1.0))  # means of twos: 1, 1, 1, 2, 2, 4
    assert row.ratio == 1.5
    assert row.met is False
    assert row.to_json()["pair_ratios"] == [1.0, 4.0, 1.0]
    assert replace(row, is_paired=False).ratio == 4.0
    assert replace(row, is_paired=False).to_json()["pair_ratios"] is None


def test_pairs_without_a_figure_miss_their_target() -> None:
    nothing = Row("clone", "s", None, None, target=Target(1.1), is_paired=True)
    assert nothing.met is False
    for ours, peer in ((1.0, 0.0), (math.nan, 1.0), (1.0, math.inf), (math.inf, 1.0)):
        row = Row("clone", "s", Samples((ours, 1.0)), Samples((peer, 1.0)), target=Target(1.1), is_paired=True)
        assert row.met is False
    with pytest.raises(ValueError, match="counterpart"):
        Row("clone", "s", Samples((1.0, 2.0)), Samples((1.0,)), is_paired=True)


def test_exit_code_is_0_only_when_every_target_is_met() -> None:
    met, missed, informs = _row([1], [2], Target(0.5)), _row([2], [2], Target(0.5)), _row([5], [1])
    assert Report("x", (met, informs)).exit_code == 0
    assert Report("x", (met, missed)).exit_code == 1
    assert Report("x", (met,), complete=False).exit_code == 1
    assert Report("x", ()).exit_code == 1


def test_json_has_the_one_form(tmp_path: Path) -> None:
    rows = (
        _row([1.0, 2.0, 3.0], [4.0], Target(0.7)),
        Row("memory", "MB", Samples.of([math.nan]), target=Target(250, TargetOn.OURS)),
    )
    path = Report("startup", rows, facts=(("kernel", "6.1"),), notes=("a note",)).write(tmp_path / "new" / "folder")
    assert path.name == "startup.json"
    written = json.loads(path.read_text("utf-8"))
    assert written["name"] == "startup"
    assert written["met"] is False
    assert written["facts"] == {"kernel": "6.1"}
    first, second = written["rows"]
    assert {
        "what": "start",
        "unit": "s",
        "ours": 2.0,
        "peer": 4.0,
        "peer_name": "virt-manager",
        "ratio": 0.5,
        "target": 0.7,
        "target_on": "ratio",
        "target_sense": "at most",
        "met": True,
        "ours_spread": [1.0, 3.0],
        "ours_runs": [1.0, 2.0, 3.0],
    }.items() <= first.items()
    assert (second["ours"], second["peer"], second["ratio"], second["met"]) == (None, None, None, False)
    assert [entry.name for entry in path.parent.iterdir()] == ["startup.json"]


def test_table_names_the_peer_and_lines_up() -> None:
    report = Report("x", (_row([1.0], [2.0], Target(0.5)), Row("memory at rest", "MB", None, target=Target(1))))
    header, _, first, second = report.table().splitlines()
    assert header.split() == ["what", "unit", "ours", "virt-manager", "ratio", "target", "met"]
    assert first.split() == ["start", "s", "1.00", "2.00", "0.500x", "≤", "0.5x", "yes"]
    assert second.endswith("NO")
    assert "not measured" in second
    assert header.index("unit") == first.index(" s ") + 1 == second.index("MB")


def test_text_says_how_it_ended() -> None:
    assert Report("x", (_row([1], [2], Target(0.5)),)).text().endswith("All targets met.")
    text = Report("x", (_row([2], [2], Target(0.5)),), complete=False).text()
    assert "Only a part was measured" in text
    assert text.endswith("1 target(s) missed.")


def test_stat_of_a_program_with_a_strange_name() -> None:
    line = "42 (a) b (c) S 7 42 42 0 -1 4194560 1 2 3 4 100 20 3 4 20 0 1 0 5 6 7"
    stat = parse_stat(line)
    assert (stat.pid, stat.parent, stat.own_ticks, stat.reaped_ticks) == (42, 7, 120, 7)


def test_own_process_is_measured() -> None:
    assert process_tree(os.getpid())[0].pid == os.getpid()
    assert resident_mb(os.getpid()) > 1


def test_readers_of_xprop() -> None:
    assert client_ids("_NET_CLIENT_LIST(WINDOW): window id # 0x400003, 0x60000a") == ["0x400003", "0x60000a"]
    assert client_ids("_NET_CLIENT_LIST(WINDOW): window id # ") == []
    assert client_ids("_NET_CLIENT_LIST:  not found.") == []
    properties = '_NET_WM_NAME(UTF8_STRING) = "Machines"\n_NET_WM_PID(CARDINAL) = 4711\nWM_NAME(STRING) = "M"\n'
    window = parse_window("0x1", properties, "  Map State: IsViewable\n")
    assert (window.title, window.pid, window.viewable) == ("Machines", 4711, True)
    bare = parse_window("0x1", '_NET_WM_NAME:  not found.\nWM_NAME(STRING) = "M"\n', "  Map State: IsUnMapped\n")
    assert (bare.title, bare.pid, bare.viewable) == ("M", 0, False)


def test_host_file_has_that_many_different_domains(tmp_path: Path) -> None:
    uri = write_host_file(tmp_path / "host.xml", 25)
    assert uri == f"test://{tmp_path}/host.xml"
    root = ElementTree.parse(tmp_path / "host.xml").getroot()
    assert root.tag == "node"
    for tag in ("name", "uuid"):
        assert len({domain.findtext(tag) for domain in root}) == 25
    assert len({element.get("address") for element in root.iter("mac")}) == 25
    states = [domain.findtext("{http://libvirt.org/schemas/domain/test/1.0}runstate") for domain in root]
    assert set(states) == {"1", "5"}
    assert 0 < len(list(root.iter("title"))) < 25


def test_missing_packages_without_rights_are_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "missing_packages", list)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("shutil.which", lambda name: None if name == "sudo" else f"/usr/bin/{name}")
    with pytest.raises(BenchError, match="apt-get install virt-manager"):
        peers.ensure_packages(["virt-manager"])


def test_no_package_is_missing_twice_over() -> None:
    assert peers.missing_packages(["dpkg", "no-such-package-at-all"]) == ["no-such-package-at-all"]
