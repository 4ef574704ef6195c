"""What a snapshot inside an image holds alone is what QEMU frees when it is deleted."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from guivm.engine.snapshots.inside.sizes import alone_bytes, freed_bytes
from tests.helpers.image_oracles import make_image
from tests.helpers.qcow2_counts import used_bytes


def _run(*arguments: str | Path) -> None:
    subprocess.run([str(each) for each in arguments], check=True, capture_output=True)


def fill(path: Path, chance: random.Random, *, compressed: bool) -> None:
    """Write, zero and discard here and there, as guests do."""
    orders: list[str] = []
    for _ in range(6):
        at, length = chance.randrange(0, 56) << 16, chance.randrange(1, 9) << 16
        match chance.randrange(8):
            case 0 | 1 | 2 | 3:
                orders.append(f"write -q -P {chance.randrange(1, 255)} {at} {length}")
            case 4:
                orders.append(f"write -q -z {at} {length}")
            case 5:
                orders.append(f"discard -q {at} {length}")
            case _ if compressed:
                orders += [f"write -q -c -P {n} {at + (n << 16)} 64k" for n in range(length >> 16)]
    words = [word for order in orders for word in ("-c", order)]
    # Compressed data cannot replace what is there; the rest is done all the same.
    subprocess.run(["qemu-io", "-f", "qcow2", *words, path], check=not compressed, capture_output=True)


@pytest.mark.parametrize(
    "options",
    ["", "compat=0.10", "cluster_size=4k", "refcount_bits=8", "refcount_bits=64", "extended_l2=on,cluster_size=16k"],
)
def test_it_is_what_qemu_frees(tmp_path: Path, options: str) -> None:
    chance = random.Random(options)
    path = tmp_path / "image"
    _run("qemu-img", "create", "-f", "qcow2", *(("-o", options) if options else ()), path, "4M")
    names = [f"s{number}" for number in range(6)]
    for name in names:
        # Compressed clusters are as large as the others.
        fill(path, chance, compressed="cluster" not in options and "bits=8" not in options)
        _run("qemu-img", "snapshot", "-c", name, path)
    fill(path, chance, compressed=False)
    while len(names) > 2:  # the last one takes the table of snapshots with it
        chosen = set(chance.sample(names, chance.choice((1, 2))))
        before, sizes, freed = used_bytes(path), alone_bytes([str(path)]), freed_bytes([str(path)], chosen)
        assert set(sizes) == set(names)
        for name in chosen:
            _run("qemu-img", "snapshot", "-d", name, path)
            names.remove(name)
        assert freed == before - used_bytes(path)
        assert sum(sizes[name] for name in chosen) <= freed or len(chosen) > 1
        if len(chosen) == 1:
            assert sizes[chosen.pop()] == freed


def test_several_images_are_summed_and_others_hold_nothing(tmp_path: Path) -> None:
    paths = [make_image(tmp_path / name) for name in "ab"]
    for path in paths:
        _run("qemu-io", "-f", "qcow2", "-c", "write -q 0 128k", path)
        _run("qemu-img", "snapshot", "-c", "s", path)
        _run("qemu-io", "-f", "qcow2", "-c", "write -q 0 128k", path)
    both = [str(path) for path in paths]
    assert alone_bytes(both) == {"s": 2 * alone_bytes(both[:1])["s"]}
    assert freed_bytes(both, {"s"}) == alone_bytes(both)["s"] == 2 * (2 + 1 + 1) << 16  # data, L2 and L1
    assert freed_bytes(both, {"none"}) == 0
    raw = make_image(tmp_path / "raw", "raw")
    assert alone_bytes([*both, str(raw)]) == alone_bytes(both)


def test_what_is_not_known_is_not_said(tmp_path: Path) -> None:
    path = make_image(tmp_path / "image")
    for name in ("old", "new"):
        _run("qemu-io", "-f", "qcow2", "-c", "write -q 0 64k", path)
        _run("qemu-img", "snapshot", "-c", name, path)
    _run("qemu-io", "-f", "qcow2", "-c", "write -q 0 64k", path)
    paths = [str(path)]
    assert set(alone_bytes(paths)) == {"old", "new"}
    tables = 3 * 65536 + 3 * 8  # of counts, one of L1's entries, and the newer one's L2
    assert set(alone_bytes(paths, tables)) == {"new"}
    assert set(alone_bytes([*paths, str(make_image(tmp_path / "other"))], tables)) == {"new"}
    assert alone_bytes(paths, 1000) == {}
    assert freed_bytes(paths, {"old"}, 1000) is None
    for bad in (tmp_path, tmp_path / "none"):
        assert alone_bytes([*paths, str(bad)]) == {}
        assert freed_bytes([*paths, str(bad)], {"old"}) is None


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "image"
    _run("qemu-img", "create", "-f", "qcow2", "-o", "cluster_size=512", path, "64k")
    for name, at in (("s", 8192), ("t", 9216)):
        _run("qemu-io", "-f", "qcow2", "-c", "write -q 0 8k", "-c", f"write -q -c {at} 512", path)
        _run("qemu-img", "snapshot", "-c", name, path)
    _run("qemu-io", "-f", "qcow2", "-c", "write -q 0 8k", path)
    return path


@given(
    places=some.lists(
        some.tuples(some.integers(0, 4095), some.integers(0, 2**64 - 1) | some.sampled_from([0, 512, 2**62, 2**63])),
        min_size=1,
        max_size=8,
    ),
    cut=some.integers(0, 40_000),
)
@settings(max_examples=150)
def test_any_image_is_read_without_harm(sound: Path, places: list[tuple[int, int]], cut: int) -> None:
    raw = bytearray(sound.read_bytes())
    size = len(raw)
    for at, value in places:
        raw[at * 8 % size : at * 8 % size + 8] = value.to_bytes(8, "big")
    broken = sound.with_name("broken")
    broken.write_bytes(raw[: max(cut, 8)] if cut % 2 else raw)
    sizes = alone_bytes([str(broken)])
    assert all(0 <= each <= size for each in sizes.values())
    freed = freed_bytes([str(broken)], {"s", "t"})
    assert freed is None or 0 <= freed <= size
