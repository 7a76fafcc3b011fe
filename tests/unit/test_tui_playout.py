"""The playout: lumps in, a steady head out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.widgets.playout import LEAST_DELAY_S, MOST_DELAY_S, Playout

FRAME_S = 0.08


def play(arrivals: list[tuple[float, float]], until: float) -> np.ndarray:
    """Heads at every frame for (local time, stream end) arrivals."""
    playout, heads, waiting = Playout(), [], list(arrivals)
    for now in np.arange(0, until, FRAME_S):
        while waiting and waiting[0][0] <= now:
            at, end = waiting.pop(0)
            playout.arrived(end, at)
        head = playout.head(float(now))
        heads.append(np.nan if head is None else head)
    return np.array(heads)


def test_even_lumps_play_evenly_with_the_least_delay() -> None:
    arrivals = [(0.2 * k, 0.2 * k) for k in range(1, 100)]
    heads = play(arrivals, 19.0)
    steps = np.diff(heads[40:])
    assert steps == pytest.approx(FRAME_S, abs=1e-6)
    assert np.arange(0, 19.0, FRAME_S)[-1] - heads[-1] == pytest.approx(LEAST_DELAY_S, abs=0.01)


def test_bluetooth_lumps_end_up_even_too() -> None:
    """73 samples at 130 Hz, told as three messages at once."""
    lump = 73 / 130
    arrivals = [
        (lump * k + 0.05, lump * (k - 1) + lump * part / 3)
        for k in range(1, 80)
        for part in (1, 2, 3)
    ]
    heads = play(arrivals, 44.0)
    assert np.diff(heads[300:]) == pytest.approx(FRAME_S, abs=0.01)


@given(st.lists(st.tuples(st.floats(0, 0.5), st.floats(0, 0.5)), min_size=2, max_size=60))
def test_never_backwards_and_never_beyond_the_newest(steps: list[tuple[float, float]]) -> None:
    at, end, arrivals = 0.0, 0.0, []
    for wait, length in steps:
        at, end = at + wait, end + length
        arrivals.append((at, end))
    heads = play(arrivals, at + 1)
    known = heads[~np.isnan(heads)]
    assert (np.diff(known) >= 0).all()
    assert (known <= end + 1e-9).all()


def test_ten_seconds_told_at_once_are_on_the_screen_at_once() -> None:
    playout = Playout()
    for k in range(50):
        playout.arrived(100 + 0.2 * k, 5.0)
    head = playout.head(5.0)
    assert head == pytest.approx(109.8 - LEAST_DELAY_S)


def test_a_dead_stream_stands_still_and_says_so() -> None:
    playout = Playout()
    playout.arrived(1.0, 0.0)
    heads = [playout.head(t) for t in np.arange(0, 60, 0.1)]
    assert heads[-1] == pytest.approx(1.0)
    assert playout.silent_s(60.0) == 60.0
    assert playout.delay_s <= MOST_DELAY_S
