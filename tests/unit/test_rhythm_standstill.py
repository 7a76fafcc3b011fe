"""Missed beat, pause and asystole, and what unusable signal does to them."""

from __future__ import annotations

import pytest
from support.rhythm_hops import Strip, analyse

from agent.rhythm.limits import RhythmLimits
from agent.rhythm.types import FindingKind, Rhythm
from agent.signal.types import SignalState


def test_asystole_is_found_within_a_second_of_being_due() -> None:
    told = analyse(Strip().sinus(20).still(10).sinus(10))
    (asystole,) = told.found(FindingKind.ASYSTOLE)
    assert asystole.onset_s == pytest.approx(20.0)
    assert 24.0 <= asystole.found_s <= 25.0
    assert asystole.value >= 4.0
    assert asystole.limit == 4.0
    (over,) = told.ended(FindingKind.ASYSTOLE)
    assert over.ended_s == pytest.approx(30.8)
    assert over.value == pytest.approx(10.8)


def test_the_limit_is_the_patients() -> None:
    strip = Strip().sinus(20).still(5).sinus(10)
    assert not analyse(strip, RhythmLimits(asystole_s=6.0)).found(FindingKind.ASYSTOLE)
    (asystole,) = analyse(strip, RhythmLimits(asystole_s=3.0)).found(FindingKind.ASYSTOLE)
    assert asystole.found_s <= 24.0


def test_a_pause_is_no_asystole() -> None:
    told = analyse(Strip().sinus(20).still(2.0).sinus(10))
    (pause,) = told.found(FindingKind.PAUSE)
    (over,) = told.ended(FindingKind.PAUSE)
    assert (pause.onset_s, over.ended_s) == (pytest.approx(20.0), pytest.approx(22.8))
    assert over.value == pytest.approx(2.8)
    assert FindingKind.ASYSTOLE not in told.kinds()


def test_a_missed_beat_is_no_pause_and_needs_a_steady_rhythm() -> None:
    told = analyse(Strip().sinus(20).beat(1.6).sinus(10))
    (missed,) = told.found(FindingKind.MISSED_BEAT)
    assert missed.value == pytest.approx(1.6, abs=0.01)
    assert FindingKind.PAUSE not in told.kinds()
    slowed = analyse(Strip().sinus(20, 70).sinus(30, 36))
    assert len(slowed.found(FindingKind.MISSED_BEAT)) == 1


def test_a_compensatory_pause_is_no_missed_beat() -> None:
    told = analyse(Strip().sinus(20).beat(0.5, "V").beat(1.5).sinus(10))
    assert FindingKind.MISSED_BEAT not in told.kinds()


def test_a_detached_electrode_is_no_asystole() -> None:
    strip = Strip().sinus(20).still(10).sinus(10).be(SignalState.LEAD_OFF, 20.4, 30.2)
    told = analyse(strip)
    assert FindingKind.ASYSTOLE not in told.kinds()
    assert told.rhythms()[1].rhythm is Rhythm.NOT_ANALYSED


@pytest.mark.parametrize("state", [SignalState.FLAT, SignalState.NO_DATA, SignalState.SATURATED])
def test_nothing_is_counted_over_signal_that_is_none(state: SignalState) -> None:
    told = analyse(Strip().sinus(20).still(12).sinus(10).be(state, 21, 31))
    assert FindingKind.ASYSTOLE not in told.kinds()


def test_a_second_of_noise_neither_ends_nor_hides_an_asystole() -> None:
    loud = Strip(noise_uv=80).sinus(20).still(12).be(SignalState.NOISY, 22, 23)
    (asystole,) = analyse(loud).found(FindingKind.ASYSTOLE)
    assert 25.0 <= asystole.found_s <= 26.0
    later = Strip(noise_uv=80).sinus(20).still(12).be(SignalState.NOISY, 26, 29)
    told = analyse(later)
    assert len(told.found(FindingKind.ASYSTOLE)) == 1
    assert not told.ended(FindingKind.ASYSTOLE)


def test_a_quiet_line_called_noisy_hides_no_qrs() -> None:
    told = analyse(Strip().sinus(20).still(12).be(SignalState.NOISY, 21, 32))
    (asystole,) = told.found(FindingKind.ASYSTOLE)
    assert asystole.found_s <= 25.0


def test_long_noise_ends_it_because_nobody_knows() -> None:
    strip = Strip(noise_uv=80).sinus(20).still(40).be(SignalState.NOISY, 26, 60)
    (over,) = analyse(strip).ended(FindingKind.ASYSTOLE)
    assert 45.0 <= over.found_s <= 47.0


def test_standstill_from_the_first_second_on_is_found() -> None:
    (asystole,) = analyse(Strip().still(10)).found(FindingKind.ASYSTOLE)
    assert asystole.onset_s == 0.0
    assert asystole.found_s <= 5.0
