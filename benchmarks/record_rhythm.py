"""Fits and measures the record's word on CinC 2017: ``python -m benchmarks.record_rhythm DATA``.

Analyses the held-out records as ``wardbeat analyze`` does, cross-validates the regression of
``models.training.record`` on what the chain said, and prints the coefficients for
``models/record_rhythm.py``. Neither stage's network saw these records, so its probabilities
flatter no fit; the figures printed are of folds left out in turn, their mean over several draws.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agent.analyze import analyse
from agent.networks import load as load_networks
from agent.rhythm.types import BeatClass
from drivers.files import open_record
from models.record_rhythm import CLASSES, classify_record, features
from models.training.datasets import is_held_out
from models.training.layout import labels, paths
from models.training.record import cross_validated, fit
from models.training.scores import challenge_f1

Row = tuple[str, NDArray[np.float64] | None]


def judged(names_and_paths: list[tuple[str, Path]]) -> list[Row]:
    """Each record's word by the coefficients in use, and its features; None without a second."""
    networks, rows = load_networks(), []
    for _name, path in names_and_paths:
        with open_record(path) as record:
            analysis = analyse(record, networks)
        p_usable = np.array([v.p_usable for v in analysis.verdicts], np.float64)
        heights = [beat.amplitude_uv for beat in analysis.beats]
        q_share = sum(beat.kind is BeatClass.Q for beat in analysis.beats) / max(1, len(heights))
        word = classify_record(p_usable, analysis.probabilities, heights, q_share)
        p = np.array([(q.normal, q.af, q.other, q.vt, q.vf) for q in analysis.probabilities])
        row = features(p_usable, p, np.array(heights), q_share) if len(p) else None
        rows.append((word, row))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the databases")
    parser.add_argument("--processes", type=int, default=1)
    asked = parser.parse_args()
    reference = labels(asked.data, "cinc2017")
    held = [item for item in paths(asked.data, "cinc2017").items() if is_held_out(item[0])]
    parts = [held[i::16] for i in range(16)]
    with ProcessPoolExecutor(asked.processes) as pool:
        rows = [row for part in pool.map(judged, parts) for row in part]
    truth = [reference[name] for part in parts for name, _ in part]
    scores = challenge_f1(truth, [word for word, _ in rows])
    print("in use", {key: round(value, 4) for key, value in scores.items()})
    known = [(row, label) for (_, row), label in zip(rows, truth, strict=True) if row is not None]
    x = np.array([row for row, _ in known])
    y = np.array([CLASSES.index(label) for _, label in known])
    unjudged = [label for (_, row), label in zip(rows, truth, strict=True) if row is None]
    crossed = cross_validated(x, y, unjudged)
    print(f"{len(truth)} records, {len(unjudged)} of them without a judged second: {unjudged}")
    print("cross-validated", {key: round(value, 4) for key, value in crossed.items()})
    weights, bias = fit(x, y)
    print("_BIAS =", tuple(round(float(b), 3) for b in bias))
    for line in weights:
        print("   ", tuple(round(float(w), 3) for w in line), ",", sep="")


if __name__ == "__main__":
    main()
