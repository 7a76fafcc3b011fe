"""One bed's analysis, pure: samples and gaps in, hops with their rhythm events out.

The live bed and ``wardbeat analyze`` run this very same chain.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.networks import Networks
from agent.rhythm.analyser import RhythmAnalyser
from agent.rhythm.limits import RhythmLimits
from agent.rhythm.types import RhythmEvent
from agent.signal.chain import SignalChain
from agent.signal.types import Hop
from agent.slots import Slots
from drivers.samples import Gap, SampleBlock, StreamInfo
from models.inference import RhythmProbabilities


@dataclass(frozen=True, slots=True)
class Step:
    """One hop and what the rhythm analysis made of it."""

    hop: Hop
    events: tuple[RhythmEvent, ...]
    probabilities: RhythmProbabilities | None = None
    """Stage 2's word, in the hop that brings a judged second."""


class Chain:
    """Signal chain and rhythm analysis of one stream."""

    def __init__(self, info: StreamInfo, limits: RhythmLimits, networks: Networks) -> None:
        self._slots = Slots(networks)
        self._signal = SignalChain(info, self._slots.quality)
        self._rhythm = RhythmAnalyser(limits, self._slots.rhythm, self._slots.beats)

    @property
    def lead_in_use(self) -> int:
        """Index of the lead that the hops show."""
        return self._signal.lead_in_use

    def push(self, event: SampleBlock | Gap) -> list[Step]:
        """Analyse further samples, or their absence."""
        return [self._step(hop) for hop in self._signal.push(event)]

    def set_limits(self, limits: RhythmLimits) -> None:
        """Alarm limits from now on."""
        self._rhythm.set_limits(limits)

    def use(self, networks: Networks) -> bool:
        """Other networks from the next push on; False where the chain must be begun anew."""
        return self._slots.fill(networks)

    def flush(self) -> tuple[list[Step], list[RhythmEvent]]:
        """The end of a record: the remaining hops, and what the analysis then concludes."""
        return [self._step(hop) for hop in self._signal.flush()], self._rhythm.flush()

    def _step(self, hop: Hop) -> Step:
        events = tuple(self._rhythm.push(hop))
        return Step(hop, events, self._rhythm.probabilities)
