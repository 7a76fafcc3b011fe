"""The beat network, one command: ``python -m models.training.beats --data DIR --out BUNDLE``.

First by record-wise cross-validation: each fifth of the records is judged by a network that has
not seen them, which gives the card's figures and the calibration. Then one network on all of them
is what ships. ``--work`` keeps each fold's int8 bundle, so that the whole chain can be measured
on records its beat network was not trained on.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.beat_features import AFTER_S, BEFORE_S, CONTEXT, FIGURES, WINDOW
from models.runtime import BEAT_CLASSES, OnnxBeats
from models.training.beats_data import CLASSES, Beats, cached
from models.training.beats_network import BeatNet, CalibratedBeatNet
from models.training.bundle import write_bundle
from models.training.loop import Plan, train
from models.training.quantize import Feeds, export, nodes, quantize
from models.training.scores import calibration_error

FOLDS = 5
EPOCHS, STEPS, BATCH = 10, 700, 512
FLIPPED = 0.3
"""Share of beats shown upside down: an electrode set the other way round changes no rhythm."""
WEIGHTS = (1.0, 1.0, 1.0, 0.5, 0.5)
"""How much of each class is drawn, beside one over the square root of its count in a record."""
DECOYS = 0.1
"""Weight of Q in the calibration: far fewer complexes are false than were made so."""
FAVOUR_S, FAVOUR_V = 0.65, 0.75
"""Least log loss misses more S and V than it invents: with these both come out even, end to end.
In atrial fibrillation, where the false ones were, the chain wants more of a V and knows no S."""
KEPT_FLOAT = ("/wave.0/", "/atria.0/", "/figures.0/", "/shape.", "/both.")
"""Layers that see the signal or the figures themselves, and the dense ones behind the waves: in 8
bits they cost a point of SVEB F1, in float 100 kB."""
SUMMARY = (
    "Names a beat N, S, V, F or Q from its window, the patient's dominant beat and its timing; "
    "a small convolutional network"
)


def weights(beats: Beats, keep: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The chance of each beat to be drawn; no record or class floods the others."""
    _, record = np.unique(beats.records, return_inverse=True)
    group = record * len(CLASSES) + beats.kinds
    counts = np.bincount(group[keep], minlength=int(group.max()) + 1)
    each = np.array(WEIGHTS)[beats.kinds] / np.sqrt(np.maximum(counts[group], 1))
    return np.where(keep, each, 0.0)


def batches(beats: Beats, chance: NDArray[np.float64], epoch: int) -> Iterator[tuple[Tensor, ...]]:
    """Windows, contexts and classes of STEPS batches; of the epoch alone."""
    rng = np.random.default_rng([71, epoch])
    summed = np.cumsum(chance)
    for _ in range(STEPS):
        drawn = np.searchsorted(summed, rng.random(BATCH) * summed[-1], side="right")
        windows, contexts = tensors(beats, drawn)
        sign = torch.from_numpy(np.where(rng.random((BATCH, 1)) < FLIPPED, -1.0, 1.0)).float()
        contexts[:, FIGURES:] *= sign
        yield windows * sign, contexts, torch.from_numpy(beats.kinds[drawn].astype(np.int64))


def tensors(beats: Beats, which: NDArray[np.integer]) -> tuple[Tensor, Tensor]:
    """Windows and contexts of the beats told."""
    windows = torch.from_numpy(beats.windows[which].astype(np.float32))
    return windows, torch.from_numpy(beats.contexts[which].astype(np.float32))


