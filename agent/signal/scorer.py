"""The fixed scorer of QRS candidates: a few weighted sums, made by ``benchmarks/qrs_training.py``.

Plain numpy on one candidate at a time: the shapes are always the same, so are the bits.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agent.signal.shapes import FEATURES

WEIGHTS = Path(__file__).with_name("qrs_scorer.npz")


Layers = tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...]
"""Of weights, each (matrix of shape (out, in), offsets of shape (out,))."""


class Scorer:
    """Members that were trained alike but for the seed; their mean errs less than any of them.

    All have two hidden layers of the same sizes, so that each layer is one product for all.
    """

    def __init__(self, members: tuple[Layers, ...]) -> None:
        self.members = members
        count = len(members)
        (first, first_offsets), (second, second_offsets), (last, last_offsets) = (
            (np.stack([weights for weights, _ in layer]), np.stack([o for _, o in layer]))
            for layer in zip(*members, strict=True)
        )
        self._first, self._first_offsets = first.reshape(-1, first.shape[2]), first_offsets.ravel()
        self._second, self._second_offsets = second, second_offsets[:, :, np.newaxis]
        self._last, self._offset = last.ravel() / count, float(last_offsets.sum()) / count
        self._columns = (count, second.shape[2], 1)

    def logit(self, features: NDArray[np.float64]) -> float:
        """Log odds that a candidate with these features, shape (FEATURES,), is a QRS."""
        values = np.maximum(self._first @ features + self._first_offsets, 0.0)
        values = self._second @ values.reshape(self._columns) + self._second_offsets
        return float(self._last @ np.maximum(values, 0.0).ravel()) + self._offset


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
