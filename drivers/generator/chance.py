"""Slow random curves that don't depend on the sampling rate or on how they are asked for."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

_BATCH: Final = 128


class Wander:
    """Smooth Gaussian curves of mean 0 and standard deviation 1, shape (n, count) at given times.

    ``rng`` must serve no one else: when it is drawn from depends on what is asked for.
    Twice low-passed noise with the time constant ``tau_s``, made on a grid of its own and drawn
    straight between its points. Times must not go back by more than the grid kept.
    """

    def __init__(self, rng: np.random.Generator, start_s: float, tau_s: float, count: int) -> None:
        self._rng = rng
        self._step_s = tau_s / 6
        self._start_s = start_s
        self._count = count
        pole = np.exp(-self._step_s / tau_s)
        # Variance of white noise through 1 / (1 - pole z^-1)^2.
        square = pole * pole
        gain = ((1 - square) ** 3 / (1 + square)) ** 0.5
        self._b = [gain]
        self._a = [1.0, -2 * pole, square]
        self._state = np.zeros((2, count))
        self._grid = np.empty((0, count))
        self._first = 0
        # Begin in the middle of things, not at rest.
        self._more(round(12 * tau_s / self._step_s))
        self._grid = self._grid[-1:]

    def _more(self, points: int) -> None:
        for _ in range(-(-points // _BATCH)):
            noise = self._rng.standard_normal((_BATCH, self._count))
            made, self._state = lfilter(self._b, self._a, noise, axis=0, zi=self._state)
            self._grid = np.concatenate([self._grid, made])

    def __call__(self, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values at ascending times."""
        place = (times_s - self._start_s) / self._step_s
        low = np.floor(place).astype(np.int64)
        missing = int(low[-1]) + 2 - self._first - len(self._grid)
        if missing > 0:
            self._more(missing)
        keep = max(0, int(low[0]) - self._first)
        self._grid, self._first = self._grid[keep:], self._first + keep
        low -= self._first
        part = (place - np.floor(place))[:, None]
        values: NDArray[np.float64] = self._grid[low] * (1 - part) + self._grid[low + 1] * part
        return values


class Phase:
    """The phase, radians, of an oscillation whose frequency wanders around a mean.

    Summed on a grid of 1 ms, so that it too depends on the times alone.
    """

    _STEP_S = 1e-3
    _POINTS = 1024

    def __init__(
        self, rng: np.random.Generator, start_s: float, mean_hz: float, sd_hz: float, tau_s: float
    ) -> None:
        first, rest = rng.spawn(2)
        self._frequency = Wander(rest, start_s, tau_s, 1)
        self._mean_hz = mean_hz
        self._sd_hz = sd_hz
        self._start_s = start_s
        self._grid = np.array([first.uniform(0, 2 * np.pi)])
        self._first = 0

    def __call__(self, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Phase at ascending times, shape (n,)."""
        place = (times_s - self._start_s) / self._STEP_S
        low = np.floor(place).astype(np.int64)
        while self._first + len(self._grid) < int(low[-1]) + 2:
            self._more()
        keep = max(0, int(low[0]) - self._first)
        self._grid, self._first = self._grid[keep:], self._first + keep
        low -= self._first
        part = place - np.floor(place)
        phase: NDArray[np.float64] = self._grid[low] * (1 - part) + self._grid[low + 1] * part
        return phase

    def _more(self) -> None:
        end = self._first + len(self._grid)
        times_s = (
            self._start_s + np.arange(end, end + self._POINTS, dtype=np.float64) * self._STEP_S
        )
        hertz = self._mean_hz + self._sd_hz * self._frequency(times_s)[:, 0]
        steps = 2 * np.pi * np.maximum(0.3 * self._mean_hz, hertz) * self._STEP_S
        self._grid = np.concatenate([self._grid, self._grid[-1] + np.cumsum(steps)])
