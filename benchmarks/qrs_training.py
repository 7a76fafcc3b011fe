"""Makes and cross-validates ``agent/signal/qrs_scorer.npz``, the QRS detector's fixed scorer.

    python -m benchmarks.qrs_training DATA --out agent/signal/qrs_scorer.npz [--folds]

Beside the records as they are it learns from them with noise, other gains and rates, and with what
they hold too little of: runs of ventricular beats, tall P and T waves (``benchmarks/qrs_made.py``).

Two rounds: in the first the detector is told the truth (with a few lies, so that it meets levels
gone wrong), in the second it runs on its own first scorer. ``--folds`` trains five scorers, each
without a fifth of the records (``OUT_0.npz`` …), and prints what each does on the records it never
saw; 118 and 119, the noise stress records, stand in the first fold together, and the noise added
in training is the second half of ``em`` only, the stress test uses its first half.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
import zlib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.signal.candidate import Levels
from agent.signal.qrs import Found, QrsDetector
from agent.signal.scorer import Layers, Scorer
from agent.signal.shapes import FEATURES, Shape
from benchmarks.qrs_made import strip, with_runs, with_waves
from benchmarks.qrs_records import Ecg, load_ecg, mixed, noise_at, records, stress_fold

KINDS = (("clean", "noise", "gain", "stretch", "runs", "waves"), ("clean", "noise", "waves"))
"""What is made of the first lead and of the second."""
FIRST_KINDS = (("clean", "noise", "stretch", "runs", "waves"), ())
"""Less is enough for the first round: its scorer only shows the second where levels go wrong."""
MADE = 0.5
"""Weight of the tall waves that were made: there are fewer of them in life."""
MADE_UP, STRIPS = "made up", 600
LIES = 0.01
NEAR = 37
"""150 ms at 250 Hz: EC57's window."""
FOLDS = 5
HIDDEN = (48, 24)
EPOCHS = 10
MEMBERS = 3


@dataclass(frozen=True)
class Job:
    """One record, one lead, one way to change it."""

    data: Path
    database: str
    record: str
    lead: int
    kind: str
    seed: int
    scorer: Scorer | None


@dataclass(frozen=True)
class Rows:
    """Candidates of one job: features, truth, weight."""

    database: str
    record: str
    features: NDArray[np.float16]
    truth: NDArray[np.bool_]
    weight: NDArray[np.float32]


class _Teacher:
    """Stands where the scorer stands and writes down what it is asked."""

    def __init__(self, truth: dict[int, bool], scorer: Scorer | None, rng: Any) -> None:
        self._truth, self._scorer, self._rng = truth, scorer, rng
        self.at = 0
        self.asked: list[tuple[int, NDArray[np.float64]]] = []

    def logit(self, features: NDArray[np.float64]) -> float:
        self.asked.append((self.at, features))
        if self._scorer is not None:
            return self._scorer.logit(features)
        told = self._truth.get(self.at, False) ^ (self._rng.random() < LIES)
        # Not always sure: the running doubt is a feature, and must be seen in its whole range.
        sure = 0.3 + float(self._rng.exponential(4.0))
        return sure if told else -sure


class _Taught(QrsDetector):
    """The detector itself, telling its teacher which candidate it asks about."""

    def __init__(self, teacher: _Teacher) -> None:
        super().__init__(teacher)  # type: ignore[arg-type]
        self._teacher = teacher

    def _judge(self, shape: Shape, levels: Levels, not_before: int = 0) -> Found:
        self._teacher.at = shape.at
        return super()._judge(shape, levels, not_before)


def changed(ecg: Ecg, job: Job, rng: np.random.Generator) -> tuple[NDArray[np.float64], Any]:
    """The lead as the job wants it, and the beats' samples."""
    signal = ecg.microvolts[:, job.lead]
    beats = ecg.beats
    if job.kind == "stretch":
        scale = rng.uniform(0.65, 1.35)
        count = int(len(signal) * scale)
        at = np.arange(count) / scale
        return np.interp(at, np.arange(len(signal)), signal), np.round(beats * scale).astype(int)
    if job.kind == "runs":
        return with_runs(signal, ecg, rng)
    if job.kind == "waves":
        return with_waves(signal, beats, rng), beats
    if job.kind in ("noise", "gain"):
        signal = mixed(signal, ecg, job.data, rng, noisy=job.kind == "noise")
    return signal, beats


