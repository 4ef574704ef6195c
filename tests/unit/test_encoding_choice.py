"""Which encodings are asked for, by what was measured and what a person chose."""

from __future__ import annotations

import pytest

from guivm.console.frame import Quality
from guivm.console.rfb.encoding_choice import LOCAL, EncodingChooser, Pace
from guivm.console.rfb.wire import Encoding

ALL = frozenset(Encoding)
SAMPLE = 64 << 10


def _measured(chooser: EncodingChooser, rate: float, count: int = 20) -> EncodingChooser:
    """So many updates of a twentieth of a second each."""
    for _ in range(count):
        size = max(SAMPLE, int(rate / 20))
        chooser.received(size, size / rate)
    return chooser


def _pixels(encodings: list[int]) -> list[int]:
    return [encoding for encoding in encodings if encoding >= 0]


def test_local_is_raw_and_copies() -> None:
    encodings = LOCAL.encodings(ALL)
    assert _pixels(encodings) == [Encoding.COPY_RECT, Encoding.RAW]
    assert not any(Encoding.QUALITY_0 <= encoding <= Encoding.QUALITY_0 + 9 for encoding in encodings)
    assert Encoding.EXTENDED_CLIPBOARD in encodings


def test_only_what_can_be_decoded_is_asked_for() -> None:
    few = frozenset({Encoding.RAW, Encoding.COPY_RECT, Encoding.HEXTILE})
    assert _pixels(EncodingChooser().choice.encodings(few)) == [Encoding.COPY_RECT, Encoding.HEXTILE, Encoding.RAW]


@pytest.mark.parametrize(
    ("rate", "pace"), [(50e3, Pace.SLOW), (400e3, Pace.SLOW), (1e6, Pace.MEDIUM), (5e6, Pace.FAST), (1e9, Pace.FAST)]
)
def test_pace(rate: float, pace: Pace) -> None:
    chooser = _measured(EncodingChooser(), rate)
    assert chooser.pace is pace
    assert chooser.throughput == pytest.approx(rate)


def test_a_single_sample_changes_nothing() -> None:
    chooser = EncodingChooser()
    chooser.received(SAMPLE, SAMPLE / 50e6)
    assert chooser.pace is Pace.MEDIUM


def test_neighbours_do_not_alternate() -> None:
    """At the bound itself the pace stays what it is, from whichever side it came."""
    fast = _measured(EncodingChooser(), 10e6)
    slow = _measured(EncodingChooser(), 1e6)
    assert _measured(fast, 3e6).pace is Pace.FAST
    assert _measured(slow, 3e6).pace is Pace.MEDIUM


def test_it_comes_back_down() -> None:
    chooser = _measured(EncodingChooser(), 10e6)
    assert _measured(chooser, 100e3, 40).pace is Pace.SLOW


def test_small_updates_say_nothing_about_the_network() -> None:
    chooser = _measured(EncodingChooser(), 10e6)
    for _ in range(8):
        chooser.received(100, 0.0001)
    assert chooser.pace is Pace.FAST


def test_a_distant_server_is_not_fast() -> None:
    chooser = EncodingChooser()
    chooser.round_trip(0.3)
    assert _measured(chooser, 50e6).pace is Pace.MEDIUM
    chooser.round_trip(0.02)
    assert _measured(chooser, 50e6).pace is Pace.FAST


def test_more_than_the_clock_can_tell() -> None:
    chooser = EncodingChooser()
    for _ in range(100):
        chooser.received(4 << 20, 0.0)
    assert chooser.pace is Pace.FAST


@pytest.mark.parametrize("rate", [50e3, 1e6, 50e6])
def test_best_is_exact_at_every_pace(rate: float) -> None:
    chooser = _measured(EncodingChooser(Quality.BEST), rate)
    assert chooser.choice.jpeg is None


def test_auto_is_lossy_only_where_it_has_to_be() -> None:
    assert EncodingChooser().choice.jpeg is None
    assert _measured(EncodingChooser(), 50e6).choice.jpeg is None
    assert _measured(EncodingChooser(), 50e3).choice.jpeg is not None


@pytest.mark.parametrize("quality", list(Quality))
def test_no_dear_compression(quality: Quality) -> None:
    for rate in (50e3, 1e6, 50e6):
        choice = _measured(EncodingChooser(quality), rate).choice
        assert choice.compression is not None
        assert choice.compression <= 6
        assert choice.compression <= 1 or rate < 3e6
        levels = [e - Encoding.COMPRESS_0 for e in choice.encodings(ALL) if -256 <= e <= -247]
        assert levels == [choice.compression]


def test_faster_means_fewer_bytes() -> None:
    for rate in (50e3, 1e6, 50e6):
        balanced = _measured(EncodingChooser(Quality.BALANCED), rate).choice.jpeg
        fast = _measured(EncodingChooser(Quality.FAST), rate).choice.jpeg
        assert balanced is not None
        assert fast is not None
        assert fast < balanced
