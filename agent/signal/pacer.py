"""Pacing pulses of one lead, found on the device's own samples, and taken out for the detector.

A pulse is told from a QRS by its edge and its width: out of quiet it is up and back within some
milliseconds, narrower at half its height than an R wave. IEC 60601-2-27 knows pulses of 2 to
700 mV and 0.1 to 2 ms at the skin; seen is what the device's filters leave of them:

* from 250 Hz on, those that keep 0.2 mV and are no wider than 9 ms at half their height. Through
  a band of 150 Hz that is a pulse of 2 mV and 1 ms, through one of 40 Hz none: it is as wide as R;
* below 200 Hz a narrow R wave may fall into one sample: only pulses over 5 mV are told.

What stands within 60 ms after a steep wave (a pulse inside a QRS, the second of two ventricular
pulses) is not seen.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d

from agent.signal.resample import Resampler

Microvolts = NDArray[np.float64]
Indices = NDArray[np.int64]

STEP_S = 0.004
"""An edge is a change over so long; at 250 Hz and below over one sample."""
EDGE_UV = 50.0
"""Least change that begins a pulse."""
QUIET_S = (0.060, 0.008)
"""Where it must be quiet before an edge: from 60 to 8 ms before it."""
QUIET_RATIO = 3.0
"""An edge is so much steeper than anything there."""
RISE_S, FALL_S = 0.010, 0.012
"""The peak comes within so long after the edge's beginning, the end so long after the peak."""
LEAST_UV = 200.0
"""Of the smaller of rise and fall."""
FALL_SHARE = (0.4, 1.8)
"""The fall over the rise: a Q wave falls further, into its R."""
SLOW_HZ, LEAST_SLOW_UV = 200.0, 5000.0
"""Below this rate only what no R wave reaches."""
WIDEST_S = 0.009
"""At half the height."""
BEND_S = 0.008
BENT_S = (0.100, 0.014)
BEND_RATIO = 8.0
"""A pulse is so much higher than the signal bends over 8 ms either way, 100 to 14 ms before."""
BEND_FLOOR_UV = 5.0
_NEVER = 2**62
_REMEMBERED = 250
"""Chain samples for which a hold can still be asked about."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """A pacing pulse; indices are the device's samples."""

    peak: int
    height_uv: float
    """Signed; the smaller of its rise and its fall."""
    decided: int
    """Known once all samples before this one are there."""
    first: int
    """Where ``correction`` begins."""
    correction: Microvolts
    """Added to the signal from ``first`` on, it puts a straight line in the pulse's place."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What further samples brought."""

    pulses: list[Pulse]
    edges: list[tuple[int, int]]
    """First sample of each edge that was looked at, and the sample by which it was decided."""
    held: int | None
    """From this sample on a pulse may still be under way."""


