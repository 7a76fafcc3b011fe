"""One lead's part of the chain: conditioned signal, QRS decisions, facts for the quality rules."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from agent.signal.envelope import LOOK_AHEAD
from agent.signal.pacer import PulseRemover
from agent.signal.qrs import HOLD, R_REACH, Found, QrsDetector
from agent.signal.quality import DEAD_UV, HopFacts, LeadRules, rails_uv
from agent.signal.resample import Resampler
from agent.signal.scorer import Scorer
from agent.signal.types import HOP, Signal
from drivers.samples import Lead
from models.preprocess import Conditioner

LAG = 2
"""Samples by which the causal conditioning delays a QRS (5 to 25 Hz: 1.3 to 2.6); taken back, so
that a complex stands in the hop's signal where its R peak is told."""
_ONE = 100
_MISSING, _RAILED, _DEAD, _OFF = 1, _ONE, _ONE**2, _ONE**3
"""What a sample is, as decimal digits: one sum over a hop counts all four."""
_NOTHING = HopFacts(0.0, 0.0, 0.0, False)
DEAD_BEFORE, DEAD_AFTER = 15, 25
"""A constant from 60 ms before another lead's R peak to 100 ms after it gives no QRS."""
PAST = HOP + LOOK_AHEAD + R_REACH + DEAD_BEFORE
"""How far before a hop's end an R peak told in it can lie, and what is looked at before it."""
LEAST_QRS_UV = 20.0
"""An R peak lower than that is amplifier noise: an asystole from the first sample on has nothing
higher to learn from. IEC 60601-2-27 wants nothing under 0.15 mV counted."""
DOUBT_WEIGHT = 0.1
"""Weight of a new decision in the running doubt: the last ten or so decisions count."""


class LeadChain:
    """Takes stretches and gaps, gives hop by hop; all indices are chain samples."""

    def __init__(self, lead: Lead, scorer: Scorer, rate_hz: float, resampler: Resampler) -> None:
        self._low_uv, self._high_uv = rails_uv(lead)
        self._least_uv = LEAST_QRS_UV if lead.calibrated else 0.0
        self._conditioner = Conditioner()
        self._pacer = PulseRemover(rate_hz, resampler)
        self._detector = QrsDetector(scorer)
        self._found: deque[Found] = deque()
        self._signal: Signal = np.empty(0, np.float32)
        self._marks = np.zeros(PAST, np.int64)
        self._told = 0
        """Samples of ``_signal`` that are out; in ``_marks`` PAST more are kept before them."""
        self._last_uv = np.nan
        self._lag = 0
        self._end = 0
        self._off = False
        self._waiting: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
        """Samples and the device's own, pushed and not looked at yet."""
        self.rules = LeadRules()
        self.doubt = 0.0
        """Running chance of error of the QRS decisions."""

    def begin(self, index: int, sample: int) -> int:
        """A stretch without a gap begins, with the device's ``sample``.

        Gives the chain sample from which QRS come without delay.
        """
        self._conditioner.reset()
        self._pacer.start(sample, index)
        self._detector.start(index)
        self._last_uv = np.nan
        self._lag = LAG
        self._end = index
        return index + HOLD if self._detector.holds else index

    def push(self, microvolts: NDArray[np.float64], off: bool, raw: NDArray[np.float64]) -> None:
        """Further samples of the stretch, and the device's own they were made of."""
        if off is not self._off:
            self._work()
            self._off = off
        self._waiting.append((microvolts, raw))

    def _work(self) -> None:
        """Take what was pushed. Once a hop is soon enough, and small packets cost no more so."""
        if not self._waiting:
            return
        microvolts, raw = (np.concatenate(pieces) for pieces in zip(*self._waiting, strict=True))
        self._waiting.clear()
        self._detect(self._pacer.push(raw, microvolts))
        if not len(microvolts):
            return
        before = np.concatenate([[self._last_uv], microvolts[:-1]])
        self._last_uv = float(microvolts[-1])
        self._end += len(microvolts)
        self._condition(microvolts)
        railed = (microvolts <= self._low_uv) | (microvolts >= self._high_uv)
        dead = np.abs(microvolts - before) < DEAD_UV
        self._mark(railed * _RAILED + dead * _DEAD + self._off * _OFF)

    def finish(self) -> None:
        """The stretch is over; what was still undecided is decided now."""
        self._work()
        if not np.isnan(self._last_uv):
            self._condition(np.full(LAG, self._last_uv))
        self._detect(self._pacer.finish())
        for found in self._detector.finish():
            self._found.append(_by(found, self._end))

    def skip(self, count: int) -> None:
        """Samples that are missing."""
        self._work()
        self._signal = np.concatenate([self._signal, np.full(count, np.nan, np.float32)])
        self._mark(np.full(count, _MISSING))

    def hop(self) -> tuple[Signal, HopFacts]:
        """The next hop's signal and facts; its samples must be there."""
        self._work()
        told, self._told = self._told, self._told + HOP
        signal = self._signal[told : self._told].copy()
        marks = int(np.add.reduce(self._marks[told + PAST : self._told + PAST]))
        if not marks:
            return signal, _NOTHING
        facts = HopFacts(
            missing=marks // _MISSING % _ONE / HOP,
            railed=marks // _RAILED % _ONE / HOP,
            dead=marks // _DEAD % _ONE / HOP,
            off=marks >= _OFF,
        )
        return signal, facts

    def decided(self, end: int) -> list[Found]:
        """QRS whose decision needs no sample at or after ``end``, in order."""
        out: list[Found] = []
        while self._found and self._found[0].decided <= end:
            found = self._found.popleft()
            self.doubt += DOUBT_WEIGHT * (found.doubt - self.doubt)
            if found.is_qrs and abs(found.amplitude_uv) >= self._least_uv:
                out.append(found)
        return out

    def pulses(self, end: int) -> list[float]:
        """Pacing pulses, in stream seconds, that are known by the samples before ``end``."""
        told: list[float] = []
        while self._pacer.told and self._pacer.told[0].decided <= end:
            told.append(self._pacer.told.popleft().time_s)
        return told

    def passed(self, end: int) -> int:
        """How many of the samples before ``end`` the detector has: a pulse holds it up."""
        return self._pacer.passed(end)

    def was_dead(self, peak: int, end: int) -> bool:
        """Whether the lead gave a dead constant around ``peak``; ``end`` is the hop's."""
        first = peak - DEAD_BEFORE - (end - PAST)
        past = self._marks[self._told : self._told + PAST]
        around = past[first : first + DEAD_BEFORE + DEAD_AFTER + 1] if first >= 0 else ()
        return len(around) > 0 and bool(np.all(np.equal(around, _DEAD)))

    def _detect(self, microvolts: NDArray[np.float64]) -> None:
        for found in self._detector.push(microvolts):
            decided = self._pacer.known_by(found.decided)
            self._found.append(
                found if decided == found.decided else replace(found, decided=decided)
            )

    def _condition(self, microvolts: NDArray[np.float64]) -> None:
        signal = self._conditioner.push(microvolts)
        early = min(self._lag, len(signal))
        self._lag -= early
        self._signal = np.concatenate([self._signal, signal[early:]])

    def _mark(self, marks: NDArray[np.int64]) -> None:
        self._marks = np.concatenate([self._marks[self._told :], marks])
        self._signal, self._told = self._signal[self._told :], 0


def _by(found: Found, end: int) -> Found:
    """The same decision, known at ``end`` at the latest; no R peak stands where nothing was."""
    if found.decided <= end:
        return found
    return replace(found, decided=end, peak=min(found.peak, end - 1))
