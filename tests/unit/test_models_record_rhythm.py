"""The word for a whole record out of what both stages said each second."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.inference import RhythmProbabilities
from models.record_rhythm import CLASSES, EVEN, UNEVEN, classify_record, features, unevenness


def said(normal: float, af: float, other: float, seconds: int = 30) -> np.ndarray:
    return np.tile([normal, af, other, 0.0, 0.0], (seconds, 1))


GOOD = np.full(30, 0.99)


@pytest.mark.parametrize(
    ("probabilities", "word"),
    [
        (said(0.95, 0.02, 0.03), "N"),
        (said(0.03, 0.94, 0.03), "A"),
        (said(0.03, 0.03, 0.94), "O"),
    ],
)
def test_clear_rhythm_of_a_clean_record(probabilities: np.ndarray, word: str) -> None:
    assert classify_record(GOOD, probabilities) == word


def test_what_stage_2_gave_may_be_handed_on_as_it_is() -> None:
    row = RhythmProbabilities(normal=0.03, af=0.94, other=0.03, vt=0.0, vf=0.0)
    assert classify_record([0.99] * 30, [row] * 25) == "A"
    assert classify_record([0.2] * 30, []) == "~"


def test_record_of_noise_has_no_rhythm() -> None:
    assert classify_record(np.full(30, 0.02), said(0.3, 0.3, 0.4)) == "~"


def test_lethal_rhythm_counts_as_other() -> None:
    lethal = np.tile([0.02, 0.02, 0.02, 0.5, 0.44], (30, 1))
    assert classify_record(GOOD, lethal) == "O"


def test_seconds_not_judged_are_left_out() -> None:
    part = said(0.03, 0.94, 0.03)
    part[10:14] = np.nan
    assert classify_record(GOOD, part) == "A"
    kept = np.delete(part, range(10, 14), axis=0)
    np.testing.assert_array_equal(features(GOOD, part), features(GOOD, kept))


@pytest.mark.parametrize("seconds", [0, 1, 5])
def test_nothing_judged_is_noise(seconds: int) -> None:
    nothing = np.full((seconds, 5), np.nan)
    assert classify_record(np.full(seconds, 0.9), nothing) == "~"
    assert classify_record(np.full(seconds, np.nan), said(0.9, 0.05, 0.05, seconds)) == "~"


@given(
    seed=st.integers(0, 2**32 - 1),
    seconds=st.integers(1, 90),
)
def test_any_probabilities_have_a_word(seed: int, seconds: int) -> None:
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(5, 0.3), seconds)
    assert classify_record(rng.random(seconds), probabilities) in CLASSES


def test_heights_of_beats_are_even_in_an_ecg_and_uneven_in_noise() -> None:
    assert unevenness(np.full(40, -900.0)) == 0.0
    assert unevenness(np.array([900.0, 1000.0, 1100.0] * 10)) < 0.1
    assert unevenness(np.array([100.0, 900.0, 300.0] * 10)) > 0.5
    assert unevenness(np.array([900.0, 900.0])) == UNEVEN
    assert features(GOOD, said(0.9, 0.05, 0.05))[-3] == EVEN


def test_uneven_heights_speak_for_noise() -> None:
    """A doubtful record: which of two words it gets hangs on its beats."""
    heights = {"even": [900.0] * 30, "uneven": [100.0, 2000.0, 500.0] * 10}
    words = {
        kind: [
            classify_record(np.full(30, usable), said(0.4, 0.2, 0.4), given)
            for usable in np.linspace(0.05, 0.95, 19)
        ].count("~")
        for kind, given in heights.items()
    }
    assert words["uneven"] > words["even"]


def test_a_fast_rate_speaks_for_an_atrial_fibrillation() -> None:
    """Of two doubtful records the one with more beats a second is the likelier AF."""
    words = {
        beats: [
            classify_record(GOOD, said(0.5 - af / 2, af, 0.5 - af / 2), [900.0] * beats)
            for af in np.linspace(0.1, 0.9, 33)
        ].count("A")
        for beats in (30, 60)
    }
    assert words[60] > words[30]


def test_complexes_that_are_no_beats_speak_for_noise() -> None:
    words = {
        q_share: [
            classify_record(np.full(30, usable), said(0.4, 0.2, 0.4), [900.0] * 30, q_share)
            for usable in np.linspace(0.02, 0.98, 33)
        ].count("~")
        for q_share in (0.0, 0.5)
    }
    assert words[0.5] > words[0.0]


def test_the_fit_finds_what_tells_the_words_apart() -> None:
    record = pytest.importorskip("models.training.record")
    rng = np.random.default_rng(1)
    y = rng.integers(0, 4, 400)
    x = rng.normal(0, 1, (400, 5))
    x[np.arange(400), y] += 4.0
    weights, bias = record.fit(x, y)
    assert ((x @ weights + bias).argmax(1) == y).mean() > 0.93
    scores = record.cross_validated(x, y)
    assert 0.88 < scores["mean"] < 1.0
