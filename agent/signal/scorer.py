"""The fixed scorer of QRS candidates: a few weighted sums, made by ``benchmarks/qrs_training.py``.

Plain numpy on one candidate at a time: the shapes are always the same, so are the bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agent.signal.shapes import FEATURES

WEIGHTS = Path(__file__).with_name("qrs_scorer.npz")


@dataclass(frozen=True, slots=True)
class Scorer:
    """Layers of weights, each (matrix of shape (out, in), offsets of shape (out,))."""

    layers: tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...]

    def logit(self, features: NDArray[np.float64]) -> float:
        """Log odds that a candidate with these features, shape (FEATURES,), is a QRS."""
        values = features
        for weights, offsets in self.layers[:-1]:
            values = np.maximum(weights @ values + offsets, 0.0)
        weights, offsets = self.layers[-1]
        return float((weights @ values + offsets)[0])


def load_scorer(path: Path) -> Scorer:
    """A scorer out of its file; ValueError where that doesn't fit this code."""
    with np.load(path, allow_pickle=False) as stored:
        count = len(stored.files) // 2
        layers = tuple(
            (stored[f"weights{i}"].astype(np.float64), stored[f"offsets{i}"].astype(np.float64))
            for i in range(count)
        )
    if layers[0][0].shape[1] != FEATURES:
        raise ValueError(
            f"{path.name}: made for {layers[0][0].shape[1]} features, this code has "
            f"{FEATURES}; run benchmarks/qrs_training.py"
        )
    return Scorer(layers)


@cache
def shipped_scorer() -> Scorer:
    """The scorer in use."""
    return load_scorer(WEIGHTS)
