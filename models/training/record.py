"""Fits the record's word of ``models/record_rhythm.py``: a multinomial logistic regression.

``benchmarks.record_rhythm`` calls it with what the whole chain said of held-out records.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax

from models.record_rhythm import CLASSES
from models.training.scores import challenge_f1

PENALTY = 0.01
CLASS_WEIGHTS = np.array([1.0, 1.3, 1.15, 2.0])
REPEATS = 48


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


def cross_validated(
    x: NDArray[np.float64], y: NDArray[np.int64], unjudged: Sequence[str] = ()
) -> dict[str, float]:
    """Mean F1 of REPEATS times five folds.

    ``unjudged``: true classes of records without a single judged second, which are called noise.
    """
    rng = np.random.default_rng(0)
    scores = []
    for _ in range(REPEATS):
        part = rng.integers(0, 5, len(y))
        said = np.empty(len(y), np.int64)
        for f in range(5):
            weights, bias = fit(x[part != f], y[part != f])
            said[part == f] = (x[part == f] @ weights + bias).argmax(1)
        truth = [*(CLASSES[i] for i in y), *unjudged]
        scores.append(challenge_f1(truth, [*(CLASSES[i] for i in said), *"~" * len(unjudged)]))
    return {key: float(np.mean([score[key] for score in scores])) for key in scores[0]}
