"""The rhythm trunk: normal, AF or other, from CinC 2017 records and long annotated ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.preprocess import RATE_HZ
from models.training.augment import Ward
from models.training.datasets import Recording, is_held_out
from models.training.loop import Plan, train
from models.training.networks import RhythmTrunk, normalise, with_context
from models.training.scores import challenge_f1

CLASSES = "NAO"
IGNORED = -1
CLASS_WEIGHTS = (1.0, 1.5, 1.2)
LONGEST_S = 40
CHUNK_S = 30
SETTLE_S = 12
"""After a change of rhythm, seconds in which either answer is right."""
BATCH = 32


@dataclass(frozen=True, slots=True)
class Example:
    """A stretch of signal with its class each second."""

    signal: NDArray[np.float32]
    labels: NDArray[np.int64]
    """Index in CLASSES, or IGNORED."""


def challenge_examples(recordings: list[Recording]) -> list[Example]:
    """CinC 2017: one label a record; the noisy ones have none."""
    return [
        Example(r.signals[0], np.full(len(r.signals[0]) // RATE_HZ, CLASSES.index(r.label)))
        for r in recordings
        if r.label in CLASSES
    ]


def holter_labels(recording: Recording) -> NDArray[np.int64]:
    """What CinC 2017's cardiologists would have said of the last 30 s, second by second.

    N where 30 s held normal beats only at an ordinary, even rate, A in AF, O where the last 10 s
    held ectopic beats; else IGNORED, as is everything in and around VT, VF and noise.
    """
    seconds = recording.signals.shape[1] // RATE_HZ
    labels = np.full(seconds, IGNORED, np.int64)
    rhythms = recording.rhythm_per_second() if recording.rhythms else ["N"] * seconds
    ectopic = np.zeros(seconds, bool)
    odd = np.array([kind != "N" for kind in recording.beat_kinds], bool)
    where = recording.beats // RATE_HZ
    ectopic[where[odd & (where < seconds)]] = True
    at_s = recording.beats / RATE_HZ
    for t in range(CHUNK_S, seconds):
        past = set(rhythms[t - 5 : t + 1])
        if past == {"AFIB"}:
            labels[t] = CLASSES.index("A")
        elif past <= {"N", "B", "T", "SVTA", "AFL", "IVR"}:
            rr = np.diff(at_s[(at_s > t - CHUNK_S) & (at_s <= t + 1)])
            steady = len(rr) > 20 and rr.std() < 0.12 * rr.mean() and 0.55 < rr.mean() < 1.3
            if ectopic[t - 9 : t + 1].any():
                labels[t] = CLASSES.index("O")
            elif (
                set(rhythms[t - CHUNK_S + 1 : t + 1]) == {"N"}
                and steady
                and not ectopic[t - CHUNK_S + 1 : t + 1].any()
            ):
                labels[t] = CLASSES.index("N")
    return labels


class Stock:
    """All training stretches, drawn anew each epoch."""

    def __init__(
        self, challenge: list[Recording], holter: list[Recording], noise: list[Recording]
    ) -> None:
        self.challenge = challenge_examples([r for r in challenge if not is_held_out(r.name)])
        self.holter = [
            Example(signal, labels)
            for r in holter
            if not is_held_out(r.name)
            for labels in [holter_labels(r)]
            for signal in r.signals
        ]
        self._noise = noise
        self.steps = (len(self.challenge) + self._chunks()) // BATCH

    def _chunks(self) -> int:
        return len(self.challenge) // 6

    def batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Signals (b, s * 250), labels (b, s), weights (b, s); alike in length within a batch."""
        rng = np.random.default_rng([17, epoch])
        ward = Ward(self._noise, rng)
        drawn = [self._challenge_stretch(rng, example) for example in self.challenge]
        drawn += [self._holter_stretch(rng) for _ in range(self._chunks())]
        drawn.sort(key=lambda example: len(example.labels) + rng.uniform(0, 0.5))
        groups = [drawn[i : i + BATCH] for i in range(0, len(drawn) - BATCH + 1, BATCH)]
        for i in rng.permutation(len(groups)):
            yield _batch(groups[i], ward)

    def _challenge_stretch(self, rng: np.random.Generator, example: Example) -> Example:
        """A record, at times cut, at times going over into another one."""
        cut = _cut(rng, example, int(rng.integers(15, LONGEST_S)) if rng.random() < 0.3 else 60)
        if rng.random() > 0.12:
            return _cut(rng, cut, LONGEST_S)
        other = _cut(rng, self.challenge[rng.integers(len(self.challenge))], 30)
        labels = other.labels.copy()
        if labels[0] != cut.labels[0]:
            labels[:SETTLE_S] = IGNORED
        cut = _cut(rng, cut, 20)
        whole = len(cut.labels) * RATE_HZ
        return Example(
            np.concatenate([cut.signal[:whole], other.signal]),
            np.concatenate([cut.labels, labels]),
        )

    def _holter_stretch(self, rng: np.random.Generator) -> Example:
        example = self.holter[rng.integers(len(self.holter))]
        start = int(rng.integers(len(example.labels) - CHUNK_S))
        at = slice(start * RATE_HZ, (start + CHUNK_S) * RATE_HZ)
        labels = example.labels[start : start + CHUNK_S].copy()
        labels[:8] = IGNORED
        return Example(example.signal[at], labels)


