"""What is told of a QRS candidate by the signal alone, for all candidates of a block at once.

What depends on the beats before it is ``agent.signal.candidate``'s. All inputs are whole numbers,
so that a sum is exact in whatever order, and every other step is a share (see there): a candidate
measured alone and one measured among hundreds have the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.signal.envelope import FrontEnd

Rows = NDArray[np.float64]

CONTEXT = 36
PROFILE = 22
SNIPPET = 25
FEATURES = CONTEXT + PROFILE + SNIPPET
LIKENESS_HALF = 23
"""The wave that is laid beside the usual beat: its half and the shift either way."""
_BY_SIGNAL = [2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16, 17, 18, 19, 20, 21]
"""Places among the context features of those made here."""
_TOP, _BOTTOM, _SUM = np.maximum.reduce, np.minimum.reduce, np.add.reduce
"""Without the way through the methods, which costs as much as a short row."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One candidate; heights in the front end's whole numbers."""

    at: int
    """Sample of the envelope's peak."""
    height: float
    slope: float
    """Steepest 16 ms within 64 ms."""
    swing: float
    """Top to bottom of the wave within 48 ms."""
    features: Rows
    """Shape (FEATURES,); what depends on the beats before is not filled in yet."""
    likeness: Rows
    """The wave around it without its mean, shape (47,)."""


def shapes(signals: FrontEnd, candidates: list[int]) -> list[Shape]:
    """Measure candidates whose look-ahead is known and whose past is still kept."""
    if not candidates:
        return []
    position = np.array(candidates) - signals.base
    past = _around(signals.envelope, position, -500, 26)
    wave = _around(signals.wave, position, -60, 40)
    height = past[:, 500]
    slope = _TOP(np.abs(wave[:, 46:79] - wave[:, 42:75]), axis=1)
    swing = _swing(wave[:, 48:73])
    out = np.zeros((len(candidates), FEATURES))
    out[:, _BY_SIGNAL] = _measures(signals, position, past, wave, height, slope, swing)
    profile = _TOP(past[:, 300:520].reshape(-1, PROFILE, 10), axis=2)
    out[:, CONTEXT : CONTEXT + PROFILE] = profile / (profile + height[:, None])
    out[:, CONTEXT + PROFILE :] = _snippets(_around(signals.wave, position, -40, 35, 3), height)
    near = _around(signals.wave, position, -LIKENESS_HALF, LIKENESS_HALF + 1)
    near = near - _SUM(near, axis=1)[:, None] / near.shape[1]
    told = zip(candidates, height.tolist(), slope.tolist(), swing.tolist(), strict=True)
    return [Shape(*one, out[k], near[k]) for k, one in enumerate(told)]


def _around(
    values: Rows, position: NDArray[np.int64], start: int, stop: int, step: int = 1
) -> Rows:
    """What stands around each position, shape (positions, …)."""
    if len(position) == 1:  # live there is seldom more than one in a block
        first = int(position[0])
        alone: Rows = values[first + start : first + stop : step][None]
        return alone
    found: Rows = values[position[:, None] + np.arange(start, stop, step)]
    return found


def _swing(rows: Rows) -> Rows:
    swing: Rows = _TOP(rows, axis=1) - _BOTTOM(rows, axis=1)
    return swing


def _measures(
    signals: FrontEnd,
    position: NDArray[np.int64],
    past: Rows,
    wave: Rows,
    height: Rows,
    slope: Rows,
    swing: Rows,
) -> Rows:
    """Shares in the order of ``_BY_SIGNAL``, shape (candidates, 16).

    A P wave has a QRS after it: the envelope is known to 26 samples after the candidate, the
    wave to 40.
    """
    blocks = _TOP(past[:, :480].reshape(-1, 24, 20), axis=2)
    fine = _SUM(_around(signals.fine, position, -300, 0), axis=1) / 300
    slow = _SUM(_around(signals.slow, position, -300, 0, 10), axis=1) / 30
    steps = np.abs(wave[:, 4:] - wave[:, :-4])
    pairs = (
        (height, _TOP(blocks, axis=1)),
        (height, _SUM(past[:, :485], axis=1) / 485),
        (height, _TOP(past[:, 425:485], axis=1)),
        (height, _TOP(past[:, 510:520], axis=1)),
        (_BOTTOM(blocks, axis=1), height),
        (signals.fine[position] / 8, height),
        (fine / 8, height),
        (signals.slow[position], height),
        (slow, height),
        (slope, height),
        (swing, height),
        (_swing(_around(signals.wave, position, -30, 31)), swing),
        (height, _TOP(past[:, 518:526], axis=1)),
        (slope, _TOP(steps[:, 74:], axis=1)),
        (slope, _TOP(steps[:, 86:], axis=1)),
        (slope, _TOP(steps[:, :40], axis=1)),
    )
    one, other = np.array(pairs).transpose(1, 2, 0)
    found: Rows = (one + 1.0) / (one + other + 2.0)
    return found


def _snippets(wave: Rows, height: Rows) -> Rows:
    """The wave from -160 to +128 ms, its main deflection upward, over the envelope's height."""
    wave = wave - _SUM(wave, axis=1)[:, None] / SNIPPET
    middle = wave[:, 7:20]
    upright = _TOP(middle, axis=1) > -_BOTTOM(middle, axis=1)
    scale = (2.0 * height + 1.0) * np.where(upright, 1.0, -1.0)
    scaled = wave / scale[:, None]
    bounded: Rows = scaled / (1.0 + np.abs(scaled))
    return bounded
