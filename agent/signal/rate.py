"""The heart rate a monitor shows, and the short-term variability of a minute."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.signal.types import Rate

SLOW_RR_S = 1.2
"""If the last three RR intervals are each longer, four are averaged; the rate is slow enough."""
SLOW_BEATS = 4
USUAL_BEATS = 12
"""Otherwise twelve, without the shortest and the longest (averaging rule of clinical.md)."""
FEWEST_RR = 3
"""After a start or a disturbance no rate is shown before so many intervals are known."""
SILENT_S = 4.0
"""Without a QRS for so long there is no rate to show: what is there then is a standstill."""
LONGEST_RR_S = 8.0


class RateMeter:
    """R peaks in, the rate of each second out."""

    def __init__(self) -> None:
        self._rr_s: deque[float] = deque(maxlen=USUAL_BEATS)
        self._last_s: float | None = None

    def beat(self, time_s: float) -> None:
        """One more R peak; they come in order."""
        if self._last_s is not None and time_s - self._last_s < LONGEST_RR_S:
            self._rr_s.append(time_s - self._last_s)
        self._last_s = time_s

    def disturbed(self) -> None:
        """The signal was unusable: intervals that may lie in it are not known."""
        self._rr_s.clear()
        self._last_s = None

    def rate(self, now_s: float) -> Rate:
        """The rate to be shown at ``now_s``."""
        if self._last_s is None or len(self._rr_s) < FEWEST_RR or now_s - self._last_s > SILENT_S:
            return Rate(now_s, None, None)
        return Rate(now_s, round(60.0 / self._mean_rr_s(), 1), round(self._rr_s[-1] * 1000, 1))

    def _mean_rr_s(self) -> float:
        known = list(self._rr_s)
        if min(known[-FEWEST_RR:]) > SLOW_RR_S:
            known = known[-SLOW_BEATS:]
        elif len(known) > SLOW_BEATS:
            known = sorted(known)[1:-1]
        return sum(known) / len(known)


@dataclass(frozen=True, slots=True)
class Variability:
    """Short-term heart rate variability (Task Force 1996); None where too few intervals."""

    rmssd_ms: float | None
    sdnn_ms: float | None
    pnn50: float | None
    """Share of successive differences over 50 ms, 0 to 1."""


def hrv(rr_ms: Sequence[float]) -> Variability:
    """Variability of successive normal-to-normal RR intervals, in milliseconds."""
    if len(rr_ms) < FEWEST_RR:
        return Variability(None, None, None)
    intervals = np.asarray(rr_ms, np.float64)
    steps = np.diff(intervals)
    return Variability(
        rmssd_ms=round(float(np.sqrt(np.mean(steps**2))), 1),
        sdnn_ms=round(float(intervals.std(ddof=1)), 1),
        pnn50=round(float(np.mean(np.abs(steps) > 50.0)), 3),
    )
