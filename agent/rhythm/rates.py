"""Rate findings: high and low by the patient's limits, extreme, and supraventricular runs."""

from __future__ import annotations

from collections import deque

from agent.rhythm.beats import NamedBeat
from agent.rhythm.episode import Episode
from agent.rhythm.limits import RhythmLimits
from agent.rhythm.types import BeatClass, Finding, FindingKind

RETURN_BPM = 3.0
"""How far inside the limit the rate must be to end a finding: no flicker around the limit."""
RETURN_UPDATES = 3
"""For how many updates (seconds) it must stay there."""
TACHY_BEATS = 17
BRADY_BEATS = 5
"""Beats in a row (CinC 2015) whose mean rate is extreme."""
BEATS_SHARE = 0.7
"""Share of the last complexes that must be beats for the shown rate to be believed when high."""
BEATS_LEAST = 8
"""And so many must be beats: the shown rate needs but three intervals, and a start is noisy."""
ROW_SPREAD = 0.4
"""How far, relative to the limit, the slowest of a fast row's beats may be within it."""
SUDDEN = 0.8
"""RR over the median RR at which a supraventricular run sets in."""


class RateAlarms:
    """The shown rate and the last beats against the limits."""

    def __init__(self) -> None:
        self._rr: deque[tuple[float, float]] = deque(maxlen=TACHY_BEATS - 1)
        self._high = Episode(FindingKind.HR_HIGH)
        self._low = Episode(FindingKind.HR_LOW)
        self._tachy = Episode(FindingKind.EXTREME_TACHYCARDIA)
        self._brady = Episode(FindingKind.EXTREME_BRADYCARDIA)
        self._named: deque[bool] = deque(maxlen=TACHY_BEATS)
        self._within = {episode.kind: 0 for episode in self._all}

    @property
    def _all(self) -> tuple[Episode, Episode, Episode, Episode]:
        return self._high, self._low, self._tachy, self._brady

    def note(self, named: NamedBeat) -> None:
        """Any complex, Q too: the shown rate counts them all."""
        self._named.append(named.beat.kind is not BeatClass.Q)

    def lose(self, at_s: float, found_s: float) -> list[Finding]:
        """The signal has been unusable for too long to say that the rate is still beyond."""
        out: list[Finding] = []
        for episode in self._all:
            out += episode.end(at_s, found_s)
        return out

    def beat(self, named: NamedBeat, found_s: float, limits: RhythmLimits) -> list[Finding]:
        """One more beat: rows of beats, which know an extreme rate before the average does."""
        beat = named.beat
        if beat.rr_s is None:
            self._rr.clear()
        else:
            self._rr.append((beat.time_s, beat.rr_s))
        return self._row(self._tachy, TACHY_BEATS, limits.extreme_high, 1.0, found_s) + self._row(
            self._brady, BRADY_BEATS, limits.extreme_low, -1.0, found_s
        )

    def _row(
        self, episode: Episode, beats: int, limit: float, sign: float, found_s: float
    ) -> list[Finding]:
        rows = list(self._rr)[1 - beats :]
        if len(rows) < beats - 1:
            return []
        intervals = [rr for _, rr in rows]
        bpm = 60.0 * len(rows) / sum(intervals)
        # One long pause among beats is no slow rate, nor one short burst a fast one.
        least = 60.0 / (max(intervals) if sign > 0 else min(intervals))
        if sign * (bpm - limit) <= 0 or sign * (least - limit) < -ROW_SPREAD * limit:
            return []
        self._within[episode.kind] = 0
        times = (rows[0][0] - rows[0][1], *(time_s for time_s, _ in rows))
        return episode.begin(times[0], found_s, value=bpm, limit=limit, beats=times)

    def rate(
        self, time_s: float, bpm: float, found_s: float, limits: RhythmLimits
    ) -> list[Finding]:
        """The rate as shown, each second it is known."""
        out: list[Finding] = []
        for episode, limit, sign in (
            (self._high, limits.hr_high, 1.0),
            (self._tachy, limits.extreme_high, 1.0),
            (self._low, limits.hr_low, -1.0),
            (self._brady, limits.extreme_low, -1.0),
        ):
            out += self._judge(episode, limit, sign, time_s, bpm, found_s)
        return out

    def _judge(
        self, episode: Episode, limit: float, sign: float, time_s: float, bpm: float, found_s: float
    ) -> list[Finding]:
        kind = episode.kind
        over = sign * (bpm - limit)
        if sign > 0 and sum(self._named) < max(BEATS_LEAST, BEATS_SHARE * len(self._named)):
            over = min(over, 0.0)
        self._within[kind] = self._within[kind] + 1 if over <= -RETURN_BPM else 0
        if over > 0 and not episode.open:
            return episode.begin(time_s, found_s, value=bpm, limit=limit)
        if not episode.open:
            return []
        if self._within[kind] >= RETURN_UPDATES:
            return episode.end(time_s - RETURN_UPDATES + 1, found_s)
        assert episode.finding is not None  # noqa: S101
        worst = episode.finding.value
        if worst is not None and sign * (bpm - worst) >= RETURN_BPM:
            return episode.update(found_s, bpm)
        return []


class SupraventricularRun:
    """A sudden row of fast beats that are not ventricular."""

    def __init__(self) -> None:
        self._run: list[float] = []
        self._episode = Episode(FindingKind.SVT)

    def push(self, named: NamedBeat, found_s: float, limits: RhythmLimits) -> list[Finding]:
        """One more beat."""
        beat = named.beat
        fast = beat.rr_s is not None and beat.rr_s <= 60.0 / limits.svt_bpm
        sudden = beat.kind is BeatClass.S or named.timing.prematurity < SUDDEN
        if beat.kind in (BeatClass.V, BeatClass.F) or not fast or not (self._run or sudden):
            return self.stop(found_s)
        self._run.append(beat.time_s)
        if len(self._run) < limits.svt_beats:
            return []
        del self._run[: -4 * limits.svt_beats]
        recent = tuple(self._run[-limits.svt_beats :])
        bpm = 60.0 * (len(recent) - 1) / (recent[-1] - recent[0])
        return self._episode.begin(
            self._run[0],
            found_s,
            value=bpm,
            limit=limits.svt_bpm,
            confidence=beat.confidence,
            judged_by=beat.judged_by,
            beats=tuple(self._run),
        )

    def stop(self, found_s: float) -> list[Finding]:
        """The run is over."""
        if not self._run:
            return []
        last_s = self._run[-1]
        self._run = []
        return self._episode.end(last_s, found_s)
