"""The lethal trunk: neither, VT or VF/flutter each second, from few patients and many negatives.

Only a handful of patients here ever fibrillate, so the figures are by patient-wise
cross-validation, and positives are multiplied in every lawful way: both leads and their
mixtures, polarity, gain, time stretched, joined to other patients' rhythms, and a synthetic
share (``models.training.synthetic``) that brings in the shapes of many more patients.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.preprocess import RATE_HZ
from models.training.augment import Row, Ward
from models.training.datasets import Recording, fold
from models.training.loop import Plan, train
from models.training.networks import VIEW_S, LethalTrunk, normalise, with_context
from models.training.synthetic import beat_train, fibrillation, ventricular_beats

NEITHER, VT, VF = 0, 1, 2
IGNORED = -1
FOLDS = 4
# The patients with VF or much VT, spread by hand: a draw could leave a fold without any.
PLACED = {
    **dict.fromkeys(("418", "421", "428"), 0),
    **dict.fromkeys(("426", "423", "610"), 1),
    **dict.fromkeys(("429", "614", "425"), 2),
    **dict.fromkeys(("207", "602", "607"), 3),
}
DATABASES = ("vfdb", "mitdb", "svdb", "cinc2015", "cinc2017")
"""In the order of their draws: another order would train another network."""
CHUNK_S = 20
BATCH = 64
EDGE_S = 2
"""Annotated changes are this inexact; these seconds teach nothing."""
MIL_S = 10
"""A true CinC 2015 alarm's cause began at most this long before the end."""


def fold_of(name: str) -> int:
    """The cross-validation fold of a patient."""
    return PLACED.get(name, fold(name, FOLDS))


def rhythm_labels(recording: Recording) -> NDArray[np.int64]:
    """Reference class each second, from rhythm annotations; IGNORED in annotated noise."""
    names = {"VF": VF, "VFL": VF, "VT": VT, "NOISE": IGNORED, "": IGNORED}
    return np.array([names.get(r, NEITHER) for r in recording.rhythm_per_second()], np.int64)


