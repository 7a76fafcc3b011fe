"""What the wave itself says: does it fibrillate or flutter? No beat and no network is needed.

A normal ECG is calm most of the time and steep for a moment in each beat; a fibrillating or
fluttering ventricle writes a wave without isoelectric line, never calm and nowhere much steeper
than elsewhere, three to nine times a second. The leakage is that of the "VF filter" (Kuo and
Dillman 1978). Bounds: docs/rhythm.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agent.signal.types import RATE_HZ, Signal

HEIGHT_UV = 200.0
"""Lower is no fibrillatory wave but standstill with noise (fine VF is 0.1-0.2 mV and higher)."""
STEEPNESS = 3.6
"""98th percentile of the slope over its mean: 2.5-3.4 in VF and flutter, 5-14 in beats."""
CALM = 0.48
"""Share of samples under a fifth of their second's peak: 0.15-0.45 in VF, 0.5-0.95 in beats."""
LEAKAGE = 0.80
"""What is left of the wave after a notch at its mean frequency: 1 in noise, 0 in a sine."""
SLOW_HZ = 7.0
SLOW_LEAKAGE = 0.45
"""A wave with so few zero crossings must be so pure: flutter nears a sine, a wide rhythm of 110 to
180/min without isoelectric line does not."""
CROSSINGS = (5.0, 24.0)
"""Zero crossings per second: under these it is a slow wide rhythm, over these it is noise."""
MEAN_HZ = 2.8
"""Mean frequency of the power: VF and flutter swing three to nine times a second; a wide rhythm of
110 to 150/min swings slower, however often its ripples cross zero."""


@dataclass(frozen=True, slots=True)
class Wave:
    """Figures of a window, see the bounds above."""

    height_uv: float
    steepness: float
    calm: float
    leakage: float
    crossings_hz: float
    mean_hz: float

    @property
    def fibrillating(self) -> bool:
        """Whether all of them lie where VF and flutter do."""
        return (
            self.height_uv >= HEIGHT_UV
            and self.steepness < STEEPNESS
            and self.calm < CALM
            and self.leakage < (LEAKAGE if self.crossings_hz >= SLOW_HZ else SLOW_LEAKAGE)
            and CROSSINGS[0] <= self.crossings_hz <= CROSSINGS[1]
            and self.mean_hz >= MEAN_HZ
        )


def measure(window: Signal) -> Wave:
    """The figures of a window, shape (n * 250,), without missing samples."""
    wave = window - np.median(window)
    size = np.abs(wave)
    slope = slopes(wave)
    total = float(size.sum()) + 1e-6
    half_period = int(np.clip(round(np.pi * total / (float(slope.sum()) + 1e-6)), 2, RATE_HZ))
    early, late = wave[:-half_period], wave[half_period:]
    return Wave(
        height_uv=2.0 * float(np.percentile(size, 95)),
        steepness=steepness(slope),
        calm=calm(wave),
        leakage=float(np.abs(early + late).sum())
        / (float(np.abs(early).sum() + np.abs(late).sum()) + 1e-6),
        crossings_hz=crossings_hz(window),
        mean_hz=mean_hz(window),
    )


def mean_hz(window: Signal) -> float:
    """Mean frequency of the power from 0.7 to 25 Hz."""
    power = np.abs(np.fft.rfft((window - window.mean()) * np.hanning(len(window)))) ** 2
    hz = np.fft.rfftfreq(len(window), 1.0 / RATE_HZ)
    power *= (hz >= 0.7) & (hz <= 25.0)
    return float((power * hz).sum() / (power.sum() + 1e-9))


def crossings_hz(window: Signal) -> float:
    """Zero crossings per second about the mean: twice the rate of a plain wave."""
    centred = window - window.mean()
    return float(np.count_nonzero(centred[1:] * centred[:-1] < 0)) * RATE_HZ / len(window)


def calm(wave: Signal) -> float:
    """Share of samples under a fifth of their second's peak, shape (n * 250,), about its median."""
    seconds = np.abs(wave).reshape(-1, RATE_HZ)
    return sum(_calm_of(seconds)) / seconds.size


def calmest(wave: Signal) -> float:
    """The same of the calmest second alone."""
    return max(_calm_of(np.abs(wave).reshape(-1, RATE_HZ))) / RATE_HZ


def _calm_of(seconds: Signal) -> list[int]:
    """Such samples of each row of sizes, shape (n, 250)."""
    small = seconds < np.float32(0.2) * np.maximum.reduce(seconds, axis=1, keepdims=True)
    counts: list[int] = np.add.reduce(small, axis=1).tolist()
    return counts


def slopes(window: Signal) -> Signal:
    """Size of each step from sample to sample, shape (n - 1,)."""
    steps: Signal = np.abs(window[1:] - window[:-1])
    return steps


def steepness(slope: Signal) -> float:
    """98th percentile of the slopes over their mean; NaN where a sample is missing."""
    rank = int(0.98 * len(slope))
    ranked = slope.copy()
    ranked.partition(rank)
    return float(ranked[rank]) / (float(np.add.reduce(slope)) / len(slope) + 1e-9)


def is_fibrillatory(window: Signal) -> bool:
    """Whether a window, shape (n * 250,), is one fibrillatory wave; NaN in it: no."""
    slope = slopes(window)
    # Almost every window ends here, or is missing samples: the other figures are not needed.
    if not steepness(slope) < STEEPNESS:
        return False
    return measure(window).fibrillating
