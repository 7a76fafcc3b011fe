"""Short-term heart rate variability over five minutes of normal beats (Task Force, Circulation
1996;93:1043): the time-domain figures RMSSD, SDNN and pNN50.

Only NN intervals count, those between two normal beats next to each other, and a successive
difference only where both of its intervals stand next to each other. An ectopic beat, a gap or a
disturbance therefore takes intervals away and never adds a difference that no sinus node made.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

WINDOW_S = 300.0
"""The Task Force's short-term recording: figures of other lengths don't compare."""
ENOUGH_S = 150.0
"""Fewer seconds of NN intervals in the window give no figures."""
SHORTEST_NN_S, LONGEST_NN_S = 0.3, 2.0
"""Outside of these a beat was missed, or one counted that was none."""
PNN_STEP_MS = 50.0


@dataclass(frozen=True, slots=True)
class Variability:
    """Short-term variability; None where too few intervals are known."""

    rmssd_ms: float | None
    """Root mean square of successive differences."""
    sdnn_ms: float | None
    """Standard deviation of the NN intervals."""
    pnn50: float | None
    """Share of successive differences over 50 ms, 0 to 1."""


class NormalIntervals:
    """The NN intervals of the last five minutes; beats in, figures out.

    Times are stream seconds; a beat before the one before is a new stream's and begins anew.
    """

    def __init__(self) -> None:
        self._intervals: deque[tuple[float, float, bool]] = deque()
        """(time of its later beat, length, whether the interval before it counts too), seconds."""
        self._last_s = -math.inf
        self._after_normal = False
        self._after_interval = False

    def beat(self, time_s: float, rr_s: float | None, *, normal: bool) -> None:
        """One more beat; they come in order, ``rr_s`` is None at a start or after a gap."""
        if time_s < self._last_s:
            self._intervals.clear()
            self._after_normal = False
        self._last_s = time_s
        counts = normal and self._after_normal and rr_s is not None
        if counts and rr_s is not None and SHORTEST_NN_S <= rr_s <= LONGEST_NN_S:
            self._intervals.append((time_s, rr_s, self._after_interval))
            self._after_interval = True
        else:
            self._after_interval = False
        self._after_normal = normal
        self._forget(time_s)

    def figures(self, now_s: float) -> Variability:
        """Variability of the five minutes before ``now_s``."""
        self._forget(now_s)
        lengths_ms = np.array([length for _, length, _ in self._intervals]) * 1000.0
        if lengths_ms.sum() < ENOUGH_S * 1000.0:
            return Variability(None, None, None)
        follows = np.array([after for _, _, after in self._intervals])[1:]
        steps = np.diff(lengths_ms)[follows]
        sdnn_ms = round(float(lengths_ms.std(ddof=1)), 1)
        if not len(steps):
            return Variability(None, sdnn_ms, None)
        return Variability(
            rmssd_ms=round(float(np.sqrt(np.mean(steps**2))), 1),
            sdnn_ms=sdnn_ms,
            pnn50=round(float(np.mean(np.abs(steps) > PNN_STEP_MS)), 3),
        )

    def _forget(self, now_s: float) -> None:
        while self._intervals and self._intervals[0][0] <= now_s - WINDOW_S:
            self._intervals.popleft()
