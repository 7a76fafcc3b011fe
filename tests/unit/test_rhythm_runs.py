"""Ventricular ectopy: from the single PVC to the sustained tachycardia."""

from __future__ import annotations

import pytest
from support.rhythm_hops import Strip, analyse

from agent.rhythm.limits import RhythmLimits
from agent.rhythm.types import FindingKind, Rhythm


def test_a_single_pvc_is_named_and_raises_nothing() -> None:
    told = analyse(Strip().sinus(20).beat(0.5, "V").beat(1.1).sinus(10))
    assert told.classes().count("V") == 1
    assert told.beats()[told.classes().index("V")].time_s == pytest.approx(20.5)
    assert told.kinds() == set()


def test_couplet() -> None:
    told = analyse(Strip().sinus(20).run(2, 130).beat(1.1).sinus(10))
    (couplet,) = told.found(FindingKind.COUPLET)
    assert couplet.value == pytest.approx(130, abs=2)
    assert len(couplet.beats) == 2
    assert told.kinds() == {FindingKind.COUPLET}


def test_three_fast_ones_are_not_sustained() -> None:
    told = analyse(Strip().sinus(20).run(4, 130).beat(1.1).sinus(10))
    (run,) = told.found(FindingKind.NSVT)
    assert run.onset_s == pytest.approx(20.46, abs=0.02)
    assert FindingKind.VT not in told.kinds()
    assert FindingKind.COUPLET not in told.kinds()


def test_five_fast_ones_are_vt_found_at_the_fifth() -> None:
    told = analyse(Strip().sinus(20).run(20, 150).beat(1.1).sinus(10))
    (vt,) = told.found(FindingKind.VT)
    fifth_s = 20.0 + 5 * 0.4
    assert vt.onset_s == pytest.approx(20.4, abs=0.01)
    assert fifth_s <= vt.found_s <= fifth_s + 0.8
    assert vt.value == pytest.approx(150, abs=3)
    assert vt.limit == 100
    assert len(vt.beats) == 5
    (over,) = told.ended(FindingKind.VT)
    assert over.ended_s == pytest.approx(28.0, abs=0.01)
    change = next(c for c in told.rhythms() if c.rhythm is Rhythm.VT)
    assert change.start_s == vt.onset_s
    assert told.rhythms()[-1].rhythm is Rhythm.NORMAL


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("bpm", [195, 206])
def test_vt_is_found_in_seven_seconds_at_any_height(bpm: float, scale: float) -> None:
    strip = Strip().sinus(20).run(40, bpm)
    signal = strip.signal() * scale
    strip.signal = lambda: signal  # type: ignore[method-assign]
    (vt,) = analyse(strip).found(FindingKind.VT)
    assert vt.found_s - 20.0 <= 5.0


def test_one_beat_of_another_name_does_not_end_a_tachycardia() -> None:
    told = analyse(Strip().sinus(20).run(8, 150).beat(0.4).run(8, 150).beat(1.1).sinus(8))
    assert len(told.found(FindingKind.VT)) == 1
    assert len(told.ended(FindingKind.VT)) == 1


def test_a_slow_ventricular_rhythm_is_no_tachycardia() -> None:
    told = analyse(Strip().sinus(20).run(10, 70).beat(0.9).sinus(10))
    assert told.found(FindingKind.VENTRICULAR_RHYTHM)
    assert FindingKind.VT not in told.kinds()


def test_vt_ends_when_the_heart_stands_still() -> None:
    told = analyse(Strip().sinus(20).run(12, 150).still(8))
    (over,) = told.ended(FindingKind.VT)
    assert over.found_s <= 27.4
    assert told.found(FindingKind.ASYSTOLE)


def test_limits_move_the_line() -> None:
    strip = Strip().sinus(20).run(6, 110).beat(1.1).sinus(10)
    assert analyse(strip).found(FindingKind.VT)
    assert not analyse(strip, RhythmLimits(vt_bpm=120)).found(FindingKind.VT)
    assert not analyse(strip, RhythmLimits(vt_beats=8)).found(FindingKind.VT)


def test_bigeminy_and_trigeminy() -> None:
    two = Strip().sinus(15)
    three = Strip().sinus(15)
    for _ in range(8):
        two.beat(0.9).beat(0.5, "V")
        three.beat(0.9).beat(0.8).beat(0.5, "V")
    (bigeminy,) = analyse(two.sinus(10)).found(FindingKind.BIGEMINY)
    assert len(bigeminy.beats) == 6
    told = analyse(three.sinus(10))
    assert told.found(FindingKind.TRIGEMINY)
    assert FindingKind.BIGEMINY not in told.kinds()
    assert told.ended(FindingKind.TRIGEMINY)


def test_pvcs_per_minute() -> None:
    strip = Strip().sinus(15)
    for _ in range(12):
        strip.sinus(3.2).beat(0.5, "V").beat(1.1)
    told = analyse(strip.sinus(70))
    (many,) = told.found(FindingKind.PVC_RATE_HIGH)
    assert (many.value, many.limit) == (10, 10)
    assert told.ended(FindingKind.PVC_RATE_HIGH)
    assert not analyse(strip, RhythmLimits(pvc_per_min=20)).found(FindingKind.PVC_RATE_HIGH)


def test_r_on_t() -> None:
    told = analyse(Strip().sinus(20).beat(0.30, "V").beat(1.2).sinus(10))
    (early,) = told.found(FindingKind.R_ON_T)
    assert early.value == pytest.approx(300)
    assert FindingKind.R_ON_T not in analyse(Strip().sinus(20).beat(0.5, "V").sinus(9)).kinds()


def test_two_forms_of_pvc() -> None:
    strip = Strip().sinus(15)
    for kind in "VWVWVW":
        strip.sinus(3.2).beat(0.5, kind).beat(1.1)
    assert analyse(strip).found(FindingKind.MULTIFORM_PVC)
    alike = Strip().sinus(15)
    for _ in range(6):
        alike.sinus(3.2).beat(0.5, "V").beat(1.1)
    assert not analyse(alike).found(FindingKind.MULTIFORM_PVC)
