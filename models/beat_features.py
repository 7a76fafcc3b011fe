"""What is known of a beat beside its own samples: timing, and the patient's other beats.

The rule path and the beat network read the same figures, in the chain and in training; all are
causal: nothing after the beat's own window is used, so a beat is named at most
``AFTER_S`` after its R peak.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from models.preprocess import RATE_HZ

Signal: TypeAlias = NDArray[np.float32]

BEFORE_S = 0.32
AFTER_S = 0.28
R = round(BEFORE_S * RATE_HZ)
"""Index of the R peak in a beat's window."""
WINDOW = R + round(AFTER_S * RATE_HZ)
"""Samples of a beat's window."""

_QRS = slice(R - 25, R + 40)
"""The part of the window in which complexes are compared: 100 ms before R to 160 ms after."""
_P = slice(R - 75, R - 15)
"""Where a P wave stands."""
_T = slice(R + 30, WINDOW)
"""Where ST and the begin of T stand."""
FIGURES = 38
"""Scalars of a beat's context, see BeatContext."""
CONTEXT = FIGURES + WINDOW
_SHIFT = 4
"""Samples by which R peaks of equal complexes may be set differently."""
_SHIFTED = np.arange(2 * _SHIFT + 1)[:, np.newaxis] + np.arange(_QRS.stop - _QRS.start)
"""Where the samples of each shift stand, shape (shifts, samples)."""
_ALIKE = 0.90
"""Correlation from which two complexes have one shape."""
_ALIKE_ATRIA = 0.8
"""Likeness to the dominant complex from which a beat is taken for one led by the atria."""
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
    slope = np.abs(window[R - 44 : R + 56] - window[R - 45 : R + 55])
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
    dominant: Signal
    """The dominant beat, shape (WINDOW,), microvolts; the beat itself while there is none."""


class ShapeMemory:
    """The patient's beats, sorted by the shape of their complexes, not told which is which."""

    def __init__(self) -> None:
        self._mean = np.zeros((_SHAPES, WINDOW), np.float32)
        self._unit = np.zeros((_SHAPES, _QRS.stop - _QRS.start), np.float32)
        self._weight = np.zeros(_SHAPES)
        self._width = np.zeros(_SHAPES)
        self._index = [0] * _SHAPES
        self._made = 0
        self._seen = 0
        self._looked: tuple[int | None, Signal, float] | None = None

    def _dominant(self) -> int | None:
        if not self._seen:
            return None
        rivals = np.flatnonzero(self._weight >= _RIVAL * self._weight.max())
        return int(rivals[np.argmin(self._width[rivals])])

    def look(self, window: Signal) -> Shape:
        """Compare a beat with those counted before it; shape (WINDOW,), no NaN."""
        width = qrs_width_s(window)
        around = window[_QRS.start - _SHIFT : _QRS.stop + _SHIFT]
        unit = _units(around[_SHIFTED])
        likeness = self._unit @ unit.T
        best = likeness.max(1)
        dominant = self._dominant()
        slot = int(np.argmax(np.where(self._weight > 0, best, -2.0)))
        alike = bool(self._weight[slot] > 0 and best[slot] >= _ALIKE)
        if dominant is None:
            shape = Shape(self._made, 1.0, 1.0, width, width, 0.0, False, window)
        else:
            mean = self._mean[dominant]
            shape = Shape(
                index=self._index[slot] if alike else self._made,
                likeness=float(best[dominant]),
                height=float(np.ptp(window[_QRS])) / (float(np.ptp(mean[_QRS])) + 1e-3),
                width_s=width,
                dominant_width_s=float(self._width[dominant]),
                share=float(self._weight[slot] / self._weight.sum()) if alike else 0.0,
                known=self._seen >= 8,
                dominant=mean.copy(),
            )
        self._looked = (slot if alike else None, window, width)
        return shape

    def count(self) -> None:
        """The beat last looked at is one: it counts from now on."""
        if self._looked is None:
            return
        (slot, window, width), self._looked = self._looked, None
        self._weight *= _FORGET
        self._seen += 1
        if slot is None:
            slot = int(np.argmin(self._weight))
            self._weight[slot] = 0.0
            self._index[slot] = self._made
            self._made += 1
            self._mean[slot] = window
            self._width[slot] = width
        else:
            self._mean[slot] += (window - self._mean[slot]) / 8
            self._width[slot] += (width - self._width[slot]) / 8
        self._weight[slot] += 1.0
        self._unit[slot] = _units(self._mean[slot : slot + 1, _QRS])[0]