def labels(candidates: list[int], heights: NDArray[Any], beats: NDArray[Any]) -> dict[int, int]:
    """1 a beat's own candidate, -1 another one near a beat (not used), absent none."""
    at = np.array(candidates)
    low, high = np.searchsorted(at, beats - NEAR), np.searchsorted(at, beats + NEAR, "right")
    found: dict[int, int] = {}
    for start, stop, beat in zip(low, high, beats, strict=True):
        if start == stop:
            continue
        nearness = np.exp(-(((at[start:stop] - beat) / 25.0) ** 2))
        best = start + int((heights[start:stop] * nearness).argmax())
        for k in range(start, stop):
            found.setdefault(int(at[k]), -1)
        found[int(at[best])] = 1
    return found


def gather(job: Job) -> Rows:
    """Run the detector over a job's signal and keep what the scorer was asked."""
    name = repr((job.database, job.record, job.lead, job.kind, job.seed))
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    flutter: tuple[tuple[int, int], ...] = ()
    if job.database == MADE_UP:
        signal, beats = strip(rng)
    else:
        ecg = load_ecg(job.data, job.database, job.record)
        signal, beats = changed(ecg, job, rng)
        flutter = ecg.flutter
    probe = QrsDetector(None)  # type: ignore[arg-type]
    front = probe._signals
    candidates = [at for at in front.push(signal) if at < len(signal) - 60]
    heights = front.envelope[np.array(candidates) - front.base]
    truth = labels(candidates, heights, beats)
    edges = [0, len(signal)]
    if job.kind != "clean":
        cuts = np.cumsum(rng.uniform(20, 200, 60) * 250).astype(int)
        edges = [0, *cuts[cuts < len(signal) - 5000].tolist(), len(signal)]
    asked: list[tuple[int, NDArray[np.float64]]] = []
    for start, stop in pairwise(edges):
        here = {at - start: kind == 1 for at, kind in truth.items() if start <= at < stop}
        teacher = _Teacher(here, job.scorer, rng)
        detector = _Taught(teacher)
        detector.start(0)
        detector.push(signal[start:stop])
        asked += [(at + start, features) for at, features in teacher.asked]
    at = np.array([a for a, _ in asked])
    kinds = np.array([truth.get(int(a), 0) for a in at])
    weight = (kinds >= 0).astype(np.float32) * (1.0 if job.lead == 0 else 0.4)
    if job.kind == "waves":
        weight *= MADE
    for begin, end in flutter:
        weight[(at > begin - 250) & (at < end + 250)] = 0
    features = np.array([f for _, f in asked], np.float16)
    return Rows(job.database, job.record, features, kinds == 1, weight)


def fold_of(database: str, record: str, data: Path) -> int:
    """Which fold leaves a record out; no fold does a strip that is nobody's."""
    if database == MADE_UP:
        return -1
    if record in stress_fold:
        return 0
    return records(data, database).index(record) % FOLDS


