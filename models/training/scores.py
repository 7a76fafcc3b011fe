"""Figures of merit, each defined once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def challenge_f1(truth: Sequence[str], said: Sequence[str]) -> dict[str, float]:
    """F1 of N, A, O and ~, and their CinC 2017 mean (of N, A and O) as ``mean``."""
    scores = {}
    for kind in "NAO~":
        right = sum(t == s == kind for t, s in zip(truth, said, strict=True))
        scores[kind] = 2 * right / max(1, list(truth).count(kind) + list(said).count(kind))
    scores["mean"] = (scores["N"] + scores["A"] + scores["O"]) / 3
    return scores


def calibration_error(
    confidence: NDArray[np.floating], right: NDArray[np.bool_], bins: int = 15
) -> float:
    """Expected calibration error: \\|confidence − accuracy\\| over equal-width bins (Guo 2017)."""
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    error = 0.0
    for b in range(bins):
        inside = place == b
        if inside.any():
            error += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    return float(error)


def sensitivity(truth: NDArray[np.bool_], said: NDArray[np.bool_]) -> float:
    """Share of the true seconds that were said; NaN without any."""
    return float(said[truth].mean()) if truth.any() else float("nan")


def runs(flags: NDArray[np.bool_], shortest: int) -> list[tuple[int, int]]:
    """Begin and end of each run of at least ``shortest`` true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a >= shortest]


def temperature(logits: NDArray[np.floating], truth: NDArray[np.integer]) -> float:
    """The temperature that minimises the log loss (Guo 2017), by a scan from 0.5 to 4."""
    best, found = np.inf, 1.0
    for candidate in np.geomspace(0.5, 4.0, 61):
        scaled = logits / candidate
        scaled = scaled - scaled.max(1, keepdims=True)
        log_p = scaled - np.log(np.exp(scaled).sum(1, keepdims=True))
        loss = -float(log_p[np.arange(len(truth)), truth].mean())
        if loss < best:
            best, found = loss, float(candidate)
    return found
