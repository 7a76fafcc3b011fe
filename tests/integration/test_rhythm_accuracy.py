"""Floors under alarms and lethal rhythms, through the whole chain with its networks.

A fixed part of the recordings, for the time; docs/rhythm.md has all figures and tells on which of
them something was tuned. Floors only rise.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from benchmarks.rhythm_accuracy import Job, jobs, measure

EACH = 5
"""Records of each kind of alarm, true and false."""
SCORE = 80.0
FLOORS = {
    "Asystole": (5, 5),
    "Bradycardia": (5, 5),
    "Tachycardia": (5, 3),
    "Ventricular_Flutter_Fib": (4, 5),
    "Ventricular_Tachycardia": (4, 3),
}
"""Found of the true alarms, kept quiet of the false ones."""


@cache
def part(data: Path) -> list[Job]:
    """The first true and false alarms of each kind, in the order of their names."""
    every = sorted(jobs(data, ["cinc2015"], None, False, None), key=lambda job: job.record)
    chosen: dict[tuple[str, bool], list[Job]] = {}
    for job in every:
        kind = chosen.setdefault((job.alarm, job.true), [])
        if len(kind) < EACH:
            kind.append(job)
    return [job for kind in chosen.values() for job in kind]


@cache
def alarms(data: Path) -> dict[str, Any]:
    """The chain's word on them."""
    table: dict[str, Any] = measure(part(data))["cinc2015"]
    return table


@pytest.mark.parametrize("kind", sorted(FLOORS))
def test_alarms_floor(kind: str, shared: Path) -> None:
    table = alarms(shared / "data")
    row = table["kinds"][kind]
    found, quiet = FLOORS[kind]
    assert row["tp"] >= found, table["missed"]
    assert row["tn"] >= quiet, table["false"]


def test_score_floor(shared: Path) -> None:
    assert alarms(shared / "data")["all"]["score"] >= SCORE


def test_fibrillation_floor(shared: Path) -> None:
    table = measure(jobs(shared / "data", ["vfdb"], ["429"], False, None))["vfdb"]
    row = table["records"]["429"]
    assert row["vf_sensitivity"] >= 99.0
    assert row["vf_specificity"] >= 98.0
    assert row["lethal_sensitivity"] >= 95.0
    delays = table["delays"]["vf"]
    assert delays["within_7_s"] == delays["episodes"]


def test_no_lethal_alarm_in_a_steady_rhythm(shared: Path) -> None:
    table = measure(jobs(shared / "data", ["mitdb"], ["101", "106"], False, None))["mitdb"]
    assert table["false_lethal"] == []
    assert table["findings"]["PVCs per minute"]["sensitivity"] >= 90.0
