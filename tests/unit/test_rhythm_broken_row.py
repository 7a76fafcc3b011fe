"""A tachycardia whose row of ventricular beats is not whole."""

from __future__ import annotations

import numpy as np
import pytest

from agent.rhythm.beats import NamedBeat
from agent.rhythm.broken_row import broken_row
from agent.rhythm.limits import RhythmLimits
from agent.rhythm.types import Beat, BeatClass
from models.beat_features import Shape, Timing

LIMITS = RhythmLimits()
NO_WAVE = np.zeros(150, np.float32)


def row(text: str, slow_rr_s: float = 0.8) -> list[NamedBeat]:
    """Beats out of ``V400 S380``: class and RR interval in ms; V is 90 % sure, others 20 %."""
    time_s, beats = 10.0, []
    for word in text.split():
        kind, rr_s = BeatClass(word[0]), float(word[1:]) / 1000.0
        time_s += rr_s
        p_v = 0.9 if kind is BeatClass.V else 0.2
        beats.append(
            NamedBeat(
                Beat(time_s, kind, rr_s, 0.9, "beats 1.0.0"),
                Shape(0, 0.5, 1.0, 0.14, 0.09, 0.1, True, NO_WAVE),
                Timing(rr_s, 1.0, slow_rr_s, slow_rr_s, (), None),
                follows_pvc=False,
                reliable=True,
                ventricular=p_v,
            )
        )
    return beats


@pytest.mark.parametrize(
    "text",
    [
        "N800 V400 V380 V390 V370 V380",
        "N800 V400 V380 S390 V370 V380",
        "N800 V400 S380 V390 V370 V380",
        "N800 V400 V380 N390 V370 V380",
        "N800 V400 V380 V390 V370 S380",
        "N800 V400 V380 V390 V760",
        "N800 V460 V340 V680 V340",
    ],
)
def test_one_beat_misnamed_or_passed_over_breaks_no_tachycardia(text: str) -> None:
    beats = row(text)
    found = broken_row(beats, LIMITS)
    assert found
    assert found[-1] == beats[-1].beat.time_s
    assert found[0] > beats[0].beat.time_s


@pytest.mark.parametrize(
    "text",
    [
        "N800 N800 N800 N800 N800",
        "N800 V400 V400 N1100 N800",
        "N800 V400 V400 V400 V400",  # four: no fifth place
        "N800 V400 N1100 V400 N1100 V400",  # bigeminy
        "V400 V400 N900 V400 V400 N900 V400 V400",  # couplets
        "V500 V500 N780 V500 V500 N780 V500 V500",  # couplets in a fast rhythm
        "V700 V700 V700 V700 V700 V700",  # a slow ventricular rhythm
        "N800 S400 S400 S400 S400 S400 S400",  # a supraventricular run
        "V900 V450 V900 V450 V900",  # half of the intervals twice the others, and slow
        "N800 V400 V400 V1500 V400",  # a pause
    ],
)
def test_no_tachycardia_is_made_of_other_rhythms(text: str) -> None:
    assert broken_row(row(text), LIMITS) == ()


def test_fast_sinus_beats_do_not_fill_the_places_between_ectopic_ones() -> None:
    text = "V500 N520 V500 N520 V500 V500"
    assert broken_row(row(text, slow_rr_s=0.52), LIMITS) == ()


def test_the_patient_s_own_limits_hold() -> None:
    beats = row("N800 V400 V380 S390 V370 V380")
    assert broken_row(beats, RhythmLimits(vt_beats=8)) == ()
    assert broken_row(beats, RhythmLimits(vt_bpm=170.0)) == ()


def test_a_row_does_not_reach_across_a_gap() -> None:
    beats = row("N800 V400 V380 S390 V370 V380")
    cut = [*beats[:3], *row("V400 V380")]
    assert broken_row(cut[-2:], LIMITS) == ()
