"""Heart rate as monitors average it, and short-term variability."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.signal.rate import RateMeter, hrv


def meter_after(*rr_s: float) -> tuple[RateMeter, float]:
    meter, now = RateMeter(), 10.0
    meter.beat(now)
    for rr in rr_s:
        now += rr
        meter.beat(now)
    return meter, now


def test_twelve_intervals_without_the_shortest_and_the_longest() -> None:
    meter, now = meter_after(*[0.8] * 20, 0.4, 1.1)
    assert meter.rate(now).bpm == 75.0
    assert meter.rate(now).rr_ms == pytest.approx(1100.0)


def test_three_intervals_over_1200_ms_are_averaged_by_four() -> None:
    meter, now = meter_after(*[0.75] * 12, 1.5, 1.5, 1.5)
    assert meter.rate(now).bpm == pytest.approx(60 / (5.25 / 4), abs=0.05)


@pytest.mark.parametrize(("rr_s", "bpm"), [(0.5, 120.0), (1.5, 40.0)])
def test_a_step_from_80_shows_within_7_s(rr_s: float, bpm: float) -> None:
    meter, began = meter_after(*[0.75] * 30)
    now = began
    while now + rr_s <= began + 7.0:
        now += rr_s
        meter.beat(now)
    shown = meter.rate(now).bpm
    assert shown is not None
    assert abs(shown - bpm) <= 5


def test_too_few_intervals_show_nothing() -> None:
    meter, now = meter_after(0.8, 0.8)
    assert meter.rate(now).bpm is None
    assert meter.rate(now).rr_ms is None


def test_a_standstill_shows_nothing_and_not_the_last_rate() -> None:
    meter, now = meter_after(*[0.8] * 12)
    assert meter.rate(now + 3.9).bpm == 75.0
    assert meter.rate(now + 4.1).bpm is None


def test_after_a_disturbance_no_interval_reaches_across_it() -> None:
    meter, now = meter_after(*[0.8] * 12)
    meter.disturbed()
    assert meter.rate(now).bpm is None
    for i in range(4):
        meter.beat(now + 5 + i)
    assert meter.rate(now + 8).bpm == 60.0


@given(st.lists(st.floats(0.25, 3.0), min_size=3, max_size=40))
def test_the_rate_lies_between_the_fastest_and_the_slowest_interval(rr_s: list[float]) -> None:
    meter, now = meter_after(*rr_s)
    bpm = meter.rate(now).bpm
    assert bpm is not None
    assert 60 / max(rr_s) - 0.1 <= bpm <= 60 / min(rr_s) + 0.1


def test_variability_of_a_worked_example() -> None:
    made = hrv([800.0, 860.0, 800.0, 830.0])
    assert made.rmssd_ms == pytest.approx(((3600 + 3600 + 900) / 3) ** 0.5, abs=0.05)
    assert made.sdnn_ms == pytest.approx(28.7, abs=0.05)
    assert made.pnn50 == pytest.approx(2 / 3, abs=0.001)


def test_variability_of_two_intervals_is_not_told() -> None:
    made = hrv([800.0, 810.0])
    assert made.rmssd_ms is None
    assert made.sdnn_ms is None
    assert made.pnn50 is None
