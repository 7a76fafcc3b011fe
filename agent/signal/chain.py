"""The signal chain of one device: samples and gaps in, hops out, in order and without a hole.

Each lead runs its own conditioning, detector and rules; the hop tells the lead in use. What comes
out depends on the samples, not on how they were cut: every stage keeps its state by sample, and
decisions fall on the grid of hops.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from agent.signal.envelope import LOOK_AHEAD
from agent.signal.lead import LAG, LeadChain
from agent.signal.qrs import R_REACH, REFRACTORY, Found
from agent.signal.quality import SECOND_HOPS, NoiseGate
from agent.signal.rate import RateMeter
from agent.signal.resample import Resampler
from agent.signal.scorer import Scorer, shipped_scorer
from agent.signal.types import (
    HOP,
    HOP_S,
    RATE_HZ,
    Hop,
    Qrs,
    Rate,
    SecondVerdict,
    Signal,
    SignalState,
)
from drivers.samples import Gap, LeadState, SampleBlock, StreamInfo
from models.inference import QualityNetwork

Microvolts = NDArray[np.float64]

MOST_LEADS = 2
"""Further leads are shown and stored; two are enough to find beats."""
BETTER = 0.4
"""Another lead is better when its doubt is below this share of ours …"""
DOUBTFUL = 0.05
"""… and ours is worth leaving …"""
SWITCH_AFTER = 15
"""… for so many hops on end (3 s); or …"""
VERY_DOUBTFUL = 0.1
FAR_BETTER = 0.2
SWITCH_AFTER_FAR = 5
"""… for 1 s, where ours is hardly worth anything and the other is far better."""
ALONE = 2
ALONE_AFTER = 400
"""So many certain beats of the other lead alone, ours without one for 1.6 s: an electrode that came
off lets the signal creep back to its line without a dead constant, and that is no asystole."""
CERTAIN = 0.1
"""Chance of error of a decision below which a QRS counts for that."""
DOUBT_WITHOUT_RATE = 0.2
"""Mean chance of error of the QRS decisions over which no rate is told: no false numbers. The
state stays what it is, for a fibrillation is doubtful too and must be looked at."""
RULES = "rules"
SAME_PULSE_S = 0.03
"""Two leads show one pulse within so long."""
BRIDGE_S = 0.04
"""A loss of a packet or few: the filters are led across on a straight line, so that they don't
start anew; the hop still says that there was no sample."""


class SignalChain:
    """One stream's signal work; ``quality`` is stage 1, None where only rules judge.

    ``scorer`` is the QRS detector's, the shipped one without it.
    """

    def __init__(
        self,
        info: StreamInfo,
        quality: QualityNetwork | None = None,
        scorer: Scorer | None = None,
    ) -> None:
        leads = info.leads[:MOST_LEADS]
        self._offset = np.array([lead.offset_counts for lead in leads])
        self._scale = np.array([lead.microvolts_per_count for lead in leads])
        self._resampler = Resampler(info.rate_hz, len(leads))
        scorer = scorer or shipped_scorer()
        self._leads = [LeadChain(lead, scorer, info.rate_hz, self._resampler) for lead in leads]
        self._quality = quality
        context = quality.context_s if quality is not None else 1.0
        self._context: list[deque[Signal]] = [
            deque(maxlen=max(1, round(context)) * SECOND_HOPS) for _ in leads
        ]
        self._gate = NoiseGate()
        self._meter = RateMeter()
        self._in_use = 0
        self._better_for = 0
        self._off: tuple[LeadState, ...] = ()
        self._streaming = False
        self._ready = -1
        """Chain samples given to the leads so far; -1 before the first event."""
        self._expected = 0
        self._hop = 0
        self._stretch = self._stop = 0
        """Chain samples where the newest stretch without a gap begins and, once over, ends."""
        self._learned = [0] * len(leads)
        """Chain sample from which each lead's detector knows the patient's levels."""
        self._newest = [-RATE_HZ] * len(leads)
        """Chain sample of each lead's latest QRS, of whatever certainty."""
        self._alone = 0
        """Certain QRS of the lead not in use since the latest of the lead in use."""
        self._last_peak = -RATE_HZ
        self._last_pulse_s = -1.0
        self._rate_hz = info.rate_hz
        self._last_uv = np.empty(0)
        self._short: Gap | None = None
        """A short gap whose other side isn't there yet."""
        self._bridges: deque[tuple[int, int]] = deque()
        """Chain samples that were bridged, not measured."""

    @property
    def lead_in_use(self) -> int:
        """Index of the lead that hops are made of."""
        return self._in_use

    def push(self, event: SampleBlock | Gap) -> list[Hop]:
        """Take samples, or their absence; give the hops they complete."""
        if self._ready < 0:
            self._open(event.first)
        elif event.first != self._expected:
            raise ValueError(
                f"the stream goes on at sample {event.first}, not at {self._expected}; "
                "a driver must tell missing samples as a gap and none twice"
            )
        self._expected = event.end
        if isinstance(event, Gap):
            self._gap(event)
        else:
            self._samples(event)
        return self._hops()

    def flush(self) -> list[Hop]:
        """The end of a record: everything, the last hop filled up with nothing."""
        if self._ready < 0:
            return []
        if self._short is not None:
            self._long_gap(self._short)
        self._end_stretch()
        rest = -self._ready % HOP
        self._skip(rest)
        return self._hops()

    def _open(self, first: int) -> None:
        """The first event: hops begin with the one that holds its first sample."""
        start = self._resampler.chain_index(first)
        self._hop = start // HOP
        self._ready = self._hop * HOP
        self._skip(start - self._ready)

    def _samples(self, block: SampleBlock) -> None:
        counts = block.counts[:, : len(self._leads)]
        microvolts = (counts - self._offset) * self._scale
        if not len(microvolts):
            return
        if self._short is not None:
            self._bridge(self._short, microvolts[0])
        if not self._streaming:
            self._streaming = True
            self._resampler.start(block.first)
            self._stretch = self._resampler.chain_index(block.first)
            self._skip(self._stretch - self._ready)
            self._learned = [lead.begin(self._stretch, block.first) for lead in self._leads]
        self._off = block.leads
        self._last_uv = microvolts[-1]
        self._give(self._resampler.push(microvolts).microvolts, microvolts)

    def _gap(self, gap: Gap) -> None:
        if self._short is not None:
            before, self._short = self._short, None
            gap = replace(before, count=before.count + gap.count)
        if self._streaming and gap.count <= BRIDGE_S * self._rate_hz:
            self._short = gap
        else:
            self._long_gap(gap)

    def _bridge(self, gap: Gap, after: Microvolts) -> None:
        """Lead the filters across a short gap whose other side is now known."""
        self._short = None
        steps = np.arange(1, gap.count + 1)[:, None] / (gap.count + 1)
        ends = self._resampler.chain_index(gap.first), self._resampler.chain_index(gap.end)
        self._bridges.append(ends)
        line = self._last_uv + steps * (after - self._last_uv)
        self._give(self._resampler.push(line).microvolts, line)

    def _long_gap(self, gap: Gap) -> None:
        self._short = None
        self._end_stretch()
        self._skip(self._resampler.chain_index(gap.end) - self._ready)

    def _end_stretch(self) -> None:
        if self._streaming:
            self._give(self._resampler.finish().microvolts, self._last_uv[None][:0])
            for lead in self._leads:
                lead.finish()
            self._streaming = False
            self._stop = self._ready

    def _give(self, microvolts: Microvolts, raw: Microvolts) -> None:
        """Chain samples, and the device's samples they were made of."""
        for number, lead in enumerate(self._leads):
            off = number < len(self._off) and self._off[number] is LeadState.OFF
            lead.push(np.ascontiguousarray(microvolts[:, number]), off, raw[:, number])
        self._ready += len(microvolts)

    def _skip(self, count: int) -> None:
        if count > 0:
            for lead in self._leads:
                lead.skip(count)
            self._ready += count

    def _hops(self) -> list[Hop]:
        out = []
        complete = self._ready - LAG if self._streaming else self._ready
        while (self._hop + 1) * HOP <= complete:
            out.append(self._next_hop())
        return out

    def _next_hop(self) -> Hop:
        index, self._hop = self._hop, self._hop + 1
        end = (index + 1) * HOP
        signals, found = [], []
        for lead, context in zip(self._leads, self._context, strict=True):
            signal, facts = lead.hop()
            self._unmeasured(signal, index * HOP)
            lead.rules.hop(facts)
            context.append(signal)
            signals.append(signal)
            found.append(lead.decided(end))
        self._count(found)
        ends_second = (index + 1) % SECOND_HOPS == 0
        self._choose_lead(end)
        qrs = self._confirmed(found, end)
        verdict = self._verdict(index) if ends_second else None
        state = self._state()
        if state is not SignalState.USABLE:
            self._meter.disturbed()
        for one in qrs:
            self._meter.beat(one.time_s)
        rate: Rate | None = None
        if ends_second:
            rate = self._meter.rate(end / RATE_HZ)
            doubt = self._leads[self._in_use].doubt
            if state is not SignalState.USABLE or doubt > DOUBT_WITHOUT_RATE:
                rate = Rate(rate.time_s, None, None)
        settled_s = self._settled(end)
        signal, pulses = signals[self._in_use], self._pulses(end)
        return Hop(index, signal, state, qrs, settled_s, verdict, rate, pulses)

    def _state(self) -> SignalState:
        certain = self._leads[self._in_use].rules.state
        if certain is not SignalState.USABLE:
            return certain
        return SignalState.NOISY if self._gate.noisy else SignalState.USABLE

    def _verdict(self, index: int) -> SecondVerdict:
        """Stage 1 on the second that ends with hop ``index``, of the lead in use."""
        start_s = (index + 1 - SECOND_HOPS) * HOP_S
        lead = self._leads[self._in_use]
        signal = newest_whole(self._context[self._in_use])
        if lead.rules.state is not SignalState.USABLE or len(signal) < RATE_HZ:
            state = lead.rules.state
            if state is SignalState.USABLE:
                state = SignalState.NO_DATA
            return SecondVerdict(start_s, state, 0.0, RULES)
        if self._quality is None:
            p_usable = self._gate.swing(float(np.ptp(signal[-RATE_HZ:])))
            return SecondVerdict(start_s, self._state(), p_usable, RULES)
        p_usable = self._quality.p_usable(signal)
        self._gate.probability(p_usable)
        return SecondVerdict(start_s, self._state(), p_usable, str(self._quality.model))

    def _unmeasured(self, signal: Signal, start: int) -> None:
        """Say of a hop that begins at ``start`` where it was bridged."""
        while self._bridges and self._bridges[0][1] <= start:
            self._bridges.popleft()
        for first, end in self._bridges:
            signal[max(first - start, 0) : max(end - start, 0)] = np.nan

    def _count(self, found: list[list[Found]]) -> None:
        """How many certain beats the other lead had since our latest."""
        for lead, told in enumerate(found):
            self._newest[lead] = max([self._newest[lead], *(one.peak for one in told)])
        if found[self._in_use]:
            self._alone = 0
        elif len(found) > 1:
            ours = self._newest[self._in_use]
            self._alone += sum(
                one.doubt < CERTAIN and one.peak - ours > REFRACTORY
                for one in found[1 - self._in_use]
            )

    def _choose_lead(self, end: int) -> None:
        """Leave a failed lead at once, a worse one the sooner the worse it is."""
        if len(self._leads) == 1:
            return
        ours, other = self._leads[self._in_use], self._leads[1 - self._in_use]
        if other.rules.state is not SignalState.USABLE or other.rules.silent:
            self._better_for = 0
            return
        failed = ours.rules.state is not SignalState.USABLE or ours.rules.silent
        known = end >= self._learned[1 - self._in_use]
        silent = self._alone >= ALONE and end - self._newest[self._in_use] >= ALONE_AFTER
        failed = failed or (known and silent and other.doubt < DOUBTFUL)
        better = known and ours.doubt > DOUBTFUL and other.doubt < BETTER * ours.doubt
        self._better_for = self._better_for + 1 if better else 0
        far = ours.doubt > VERY_DOUBTFUL and other.doubt < FAR_BETTER * ours.doubt
        if failed or self._better_for >= (SWITCH_AFTER_FAR if far else SWITCH_AFTER):
            self._in_use = 1 - self._in_use
            self._better_for = self._alone = 0

    def _confirmed(self, found: list[list[Found]], end: int) -> tuple[Qrs, ...]:
        """The QRS of the lead in use, and of the other where ours gave a dead constant."""
        ours = self._leads[self._in_use]
        told = [(one, self._in_use) for one in found[self._in_use]]
        if len(found) > 1:
            other = 1 - self._in_use
            told += [(one, other) for one in found[other] if ours.was_dead(one.peak, end)]
            told.sort(key=lambda item: item[0].peak)
        out = []
        for one, lead in told:
            if one.peak - self._last_peak < REFRACTORY:  # the other lead told it before a switch
                continue
            self._last_peak = one.peak
            out.append(Qrs(one.peak / RATE_HZ, one.amplitude_uv, lead, one.strength))
        return tuple(out)

    def _pulses(self, end: int) -> tuple[float, ...]:
        """Those of all leads; what two leads show within 30 ms is one."""
        told = []
        for time_s in sorted(one for lead in self._leads for one in lead.pulses(end)):
            if abs(time_s - self._last_pulse_s) > SAME_PULSE_S:
                self._last_pulse_s = time_s
                told.append(time_s)
        return tuple(told)

    def _settled(self, end: int) -> float:
        """While the detector learns, nothing is settled; in a gap everything is."""
        if end <= self._stretch or (not self._streaming and end >= self._stop):
            return end / RATE_HZ
        if end < self._learned[self._in_use]:
            return self._stretch / RATE_HZ
        # Right after a start the look-ahead reaches back beyond it.
        passed = min(lead.passed(end) for lead in self._leads)
        return max(passed - LOOK_AHEAD - R_REACH, self._stretch) / RATE_HZ


def newest_whole(context: Iterable[Signal]) -> Signal:
    """The newest samples without a gap; short losses are bridged by a straight line."""
    signal = np.concatenate(list(context))
    missing = np.isnan(signal)
    if not missing.any():
        return signal
    edges = np.flatnonzero(np.diff(np.concatenate([[0], missing, [0]])))
    starts, stops = edges[::2], edges[1::2]
    long = (stops - starts > BRIDGE_S * RATE_HZ) | (stops == len(signal))
    if long.any():
        signal, missing = signal[stops[long][-1] :], missing[stops[long][-1] :]
    at = np.arange(len(signal))
    if missing.any():
        signal = signal.copy()
        signal[missing] = np.interp(at[missing], at[~missing], signal[~missing])
    return signal
