"""A ventricular tachycardia whose beats the detector does not all find shows in the wave."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from support.rhythm_hops import Strip

from agent.rhythm.analyser import RhythmAnalyser
from agent.rhythm.broad_wave import EVERY_HOPS, WINDOW_S, BroadWave
from agent.rhythm.limits import RhythmLimits
from agent.rhythm.types import Finding, FindingKind
from agent.signal.types import HOP, RATE_HZ


def periods(strip: Strip) -> list[tuple[float, float]]:
    """When the wave was found broad, and its period."""
    signal, wave = strip.signal(), BroadWave()
    out = []
    for end in range(WINDOW_S * RATE_HZ, len(signal), EVERY_HOPS * HOP):
        period_s = wave.look(signal[end - WINDOW_S * RATE_HZ : end])
        if period_s is not None:
            out.append((end / RATE_HZ, period_s))
    return out


def vt_found(strip: Strip, detected: Callable[[int], bool]) -> list[Finding]:
    """Begins of VT, where the detector finds only some of the strip's beats."""
    analyser = RhythmAnalyser(RhythmLimits())
    number = {at_s: index for index, (at_s, _) in enumerate(strip.beats)}
    events = []
    for hop in strip.hops():
        kept = tuple(qrs for qrs in hop.qrs if detected(number[qrs.time_s]))
        events += analyser.push(replace(hop, qrs=kept))
    return [
        event
        for event in events
        if isinstance(event, Finding) and event.kind is FindingKind.VT and event.ended_s is None
    ]


@pytest.mark.parametrize("bpm", [120, 160, 210])
def test_a_run_is_broad_and_has_its_period(bpm: int) -> None:
    found = periods(Strip().sinus(20.0).run(12, bpm).sinus(5.0))
    assert found
    assert all(end_s > 20.0 for end_s, _ in found)
    assert found[0][1] == pytest.approx(60.0 / bpm, rel=0.05)


@pytest.mark.parametrize("bpm", [50, 80, 120, 160])
def test_the_patients_own_rhythm_is_not(bpm: int) -> None:
    assert not periods(Strip().sinus(60.0, bpm))


def test_nor_is_a_wide_rhythm_that_always_was() -> None:
    assert not periods(Strip().run(90, 130))


def test_missing_samples_are_no_wave() -> None:
    wave = BroadWave()
    assert wave.look(np.full(WINDOW_S * RATE_HZ, np.nan, np.float32)) is None


def test_every_second_beat_undetected_is_still_vt() -> None:
    strip = Strip().sinus(20.0, 80).run(14, 160).sinus(8.0)
    first = next(index for index, (_, kind) in enumerate(strip.beats) if kind == "V")
    found = vt_found(strip, lambda index: index < first or (index - first) % 2 == 0)
    assert len(found) == 1
    assert found[0].found_s - strip.beats[first][0] < 5.0
    assert found[0].value == pytest.approx(160, rel=0.05)
    assert found[0].beats
    assert found[0].judged_by == "rules"


def test_three_in_a_row_are_none_however_broad() -> None:
    strip = Strip().sinus(20.0).run(3, 160).sinus(8.0)
    assert not vt_found(strip, lambda index: True)


def test_a_run_that_ended_is_not_told_again() -> None:
    # One beat found, then a wave without any: the run is over 2 s later, and the wave goes on.
    strip = Strip().sinus(20.0, 80).run(20, 160).sinus(6.0)
    first = next(index for index, (_, kind) in enumerate(strip.beats) if kind == "V")
    found = vt_found(strip, lambda index: index <= first or index >= first + 20)
    assert len({finding.onset_s for finding in found}) == len(found)
    assert len(found) <= 1
