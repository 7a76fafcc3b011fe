"""The resampler: right in time and height, and the same however its input is cut."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from agent.signal.resample import Resampler

RATES = [100.0, 125.0, 128.0, 130.0, 130.37, 249.9, 250.0, 256.0, 360.0, 500.0, 1000.0, 2000.0]


def resample(
    rate_hz: float, signal: NDArray[np.float64], cuts: list[int], first: int = 0
) -> tuple[int, NDArray[np.float64]]:
    resampler = Resampler(rate_hz, signal.shape[1])
    resampler.start(first)
    edges = [0, *sorted(cuts), len(signal)]
    parts = [resampler.push(signal[start:stop]) for start, stop in pairwise(edges)]
    parts.append(resampler.finish())
    made = np.concatenate([part.microvolts for part in parts])
    return parts[0].first, made


@pytest.mark.parametrize("rate_hz", RATES)
def test_a_sine_keeps_its_height_and_its_time(rate_hz: float) -> None:
    t = np.arange(int(rate_hz * 10)) / rate_hz
    _, made = resample(rate_hz, np.sin(2 * np.pi * 15 * t)[:, None] + 3000, [])
    k = np.arange(len(made)) / 250
    inner = slice(50, -50)
    assert np.abs(made[inner, 0] - 3000 - np.sin(2 * np.pi * 15 * k)[inner]).max() < 0.01
    assert abs(len(made) - 2500) <= 1


@pytest.mark.parametrize("rate_hz", RATES)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_cuts_change_no_bit(rate_hz: float, data: st.DataObject) -> None:
    signal = np.random.default_rng(1).normal(0, 500, (400, 2))
    cuts = data.draw(st.lists(st.integers(0, 400), max_size=30))
    whole = resample(rate_hz, signal, [], first=12345)
    cut = resample(rate_hz, signal, cuts, first=12345)
    assert whole[0] == cut[0]
    assert np.array_equal(whole[1], cut[1])


@pytest.mark.parametrize("rate_hz", [128.0, 360.0, 999.9])
def test_an_electrode_offset_does_not_ring_at_a_start_or_an_end(rate_hz: float) -> None:
    _, made = resample(rate_hz, np.full((500, 1), 150_000.0), [7, 300])
    assert made == pytest.approx(150_000.0, abs=1e-6)


def test_above_half_the_chains_rate_little_is_folded_back() -> None:
    t = np.arange(20_000) / 2000
    _, made = resample(2000.0, np.sin(2 * np.pi * 210 * t)[:, None], [])
    assert np.abs(made[50:-50]).max() < 0.01


def test_a_stretch_begins_at_the_first_chain_sample_after_its_start() -> None:
    resampler = Resampler(360.0, 1)
    assert resampler.chain_index(360) == 250
    assert resampler.chain_index(361) == 251
    first, _ = resample(360.0, np.zeros((100, 1)), [], first=361)
    assert first == 251


def test_the_phase_does_not_drift_in_a_month() -> None:
    resampler = Resampler(130.0, 1)
    month = 130 * 86_400 * 30
    assert resampler.chain_index(month) == 250 * 86_400 * 30


@pytest.mark.parametrize("rate_hz", [50.0, 4000.0])
def test_a_rate_that_cannot_be_analysed_is_refused(rate_hz: float) -> None:
    with pytest.raises(ValueError, match="can't be analysed"):
        Resampler(rate_hz, 1)
