"""Ventricular ectopy out of the named beats: single, paired, alternating, in runs."""

from __future__ import annotations

from collections import deque

from agent.rhythm.beats import NamedBeat
from agent.rhythm.broken_row import broken_row
from agent.rhythm.episode import Episode, momentary
from agent.rhythm.limits import RhythmLimits
from agent.rhythm.types import BeatClass, Finding, FindingKind

RUN_GAP_S = 2.0
"""A run is over when no beat follows for so long."""
TOLD_STEP_BPM = 10.0
TOLD_EVERY_S = 5.0
"""A run's rate is told anew when it has changed by so much, and not more often."""
TOLERATED = 2
"""Beats of another name that do not end a tachycardia: capture and fusion beats, misnamed ones."""
SURELY_OTHER = 0.1
"""Probability of V below which a beat is certainly none."""
RECENT = 12
"""Beats in which a broken row is looked for."""
PVC_RATE_MARGIN = 2
"""PVCs per minute under the limit at which the finding ends: no flicker around the limit."""
FORM_BEATS = 60
"""Two forms, each seen twice within so many beats, are multiform PVCs."""
PATTERN = 3
"""PVCs in the pattern that make bigeminy or trigeminy."""


class VentricularRuns:
    """Counts ventricular beats in a row; fed with reliable beats only."""

    def __init__(self) -> None:
        self._run: list[NamedBeat] = []
        self._recent: deque[NamedBeat] = deque(maxlen=RECENT)
        self._others = 0
        self.vt = Episode(FindingKind.VT)
        self._graded = {
            kind: Episode(kind)
            for kind in (FindingKind.NSVT, FindingKind.VENTRICULAR_RHYTHM, FindingKind.PVC_RUN)
        }

    @property
    def slow_run(self) -> bool:
        """Whether a ventricular rhythm too slow for a tachycardia is going on."""
        return self._graded[FindingKind.VENTRICULAR_RHYTHM].open

    def push(self, named: NamedBeat, found_s: float, limits: RhythmLimits) -> list[Finding]:
        """One more beat."""
        beat = named.beat
        late = bool(self._run) and beat.time_s - self._run[-1].beat.time_s > RUN_GAP_S
        out = self.stop(found_s) if late or beat.rr_s is None else []
        if late or beat.rr_s is None:
            self._recent.clear()
        self._recent.append(named)
        # A fusion beat within a run is the run's own: it neither begins nor breaks one.
        ventricular = beat.kind is BeatClass.V or (beat.kind is BeatClass.F and bool(self._run))
        if ventricular:
            self._run.append(named)
            self._others = 0
            out += self._grade(found_s, limits)
        if not self.vt.open and (row := broken_row(list(self._recent), limits)):
            return out + self._begin_broken(row, found_s, limits)
        if ventricular:
            return out
        if self.vt.open and self._others < TOLERATED:
            self._others += 1
            return out
        if len(self._run) == 2:
            out += self._couplet(found_s)
        return out + self.stop(found_s)

    def tick(self, settled_s: float, found_s: float) -> list[Finding]:
        """No beat until ``settled_s``: a run without a successor is over."""
        if self._run and settled_s - self._run[-1].beat.time_s > RUN_GAP_S:
            return self.stop(found_s)
        return []

    def gap(self, found_s: float) -> list[Finding]:
        """Beats may have gone unseen: no row reaches across."""
        self._recent.clear()
        return self.stop(found_s)

    def stop(self, found_s: float) -> list[Finding]:
        """The run is over: a beat of another kind came, or none."""
        if not self._run:
            return []
        last_s = self._run[-1].beat.time_s
        self._run = []
        self._others = 0
        if self.vt.open:  # its beats make no second one
            later = [named for named in self._recent if named.beat.time_s > last_s]
            self._recent = deque(later, maxlen=RECENT)
        out = self.vt.end(last_s, found_s)
        for episode in self._graded.values():
            out += episode.end(last_s, found_s)
        return out

    def broad(
        self,
        since_s: float,
        settled_s: float,
        period_s: float,
        found_s: float,
        limits: RhythmLimits,
    ) -> list[Finding]:
        """The wave since then is broad and periodic: VT, if the beats found in it bear it out.

        They do from the first ventricular one on if that was as long ago as ``vt_beats`` take,
        and none since is surely another.
        """
        members = [named for named in self._recent if named.beat.time_s >= since_s]
        while members and members[0].beat.kind not in (BeatClass.V, BeatClass.F):
            del members[0]
        if self.vt.open or not members or 60.0 / period_s < limits.vt_bpm:
            return []
        lasted_s = settled_s - members[0].beat.time_s
        surely_other = any(named.ventricular < SURELY_OTHER for named in members)
        if lasted_s < (limits.vt_beats - 1) * period_s or surely_other:
            return []
        return self._begin_vt(members, 60.0 / period_s, found_s, limits)

    def _begin_broken(
        self, row: tuple[float, ...], found_s: float, limits: RhythmLimits
    ) -> list[Finding]:
        """VT by a row that is not whole."""
        members = [named for named in self._recent if named.beat.time_s in row]
        bpm = 60.0 * (len(row) - 1) / (row[-1] - row[0])
        return self._begin_vt(members, bpm, found_s, limits)

    def _begin_vt(
        self, members: list[NamedBeat], bpm: float, found_s: float, limits: RhythmLimits
    ) -> list[Finding]:
        """A tachycardia of these beats; from here on it is followed as any other."""
        times = tuple(named.beat.time_s for named in members)
        self._run = [named for named in members if named.beat.kind in (BeatClass.V, BeatClass.F)]
        self._others = 0
        out: list[Finding] = []
        for episode in self._graded.values():
            out += episode.end(times[-1], found_s)
        return out + self.vt.begin(
            times[0],
            found_s,
            value=bpm,
            limit=limits.vt_bpm,
            confidence=sum(named.ventricular for named in members) / len(members),
            judged_by=members[-1].beat.judged_by,
            beats=times,
        )

    def _grade(self, found_s: float, limits: RhythmLimits) -> list[Finding]:
        del self._run[: -4 * limits.vt_beats]
        count = len(self._run)
        if count < 3:
            return []
        times = tuple(named.beat.time_s for named in self._run)
        recent = times[-(limits.vt_beats) :]
        bpm = 60.0 * (len(recent) - 1) / (recent[-1] - recent[0])
        if self.vt.open:
            return self._follow(self.vt, bpm, found_s)
        sustained = count >= limits.vt_beats and bpm >= limits.vt_bpm
        if sustained:
            kinds = [self.vt]
        elif bpm >= limits.vt_bpm:
            kinds = [self._graded[FindingKind.NSVT], self._graded[FindingKind.PVC_RUN]]
        else:
            kinds = [
                self._graded[FindingKind.VENTRICULAR_RHYTHM],
                self._graded[FindingKind.PVC_RUN],
            ]
        out: list[Finding] = []
        for episode in self._graded.values():
            if episode not in kinds:
                out += episode.end(times[-1], found_s)
        for episode in kinds:
            out += episode.begin(
                recent[0] if sustained else times[0],
                found_s,
                value=bpm,
                limit=limits.vt_bpm,
                confidence=sum(named.beat.confidence for named in self._run) / count,
                judged_by=self._run[-1].beat.judged_by,
                beats=times,
            )
        return out

    @staticmethod
    def _follow(episode: Episode, bpm: float, found_s: float) -> list[Finding]:
        assert episode.finding is not None  # noqa: S101
        told, told_s = episode.finding.value or 0.0, episode.finding.found_s
        if abs(bpm - told) < TOLD_STEP_BPM or found_s - told_s < TOLD_EVERY_S:
            return []
        return episode.update(found_s, bpm)

    def _couplet(self, found_s: float) -> list[Finding]:
        first, second = self._run
        found = Finding(
            kind=FindingKind.COUPLET,
            onset_s=first.beat.time_s,
            found_s=found_s,
            value=60.0 / (second.beat.time_s - first.beat.time_s),
            confidence=min(first.beat.confidence, second.beat.confidence),
            judged_by=second.beat.judged_by,
            beats=(first.beat.time_s, second.beat.time_s),
        )
        return momentary(found, second.beat.time_s)


