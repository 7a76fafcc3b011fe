"""The last seconds of the conditioned signal, addressed by sample index on the chain's axis."""

from __future__ import annotations

import numpy as np

from agent.signal.types import HOP, RATE_HZ, Signal

KEEP_S = 12
"""Longest look back: a QRS is confirmed 0.4 s late, a verdict a second or two, a window 4 s."""


class SignalHistory:
    """A sliding buffer; NaN stands where there was no sample."""

    def __init__(self) -> None:
        self._keep = KEEP_S * RATE_HZ
        self._buffer = np.full(2 * self._keep, np.nan, np.float32)
        self._fill = 0
        self._end = 0

    def push(self, start: int, signal: Signal) -> None:
        """Append the hop that begins at sample ``start``; hops come in order, without a hole."""
        if self._fill + HOP > len(self._buffer):
            self._buffer[: self._keep] = self._buffer[self._fill - self._keep : self._fill]
            self._fill = self._keep
        self._buffer[self._fill : self._fill + HOP] = signal
        self._fill += HOP
        self._end = start + HOP

    def window(self, start: int, stop: int) -> Signal:
        """Samples ``[start, stop)``, shape (stop - start,), NaN where there are none."""
        first = self._end - self._fill
        if start >= first and stop <= self._end:
            return self._buffer[start - first : stop - first]
        whole = np.full(stop - start, np.nan, np.float32)
        low, high = max(start, first), min(stop, self._end)
        if low < high:
            whole[low - start : high - start] = self._buffer[low - first : high - first]
        return whole
