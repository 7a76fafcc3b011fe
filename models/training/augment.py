"""What a ward does to a clean signal, after conditioning (every step is linear, so it may).

SNR is that of the noise stress test (Moody 1984): the signal's power is (QRS peak to peak)² / 8,
the noise's its mean square, both here within the networks' pass band.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.preprocess import RATE_HZ
from models.training.datasets import Recording

Row = NDArray[np.float32]


def qrs_height(signal: Row) -> float:
    """Typical peak-to-peak of a second's largest complex, µV."""
    seconds = signal[: len(signal) // RATE_HZ * RATE_HZ].reshape(-1, RATE_HZ)
    return float(np.median(np.ptp(seconds, axis=1)))


class Ward:
    """Draws noise, polarity and gain; all from one generator, so a run can be repeated."""

    def __init__(
        self,
        nstdb: list[Recording],
        rng: np.random.Generator,
        part: tuple[float, float] = (0.0, 0.8),
    ) -> None:
        """``part`` of each noise record is drawn from; its last fifth is kept for measuring."""
        self._noise = {
            r.name: r.signals[
                :, int(part[0] * r.signals.shape[1]) : int(part[1] * r.signals.shape[1])
            ]
            for r in nstdb
        }
        self._rms = {
            name: [max(1e-3, float(lead.std())) for lead in leads]
            for name, leads in self._noise.items()
        }
        self.rng = rng

    def noise(self, kind: str, samples: int) -> Row:
        """A stretch of one of em, ma, bw, mean square 1 over the whole record."""
        leads = self._noise[kind]
        lead = self.rng.integers(len(leads))
        start = self.rng.integers(leads.shape[1] - samples)
        part = leads[lead, start : start + samples] / self._rms[kind][lead]
        return (part * self.rng.choice([-1.0, 1.0])).astype(np.float32)

    def mixed(self, signal: Row, snr_db: float, kind: str) -> tuple[Row, Row]:
        """Signal with noise at ``snr_db``, and that noise."""
        gain = qrs_height(signal) / np.sqrt(8.0) * 10 ** (-snr_db / 20)
        noise = (self.noise(kind, len(signal)) * gain).astype(np.float32)
        return signal + noise, noise

    def vary(self, signal: Row, *, noisy: float = 0.5, lowest_db: float = 8.0) -> Row:
        """Gain 0.5-2, polarity, and with chance ``noisy`` noise from ``lowest_db`` to 30 dB."""
        rng = self.rng
        out = signal
        if rng.random() < noisy:
            kind = str(rng.choice(["em", "ma", "bw"]))
            out, _noise = self.mixed(out, float(rng.uniform(lowest_db, 30.0)), kind)
        gain = 2.0 ** rng.uniform(-1.0, 1.0)
        if rng.random() < 0.3:
            gain = -gain
        return (out * gain).astype(np.float32)
