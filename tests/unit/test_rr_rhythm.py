"""Rhythm and rate by a strap's RR intervals: what they can say, and what they must not."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from agent.rhythm.limits import RhythmLimits
from agent.rhythm.types import Finding, FindingKind, Rhythm, RhythmChange
from agent.rr_rhythm import RrRhythm
from drivers.samples import HeartRateReading, LeadState


def follow(
    rr_ms: Iterable[float], contact: LeadState = LeadState.ON, rhythm: RrRhythm | None = None
) -> tuple[list[Rhythm], list[Finding]]:
    """One notification a beat; rhythms in force and findings."""
    one = rhythm or RrRhythm()
    at_s, limits = 0.0, RhythmLimits()
    changes: list[Rhythm] = []
    findings: list[Finding] = []
    for rr in rr_ms:
        at_s += rr / 1000
        reading = HeartRateReading(round(at_s * 1e9), round(60_000 / rr), (rr,), contact)
        for event in one.push(reading, at_s, limits):
            if isinstance(event, RhythmChange):
                changes.append(event.rhythm)
            else:
                findings.append(event)
    return changes, findings


def sinus(rate_bpm: float, beats: int, seed: int = 1) -> list[float]:
    draw = random.Random(seed)
    return [60_000 / rate_bpm * (1 + draw.gauss(0, 0.02)) for _ in range(beats)]


def fibrillation(beats: int, seed: int = 2) -> list[float]:
    draw = random.Random(seed)
    return [draw.uniform(450, 1050) for _ in range(beats)]


def test_a_steady_rhythm_is_normal_once_enough_intervals_are_known() -> None:
    changes, findings = follow(sinus(72, 120))
    assert changes == [Rhythm.NORMAL]
    assert findings == []


def test_fibrillation_is_told_and_its_end_too() -> None:
    changes, findings = follow([*sinus(72, 60), *fibrillation(200), *sinus(72, 200)])
    assert changes[0] is Rhythm.NORMAL
    assert Rhythm.AF in changes
    assert changes[-1] is Rhythm.NORMAL
    af = [finding for finding in findings if finding.kind is FindingKind.AF]
    assert af[0].ended_s is None
    assert af[-1].ended_s is not None


def test_bigeminy_repeats_and_is_no_fibrillation() -> None:
    changes, findings = follow([500.0, 1100.0] * 120)
    assert Rhythm.AF not in changes
    assert not any(finding.kind is FindingKind.AF for finding in findings)


def test_a_fast_regular_rhythm_is_never_called_normal() -> None:
    changes, findings = follow(sinus(170, 200))
    assert changes == [Rhythm.OTHER]
    kinds = {finding.kind for finding in findings}
    assert {FindingKind.HR_HIGH, FindingKind.EXTREME_TACHYCARDIA} <= kinds


def test_a_low_rate_begins_and_ends() -> None:
    _, findings = follow([*sinus(70, 30), *sinus(40, 30), *sinus(70, 30)])
    low = [finding for finding in findings if finding.kind is FindingKind.HR_LOW]
    assert low[0].limit == 50.0
    assert low[-1].ended_s is not None


def test_two_readings_beyond_a_limit_are_not_enough() -> None:
    _, findings = follow([800.0] * 30 + [400.0] * 2 + [800.0] * 10)
    assert not any(finding.kind is FindingKind.HR_HIGH for finding in findings)


@pytest.mark.parametrize("lost", [LeadState.OFF, None])
def test_without_contact_or_rate_nothing_is_analysed(lost: LeadState | None) -> None:
    rhythm = RrRhythm()
    follow(sinus(72, 60), rhythm=rhythm)
    contact = lost or LeadState.ON
    reading = HeartRateReading(0, 72 if lost else None, (), contact)
    (change,) = rhythm.push(reading, 99.0, RhythmLimits())
    assert isinstance(change, RhythmChange)
    assert change.rhythm is Rhythm.NOT_ANALYSED


def test_a_strap_without_intervals_gives_rates_but_no_rhythm() -> None:
    rhythm = RrRhythm()
    found = [
        event
        for second in range(60)
        for event in rhythm.push(
            HeartRateReading(0, 150, (), LeadState.UNKNOWN), float(second), RhythmLimits()
        )
    ]
    assert [event.kind for event in found if isinstance(event, Finding)][:1] == [
        FindingKind.HR_HIGH
    ]
    assert rhythm.rhythm is Rhythm.NOT_ANALYSED
