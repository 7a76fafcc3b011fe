"""VF and flutter, second by second: the wave's own word, and stage 2's where it runs.

The rule stands alone without a network, and stage 2 never silences it. Nor is stage 2 asked
whether a wave without isoelectric line is a fibrillation or a tachycardia: on patients it was
not trained on it cannot tell (docs/rhythm.md), and both are treated alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from agent.rhythm.beats import NamedBeat
from agent.rhythm.episode import Episode
from agent.rhythm.types import Finding, FindingKind
from agent.rhythm.wave import crossings_hz, is_fibrillatory
from agent.signal.types import Signal
from models.inference import RhythmProbabilities

WINDOW_S = 4
"""The wave must last so long (usual definition)."""
GONE_S = 3
"""Seconds in a row without such a wave that end it."""
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
ORGANISED_CROSSINGS = 3.2
"""Zero crossings per beat: 2 for a wave of its own rate, 4 where every second one is counted."""


def is_organised(beats: Sequence[NamedBeat], since_s: float, crossings_hz: float) -> bool:
    """Whether the beats since then are regular, of one shape and not too fast for beats.

    A tall wide rhythm leaves no isoelectric line either, but a detector does not find a steady
    row of equal complexes in a fibrillation, unless it counts every second or third wave of one:
    so such a wave must not swing much oftener than there are beats (0 where there is none).
    """
    recent = [named for named in beats if named.beat.time_s >= since_s]
    if len(recent) < ORGANISED_BEATS:
        return False
    rr = [b.beat.time_s - a.beat.time_s for a, b in pairwise(recent)]
    shapes = Counter(named.shape.index for named in recent)
    mean_s = sum(rr) / len(rr)
    return (
        max(rr) <= ORGANISED_SPREAD * min(rr)
        and mean_s >= 60.0 / ORGANISED_BPM
        and crossings_hz * mean_s <= ORGANISED_CROSSINGS
        and shapes.most_common(1)[0][1] >= len(recent) - 1
    )


class Fibrillation:
    """Keeps the finding; told of each second and of what stage 2 says of it."""

    def __init__(self) -> None:
        self.episode = Episode(FindingKind.VF)
        self._gone_s = 0
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
        self._likely = self._doubted = self._gone_s = 0
        self._last = None

    def lose(self, at_s: float, found_s: float) -> list[Finding]:
        """The signal has been unusable for too long to say that it still fibrillates."""
        return self.episode.end(at_s, found_s)

    def second(self, window: Signal, beats: Sequence[NamedBeat], end_s: float) -> list[Finding]:
        """A further second, which ends the window of WINDOW_S seconds; the newest beats."""
        wave, likely = is_fibrillatory(window), self._likely >= P_VF_S
        swings_hz = crossings_hz(window) if wave else 0.0
        if (wave or likely) and is_organised(beats, end_s - WINDOW_S, swings_hz):
            wave = likely = False
        if wave and not self.episode.open and self._doubtful():
            return []
        if wave or likely:
            self._gone_s = 0
            return self._begin(end_s - (WINDOW_S if wave else P_VF_S), end_s, likely)
        self._doubted = 0
        self._gone_s += 1
        return self.episode.end(end_s - GONE_S, end_s) if self._gone_s >= GONE_S else []

    def _doubtful(self) -> bool:
        """Whether this is the first window of a wave that stage 2 holds for nothing of the kind."""
        p = self._last
        if p is None or p.vf + p.vt >= P_DOUBT:
            return False
        self._doubted += 1
        return self._doubted == 1

    def _begin(self, onset_s: float, found_s: float, likely: bool) -> list[Finding]:
        p = self._last
        believed = p is not None and (likely or p.vf >= P_VF)
        return self.episode.begin(
            onset_s,
            found_s,
            confidence=p.vf if p is not None and believed else RULE_CONFIDENCE,
            judged_by=self._judge if believed else "rules",
        )
