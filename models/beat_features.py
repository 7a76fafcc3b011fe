"""What is known of a beat beside its own samples: timing, and the patient's other beats.

The rule path and the beat network read the same figures, in the chain and in training; all are
causal: nothing after the beat's own window is used, so a beat is named at most
``AFTER_S`` after its R peak.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from models.preprocess import RATE_HZ

Signal = NDArray[np.float32]

BEFORE_S = 0.32
AFTER_S = 0.28
R = round(BEFORE_S * RATE_HZ)
"""Index of the R peak in a beat's window."""
WINDOW = R + round(AFTER_S * RATE_HZ)
"""Samples of a beat's window."""

_QRS = slice(R - 25, R + 40)
"""The part of the window in which complexes are compared: 100 ms before R to 160 ms after."""
_SHIFT = 4
"""Samples by which R peaks of equal complexes may be set differently."""
_ALIKE = 0.90
"""Correlation from which two complexes have one shape."""
_SHAPES = 8
"""Shapes kept at once; the one longest unseen gives way."""
_FORGET = 0.99
"""Weight of a shape's past per beat: about the last hundred beats count."""
_RIVAL = 0.35
"""A narrower shape with this share of the commonest one's weight is the dominant one: in
bigeminy and in long ventricular runs the patient's own beat is the narrow one."""


def qrs_width_s(window: Signal) -> float:
    """Duration of the complex at ``R``: from the first to the last steep flank, in seconds.

    A flank is steep where the slope exceeds an eighth of its maximum; 20 ms of calm end it.
    """
    slope = np.abs(np.diff(window[R - 45 : R + 56]))
    slope = np.convolve(slope, (0.25, 0.5, 0.25), "same")
    middle = 45
    limit = slope[middle - 20 : middle + 26].max() * 0.125
    calm = np.convolve(slope < limit, np.ones(5), "valid") == 5
    right = np.flatnonzero(calm[middle:])
    left = np.flatnonzero(calm[: middle - 4])
    end = middle + (right[0] if len(right) else len(calm) - middle)
    start = left[-1] + 5 if len(left) else 0
    return float(end - start) / RATE_HZ


@dataclass(frozen=True, slots=True)
class Shape:
    """How a complex compares with the patient's others."""

    index: int
    """Names the shape; beats of one shape have the same until it is forgotten."""
    likeness: float
    """Correlation with the dominant complex, -1 to 1; 1 while there is none yet."""
    height: float
    """Peak-to-peak height over the dominant complex's."""
    width_s: float
    dominant_width_s: float
    share: float
    """The shape's share of the last hundred beats or so, itself not counted."""
    known: bool
    """Whether a dominant complex stands firm (8 beats seen)."""


class ShapeMemory:
    """The patient's complexes, sorted by shape without being told which is which."""

    def __init__(self) -> None:
        n = _QRS.stop - _QRS.start
        self._mean = np.zeros((_SHAPES, n), np.float64)
        self._unit = np.zeros((_SHAPES, n), np.float64)
        self._weight = np.zeros(_SHAPES)
        self._width = np.zeros(_SHAPES)
        self._index = np.zeros(_SHAPES, int)
        self._made = 0
        self._seen = 0

    def _dominant(self) -> int | None:
        if not self._weight.any():
            return None
        rivals = np.flatnonzero(self._weight >= _RIVAL * self._weight.max())
        return int(rivals[np.argmin(self._width[rivals])])

    def push(self, window: Signal) -> Shape:
        """Compare a beat with those before it, then count it; shape (WINDOW,), no NaN."""
        width = qrs_width_s(window)
        around = window[_QRS.start - _SHIFT : _QRS.stop + _SHIFT].astype(np.float64)
        shifted = sliding_window_view(around, self._mean.shape[1])
        unit = shifted - shifted.mean(1, keepdims=True)
        unit /= np.sqrt((unit * unit).sum(1, keepdims=True)) + 1e-9
        likeness = self._unit @ unit.T
        best = likeness.max(1)
        dominant = self._dominant()
        slot = int(np.argmax(np.where(self._weight > 0, best, -2.0)))
        known_shape = self._weight[slot] > 0 and best[slot] >= _ALIKE
        total = self._weight.sum()
        height = float(np.ptp(shifted[_SHIFT]))
        shape = Shape(
            index=int(self._index[slot]) if known_shape else self._made,
            likeness=1.0 if dominant is None else float(best[dominant]),
            height=1.0
            if dominant is None
            else height / (float(np.ptp(self._mean[dominant])) + 1e-9),
            width_s=width,
            dominant_width_s=width if dominant is None else float(self._width[dominant]),
            share=float(self._weight[slot] / total) if known_shape else 0.0,
            known=self._seen >= 8,
        )
        shift = int(np.argmax(likeness[slot])) if known_shape else _SHIFT
        self._learn(slot if known_shape else None, shifted[shift], width)
        return shape

    def _learn(self, slot: int | None, complex_: NDArray[np.float64], width: float) -> None:
        self._weight *= _FORGET
        self._seen += 1
        if slot is None:
            slot = int(np.argmin(self._weight))
            self._weight[slot] = 0.0
            self._index[slot] = self._made
            self._made += 1
            self._mean[slot] = complex_
            self._width[slot] = width
        else:
            self._mean[slot] += (complex_ - self._mean[slot]) / 8
            self._width[slot] += (width - self._width[slot]) / 8
        self._weight[slot] += 1.0
        unit = self._mean[slot] - self._mean[slot].mean()
        self._unit[slot] = unit / (np.sqrt(unit @ unit) + 1e-9)


@dataclass(frozen=True, slots=True)
class Timing:
    """How a beat stands in time among those before it."""

    rr_s: float | None
    """To the beat before; None at a start and after a gap."""
    prematurity: float
    """RR over the median of the eight before it; 1 where that is not known."""
    median_rr_s: float | None


class RrMemory:
    """The RR intervals behind a beat."""

    def __init__(self) -> None:
        self._last_s: float | None = None
        self._rr: deque[float] = deque(maxlen=8)

    def gap(self) -> None:
        """The next beat follows none: there was no usable signal in between."""
        self._last_s = None

    def push(self, time_s: float) -> Timing:
        """The timing of the next beat."""
        rr = None if self._last_s is None else time_s - self._last_s
        self._last_s = time_s
        median = float(np.median(self._rr)) if len(self._rr) >= 3 else None
        if rr is not None:
            self._rr.append(rr)
        known = rr is not None and median is not None
        return Timing(rr, rr / median if known and rr and median else 1.0, median)
