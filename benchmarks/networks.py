"""The networks in use, int8 against fp32, in one run: size, cost, and what the bits change.

    python -m benchmarks.networks DATA [--records 60]

``benchmarks/fp32`` keeps each shipped network as it was before quantization. Both run under
onnxruntime on one thread, through Python as the bed calls them; signal: held-out CinC 2017 records,
for beats mitdb 119 and 208. Cost is the median call's, so run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.card import CARD_FILE, MODEL_FILE
from models.registry import BUNDLES
from models.runtime import OnnxBeats, OnnxQuality, OnnxRhythm
from models.training import datasets
from models.training.beats_data import CLASSES, of_lead
from models.training.datasets import is_held_out
from models.training.layout import labels, paths
from models.training.measure import seconds_of
from models.training.scores import challenge_f1

FP32 = Path(__file__).parent / "fp32"
FIRST_LOOK = 250
Call = Callable[[], NDArray[np.float64]]


@dataclass(frozen=True)
class Measured:
    """One network in one precision."""

    name: str
    precision: str
    size: int
    cost_ms: float
    said: NDArray[np.float64]
    """Every probability it gave, shape (calls, classes)."""
    score: str
    """Its figure on this signal."""


def shipped(name: str) -> Path:
    """The newest bundle that ships."""
    found = [path for path in (BUNDLES / name).iterdir() if re.fullmatch(r"[\d.]+", path.name)]
    return max(found, key=lambda path: [int(part) for part in path.name.split(".")])


def in_float(bundle: Path, folder: Path) -> Path:
    """A bundle of the same card around the fp32 graph."""
    out = folder / bundle.parent.name / bundle.name
    out.mkdir(parents=True)
    source = FP32 / f"{bundle.parent.name}-{bundle.name}.onnx"
    if not source.is_file():
        raise SystemExit(f"{source}: missing; training leaves it in its --work folder")
    shutil.copyfile(source, out / MODEL_FILE)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    card = (bundle / CARD_FILE).read_text(encoding="utf-8")
    card = re.sub(r'^sha256 = ".*"$', f'sha256 = "{digest}"', card, flags=re.MULTILINE)
    (out / CARD_FILE).write_text(card, encoding="utf-8")
    return out


def timed(calls: Iterable[Call]) -> tuple[NDArray[np.float64], float]:
    """What the calls gave, row by row, and the median one's milliseconds."""
    rows, took = [], []
    for call in calls:
        began = time.perf_counter()
        rows.append(call())
        took.append(time.perf_counter() - began)
    return np.array(rows), float(np.median(took)) * 1000


def rhythm(bundle: Path, signals: list[NDArray[np.float32]], truth: list[str]) -> Any:
    """Stage 2 over whole records; F1 by the mean of the last two thirds."""
    network = OnnxRhythm(bundle)
    rows: list[NDArray[np.float64]] = []
    words, costs = [], []
    for signal in signals:
        state = network.start()

        def step(second: NDArray[np.float32]) -> NDArray[np.float64]:
            nonlocal state
            state, p = network.step(state, second)
            return np.array([p.normal, p.af, p.other, p.vt, p.vf])

        said, cost = timed(lambda s=second: step(s) for second in seconds_of(signal))
        late = np.c_[said[:, :2], said[:, 2:].sum(1)][len(said) // 3 :]
        words.append("NAO"[int(np.log(late + 1e-4).mean(0).argmax())])
        rows.append(said)
        costs.append(cost)
    f1 = challenge_f1(truth, words)["mean"]
    return np.concatenate(rows), float(np.median(costs)), f"F1 of N, A, O {f1:.3f}"


def quality(bundle: Path, signals: list[NDArray[np.float32]], _truth: list[str]) -> Any:
    """Stage 1 over whole records; the share called unusable."""
    network = OnnxQuality(bundle)
    longest = round(network.context_s * 250)
    windows = [
        signal[max(0, end - longest) : end]
        for signal in signals
        for end in range(FIRST_LOOK, len(signal) + 1, 250)
    ]
    said, cost = timed(lambda w=window: np.array([network.p_usable(w)]) for window in windows)
    return said, cost, f"unusable {100 * (said < 0.5).mean():.2f} %"


def beats(bundle: Path, data: Path) -> Any:
    """The beat network over two records' beats; how many of their V it finds."""
    network = OnnxBeats(bundle)
    found = []
    for name in ("119", "208"):
        recording = datasets.read(data / "mitdb", name)
        found.append(of_lead(recording.signals[0], recording, np.random.default_rng(1)))
    windows, contexts, kinds = (np.concatenate(column) for column in zip(*found, strict=True))

    def one(i: int) -> NDArray[np.float64]:
        p = network.classify(windows[i].astype(np.float32), contexts[i].astype(np.float32))
        return np.array([p.n, p.s, p.v, p.f, p.q])

    said, cost = timed(lambda i=i: one(i) for i in range(len(kinds)))
    ventricular = kinds == CLASSES.index("V")
    right = (said.argmax(1) == CLASSES.index("V"))[ventricular].mean()
    return said, cost, f"V found {100 * right:.2f} %"


def measured(data: Path, records: int) -> list[tuple[Measured, Measured]]:
    """Each network as fp32 and as int8."""
    reference = labels(data, "cinc2017")
    held = [n for n in paths(data, "cinc2017") if is_held_out(n) and reference[n] != "~"][:records]
    where = paths(data, "cinc2017")
    signals = [datasets.read(where[name].parent, name).signals[0] for name in held]
    truth = [reference[name] for name in held]
    ways: dict[str, Callable[[Path], Any]] = {
        "quality": lambda bundle: quality(bundle, signals, truth),
        "rhythm": lambda bundle: rhythm(bundle, signals, truth),
        "beats": lambda bundle: beats(bundle, data),
    }
    pairs = []
    with tempfile.TemporaryDirectory() as folder:
        for name, way in ways.items():
            int8 = shipped(name)
            both = {"fp32": in_float(int8, Path(folder)), "int8": int8}
            fp32_row, int8_row = (
                Measured(name, kind, (path / MODEL_FILE).stat().st_size, cost, said, score)
                for kind, path in both.items()
                for said, cost, score in [way(path)]
            )
            pairs.append((fp32_row, int8_row))
    return pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the databases")
    parser.add_argument("--records", type=int, default=60, help="of CinC 2017 (default 60)")
    asked = parser.parse_args()
    print(f"{'network':<10}{'':<6}{'bytes':>10}{'ms a call':>11}  figure")
    for pair in measured(asked.data, asked.records):
        for row in pair:
            figures = f"{row.size:>10}{row.cost_ms:>11.3f}  {row.score}"
            print(f"{row.name:<10}{row.precision:<6}{figures}")
        apart = np.abs(pair[0].said - pair[1].said)
        other = (pair[0].said.round() != pair[1].said.round()).any(1).mean()
        indent = " " * 10
        print(f"{indent}probabilities differ by {apart.mean():.4f} (most {apart.max():.3f});")
        print(f"{indent}another side of one half in {100 * other:.2f} % of {len(apart)} calls")


if __name__ == "__main__":
    main()
