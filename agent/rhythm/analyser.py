"""Rhythm analysis of one bed: hops in; beats, rhythm changes and findings out.

Pure: what comes out depends on the hops only. ``docs/rhythm.md`` tells each finding's rule and
what becomes of open findings while the signal is unusable.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from agent.rhythm.atrial import AtrialFibrillation, Irregularity
from agent.rhythm.beats import BeatNamer, NamedBeat
from agent.rhythm.broad_wave import EVERY_HOPS, BroadWave
from agent.rhythm.broad_wave import WINDOW_S as BROAD_S
from agent.rhythm.fibrillation import WINDOW_S, Fibrillation
from agent.rhythm.force import RhythmInForce
from agent.rhythm.history import SignalHistory
from agent.rhythm.limits import RhythmLimits
from agent.rhythm.rates import RateAlarms, SupraventricularRun
from agent.rhythm.runs import Ectopy, VentricularRuns
from agent.rhythm.standstill import Standstill, missed_beat
from agent.rhythm.types import Finding, FindingKind, Rhythm, RhythmEvent
from agent.rhythm.wave import is_fibrillatory
from agent.signal.types import HOP, HOP_S, RATE_HZ, Hop, SecondVerdict, Signal, SignalState
from models.inference import BeatNetwork, RhythmNetwork, RhythmProbabilities

HOLD_S = 20.0
"""How long an open finding outlasts unusable signal: a disturbance ends no alarm, but after this
nobody knows, and the technical alarm alone stands."""
IN_FORCE = {
    FindingKind.ASYSTOLE: Rhythm.ASYSTOLE,
    FindingKind.VF: Rhythm.VF,
    FindingKind.VT: Rhythm.VT,
    FindingKind.AF: Rhythm.AF,
}
"""Findings that are the rhythm in force while they are open, the first before the others."""
HOPS_PER_S = RATE_HZ // HOP
WINDOW_SEEN = 15
"""Hops of a four-second window that must have been usable."""
BROAD_SEEN = 8
"""The same of a two-second one."""
BROAD_LAG_S = 0.4
"""The beats are named so much later than the wave is seen."""
QUIET_SHARE = 0.3
"""Noise lower than this share of the patient's QRS could hide none: a standstill goes on."""
QUIET_UV = (150.0, 300.0)
"""The same before a QRS was seen, and at most."""


