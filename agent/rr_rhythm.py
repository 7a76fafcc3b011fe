"""Rhythm and rate of a device that tells rate and RR intervals only: a heart rate strap.

Intervals say how regular a rhythm is and how fast, never what its beats are: so there is a normal
rhythm, an irregular one and a probable atrial fibrillation, but no ventricular one, and no
asystole: a strap that finds no beat looks like one that was taken off.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from agent.rhythm.atrial import IRREGULAR_ALONE, AtrialFibrillation
from agent.rhythm.episode import Episode
from agent.rhythm.limits import RhythmLimits
from agent.rhythm.rates import RETURN_BPM, RETURN_UPDATES
from agent.rhythm.types import Finding, FindingKind, Rhythm, RhythmChange
from drivers.samples import HeartRateReading, LeadState
from models.beat_features import IRREGULARITY_RR, irregularity

RR_MS: Final = (200.0, 3000.0)
"""What is an interval between beats; straps send others where they lost contact."""
NORMAL_BPM: Final = (50.0, 100.0)
"""A regular rhythm beyond it is told as "other": its beats can't be seen."""
BEGIN_READINGS: Final = 3
"""The strap's rate is an average already; so many readings in a row begin a finding."""
CONFIDENCE: Final = 0.6
"""Less than any wave gives."""
JUDGED_BY: Final = "RR intervals"


class RrRhythm:
    """Follows one strap. Times are seconds since its stream began."""

    def __init__(self) -> None:
        self.rhythm = Rhythm.NOT_ANALYSED
        self._rr_s: deque[float] = deque(maxlen=IRREGULARITY_RR)
        self._atrial = AtrialFibrillation()
        self._high = _Limit(FindingKind.HR_HIGH, 1.0)
        self._extreme_high = _Limit(FindingKind.EXTREME_TACHYCARDIA, 1.0)
        self._low = _Limit(FindingKind.HR_LOW, -1.0)
        self._extreme_low = _Limit(FindingKind.EXTREME_BRADYCARDIA, -1.0)

    def push(
        self, reading: HeartRateReading, at_s: float, limits: RhythmLimits
    ) -> list[RhythmChange | Finding]:
        """One notification, about a second after the one before."""
        if reading.contact is LeadState.OFF or reading.rate_bpm is None:
            self._rr_s.clear()
            return [*self._in_force(Rhythm.NOT_ANALYSED, at_s)]
        self._rr_s += [rr / 1000 for rr in reading.rr_ms if RR_MS[0] <= rr <= RR_MS[1]]
        spread = irregularity(tuple(self._rr_s))
        out: list[RhythmChange | Finding] = []
        out += self._atrial.second(spread, at_s, limits)
        rate = float(reading.rate_bpm)
        for one, limit in (
            (self._high, limits.hr_high),
            (self._extreme_high, limits.extreme_high),
            (self._low, limits.hr_low),
            (self._extreme_low, limits.extreme_low),
        ):
            out += one.judge(rate, limit, at_s)
        return [*out, *self._in_force(self._now(spread, rate), at_s)]

    def _now(self, spread: float | None, rate_bpm: float) -> Rhythm:
        if spread is None:
            return Rhythm.NOT_ANALYSED
        if self._atrial.episode.open:
            return Rhythm.AF
        regular = spread < IRREGULAR_ALONE and not self._atrial.irregular
        normal = NORMAL_BPM[0] <= rate_bpm <= NORMAL_BPM[1]
        return Rhythm.NORMAL if regular and normal else Rhythm.OTHER

    def _in_force(self, rhythm: Rhythm, at_s: float) -> list[RhythmChange]:
        if rhythm is self.rhythm:
            return []
        self.rhythm = rhythm
        return [RhythmChange(at_s, rhythm, CONFIDENCE, JUDGED_BY)]


class _Limit:
    """One limit of the rate, above (sign 1) or below (-1)."""

    def __init__(self, kind: FindingKind, sign: float) -> None:
        self._episode = Episode(kind)
        self._sign = sign
        self._beyond: list[float] = []
        self._within = 0

    def judge(self, rate_bpm: float, limit: float, at_s: float) -> list[Finding]:
        over = self._sign * (rate_bpm - limit)
        self._beyond = [*self._beyond[1 - BEGIN_READINGS :], at_s] if over > 0 else []
        self._within = self._within + 1 if over <= -RETURN_BPM else 0
        if len(self._beyond) == BEGIN_READINGS:
            if not self._episode.open:
                return self._episode.begin(
                    self._beyond[0],
                    at_s,
                    value=rate_bpm,
                    limit=limit,
                    confidence=CONFIDENCE,
                    judged_by=JUDGED_BY,
                )
            worst = self._episode.finding.value if self._episode.finding else None
            if worst is not None and self._sign * (rate_bpm - worst) >= RETURN_BPM:
                return self._episode.update(at_s, rate_bpm)
        if self._within == RETURN_UPDATES:
            return self._episode.end(at_s, at_s)
        return []
