"""Atrial fibrillation and irregular rhythm."""

from __future__ import annotations

import numpy as np
from support.rhythm_hops import Strip, analyse
from test_rhythm_fibrillation import Says

from agent.rhythm.limits import RhythmLimits
from agent.rhythm.types import FindingKind, Rhythm
from agent.signal.types import SignalState

AF, IRREGULAR = FindingKind.AF, FindingKind.IRREGULAR


def irregular(strip: Strip, seconds: float, spread: float = 0.2, seed: int = 5) -> Strip:
    rng = np.random.default_rng(seed)
    until_s = strip.end_s + seconds
    while strip.end_s < until_s:
        strip.beat(float(np.clip(rng.normal(0.7, 0.7 * spread), 0.36, 1.4)))
    return strip


def test_af_begins_after_half_a_minute_and_ends_after_half_a_minute() -> None:
    told = analyse(irregular(Strip().sinus(40), 120).sinus(120))
    (af,) = told.found(AF)
    assert 40.0 <= af.onset_s <= 75.0
    assert 70.0 <= af.found_s <= 105.0
    (over,) = told.ended(AF)
    assert 160.0 <= over.ended_s <= 190.0
    assert over.found_s <= 225.0
    assert [c.rhythm for c in told.rhythms()][-2:] == [Rhythm.AF, Rhythm.NORMAL]


def test_the_time_it_must_last_is_a_limit() -> None:
    strip = irregular(Strip().sinus(40), 60).sinus(60)
    assert analyse(strip).found(AF)
    assert not analyse(strip, RhythmLimits(af_s=120)).found(AF)


def test_patterns_of_beats_are_no_af() -> None:
    bigeminy, trigeminy = Strip().sinus(20), Strip().sinus(20)
    for _ in range(60):
        bigeminy.beat(1.0).beat(0.6)
        trigeminy.beat(0.8).beat(0.8).beat(0.5)
    assert AF not in analyse(bigeminy).kinds()
    assert AF not in analyse(trigeminy).kinds()


def test_a_breathing_sinus_rhythm_is_no_af() -> None:
    strip = Strip().sinus(10)
    while strip.end_s < 120:
        strip.beat(0.85 + 0.09 * float(np.sin(2 * np.pi * strip.end_s / 4.5)))
    assert not analyse(strip).kinds() & {AF, IRREGULAR}


def test_stage_2_must_agree() -> None:
    strip = irregular(Strip().sinus(40), 100)
    said = analyse(strip, rhythm_network=Says(normal=0.9, af=0.1))
    assert AF not in said.kinds()
    assert IRREGULAR in said.kinds()
    (af,) = analyse(strip, rhythm_network=Says(af=0.95, normal=0.05)).found(AF)
    assert af.judged_by == "stub 1"
    assert not analyse(Strip().sinus(90), rhythm_network=Says(af=0.95, normal=0.05)).found(AF)


def test_a_disturbance_does_not_end_af() -> None:
    strip = irregular(Strip().sinus(40), 160).be(SignalState.NOISY, 130, 140)
    told = analyse(strip)
    assert len(told.found(AF)) == 1
    assert not told.ended(AF)
    assert [c.rhythm for c in told.rhythms()][-3:] == [Rhythm.AF, Rhythm.NOT_ANALYSED, Rhythm.AF]
