"""Names each beat N, S, V, F or Q: by the beat network, or by rules where there is none.

The rule path compares a complex with the patient's dominant one (width, likeness) and its RR
interval with those before it (prematurity), as bedside monitors do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agent.rhythm.history import SignalHistory
from agent.rhythm.types import Beat, BeatClass
from agent.signal.types import RATE_HZ, Qrs
from models.beat_features import AFTER_S, BEFORE_S, BeatContext, Shape, Timing
from models.inference import BeatNetwork, BeatProbabilities

_CLASSES = (BeatClass.N, BeatClass.S, BeatClass.V, BeatClass.F, BeatClass.Q)

PREMATURE = 0.86
"""RR over the median RR below which a beat is early."""
WIDE_S = 0.13
"""Width of the complex from which it is wide; measured flank to flank, at 250 Hz, 0.5-40 Hz."""
VERY_WIDE_S = 0.18
FAST_RR_S = 0.5
"""Before a patient's own complex is known, only very wide beats at 120/min or more are V."""
WIDER_S = 0.03
"""Width over the dominant complex's from which it is wider."""
UNLIKE = 0.75
"""Likeness to the dominant complex below which it is another one."""


@dataclass(frozen=True, slots=True)
class NamedBeat:
    """A beat with what runs and rates need beside it."""

    beat: Beat
    shape: Shape
    timing: Timing
    follows_pvc: bool
    reliable: bool
    """False where the signal around it was not usable: it counts in no run."""


class BeatNamer:
    """Holds each QRS until its window is whole, then names it."""

    def __init__(self, network: BeatNetwork | None) -> None:
        self._network = network
        self._waiting: list[Qrs] = []
        self._context = BeatContext()
        self._last_s = 0.0
        self._unseen_until_s = 0.0
        self._after_pvc = False

    def unseen(self, until_s: float) -> None:
        """The signal was missing or unusable: no RR interval reaches across."""
        self._unseen_until_s = until_s

    def push(
        self, history: SignalHistory, qrs: tuple[Qrs, ...], end_s: float, reliable: bool
    ) -> list[NamedBeat]:
        """Complexes confirmed in a hop in; beats whose window ends by ``end_s`` out, in order."""
        self._waiting.extend(qrs)
        named: list[NamedBeat] = []
        while self._waiting and self._waiting[0].time_s + AFTER_S <= end_s:
            named.append(self._name(history, self._waiting.pop(0), reliable))
        return named

    def flush(self, history: SignalHistory, reliable: bool) -> list[NamedBeat]:
        """The end of the stream: name what waits by what there is of its window."""
        named = [self._name(history, qrs, reliable) for qrs in self._waiting]
        self._waiting.clear()
        return named

    def _name(self, history: SignalHistory, qrs: Qrs, reliable: bool) -> NamedBeat:
        at = round(qrs.time_s * RATE_HZ)
        window = history.window(at - round(BEFORE_S * RATE_HZ), at + round(AFTER_S * RATE_HZ))
        if np.isnan(window).any():
            window = np.nan_to_num(window)
        if self._last_s < self._unseen_until_s <= qrs.time_s:
            self._context.gap()
        self._last_s = qrs.time_s
        shape, timing, vector = self._context.push(qrs.time_s, window)
        if self._network is None:
            kind, confidence, judge = *by_rule(shape, timing), "rules"
        else:
            kind, confidence = by_network(self._network.classify(window, vector))
            judge = str(self._network.model)
        beat = Beat(
            time_s=qrs.time_s,
            kind=kind,
            rr_s=timing.rr_s,
            confidence=confidence,
            judged_by=judge,
            amplitude_uv=qrs.amplitude_uv,
        )
        follows_pvc, self._after_pvc = self._after_pvc, kind is BeatClass.V
        return NamedBeat(beat, shape, timing, follows_pvc, reliable)


def by_rule(shape: Shape, timing: Timing) -> tuple[BeatClass, float]:
    """A beat's class and how sure the rules are of it."""
    early = timing.prematurity < PREMATURE
    other = shape.likeness < UNLIKE
    wide = shape.width_s >= WIDE_S
    wider = shape.width_s >= shape.dominant_width_s + WIDER_S
    if not shape.known:
        # Nothing to compare with yet: only what no supraventricular beat looks like.
        fast = timing.rr_s is not None and timing.rr_s <= FAST_RR_S
        return (BeatClass.V if fast and shape.width_s >= VERY_WIDE_S else BeatClass.N), 0.6
    if other and (wider or (wide and early)):
        return BeatClass.V, 0.9 if early and wide else 0.75
    if early and not wider:
        return BeatClass.S, 0.6
    if early and wide and wider and shape.likeness < 0.9:
        return BeatClass.V, 0.6
    return BeatClass.N, 0.9 if shape.likeness >= 0.9 else 0.7


def by_network(probabilities: BeatProbabilities) -> tuple[BeatClass, float]:
    """The likeliest class and its probability."""
    p = probabilities
    values = (p.n, p.s, p.v, p.f, p.q)
    best = max(range(5), key=values.__getitem__)
    return _CLASSES[best], values[best]