def training_labels(recording: Recording) -> NDArray[np.int64]:
    """As ``rhythm_labels``, IGNORED around changes and in short runs of ventricular beats."""
    seconds = recording.signals.shape[1] // RATE_HZ
    if not recording.rhythms:
        labels = np.full(seconds, NEITHER, np.int64)
    else:
        exact = rhythm_labels(recording)
        labels = exact.copy()
        for t in np.flatnonzero(np.diff(exact)) + 1:
            labels[max(0, t - 1) : t + EDGE_S] = IGNORED
    ventricular = recording.beats[np.array([k == "V" for k in recording.beat_kinds], bool)]
    for a, b in zip(ventricular, ventricular[2:], strict=False):
        if b - a < 1.2 * RATE_HZ:  # three beats over 100/min
            near = slice(a // RATE_HZ, b // RATE_HZ + VIEW_S)
            labels[near][labels[near] == NEITHER] = IGNORED
    return labels


@dataclass(frozen=True, slots=True)
class Source:
    """One patient's leads and labels, and where its chunks of each class begin."""

    leads: NDArray[np.float32]
    labels: NDArray[np.int64]
    mil: int = NEITHER
    """VT or VF when somewhere in the last MIL_S seconds there is some."""

    def seconds_of(self, kind: int) -> NDArray[np.int64]:
        """Seconds labelled so."""
        return np.flatnonzero(self.labels == kind)


def sources(recordings: list[Recording]) -> list[Source]:
    """Sources of any of the databases."""
    found = []
    for r in recordings:
        labels = training_labels(r)
        mil = NEITHER
        if r.label.endswith(" 1") and r.label.startswith("Ventricular"):
            mil = VT if r.label.startswith("Ventricular_T") else VF
            labels[-60:] = IGNORED
        if len(labels) >= CHUNK_S:
            found.append(Source(r.signals, labels, mil))
    return found


class Stock:
    """Chunks drawn with fixed shares, so that rare rhythms are seen as often as common ones."""

    shares = (
        ("vf", 0.20),
        ("vt", 0.16),
        ("made_vf", 0.08),
        ("made_vt", 0.10),
        ("mil", 0.06),
        ("neither", 0.40),
    )

    def __init__(self, groups: dict[str, list[Recording]], noise: list[Recording]) -> None:
        self.groups = {name: sources(recordings) for name, recordings in groups.items()}
        every = [source for group in self.groups.values() for source in group]
        self.having = {
            kind: [source for source in every if len(source.seconds_of(kind)) >= EDGE_S]
            for kind in (VT, VF)
        }
        self.mil = [source for source in every if source.mil != NEITHER]
        self.ventricular = [
            row
            for recordings in groups.values()
            for r in recordings
            for row in ventricular_beats(r)
        ]
        self._noise = noise

    def batches(self, epoch: int, steps: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Signals (b, CHUNK_S * 250), labels (b, CHUNK_S), mil class (b,)."""
        rng = np.random.default_rng([29, epoch])
        ward = Ward(self._noise, rng)
        names, chances = zip(*self.shares, strict=True)
        for _ in range(steps):
            drawn = [self._draw(str(rng.choice(names, p=chances)), ward) for _ in range(BATCH)]
            signals, labels, mil = zip(*drawn, strict=True)
            yield (
                torch.from_numpy(np.stack(signals)),
                torch.from_numpy(np.stack(labels)),
                torch.tensor(mil),
            )

    def _draw(self, what: str, ward: Ward) -> tuple[Row, NDArray[np.int64], int]:
        if what == "mil" and self.mil:
            source = self.mil[ward.rng.integers(len(self.mil))]
            start = len(source.labels) - CHUNK_S
            row, labels = _chunk(source, start, ward.rng)
            return ward.vary(row, noisy=0.2, lowest_db=12), labels, source.mil
        if what.startswith("made"):
            return (*self._made(what == "made_vt", ward), NEITHER)
        if what in ("vf", "vt"):
            return (*self._positive(VF if what == "vf" else VT, ward), NEITHER)
        row, labels = self._negative(ward.rng)
        row = _quieten(row, ward.rng) if ward.rng.random() < 0.08 else row
        return ward.vary(row, noisy=0.5, lowest_db=-3), labels, NEITHER

    def _negative(self, rng: np.random.Generator) -> tuple[Row, NDArray[np.int64]]:
        group = list(self.groups.values())[rng.integers(len(self.groups))]
        source = group[rng.integers(len(group))]
        return _chunk(source, int(rng.integers(len(source.labels) - CHUNK_S + 1)), rng)

    def _positive(self, kind: int, ward: Ward) -> tuple[Row, NDArray[np.int64]]:
        """A chunk with ``kind`` in it: as it was, or joined behind another patient's rhythm."""
        rng = ward.rng
        having = self.having[kind]
        source = having[rng.integers(len(having))]
        centre = int(rng.choice(source.seconds_of(kind)))
        start = int(np.clip(centre - rng.integers(CHUNK_S), 0, len(source.labels) - CHUNK_S))
        row, labels = _chunk(source, start, rng, stretch=True)
        if rng.random() < 0.35:
            row, labels = self._joined(row, labels, rng)
        return ward.vary(row, noisy=0.3, lowest_db=10), labels

    def _joined(
        self, row: Row, labels: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[Row, NDArray[np.int64]]:
        before, before_labels = self._negative(rng)
        at = int(rng.integers(3, CHUNK_S - 6))
        gain = rng.uniform(0.4, 1.2) * np.ptp(before) / max(1.0, float(np.ptp(row)))
        joined = np.concatenate([before[: at * RATE_HZ], gain * row[at * RATE_HZ :]])
        out = np.concatenate([before_labels[:at], labels[at:]])
        out[at] = IGNORED
        return joined.astype(np.float32), out

    def _made(self, tachycardia: bool, ward: Ward) -> tuple[Row, NDArray[np.int64]]:
        """Synthetic VT, VF or flutter within a real rhythm."""
        rng = ward.rng
        row, labels = self._negative(rng)
        at = int(rng.integers(0, CHUNK_S - 6))
        end = CHUNK_S if rng.random() < 0.6 else int(rng.integers(at + 5, CHUNK_S))
        height = rng.uniform(0.4, 1.2) * max(300.0, float(np.ptp(row)))
        samples = (end - at) * RATE_HZ
        kind = VT if tachycardia else VF
        if tachycardia or rng.random() < 0.3:
            beats = self.ventricular[rng.integers(len(self.ventricular))]
            period_s = rng.uniform(0.27, 0.55) if tachycardia else rng.uniform(0.18, 0.24)
            made = beat_train(rng, beats[rng.integers(len(beats))], period_s, samples)
        else:
            made = fibrillation(rng, samples)
            height *= rng.uniform(0.4, 1.0)
        row = row.copy()
        row[at * RATE_HZ : end * RATE_HZ] = made * height / 2
        labels = labels.copy()
        labels[at:end] = kind
        labels[at : at + EDGE_S] = IGNORED
        labels[end : end + VIEW_S - 1] = IGNORED
        return ward.vary(row, noisy=0.4, lowest_db=12), labels


def _quieten(row: Row, rng: np.random.Generator) -> Row:
    """Asystole: from some second on hardly anything is left but a little noise."""
    at = int(rng.integers(2, CHUNK_S - 4)) * RATE_HZ
    out = row.copy()
    out[at:] *= rng.uniform(0.0, 0.04)
    return (out + rng.normal(0, rng.uniform(2, 10), len(row))).astype(np.float32)


def _chunk(
    source: Source, start: int, rng: np.random.Generator, *, stretch: bool = False
) -> tuple[Row, NDArray[np.int64]]:
    """CHUNK_S seconds of one lead or a mixture of two; time stretched up to 12 % when asked."""
    at = slice(start * RATE_HZ, (start + CHUNK_S) * RATE_HZ)
    lead = rng.integers(len(source.leads))
    row = source.leads[lead, at]
    if len(source.leads) > 1 and rng.random() < 0.4:
        other = source.leads[1 - lead, at] if len(source.leads) == 2 else row
        share = rng.uniform(-0.8, 0.8) * row.std() / max(1.0, float(other.std()))
        row = row + share * other
    if stretch:
        factor = rng.uniform(0.88, 1.0)
        row = np.interp(np.arange(len(row)) * factor, np.arange(len(row)), row)
        seconds = np.minimum((np.arange(CHUNK_S) + 0.5) * factor, CHUNK_S - 1).astype(int)
        return row.astype(np.float32), source.labels[start : start + CHUNK_S][seconds]
    return row.astype(np.float32), source.labels[start : start + CHUNK_S].copy()


def _logits(model: LethalTrunk, signals: Tensor) -> Tensor:
    squeezed, levels = normalise(signals)
    return model(with_context(squeezed, model.context), levels)


def _loss(model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    assert isinstance(model, LethalTrunk)
    signals, labels, mil = batch
    logits = _logits(model, signals)
    labels = labels.clone()
    labels[:, 0] = IGNORED
    each = nn.functional.cross_entropy(
        logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, label_smoothing=0.02
    )
    told = mil != NEITHER
    if not told.any():
        return each
    late = torch.log_softmax(logits[told, -MIL_S:], 2)
    best = late.gather(2, mil[told][:, None, None].expand(-1, MIL_S, 1)).squeeze(2)
    return each - 0.15 * best.topk(2, dim=1).values.mean()


@torch.no_grad()
def logits_of(model: LethalTrunk, signal: Row) -> NDArray[np.float32]:
    """One whole lead's logits (seconds, 3)."""
    whole = signal[: len(signal) // RATE_HZ * RATE_HZ]
    return _logits(model, torch.from_numpy(whole)[None])[0].numpy()


def train_lethal(
    groups: dict[str, list[Recording]],
    noise: list[Recording],
    *,
    without_fold: int | None,
    epochs: int,
    work: Path,
    steps: int = 100,
) -> LethalTrunk:
    """Train on every patient but those of ``without_fold``."""
    torch.manual_seed(29)
    kept = {
        name: [r for r in groups[name] if fold_of(r.name) != without_fold] for name in DATABASES
    }
    stock = Stock(kept, noise)
    name = "all" if without_fold is None else str(without_fold)
    trained = train(
        LethalTrunk(),
        Plan(epochs, steps),
        lambda epoch: stock.batches(epoch, steps),
        _loss,
        checkpoint=work / f"lethal_{name}.pt",
    )
    assert isinstance(trained, LethalTrunk)
    return trained