def fit(rows: list[Rows], seed: int) -> Layers:
    """Train a member of a scorer on rows (PyTorch, the training extra)."""
    import torch

    torch.manual_seed(seed)
    torch.set_num_threads(1)  # the layers are tiny: threads would only wait
    x = torch.from_numpy(np.concatenate([r.features for r in rows]))
    y = torch.from_numpy(np.concatenate([r.truth for r in rows]).astype(np.float32))
    w = torch.from_numpy(np.concatenate([r.weight for r in rows]))
    mean = x[::11].float().mean(0)
    spread = x[::11].float().std(0) + 1e-3
    sizes = (FEATURES, *HIDDEN, 1)
    layers: list[torch.nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [torch.nn.Linear(before, after), torch.nn.ReLU()]
    net = torch.nn.Sequential(*layers[:-1])
    batch, count = 4096, len(x)
    steps = EPOCHS * (count // batch)
    best = torch.optim.AdamW(net.parameters(), lr=4e-3, weight_decay=1e-5)
    plan = torch.optim.lr_scheduler.OneCycleLR(best, 4e-3, total_steps=steps + 1, pct_start=0.1)
    for _ in range(EPOCHS):
        order = torch.randperm(count)
        for k in range(count // batch):
            pick = order[k * batch : (k + 1) * batch]
            logit = net((x[pick].float() - mean) / spread)[:, 0]
            loss = torch.nn.functional.binary_cross_entropy_with_logits(
                logit, y[pick], weight=w[pick], reduction="sum"
            ) / w[pick].sum().clamp(min=1)
            best.zero_grad()
            loss.backward()
            best.step()
            plan.step()
    made = [
        (m.weight.detach().double().numpy(), m.bias.detach().double().numpy())
        for m in net
        if isinstance(m, torch.nn.Linear)
    ]
    # The scaling goes into the first layer: the detector then needs none.
    first, offsets = made[0]
    scale, middle = spread.double().numpy(), mean.double().numpy()
    made[0] = (first / scale, offsets - (first / scale) @ middle)
    return tuple((np.float64(np.float32(a)), np.float64(np.float32(b))) for a, b in made)


_parts: list[list[Rows]] = []
"""What the processes of ``fitted`` train on: inherited, not sent."""


def _fit_member(job: tuple[int, int]) -> Layers:
    part, seed = job
    return fit(_parts[part], seed)


def fitted(parts: list[list[Rows]], processes: int) -> list[Scorer]:
    """A scorer of each part; in processes of their own, as PyTorch can't be forked once used."""
    _parts[:] = parts
    jobs = [(part, seed) for part in range(len(parts)) for seed in range(MEMBERS)]
    with ProcessPoolExecutor(processes, multiprocessing.get_context("fork")) as pool:
        found = list(pool.map(_fit_member, jobs))
    return [Scorer(tuple(found[k : k + MEMBERS])) for k in range(0, len(found), MEMBERS)]


def save(scorer: Scorer, out: Path) -> None:
    """Write a scorer as the detector reads it."""
    arrays = {"members": np.array(len(scorer.members)), "layers": np.array(len(scorer.members[0]))}
    for m, layers in enumerate(scorer.members):
        for i, (weights, offsets) in enumerate(layers):
            arrays[f"weights{m}_{i}"] = weights.astype(np.float32)
            arrays[f"offsets{m}_{i}"] = offsets.astype(np.float32)
    np.savez(out, **arrays)  # type: ignore[arg-type]


def plan(data: Path, seed: int, scorer: Scorer | None) -> list[Job]:
    """All jobs of a round."""
    strips = [Job(data, MADE_UP, str(k), 0, "strip", seed, scorer) for k in range(STRIPS)]
    return strips + [
        Job(data, database, record, lead, kind, seed, scorer)
        for database in ("mitdb", "svdb")
        for record in records(data, database)
        for lead, kinds in enumerate(FIRST_KINDS if scorer is None else KINDS)
        for kind in kinds
    ]


def round_of(data: Path, seed: int, scorer: Scorer | None, processes: int) -> list[Rows]:
    """Gather one round."""
    began = time.monotonic()
    with ProcessPoolExecutor(processes) as pool:
        rows = list(pool.map(gather, plan(data, seed, scorer), chunksize=4))
    count = sum(len(r.truth) for r in rows)
    print(f"round {seed}: {count} candidates, {time.monotonic() - began:.0f} s", flush=True)
    return rows


def evaluate(data: Path, scorers: dict[int, Scorer], processes: int) -> None:
    """Print what scorers do on the records they never saw."""
    from benchmarks.qrs_records import score_record, score_stress

    for database in ("mitdb", "svdb"):
        names = records(data, database)
        jobs = [(data, database, r, scorers[fold_of(database, r, data)]) for r in names]
        with ProcessPoolExecutor(processes) as pool:
            found = list(pool.map(score_record, jobs))
        report(database, list(zip(names, found, strict=True)))
    for db in (6, 0, -6):
        counts = [score_stress(data, r, db, scorers[0]) for r in stress_fold]
        tp, fn, fp = np.sum(counts, axis=0)
        print(f"em {db:+d} dB: F1 {200 * tp / (2 * tp + fn + fp):.2f}", counts, flush=True)


def report(database: str, found: list[tuple[str, tuple[int, int, int]]]) -> None:
    """Gross figures, worst records."""
    tp, fn, fp = np.sum([counts for _, counts in found], axis=0)
    worst = sorted(found, key=lambda item: -(item[1][1] + item[1][2]))[:8]
    print(
        f"{database}: Se {100 * tp / (tp + fn):.3f} +P {100 * tp / (tp + fp):.3f}; missed/false: "
        + " ".join(f"{name} {fn}/{fp}" for name, (_, fn, fp) in worst),
        flush=True,
    )


def main() -> None:
    """Train; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--folds", action="store_true", help="cross-validate as well")
    parser.add_argument("--processes", type=int, default=3)
    chosen = parser.parse_args()
    noise_at(chosen.data, "em")
    first = round_of(chosen.data, 0, None, chosen.processes)
    (scorer,) = fitted([first], chosen.processes)
    second = round_of(chosen.data, 1, scorer, chosen.processes)
    rows = first + second
    parts = [rows]
    if chosen.folds:
        parts += [
            [r for r in rows if fold_of(r.database, r.record, chosen.data) != fold]
            for fold in range(FOLDS)
        ]
    shipped, *folds = fitted(parts, chosen.processes)
    save(shipped, chosen.out)
    print(f"{chosen.out} written", flush=True)
    if folds:
        for fold, scorer in enumerate(folds):
            save(scorer, chosen.out.with_name(f"{chosen.out.stem}_{fold}.npz"))
        evaluate(chosen.data, dict(enumerate(folds)), chosen.processes)


if __name__ == "__main__":
    main()
