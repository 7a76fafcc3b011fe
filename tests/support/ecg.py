"""A small deterministic ECG for tests of the screen: sums of Gaussians, no noise unless asked."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 250
_WAVES = (
    # centre in s from the R peak, width in s, height in µV
    (-0.17, 0.022, 130.0),
    (-0.035, 0.009, -110.0),
    (0.0, 0.011, 1150.0),
    (0.035, 0.011, -260.0),
    (0.24, 0.045, 280.0),
)


def beat(times_s: NDArray[np.float64], r_s: float) -> NDArray[np.float64]:
    """One sinus beat with its R peak at ``r_s``, microvolts."""
    total = np.zeros_like(times_s)
    for centre, width, height in _WAVES:
        total += height * np.exp(-0.5 * ((times_s - r_s - centre) / width) ** 2)
    return total


def pvc(times_s: NDArray[np.float64], r_s: float) -> NDArray[np.float64]:
    """One wide ventricular beat."""
    return 1300 * np.exp(-0.5 * ((times_s - r_s) / 0.045) ** 2) - 500 * np.exp(
        -0.5 * ((times_s - r_s - 0.22) / 0.07) ** 2
    )


def sinus(start_s: float, seconds: float, bpm: float = 72.0) -> NDArray[np.float64]:
    """Sinus rhythm on the stream axis: a beat every 60 / bpm seconds, every ninth a PVC."""
    times = start_s + np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    total = np.zeros_like(times)
    for r_s, kind in beats(start_s - 1, seconds + 2, bpm):
        total += pvc(times, r_s) if kind == "V" else beat(times, r_s)
    return total


def beats(start_s: float, seconds: float, bpm: float = 72.0) -> list[tuple[float, str]]:
    """R peaks and classes of ``sinus`` within ``[start_s, start_s + seconds)``."""
    rr = 60.0 / bpm
    first = int(np.ceil(start_s / rr - 1e-9))
    last = int(np.ceil((start_s + seconds) / rr - 1e-9))
    return [(k * rr, "V" if k % 9 == 8 else "N") for k in range(first, last)]


def fibrillation(start_s: float, seconds: float) -> NDArray[np.float64]:
    """Coarse ventricular fibrillation: a few drifting sines of 4-7 Hz."""
    t = start_s + np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    swell = 1 + 0.45 * np.sin(2 * np.pi * 0.37 * t) + 0.2 * np.sin(2 * np.pi * 0.91 * t + 1)
    wobble = 0.8 * np.sin(2 * np.pi * 0.23 * t)
    return swell * (
        330 * np.sin(2 * np.pi * 4.7 * t + wobble) + 150 * np.sin(2 * np.pi * 6.3 * t + 2 * wobble)
    )


def flat(start_s: float, seconds: float) -> NDArray[np.float64]:
    """Asystole: a little wander."""
    t = start_s + np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return 25 * np.sin(2 * np.pi * 0.25 * t)


def noise(start_s: float, seconds: float) -> NDArray[np.float64]:
    """Muscle noise over sinus rhythm."""
    generator = np.random.default_rng(round(start_s * RATE_HZ))
    return sinus(start_s, seconds) + generator.normal(0, 350, round(seconds * RATE_HZ))


def int16(microvolts: NDArray[np.float64]) -> bytes:
    """As ``Wave.microvolts`` carries it."""
    return np.clip(np.rint(microvolts), -32767, 32767).astype("<i2").tobytes()