def _units(rows: Signal) -> Signal:
    """Each row without its mean, of length 1: the product of two is their correlation."""
    # Not through the methods mean and sum: on short rows the way there costs more than the work.
    # Not by the methods mean and sum: the way through them costs more than so short a row.
    mean: Signal = np.add.reduce(rows, axis=1, keepdims=True)
    mean /= rows.shape[1]
    centred: Signal = rows - mean
    length: Signal = np.add.reduce(centred * centred, axis=1, keepdims=True)
    np.sqrt(length, out=length)
    length += 1e-6
    centred /= length
    return centred


def likeness(a: Signal, b: Signal) -> float:
    """Correlation of two stretches of equal length, -1 to 1."""
    a, b = a - a.sum() / len(a), b - b.sum() / len(b)
    return float(a @ b) / (math.sqrt(float(a @ a) * float(b @ b)) + 1e-6)


IRREGULARITY_RR = 32
"""RR intervals looked at for it: half a minute at 64/min."""
IRREGULARITY_LEAST = 16


def irregularity(rr_s: Sequence[float]) -> float | None:
    """How irregular RR intervals are beyond any short pattern; None under IRREGULARITY_LEAST.

    The median of the change over lags of one, two and three beats, the least of the three, over
    the mean: bigeminy repeats after two intervals, trigeminy after three, an atrial fibrillation
    after none. 0.02-0.05 in sinus rhythm, 0.11-0.3 in AF.
    """
    if len(rr_s) < IRREGULARITY_LEAST:
        return None
    rr = np.array(rr_s)
    changes = (_median(np.abs(rr[lag:] - rr[:-lag])) for lag in (1, 2, 3))
    return min(changes) / (sum(rr_s) / len(rr_s))


def _median(values: NDArray[np.float64]) -> float:
    """Of a few numbers; numpy's takes ten times as long on them."""
    values.sort()
    middle = len(values) // 2
    if len(values) % 2:
        return float(values[middle])
    return 0.5 * (float(values[middle - 1]) + float(values[middle]))


SPREAD_RR = 40
"""RR intervals whose deciles are told: a beat in time with the patient's usual long intervals is
early in none of the patterns that frequent ectopy makes of the last eight."""


