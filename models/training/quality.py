"""Stage 1, one command: ``python -m models.training.quality --data DIR --out BUNDLE``.

No database marks usable seconds, so the labels are put together: CinC 2017's noisy records and
vfdb's annotated noise as weak negatives; every rhythm that is still an ECG, VF and asystole
foremost, as positives; and noise mixed at known SNR, where the label is soft around the SNR at
which noise stands as high as the QRS. Wrong silence is the worst failure, so doubt is usable.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from models.preprocess import RATE_HZ
from models.training.augment import Row, Ward, qrs_height
from models.training.calm import is_held_out
from models.training.datasets import Recording
from models.training.lethal import fibrillation
from models.training.networks import QualityNet

CONTEXT_S = 5
BATCH = 128
HALF_DB = 0.0
"""SNR at which a second is as likely unusable as usable: noise as high as the QRS."""
SLOPE_DB = 1.5
HELD_OUT_PATIENTS = ("418", "421", "428", "207", "203", "106")
"""Of vfdb and mitdb; the first three hold VFL and VT."""


def held_out(recording: Recording) -> bool:
    """Kept for measuring."""
    return is_held_out(recording.name) or recording.name in HELD_OUT_PATIENTS


class Stock:
    """Windows of one to five seconds, the last second labelled, in fixed shares."""

    shares = (
        ("ecg", 0.30),
        ("poor", 0.13),
        ("mixed", 0.27),
        ("lethal", 0.13),
        ("holter", 0.08),
        ("asystole", 0.05),
        ("noise", 0.04),
    )

    def __init__(
        self,
        challenge: list[Recording],
        holter: list[Recording],
        lethal: list[Recording],
        noise: list[Recording],
    ) -> None:
        self.ecg = [r for r in challenge if r.label != "~"]
        self.poor = [r for r in challenge if r.label == "~"]
        self.holter = holter
        self.lethal = [
            (r, kinds, np.flatnonzero(np.isin(kinds, kind)))
            for r in lethal
            for kinds in [np.array(r.rhythm_per_second())]
            for kind in (["VF", "VFL"], ["VT"], ["ASYS"], ["NOISE"], ["N", "NOD", "BI", "B"])
            if np.isin(kinds[CONTEXT_S:], kind).any()
        ]
        self._noise = noise

    def batches(self, epoch: int, steps: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Signals (b, n), targets (b,)."""
        rng = np.random.default_rng([41, epoch])
        ward = Ward(self._noise, rng)
        names, chances = zip(*self.shares, strict=True)
        for _ in range(steps):
            seconds = CONTEXT_S if rng.random() < 0.7 else int(rng.integers(1, CONTEXT_S))
            drawn = [self.draw(str(rng.choice(names, p=chances)), ward) for _ in range(BATCH)]
            signals = np.stack([signal[-seconds * RATE_HZ :] for signal, _ in drawn])
            yield torch.from_numpy(signals), torch.tensor([target for _, target in drawn])

    def draw(self, what: str, ward: Ward) -> tuple[Row, float]:
        """CONTEXT_S of signal and the target of its last second."""
        rng = ward.rng
        if what == "ecg":
            return ward.vary(_window(_any(self.ecg, rng), rng), noisy=0.15, lowest_db=15), 0.98
        if what == "poor":
            return ward.vary(_window(_any(self.poor, rng), rng), noisy=0.0), 0.08
        if what == "holter":
            return ward.vary(_window(_any(self.holter, rng), rng), noisy=0.3, lowest_db=12), 0.99
        if what == "lethal":
            return self._lethal(ward)
        source = _any(self.holter if rng.random() < 0.5 else self.ecg, rng)
        clean = _window(source, rng)
        if what == "mixed":
            return self._mixed(clean, ward)
        if what == "asystole":
            rest = rng.normal(0, rng.uniform(1, 8), len(clean))
            at = int(rng.integers(0, len(clean) - RATE_HZ))
            fade = np.where(np.arange(len(clean)) < at, 1.0, rng.uniform(0, 0.03))
            return ward.vary(clean * fade + rest, noisy=0.0), 0.98
        height = rng.uniform(0.4, 3.0) * qrs_height(clean)
        kind = str(rng.choice(["em", "ma"]))
        return (ward.noise(kind, len(clean)) * height).astype(np.float32), 0.03

    def _mixed(self, clean: Row, ward: Ward) -> tuple[Row, float]:
        snr_db = float(ward.rng.uniform(-10, 22))
        noisy, noise = ward.mixed(clean, snr_db, str(ward.rng.choice(["em", "em", "ma", "bw"])))
        power = float((noise[-RATE_HZ:] ** 2).mean())
        local_db = 10 * np.log10(qrs_height(clean) ** 2 / 8 / max(power, 1e-3))
        target = 1 / (1 + np.exp(-(local_db - HALF_DB) / SLOPE_DB))
        return ward.vary(noisy, noisy=0.0), float(np.clip(target, 0.03, 0.98))

    def _lethal(self, ward: Ward) -> tuple[Row, float]:
        rng = ward.rng
        if rng.random() < 0.12:
            height = rng.uniform(100, 1200)
            made = fibrillation(rng, CONTEXT_S * RATE_HZ) * height
            return ward.vary(made.astype(np.float32), noisy=0.3, lowest_db=12), 0.98
        recording, kinds, seconds = self.lethal[rng.integers(len(self.lethal))]
        last = max(CONTEXT_S - 1, int(rng.choice(seconds)))
        row = recording.signals[rng.integers(len(recording.signals))]
        part = row[(last + 1 - CONTEXT_S) * RATE_HZ : (last + 1) * RATE_HZ]
        target = 0.2 if kinds[last] == "NOISE" else 0.98
        return ward.vary(part, noisy=0.2, lowest_db=14), target


def _any(recordings: list[Recording], rng: np.random.Generator) -> Recording:
    return recordings[rng.integers(len(recordings))]


def _window(recording: Recording, rng: np.random.Generator) -> Row:
    row = recording.signals[rng.integers(len(recording.signals))]
    start = int(rng.integers(max(1, len(row) - CONTEXT_S * RATE_HZ)))
    return row[start : start + CONTEXT_S * RATE_HZ]


def loss(model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    """Cross-entropy with soft targets."""
    signals, targets = batch
    assert isinstance(model, QualityNet)
    return nn.functional.binary_cross_entropy_with_logits(model(signals), targets)
