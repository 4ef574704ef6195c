"""Where the guest's picture lies, and which of its pixels the pointer is on."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PySide6.QtCore import QRect

from guivm.console.frame import Rect
from guivm.console.picture.screen import DeviceArea
from guivm.console.picture.viewport import (
    MAX_ZOOM,
    MIN_ZOOM,
    DeviceSpan,
    ScaleMode,
    Scaling,
    Viewport,
    clamp_zoom,
    round_half_up,
    step_zoom,
)

sides = st.integers(1, 5000)
guests = st.tuples(st.integers(1, 4096), st.integers(1, 4096))
views = st.builds(Rect, st.integers(0, 8), st.integers(0, 8), sides, sides)
scales = st.sampled_from([1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 3.0])


scalings = st.builds(Scaling, st.sampled_from(ScaleMode), st.floats(MIN_ZOOM, MAX_ZOOM), st.sampled_from([0, 16]))
scrolls = st.tuples(st.integers(-10, 9000), st.integers(-10, 9000))


@given(guests, views)
def test_fit_is_inside_centred_and_keeps_the_shape(guest: tuple[int, int], view: Rect) -> None:
    port = Viewport.fit(*guest, view)
    assert view.x <= port.x
    assert port.x + port.width <= view.x + view.width
    assert view.y <= port.y
    assert port.y + port.height <= view.y + view.height
    assert port.width == view.width or port.height == view.height
    assert abs((port.x - view.x) * 2 + port.width - view.width) <= 1
    assert abs((port.y - view.y) * 2 + port.height - view.height) <= 1
    # One side is full, the other its share to the nearest pixel (at least one).
    share_y = view.width * guest[1] / guest[0]
    share_x = view.height * guest[0] / guest[1]
    assert (port.width == view.width and (port.height == 1 or abs(port.height - share_y) <= 0.5)) or (
        port.height == view.height and (port.width == 1 or abs(port.width - share_x) <= 0.5)
    )


@given(guests, views, st.tuples(st.integers(-10, 9000), st.integers(-10, 9000)))
def test_actual_is_one_to_one_and_never_scrolled_past_its_edge(
    guest: tuple[int, int], view: Rect, scroll: tuple[int, int]
) -> None:
    port = Viewport.actual(*guest, view, *scroll)
    assert port.is_one_to_one
    assert port.is_whole_multiple
    if guest[0] > view.width:
        assert port.x <= view.x
        assert port.x + port.width >= view.x + view.width
    else:
        assert port.x >= view.x
        assert port.x + port.width <= view.x + view.width


@given(guests, views, scrolls)
def test_integer_is_the_largest_whole_multiple_that_fits(
    guest: tuple[int, int], view: Rect, scroll: tuple[int, int]
) -> None:
    port = Viewport.integer(*guest, view, *scroll)
    assert port.is_whole_multiple
    factor = port.width // guest[0]
    assert factor == 1 or (port.width <= view.width and port.height <= view.height)
    assert (factor + 1) * guest[0] > view.width or (factor + 1) * guest[1] > view.height
    smaller = Rect(view.x, view.y, max(1, view.width - 15), max(1, view.height - 15))
    if port.width > view.width or port.height > view.height:
        # What scroll bars take away does not change the size that made them necessary.
        assert Viewport.integer(*guest, smaller, *scroll).width == port.width


@given(guests, views, st.floats(MIN_ZOOM, MAX_ZOOM), scrolls)
def test_zoomed_covers_the_view_or_lies_within_it(
    guest: tuple[int, int], view: Rect, factor: float, scroll: tuple[int, int]
) -> None:
    port = Viewport.zoomed(*guest, view, factor, *scroll)
    assert abs(port.width - guest[0] * factor) <= 0.5 or port.width == 1
    assert abs(port.height - guest[1] * factor) <= 0.5 or port.height == 1
    for start, length, room_start, room in (
        (port.x, port.width, view.x, view.width),
        (port.y, port.height, view.y, view.height),
    ):
        if length > room:
            assert start <= room_start
            assert start + length >= room_start + room
        else:
            assert start >= room_start
            assert start + length <= room_start + room


@given(scalings, guests, views, scrolls, st.data())
def test_the_pixel_shown_is_the_pixel_pointed_at(
    scaling: Scaling, guest: tuple[int, int], view: Rect, scroll: tuple[int, int], data: st.DataObject
) -> None:
    """Upwards from 1:1 every guest pixel has device pixels, and pointing at one of them gives it back."""
    port = scaling.place(*guest, view, scroll)
    assume(port.width >= guest[0] and port.height >= guest[1])
    x = data.draw(st.integers(0, guest[0] - 1))
    y = data.draw(st.integers(0, guest[1] - 1))
    assert port.to_guest(*port.from_guest(x, y)) == (x, y)


@given(scalings, guests, views, st.data())
def test_the_device_pixel_of_a_guest_pixel_shows_it(
    scaling: Scaling, guest: tuple[int, int], view: Rect, data: st.DataObject
) -> None:
    """Whatever the scale: device → guest → device stays within the pixels of that guest pixel, inside the picture."""
    port = scaling.place(*guest, view)
    x = data.draw(st.integers(port.x, port.x + port.width - 1))
    y = data.draw(st.integers(port.y, port.y + port.height - 1))
    assert port.contains(x, y)
    pixel = port.to_guest(x, y)
    there = port.from_guest(*pixel)
    assert port.contains(*there)
    left, top, width, height = port.span_of(Rect(*pixel, 1, 1))
    assert left - 0.5 <= x + 0.5 <= left + width + 0.5
    assert left - 1 <= there[0] <= left + width + 1
    assert top - 0.5 <= y + 0.5 <= top + height + 0.5
    assert top - 1 <= there[1] <= top + height + 1


@given(scalings, guests, views, st.integers(-9000, 9000), st.integers(-9000, 9000))
def test_pointing_is_monotonic_and_inside(scaling: Scaling, guest: tuple[int, int], view: Rect, x: int, y: int) -> None:
    port = scaling.place(*guest, view)
    guest_x, guest_y = port.to_guest(x, y)
    assert 0 <= guest_x < guest[0]
    assert 0 <= guest_y < guest[1]
    next_x, next_y = port.to_guest(x + 1, y + 1)
    assert next_x >= guest_x
    assert next_y >= guest_y


@given(guests, views)
def test_corners_of_the_picture_are_corners_of_the_guest(guest: tuple[int, int], view: Rect) -> None:
    port = Viewport.fit(*guest, view)
    assume(port.width >= guest[0] and port.height >= guest[1])
    assert port.to_guest(port.x, port.y) == (0, 0)
    last = (port.x + port.width - 1, port.y + port.height - 1)
    assert port.to_guest(*last) == (guest[0] - 1, guest[1] - 1)
    assert port.contains(*last)
    assert not port.contains(last[0] + 1, last[1])
    assert not port.contains(port.x - 1, port.y)


@given(scalings, guests, views, scrolls, st.data())
def test_damage_covers_every_device_pixel_of_its_guest_pixels(
    scaling: Scaling, guest: tuple[int, int], view: Rect, scroll: tuple[int, int], data: st.DataObject
) -> None:
    port = scaling.place(*guest, view, scroll)
    x = data.draw(st.integers(0, guest[0] - 1))
    y = data.draw(st.integers(0, guest[1] - 1))
    damage = Rect(x, y, data.draw(st.integers(1, guest[0] - x)), data.draw(st.integers(1, guest[1] - y)))
    device = port.damage_to_device(damage)
    left = port.x + damage.x * port.width / guest[0]
    right = port.x + (damage.x + damage.width) * port.width / guest[0]
    assert device.x <= left
    assert device.x + device.width >= right
    assert port.x <= device.x
    assert device.x + device.width <= port.x + port.width


@given(scales, st.integers(0, 3000), st.integers(1, 3000), st.data())
def test_logical_and_device_positions_agree_at_every_scale(
    dpr: float, origin: int, length: int, data: st.DataObject
) -> None:
    """A window system reports device pixel n of a window as n / scale; we must find pixel n again."""
    area = DeviceArea.of(origin * dpr, origin * dpr, length, length, dpr)
    span = area.horizontal
    assume(span.length)
    pixel = data.draw(st.integers(0, span.length - 1))
    logical = (span.start + pixel) / dpr - origin
    port = Viewport.actual(span.length, span.length, area.rect)
    assert port.to_guest(*area.to_device(logical, logical)) == (pixel, pixel)


@given(scales, st.integers(0, 3000), st.integers(1, 3000), st.data())
def test_the_logical_rectangle_covers_the_device_pixels(
    dpr: float, origin: int, length: int, data: st.DataObject
) -> None:
    area = DeviceArea.of(origin * dpr, 0, length, length, dpr)
    assume(area.horizontal.length)
    x = data.draw(st.integers(0, area.horizontal.length - 1))
    width = data.draw(st.integers(1, area.horizontal.length - x))
    logical = area.to_logical(Rect(x, 0, width, 1))
    back = area.covering(logical)
    assert back.x() <= x
    assert back.x() + back.width() >= x + width


def test_at_whole_scales_nothing_is_grown() -> None:
    area = DeviceArea.of(20, 40, 100, 100, 2)
    assert area.to_logical(Rect(10, 10, 20, 20)) == QRect(5, 5, 10, 10)
    assert area.covering(QRect(5, 5, 10, 10)) == QRect(10, 10, 20, 20)


def test_spans_of_neighbours_meet() -> None:
    """Two widgets side by side share no device pixel and leave none out, at 150 %."""
    first, second = DeviceSpan.of(0, 133 * 1.5), DeviceSpan.of(133 * 1.5, 200 * 1.5)
    assert first.start + first.length == second.start
    assert second.start == 200


@pytest.mark.parametrize(("value", "expected"), [(0.5, 1), (1.5, 2), (-0.5, 0), (2.49, 2)])
def test_round_half_up(value: float, expected: int) -> None:
    assert round_half_up(value) == expected


@pytest.mark.parametrize(
    ("view", "whole"), [((1280, 800), True), ((640, 400), True), ((1281, 801), False), ((900, 700), False)]
)
def test_whole_multiples_are_known(view: tuple[int, int], whole: bool) -> None:
    assert Viewport.fit(640, 400, Rect(0, 0, *view)).is_whole_multiple is whole


@pytest.mark.parametrize(
    ("view", "one_to_one"), [((640, 400), True), ((655, 415), True), ((656, 410), False), ((639, 400), False)]
)
def test_a_guest_that_follows_the_window_is_not_blurred_for_a_few_pixels(
    view: tuple[int, int], one_to_one: bool
) -> None:
    port = Scaling(ScaleMode.FIT, snap=16).place(640, 400, Rect(2, 2, *view))
    assert port.is_one_to_one is one_to_one


@given(st.floats(MIN_ZOOM, MAX_ZOOM), st.integers(-40, 40))
def test_zoom_steps(factor: float, steps: int) -> None:
    stepped = step_zoom(factor, steps)
    assert MIN_ZOOM <= stepped <= MAX_ZOOM
    assert (stepped >= factor) if steps >= 0 else (stepped <= factor)
    if steps == 1 and factor < MAX_ZOOM * 0.99:
        assert stepped > factor
        assert step_zoom(stepped, -1) <= factor * 1.001


def test_zoom_stops_at_one_to_one_and_at_its_ends() -> None:
    assert step_zoom(0.93, 1) == 1
    assert step_zoom(1.04, -1) == 1
    assert step_zoom(1, 1000) == MAX_ZOOM == clamp_zoom(1e9)
    assert step_zoom(1, -1000) == MIN_ZOOM == clamp_zoom(0)
