"""The rhythm in force: one at any time, told at each change."""

from __future__ import annotations

from collections import deque

from agent.rhythm.types import Finding, Rhythm, RhythmChange
from models.inference import RhythmProbabilities

SETTLE_S = 10.0
"""How long normal and other must hold against each other before the rhythm changes."""
SMOOTH_S = 10
"""Seconds over which stage 2's probabilities are averaged for that."""
LEAST_BEATS = 5
"""Beats seen since the signal became usable, or a lethal rhythm ended, before one is named."""


class RhythmInForce:
    """Lethal rhythms at once and from their onset on; normal and other when they settle."""

    def __init__(self) -> None:
        self._in_force: RhythmChange | None = None
        self._candidate: tuple[Rhythm, float] | None = None
        self._beats = 0
        self._until_s = 0.0
        self._smooth: deque[RhythmProbabilities] = deque(maxlen=SMOOTH_S)
        self._mean: tuple[float, float] | None = None
        """Of these, the probability that it is normal and that it is not."""
        self._judge = "rules"

    @property
    def rhythm(self) -> Rhythm:
        """What is in force now."""
        return Rhythm.NOT_ANALYSED if self._in_force is None else self._in_force.rhythm

    def beat(self) -> None:
        """A reliable beat was named."""
        self._beats += 1

    def stage2(self, probabilities: RhythmProbabilities, judged_by: str) -> None:
        """Stage 2's word on the newest second."""
        self._smooth.append(probabilities)
        self._mean = (
            sum(p.normal for p in self._smooth) / len(self._smooth),
            sum(p.other + p.af for p in self._smooth) / len(self._smooth),
        )
        self._judge = judged_by

    def unusable(self, start_s: float) -> list[RhythmChange]:
        """The signal says nothing."""
        self._beats = 0
        self._candidate = None
        self._smooth.clear()
        self._mean = None
        return self._change(Rhythm.NOT_ANALYSED, start_s, 1.0, "rules")

    def found(self, rhythm: Rhythm, finding: Finding) -> list[RhythmChange]:
        """Asystole, VF, VT or AF is open: its rhythm is in force from its onset on."""
        self._candidate = None
        if rhythm is not Rhythm.AF:
            self._beats = 0
        return self._change(rhythm, finding.onset_s, finding.confidence, finding.judged_by)

    def ended(self, ended_s: float) -> None:
        """Such a finding is over: no later rhythm began before that."""
        self._until_s = max(self._until_s, ended_s)

    def basic(self, other: bool, at_s: float) -> list[RhythmChange]:
        """None of these is open; ``other`` is what the rules say of the beats."""
        confidence, judge = 0.8, "rules"
        if self._mean is not None:
            normal, others = self._mean
            other, judge = others > normal, self._judge
            confidence = max(others, normal)
        wanted = Rhythm.OTHER if other else Rhythm.NORMAL
        if self._candidate is None or self._candidate[0] is not wanted:
            self._candidate = (wanted, at_s)
        since_s = self._candidate[1]
        if self._beats < LEAST_BEATS:
            return []
        if self.rhythm is Rhythm.NOT_ANALYSED:
            return self._change(wanted, at_s, confidence, judge)
        if self.rhythm not in (Rhythm.NORMAL, Rhythm.OTHER):
            return self._change(wanted, self._until_s, confidence, judge)
        if at_s - since_s < SETTLE_S:
            return []
        return self._change(wanted, since_s, confidence, judge)

    def _change(
        self, rhythm: Rhythm, start_s: float, confidence: float, judged_by: str
    ) -> list[RhythmChange]:
        if self._in_force is not None and self._in_force.rhythm is rhythm:
            return []
        if self._in_force is not None:
            start_s = max(start_s, self._in_force.start_s, self._until_s)
        self._in_force = RhythmChange(start_s, rhythm, confidence, judged_by)
        return [self._in_force]
