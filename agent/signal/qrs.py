"""Streaming QRS detection on one lead.

Candidates are the peaks of a 10 Hz envelope: over 99.99 % of annotated beats make one. A small
fixed scorer weighs what speaks for each (height against the usual, shape, noise around it, time
since the beat before) and says how likely it is a QRS. It is signal processing, not one of the
unit's networks: it is part of the detector, needs no runtime and is always there.

A candidate is decided LOOK_AHEAD samples after it, and then for good. Thresholds don't fall back
in time: a beat that is late in its rhythm is easier to accept, which does what a search-back
does without ever bringing a beat late. Only a start needs the first HOLD samples to learn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.signal.candidate import Levels, features
from agent.signal.envelope import COUNTS_PER_UV, LOOK_AHEAD, FrontEnd
from agent.signal.scorer import Scorer
from agent.signal.shapes import Shape, shapes
from agent.signal.types import RATE_HZ

HOLD = 2 * RATE_HZ
"""A start waits so many samples for its levels; its beats then come at once, with their times."""
REFRACTORY = 45
"""180 ms: two QRS don't stand nearer; the fastest VT has 200 ms."""
R_REACH = 10
"""The R peak lies within 40 ms of the envelope's peak."""
THRESHOLD = 0.5
_RELEARN = 5 * RATE_HZ
"""So long without a QRS, the levels are learned anew: later than asystole is found at 4 s."""
_RELEARN_OVER = 625
_FORGOTTEN = 60 * RATE_HZ
"""After a longer gap the old levels say nothing."""
_TOO_LOW = 0.05


@dataclass(frozen=True, slots=True)
class Found:
    """A decided candidate; indices are chain samples."""

    decided: int
    """The decision needs no sample at or after this one."""
    doubt: float
    """Chance that the decision is wrong, by the scorer itself."""
    is_qrs: bool
    peak: int = 0
    """R peak."""
    amplitude_uv: float = 0.0
    strength: float = 0.0


class QrsDetector:
    """One lead's detector; ``start``, ``push`` … ``finish`` for each stretch without a gap."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._signals = FrontEnd()
        self._levels: Levels | None = None
        self._held: list[int] = []
        self._origin = 0
        self._last_end: int | None = None
        self._relearned = 0
        self.settled = 0
        """Every QRS before this chain sample is decided, once ``decided`` samples are past."""

    def start(self, index: int) -> None:
        """A stretch begins at chain sample ``index``."""
        self._signals.start()
        self._held = []
        self._relearned = 0
        if self._last_end is None or index - self._last_end > _FORGOTTEN:
            self._levels = None
        if self._levels is not None:
            self._levels.last = self._levels.before = self._levels.passed_at = None
        self._origin = index

    @property
    def holds(self) -> bool:
        """Whether it still learns its levels, and no QRS of the stretch is out."""
        return self._levels is None

    def push(self, microvolts: NDArray[np.float64]) -> list[Found]:
        """Decide what further samples, shape (n,), allow to decide."""
        return self._decide(self._signals.push(microvolts), self._signals.end >= HOLD)

    def finish(self) -> list[Found]:
        """The stretch is over: decide the rest as if its last value stayed."""
        if not self._signals.end > 0:
            return []
        end = self._signals.end
        self._last_end = self._origin + end
        last = self._signals.last_microvolts
        rest = self._signals.push(np.full(LOOK_AHEAD + 1, last))
        return self._decide([at for at in rest if at < end], ready=True)

    def _decide(self, candidates: list[int], ready: bool) -> list[Found]:
        not_before = 0
        if self._levels is None:
            self._held += candidates
            if not ready:
                return []
            candidates, self._held = self._held, []
            # Those that HOLD samples show: what a longer block brings besides must not count.
            early = [at for at in candidates if at < HOLD - LOOK_AHEAD]
            self._levels = Levels.of(self._first_height(early))
            not_before = HOLD
        levels = self._levels
        return [self._judge(one, levels, not_before) for one in shapes(self._signals, candidates)]

    def _first_height(self, candidates: list[int]) -> float:
        """A QRS height out of a start: the second highest peak, unless the first stands alone."""
        envelope, base = self._signals.envelope, self._signals.base
        heights = sorted((float(envelope[at - base]) for at in candidates), reverse=True)
        if not heights:
            return 50.0 * COUNTS_PER_UV
        if len(heights) > 1 and heights[1] > 0.5 * heights[0]:
            return heights[1]
        return 0.7 * heights[0]

    def _judge(self, shape: Shape, levels: Levels, not_before: int = 0) -> Found:
        at = shape.at
        decided = self._origin + max(at + LOOK_AHEAD, not_before)
        if levels.last is not None:
            if at - levels.last < REFRACTORY:
                return Found(decided, 0.0, False)
            self._relearn(at, levels)
        if shape.height < _TOO_LOW * levels.height:
            return Found(decided, 0.0, False)
        logit = self._scorer.logit(features(self._signals, levels, shape))
        p = 1.0 / (1.0 + math.exp(-min(max(logit, -30.0), 30.0)))
        levels.decided(p)
        if p <= THRESHOLD:
            levels.reject(shape)
            return Found(decided, p, False)
        levels.accept(shape)
        peak, amplitude = self._r_peak(at - self._signals.base)
        return Found(decided, 1 - p, True, peak + self._origin, amplitude, p / THRESHOLD)

    def _relearn(self, at: int, levels: Levels) -> None:
        """A beat hasn't come for long: perhaps the complexes became small."""
        assert levels.last is not None  # noqa: S101 - told to the type checker
        since = (at - levels.last) // _RELEARN
        if since <= self._relearned:
            self._relearned = min(self._relearned, since)
            return
        self._relearned = since
        position = at - self._signals.base
        blocks = self._signals.envelope[position - _RELEARN_OVER : position + 1]
        tops = np.sort(blocks[: 25 * 25].reshape(5, 125).max(axis=1))
        levels.height = levels.start_height = max(float(tops[-2]), 1.0)
        levels.last_height = levels.height
        levels.heights = []

    def _r_peak(self, position: int) -> tuple[int, float]:
        """The extremum about the isoelectric line near the envelope's peak, and its height."""
        wave = self._signals.wave
        line = float(np.sort(wave[position - 60 : position + 35])[47])
        near = wave[position - R_REACH : position + R_REACH + 1] - line
        best = int(np.abs(near).argmax())
        peak = position - R_REACH + best + self._signals.base
        return peak, float(near[best]) / COUNTS_PER_UV
