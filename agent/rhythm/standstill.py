"""No QRS: missed beat, pause, asystole. Needs no network."""

from __future__ import annotations

from agent.rhythm.beats import NamedBeat
from agent.rhythm.episode import Episode, momentary
from agent.rhythm.limits import RhythmLimits
from agent.rhythm.types import Finding, FindingKind
from agent.signal.types import HOP_S

BLINK_S = 3.0
"""Unusable signal within a standstill that only stops its clock; longer, the clock starts anew.
An electrode that is touched must not hide an asystole, nor a nurse's work make one."""
SKIPPED = 1.75
"""RR over the median RR from which a beat was missed, up to SKIPPED_BPM."""
STEADY = 1.3
"""The RR interval before it, over the median, up to which the rhythm had not just slowed."""
SKIPPED_BPM = 120.0
"""Above it a second without a beat is a missed one."""


class Standstill:
    """Time without a QRS, counted over signal in which one would have been seen."""

    def __init__(self) -> None:
        self._from_s: float | None = None
        self._since_beat = False
        self._unseen_s = 0.0
        self.asystole = Episode(FindingKind.ASYSTOLE)
        self._pause = Episode(FindingKind.PAUSE)

    def beat(self, time_s: float, found_s: float) -> list[Finding]:
        """A QRS was confirmed; it ends what was open."""
        length = None if self._from_s is None else time_s - self._from_s
        self._from_s, self._since_beat, self._unseen_s = time_s, True, 0.0
        out = self.asystole.end(time_s, found_s, length)
        return out + self._pause.end(time_s, found_s, length)

    def unseen(self, start_s: float, end_s: float) -> list[Finding]:
        """A hop in which no QRS could have been seen; what is open stays open (see ``lose``)."""
        if self._from_s is None:
            return []
        self._unseen_s += HOP_S
        if self._unseen_s > BLINK_S:
            self._from_s = None
            return self._pause.end(start_s, end_s)
        return []

    def fibrillates(self, since_s: float, found_s: float) -> list[Finding]:
        """The ventricles fibrillate: what was open was no standstill."""
        out = self.asystole.end(since_s, found_s)
        return out + self._pause.end(since_s, found_s)

    def restart(self, at_s: float) -> None:
        """Until ``at_s`` the ventricles fibrillated: if they stand still, then from there on."""
        self._from_s, self._since_beat, self._unseen_s = at_s, False, 0.0

    def lose(self, at_s: float, found_s: float) -> list[Finding]:
        """The signal has been unusable for too long to say that the heart still stands still."""
        return self.asystole.end(at_s, found_s)

    def due(self, settled_s: float, limits: RhythmLimits) -> bool:
        """Whether the next ``tick`` finds an asystole."""
        if self._from_s is None:
            return False
        return settled_s - self._from_s - self._unseen_s >= limits.asystole_s

    def tick(
        self, start_s: float, settled_s: float, found_s: float, limits: RhythmLimits
    ) -> list[Finding]:
        """A hop in which a QRS would have been seen, but none was until ``settled_s``."""
        if self._from_s is None:
            self._from_s, self._since_beat, self._unseen_s = start_s, False, 0.0
        silent_s = settled_s - self._from_s - self._unseen_s
        out: list[Finding] = []
        # Without a beat before it a stretch of signal is no pause: it may just have begun.
        if self._since_beat and silent_s >= limits.pause_s:
            out += self._pause.begin(
                self._from_s, found_s, value=silent_s, limit=limits.pause_s, beats=(self._from_s,)
            )
        if silent_s >= limits.asystole_s:
            out += self.asystole.begin(
                self._from_s, found_s, value=silent_s, limit=limits.asystole_s
            )
        return out


def missed_beat(named: NamedBeat, found_s: float, limits: RhythmLimits) -> list[Finding]:
    """One RR interval too long for the rhythm, too short for a pause; none after a PVC."""
    rr_s, median_s = named.timing.rr_s, named.timing.median_rr_s
    if rr_s is None or median_s is None or rr_s >= limits.pause_s or named.follows_pvc:
        return []
    limit_s = SKIPPED * median_s if 60.0 / median_s <= SKIPPED_BPM else 1.0
    if rr_s <= limit_s or named.timing.before[0] > STEADY * median_s:
        return []
    time_s = named.beat.time_s
    found = Finding(
        kind=FindingKind.MISSED_BEAT,
        onset_s=time_s - rr_s,
        found_s=found_s,
        value=rr_s,
        limit=limit_s,
        beats=(time_s - rr_s, time_s),
    )
    return momentary(found, time_s)
