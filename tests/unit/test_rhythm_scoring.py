"""Scores of rhythms and alarms, on spans and beats drawn by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.rhythm_hops import Strip

from agent.evaluate.reference import (
    Reference,
    frequent_pvcs,
    has_fast_row,
    patterns,
    pauses,
    ventricular_runs,
)
from agent.evaluate.spans import Outcome, Span, episodes, outcome, raised_at_end, spans
from agent.rhythm.types import Finding, FindingKind, Rhythm, RhythmChange
from agent.signal.types import Qrs, SignalState
from benchmarks.hop_cache import load, save
from benchmarks.lethal_seconds import lethal_seconds


def beats(text: str, rr_s: float = 0.5) -> Reference:
    """A reference with a beat of each letter; ``[`` and ``]`` mark flutter without beats."""
    at_s, out, flutter, begin = 0.0, [], [], 0.0
    for letter in text:
        at_s += rr_s
        if letter == "[":
            begin = at_s
        elif letter == "]":
            flutter.append(Span(begin, at_s))
        else:
            out.append((at_s, letter))
    return Reference(tuple(out), (), tuple(flutter))


def test_a_missed_alarm_costs_five() -> None:
    whole = outcome(True, True) + outcome(True, False) + outcome(False, True)
    whole += outcome(False, False)
    assert whole == Outcome(1, 1, 1, 1)
    assert whole.score == pytest.approx(100 * 2 / 8)


def test_an_alarm_counts_while_it_stands_in_the_last_sixteen_seconds() -> None:
    begun = Finding(FindingKind.VT, 100.0, 102.0)
    ended = Finding(FindingKind.VT, 100.0, 130.0, ended_s=128.0)
    assert raised_at_end(spans([begun], FindingKind.VT), 300.0), "never ended"
    assert raised_at_end(spans([begun, ended], FindingKind.VT), 146.0)
    assert not raised_at_end(spans([begun, ended], FindingKind.VT), 146.1)
    assert not raised_at_end(spans([begun], FindingKind.VF), 110.0)


def test_a_finding_is_one_span_however_often_it_is_told() -> None:
    told = [
        Finding(FindingKind.VT, 10.0, 12.0),
        Finding(FindingKind.VT, 10.0, 17.0, value=150.0),
        Finding(FindingKind.VT, 10.0, 21.0, ended_s=20.0),
    ]
    assert spans(told, FindingKind.VT) == [Span(10.0, 20.0, 12.0, 21.0)]


def test_episodes_are_counted_from_both_sides() -> None:
    counted = episodes([Span(0, 10), Span(20, 30)], [Span(1, 2), Span(3, 4), Span(30.1, 31)])
    assert (counted.reference, counted.hit, counted.found, counted.right) == (2, 2, 3, 3)
    missed = episodes([Span(0, 10)], [Span(10.2, 12)])
    assert (missed.sensitivity, missed.predictivity, missed.f1) == (0.0, 0.0, 0.0)


def test_runs_begin_with_v_and_go_on_with_f() -> None:
    found = ventricular_runs(beats("NVVNFVFVNNVNV[]VV"))
    assert [run.beats for run in found] == [2, 3, 2]
    assert [run.bpm for run in found] == pytest.approx([120.0] * 3)


def test_what_the_table_takes_from_the_beats() -> None:
    rows = patterns(beats("NN" + "VV" + "N" + "VVV" + "N" + "VVVVV" + "NN"))
    assert len(rows["couplet"]) == 1
    assert len(rows["PVC run (3 or more)"]) == 2
    assert len(rows["VT (5 or more, 100/min)"]) == 1
    assert not patterns(beats("NVVVVVN", 0.8))["VT (5 or more, 100/min)"], "75/min"


def test_a_labelled_svt_counts_as_one_where_it_is_as_fast_as_the_units_own() -> None:
    told = beats("N" * 12, 0.39)
    assert has_fast_row(told, Span(0.0, 10.0))
    assert not has_fast_row(told, Span(0.0, 1.7)), "four intervals"
    assert not has_fast_row(beats("N" * 12, 0.41), Span(0.0, 10.0)), "146/min"


def test_pauses_and_frequent_pvcs() -> None:
    assert pauses(beats("NNN", 2.1), 2.0) == [Span(2.1, 4.2), Span(4.2, pytest.approx(6.3))]
    assert not pauses(beats("N[]N", 2.1), 2.0), "flutter holds no beats"
    assert len(frequent_pvcs(beats("NV" * 12, 1.0))) == 1
    assert not frequent_pvcs(beats("NNNNNNV" * 12, 1.0))


def test_seconds_are_counted_by_the_rhythm_in_force_and_noise_by_none() -> None:
    labels = [(Span(0, 4), "N"), (Span(4, 8), "VFL"), (Span(8, 10), "VT"), (Span(10, 12), "NOISE")]
    told = [
        RhythmChange(0.0, Rhythm.NORMAL, 1.0, "rules"),
        RhythmChange(3.0, Rhythm.VF, 1.0, "rules"),
        RhythmChange(9.0, Rhythm.ASYSTOLE, 1.0, "rules"),
    ]
    count = lethal_seconds(Reference((), tuple(labels), ()), told, 12.0)
    assert count == {
        ("other", "other"): 3,
        ("other", "vf"): 1,
        ("vf", "vf"): 4,
        ("vt", "vf"): 1,
        ("vt", "other"): 1,
    }


def test_hops_come_back_from_the_cache(tmp_path: Path) -> None:
    strip = Strip().sinus(9.0).still(4.0).be(SignalState.NOISY, 3.0, 5.0)
    hops = list(strip.hops())
    save(tmp_path / "kept.npz", hops)
    again = load(tmp_path / "kept.npz")
    assert len(again) == len(hops)
    for old, new in zip(hops, again, strict=True):
        np.testing.assert_array_equal(old.signal, new.signal)
        assert (old.index, old.state, old.settled_s) == (new.index, new.state, new.settled_s)
        assert (old.qrs, old.verdict, old.rate) == (new.qrs, new.verdict, new.rate)
    assert any(isinstance(qrs, Qrs) for hop in again for qrs in hop.qrs)
