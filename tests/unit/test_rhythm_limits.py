"""The patient's limits refuse what no nurse can mean."""

from __future__ import annotations

import pytest

from agent.rhythm.limits import RANGES, RhythmLimits


def test_adult_defaults() -> None:
    limits = RhythmLimits()
    assert (limits.hr_high, limits.hr_low, limits.asystole_s, limits.pause_s) == (120, 50, 4, 2)
    assert (limits.extreme_high, limits.extreme_low) == (140, 40)


@pytest.mark.parametrize(
    ("high", "low", "extreme_high", "extreme_low"),
    [(185, 35, 200, 30), (220, 50, 220, 40), (120, 25, 140, 25), (90, 60, 110, 50)],
)
def test_extremes_follow_the_limits_within_their_bounds(
    high: float, low: float, extreme_high: float, extreme_low: float
) -> None:
    limits = RhythmLimits(hr_high=high, hr_low=low)
    assert limits.extreme_high == extreme_high
    assert limits.extreme_low == extreme_low


@pytest.mark.parametrize("name", sorted(RANGES))
def test_a_value_out_of_range_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        RhythmLimits(**{name: RANGES[name][1] + 1})  # type: ignore[arg-type]


def test_crossed_limits_are_refused() -> None:
    with pytest.raises(ValueError, match="hr_low = 100 is not below hr_high = 80"):
        RhythmLimits(hr_high=80, hr_low=100)
    with pytest.raises(ValueError, match="pause_s"):
        RhythmLimits(asystole_s=3.0, pause_s=4.0)
