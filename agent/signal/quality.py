"""Is the signal usable? Rules that need no network, at once; stage 1, second by second.

The rules only say what is certain: no samples, electrode off or input railed, a dead constant.
Low voltage is none of it: an asystole is nearly flat, and calling it unusable would be the worst
silence of all.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.signal.types import HOP, HOP_S, RATE_HZ, SignalState
from drivers.samples import Lead

DEAD_UV = 1e-3
"""Steps smaller than this are no steps: the input gives a constant."""
FLAT_HOPS = round(2.0 / HOP_S)
"""A constant for two seconds; an electrode on skin, even of a still heart, is never so quiet."""
SILENT_HOPS = 2
OFF_HOPS = 2
"""Railed for two hops: an electrode is off; a shorter rail is a defibrillator or a movement."""
MOSTLY = 0.9
PARTLY = 0.1
"""Share of a hop's samples at the rails that make it saturated."""
MISSING = 0.5
"""Share of a hop's samples missing that leaves nothing to judge."""
NOISY_BELOW = 0.4
USABLE_ABOVE = 0.6
"""Stage 1's hysteresis: between the two the last word stands."""
SWING_UV = 10_000.0
"""Without stage 1, only what no heart gives is noise: more than 10 mV from peak to peak after
the wander is gone. A finer rule would call fibrillation noise, and that silence kills."""


@dataclass(frozen=True, slots=True)
class HopFacts:
    """What a hop's samples of one lead are, as shares of the hop, 0 to 1."""

    missing: float
    railed: float
    dead: float
    """Samples that did not change."""
    off: bool
    """The device itself says that the electrode is off."""


class LeadRules:
    """One lead's certain faults; ``hop`` once per hop."""

    def __init__(self) -> None:
        self._railed = 0
        self._dead = 0
        self.state = SignalState.NO_DATA

    @property
    def silent(self) -> bool:
        """A constant for so long that another lead is the better one, if it gives anything."""
        return self._dead >= SILENT_HOPS

    def hop(self, facts: HopFacts) -> SignalState:
        """The state that is certain; USABLE where the rules have nothing against it."""
        self._railed = self._railed + 1 if facts.railed > MOSTLY else 0
        self._dead = self._dead + 1 if facts.dead > 1 - 1.5 / HOP and not facts.missing else 0
        self.state = self._judge(facts)
        return self.state

    def _judge(self, facts: HopFacts) -> SignalState:
        if facts.missing > MISSING:
            return SignalState.NO_DATA
        if facts.off or self._railed >= OFF_HOPS:
            return SignalState.LEAD_OFF
        if facts.railed > PARTLY:
            return SignalState.SATURATED
        if self._dead >= FLAT_HOPS:
            return SignalState.FLAT
        return SignalState.USABLE


def rails_uv(lead: Lead) -> tuple[float, float]:
    """Lowest and highest microvolts a lead can give, a hair inside; infinite where not told."""
    if lead.full_scale_counts is None:
        return float("-inf"), float("inf")
    ends = sorted(
        (count - lead.offset_counts) * lead.microvolts_per_count for count in lead.full_scale_counts
    )
    hair = (ends[1] - ends[0]) * 1e-6
    return ends[0] + hair, ends[1] - hair


class NoiseGate:
    """Noisy or usable, with stage 1's probabilities or, without it, by the signal's swing."""

    def __init__(self) -> None:
        self.noisy = False

    def probability(self, p_usable: float) -> None:
        """Stage 1's word on a second."""
        if p_usable < NOISY_BELOW:
            self.noisy = True
        elif p_usable > USABLE_ABOVE:
            self.noisy = False

    def swing(self, peak_to_peak_uv: float) -> float:
        """The rule where no network runs; gives the 0 or 1 that stands for a probability."""
        self.noisy = peak_to_peak_uv > SWING_UV
        return 0.0 if self.noisy else 1.0


SECOND_HOPS = RATE_HZ // HOP
