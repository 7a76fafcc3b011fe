"""Fits the record's word: ``python -m models.training.record --data DIR``.

Streams the held-out CinC 2017 records through the bundles in use, cross-validates a multinomial
logistic regression on what they said, and prints the coefficients for
``models/record_rhythm.py``. The networks never saw these records, so neither did their
probabilities flatter the fit; the printed figures are of folds left out in turn.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax

from models.record_rhythm import CLASSES, features
from models.registry import load_quality, load_rhythm
from models.training.datasets import Recording, fold, load
from models.training.measure import stream_quality, stream_rhythm
from models.training.scores import challenge_f1

HELD_OUT_FOLD = 0
PENALTY = 0.01
CLASS_WEIGHTS = np.array([1.0, 1.3, 1.15, 2.0])
REPEATS = 4


def fit(
    x: NDArray[np.float64], y: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights (features, classes) and biases (classes,) on unscaled features."""
    centre, spread = x.mean(0), x.std(0) + 1e-6
    scaled = (x - centre) / spread
    size = (x.shape[1] + 1, len(CLASSES))
    weight = CLASS_WEIGHTS[y] / CLASS_WEIGHTS[y].sum()

    def cost(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        table = flat.reshape(size)
        log_p = log_softmax(scaled @ table[:-1] + table[-1], axis=1)
        value = -(weight * log_p[np.arange(len(y)), y]).sum() + PENALTY * (table[:-1] ** 2).sum()
        slope = np.exp(log_p)
        slope[np.arange(len(y)), y] -= 1
        slope *= weight[:, None]
        down = np.vstack([scaled.T @ slope + 2 * PENALTY * table[:-1], slope.sum(0)])
        return float(value), down.ravel()

    table = minimize(cost, np.zeros(size).ravel(), jac=True, method="L-BFGS-B").x.reshape(size)
    weights = table[:-1] / spread[:, None]
    return weights, table[-1] - centre @ weights


def cross_validated(x: NDArray[np.float64], y: NDArray[np.int64]) -> dict[str, float]:
    """Mean F1 of REPEATS times five folds."""
    rng = np.random.default_rng(0)
    scores = []
    for _ in range(REPEATS):
        part = rng.integers(0, 5, len(y))
        said = np.empty(len(y), np.int64)
        for f in range(5):
            weights, bias = fit(x[part != f], y[part != f])
            said[part == f] = (x[part == f] @ weights + bias).argmax(1)
        scores.append(challenge_f1([CLASSES[i] for i in y], [CLASSES[i] for i in said]))
    return {key: float(np.mean([score[key] for score in scores])) for key in scores[0]}


def streamed(recordings: list[Recording]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Features and classes of held-out records by the bundles in use."""
    quality, rhythm = load_quality(), load_rhythm()
    held = [r for r in recordings if fold(r.name) == HELD_OUT_FOLD]
    rows = [
        features(stream_quality(quality, r.signals[0]), stream_rhythm(rhythm, r.signals[0]))
        for r in held
    ]
    return np.array(rows), np.array([CLASSES.index(r.label) for r in held])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the databases")
    parser.add_argument("--cache", type=Path, default=Path("scratch/cache"))
    asked = parser.parse_args()
    x, y = streamed(load(asked.data, "cinc2017", asked.cache))
    print({key: round(value, 4) for key, value in cross_validated(x, y).items()})
    weights, bias = fit(x, y)
    print("_BIAS =", tuple(round(float(b), 3) for b in bias))
    for row in weights:
        print("   ", tuple(round(float(w), 3) for w in row), ",", sep="")


if __name__ == "__main__":
    main()