def _cut(rng: np.random.Generator, example: Example, longest_s: int) -> Example:
    seconds = len(example.labels)
    if seconds <= longest_s:
        return example
    start = int(rng.integers(seconds - longest_s + 1))
    signal = example.signal[start * RATE_HZ : (start + longest_s) * RATE_HZ]
    return Example(signal, example.labels[start : start + longest_s])


def _batch(examples: list[Example], ward: Ward) -> tuple[Tensor, Tensor, Tensor]:
    seconds = max(len(example.labels) for example in examples)
    signals = np.zeros((len(examples), seconds * RATE_HZ), np.float32)
    labels = np.full((len(examples), seconds), IGNORED, np.int64)
    weights = np.zeros((len(examples), seconds), np.float32)
    for row, example in enumerate(examples):
        n = len(example.labels)
        signals[row, : n * RATE_HZ] = ward.vary(example.signal[: n * RATE_HZ], noisy=0.4)
        labels[row, :n] = example.labels
        weights[row, :n] = np.clip((np.arange(n) - 3) / max(n, 20), 0, 1)
        weights[row, n - 1] = 4.0  # the record's verdict
        counted = weights[row] * (labels[row] != IGNORED)
        weights[row] = counted / max(1.0, float(counted.sum()))
    return torch.from_numpy(signals), torch.from_numpy(labels), torch.from_numpy(weights)


def _loss(model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    signals, labels, weights = batch
    assert isinstance(model, RhythmTrunk)
    squeezed, _levels = normalise(signals)
    start = torch.zeros(1, len(signals), model.hidden)
    logits, _ = model(with_context(squeezed, model.context), start)
    each = nn.functional.cross_entropy(
        logits.flatten(0, 1),
        labels.clamp(min=0).flatten(),
        weight=torch.tensor(CLASS_WEIGHTS),
        reduction="none",
        label_smoothing=0.03,
    )
    return (each * weights.flatten()).sum() / len(signals)


@torch.no_grad()
def logits_of(model: RhythmTrunk, recordings: list[Recording]) -> list[NDArray[np.float32]]:
    """Each record's logits (seconds, 3), in batches of one length."""
    found: dict[int, NDArray[np.float32]] = {}
    order = sorted(range(len(recordings)), key=lambda i: recordings[i].signals.shape[1])
    for at in range(0, len(order), 32):
        part = order[at : at + 32]
        seconds = [recordings[i].signals.shape[1] // RATE_HZ for i in part]
        signals = np.zeros((len(part), max(seconds) * RATE_HZ), np.float32)
        for row, (i, n) in enumerate(zip(part, seconds, strict=True)):
            signals[row, : n * RATE_HZ] = recordings[i].signals[0, : n * RATE_HZ]
        squeezed, _levels = normalise(torch.from_numpy(signals))
        start = torch.zeros(1, len(part), model.hidden)
        logits, _ = model(with_context(squeezed, model.context), start)
        for row, (i, n) in enumerate(zip(part, seconds, strict=True)):
            found[i] = logits[row, :n].numpy()
    return [found[i] for i in range(len(recordings))]


def train_calm(
    challenge: list[Recording],
    holter: list[Recording],
    noise: list[Recording],
    *,
    epochs: int,
    work: Path,
) -> RhythmTrunk:
    """Train the trunk; held-out records are read for the printed note only."""
    torch.manual_seed(17)
    stock = Stock(challenge, holter, noise)
    held_out = [r for r in challenge if is_held_out(r.name) and r.label in CLASSES]

    def note(model: nn.Module, _epoch: int) -> str:
        assert isinstance(model, RhythmTrunk)
        truth = [r.label for r in held_out]
        logits = logits_of(model, held_out)
        last = [CLASSES[int(x[-1].argmax())] for x in logits]
        mean = [CLASSES[int(x[len(x) // 3 :].mean(0).argmax())] for x in logits]
        by_last, by_mean = challenge_f1(truth, last), challenge_f1(truth, mean)
        return " ".join(f"{k} {by_last[k]:.3f}/{by_mean[k]:.3f}" for k in ("N", "A", "O", "mean"))

    model = RhythmTrunk()
    plan = Plan(epochs, stock.steps)
    print(f"{sum(p.numel() for p in model.parameters())} weights, {stock.steps} steps", flush=True)
    trained = train(
        model, plan, stock.batches, _loss, checkpoint=work / "calm.pt", after_epoch=note
    )
    assert isinstance(trained, RhythmTrunk)
    return trained
