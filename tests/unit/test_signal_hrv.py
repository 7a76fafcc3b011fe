"""Variability over five minutes of normal beats: what counts, what an ectopic beat takes away."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.signal.hrv import ENOUGH_S, NormalIntervals, Variability

NOTHING = Variability(None, None, None)


def after(rr_s: Sequence[float], ectopic: Sequence[int] = ()) -> tuple[NormalIntervals, float]:
    """A start, then one beat for each interval; those in ``ectopic`` are ventricular."""
    made, now = NormalIntervals(), 0.0
    made.beat(now, None, normal=True)
    for number, rr in enumerate(rr_s):
        now += rr
        made.beat(now, rr, normal=number not in ectopic)
    return made, now


def test_a_worked_example() -> None:
    made, now = after([0.80, 0.86, 0.80, 0.83] * 60)
    got = made.figures(now)
    # Steps of 60, 60, 30 and (to the next round) 30 ms.
    assert got.rmssd_ms == pytest.approx(((2 * 3600 + 2 * 900) / 4) ** 0.5, abs=0.1)
    assert got.sdnn_ms == pytest.approx(24.9, abs=0.1)
    assert got.pnn50 == pytest.approx(0.5, abs=0.003)


def test_an_even_rhythm_has_none() -> None:
    made, now = after([0.8] * 300)
    assert made.figures(now) == Variability(0.0, 0.0, 0.0)


def test_an_ectopic_beat_adds_no_difference() -> None:
    early_and_pause = [0.8] * 10 + [0.5, 1.1]
    ectopic = [10 + 12 * k for k in range(30)]
    made, now = after(early_and_pause * 30, ectopic)
    assert made.figures(now) == Variability(0.0, 0.0, 0.0)


def test_an_interval_on_either_side_of_a_gap_makes_no_difference() -> None:
    made, now = after([0.8] * 190)
    made.beat(now + 20, None, normal=True)
    now += 20
    for _ in range(100):
        now += 1.0
        made.beat(now, 1.0, normal=True)
    got = made.figures(now)
    assert got.rmssd_ms == 0.0
    assert got.sdnn_ms == pytest.approx(95.2, abs=1.0)


@pytest.mark.parametrize("rr_s", [0.2, 2.1])
def test_a_missed_or_a_false_beat_is_left_out(rr_s: float) -> None:
    made, now = after([0.8] * 150 + [rr_s] + [0.8] * 150)
    assert made.figures(now) == Variability(0.0, 0.0, 0.0)


def test_too_little_tells_nothing() -> None:
    made, now = after([0.8] * round(ENOUGH_S / 0.8 - 2))
    assert made.figures(now) == NOTHING
    assert NormalIntervals().figures(0.0) == NOTHING


def test_alternating_ectopics_leave_nothing_to_tell() -> None:
    made, now = after([0.5, 1.1] * 300, ectopic=range(0, 600, 2))
    assert made.figures(now) == NOTHING


def test_what_is_older_than_five_minutes_is_forgotten() -> None:
    made, now = after([0.7, 0.9] * 200 + [0.8] * 380)
    assert made.figures(now) == Variability(0.0, 0.0, 0.0)
    assert made.figures(now + 200) == NOTHING


def test_a_new_stream_begins_anew() -> None:
    made, _ = after([0.7, 0.9] * 200)
    made.beat(0.5, 0.8, normal=True)
    assert made.figures(1.0) == NOTHING
    for k in range(1, 200):
        made.beat(0.5 + k, 1.0, normal=True)
    assert made.figures(200.0) == Variability(0.0, 0.0, 0.0)


@given(st.lists(st.floats(0.3, 2.0), min_size=5, max_size=40), st.sets(st.integers(0, 599)))
def test_figures_stay_within_what_the_intervals_allow(rr_s: list[float], out: set[int]) -> None:
    made, now = after((rr_s * 120)[:600], sorted(out))
    got = made.figures(now)
    for figure, most in ((got.rmssd_ms, 1700.0), (got.sdnn_ms, 852.0), (got.pnn50, 1.0)):
        assert figure is None or 0 <= figure <= most
