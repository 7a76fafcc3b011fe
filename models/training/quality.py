"""Stage 1, one command: ``python -m models.training.quality --data DIR --out BUNDLE``.

No database marks usable seconds, so the labels are put together: CinC 2017's noisy records and
vfdb's annotated noise as weak negatives; every rhythm that is still an ECG, VF and asystole
foremost, as positives; and noise mixed at known SNR, where the label is soft around the SNR at
which noise stands as high as the QRS. Wrong silence is the worst failure, so doubt is usable.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.preprocess import RATE_HZ
from models.runtime import OnnxQuality
from models.training.augment import Row, Ward, qrs_height
from models.training.bundle import write_bundle
from models.training.datasets import Recording, is_held_out, load
from models.training.loop import Plan, train
from models.training.measure import cost_ms, stream_quality
from models.training.networks import QualityNet, UsableGraph
from models.training.quantize import Feeds, export, nodes, quantize
from models.training.synthetic import fibrillation

CONTEXT_S = 5
BATCH = 128
HALF_DB = 0.0
"""SNR at which a second is as likely unusable as usable: noise as high as the QRS."""
SLOPE_DB = 1.5
SILENT_SHARE = 0.03
"""Share of the training half's named (N, A, O) seconds that may be called unusable."""
EPOCHS, STEPS = 15, 200
HALVINGS = 400
SUMMARY = (
    "Stage 1: probability that the last second is usable, from one to five seconds of signal; "
    "a small residual convolutional network"
)
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


def logit_shift(model: QualityNet, challenge: list[Recording]) -> float:
    """What puts probability one half where SILENT_SHARE of named training seconds lie."""
    logits: list[float] = []
    with torch.no_grad():
        for r in challenge[::5]:
            if r.label == "~" or held_out(r):
                continue
            row = r.signals[0]
            ends = range(CONTEXT_S * RATE_HZ, len(row) + 1, RATE_HZ)
            windows = np.stack([row[end - CONTEXT_S * RATE_HZ : end] for end in ends])
            logits += model(torch.from_numpy(windows)).tolist()
    return -float(np.quantile(logits, SILENT_SHARE))


def calibration_feeds(stock: Stock) -> Iterator[Feeds]:
    """Windows of full length in the training's own shares."""
    for signals, _targets in stock.batches(10_000, 12):
        if signals.shape[1] == CONTEXT_S * RATE_HZ:
            for row in signals[:40]:
                yield {"signal": row[np.newaxis].numpy()}


def noisy_share(
    network: OnnxQuality, holter: list[Recording], noise: list[Recording]
) -> dict[str, float]:
    """Share of held-out Holter seconds called usable at each SNR, in noise never trained on."""
    ward = Ward(noise, np.random.default_rng(5), (0.8, 1.0))
    shares = {}
    for kind in ("em", "ma", "bw"):
        for snr_db in (24, 12, 6, 0, -6):
            said: list[NDArray[np.float64]] = []
            for r in holter:
                part = r.signals[0][60_000:65_000]
                said.append(stream_quality(network, ward.mixed(part, snr_db, kind)[0])[4:])
            shares[f"{kind}_{snr_db}_db"] = float((np.concatenate(said) >= 0.5).mean())
    return shares


def lethal_silence(network: OnnxQuality, lethal: list[Recording]) -> dict[str, float]:
    """Share of seconds called unusable in each annotated rhythm of the held-out patients."""
    said: dict[str, list[float]] = {}
    for r in lethal:
        p = stream_quality(network, r.signals[0])
        for rhythm, value in zip(r.rhythm_per_second(), p, strict=True):
            said.setdefault(rhythm.lower(), []).append(value < 0.5)
    return {rhythm: float(np.mean(silent)) for rhythm, silent in said.items()}


def challenge_report(network: OnnxQuality, held: list[Recording]) -> dict[str, float]:
    """Noise-class F1 by the mean of a record: thresholds of one half judge the other.

    The mean over HALVINGS drawn halvings, the same for every network: noisy records are few, and a
    single one moves the figure of one halving by two points.
    """
    streams = [stream_quality(network, r.signals[0]) for r in held]
    mean = np.array([stream.mean() for stream in streams])
    noisy = np.array([r.label == "~" for r in held])
    rng = np.random.default_rng(0)
    scores = []
    for _ in range(HALVINGS):
        half = rng.random(len(held)) < 0.5
        below = np.where(half, _threshold(mean[~half], noisy[~half]), 0.0)
        below[~half] = _threshold(mean[half], noisy[half])
        scores.append(_f1(noisy, mean < below))
    silent = np.concatenate([s < 0.5 for s, poor in zip(streams, noisy, strict=True) if not poor])
    return {"noise_f1": float(np.mean(scores)), "named_seconds_silent": silent.mean()}


