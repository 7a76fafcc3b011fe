"""Alarm signals over time: when a light is on, when a bell rings. Pure; time is an argument.

Light after IEC 60601-1-8 as ``docs/monitor.md`` quotes it: HIGH flashes at 1.4-2.8 Hz, MEDIUM at
0.4-0.8 Hz, both 20-60 % on; LOW is steady. An acknowledged alarm is steady too.

A terminal has one sound, BEL, without pitch or length, so the standard's ten and three pulses
cannot be played. The bell here is a minimum that keeps the standard's intervals between bursts;
``docs/monitor.md`` says so to the reader.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sync.contract import AlarmInfo, Priority
from tui.words import urgency

FLASH_PERIOD_S = {Priority.HIGH: 0.6, Priority.MEDIUM: 1.6}
"""Whole numbers of the screen's frames on and off, so that frames do not shift the duty."""
DUTY = 0.5


def lit(priority: Priority, acknowledged: bool, now_s: float) -> bool:
    """Return whether the light of an alarm is on at ``now_s``."""
    period = FLASH_PERIOD_S.get(priority)
    if period is None or acknowledged:
        return True
    return now_s % period < DUTY * period


@dataclass(frozen=True, slots=True)
class Burst:
    """Bells close together, then silence until the next burst."""

    bells: int
    every_s: float | None
    """Start to start; None: once."""


BELL_GAP_S = 0.3
BURSTS = {
    Priority.HIGH: Burst(bells=5, every_s=6.0),
    Priority.MEDIUM: Burst(bells=3, every_s=15.0),
    Priority.LOW: Burst(bells=1, every_s=None),
}


class Bell:
    """Says when to ring; asked many times a second."""

    def __init__(self) -> None:
        self._priority: Priority | None = None
        self._heard: frozenset[str] = frozenset()
        self._begun_s = 0.0
        self._rung = 0

    def rings(self, alarms: Collection[AlarmInfo], paused: bool, now_s: float) -> bool:
        """Return whether to ring once now.

        Args:
            alarms: the alarms shown; acknowledged ones are silent.
            paused: audio is paused: nothing rings, and the burst starts anew afterwards.
            now_s: any steady clock, seconds.
        """
        audible = sorted((a for a in alarms if not a.acknowledged), key=urgency)
        if paused or not audible:
            self._priority, self._heard = None, frozenset()
            return False
        self._begin_burst(audible[0].priority, frozenset(a.alarm_id for a in audible), now_s)
        burst = BURSTS[audible[0].priority]
        if self._rung < burst.bells and now_s >= self._begun_s + self._rung * BELL_GAP_S:
            self._rung += 1
            return True
        return False

    def _begin_burst(self, priority: Priority, ids: frozenset[str], now_s: float) -> None:
        """Start a burst for a new alarm, a new worst priority, or when the interval is over."""
        every = BURSTS[priority].every_s
        over = every is not None and now_s - self._begun_s >= every
        if priority != self._priority or ids - self._heard or over:
            self._begun_s, self._rung = now_s, 0
        self._priority, self._heard = priority, ids