class RhythmAnalyser:
    """One stream's rhythm analysis; either network may be missing."""

    def __init__(
        self,
        limits: RhythmLimits,
        rhythm_network: RhythmNetwork | None = None,
        beat_network: BeatNetwork | None = None,
    ) -> None:
        self._limits = limits
        self._stage2 = rhythm_network
        self._stage2_state = rhythm_network.start() if rhythm_network else None
        self.probabilities: RhythmProbabilities | None = None
        """Stage 2's word on the second judged in the last hop pushed; None without one."""
        self._history = SignalHistory()
        self._seen: deque[bool] = deque(maxlen=WINDOW_S * HOPS_PER_S)
        self._unseen_s = 0.0
        self._height: deque[float] = deque(maxlen=8)
        self._recent: deque[NamedBeat] = deque(maxlen=16)
        self._namer = BeatNamer(beat_network)
        self._runs = VentricularRuns()
        self._broad_wave = BroadWave()
        self._ectopy = Ectopy()
        self._standstill = Standstill()
        self._fibrillation = Fibrillation()
        self._rates = RateAlarms()
        self._svt = SupraventricularRun()
        self._irregularity = Irregularity()
        self._atrial = AtrialFibrillation()
        self._force = RhythmInForce()
        self._lethal = (self._standstill.asystole, self._fibrillation.episode, self._runs.vt)
        self._end_s = 0.0

    def set_limits(self, limits: RhythmLimits) -> None:
        """Limits in force from the next hop on."""
        self._limits = limits

    def push(self, hop: Hop) -> list[RhythmEvent]:
        """One more hop; events in the order in which they became known."""
        self._history.push(hop.index * HOP, hop.signal)
        self._end_s = hop.end_s
        seen = hop.state is SignalState.USABLE
        self._seen.append(seen)
        out: list[RhythmEvent] = []
        named = self._namer.push(self._history, hop.qrs, hop.end_s, seen)
        out += self._beats(named, hop.end_s)
        out += self._seen_hop(hop) if seen else self._unseen_hop(hop)
        if hop.verdict is not None:
            self._ask_stage2(hop.verdict)
        else:
            self.probabilities = None
        if seen and (hop.index + 1) % HOPS_PER_S == 0:
            out += self._second(hop)
        if hop.rate is not None and hop.rate.bpm is not None and seen:
            out += self._rates.rate(hop.rate.time_s, hop.rate.bpm, hop.end_s, self._limits)
        for event in out:
            if isinstance(event, Finding) and event.ended_s and event.kind in IN_FORCE:
                self._force.ended(event.ended_s)
        return out + self._rhythm(hop, seen)

    def flush(self) -> list[RhythmEvent]:
        """The end of the stream: beats whose window is not whole; what is open stays open."""
        reliable = bool(self._seen) and self._seen[-1]
        return self._beats(self._namer.flush(self._history, reliable), self._end_s)

    def _seen_hop(self, hop: Hop) -> list[RhythmEvent]:
        self._unseen_s = 0.0
        settled_s = self._settled_s(hop)
        out: list[RhythmEvent] = []
        out += self._runs.tick(settled_s, hop.end_s)
        out += self._broad(hop, settled_s)
        out += self._ectopy.tick(settled_s, hop.end_s, self._limits)
        return out + self._still(hop)

    def _broad(self, hop: Hop, settled_s: float) -> list[Finding]:
        """A ventricular tachycardia by its wave, where the beats alone don't make one."""
        hops = BROAD_S * HOPS_PER_S
        if hop.index % EVERY_HOPS or sum(list(self._seen)[-hops:]) < BROAD_SEEN:
            return []
        end = (hop.index + 1) * HOP
        period_s = self._broad_wave.look(self._history.window(end - BROAD_S * RATE_HZ, end))
        if period_s is None:
            return []
        since_s = hop.end_s - BROAD_S - BROAD_LAG_S
        return self._runs.broad(since_s, settled_s, period_s, hop.end_s, self._limits)

    def _settled_s(self, hop: Hop) -> float:
        """Every beat before this time is named."""
        return min(hop.settled_s, self._namer.waiting_since_s)

    def _still(self, hop: Hop) -> list[Finding]:
        """Standstill, unless the wave fibrillates: then there is no QRS either."""
        if self._fibrillation.episode.open:
            return []
        settled_s = self._settled_s(hop)
        due = self._standstill.due(settled_s, self._limits)
        if due and not self._standstill.asystole.open and is_fibrillatory(self._window(hop)):
            return []
        return self._standstill.tick(hop.start_s, settled_s, hop.end_s, self._limits)

    def _unseen_hop(self, hop: Hop) -> list[RhythmEvent]:
        """Nothing can be said; what is open is held for HOLD_S, patterns of beats are broken."""
        if self._unseen_s == 0.0:
            self._fibrillation.gap()
            self._atrial.gap()
        self._unseen_s += HOP_S
        self._namer.unseen(hop.end_s)
        out: list[RhythmEvent] = []
        if hop.state is SignalState.NOISY and self._quiet(hop):
            return list(self._still(hop))
        out += self._standstill.unseen(hop.start_s, hop.end_s)
        if not self._runs.vt.open:
            out += self._runs.gap(hop.end_s)
        out += self._svt.stop(hop.end_s)
        out += self._ectopy.gap(hop.start_s, hop.end_s)
        if HOLD_S <= self._unseen_s < HOLD_S + HOP_S:
            for held in (self._standstill, self._fibrillation, self._rates):
                out += held.lose(hop.start_s, hop.end_s)
            out += self._runs.gap(hop.end_s)
        return out

    def _quiet(self, hop: Hop) -> bool:
        """Whether the last second's noise is too low to hide a QRS in it."""
        second = self._history.window(hop.index * HOP + HOP - RATE_HZ, hop.index * HOP + HOP)
        height = float(np.ptp(second))  # NaN, so not quiet, where a sample is missing
        usual = float(np.median(self._height)) * QUIET_SHARE if self._height else QUIET_UV[0]
        return height < min(usual, QUIET_UV[1])

    def _beats(self, named: Sequence[NamedBeat], found_s: float) -> list[RhythmEvent]:
        out: list[RhythmEvent] = []
        for one in named:
            out.append(one.beat)
            self._rates.note(one)
            if not one.reliable:
                continue
            self._height.append(abs(one.beat.amplitude_uv))
            out += self._standstill.beat(one.beat.time_s, found_s)
            self._recent.append(one)
            self._force.beat()
            self._irregularity.push(one)
            out += self._runs.push(one, found_s, self._limits)
            out += self._ectopy.push(one, found_s, self._limits)
            out += self._rates.beat(one, found_s, self._limits)
            out += self._svt.push(one, found_s, self._limits)
            out += missed_beat(one, found_s, self._limits)
        return out

    def _ask_stage2(self, verdict: SecondVerdict) -> None:
        self.probabilities = None
        if self._stage2 is None:
            return
        start = round(verdict.start_s * RATE_HZ)
        second = self._history.window(start, start + RATE_HZ)
        if verdict.state is not SignalState.USABLE or np.isnan(second).any():
            self._stage2_state = self._stage2.start()
            return
        self._stage2_state, said = self._stage2.step(self._stage2_state, second)
        self.probabilities = said
        judge = str(self._stage2.model)
        for listener in (self._namer, self._fibrillation, self._atrial, self._force):
            listener.stage2(said, judge)

    def _second(self, hop: Hop) -> list[RhythmEvent]:
        out: list[RhythmEvent] = []
        if len(self._seen) == self._seen.maxlen and sum(self._seen) >= WINDOW_SEEN:
            found = self._fibrillation.second(self._window(hop), self._recent, hop.end_s)
            out += found
            for finding in found:
                if finding.ended_s is None:
                    out += self._standstill.fibrillates(finding.onset_s, hop.end_s)
                else:
                    self._standstill.restart(finding.ended_s)
        if not any(episode.open for episode in self._lethal):
            out += self._atrial.second(self._irregularity.value(), hop.end_s, self._limits)
        return out

    def _window(self, hop: Hop) -> Signal:
        end = (hop.index + 1) * HOP
        return self._history.window(end - WINDOW_S * RATE_HZ, end)

    def _rhythm(self, hop: Hop, seen: bool) -> list[RhythmEvent]:
        if not seen and not (hop.state is SignalState.NOISY and self._standstill.asystole.open):
            return list(self._force.unusable(hop.start_s))
        for episode in (*self._lethal, self._atrial.episode):
            if episode.finding is not None:
                return list(self._force.found(IN_FORCE[episode.kind], episode.finding))
        return list(self._force.basic(self._runs.slow_run or self._atrial.irregular, hop.end_s))
