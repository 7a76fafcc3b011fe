"""What the heart does without beats: the waves of atrial and of ventricular fibrillation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drivers.generator.chance import Phase, Wander

Dipole = NDArray[np.float64]
"""Shape (n, 3): X, Y, Z in µV."""


class AtrialFibrillation:
    """f waves: a saw-tooth of 4 to 9 Hz, most in V1, its size and pace wandering."""

    def __init__(self, rng: np.random.Generator, start_s: float, size_uv: float = 55.0) -> None:
        pace, size = rng.spawn(2)
        self._phase = Phase(pace, start_s, rng.uniform(5.4, 6.6), 0.5, 0.7)
        self._size = Wander(size, start_s, 1.5, 1)
        self._vector = size_uv * np.array([0.35, 0.95, -1.15])

    def __call__(self, times_s: NDArray[np.float64]) -> Dipole:
        """The waves at ascending times."""
        phase = self._phase(times_s)
        sizes = self._size(times_s)
        wave = np.cos(phase) + 0.35 * np.cos(2 * phase - 0.9) + 0.12 * np.cos(3 * phase - 1.8)
        grown = np.clip(1 + 0.35 * sizes[:, 0], 0.3, 2.0) * wave
        return grown[:, None] * self._vector


class VentricularFibrillation:
    """Two rotors whose paces wander and whose sizes wax and wane, on each axis in its own way.

    Fitted by eye and spectrum to coarse fibrillation on recordings: dominant frequency 4 to
    6 Hz, most of the power within 1.5 Hz of it, a small second harmonic, some slow swell.
    """

    def __init__(self, rng: np.random.Generator, start_s: float, rms_uv: float = 300.0) -> None:
        main_hz = rng.uniform(4.6, 5.4)
        main, other, turn, size, swell, ripple = rng.spawn(6)
        self._main = Phase(main, start_s, main_hz, 0.75, 0.35)
        self._other = Phase(other, start_s, main_hz * rng.uniform(0.72, 0.86), 0.7, 0.5)
        self._turn = Wander(turn, start_s, 0.9, 6)
        self._size = Wander(size, start_s, 0.7, 6)
        self._swell = Wander(swell, start_s, 0.12, 3)
        self._ripple = Wander(ripple, start_s, 0.018, 3)
        self._offsets = rng.uniform(0, 2 * np.pi, 6)
        self._axes = rms_uv * np.array([0.55, 1.0, 0.75])

    def __call__(self, times_s: NDArray[np.float64]) -> Dipole:
        """The waves at ascending times."""
        turn = 1.2 * self._turn(times_s) + self._offsets
        size = np.exp(0.42 * self._size(times_s))
        main = self._main(times_s)[:, None] + turn[:, :3]
        other = self._other(times_s)[:, None] + turn[:, 3:]
        waves = size[:, :3] * (np.cos(main) + 0.26 * np.cos(2 * main + 0.7))
        waves += 0.6 * size[:, 3:] * np.cos(other)
        waves += 0.32 * self._swell(times_s) + 0.10 * self._ripple(times_s)
        return waves * self._axes
