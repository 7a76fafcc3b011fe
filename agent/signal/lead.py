"""One lead's part of the chain: conditioned signal, QRS decisions, facts for the quality rules."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from agent.signal.qrs import HOLD, Found, QrsDetector
from agent.signal.quality import DEAD_UV, HopFacts, LeadRules, rails_uv
from agent.signal.scorer import Scorer
from agent.signal.types import HOP, Signal
from drivers.samples import Lead
from models.preprocess import Conditioner

DOUBT_WEIGHT = 0.1
"""Weight of a new decision in the running doubt: the last ten or so decisions count."""


class LeadChain:
    """Takes stretches and gaps, gives hop by hop; all indices are chain samples."""

    def __init__(self, lead: Lead, scorer: Scorer) -> None:
        self._low_uv, self._high_uv = rails_uv(lead)
        self._conditioner = Conditioner()
        self._detector = QrsDetector(scorer)
        self._found: deque[Found] = deque()
        self._signal: Signal = np.empty(0, np.float32)
        self._railed = np.empty(0, np.bool_)
        self._dead = np.empty(0, np.bool_)
        self._off = np.empty(0, np.bool_)
        self._last_uv = np.nan
        self._end = 0
        self.rules = LeadRules()
        self.doubt = 0.0
        """Running chance of error of the QRS decisions."""

    def begin(self, index: int) -> int:
        """A stretch without a gap begins; gives the sample from which QRS come without delay."""
        self._conditioner.reset()
        self._detector.start(index)
        self._last_uv = np.nan
        self._end = index
        return index + HOLD if self._detector.holds else index

    def push(self, microvolts: NDArray[np.float64], off: bool) -> None:
        """Further samples of the stretch."""
        if not len(microvolts):
            return
        before = np.concatenate([[self._last_uv], microvolts[:-1]])
        self._last_uv = float(microvolts[-1])
        self._end += len(microvolts)
        self._append(
            self._conditioner.push(microvolts),
            (microvolts <= self._low_uv) | (microvolts >= self._high_uv),
            np.abs(microvolts - before) < DEAD_UV,
            off,
        )
        self._found += self._detector.push(microvolts)

    def finish(self) -> None:
        """The stretch is over; what was still undecided is decided now."""
        for found in self._detector.finish():
            self._found.append(_by(found, self._end))

    def skip(self, count: int) -> None:
        """Samples that are missing."""
        nothing = np.zeros(count, np.bool_)
        self._append(np.full(count, np.nan, np.float32), nothing, nothing, off=False)

    def hop(self) -> tuple[Signal, HopFacts]:
        """The next hop's signal and facts; its samples must be there."""
        signal = self._signal[:HOP].copy()
        facts = HopFacts(
            missing=float(np.count_nonzero(np.isnan(signal))) / HOP,
            railed=float(np.count_nonzero(self._railed[:HOP])) / HOP,
            dead=float(np.count_nonzero(self._dead[:HOP])) / HOP,
            off=bool(self._off[:HOP].any()),
        )
        self._signal = self._signal[HOP:]
        self._railed, self._dead = self._railed[HOP:], self._dead[HOP:]
        self._off = self._off[HOP:]
        return signal, facts

    def decided(self, end: int) -> list[Found]:
        """QRS whose decision needs no sample at or after ``end``, in order."""
        out: list[Found] = []
        while self._found and self._found[0].decided <= end:
            found = self._found.popleft()
            self.doubt += DOUBT_WEIGHT * (found.doubt - self.doubt)
            if found.is_qrs:
                out.append(found)
        return out

    def _append(
        self,
        signal: Signal,
        railed: NDArray[np.bool_],
        dead: NDArray[np.bool_],
        off: bool,
    ) -> None:
        self._signal = np.concatenate([self._signal, signal])
        self._railed = np.concatenate([self._railed, railed])
        self._dead = np.concatenate([self._dead, dead])
        self._off = np.concatenate([self._off, np.full(len(signal), off)])


def _by(found: Found, end: int) -> Found:
    """The same decision, known at ``end`` at the latest."""
    if found.decided <= end:
        return found
    return Found(end, found.doubt, found.is_qrs, found.peak, found.amplitude_uv, found.strength)
