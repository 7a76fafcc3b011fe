"""The MIT-BIH noise stress test: clean records with noise of a known strength.

As ``nst`` of the WFDB software does it (Moody, Muldrow and Mark 1984): five clean minutes, then two
noisy and two clean ones in turn. The signal-to-noise ratio is of QRS power (peak to peak squared
over eight, the mean of the first 300 normal beats without the extreme tenth) and noise power (the
mean RMS of one-second windows of the noise's first five minutes, likewise trimmed, squared).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Signal = NDArray[np.float64]
RATE = 250
CLEAN_MIN = 5
"""Minutes at the begin that stay clean."""
NOISY_MIN = 2
"""Then so many noisy and as many clean ones in turn."""


def _trimmed(values: Signal) -> float:
    ordered = np.sort(values)
    cut = len(ordered) // 20
    return float(ordered[cut : len(ordered) - cut].mean())


def qrs_height(signal: Signal, beats: NDArray[np.int64], rate_hz: float = RATE) -> float:
    """Usual peak-to-peak height within 50 ms of the first 300 beats."""
    half = round(0.05 * rate_hz)
    inner = [b for b in beats[:300].tolist() if half < b < len(signal) - half - 1]
    return _trimmed(np.array([np.ptp(signal[b - half : b + half + 1]) for b in inner]))


def noise_rms(noise: Signal, rate_hz: float = RATE) -> float:
    """Usual RMS of one-second windows of the first five minutes."""
    second = round(rate_hz)
    windows = noise[: min(len(noise), 300 * second) // second * second].reshape(-1, second)
    return _trimmed(windows.std(axis=1))


def noise_gain(
    signal: Signal,
    normal_beats: NDArray[np.int64],
    noise: Signal,
    snr_db: float,
    rate_hz: float = RATE,
) -> float:
    """By what to multiply the noise for a signal-to-noise ratio."""
    power = qrs_height(signal, normal_beats, rate_hz) ** 2 / 8
    return float(np.sqrt(power / 10 ** (snr_db / 10)) / noise_rms(noise, rate_hz))


def noisy_spans(count: int, rate_hz: float = RATE) -> list[tuple[int, int]]:
    """Samples that the stress test disturbs: two of every four minutes after the first five."""
    minute = round(60 * rate_hz)
    return [
        (start, min(start + NOISY_MIN * minute, count))
        for start in range(CLEAN_MIN * minute, count, 2 * NOISY_MIN * minute)
    ]