def deciles(rr_s: Sequence[float]) -> tuple[float, float, float] | None:
    """First, fifth and ninth decile of RR intervals; None under eight."""
    if len(rr_s) < 8:
        return None
    rr, last = sorted(rr_s), len(rr_s) - 1
    return rr[last // 10], rr[last // 2], rr[last * 9 // 10]


@dataclass(frozen=True, slots=True)
class Timing:
    """How a beat stands in time among those before it."""

    rr_s: float | None
    """To the beat before; None at a start and after a gap."""
    prematurity: float
    """RR over the median of the eight before it; 1 where that is not known."""
    median_rr_s: float | None
    """Median of the eight RR intervals before the beat's own; None under three."""
    slow_rr_s: float
    """Running mean of the RR intervals over some forty beats before it."""
    before: tuple[float, ...]
    """The eight RR intervals before its own, newest first, fewer at a start."""
    irregularity: float | None
    """Of the intervals between beats of the dominant shape before it."""
    spread_s: tuple[float, float, float] | None = None
    """Tenth, middle and ninth decile of the last SPREAD_RR intervals; None under eight."""


class RrMemory:
    """The RR intervals behind a beat."""

    def __init__(self) -> None:
        self._last_s: float | None = None
        self._rr: deque[float] = deque(maxlen=8)
        self._slow_s = 0.8
        self._long: deque[float] = deque(maxlen=SPREAD_RR)
        self._spread_s: tuple[float, float, float] | None = None
        self._steady: deque[float] = deque(maxlen=IRREGULARITY_RR)
        self._alike = False
        self._irregularity: float | None = None

    def gap(self) -> None:
        """The next beat follows none: there was no usable signal in between."""
        self._last_s = None

    def look(self, time_s: float) -> Timing:
        """How a beat stands to those counted before it."""
        rr = None if self._last_s is None else time_s - self._last_s
        median = sorted(self._rr)[len(self._rr) // 2] if len(self._rr) >= 3 else None
        early = rr / median if rr is not None and median is not None else 1.0
        before = tuple(reversed(self._rr))
        return Timing(rr, early, median, self._slow_s, before, self._irregularity, self._spread_s)

    def count(self, time_s: float, alike: bool) -> None:
        """There is a beat; ``alike``: of the dominant shape, others say nothing of the atria."""
        rr = None if self._last_s is None else time_s - self._last_s
        self._last_s = time_s
        if rr is not None:
            self._slow_s += (min(rr, 2.5) - self._slow_s) / (40 if len(self._rr) == 8 else 3)
            self._rr.append(rr)
            self._long.append(rr)
            self._spread_s = deciles(self._long)
            if alike and self._alike:
                self._steady.append(rr)
                self._irregularity = irregularity(self._steady)
        self._alike = alike


class BeatContext:
    """What the beat network is told beside the window: ``vector``, shape (CONTEXT,).

    Figures first (all about 0 to 2 in size), then the dominant beat in microvolts; figure 0 is
    the scale, in microvolts, by which the network divides both.

    Looking and counting are two steps: what turns out to be no beat is not counted, so that the
    next one has its RR interval and its dominant beat without it.
    """

    def __init__(self) -> None:
        self._leads: dict[int, ShapeMemory] = {}
        self._rr = RrMemory()
        self._likeness: deque[float] = deque([1.0] * 8, maxlen=8)
        self._window: Signal | None = None
        self._looked: tuple[float, Signal, int, float] | None = None

    def gap(self) -> None:
        """The next beat follows none."""
        self._rr.gap()

    def look(self, time_s: float, window: Signal, lead: int = 0) -> tuple[Shape, Timing, Signal]:
        """What may be the next beat: R peak's time, window, shape (WINDOW,), no NaN, and lead.

        Shapes are compared within a lead, intervals across them.
        """
        timing = self._rr.look(time_s)
        shape = self._leads.setdefault(lead, ShapeMemory()).look(window)
        vector = np.empty(CONTEXT, np.float32)
        vector[:FIGURES] = self._figures(shape, timing, window)
        vector[FIGURES:] = shape.dominant
        self._looked = (time_s, window, lead, shape.likeness)
        return shape, timing, vector

    def count(self) -> None:
        """What was last looked at is a beat."""
        if self._looked is None:
            return
        (time_s, window, lead, alike), self._looked = self._looked, None
        self._rr.count(time_s, alike >= _ALIKE_ATRIA)
        self._leads[lead].count()
        self._likeness.appendleft(alike)
        self._window = window

    def _figures(self, shape: Shape, timing: Timing, window: Signal) -> list[float]:
        rr = timing.rr_s if timing.rr_s is not None else timing.slow_rr_s
        usual = timing.median_rr_s or timing.slow_rr_s
        before = [min(value / usual, 2.5) for value in timing.before]
        before += [1.0] * (8 - len(before))
        steps = sorted(abs(a - b) for a, b in pairwise(before))
        low, middle, high = timing.spread_s or (usual, usual, usual)
        return [
            max(float(np.ptp(shape.dominant)), 50.0),
            min(rr, 2.5),
            min(usual, 2.5),
            min(rr / usual, 2.5),
            min(rr / timing.slow_rr_s, 2.5),
            float(timing.rr_s is not None),
            steps[3],
            5.0 * (timing.irregularity or 0.0),
            float(timing.irregularity is not None),
            shape.likeness,
            min(shape.height, 4.0) - 1.0,
            10.0 * shape.width_s - 1.0,
            10.0 * (shape.width_s - shape.dominant_width_s),
            shape.share,
            float(shape.known),
            likeness(window[_P], shape.dominant[_P]),
            likeness(window[_T], shape.dominant[_T]),
            1.0 if self._window is None else likeness(window[_QRS], self._window[_QRS]),
            min(rr / low, 2.5),
            min(rr / middle, 2.5),
            min(rr / high, 2.5),
            min((high - low) / middle, 2.5),
            *before,
            *self._likeness,
        ]
