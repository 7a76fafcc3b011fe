"""Running a bundle over recordings exactly as the bedside does: second by second, int8."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from models.inference import QualityNetwork, RhythmNetwork
from models.preprocess import RATE_HZ
from models.training.augment import Row
from models.training.scores import calibration_error, runs, sensitivity

FALSE_ALARM_S = 3
"""Seconds on end above one half that count as a raised alarm."""


def seconds_of(signal: Row) -> Iterator[Row]:
    """The whole seconds of a lead."""
    for start in range(0, len(signal) - RATE_HZ + 1, RATE_HZ):
        yield signal[start : start + RATE_HZ]


def stream_rhythm(network: RhythmNetwork, signal: Row) -> NDArray[np.float64]:
    """Probabilities (seconds, 5): normal, af, other, vt, vf."""
    state = network.start()
    rows = []
    for second in seconds_of(signal):
        state, p = network.step(state, second)
        rows.append((p.normal, p.af, p.other, p.vt, p.vf))
    return np.array(rows).reshape(-1, 5)


def stream_quality(network: QualityNetwork, signal: Row) -> NDArray[np.float64]:
    """Probability of each second to be usable."""
    context = round(network.context_s * RATE_HZ)
    ends = range(RATE_HZ, len(signal) + 1, RATE_HZ)
    return np.array([network.p_usable(signal[max(0, end - context) : end]) for end in ends])


def cost_ms(judge: Callable[[Row], object], signals: Sequence[Row]) -> float:
    """Median milliseconds that ``judge`` takes per second of ECG."""
    each = []
    for signal in signals:
        began = time.perf_counter()
        judge(signal)
        each.append((time.perf_counter() - began) / (len(signal) // RATE_HZ))
    return float(np.median(each)) * 1000


def episode_hours(found: Sequence[NDArray[np.bool_]]) -> tuple[int, float]:
    """Alarms (runs of FALSE_ALARM_S) and hours over several records' seconds."""
    alarms = sum(len(runs(flags, FALSE_ALARM_S)) for flags in found)
    return alarms, sum(len(flags) for flags in found) / 3600


def lethal_figures(
    truth: NDArray[np.integer], said: NDArray[np.integer], kind: int
) -> dict[str, float]:
    """Duration sensitivity and specificity of one class over pooled seconds; noise left out."""
    counted = truth >= 0
    return {
        "se": sensitivity(counted & (truth == kind), said == kind),
        "sp": sensitivity(counted & (truth != kind), said != kind),
    }


def confidence_error(probabilities: NDArray[np.floating], truth: NDArray[np.integer]) -> float:
    """Calibration error of the shown confidence: that of the class in force."""
    said = probabilities.argmax(1)
    return calibration_error(probabilities.max(1), said == truth)
