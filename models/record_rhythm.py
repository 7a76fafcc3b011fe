"""One word for a whole record, as CinC 2017 asks: N, A, O or ~.

A pure function of what both stages said second by second, so a file analysed in one go and a
bed's night get their word the same way.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

RecordRhythm: TypeAlias = Literal["N", "A", "O", "~"]

NOISY_BELOW = 0.38
"""Mean p_usable under which a record is too noisy to name."""
SETTLE_SHARE = 1 / 3
"""First part of a record in which the streaming network is still making up its mind."""
WEIGHTS = (1.0, 1.0, 1.0)
"""Of normal, AF and other."""


def classify_record(
    p_usable: NDArray[np.floating], probabilities: NDArray[np.floating]
) -> RecordRhythm:
    """The record's class.

    ``p_usable``: shape (seconds,), stage 1. ``probabilities``: shape (seconds, 5), stage 2's
    normal, af, other, vt, vf; rows of NaN where stage 2 was not asked. VT and VF are "other".
    A record without a single judged second is ``~``.
    """
    judged = probabilities[np.isfinite(probabilities).all(axis=1)]
    if not len(judged) or not len(p_usable) or np.nanmean(p_usable) < NOISY_BELOW:
        return "~"
    settled = judged[int(len(judged) * SETTLE_SHARE) :]
    normal, af, other = (
        float(np.log(np.clip(column, 1e-4, 1.0)).mean()) + float(np.log(weight))
        for column, weight in zip(
            (settled[:, 0], settled[:, 1], settled[:, 2:].sum(axis=1)), WEIGHTS, strict=True
        )
    )
    if af >= max(normal, other):
        return "A"
    return "N" if normal >= other else "O"
