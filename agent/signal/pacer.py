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
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agent.signal.resample import Resampler

Microvolts = NDArray[np.float64]

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
_TOP = np.maximum.reduce
_NEVER = 2**62
_REMEMBERED = 250
"""Chain samples for which a hold can still be asked about."""
_MOST_HELD = 64


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


class Looked(NamedTuple):
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
        kept = self._kept = np.concatenate([self._kept, microvolts])
        end = len(kept)
        place = self._next - self._first
        pulses: list[Pulse] = []
        edges: list[tuple[int, int]] = []
        held = None
        for edge in self._edges(place):
            if edge < place:
                continue
            if edge + self._span > end:
                held = edge + self._first
                break
            place = edge + self._span
            edges.append((edge + self._first, place + self._first))
            if (pulse := self._pulse(edge)) is not None:
                pulses.append(pulse)
        self._next = max(place + self._first, end + self._first) if held is None else held
        drop = min(self._next - self._first, end) - self._past
        if drop > 0:
            self._kept = kept[drop:]
            self._first += drop
        return Looked(pulses, edges, held)

    def _edges(self, start: int) -> Iterator[int]:
        """Places from ``start`` on at which something steep begins after quiet, in order."""
        kept, step = self._kept, self._step
        if start >= len(kept):
            return
        far, near = self._quiet
        change = np.abs(kept[start - far :] - kept[start - far - step : -step])
        new = change[far:]
        if _TOP(new) < EDGE_UV:
            return
        # Most are ruled out by the nearest and the farthest change that must be quiet.
        floor = np.maximum(change[far - near : -near], change[1 : len(new) + 1])
        for at in np.flatnonzero(new > np.maximum(QUIET_RATIO * floor, EDGE_UV)).tolist():
            if change[at + far] > QUIET_RATIO * _TOP(change[at + 1 : at + far - near + 1]):
                yield start + at

    def _pulse(self, edge: int) -> Pulse | None:
        """The pulse that made the edge at this place, if one did."""
        base = float(self._kept[edge - self._step])
        wave = self._kept[edge : edge + self._span]
        sign = 1.0 if wave[0] > base else -1.0
        top = int(wave.argmax() if sign > 0 else wave.argmin())
        if top > self._rise:
            return None
        rise = sign * (float(wave[top]) - base)
        after = sign * (wave[top + 1 : top + 1 + self._fall] - base)
        bottom = int(after.argmin())
        fall = rise - float(after[bottom])
        height = min(rise, fall)
        low, high = FALL_SHARE
        if height < self._least or not low * rise <= fall <= high * rise:
            return None
        peak = edge + top
        level = base + sign * (rise - height / 2)
        if not self._stands_out(edge, height) or self._width(peak, level, sign) > self._widest:
            return None
        first, last = edge + self._first, peak + 1 + bottom
        line = base + np.arange(1, last - edge + 1) / (last - edge + 1) * (self._kept[last] - base)
        return Pulse(
            peak + self._first, sign * height, first + self._span, first, line - wave[: last - edge]
        )

    def _stands_out(self, edge: int, height_uv: float) -> bool:
        """Whether the signal bent far less before the edge than the pulse is high."""
        (before, until), bend = self._bent, self._bend
        wave = self._kept[edge - before - bend : edge - until + bend + 1]
        bends = np.abs(wave[bend:-bend] - (wave[: -2 * bend] + wave[2 * bend :]) / 2)
        return height_uv >= BEND_RATIO * max(float(_TOP(bends)), BEND_FLOOR_UV)

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
        looked = self._detector.push(raw)
        coming = self._first + len(self._waiting)
        waiting = np.concatenate([self._waiting, resampled]) if len(self._waiting) else resampled
        if self._changes or looked.pulses:
            waiting = waiting.copy()
            self._changes = [one for one in self._changes if self._add(one, waiting, coming)]
        known = self._resampler.known_with
        for pulse in looked.pulses:
            change = self._resampler.alone(pulse.first, pulse.correction)
            line = change.first, change.microvolts[:, 0]
            if self._add(line, waiting, self._first):
                self._changes.append(line)
            self.told.append(ToldPulse(pulse.peak / self._rate_hz, known(pulse.decided)))
        if self._held and (self._held[-1][1] == _NEVER or len(self._held) > _MOST_HELD):
            self._held = [one for one in self._held if self._first - _REMEMBERED < one[1] < _NEVER]
        self._held += [(known(first), known(decided)) for first, decided in looked.edges]
        if looked.held is None:
            self._first += len(waiting)
            self._waiting = waiting[:0]
            return waiting
        self._held.append((known(looked.held), _NEVER))
        free = min(max(known(looked.held) - self._first, 0), len(waiting))
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
