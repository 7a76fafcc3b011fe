"""The kept trace: gaps stay gaps, no peak is lost, the old is forgotten."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from support import ecg

from tui.widgets.history import NO_SAMPLE, WaveHistory

RATE = 250.0


def filled(seconds: float = 4.0) -> WaveHistory:
    history = WaveHistory(keep_s=10)
    history.add(0.0, RATE, ecg.int16(ecg.sinus(0, seconds)))
    return history


def test_missing_samples_are_a_gap() -> None:
    history = WaveHistory(keep_s=10)
    history.add(0.0, RATE, ecg.int16(np.full(250, 100.0)))
    history.add(2.0, RATE, ecg.int16(np.full(250, 200.0)))
    low, high = history.envelope(np.arange(0, 3.01, 0.1))
    assert np.isnan(low[11:19]).all()
    assert (high[:9] == 100).all()
    assert (high[21:29] == 200).all()
    assert history.value(1.5) is None


def test_the_contracts_no_sample_is_a_gap() -> None:
    samples = np.full(250, 100, "<i2")
    samples[100:200] = NO_SAMPLE
    history = WaveHistory(keep_s=10)
    history.add(0.0, RATE, samples.tobytes())
    low, _ = history.envelope(np.arange(0, 1.0, 0.04))
    assert np.isnan(low[11:19]).all()
    assert not np.isnan(low[:9]).any()


@given(st.floats(0.5, 400), st.integers(0, 999))
def test_no_peak_is_lost_however_coarse_the_steps(steps_per_s: float, place: int) -> None:
    samples = np.zeros(1000)
    samples[place] = 1000.0
    history = WaveHistory(keep_s=10)
    history.add(0.0, RATE, ecg.int16(samples))
    edges = np.arange(0, int(4 * steps_per_s) + 2) / steps_per_s
    _, high = history.envelope(edges)
    assert np.nanmax(high) == 1000 or place / RATE >= edges[-1]


def test_neighbouring_steps_touch() -> None:
    low, high = filled().envelope(np.arange(0.1, 3.9, 0.03))
    assert (low[1:] <= high[:-1]).all()
    assert (high[1:] >= low[:-1]).all()


@given(st.lists(st.integers(1, 400), min_size=1, max_size=20))
def test_cuts_do_not_matter(sizes: list[int]) -> None:
    signal = ecg.sinus(0, 16)
    whole = WaveHistory(keep_s=20)
    whole.add(0.0, RATE, ecg.int16(signal[: sum(sizes)]))
    cut, start = WaveHistory(keep_s=20), 0
    for size in sizes:
        cut.add(start / RATE, RATE, ecg.int16(signal[start : start + size]))
        start += size
    edges = np.arange(0, 16, 0.03)
    np.testing.assert_array_equal(cut.envelope(edges), whole.envelope(edges))


def test_what_is_older_than_keep_is_forgotten_in_bounded_memory() -> None:
    history = WaveHistory(keep_s=2)
    for k in range(200):
        history.add(k * 0.2, RATE, ecg.int16(ecg.sinus(k * 0.2, 0.2)))
    assert 2.0 <= history.end_s - history.start_s <= 4.0
    assert history.end_s == 40.0


def test_a_gap_longer_than_all_that_is_kept() -> None:
    history = WaveHistory(keep_s=2)
    history.add(0.0, RATE, ecg.int16(ecg.sinus(0, 1)))
    history.add(5000.0, RATE, ecg.int16(ecg.sinus(0, 1)))
    assert (history.start_s, history.end_s) == (5000.0, 5001.0)


def test_a_stream_that_goes_back_is_another_stream() -> None:
    history = filled()
    history.marks.append((1.0, "V"))
    history.add(1.0, RATE, ecg.int16(ecg.flat(0, 1)))
    assert (history.start_s, history.end_s) == (1.0, 2.0)
    assert not history.marks


def test_odd_bytes_and_silly_rates_are_ignored() -> None:
    history = filled(1.0)
    history.add(1.0, 0.0, b"\x00\x00")
    history.add(1.0, RATE, b"\x00")
    history.add(1.0, RATE, b"")
    assert history.end_s == 1.0
