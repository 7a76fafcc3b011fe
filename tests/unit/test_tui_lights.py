"""Alarm lights and bells over time, against the figures of IEC 60601-1-8 in docs/monitor.md."""

from __future__ import annotations

import numpy as np
import pytest
from support.bedside import alarm

from sync.contract import AlarmInfo, Priority
from tui.bedside.app import FRAMES_PER_S
from tui.lights import Bell, lit

HIGH = alarm("asystole", "ASYSTOLE", "high")
MEDIUM = alarm("hr_high", "HR HIGH", "medium")
LOW = alarm("pvc_run", "PVC RUN", "low")


@pytest.mark.parametrize(
    ("priority", "slowest", "fastest"), [(Priority.HIGH, 1.4, 2.8), (Priority.MEDIUM, 0.4, 0.8)]
)
def test_flash_rate_and_duty(priority: Priority, slowest: float, fastest: float) -> None:
    for step in (0.01, 1 / FRAMES_PER_S):
        light = np.array([lit(priority, False, t) for t in np.arange(0.003, 48, step)])
        rate = (np.diff(light.astype(int)) == 1).sum() / 48
        assert slowest <= rate <= fastest
        assert 0.2 <= light.mean() <= 0.6


def test_low_and_acknowledged_alarms_are_steady() -> None:
    times = np.arange(0, 10, 0.05)
    assert all(lit(Priority.LOW, False, t) for t in times)
    assert all(lit(Priority.HIGH, True, t) for t in times)


def rung(alarms: list[AlarmInfo], seconds: float, paused: bool = False) -> list[float]:
    bell = Bell()
    return [t for t in np.arange(0, seconds, 0.08) if bell.rings(alarms, paused, float(t))]


def bursts(times: list[float]) -> list[float]:
    return [t for k, t in enumerate(times) if k == 0 or t - times[k - 1] > 1.0]


@pytest.mark.parametrize(
    ("worst", "bells", "least", "most"), [(HIGH, 5, 2.5, 15.0), (MEDIUM, 3, 2.5, 30.0)]
)
def test_bursts_and_their_intervals(
    worst: AlarmInfo, bells: int, least: float, most: float
) -> None:
    times = rung([LOW, worst], 120.0)
    starts = bursts(times)
    assert len(times) in (bells * len(starts), bells * len(starts) - bells + 1)
    gaps = np.diff(starts) - bells * 0.3
    assert (gaps >= least).all()
    assert (gaps <= most).all()


def test_a_low_alarm_rings_once() -> None:
    assert rung([LOW], 120.0) == [0.0]


def test_nothing_rings_when_paused_acknowledged_or_quiet() -> None:
    assert rung([HIGH], 60.0, paused=True) == []
    assert rung([alarm("asystole", "ASYSTOLE", "high", acknowledged=True)], 60.0) == []
    assert rung([], 60.0) == []


def test_a_worse_or_new_alarm_rings_at_once() -> None:
    bell = Bell()
    assert bell.rings([MEDIUM], False, 0.0)
    assert bell.rings([MEDIUM, HIGH], False, 0.1)
    for t in np.arange(0.2, 4.0, 0.1):
        bell.rings([MEDIUM, HIGH], False, float(t))
    other = alarm("vf", "VENT FIB/FLUTTER", "high")
    assert bell.rings([MEDIUM, HIGH, other], False, 4.1)


def test_the_bell_begins_anew_after_the_pause() -> None:
    bell = Bell()
    bell.rings([HIGH], False, 0.0)
    assert not bell.rings([HIGH], True, 1.0)
    assert bell.rings([HIGH], False, 2.0)
