"""One word for a whole record, as CinC 2017 asks: N, A, O or ~.

A pure function of what both stages said second by second and of the beats found, so a file
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
USUAL_HZ = 1.3
"""Beats per second where they are not told."""
MOST_Q = 0.1
"""A higher share of Q says no more: in the records of the fit it never passed 0.06."""

_WEIGHTS = (
    (0.165, -0.142, -0.085, 0.062),
    (-0.177, 0.263, -0.178, 0.092),
    (-0.289, 0.004, 0.27, 0.016),
    (0.172, -0.16, -0.061, 0.049),
    (-0.161, 0.248, -0.117, 0.03),
    (-0.33, -0.011, 0.38, -0.039),
    (0.62, -0.587, -0.041, 0.009),
    (-0.91, 1.254, 0.002, -0.345),
    (-0.612, 0.021, 0.851, -0.26),
    (0.196, 0.518, 1.857, -2.571),
    (0.065, 0.074, 0.079, -0.218),
    (-0.023, 0.044, 0.015, -0.037),
    (0.015, -1.516, 0.485, 1.016),
    (0.167, 0.018, -0.048, -0.137),
    (-0.888, -0.691, -2.825, 4.404),
    (-0.231, 0.64, -0.335, -0.075),
    (-12.255, 3.063, -3.889, 13.082),
)
"""Rows as in ``features``, columns as in ``CLASSES``."""
_BIAS = (-0.23, -1.151, -0.307, 1.688)


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
    q_share: float = 0.0,
) -> NDArray[np.float64]:
    """What the decision rests on, shape (17,). Arrays as in :func:`classify_record`.

    Of normal, AF and other: mean log probability once settled, the last log probability, the
    highest probability; of stage 1: mean, mean, lowest and highest log odds, share unusable; how
    uneven the beats' heights are, how many there are a second, and the share of them named Q.
    """
    judged = probabilities[np.isfinite(probabilities).all(axis=1)]
    three = np.stack([judged[:, 0], judged[:, 1], judged[:, 2:].sum(axis=1)], axis=1)
    settled = three[int(len(three) * SETTLE_SHARE) :]
    logs = np.log(settled + LEAST)
    usable = p_usable[np.isfinite(p_usable)]
    odds = np.log((usable + 1e-3) / (1 - usable + 1e-3))
    stage_1 = (usable.mean(), odds.mean(), odds.min(), (usable < 0.5).mean(), odds.max())
    beats = (EVEN, USUAL_HZ)
    if heights is not None:
        beats = (unevenness(heights), len(heights) / len(p_usable))
    stages = (logs.mean(axis=0), logs[-1], settled.max(axis=0), stage_1)
    return np.concatenate([*stages, beats, (min(q_share, MOST_Q),)])


def classify_record(
    p_usable: Sequence[float] | NDArray[np.floating],
    probabilities: Sequence[RhythmProbabilities] | NDArray[np.floating],
    heights_uv: Sequence[float] | None = None,
    q_share: float = 0.0,
) -> RecordRhythm:
    """The record's class.

    ``p_usable``: stage 1, each second. ``probabilities``: stage 2 of the seconds that it was
    asked for, or an array of shape (seconds, 5): normal, af, other, vt, vf, rows of NaN where it
    was not. VT and VF are "other". ``heights_uv``: R amplitude of every beat found, whatever its
    class, where that is known; ``q_share``: the share of them that is Q, no beat for all that is
    known. A record without a single judged second is ``~``.
    """
    usable = np.asarray(p_usable, np.float64)
    judged = np.array(
        [astuple(row) if isinstance(row, RhythmProbabilities) else row for row in probabilities]
    ).reshape(-1, 5)
    if not np.isfinite(usable).any() or not np.isfinite(judged).all(axis=1).any():
        return "~"
    heights = None if heights_uv is None else np.asarray(heights_uv, np.float64)
    scores = features(usable, judged, heights, q_share) @ np.array(_WEIGHTS) + np.array(_BIAS)
    return CLASSES[int(scores.argmax())]
