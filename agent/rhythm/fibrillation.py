"""VF and flutter, second by second: the wave's own word, and stage 2's where it runs.

The rule stands alone without a network. Stage 2 adds what the rule cannot tell: whether a wave
without isoelectric line is a fibrillation or a fast ventricular tachycardia.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from itertools import pairwise

from agent.rhythm.beats import NamedBeat
from agent.rhythm.episode import Episode
from agent.rhythm.types import Finding, FindingKind
from agent.rhythm.wave import is_fibrillatory
from agent.signal.types import Signal
from models.inference import RhythmProbabilities

WINDOW_S = 4
"""The wave must last so long (usual definition)."""
GONE_S = 3
"""Seconds in a row without such a wave that end it."""
TURNED_S = 5
"""Seconds in a row that speak for the other of VF and VT before the one becomes the other."""
P_VF = 0.5
P_VF_S = 3
"""Stage 2's VF probability, for so many seconds in a row, that is believed without the rule."""
P_DOUBT = 0.05
"""Stage 2's VF and VT probability under which the rule needs a second window."""
RULE_CONFIDENCE = 0.9
"""Share of the rule's positive windows on vfdb that are VF, flutter or VT (0.93)."""
ORGANISED_BEATS = 4
ORGANISED_SPREAD = 1.25
"""Longest over shortest RR interval of a regular row."""
ORGANISED_BPM = 180.0


class Says(Enum):
    """What a second says."""

    NOTHING = auto()
    VF = auto()
    VT = auto()


@dataclass(frozen=True, slots=True)
class WaveTachycardia:
    """A ventricular tachycardia without isoelectric line, told from VF by stage 2."""

    onset_s: float
    confidence: float
    judged_by: str


def is_organised(beats: Sequence[NamedBeat], since_s: float) -> bool:
    """Whether the beats since then are regular, of one shape and not too fast for beats.

    A tall wide rhythm leaves no isoelectric line either, but a detector does not find a steady
    row of equal complexes in a fibrillation.
    """
    recent = [named for named in beats if named.beat.time_s >= since_s]
    if len(recent) < ORGANISED_BEATS:
        return False
    rr = [b.beat.time_s - a.beat.time_s for a, b in pairwise(recent)]
    shapes = Counter(named.shape.index for named in recent)
    return (
        max(rr) <= ORGANISED_SPREAD * min(rr)
        and sum(rr) / len(rr) >= 60.0 / ORGANISED_BPM
        and shapes.most_common(1)[0][1] >= len(recent) - 1
    )


class Fibrillation:
    """At most one of VF (a finding of its own) and VT by the wave (``tachycardia``) at a time."""

    def __init__(self) -> None:
        self.episode = Episode(FindingKind.VF)
        self.tachycardia: WaveTachycardia | None = None
        self._rows = dict.fromkeys(Says, 0)
        self._doubted = 0
        self._likely = 0
        self._last: RhythmProbabilities | None = None
        self._judge = "rules"

    def stage2(self, probabilities: RhythmProbabilities, judged_by: str) -> None:
        """Stage 2's word on the newest second."""
        self._last = probabilities
        self._judge = judged_by
        self._likely = self._likely + 1 if probabilities.vf >= P_VF else 0

    def gap(self) -> None:
        """Unusable signal: what was counted before it no longer counts."""
        self._rows = dict.fromkeys(Says, 0)
        self._likely = self._doubted = 0
        self._last = None

    def lose(self, at_s: float, found_s: float) -> list[Finding]:
        """The signal has been unusable for too long to say that it still fibrillates."""
        self.tachycardia = None
        return self.episode.end(at_s, found_s)

    def second(self, window: Signal, beats: Sequence[NamedBeat], end_s: float) -> list[Finding]:
        """A further second, which ends the window of WINDOW_S seconds; the newest beats."""
        says, span_s = self._says(window, beats, end_s)
        for kind in Says:
            self._rows[kind] = self._rows[kind] + 1 if kind is says else 0
        going = self._going
        if going is Says.NOTHING:
            return self._begin(says, end_s - span_s, end_s)
        if self._rows[Says.NOTHING] >= GONE_S:
            return self._end(end_s - GONE_S, end_s)
        if says not in (going, Says.NOTHING) and self._rows[says] >= TURNED_S:
            turned_s = end_s - TURNED_S
            return self._end(turned_s, end_s) + self._begin(says, turned_s, end_s)
        return []

    @property
    def _going(self) -> Says:
        if self.episode.open:
            return Says.VF
        return Says.NOTHING if self.tachycardia is None else Says.VT

    def _says(self, window: Signal, beats: Sequence[NamedBeat], end_s: float) -> tuple[Says, float]:
        """What this second says, and how far back it speaks."""
        p = self._last
        organised = is_organised(beats, end_s - WINDOW_S)
        if organised or not is_fibrillatory(window):
            self._doubted = 0
            believed = self._likely >= P_VF_S and not organised
            return (Says.VF if believed else Says.NOTHING), P_VF_S
        if p is None:
            return Says.VF, WINDOW_S
        if p.vf + p.vt < P_DOUBT and self._going is Says.NOTHING:
            self._doubted += 1
            return (Says.VF if self._doubted > 1 else Says.NOTHING), WINDOW_S
        return (Says.VT if p.vt > p.vf else Says.VF), WINDOW_S

    def _begin(self, says: Says, onset_s: float, found_s: float) -> list[Finding]:
        p = self._last
        if says is Says.VT and p is not None:
            self.tachycardia = WaveTachycardia(onset_s, p.vt, self._judge)
        if says is not Says.VF:
            return []
        believed = p is not None and p.vf >= P_VF
        return self.episode.begin(
            onset_s,
            found_s,
            confidence=p.vf if p is not None and believed else RULE_CONFIDENCE,
            judged_by=self._judge if believed else "rules",
        )

    def _end(self, ended_s: float, found_s: float) -> list[Finding]:
        self.tachycardia = None
        return self.episode.end(ended_s, found_s)
