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


Layers = tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...]
"""Of weights, each (matrix of shape (out, in), offsets of shape (out,))."""


@dataclass(frozen=True, slots=True)
class Scorer:
    """Members that were trained alike but for the seed; their mean errs less than any of them."""

    members: tuple[Layers, ...]

    def logit(self, features: NDArray[np.float64]) -> float:
        """Log odds that a candidate with these features, shape (FEATURES,), is a QRS."""
        total = 0.0
        for layers in self.members:
            values = features
            for weights, offsets in layers[:-1]:
                values = np.maximum(weights @ values + offsets, 0.0)
            weights, offsets = layers[-1]
            total += float((weights @ values + offsets)[0])
        return total / len(self.members)


def load_scorer(path: Path) -> Scorer:
    """A scorer out of its file; ValueError where that doesn't fit this code."""
    with np.load(path, allow_pickle=False) as stored:
        members = tuple(
            tuple(
                (
                    stored[f"weights{m}_{i}"].astype(np.float64),
                    stored[f"offsets{m}_{i}"].astype(np.float64),
                )
                for i in range(int(stored["layers"]))
            )
            for m in range(int(stored["members"]))
        )
    found = members[0][0][0].shape[1]
    if found != FEATURES:
        raise ValueError(
            f"{path.name}: made for {found} features, this code has "
            f"{FEATURES}; run benchmarks/qrs_training.py"
        )
    return Scorer(members)


@cache
def shipped_scorer() -> Scorer:
    """The scorer in use."""
    return load_scorer(WEIGHTS)
