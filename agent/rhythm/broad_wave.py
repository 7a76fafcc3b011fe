"""A ventricular tachycardia by its wave, for those whose beats the detector does not all find.

A fast polymorphic run writes broad swings, one into the next: periodic, hardly ever calm and
nowhere much steeper than elsewhere, all in contrast to the patient's own rhythm just before. The
contrast keeps out tall T waves, wide rhythms and paced ones, which look so all the time. Bounds
were chosen on the local recordings of CinC 2015 (docs/rhythm.md).
"""

from __future__ import annotations

from collections import deque

import numpy as np

from agent.rhythm.wave import calmest, slopes, steepness
from agent.signal.types import HOP_S, RATE_HZ, Signal

WINDOW_S = 2
EVERY_HOPS = 2
HEIGHT_UV = 300.0
"""Peak to peak."""
CALM = 0.6
STEEPNESS = 6.0
CALM_LESS = 0.2
"""By so much less calm than the patient's usual two seconds."""
STEEPNESS_SHARE = 0.6
"""And by this factor less steep."""
PERIODIC = 0.5
"""Correlation of the window with itself, a period later."""
PERIOD_S = (0.22, 0.56)
"""270 to 107 per minute."""
USUAL_S = 28.0
ASIDE_S = 4.0
"""The usual is the median over USUAL_S up to ASIDE_S ago: the run is no part of it."""
KNOWN_S = 6.0
"""So much of it must have been seen."""


class BroadWave:
    """Watches the wave; remembers what is usual for the patient."""

    def __init__(self) -> None:
        per_s = 1.0 / (EVERY_HOPS * HOP_S)
        self._figures: deque[tuple[float, float]] = deque(maxlen=round((USUAL_S + ASIDE_S) * per_s))
        self._aside = round(ASIDE_S * per_s)
        self._known = round(KNOWN_S * per_s)

    def look(self, window: Signal) -> float | None:
        """The period of the last two seconds, shape (WINDOW_S * 250,), if they are such a wave.

        None where they are not or a sample is missing (NaN). To be asked every EVERY_HOPS hops of
        usable signal.
        """
        # Neither second may be calm: half a window of it is a run too short.
        steep, at_rest = steepness(slopes(window)), calmest(window - _middle(window))
        if np.isnan(steep):
            return None
        earlier = list(self._figures)[: -self._aside]
        self._figures.append((at_rest, steep))
        if (
            at_rest > CALM
            or steep > STEEPNESS
            or len(earlier) < self._known
            or float(np.ptp(window)) < HEIGHT_UV
        ):
            return None
        usual_calm, usual_steep = np.median(np.array(earlier), axis=0).tolist()
        if at_rest >= usual_calm - CALM_LESS or steep >= usual_steep * STEEPNESS_SHARE:
            return None
        return _period_s(window)


def _middle(window: Signal) -> np.floating:
    """The median, NaN or not: ``np.median`` takes five times as long to make sure of NaN first."""
    half = len(window) // 2
    part = window.copy()
    part.partition((half - 1, half))
    middle: np.floating = (part[half - 1] + part[half]) / 2
    return middle


def _period_s(window: Signal) -> float | None:
    """The wave's period, the shortest if several; None where it has none in PERIOD_S."""
    wave = window - window.mean()
    energy = np.concatenate([[0.0], np.cumsum(wave.astype(np.float64) ** 2)])
    lags = np.arange(round(PERIOD_S[0] * RATE_HZ) - 4, round(PERIOD_S[1] * RATE_HZ) + 5, 2)
    n = len(wave)
    products = np.array([float(wave[:-lag] @ wave[lag:]) for lag in lags.tolist()])
    likeness = products / np.sqrt(energy[n - lags] * (energy[n] - energy[lags]) + 1e-6)
    inner = likeness[1:-1]
    peaks = (inner >= likeness[:-2]) & (inner >= likeness[2:]) & (inner >= PERIODIC)
    return float(lags[1:-1][peaks][0]) / RATE_HZ if peaks.any() else None
