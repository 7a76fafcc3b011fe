"""What speaks for and against a candidate being a QRS, as numbers for the scorer.

Each measure is a share ``a / (a + b)`` of two heights or times: free of scale, bounded, and the
same to the last bit everywhere, because IEEE division and square root are exact where logarithms
are not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from agent.signal.envelope import FrontEnd
from agent.signal.shapes import Shape
from agent.signal.types import RATE_HZ

KEPT = 8
"""Beats that make the running levels."""
_SHIFT = 3
_LONGEST_RR_S = 3.0
_USUAL_RR_S = 0.8
_LATE = 600
"""Samples back to which the cycle before is looked up."""
_BY_BEATS = np.array([0, 1, 11, 13, 14, 15, *range(22, 36)])
"""Places among the context features of those made here."""


def share(a: float, b: float) -> float:
    """How much of both ``a`` makes up; a half where they are equal or both nothing."""
    return (a + 1.0) / (a + b + 2.0)


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


@dataclass(slots=True)
class Levels:
    """What the detector knows of the beats so far; heights in the front end's whole numbers."""

    height: float
    """Usual envelope height of a QRS."""
    start_height: float
    heights: list[float] = field(default_factory=list)
    rr_s: list[float] = field(default_factory=list)
    usual_rr_s: float = _USUAL_RR_S
    last: int | None = None
    """Sample of the latest QRS, None at a start or after a gap."""
    before: int | None = None
    last_height: float = 0.0
    rejected: float = 0.0
    """Usual height of what was no QRS."""
    slope: float = 0.0
    swing: float = 0.0
    """Usual height of the wave itself, top to bottom, within 48 ms of a QRS."""
    passed_height: float = 0.0
    passed_slope: float = 0.0
    passed_at: int | None = None
    """The highest candidate since the latest QRS that was called none, and where it stands."""
    doubt: float = 0.0
    """Running chance of error of the decisions (the smaller of p and 1 - p)."""
    template: NDArray[np.float64] | None = None

    @classmethod
    def of(cls, height: float) -> Levels:
        """Levels at a start, when only a height is known."""
        return cls(height, height, last_height=height, rejected=height / 8, slope=0.0)

    def accept(self, shape: Shape) -> None:
        """The candidate is a QRS."""
        at, height, slope, swing = shape.at, shape.height, shape.slope, shape.swing
        if self.last is not None:
            rr_s = (at - self.last) / RATE_HZ
            if rr_s < _LONGEST_RR_S:
                self.rr_s = [*self.rr_s[-KEPT + 1 :], rr_s]
                self.usual_rr_s = _median(self.rr_s)
        self.before, self.last, self.last_height = self.last, at, height
        self.heights = [*self.heights[-KEPT + 1 :], min(height, 2.5 * self.height)]
        few = max(4 - len(self.heights), 0)
        self.height = _median([*self.heights, *[self.start_height] * few])
        self.slope = slope if not self.slope else self.slope + 0.2 * (slope - self.slope)
        self.swing = swing if not self.swing else self.swing + 0.2 * (swing - self.swing)
        self.passed_height, self.passed_slope, self.passed_at = 0.0, 0.0, None
        inner = shape.likeness[_SHIFT:-_SHIFT]
        self._learn(inner - inner.sum() / len(inner))

    def reject(self, shape: Shape) -> None:
        """The candidate was no QRS."""
        if shape.height > self.passed_height:
            self.passed_height, self.passed_slope = shape.height, shape.slope
            self.passed_at = shape.at
        self.rejected += 0.125 * (min(shape.height, 2 * self.height) - self.rejected)

    def decided(self, p: float) -> None:
        """Note how sure a decision was."""
        self.doubt += 0.1 * (min(p, 1 - p) - self.doubt)

    def _learn(self, wave: NDArray[np.float64]) -> None:
        wave = wave / (math.sqrt(float(wave @ wave)) + 1.0)
        if self.template is None:
            self.template = wave
            return
        weight = 0.2 if abs(float(self.template @ wave)) > 0.6 else 0.07
        mixed = (1 - weight) * self.template + weight * wave
        self.template = mixed / (math.sqrt(float(mixed @ mixed)) + 1e-9)


def features(signals: FrontEnd, levels: Levels, shape: Shape) -> NDArray[np.float64]:
    """All features of a candidate, shape (FEATURES,): fills in the shape's own."""
    height, slope, swing = shape.height, shape.slope, shape.swing
    shape.features[_BY_BEATS] = [
        share(height, levels.height),
        share(height, levels.last_height),
        share(height, levels.rejected),
        share(slope, levels.slope) if levels.slope else 0.5,
        levels.doubt * 4,
        share(swing, levels.swing) if levels.swing else 0.5,
        *_passed(levels, shape.at, height, slope),
        *_timing(levels, shape.at),
        _cycle_before(signals, levels, shape.at, height),
        *_likeness(levels, shape.likeness),
    ]
    return shape.features


def _passed(levels: Levels, at: int, height: float, slope: float) -> tuple[float, ...]:
    """Against the highest wave since the latest QRS that was called none: it may have been one."""
    if levels.passed_at is None or levels.last is None:
        return 1.0, 1.0, 1.0, 0.0
    after = levels.passed_at - levels.last
    return (
        share(height, levels.passed_height),
        share(slope, levels.passed_slope),
        (at - levels.passed_at) / (at - levels.last),
        after / (after + levels.usual_rr_s * RATE_HZ),
    )


def _timing(levels: Levels, at: int) -> tuple[float, ...]:
    since = 1.0 if levels.last is None else min((at - levels.last) / RATE_HZ, _LONGEST_RR_S)
    spread = (max(levels.rr_s) - min(levels.rr_s)) / max(levels.rr_s) if levels.rr_s else 0.0
    return (
        since / (since + 0.3),
        since / (since + levels.usual_rr_s),
        levels.usual_rr_s,
        len(levels.rr_s) / KEPT,
        spread,
        0.0 if levels.last is None else 1.0,
    )


def _cycle_before(signals: FrontEnd, levels: Levels, at: int, height: float) -> float:
    """Against what stood at the same time after the beat before: a T wave comes again."""
    if levels.before is None or levels.last is None or at - (levels.last - levels.before) < 0:
        return 0.5
    back = levels.last - levels.before
    if back > _LATE:
        return 0.5
    position = at - back - signals.base
    return share(height, float(np.maximum.reduce(signals.envelope[position - 10 : position + 11])))


def _likeness(levels: Levels, wide: NDArray[np.float64]) -> tuple[float, float, float]:
    """Best correlation with the usual beat within ±12 ms: signed, absolute, and whether known."""
    if levels.template is None:
        return 0.0, 0.0, 0.0
    likeness: list[float] = np.correlate(wide, levels.template, "valid").tolist()
    inner = wide[_SHIFT:-_SHIFT]
    norm = math.sqrt(float(inner @ inner)) + 1.0
    best = max(likeness, key=abs) / norm
    return best, abs(best), 1.0