class Ectopy:
    """Single PVCs: how often, how early, in which pattern and form."""

    def __init__(self) -> None:
        self._recent: deque[NamedBeat] = deque(maxlen=FORM_BEATS)
        self._pvcs: deque[float] = deque()
        self._rate = Episode(FindingKind.PVC_RATE_HIGH)
        self._multiform = Episode(FindingKind.MULTIFORM_PVC)
        self._patterns = (
            (Episode(FindingKind.BIGEMINY), "NV" * PATTERN),
            (Episode(FindingKind.TRIGEMINY), "NNV" * PATTERN),
        )

    def gap(self, at_s: float, found_s: float) -> list[Finding]:
        """Beats may have gone unseen: no pattern reaches across."""
        self._recent.clear()
        out: list[Finding] = []
        for episode, _ in self._patterns:
            out += episode.end(at_s, found_s)
        return out

    def push(self, named: NamedBeat, found_s: float, limits: RhythmLimits) -> list[Finding]:
        """One more beat."""
        beat = named.beat
        before = self._recent[-1] if self._recent else None
        self._recent.append(named)
        out: list[Finding] = []
        if beat.kind is BeatClass.V:
            self._pvcs.append(beat.time_s)
            out += self._r_on_t(named, before, found_s)
        out += self._pattern(found_s)
        out += self._forms(found_s)
        return out + self.tick(beat.time_s, found_s, limits)

    def tick(self, settled_s: float, found_s: float, limits: RhythmLimits) -> list[Finding]:
        """PVCs of the last minute against the limit."""
        while self._pvcs and self._pvcs[0] <= settled_s - 60.0:
            self._pvcs.popleft()
        count = len(self._pvcs)
        if not self._rate.open and count >= limits.pvc_per_min:
            return self._rate.begin(
                self._pvcs[-1],
                found_s,
                value=float(count),
                limit=float(limits.pvc_per_min),
                judged_by=self._recent[-1].beat.judged_by if self._recent else "rules",
                beats=tuple(self._pvcs),
            )
        if self._rate.open and count <= limits.pvc_per_min - PVC_RATE_MARGIN:
            return self._rate.end(settled_s, found_s)
        return []

    def _r_on_t(self, named: NamedBeat, before: NamedBeat | None, found_s: float) -> list[Finding]:
        """A PVC's R peak before the end of T, Bazett's QT of 0.40 s at 60/min.

        The interval that sets QT is the one before the PVC's own.
        """
        beat = named.beat
        if before is None or before.beat.kind is BeatClass.V or beat.rr_s is None:
            return []
        if before.beat.rr_s is None or beat.rr_s > 0.36 * before.beat.rr_s**0.5:
            return []
        found = Finding(
            kind=FindingKind.R_ON_T,
            onset_s=beat.time_s,
            found_s=found_s,
            value=beat.rr_s * 1000.0,
            limit=360.0 * before.beat.rr_s**0.5,
            confidence=beat.confidence,
            judged_by=beat.judged_by,
            beats=(before.beat.time_s, beat.time_s),
        )
        return momentary(found, beat.time_s)

    def _pattern(self, found_s: float) -> list[Finding]:
        letters = "".join("V" if n.beat.kind is BeatClass.V else "N" for n in self._recent)
        out: list[Finding] = []
        for episode, pattern in self._patterns:
            period = len(pattern) // PATTERN
            if not episode.open and letters.endswith(pattern):
                beats = tuple(n.beat.time_s for n in list(self._recent)[-len(pattern) :])
                out += episode.begin(
                    beats[0], found_s, judged_by=self._recent[-1].beat.judged_by, beats=beats
                )
            elif episode.open and not any(
                (pattern + pattern)[k:].startswith(letters[-period - 1 :]) for k in range(period)
            ):
                out += episode.end(self._recent[-1].beat.time_s, found_s)
        return out

    def _forms(self, found_s: float) -> list[Finding]:
        forms: dict[int, list[float]] = {}
        for named in self._recent:
            if named.beat.kind is BeatClass.V and named.shape.share > 0:
                forms.setdefault(named.shape.index, []).append(named.beat.time_s)
        repeated = [times for times in forms.values() if len(times) >= 2]
        last_s = self._recent[-1].beat.time_s
        if len(repeated) < 2:
            return self._multiform.end(last_s, found_s)
        beats = tuple(sorted(time for times in repeated for time in times))
        return self._multiform.begin(
            beats[0],
            found_s,
            value=float(len(repeated)),
            judged_by=self._recent[-1].beat.judged_by,
            beats=beats,
        )
