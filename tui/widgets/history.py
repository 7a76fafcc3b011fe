"""The last seconds of one lead on the stream's own time axis, ready to be drawn."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

NO_SAMPLE = -32768
"""The contract's mark for "no sample here" in ``Wave.microvolts``."""

MOST_MARKS = 512

Floats = NDArray[np.float32]
Times = NDArray[np.float64]


class WaveHistory:
    """Samples by stream time, NaN where there was none; forgets what is older than ``keep_s``."""

    def __init__(self, keep_s: float) -> None:
        self.keep_s = keep_s
        self.rate_hz = 0.0
        self._samples: Floats = np.empty(0, np.float32)
        self._first = 0
        self._used = 0
        self.marks: deque[tuple[float, str]] = deque(maxlen=MOST_MARKS)
        """(stream time, letter) of the beats to be named on the trace, oldest first."""

    @property
    def start_s(self) -> float:
        """Stream time of the oldest sample kept."""
        return self._first / self.rate_hz if self._used else 0.0

    @property
    def end_s(self) -> float:
        """Stream time just after the newest sample."""
        return (self._first + self._used) / self.rate_hz if self._used else 0.0

    def clear(self) -> None:
        """Forget everything: another stream begins."""
        self._used = 0
        self.rate_hz = 0.0
        self.marks.clear()

    def add(self, start_s: float, rate_hz: float, microvolts: bytes) -> None:
        """Append a message's samples (int16 little endian); missing ones before it become NaN.

        A stream that goes back in time or changes its rate is another stream: the old is cleared.
        """
        values = np.frombuffer(microvolts[: len(microvolts) & ~1], "<i2")
        if rate_hz <= 0 or not len(values):
            return
        index = round(start_s * rate_hz)
        overlap = self._first + self._used - index
        if self._used and 0 < overlap <= 1:
            index += overlap  # two roundings of the same time
        if rate_hz != self.rate_hz or (self._used and index < self._first + self._used):
            self.clear()
            self.rate_hz = rate_hz
            self._samples = np.empty(2 * max(1, round(self.keep_s * rate_hz)), np.float32)
        keep = len(self._samples) // 2
        missing = index - self._first - self._used if self._used else 0
        if missing >= keep or not self._used:
            self._first, self._used, missing = index, 0, 0
        values = values[-keep:]
        self._make_room(missing + len(values))
        self._samples[self._used : self._used + missing] = np.nan
        self._used += missing
        place = self._samples[self._used : self._used + len(values)]
        place[:] = values
        place[values == NO_SAMPLE] = np.nan
        self._used += len(values)

    def _make_room(self, more: int) -> None:
        """Forget the oldest so that ``more`` samples fit; moves memory once per ``keep_s``."""
        if self._used + more <= len(self._samples):
            return
        stay = max(0, min(self._used, len(self._samples) // 2 - more))
        self._samples[:stay] = self._samples[self._used - stay : self._used].copy()
        self._first += self._used - stay
        self._used = stay

    def value(self, time_s: float) -> float | None:
        """Return the sample nearest to a stream time, in microvolts; None where there is none."""
        place = round(time_s * self.rate_hz) - self._first
        if not 0 <= place < self._used or np.isnan(self._samples[place]):
            return None
        return float(self._samples[place])

    def envelope(self, edges_s: Times) -> tuple[Floats, Floats]:
        """Return lowest and highest microvolts between neighbouring edges.

        Args:
            edges_s: ascending stream times, shape (n + 1,).

        Returns:
            Two arrays of shape (n,), NaN where nothing was sampled. The line between two samples
            counts as drawn, so neighbours touch and no peak narrower than a step is lost.
        """
        steps = len(edges_s) - 1
        nothing = np.full(steps, np.nan, np.float32)
        if not self._used or steps < 1:
            return nothing, nothing.copy()
        from_ = max(0, int(np.floor(edges_s[0] * self.rate_hz)) - self._first - 1)
        to = min(self._used, int(np.ceil(edges_s[-1] * self.rate_hz)) - self._first + 2)
        if to <= from_:
            return nothing, nothing.copy()
        values = self._samples[from_:to]
        times = (self._first + np.arange(from_, to)) / self.rate_hz
        at_edges = np.interp(edges_s, times, values, left=np.nan, right=np.nan)
        low = np.fmin(at_edges[:-1], at_edges[1:])
        high = np.fmax(at_edges[:-1], at_edges[1:])
        cuts = np.searchsorted(times, edges_s)
        filled = np.flatnonzero(cuts[1:] > cuts[:-1])
        if len(filled):
            inside = values[: cuts[-1]]
            low[filled] = np.fmin(low[filled], np.fmin.reduceat(inside, cuts[filled]))
            high[filled] = np.fmax(high[filled], np.fmax.reduceat(inside, cuts[filled]))
        return low.astype(np.float32), high.astype(np.float32)
