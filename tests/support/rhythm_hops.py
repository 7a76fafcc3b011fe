"""Hops as the signal chain gives them, drawn beat by beat: truth is known to the sample."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from agent.rhythm.analyser import RhythmAnalyser
from agent.rhythm.limits import RhythmLimits
from agent.rhythm.types import Beat, BeatClass, Finding, FindingKind, RhythmChange, RhythmEvent
from agent.signal.types import HOP, RATE_HZ, Hop, Qrs, Rate, SecondVerdict, SignalState

DELAY_S = 0.24
"""How long after its R peak a QRS is confirmed."""


def _bump(at_s: float, width_s: float, height_uv: float, t: NDArray[np.float64]) -> NDArray:
    return height_uv * np.exp(-0.5 * ((t - at_s) / width_s) ** 2)


@dataclass
class Strip:
    """A patient's ECG, drawn from left to right."""

    seed: int = 1
    noise_uv: float = 6.0
    end_s: float = 0.0
    beats: list[tuple[float, str]] = field(default_factory=list)
    waves: list[tuple[float, float, str]] = field(default_factory=list)
    states: list[tuple[float, float, SignalState]] = field(default_factory=list)
    silent: set[float] = field(default_factory=set)

    def sinus(self, seconds: float, bpm: float = 75.0) -> Strip:
        """Narrow beats at a steady rate."""
        for _ in range(round(seconds * bpm / 60.0)):
            self.beat(60.0 / bpm)
        return self

    def beat(self, rr_s: float, kind: str = "N") -> Strip:
        """One beat, ``rr_s`` after the last; kinds N, V, W (a V of another form)."""
        self.end_s += rr_s
        self.beats.append((round(self.end_s * RATE_HZ) / RATE_HZ, kind))
        return self

    def run(self, count: int, bpm: float, kind: str = "V") -> Strip:
        """Beats in a row."""
        for _ in range(count):
            self.beat(60.0 / bpm, kind)
        return self

    def fibrillating(self, seconds: float, hz: float = 4.6) -> Strip:
        """A wave whose rate and height wander, without a QRS."""
        self.waves.append((self.end_s, self.end_s + seconds, f"{hz}"))
        self.end_s += seconds
        return self

    def still(self, seconds: float) -> Strip:
        """Nothing but residual noise."""
        self.end_s += seconds
        return self

    def be(self, state: SignalState, start_s: float, stop_s: float) -> Strip:
        """The signal's state over a stretch of time (usable elsewhere)."""
        self.states.append((start_s, stop_s, state))
        return self

    def signal(self) -> NDArray[np.float32]:
        """Microvolts at 250 Hz."""
        rng = np.random.default_rng(self.seed)
        t = np.arange(int((self.end_s + 1.0) * RATE_HZ)) / RATE_HZ
        out = rng.normal(0.0, self.noise_uv, len(t))
        for at_s, kind in self.beats:
            near = slice(max(0, int((at_s - 0.5) * RATE_HZ)), int((at_s + 0.8) * RATE_HZ))
            out[near] += _COMPLEXES[kind](at_s, t[near])
        for start_s, stop_s, hz in self.waves:
            part = slice(int(start_s * RATE_HZ), int(stop_s * RATE_HZ))
            n = len(t[part])
            wander = np.cumsum(rng.normal(0.0, 0.06, n))
            height = 400.0 + 120.0 * np.sin(np.arange(n) / RATE_HZ * 2.3)
            out[part] += height * np.sin(2 * np.pi * float(hz) * t[part] + wander)
        return out.astype(np.float32)

    def hops(self, delay_s: float = DELAY_S) -> Iterator[Hop]:
        """The strip as the chain would cut it."""
        signal = self.signal()
        waiting = [
            Qrs(at_s, float(signal[round(at_s * RATE_HZ)]), 0, 2.0) for at_s, _ in self.beats
        ]
        rr: list[float] = []
        last_s: float | None = None
        for index in range(len(signal) // HOP):
            end_s = (index + 1) * HOP / RATE_HZ
            qrs: list[Qrs] = []
            while waiting and waiting[0].time_s + delay_s <= end_s:
                qrs.append(waiting.pop(0))
                if last_s is not None:
                    rr.append(qrs[-1].time_s - last_s)
                last_s = qrs[-1].time_s
            state = self._state(end_s)
            whole = (index + 1) % (RATE_HZ // HOP) == 0
            usable = state is SignalState.USABLE
            yield Hop(
                index=index,
                signal=signal[index * HOP : (index + 1) * HOP],
                state=state,
                qrs=tuple(qrs),
                settled_s=end_s - delay_s,
                verdict=SecondVerdict(end_s - 1.0, state, float(usable), "rules")
                if whole
                else None,
                rate=Rate(end_s, _bpm(rr) if usable else None, None) if whole else None,
            )

    def _state(self, end_s: float) -> SignalState:
        for start_s, stop_s, state in self.states:
            if start_s < end_s <= stop_s:
                return state
        return SignalState.USABLE


def _bpm(rr: list[float]) -> float | None:
    """The averaging rule monitors disclose."""
    if len(rr) < 3:
        return None
    if min(rr[-3:]) > 1.2:
        return 60.0 / float(np.mean(rr[-4:]))
    last = sorted(rr[-12:])
    return 60.0 / float(np.mean(last[1:-1] if len(last) > 4 else last))


def _narrow(at_s: float, t: NDArray) -> NDArray:
    return (
        _bump(at_s - 0.16, 0.022, 120.0, t)
        + _bump(at_s - 0.025, 0.009, -120.0, t)
        + _bump(at_s, 0.011, 1100.0, t)
        + _bump(at_s + 0.028, 0.010, -220.0, t)
        + _bump(at_s + 0.26, 0.045, 260.0, t)
    )


def _wide(at_s: float, t: NDArray) -> NDArray:
    return _bump(at_s, 0.036, 1500.0, t) + _bump(at_s + 0.24, 0.06, -500.0, t)


def _wide_down(at_s: float, t: NDArray) -> NDArray:
    return (
        _bump(at_s - 0.07, 0.03, 500.0, t)
        + _bump(at_s, 0.034, -1400.0, t)
        + _bump(at_s + 0.22, 0.06, 450.0, t)
    )


_COMPLEXES = {"N": _narrow, "V": _wide, "W": _wide_down}


@dataclass
class Told:
    """What an analyser said of a strip."""

    events: list[RhythmEvent]

    def found(self, kind: FindingKind) -> list[Finding]:
        """Begins of a kind, as first told."""
        first: dict[float, Finding] = {}
        for event in self.events:
            if isinstance(event, Finding) and event.kind is kind:
                first.setdefault(event.onset_s, event)
        return list(first.values())

    def ended(self, kind: FindingKind) -> list[Finding]:
        """Ends of a kind."""
        return [
            event
            for event in self.events
            if isinstance(event, Finding) and event.kind is kind and event.ended_s is not None
        ]

    def kinds(self) -> set[FindingKind]:
        """Every kind found."""
        return {event.kind for event in self.events if isinstance(event, Finding)}

    def beats(self) -> list[Beat]:
        """The beats."""
        return [event for event in self.events if isinstance(event, Beat)]

    def classes(self) -> str:
        """The beats' classes in order."""
        return "".join(beat.kind.value for beat in self.beats())

    def rhythms(self) -> list[RhythmChange]:
        """The changes of rhythm."""
        return [event for event in self.events if isinstance(event, RhythmChange)]


def analyse(strip: Strip, limits: RhythmLimits | None = None, **networks: object) -> Told:
    """Run a strip through an analyser of its own."""
    analyser = RhythmAnalyser(limits or RhythmLimits(), **networks)  # type: ignore[arg-type]
    events: list[RhythmEvent] = []
    for hop in strip.hops():
        events += analyser.push(hop)
    return Told(events + analyser.flush())


V = BeatClass.V
