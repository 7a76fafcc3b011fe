"""The shipped networks as the bed chain calls them."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.inference import RhythmProbabilities, Signal
from models.registry import load_quality, load_rhythm

QUALITY = load_quality()
RHYTHM = load_rhythm()


def beats(seconds: int, *, rate_hz: float = 1.2, height_uv: float = 1000.0) -> Signal:
    """A clean, steady rhythm: narrow QRS, broad T."""
    time = np.arange(seconds * 250) / 250
    phase = (time * rate_hz) % 1.0 / rate_hz
    qrs = np.exp(-(((phase - 0.3) / 0.012) ** 2)) - 0.2 * np.exp(-(((phase - 0.33) / 0.012) ** 2))
    wave = qrs + 0.25 * np.exp(-(((phase - 0.55) / 0.05) ** 2))
    wave = wave + 0.12 * np.exp(-(((phase - 0.14) / 0.025) ** 2))
    return (height_uv * (wave - wave.mean())).astype(np.float32)


def tuples(signal: Signal) -> list[tuple[float, ...]]:
    state = RHYTHM.start()
    rows = []
    for second in signal.reshape(-1, 250):
        state, p = RHYTHM.step(state, second)
        rows.append((p.normal, p.af, p.other, p.vt, p.vf))
    return rows


def test_probabilities_sum_to_one() -> None:
    rng = np.random.default_rng(1)
    for row in tuples((rng.normal(0, 300, 20 * 250)).astype(np.float32)):
        assert sum(row) == pytest.approx(1.0, abs=1e-5)
        assert min(row) >= 0.0


def test_same_seconds_give_the_same_judgement_from_any_kept_state() -> None:
    signal = beats(12)
    state = RHYTHM.start()
    kept = []
    for second in signal.reshape(-1, 250):
        kept.append(state)
        state, _ = RHYTHM.step(state, second)
    again, first = RHYTHM.step(kept[7], signal[7 * 250 : 8 * 250])
    RHYTHM.step(state, signal[:250])
    once_more, second_time = RHYTHM.step(kept[7], signal[7 * 250 : 8 * 250])
    assert first == second_time
    for a, b in zip(again, once_more, strict=True):  # type: ignore[call-overload]
        np.testing.assert_array_equal(a, b)
    assert tuples(signal) == tuples(signal)


def test_steady_rhythm_is_neither_lethal_nor_noise() -> None:
    signal = beats(30)
    assert all(vt + vf < 0.5 for *_calm, vt, vf in tuples(signal)[3:])
    assert QUALITY.p_usable(signal[-1250:]) > 0.5


def test_fast_sine_of_the_ventricles_is_lethal_within_five_seconds() -> None:
    """Flutter by the book (300/min, no isoelectric line) after a clean rhythm."""
    time = np.arange(8 * 250) / 250
    flutter = (800 * np.sin(2 * np.pi * 5 * time)).astype(np.float32)
    rows = tuples(np.concatenate([beats(15), flutter]))
    assert max(vt + vf for *_calm, vt, vf in rows[15:20]) > 0.5


@settings(max_examples=20, deadline=None)
@given(gain=st.floats(0.25, 4.0))
def test_amplitude_alone_does_not_change_the_rhythm(gain: float) -> None:
    base, scaled = tuples(beats(20)), tuples(beats(20) * np.float32(gain))
    assert np.argmax(base[-1]) == np.argmax(scaled[-1])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), size=st.sampled_from([0.0, 1.0, 1e3, 1e6]))
def test_any_finite_signal_gives_finite_judgements(seed: int, size: float) -> None:
    signal = (np.random.default_rng(seed).normal(0, 1, 1250) * size).astype(np.float32)
    assert 0.0 <= QUALITY.p_usable(signal) <= 1.0
    assert np.isfinite(tuples(signal)).all()


def test_missing_samples_do_not_poison_the_state() -> None:
    state, _ = RHYTHM.step(RHYTHM.start(), np.full(250, np.nan, np.float32))
    _, p = RHYTHM.step(state, beats(1))
    assert isinstance(p, RhythmProbabilities)
    assert np.isfinite((p.normal, p.af, p.other, p.vt, p.vf)).all()


@pytest.mark.parametrize("samples", [250, 251, 700, 1250])
def test_quality_takes_one_second_to_its_whole_context(samples: int) -> None:
    assert 0.0 <= QUALITY.p_usable(beats(6)[-samples:]) <= 1.0


def test_quality_looks_no_further_back_than_its_context() -> None:
    signal = beats(9)
    longest = round(QUALITY.context_s * 250)
    assert QUALITY.p_usable(signal) == QUALITY.p_usable(signal[-longest:])


def test_wrong_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="250"):
        QUALITY.p_usable(beats(1)[:249])
    with pytest.raises(ValueError, match="250"):
        RHYTHM.step(RHYTHM.start(), beats(2))
    with pytest.raises(TypeError, match="state"):
        RHYTHM.step(None, beats(1))


def test_registry_alone_loads_neither_onnxruntime_nor_torch() -> None:
    code = (
        "import sys, models.registry as r; r.listing(); "
        "assert not {'onnxruntime', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
