"""VF by the wave alone, and with stage 2's word."""

from __future__ import annotations

import numpy as np
import pytest
from support.rhythm_hops import Strip, analyse

from agent.rhythm.types import FindingKind, Rhythm
from agent.rhythm.wave import CALM, LEAKAGE, MEAN_HZ, is_fibrillatory, measure
from agent.signal.types import RATE_HZ, SignalState
from models.inference import ModelId, RhythmProbabilities

VF = FindingKind.VF


@pytest.mark.parametrize("hz", [3.2, 4.6, 6.5])
def test_vf_is_found_in_five_seconds(hz: float) -> None:
    told = analyse(Strip().sinus(20).fibrillating(15, hz))
    (vf,) = told.found(VF)
    assert vf.found_s - 20.0 <= 5.0
    assert vf.onset_s == pytest.approx(20.0, abs=1.0)
    assert vf.judged_by == "rules"
    assert FindingKind.ASYSTOLE not in told.kinds()
    assert told.rhythms()[-1].rhythm is Rhythm.VF


def test_vf_that_ends_in_standstill_becomes_asystole() -> None:
    told = analyse(Strip().sinus(20).fibrillating(12).still(10))
    (over,) = told.ended(VF)
    (asystole,) = told.found(FindingKind.ASYSTOLE)
    assert over.ended_s == pytest.approx(32, abs=1.5)
    assert asystole.found_s <= 38.0
    assert told.rhythms()[-1].rhythm is Rhythm.ASYSTOLE


def test_there_is_no_pause_in_a_fibrillation() -> None:
    strip = Strip().sinus(20).fibrillating(12)
    for _ in range(4):  # a complex that the detector sees in it now and then
        strip.beat(2.5)
    told = analyse(strip, rhythm_network=Says(vf=1.0))
    assert len(told.found(VF)) == 1
    assert not told.ended(VF)
    assert FindingKind.PAUSE not in told.kinds()


def test_a_pause_is_over_when_it_is_told_to_be_a_fibrillation() -> None:
    told = analyse(Strip().sinus(20).fibrillating(12))
    (vf,) = told.found(VF)
    (pause,) = told.ended(FindingKind.PAUSE)
    assert pause.found_s == vf.found_s


def test_vf_that_ends_in_beats_is_over() -> None:
    told = analyse(Strip().sinus(20).fibrillating(12).sinus(20))
    assert len(told.found(VF)) == len(told.ended(VF)) == 1
    assert told.rhythms()[-1].rhythm is Rhythm.NORMAL


def test_two_seconds_of_it_are_none() -> None:
    assert VF not in analyse(Strip().sinus(20).fibrillating(2).sinus(20)).kinds()


def test_no_data_is_never_a_wave() -> None:
    strip = Strip().sinus(20).fibrillating(10).be(SignalState.NO_DATA, 20, 30)
    assert VF not in analyse(strip).kinds()


@pytest.mark.parametrize("bpm", [40, 75, 150, 220])
def test_beats_are_no_wave(bpm: float) -> None:
    signal = Strip().sinus(12, bpm).signal()
    windows = signal[: len(signal) // RATE_HZ * RATE_HZ]
    for end in range(4 * RATE_HZ, len(windows) + 1, RATE_HZ):
        assert not is_fibrillatory(windows[end - 4 * RATE_HZ : end])


def test_noise_and_nothing_are_no_wave() -> None:
    rng = np.random.default_rng(3)
    assert not is_fibrillatory(np.zeros(1000, np.float32))
    assert not is_fibrillatory(np.full(1000, np.nan, np.float32))
    assert not is_fibrillatory(rng.normal(0, 300, 1000).astype(np.float32))
    assert not is_fibrillatory(rng.normal(0, 5, 1000).astype(np.float32))


def test_figures_of_a_sine() -> None:
    t = np.arange(1000) / RATE_HZ
    wave = measure((500 * np.sin(2 * np.pi * 4 * t)).astype(np.float32))
    assert wave.crossings_hz == pytest.approx(8, abs=0.5)
    assert wave.leakage < 0.1
    assert wave.steepness == pytest.approx(np.pi / 2, rel=0.05)
    assert wave.fibrillating


class Says:
    """A stage 2 that always says the same."""

    model = ModelId("stub", "1", "0")

    def __init__(self, **probabilities: float) -> None:
        zero = dict.fromkeys(("normal", "af", "other", "vt", "vf"), 0.0)
        self.said = RhythmProbabilities(**(zero | probabilities))

    def start(self) -> object:
        return None

    def step(self, state: object, second: object) -> tuple[object, RhythmProbabilities]:
        return None, self.said


def test_stage_2_alone_is_believed_when_it_is_sure_for_seconds() -> None:
    unruly = Strip()
    for k in range(30):
        unruly.beat((0.5, 0.9, 0.7, 0.4)[k % 4])
    (vf,) = analyse(unruly, rhythm_network=Says(vf=0.97, normal=0.03)).found(VF)
    assert vf.judged_by == "stub 1"
    assert VF not in analyse(unruly, rhythm_network=Says(vf=0.3, normal=0.7)).kinds()


def test_a_steady_row_of_equal_beats_is_no_vf_whoever_says_so() -> None:
    strip = Strip().sinus(20, 90)
    assert VF not in analyse(strip, rhythm_network=Says(vf=0.97, normal=0.03)).kinds()


def test_stage_2_against_it_delays_the_rule_and_does_not_silence_it() -> None:
    told = analyse(Strip().sinus(20).fibrillating(12), rhythm_network=Says(normal=1.0))
    (vf,) = told.found(VF)
    assert vf.found_s - 20.0 <= 7.0


def test_a_slow_wave_must_be_pure() -> None:
    t = np.arange(4 * 250) / 250.0
    flutter = 400.0 * np.sin(2 * np.pi * 3.0 * t)
    assert is_fibrillatory(flutter.astype(np.float32))
    # A wide rhythm of 165/min: broad complex and broad T, no line at rest between them.
    phase = (t * 165.0 / 60.0) % 1.0
    wide = 400.0 * np.sin(2 * np.pi * phase) + 200.0 * np.sin(4 * np.pi * phase + 0.5)
    figures = measure(wide.astype(np.float32))
    assert figures.calm < CALM
    assert figures.leakage < LEAKAGE
    assert figures.crossings_hz > 5.0
    assert not figures.fibrillating


def test_a_wide_rhythm_is_none_however_often_its_ripples_cross_zero() -> None:
    """Broad beats at 112/min: the power lies under flutter's slowest, the crossings do not."""
    t = np.arange(4 * 250) / 250.0
    phase = t * 112.0 / 60.0
    wide = 300 * np.sin(2 * np.pi * phase) + 200 * np.sin(4 * np.pi * phase + 2.2)
    figures = measure((wide + 120 * np.sin(6 * np.pi * phase + 1.0)).astype(np.float32))
    assert figures.mean_hz < MEAN_HZ
    assert not figures.fibrillating
    sine = measure((400 * np.sin(2 * np.pi * 3.2 * t)).astype(np.float32))
    assert sine.mean_hz == pytest.approx(3.2, abs=0.1)
    assert sine.fibrillating
