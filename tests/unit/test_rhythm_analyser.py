"""What holds of the analyser whatever comes in."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.rhythm_hops import Strip, Told, analyse

from agent.rhythm.analyser import RhythmAnalyser
from agent.rhythm.limits import RhythmLimits
from agent.rhythm.types import Beat, Finding, FindingKind, Rhythm, RhythmChange
from agent.signal.types import HOP, Hop, Qrs, Rate, SecondVerdict, SignalState

PIECES = st.lists(
    st.tuples(
        st.sampled_from(["sinus", "fast", "slow", "run", "vf", "still", "pvc", "lost"]),
        st.floats(1.0, 15.0),
    ),
    min_size=1,
    max_size=8,
)


def draw(pieces: list[tuple[str, float]]) -> Strip:
    strip = Strip()
    for kind, seconds in pieces:
        start_s = strip.end_s
        if kind in ("sinus", "fast", "slow"):
            strip.sinus(seconds, {"sinus": 75, "fast": 170, "slow": 35}[kind])
        elif kind == "run":
            strip.run(max(1, round(seconds)), 150).beat(0.9)
        elif kind == "vf":
            strip.fibrillating(seconds)
        elif kind == "pvc":
            strip.beat(0.8).beat(0.5, "V").beat(1.1)
        else:
            strip.still(seconds)
        if kind == "lost":
            strip.be(SignalState.LEAD_OFF, start_s, strip.end_s)
    return strip


def check(told: Told) -> None:
    """One condition of a kind at a time, each begun once and ended once; changes in order."""
    open_: dict[FindingKind, float] = {}
    ended: set[tuple[FindingKind, float]] = set()
    found_s = 0.0
    for event in told.events:
        if isinstance(event, Finding):
            assert event.found_s >= found_s - 1e-9
            found_s = event.found_s
            assert event.onset_s <= event.found_s
            assert (event.kind, event.onset_s) not in ended
            assert open_.setdefault(event.kind, event.onset_s) == event.onset_s
            if event.ended_s is not None:
                assert event.onset_s <= event.ended_s <= event.found_s
                ended.add((event.kind, open_.pop(event.kind)))
    changes = [event for event in told.events if isinstance(event, RhythmChange)]
    for before, after in pairwise(changes):
        assert before.start_s <= after.start_s
        assert before.rhythm is not after.rhythm
    times = [event.time_s for event in told.events if isinstance(event, Beat)]
    assert times == sorted(times)


@settings(max_examples=25, deadline=None)
@given(PIECES)
def test_findings_begin_and_end_in_order(pieces: list[tuple[str, float]]) -> None:
    strip = draw(pieces)
    told = analyse(strip)
    check(told)
    assert len(told.beats()) == len(strip.beats)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_any_hops_at_all_are_survived(seed: int) -> None:
    rng = np.random.default_rng(seed)
    analyser = RhythmAnalyser(RhythmLimits())
    events = []
    last_s = 0.0
    for index in range(150):
        signal = rng.normal(0, 10.0 ** rng.uniform(0, 4), HOP).astype(np.float32)
        if rng.random() < 0.1:
            signal[rng.integers(HOP) :] = np.nan
        end_s = (index + 1) * 0.2
        qrs = []
        while rng.random() < 0.3 and last_s + 0.2 < end_s - 0.1:
            last_s = float(rng.uniform(last_s + 0.2, end_s))
            qrs.append(Qrs(last_s, float(rng.normal(0, 1000)), 0, 1.5))
        state = SignalState(rng.choice([s.value for s in SignalState]))
        bpm = None if rng.random() < 0.3 else float(rng.uniform(10, 300))
        second = (index + 1) % 5 == 0
        hop = Hop(
            index,
            signal,
            state,
            tuple(qrs),
            end_s - 0.3,
            SecondVerdict(end_s - 1, state, 0.5, "rules") if second else None,
            Rate(end_s, bpm, None) if second else None,
        )
        events += analyser.push(hop)
    check(Told(events + analyser.flush()))


def test_a_clean_sinus_rhythm_raises_nothing_at_any_usual_rate() -> None:
    for bpm in (52, 60, 75, 90, 110):
        told = analyse(Strip(seed=bpm).sinus(90, bpm))
        assert told.kinds() == set()
        assert [change.rhythm for change in told.rhythms()] == [Rhythm.NORMAL]


@pytest.mark.parametrize("state", [s for s in SignalState if s is not SignalState.USABLE])
def test_no_rhythm_is_named_over_unusable_signal(state: SignalState) -> None:
    strip = Strip(noise_uv=80).sinus(60).be(state, 20, 40)
    rhythms = analyse(strip).rhythms()
    assert [change.rhythm for change in rhythms] == [
        Rhythm.NORMAL,
        Rhythm.NOT_ANALYSED,
        Rhythm.NORMAL,
    ]
    assert 20.0 <= rhythms[1].start_s <= 20.4
    assert 40.0 <= rhythms[2].start_s <= 46.0


def test_beats_in_unusable_signal_make_no_run() -> None:
    strip = Strip().sinus(20).run(20, 160).beat(1.0).sinus(10).be(SignalState.NOISY, 19, 30)
    told = analyse(strip)
    assert not told.kinds() & {FindingKind.VT, FindingKind.NSVT, FindingKind.EXTREME_TACHYCARDIA}
    assert Counter(told.classes())["V"] >= 15


def test_new_limits_hold_from_the_next_hop_on() -> None:
    analyser = RhythmAnalyser(RhythmLimits())
    events = []
    for hop in Strip().sinus(60, 100).hops():
        if hop.index == 150:
            analyser.set_limits(RhythmLimits(hr_high=90))
        events += analyser.push(hop)
    (high,) = Told(events).found(FindingKind.HR_HIGH)
    assert 30.0 <= high.found_s <= 34.0
