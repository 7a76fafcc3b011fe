"""The QRS detector's front end: one lead's samples → envelope, wave, and candidate peaks.

Everything after the first line is in whole numbers (quarter microvolts, whole filter taps), so
sums are exact in any order and no cut of the input, no vector width and no machine changes a bit.
All filters are symmetric: what they give for sample ``i`` stands at sample ``i``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d

from agent.signal.types import RATE_HZ

Whole = NDArray[np.float64]
"""Whole numbers in floating point: exact to 2**53."""

COUNTS_PER_UV = 4.0
LOOK_AHEAD = 45
"""Samples after a candidate that its features may need (180 ms): a P wave is told from a QRS by the
QRS that follows it. With a hop of 200 ms a beat is decided within 0.4 s."""
HISTORY = 700
"""Samples before a candidate that its features may need (2.8 s)."""
APART = 20
"""A candidate is the envelope's highest point within so many samples (80 ms) on both sides."""
_LEAST = 8.0
"""Candidates lower than 2 µV are converter noise."""


def _whole(taps: NDArray[np.float64], total: float, mean: float) -> Whole:
    """Round taps to whole numbers of absolute sum near ``total`` and exact sum ``mean``."""
    rounded: Whole = np.rint(taps * total / np.abs(taps).sum())
    rounded[len(rounded) // 2] += mean - rounded.sum()
    return rounded


def _bell(width_s: float, half: int) -> NDArray[np.float64]:
    t = np.arange(-half, half + 1) / RATE_HZ
    bell: NDArray[np.float64] = np.exp(-(t**2) / (2 * width_s**2))
    return bell


_GABOR_HALF = 19
_T = np.arange(-_GABOR_HALF, _GABOR_HALF + 1) / RATE_HZ
_EVEN = _bell(0.030, _GABOR_HALF) * np.cos(2 * np.pi * 10.0 * _T)
_EVEN -= _bell(0.030, _GABOR_HALF) * _EVEN.sum() / _bell(0.030, _GABOR_HALF).sum()
_ODD = _bell(0.030, _GABOR_HALF) * np.sin(2 * np.pi * 10.0 * _T)
EVEN = _whole(_EVEN, 1024, 0)
ODD = _whole(_ODD, 1024, 0)
"""A quadrature pair around 10 Hz, where QRS power stands out most from P, T, wander and muscle."""
SMOOTH = _whole(_bell(0.007, 5), 256, 256)
SLOW = _whole(_bell(0.050, _GABOR_HALF), 1024, 1024)
_FINE_HALF = 10
_SLOW_STEP = 20


class FrontEnd:
    """Rolling arrays of one stretch of signal; index 0 is its first sample.

    ``envelope``: magnitude around 10 Hz. ``wave``: the smoothed signal. ``fine``: what smoothing
    took away (muscle, mains), averaged over 84 ms. ``slow``: change of the slow signal over
    160 ms (wander, electrode motion).
    """

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """A stretch begins; before it the signal counts as having stood at its first value."""
        self._first = True
        self._base = -HISTORY
        self._raw = np.empty(0)
        self._low = np.empty(0)
        self._rest = np.empty(0)
        self.envelope = np.empty(0)
        self.wave = np.empty(0)
        self.fine = np.empty(0)
        self.slow = np.empty(0)
        self._searched = 0
        self._latest = -APART - 1

    @property
    def base(self) -> int:
        """Index of the arrays' first element."""
        return self._base

    @property
    def end(self) -> int:
        """Samples taken so far."""
        return self._base + len(self._raw)

    @property
    def last_microvolts(self) -> float:
        """The newest sample; there must be one."""
        return float(self._raw[-1]) / COUNTS_PER_UV

    def push(self, microvolts: NDArray[np.float64]) -> list[int]:
        """Take further samples, shape (n,); give the candidates with their LOOK_AHEAD known."""
        more = np.rint(microvolts * COUNTS_PER_UV)
        if not len(more):
            return []
        self._trim()
        if self._first:
            self._first = False
            more = np.concatenate([np.repeat(more[:1], HISTORY), more])
        self._raw = np.concatenate([self._raw, more])
        even = self._filtered(self.envelope, EVEN)
        odd = self._filtered(self.envelope, ODD)
        self.envelope = self._grown(self.envelope, np.rint(np.sqrt(even * even + odd * odd) / 512))
        self._low = self._grown(self._low, np.rint(self._filtered(self._low, SLOW) / 1024))
        wave = np.rint(self._filtered(self.wave, SMOOTH) / 256)
        at = len(self.wave)
        self.wave = self._grown(self.wave, wave)
        rest = np.abs(self._raw[at : len(self.wave)] - self.wave[at:])
        self._rest = np.concatenate([self._rest, rest])
        self._extend_fine()
        self._extend_slow()
        return self._candidates()

    def _trim(self) -> None:
        drop = self._searched - HISTORY - 64 - self._base
        if drop > HISTORY:
            for name in ("_raw", "_low", "_rest", "envelope", "wave", "fine", "slow"):
                setattr(self, name, getattr(self, name)[drop:])
            self._base += drop

    def _filtered(self, known: Whole, taps: Whole) -> Whole:
        """What filtering adds to ``known``; the first samples of a stretch repeat its edge."""
        half = len(taps) // 2
        start = len(known) - half
        raw = self._raw[max(start, 0) :]
        if start < 0:
            raw = np.concatenate([np.repeat(raw[:1], -start), raw])
        return np.convolve(raw, taps[::-1], "valid") if len(raw) >= len(taps) else np.empty(0)

    @staticmethod
    def _grown(known: Whole, more: Whole) -> Whole:
        return np.concatenate([known, more])

    def _extend_fine(self) -> None:
        start, stop = len(self.fine), len(self._rest) - _FINE_HALF
        if stop > start:
            before = max(start - _FINE_HALF, 0)
            total = np.concatenate([[0.0], np.cumsum(self._rest[before : stop + _FINE_HALF])])
            at = np.arange(start, stop) - before
            low = np.maximum(at - _FINE_HALF, 0)
            self.fine = self._grown(self.fine, total[at + _FINE_HALF + 1] - total[low])

    def _extend_slow(self) -> None:
        start, stop = len(self.slow), len(self._low) - _SLOW_STEP
        if stop > start:
            at = np.arange(start, stop)
            change = self._low[at + _SLOW_STEP] - self._low[np.maximum(at - _SLOW_STEP, 0)]
            self.slow = self._grown(self.slow, np.abs(change))

    def _candidates(self) -> list[int]:
        stop = min(self._base + len(self.envelope) - APART, self.end - LOOK_AHEAD)
        if stop <= self._searched:
            return []
        near = self.envelope[self._searched - APART - self._base : stop + APART - self._base]
        top = maximum_filter1d(near, 2 * APART + 1)[APART:-APART]
        here = near[APART:-APART]
        found = []
        for at in (np.flatnonzero((here == top) & (here >= _LEAST)) + self._searched).tolist():
            if at - self._latest > APART:  # of two equal heights the first
                found.append(at)
                self._latest = at
        self._searched = stop
        return found
