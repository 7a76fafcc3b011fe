"""Rate findings: limits, extremes, supraventricular runs."""

from __future__ import annotations

import pytest
from support.rhythm_hops import Strip, analyse

from agent.rhythm.limits import RhythmLimits
from agent.rhythm.types import FindingKind
from agent.signal.types import SignalState

HIGH, LOW = FindingKind.HR_HIGH, FindingKind.HR_LOW
TACHY, BRADY = FindingKind.EXTREME_TACHYCARDIA, FindingKind.EXTREME_BRADYCARDIA


def test_a_steady_rate_within_the_limits_raises_nothing() -> None:
    assert analyse(Strip().sinus(60, 75)).kinds() == set()


@pytest.mark.parametrize(
    ("bpm", "kinds"),
    [(118, set()), (128, {HIGH}), (160, {HIGH, TACHY}), (46, {LOW}), (34, {LOW, BRADY})],
)
def test_a_step_crosses_the_limits_it_crosses(bpm: float, kinds: set[FindingKind]) -> None:
    told = analyse(Strip().sinus(20, 80).sinus(40, bpm))
    assert told.kinds() & {HIGH, LOW, TACHY, BRADY} == kinds
    for kind in kinds:
        (found,) = told.found(kind)
        assert found.found_s <= 20 + 10
        assert found.limit is not None


def test_a_rate_on_the_limit_does_not_flicker() -> None:
    strip = Strip().sinus(20, 110)
    for k in range(40):
        strip.sinus(4, 122 if k % 2 else 119)
    assert len(analyse(strip).found(HIGH)) == 1


def test_back_within_the_limits_ends_it() -> None:
    told = analyse(Strip().sinus(20).sinus(20, 150).sinus(30, 75))
    assert len(told.ended(HIGH)) == len(told.ended(TACHY)) == 1


def test_the_patients_own_limits() -> None:
    athlete = RhythmLimits(hr_low=35)
    assert not analyse(Strip().sinus(40, 42), athlete).kinds()


def test_one_long_pause_is_no_bradycardia() -> None:
    told = analyse(Strip().sinus(20).still(6).sinus(20))
    assert BRADY not in told.kinds()


def test_short_noise_holds_a_tachycardia_and_long_noise_lets_it_go() -> None:
    short = Strip().sinus(20).sinus(40, 160).be(SignalState.NOISY, 35, 40)
    told = analyse(short)
    assert len(told.found(TACHY)) == 1
    assert not told.ended(TACHY)
    long = Strip().sinus(20).sinus(60, 160).be(SignalState.NOISY, 35, 70)
    assert analyse(long).ended(TACHY)[0].found_s == pytest.approx(55, abs=1)


def test_a_sudden_narrow_run_is_svt_a_slow_climb_is_not() -> None:
    (svt,) = analyse(Strip().sinus(20).sinus(8, 180).sinus(20)).found(FindingKind.SVT)
    assert svt.value == pytest.approx(180, abs=4)
    climb = Strip().sinus(10)
    for bpm in range(80, 180, 2):
        climb.sinus(1.5, bpm)
    assert FindingKind.SVT not in analyse(climb).kinds()
