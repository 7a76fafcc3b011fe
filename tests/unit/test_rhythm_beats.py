"""Naming beats: by rule, and by a network where there is one."""

from __future__ import annotations

import numpy as np
import pytest
from support.rhythm_hops import Strip, analyse
from test_rhythm_atrial import irregular
from test_rhythm_fibrillation import Says

from agent.rhythm.types import BeatClass
from models.beat_features import AFTER_S, CONTEXT, FIGURES, WINDOW, BeatContext, R, qrs_width_s
from models.inference import BeatProbabilities, ModelId


def test_every_qrs_becomes_one_beat_in_order_at_its_r_peak() -> None:
    strip = Strip().sinus(20).beat(0.5, "V").beat(1.1).sinus(5)
    beats = analyse(strip).beats()
    assert [beat.time_s for beat in beats] == [at_s for at_s, _ in strip.beats]
    assert beats[0].rr_s is None
    assert beats[26].rr_s == pytest.approx(1.1, abs=0.005)
    assert beats[5].amplitude_uv == pytest.approx(1100, rel=0.1)


def test_rules_tell_early_narrow_from_early_wide_and_from_on_time() -> None:
    strip = Strip().sinus(16).beat(0.5).beat(1.0).sinus(5).beat(0.5, "V").beat(1.1).sinus(5)
    classes = analyse(strip).classes()
    assert classes[20] == "S"
    assert classes.count("V") == 1
    assert set(classes) == {"N", "S", "V"}


def test_a_patient_whose_own_beats_are_wide_has_no_pvcs() -> None:
    classes = analyse(Strip().run(60, 70, "W")).classes()
    assert set(classes) == {"N"}


def test_bigeminy_does_not_make_the_wide_beat_the_dominant_one() -> None:
    strip = Strip().sinus(8)
    for _ in range(100):
        strip.beat(0.9).beat(0.5, "V")
    truth = "".join("V" if kind == "V" else "N" for _, kind in strip.beats)
    assert sum(a == b for a, b in zip(analyse(strip).classes(), truth, strict=True)) >= 205


class Ventricular:
    """A beat network to which everything is ventricular."""

    model = ModelId("all-v", "2", "0")
    before_s, after_s = R / 250, AFTER_S

    def __init__(self) -> None:
        self.seen: list[tuple[np.ndarray, np.ndarray]] = []

    def classify(self, window: np.ndarray, timing: np.ndarray) -> BeatProbabilities:
        self.seen.append((window.copy(), timing.copy()))
        return BeatProbabilities(n=0.1, s=0.1, v=0.7, f=0.05, q=0.05)


def test_a_network_names_them_and_its_name_is_kept() -> None:
    network = Ventricular()
    strip = Strip().sinus(10)
    beats = analyse(strip, beat_network=network).beats()
    assert {beat.kind for beat in beats} == {BeatClass.V}
    assert {beat.judged_by for beat in beats} == {"all-v 2"}
    assert beats[3].confidence == pytest.approx(0.7)
    window, context = network.seen[5]
    assert (window.shape, context.shape) == ((WINDOW,), (CONTEXT,))
    assert int(np.argmax(window)) == R
    signal = strip.signal()
    at = round(beats[5].time_s * 250)
    np.testing.assert_array_equal(window, signal[at - R : at - R + WINDOW])
    assert np.corrcoef(context[FIGURES:], window)[0, 1] > 0.95


class Torn(Ventricular):
    """A beat network that says one and the same of every beat."""

    def __init__(self, **probabilities: float) -> None:
        super().__init__()
        zero = dict.fromkeys("nsvfq", 0.0)
        self.said = BeatProbabilities(**(zero | probabilities))

    def classify(self, window: np.ndarray, timing: np.ndarray) -> BeatProbabilities:
        return self.said


def classes_at_the_end(strip: Strip, network: Torn, p_af: float) -> set[str]:
    stage2 = Says(af=p_af, normal=1.0 - p_af)
    return set(analyse(strip, beat_network=network, rhythm_network=stage2).classes()[60:])


def test_no_beat_is_premature_while_the_atria_fibrillate() -> None:
    network = Torn(s=0.7, n=0.2, v=0.1)
    assert classes_at_the_end(irregular(Strip(), 90), network, p_af=0.9) == {"N"}
    assert classes_at_the_end(irregular(Strip(), 90), network, p_af=0.1) == {"S"}
    assert classes_at_the_end(Strip().sinus(90), network, p_af=0.9) == {"S"}


def test_a_wide_beat_must_be_surely_ventricular_while_the_atria_fibrillate() -> None:
    strip = irregular(Strip(), 90)
    assert classes_at_the_end(strip, Torn(v=0.7, n=0.2, s=0.1), p_af=0.9) == {"N"}
    assert classes_at_the_end(strip, Torn(v=0.7, n=0.2, s=0.1), p_af=0.1) == {"V"}
    assert classes_at_the_end(strip, Torn(v=0.95, n=0.05), p_af=0.9) == {"V"}


def test_without_networks_irregularity_alone_tells_an_atrial_fibrillation() -> None:
    early = "S" in analyse(irregular(Strip(), 90, spread=0.35)).classes()[60:]
    assert not early
    assert "S" in analyse(Strip().sinus(30).beat(0.5).sinus(10)).classes()


def test_the_width_of_a_complex() -> None:
    t = (np.arange(WINDOW) - R) / 250
    narrow = qrs_width_s((1000 * np.exp(-0.5 * (t / 0.012) ** 2)).astype(np.float32))
    wide = qrs_width_s((1000 * np.exp(-0.5 * (t / 0.035) ** 2)).astype(np.float32))
    assert 0.05 <= narrow <= 0.09
    assert 0.14 <= wide <= 0.22


def context_of(times: np.ndarray, windows: np.ndarray, skip: int | None = None) -> np.ndarray:
    context = BeatContext()
    told = []
    for i, (time_s, window) in enumerate(zip(times, windows, strict=True)):
        told.append(context.look(float(time_s), window)[2])
        if i != skip:
            context.count()
    return np.array(told)


def test_context_knows_nothing_of_what_comes_after() -> None:
    rng = np.random.default_rng(0)
    windows = rng.normal(0, 300, (30, WINDOW)).astype(np.float32)
    times = np.cumsum(rng.uniform(0.5, 1.0, 30))
    told = context_of(times, windows)
    np.testing.assert_array_equal(told[:20], context_of(times[:20], windows[:20]))
    assert np.isfinite(told).all()


def test_what_is_no_beat_leaves_no_trace_in_the_context() -> None:
    rng = np.random.default_rng(1)
    windows = rng.normal(0, 300, (12, WINDOW)).astype(np.float32)
    times = np.cumsum(rng.uniform(0.5, 1.0, 12))
    told = context_of(times, windows, skip=7)
    without = context_of(np.delete(times, 7), np.delete(windows, 7, axis=0))
    np.testing.assert_array_equal(np.delete(told, 7, axis=0), without)