def loss(model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    """Cross-entropy; a little smoothing, for annotators err too."""
    windows, contexts, kinds = batch
    return nn.functional.cross_entropy(model(windows, contexts), kinds, label_smoothing=0.03)


def fit(beats: Beats, keep: NDArray[np.bool_], epochs: int, checkpoint: Path) -> BeatNet:
    """A network trained on the beats kept."""
    torch.manual_seed(71)
    chance = weights(beats, keep)
    trained = train(
        BeatNet(),
        Plan(epochs, STEPS),
        lambda epoch: batches(beats, chance, epoch),
        loss,
        checkpoint=checkpoint,
    )
    assert isinstance(trained, BeatNet)
    return trained


def logits_of(net: BeatNet, beats: Beats, which: NDArray[np.integer]) -> NDArray[np.float32]:
    """Logits (n, 5) of the beats told."""
    parts = []
    with torch.no_grad():
        for start in range(0, len(which), 8192):
            parts.append(net(*tensors(beats, which[start : start + 8192])).numpy())
    return np.concatenate(parts)


def calibrate(logits: NDArray[np.float32], kinds: NDArray[np.integer]) -> tuple[float, list[float]]:
    """Temperature and one offset per class of least log loss on records not trained on."""
    weight = torch.from_numpy(np.where(kinds == CLASSES.index("Q"), DECOYS, 1.0))
    given, truth = torch.from_numpy(logits).double(), torch.from_numpy(kinds.astype(np.int64))
    scale = torch.ones(1, dtype=torch.double, requires_grad=True)
    offsets = torch.zeros(len(CLASSES), dtype=torch.double, requires_grad=True)
    optimizer = torch.optim.LBFGS([scale, offsets], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        each = nn.functional.cross_entropy(given * scale + offsets, truth, reduction="none")
        value = (each * weight).sum() / weight.sum()
        value.backward()
        return value

    optimizer.step(closure)
    return float(1.0 / scale.item()), (offsets - offsets[0]).tolist()


def figures(kinds: NDArray[np.integer], said: NDArray[np.integer]) -> dict[str, float]:
    """VEB and SVEB after EC57, beats given: a fusion beat called V and Q called either is none."""
    counts = np.zeros((len(CLASSES), len(CLASSES)))
    np.add.at(counts, (kinds, said), 1)
    n, s, v, f, _q = range(len(CLASSES))
    out = {}
    for name, kind, against in (("veb", v, (n, s)), ("sveb", s, (n, v, f))):
        right, false = counts[kind, kind], counts[against, kind].sum()
        out[f"{name}_se"] = right / max(1, counts[kind].sum())
        out[f"{name}_ppv"] = right / max(1, right + false)
        out[f"{name}_f1"] = 2 * right / max(1, right + false + counts[kind].sum())
    return {key: float(value) for key, value in out.items()}


def calibration_feeds(beats: Beats, rng: np.random.Generator) -> Iterable[Feeds]:
    """Real beats of every record for the ranges of int8."""
    chance = weights(beats, np.ones(len(beats.kinds), bool))
    for i in rng.choice(len(chance), 2000, p=chance / chance.sum()):
        windows, contexts = tensors(beats, np.array([i]))
        yield {"window": windows.numpy(), "timing": contexts.numpy()}


def make_int8(net: CalibratedBeatNet, beats: Beats, work: Path) -> tuple[Path, Path]:
    """The network as fp32 and int8 ONNX files."""
    work.mkdir(parents=True, exist_ok=True)
    fp32, int8 = work / "beats_fp32.onnx", work / "beats_int8.onnx"
    example = [torch.ones(1, WINDOW), torch.ones(1, CONTEXT)]
    export(net, example, fp32, inputs=["window", "timing"], outputs=["probabilities"])
    feeds = calibration_feeds(beats, np.random.default_rng(7))
    named = [*nodes(fp32, "Conv"), *nodes(fp32, "Gemm")]
    exact = [name for name in named if any(part in name for part in KEPT_FLOAT)]
    quantize(fp32, int8, feeds, keep_float=exact)
    return fp32, int8


def judge(network: OnnxBeats, beats: Beats, which: NDArray[np.integer]) -> NDArray[np.float64]:
    """Probabilities (n, 5) of a bundle, beat by beat as at the bedside."""
    rows = []
    for i in which:
        p = network.classify(
            beats.windows[i].astype(np.float32), beats.contexts[i].astype(np.float32)
        )
        rows.append((p.n, p.s, p.v, p.f, p.q))
    return np.array(rows)


def report(beats: Beats, which: NDArray[np.integer], p: NDArray[np.float64]) -> dict[str, Any]:
    """Figures on the beats told, by database."""
    said, kinds = p.argmax(1), beats.kinds[which]
    out: dict[str, Any] = {"calibration_error": calibration_error(p.max(1), said == kinds)}
    for database in ("mitdb", "svdb"):
        mine = np.char.startswith(beats.records[which], database)
        out |= {f"{database}_{k}": v for k, v in figures(kinds[mine], said[mine]).items()}
    return out


def about(temperature: float, offsets: list[float]) -> dict[str, Any]:
    """What the card says beside the figures."""
    return {
        "summary": SUMMARY,
        "contract": {
            "before_s": BEFORE_S,
            "after_s": AFTER_S,
            "classes": list(BEAT_CLASSES),
            "timing": "models.beat_features.BeatContext",
        },
        "calibration": {
            "method": "temperature and offsets on the folds' unseen records, S and V then favoured",
            "temperature": temperature,
            "offsets": [round(value, 4) for value in offsets],
        },
        "data": {
            "trained_on": ["mitdb DS1", "svdb", "vfdb (VT only)", "nstdb"],
            "attribution": "PhysioNet (Goldberger 2000), ODC-By 1.0; see docs/models.md",
        },
        "split": {
            "figures": f"{FOLDS} folds by record, each judged by a network of the others",
            "shipped": "trained on all of them; DS2 and the rest of svdb never seen",
        },
    }


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Rows to probabilities."""
    e = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(e / e.sum(1, keepdims=True), np.float64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the databases")
    parser.add_argument("--out", type=Path, required=True, help="…/beats/<version>")
    parser.add_argument("--work", type=Path, default=Path("scratch/networks/beats"))
    parser.add_argument("--cache", type=Path, default=Path("scratch/cache"))
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    beats = cached(asked.data, asked.cache, processes=asked.threads)
    fold, shown = beats.folds(FOLDS), np.flatnonzero(beats.copies == 0)
    nets = [fit(beats, fold != k, asked.epochs, asked.work / f"fold_{k}.pt") for k in range(FOLDS)]
    logits = np.zeros((len(shown), len(CLASSES)), np.float32)
    for k, net in enumerate(nets):
        mine = fold[shown] == k
        logits[mine] = logits_of(net, beats, shown[mine])
    temperature, offsets = calibrate(logits, beats.kinds[shown])
    offsets[CLASSES.index("S")] += FAVOUR_S
    offsets[CLASSES.index("V")] += FAVOUR_V
    told = about(temperature, offsets)
    int8_p = np.zeros((len(shown), len(CLASSES)))
    for k, net in enumerate(nets):
        work = asked.work / f"fold_{k}"
        bundle = work / "beats" / asked.out.name
        calibrated = CalibratedBeatNet(net, temperature, offsets)
        write_bundle(bundle, make_int8(calibrated, beats, work)[1], **told, metrics={})
        mine = fold[shown] == k
        int8_p[mine] = judge(OnnxBeats(bundle), beats, shown[mine])
    final = fit(beats, np.ones(len(fold), bool), asked.epochs, asked.work / "all.pt")
    fp32, int8 = make_int8(CalibratedBeatNet(final, temperature, offsets), beats, asked.work)
    fp32_p = softmax(logits / temperature + np.array(offsets))
    metrics = {
        "cross_validated_fp32": report(beats, shown, fp32_p),
        "cross_validated_int8": report(beats, shown, int8_p),
        "size": {"bytes_int8": int8.stat().st_size, "bytes_fp32": fp32.stat().st_size},
    }
    write_bundle(asked.out, int8, **told, metrics=metrics)
    for name, values in metrics.items():
        print(name, {key: round(float(value), 4) for key, value in values.items()})


if __name__ == "__main__":
    main()
