"""Every part has its place at every size, and none covers another."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from tui.bedside.layout import Box, arrange


def overlap(a: Box, b: Box) -> bool:
    return (
        a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]
    ) and min(a[2], a[3], b[2], b[3]) > 0


@given(st.integers(30, 300), st.integers(10, 100))
def test_no_part_covers_another_or_leaves_the_screen(width: int, height: int) -> None:
    places = arrange(width, height)
    for box in places:
        assert min(box) >= 0
        assert box[0] + box[2] <= width
        assert box[1] + box[3] <= height
    assert not any(overlap(a, b) for a, b in combinations(places, 2))


@given(st.integers(60, 300), st.integers(16, 100))
def test_alarm_rate_and_trace_are_always_there(width: int, height: int) -> None:
    places = arrange(width, height)
    assert places.banner[3] >= 1
    assert places.rate[2] >= 24
    assert places.rate[3] >= 3
    assert places.wave[3] >= 5
    assert places.footer[3] == 1


def test_eighty_by_twentyfour() -> None:
    places = arrange(80, 24)
    assert places.wave == (0, 5, 80, 11)
    assert places.rate[3] == 7
    assert places.banner == (0, 1, 80, 3)
