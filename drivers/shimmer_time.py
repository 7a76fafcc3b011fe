"""A Shimmer3's packets on the stream axis: losses by its own time stamps, over a lost link too."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drivers.axis import Missing, Part, StreamAxis
from drivers.continuity import RELINKED_LIMIT_NS
from drivers.decoders.shimmer import LONGEST_STEP, STAMP_TURN, TICKS_HZ
from drivers.samples import Counts, GapCause


class StampedStream:
    """Packets of one sample, each with the device's time in ticks modulo 2²⁴.

    ``ticks`` lie between two samples. The clock runs on while the link is lost, so that gap is
    exact too, unless it began anew: then the device was off, and the host's clock bounds the gap.
    """

    def __init__(self, axis: StreamAxis, ticks: int) -> None:
        self._axis = axis
        self._ticks = ticks
        self._stamp: int | None = None
        self._passed = 0
        self._host_ns = 0
        self._cause: GapCause | None = None

    def restart(self, cause: GapCause) -> None:
        """What comes next follows a loss of the link or the device."""
        self._cause = cause

    def arrive(self, stamps: NDArray[np.int32], counts: Counts, host_ns: int) -> None:
        """Take packets (stamps (n,), counts (n, leads)), the last arrived at ``host_ns``."""
        if not len(stamps):
            return
        if self._stamp is None:
            self._stamp = int(stamps[0]) - self._ticks
            self._cause = None
        known = np.concatenate([[self._stamp], stamps]).astype(np.int64)
        steps = np.diff(known) % STAMP_TURN
        doubtful = self._cause is not None or steps[0] > LONGEST_STEP
        anew = bool(doubtful) and not self._relink(steps, host_ns)
        cause = self._cause or GapCause.LOST_PACKETS
        self._stamp, self._host_ns, self._cause = int(stamps[-1]), host_ns, None
        start = 0
        for end in [*(np.flatnonzero(steps[1:] > LONGEST_STEP) + 1).tolist(), len(steps)]:
            if anew:
                steps[start] = self._ticks
            self._lay(steps[start:end], counts[start:end], host_ns, cause, anew=anew)
            start, anew = end, True

    def _relink(self, steps: NDArray[np.int64], host_ns: int) -> bool:
        """Complete the first step by its whole turns; False where the two clocks disagree."""
        passed = (host_ns - self._host_ns) * TICKS_HZ / 1e9 - float(steps[1:].sum())
        steps[0] += max(0, round((passed - float(steps[0])) / STAMP_TURN)) * STAMP_TURN
        return abs(passed - float(steps[0])) <= RELINKED_LIMIT_NS * TICKS_HZ / 1e9

    def _lay(
        self,
        steps: NDArray[np.int64],
        counts: Counts,
        host_ns: int,
        cause: GapCause,
        *,
        anew: bool,
    ) -> None:
        self._passed += int(steps.sum())
        device_ns = round(self._passed * 1e9 / TICKS_HZ)
        missing = (steps + self._ticks // 2) // self._ticks - 1
        parts: list[Part] = []
        start = 0
        for place in np.flatnonzero(missing > 0).tolist():
            if place > start:
                parts.append(counts[start:place])
            parts.append(Missing(int(missing[place]), GapCause.LOST_PACKETS if place else cause))
            start = place
        parts.append(counts[start:])
        if anew:
            self._axis.rejoin(parts, host_ns, GapCause.DEVICE_RESTART, device_ns=device_ns)
        else:
            self._axis.arrive(parts, host_ns, device_ns=device_ns)
