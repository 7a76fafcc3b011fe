"""One word for a whole record, as CinC 2017 asks: N, A, O or ~.

A pure function of what both stages said second by second and of the beats' heights, so a file
analysed in one go and a bed's night get their word the same way. The coefficients come from
``benchmarks.record_rhythm``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from models.inference import RhythmProbabilities

RecordRhythm: TypeAlias = Literal["N", "A", "O", "~"]

CLASSES: tuple[RecordRhythm, ...] = ("N", "A", "O", "~")
SETTLE_SHARE = 1 / 3
"""First part of a record in which the streaming network is still making up its mind."""
LEAST = 1e-4
LEAST_BEATS = 3
UNEVEN, EVEN = 1.0, 0.08
"""Unevenness of a record with hardly a beat in it, and where heights are not told."""

_WEIGHTS = (
    (0.17, -0.16, -0.076, 0.066),
    (-0.177, 0.261, -0.174, 0.09),
    (-0.288, 0.004, 0.281, 0.003),
    (0.175, -0.175, -0.057, 0.056),
    (-0.157, 0.228, -0.101, 0.03),
    (-0.323, -0.007, 0.383, -0.054),
    (0.639, -0.645, -0.014, 0.021),
    (-0.916, 1.373, -0.122, -0.335),
    (-0.599, 0.042, 0.864, -0.307),
    (0.201, 0.343, 1.942, -2.486),
    (0.065, 0.075, 0.071, -0.212),
    (-0.019, 0.048, 0.015, -0.044),
    (-0.041, -1.318, 0.381, 0.977),
    (0.166, 0.042, -0.045, -0.163),
    (-1.436, -0.82, -3.271, 5.527),
)
"""Rows as in ``features``, columns as in ``CLASSES``."""
_BIAS = (-0.424, -0.353, -0.618, 1.395)


def unevenness(heights: NDArray[np.floating]) -> float:
    """Mean distance of the beats' log heights from their median: 0.08 usually, 0.3 in noise."""
    if len(heights) < LEAST_BEATS:
        return UNEVEN
    logs = np.log(np.abs(heights) + 1.0)
    return float(np.abs(logs - np.median(logs)).mean())


def features(
    p_usable: NDArray[np.floating],
    probabilities: NDArray[np.floating],
    heights: NDArray[np.floating] | None = None,
) -> NDArray[np.float64]:
    """What the decision rests on, shape (15,). Arrays as in :func:`classify_record`.

    Of normal, AF and other: mean log probability once settled, the last log probability, the
    highest probability; of stage 1: mean, mean, lowest and highest log odds, share unusable; how
    uneven the beats' heights are.
    """
    judged = probabilities[np.isfinite(probabilities).all(axis=1)]
    three = np.stack([judged[:, 0], judged[:, 1], judged[:, 2:].sum(axis=1)], axis=1)
    settled = three[int(len(three) * SETTLE_SHARE) :]
    logs = np.log(settled + LEAST)
    usable = p_usable[np.isfinite(p_usable)]
    odds = np.log((usable + 1e-3) / (1 - usable + 1e-3))
    stage_1 = (usable.mean(), odds.mean(), odds.min(), (usable < 0.5).mean(), odds.max())
    uneven = (EVEN if heights is None else unevenness(heights),)
    return np.concatenate([logs.mean(axis=0), logs[-1], settled.max(axis=0), stage_1, uneven])


def classify_record(
    p_usable: Sequence[float] | NDArray[np.floating],
    probabilities: Sequence[RhythmProbabilities] | NDArray[np.floating],
    heights_uv: Sequence[float] | None = None,
) -> RecordRhythm:
    """The record's class.

    ``p_usable``: stage 1, each second. ``probabilities``: stage 2 of the seconds that it was
    asked for, or an array of shape (seconds, 5): normal, af, other, vt, vf, rows of NaN where it
    was not. VT and VF are "other". ``heights_uv``: R amplitude of every beat found, whatever its
    class, where that is known. A record without a single judged second is ``~``.
    """
    usable = np.asarray(p_usable, np.float64)
    judged = np.array(
        [astuple(row) if isinstance(row, RhythmProbabilities) else row for row in probabilities]
    ).reshape(-1, 5)
    if not np.isfinite(usable).any() or not np.isfinite(judged).all(axis=1).any():
        return "~"
    heights = None if heights_uv is None else np.asarray(heights_uv, np.float64)
    scores = features(usable, judged, heights) @ np.array(_WEIGHTS) + np.array(_BIAS)
    return CLASSES[int(scores.argmax())]