class PulseDetector:
    """One lead's detector; ``start``, then ``push`` …, for each stretch without a gap.

    What it gives depends on the samples, not on how they were cut.
    """

    def __init__(self, rate_hz: float) -> None:
        def samples(seconds: float) -> int:
            return max(1, round(seconds * rate_hz))

        self._step = samples(STEP_S)
        self._quiet = samples(QUIET_S[0]), samples(QUIET_S[1])
        self._rise, self._fall = max(1, int(RISE_S * rate_hz)), max(1, int(FALL_S * rate_hz))
        self._span = self._rise + self._fall + 1
        """From an edge's first sample to its decision."""
        self._bend = samples(BEND_S)
        self._bent = samples(BENT_S[0]), samples(BENT_S[1])
        self._past = self._bent[0] + self._quiet[0] + self._step
        """What is looked at before an edge, and a little more."""
        self._widest = WIDEST_S * rate_hz
        self._least = LEAST_UV if rate_hz >= SLOW_HZ else LEAST_SLOW_UV
        self.start(0)

    def start(self, first: int) -> None:
        """A stretch begins with sample ``first``; edges count once there is a past to see."""
        self._kept = np.empty(0)
        self._first = first
        self._next = first + self._past

    def push(self, microvolts: Microvolts) -> Looked:
        """Take further samples, shape (n,)."""
        self._kept = np.concatenate([self._kept, microvolts])
        end = self._first + len(self._kept)
        edges: list[int] = []
        held = None
        for edge in self._edges(end).tolist():
            if edge < self._next:
                continue
            if edge + self._span > end:
                held = edge
                break
            edges.append(edge)
            self._next = edge + self._span
        self._next = max(self._next, end if held is None else held)
        pulses = self._pulses(np.array(edges)) if edges else []
        drop = min(self._next, end) - self._past - self._first
        if drop > 0:
            self._kept = self._kept[drop:]
            self._first += drop
        return Looked(pulses, [(edge, edge + self._span) for edge in edges], held)

    def _edges(self, end: int) -> Indices:
        """Samples at which something steep begins after quiet, in order."""
        start = self._next - self._first
        if end <= self._next:
            return np.empty(0, np.int64)
        before, quiet = self._quiet
        change = np.abs(self._kept[self._step :] - self._kept[: -self._step])
        change = change[start - self._step - before :]
        if float(change[before:].max()) < EDGE_UV:
            return np.empty(0, np.int64)
        size = before - quiet
        # The highest of the ``size`` changes that end ``quiet`` samples before each.
        highest = maximum_filter1d(change, size, origin=(size - 1) // 2)[before - quiet : -quiet]
        new = change[before:]
        steep = (new >= EDGE_UV) & (new > QUIET_RATIO * highest)
        return np.flatnonzero(steep) + self._next

    def _pulses(self, edges: Indices) -> list[Pulse]:
        """Those edges that a pulse made."""
        at = edges - self._first
        rows = np.arange(len(at))
        base = self._kept[at - self._step]
        sign = np.where(self._kept[at] > base, 1.0, -1.0)

        def around(start: int, stop: int, middle: Indices) -> Microvolts:
            found: Microvolts = self._kept[middle[:, None] + np.arange(start, stop)]
            return found

        rising = sign[:, None] * (around(0, self._rise + 1, at) - base[:, None])
        top = rising.argmax(axis=1)
        rise = rising[rows, top]
        falling = sign[:, None] * (around(1, self._fall + 1, at + top) - base[:, None])
        bottom = falling.argmin(axis=1)
        fall = rise - falling[rows, bottom]
        height = np.minimum(rise, fall)
        before, until = self._bent
        wave = around(-before - self._bend, -until + self._bend + 1, at)
        bend = self._bend
        bends = np.abs(wave[:, bend:-bend] - (wave[:, : -2 * bend] + wave[:, 2 * bend :]) / 2)
        still = np.maximum(bends.max(axis=1), BEND_FLOOR_UV)
        found = (height >= self._least) & (height >= BEND_RATIO * still)
        low, high = FALL_SHARE
        found &= (falling.max(axis=1) <= rise) & (fall >= low * rise) & (fall <= high * rise)
        pulses = []
        for k in np.flatnonzero(found).tolist():
            peak = int(at[k] + top[k])
            level = float(base[k] + sign[k] * (rise[k] - height[k] / 2))
            if self._width(peak, level, float(sign[k])) <= self._widest:
                last = peak + 1 + int(bottom[k])
                pulses.append(self._pulse(int(at[k]), peak, last, float(sign[k] * height[k])))
        return pulses

    def _width(self, peak: int, level: float, sign: float) -> float:
        """Samples, not only whole, for which the wave stays beyond ``level`` around ``peak``."""
        wave = self._kept[peak - self._rise - self._step : peak + self._fall + 1]
        over = sign * (wave - level)
        middle = self._rise + self._step
        total = 0.0
        for side in (over[: middle + 1][::-1], over[middle:]):
            below = int((side <= 0).argmax())
            total += below - float(side[below]) / float(side[below] - side[below - 1])
        return total

    def _pulse(self, edge: int, peak: int, last: int, height_uv: float) -> Pulse:
        """``last`` is the first sample that is signal again, ``edge`` the first that is none."""
        start, stop = self._kept[edge - self._step], self._kept[last]
        steps = np.arange(1, last - edge + 1) / (last - edge + 1)
        correction = start + steps * (stop - start) - self._kept[edge:last]
        first = edge + self._first
        return Pulse(peak + self._first, height_uv, first + self._span, first, correction)


@dataclass(frozen=True, slots=True)
class ToldPulse:
    """A pulse on the chain's time line."""

    time_s: float
    decided: int
    """Known once so many chain samples are there."""


class PulseRemover:
    """Stands between the resampler and one lead's QRS detector; indices are chain samples.

    What follows an edge is held back until it is known whether a pulse made it (some 20 ms of
    signal); all else passes at once.
    """

    def __init__(self, rate_hz: float, resampler: Resampler) -> None:
        self._rate_hz = rate_hz
        self._resampler = resampler
        self._detector = PulseDetector(rate_hz)
        self.told: deque[ToldPulse] = deque()
        """Found and not taken yet."""
        self.start(0, 0)

    def start(self, sample: int, index: int) -> None:
        """A stretch begins with the device's ``sample``, chain sample ``index``."""
        self._detector.start(sample)
        self._waiting = np.empty(0)
        self._first = index
        self._changes: list[tuple[int, Microvolts]] = []
        """What is still to be added to samples that aren't there yet."""
        self._held: list[tuple[int, int]] = []
        """Stretches that were or are held back: first sample, and the count that freed it."""

    def push(self, raw: Microvolts, resampled: Microvolts) -> Microvolts:
        """Take the device's samples and what they became; give what the detector may see."""
        coming = self._first + len(self._waiting)
        waiting = np.concatenate([self._waiting, resampled])
        self._changes = [one for one in self._changes if self._add(one, waiting, coming)]
        looked = self._detector.push(raw)
        known = self._resampler.known_with
        for pulse in looked.pulses:
            change = self._resampler.alone(pulse.first, pulse.correction)
            line = change.first, change.microvolts[:, 0]
            if self._add(line, waiting, self._first):
                self._changes.append(line)
            self.told.append(ToldPulse(pulse.peak / self._rate_hz, known(pulse.decided)))
        self._held = [one for one in self._held if self._first - _REMEMBERED < one[1] < _NEVER]
        self._held += [(known(first), known(decided)) for first, decided in looked.edges]
        free = len(waiting)
        if looked.held is not None:
            self._held.append((known(looked.held), _NEVER))
            free = min(max(known(looked.held) - self._first, 0), free)
        self._first += free
        self._waiting = waiting[free:]
        return waiting[:free]

    def finish(self) -> Microvolts:
        """The stretch is over: what still waits, in which no pulse became known."""
        rest, self._waiting = self._waiting, self._waiting[:0]
        self._first += len(rest)
        return rest

    def known_by(self, count: int) -> int:
        """How many samples must have come until the detector has ``count`` of them."""
        first, freed = self._hold(count)
        return freed if first < count < freed else count

    def passed(self, count: int) -> int:
        """How many samples the detector has when ``count`` have come."""
        first, freed = self._hold(count)
        return first if first < count < freed else count

    def _hold(self, count: int) -> tuple[int, int]:
        """The latest hold that began before ``count``."""
        at = bisect_left(self._held, (count, 0))
        return self._held[at - 1] if at else (count, count)

    def _add(self, change: tuple[int, Microvolts], waiting: Microvolts, start: int) -> bool:
        """Add to the samples from ``start`` on; whether some of the change is still to come."""
        first, values = change
        low = max(first, start)
        end = self._first + len(waiting)
        high = min(first + len(values), end)
        if low < high:
            waiting[low - self._first : high - self._first] += values[low - first : high - first]
        return first + len(values) > end
