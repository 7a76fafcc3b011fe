"""Atrial fibrillation begins and ends; irregular rhythm.

Stage 2 knows the missing P waves, the RR intervals the irregularity; both must speak for it, and
for as long as the limit says. Without stage 2 the RR intervals alone do, with a stricter bound.
"""

from __future__ import annotations

from collections import deque

from agent.rhythm.beats import NamedBeat
from agent.rhythm.episode import Episode
from agent.rhythm.limits import RhythmLimits
from agent.rhythm.types import BeatClass, Finding, FindingKind
from models.beat_features import IRREGULARITY_RR, irregularity
from models.inference import RhythmProbabilities

IRREGULAR = 0.08
"""Irregularity from which the RR intervals may be those of an atrial fibrillation."""
IRREGULAR_ALONE = 0.12
"""The bound where no network speaks, and of an irregular rhythm: a young sinus node breathes."""
P_BEGIN = 0.6
P_END = 0.4
"""Stage 2's probability of AF that begins, and under which ends, the counting."""
BEGIN_SHARE = 0.8
"""Share of the seconds within the limit's time that must speak for it."""


class Irregularity:
    """How irregular the RR intervals are, ectopic beats left out."""

    def __init__(self) -> None:
        self._rr: deque[float] = deque(maxlen=IRREGULARITY_RR)
        self._skip = 0

    def push(self, named: NamedBeat) -> None:
        """One more beat; the intervals before and after a ventricular beat say nothing of atria."""
        if named.beat.kind in (BeatClass.V, BeatClass.F):
            self._skip = 2
        self._skip -= 1
        if self._skip < 0 and named.beat.rr_s is not None:
            self._rr.append(named.beat.rr_s)
        self._skip = max(self._skip, 0)

    def value(self) -> float | None:
        """See :func:`models.beat_features.irregularity`; None until enough intervals are known."""
        return irregularity(self._rr)


class AtrialFibrillation:
    """AF and irregular rhythm, judged each second of usable signal."""

    def __init__(self) -> None:
        self.episode = Episode(FindingKind.AF)
        self._irregular = Episode(FindingKind.IRREGULAR)
        self._votes: deque[tuple[float, bool]] = deque()
        self._p_af: float | None = None
        self._judge = "rules"
        self._calm = 0

    @property
    def irregular(self) -> bool:
        """Whether the rhythm is irregular without being called AF."""
        return self._irregular.open

    def stage2(self, probabilities: RhythmProbabilities, judged_by: str) -> None:
        """Stage 2's word on the newest second."""
        self._p_af = probabilities.af
        self._judge = judged_by

    def gap(self) -> None:
        """Stage 2 starts anew; AF itself outlasts a disturbance."""
        self._p_af = None

    def second(
        self, irregularity: float | None, end_s: float, limits: RhythmLimits
    ) -> list[Finding]:
        """One more second of usable signal."""
        if irregularity is None:
            return []
        going = self.episode.open
        if self._p_af is None:
            vote = irregularity >= IRREGULAR_ALONE * (0.75 if going else 1.0)
        else:
            vote = self._p_af >= (P_END if going else P_BEGIN) and irregularity >= IRREGULAR * (
                0.6 if going else 1.0
            )
        self._votes.append((end_s, vote))
        while self._votes[0][0] <= end_s - limits.af_s:
            self._votes.popleft()
        out = self._af(end_s, limits)
        return out + self._irregular_rhythm(irregularity, end_s)

    def _af(self, end_s: float, limits: RhythmLimits) -> list[Finding]:
        if len(self._votes) < limits.af_s - 1:
            return []
        share = sum(vote for _, vote in self._votes) / len(self._votes)
        if not self.episode.open and share >= BEGIN_SHARE:
            onset_s = next(time_s for time_s, vote in self._votes if vote) - 1.0
            return self.episode.begin(
                onset_s,
                end_s,
                confidence=self._p_af if self._p_af is not None else 0.7,
                judged_by=self._judge if self._p_af is not None else "rules",
            )
        if self.episode.open and share <= 1.0 - BEGIN_SHARE:
            last_s = max(
                (time_s for time_s, vote in self._votes if vote), default=end_s - limits.af_s
            )
            return self.episode.end(last_s, end_s)
        return []

    def _irregular_rhythm(self, irregularity: float, end_s: float) -> list[Finding]:
        """Irregular without being called AF."""
        irregular = irregularity >= IRREGULAR_ALONE and not self.episode.open
        self._calm = 0 if irregular else self._calm + 1
        if irregular:
            return self._irregular.begin(end_s, end_s, value=100.0 * irregularity)
        if self._irregular.open and (self.episode.open or self._calm >= 10):
            return self._irregular.end(end_s, end_s)
        return []
