"""The MIT-BIH noise stress test: clean records with noise of a known strength.

As ``nst`` of the WFDB software does it (Moody, Muldrow and Mark 1984): five clean minutes, then two
noisy and two clean ones in turn. The signal-to-noise ratio is of QRS power (peak to peak squared
over eight, the mean of the first 300 normal beats without the extreme tenth) and noise power (the
mean RMS of one-second windows of the noise's first five minutes, likewise trimmed, squared).
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from drivers.files import Record, RecordError, Samples, microvolts, open_record

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


class NoisyRecord(Record):
    """A record with noise added as the stress test does it; leads and annotations stay as they are.

    Lead ``i`` gets signal ``i`` of the noise (in turn, where there are more leads), each lead at
    the same ratio to its own QRS complexes. A noise that is too short begins anew.
    """

    def __init__(
        self, clean: Record, normal_beats: NDArray[np.int64], noise: Signal, snr_db: float
    ) -> None:
        """``normal_beats``: samples of the annotated normal beats; ``noise``: µV at this rate.

        Raises RecordError where the record has no normal beat to measure the ratio by.
        """
        super().__init__(
            name=clean.name,
            address=clean.address,
            form=clean.form,
            rate_hz=clean.rate_hz,
            leads=clean.leads,
            n_samples=clean.n_samples,
            warnings=clean.warnings,
        )
        self._clean = clean
        self._noise = noise
        first = normal_beats[:300]
        if not len(first):
            raise RecordError(
                "has no annotated normal beat to measure the noise by",
                clean.address,
                "leave it out (--records)",
            )
        begin = clean.read(0, int(first[-1]) + round(clean.rate_hz))
        heights = np.nan_to_num(microvolts(begin, clean.leads))
        self._gains = [
            noise_gain(heights[:, lead], first, self._of_lead(lead), snr_db, clean.rate_hz)
            / clean.leads[lead].microvolts_per_count
            for lead in range(len(clean.leads))
        ]
        self._spans = noisy_spans(clean.n_samples, clean.rate_hz)

    def _of_lead(self, lead: int) -> Signal:
        return self._noise[:, lead % self._noise.shape[1]]

    def _read(self, first: int, count: int) -> Samples:
        samples = self._clean.read(first, count)
        made = samples.counts.astype(np.float64)
        at = np.arange(first, first + len(made))
        noisy = np.zeros(len(made), bool)
        for start, stop in self._spans:
            noisy |= (at >= start) & (at < stop)
        for lead, gain in enumerate(self._gains):
            noise = self._of_lead(lead)
            made[noisy, lead] += gain * noise[at[noisy] % len(noise)]
        return Samples(np.rint(made).astype(np.int32), samples.valid)


@lru_cache(maxsize=2)
def noise_at(path: Path, rate_hz: float) -> Signal:
    """A noise record in µV at a rate, shape (n, signals). RecordError where it can't be read."""
    with open_record(path) as record:
        values = np.nan_to_num(microvolts(record.read(0, record.n_samples), record.leads))
        ratio = Fraction(rate_hz / record.rate_hz).limit_denominator(1000)
    if ratio == 1:
        return values
    made: Signal = resample_poly(values, ratio.numerator, ratio.denominator, axis=0)
    return made