def _threshold(mean: NDArray[np.float64], noisy: NDArray[np.bool_]) -> float:
    """Between the two records where a cut gives the best F1."""
    order = np.argsort(mean)
    found = np.cumsum(noisy[order])
    best = int(np.argmax(2 * found / (noisy.sum() + np.arange(1, len(mean) + 1))))
    return float(mean[order][best : best + 2].mean())


def _f1(truth: NDArray[np.bool_], said: NDArray[np.bool_]) -> float:
    return float(2 * (truth & said).sum() / max(1, truth.sum() + said.sum()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the databases")
    parser.add_argument("--out", type=Path, required=True, help="…/quality/<version>")
    parser.add_argument("--work", type=Path, default=Path("scratch/networks/quality"))
    parser.add_argument("--cache", type=Path, default=Path("scratch/cache"))
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    torch.manual_seed(41)
    challenge, mitdb, svdb, vfdb, noise = (
        load(asked.data, name, asked.cache)
        for name in ("cinc2017", "mitdb", "svdb", "vfdb", "nstdb")
    )
    seen = [
        [r for r in recordings if not held_out(r)] for recordings in (challenge, mitdb + svdb, vfdb)
    ]
    stock = Stock(*seen, noise)
    trained = train(
        QualityNet(),
        Plan(asked.epochs, STEPS),
        lambda epoch: stock.batches(epoch, STEPS),
        loss,
        checkpoint=asked.work / "quality.pt",
    )
    assert isinstance(trained, QualityNet)
    shift = logit_shift(trained, challenge)
    fp32, int8 = asked.work / "quality_fp32.onnx", asked.work / "quality_int8.onnx"
    export(
        UsableGraph(trained, shift),
        [torch.zeros(1, CONTEXT_S * RATE_HZ)],
        fp32,
        inputs=["signal"],
        outputs=["p_usable"],
        dynamic={"signal": {1: "samples"}},
    )
    # The first convolution sees the signal itself: its 8 bits cost two points of noise F1.
    first = nodes(fp32, "Conv")[:1]
    quantize(fp32, int8, calibration_feeds(stock), operators=("Conv",), keep_float=first)
    about = {
        "summary": SUMMARY,
        "contract": {"context_s": CONTEXT_S},
        "calibration": {"method": "logit shift inside the graph", "shift": shift},
        "data": {
            "trained_on": ["cinc2017", "mitdb DS1 and paced", "svdb", "vfdb", "nstdb"],
            "attribution": "PhysioNet (Goldberger 2000), ODC-By 1.0; see docs/models.md",
        },
        "split": {
            "records": "those whose name's SHA-256 is 0 modulo 5 are never trained on",
            "patients": list(HELD_OUT_PATIENTS),
            "noise": "the last fifth of each nstdb record is never trained on",
        },
    }
    held, holter, patients = (
        [r for r in recordings if held_out(r)] for recordings in (challenge, mitdb + svdb, vfdb)
    )
    metrics: dict[str, dict[str, float]] = {}
    for kind, path in (("fp32", fp32), ("int8", int8)):
        write_bundle(asked.out, path, **about, metrics={})
        network = OnnxQuality(asked.out)
        metrics[kind] = {
            **challenge_report(network, held),
            "cost_ms_per_s": cost_ms(
                lambda signal, network=network: stream_quality(network, signal),
                [r.signals[0] for r in challenge[:40]],
            ),
            "bytes": path.stat().st_size,
        }
    metrics["int8_usable_in_noise"] = noisy_share(network, holter, noise)
    metrics["int8_silent_in_rhythm"] = lethal_silence(network, patients)
    write_bundle(asked.out, int8, **about, metrics=metrics)
    for kind, values in metrics.items():
        print(kind, {key: round(float(value), 4) for key, value in values.items()})


if __name__ == "__main__":
    main()
