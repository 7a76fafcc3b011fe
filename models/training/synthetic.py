"""Lethal rhythms made from nothing, or from other patients' single ventricular beats.

Real VF and VT come from a dozen patients; single ventricular beats from some sixty. Strung
together at a tachycardia's rate they teach how many shapes VT can have.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.preprocess import RATE_HZ
from models.training.augment import Row
from models.training.datasets import Recording

BEFORE, AFTER = 40, 100
"""Samples around the annotation: 160 ms before the R peak, 400 ms after."""
MOST_BEATS = 40
WIDE = 12
"""Samples (48 ms) that a peak lasts at half its height: narrower ones would teach that a fast
supraventricular rhythm is VT."""


def ventricular_beats(recording: Recording) -> list[NDArray[np.float32]]:
    """Of each lead up to MOST_BEATS tapered ventricular beats, shape (beats, BEFORE + AFTER)."""
    samples = recording.signals.shape[1]
    at = recording.beats[np.array([kind == "V" for kind in recording.beat_kinds], bool)]
    at = at[(at > BEFORE) & (at < samples - AFTER)]
    if not len(at):
        return []
    at = at[:: max(1, len(at) // MOST_BEATS)]
    taper = np.ones(BEFORE + AFTER, np.float32)
    edge = np.sin(np.linspace(0, np.pi / 2, 15)) ** 2
    taper[:15], taper[-15:] = edge, edge[::-1]
    found = []
    for lead in recording.signals:
        beats = np.stack([lead[a - BEFORE : a + AFTER] * taper for a in at])
        wide = beats[[_peak_samples(beat) >= WIDE for beat in beats]]
        if len(wide):
            found.append(wide)
    return found


def _peak_samples(beat: Row) -> int:
    """How long the highest deflection stays over half its height."""
    size = np.abs(beat)
    peak = int(size.argmax())
    low = np.flatnonzero(size < size[peak] / 2)
    at = int(np.searchsorted(low, peak))
    left = int(low[at - 1]) if at else -1
    right = int(low[at]) if at < len(low) else len(beat)
    return right - left - 1


def beat_train(rng: np.random.Generator, beat: Row, period_s: float, samples: int) -> Row:
    """One beat again and again, overlapping as waves do; peaks near 1.

    Rate and height waver a little from beat to beat, at times the axis turns slowly (torsades).
    """
    out = np.zeros(samples + 2 * len(beat), np.float64)
    turning = rng.random() < 0.15
    turn_s = rng.uniform(2.0, 5.0)
    jitter = rng.choice([0.01, 0.03, 0.08])
    place = 0.0
    while place < samples + len(beat):
        height = 1.0 + rng.normal(0, 0.06)
        if turning:
            height *= np.cos(2 * np.pi * place / RATE_HZ / turn_s)
        start = int(place)
        part = out[start : start + len(beat)]
        part += height * beat[: len(part)]
        place += max(30.0, period_s * RATE_HZ * (1 + rng.normal(0, jitter)))
    made = out[len(beat) : len(beat) + samples]
    made = made - made.mean()
    return (made / max(1e-6, float(np.percentile(np.abs(made), 98)))).astype(np.float32)


def fibrillation(rng: np.random.Generator, samples: int) -> Row:
    """VF or flutter, peaks near 1: an oscillation of 3.2-7 Hz whose rate, height, shape wander."""
    time = np.arange(samples) / RATE_HZ
    flutter = rng.random() < 0.3
    spread = 0.1 if flutter else rng.uniform(0.5, 1.3)
    knots = np.linspace(0, time[-1], max(4, int(time[-1] * 1.5)))
    rate = rng.uniform(3.2, 5.5 if flutter else 7.0)
    wander = np.interp(time, knots, rng.normal(0, spread, len(knots)))
    phase = 2 * np.pi * np.cumsum(np.clip(rate + wander, 2.5, 9.0)) / RATE_HZ
    height = np.interp(time, knots, rng.uniform(0.85 if flutter else 0.3, 1.0, len(knots)))
    skew = rng.uniform(-0.4, 0.4)
    wave = np.sin(phase) + skew * np.sin(2 * phase + rng.uniform(0, 2 * np.pi))
    if not flutter:
        wave += 0.3 * np.sin(phase * rng.uniform(0.55, 0.8) + rng.uniform(0, 2 * np.pi))
    return (height * wave).astype(np.float32)
