"""One word for a whole record, as CinC 2017 asks: N, A, O or ~.

A pure function of what both stages said second by second, so a file analysed in one go and a
bed's night get their word the same way. The coefficients come from ``models.training.record``.
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

_WEIGHTS = (
    (0.175, -0.176, -0.081, 0.082),
    (-0.169, 0.248, -0.194, 0.115),
    (-0.239, -0.0, 0.22, 0.019),
    (0.165, -0.187, -0.046, 0.068),
    (-0.199, 0.223, -0.108, 0.083),
    (-0.361, -0.03, 0.39, 0.001),
    (0.51, -0.642, -0.064, 0.197),
    (-0.832, 1.279, -0.0, -0.448),
    (-0.629, -0.049, 1.013, -0.335),
    (0.722, 0.823, 1.977, -3.522),
    (0.089, 0.091, 0.097, -0.277),
    (-0.063, 0.011, 0.075, -0.023),
    (-0.714, -1.383, 0.371, 1.726),
    (0.16, 0.065, -0.039, -0.187),
)
"""Rows as in ``features``, columns as in ``CLASSES``."""
_BIAS = (-1.227, -1.186, -1.545, 3.957)


def features(
    p_usable: NDArray[np.floating], probabilities: NDArray[np.floating]
) -> NDArray[np.float64]:
    """What the decision rests on, shape (14,). Arrays as in :func:`classify_record`.

    Of normal, AF and other: mean log probability once settled, the last log probability, the
    highest probability; of stage 1: mean, mean, lowest and highest log odds, share unusable.
    """
    judged = probabilities[np.isfinite(probabilities).all(axis=1)]
    three = np.stack([judged[:, 0], judged[:, 1], judged[:, 2:].sum(axis=1)], axis=1)
    settled = three[int(len(three) * SETTLE_SHARE) :]
    logs = np.log(settled + LEAST)
    usable = p_usable[np.isfinite(p_usable)]
    odds = np.log((usable + 1e-3) / (1 - usable + 1e-3))
    stage_1 = (usable.mean(), odds.mean(), odds.min(), (usable < 0.5).mean(), odds.max())
    return np.concatenate([logs.mean(axis=0), logs[-1], settled.max(axis=0), stage_1])


def classify_record(
    p_usable: Sequence[float] | NDArray[np.floating],
    probabilities: Sequence[RhythmProbabilities] | NDArray[np.floating],
) -> RecordRhythm:
    """The record's class.

    ``p_usable``: stage 1, each second. ``probabilities``: stage 2 of the seconds that it was
    asked for, or an array of shape (seconds, 5): normal, af, other, vt, vf, rows of NaN where it
    was not. VT and VF are "other". A record without a single judged second is ``~``.
    """
    usable = np.asarray(p_usable, np.float64)
    judged = np.array(
        [astuple(row) if isinstance(row, RhythmProbabilities) else row for row in probabilities]
    ).reshape(-1, 5)
    if not np.isfinite(usable).any() or not np.isfinite(judged).all(axis=1).any():
        return "~"
    scores = features(usable, judged) @ np.array(_WEIGHTS) + np.array(_BIAS)
    return CLASSES[int(scores.argmax())]
