"""Names each beat N, S, V, F or Q: by the beat network, or by rules where there is none.

The rule path compares a complex with the patient's dominant one (width, likeness) and its RR
interval with those before it (prematurity), as bedside monitors do. In atrial fibrillation no
beat is premature: there S has no meaning and is told N, and a wide beat is V only when hardly
anything speaks against it, for beats after a short interval are conducted aberrantly (Gouaux and
Ashman 1947).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from agent.rhythm.history import SignalHistory
from agent.rhythm.types import Beat, BeatClass
from agent.signal.types import RATE_HZ, Qrs
from models.beat_features import AFTER_S, BEFORE_S, BeatContext, Shape, Timing
from models.inference import BeatNetwork, BeatProbabilities, RhythmProbabilities

_CLASSES = (BeatClass.N, BeatClass.S, BeatClass.V, BeatClass.F, BeatClass.Q)

LOW = 0.15
LOW_UV = 250.0
"""A complex under this share of the dominant one's height, and under this height, is no beat: a
detector that has waited for a while finds the ripples of a standstill."""
UNCOUNTED = 8
"""Of so many complexes in a row that are called no beats one counts: should the patient's beats
have become another, it is not for ever that they are compared with what they were."""
PREMATURE = 0.85
"""RR over the median RR below which a beat that is not ventricular is a supraventricular one."""
VERY_WIDE_S = 0.18
FAST_RR_S = 0.5
"""Before a patient's own complex is known, only very wide beats at 120/min or more are V."""
AF_IRREGULAR = 0.08
"""Irregularity of the RR intervals, and stage 2's probability, from which the atria are taken to
fibrillate …"""
AF_P = 0.3
AF_IRREGULAR_ALONE = 0.12
"""… and the irregularity where stage 2 has not spoken."""
AF_SURE_V = 0.9
"""A beat in atrial fibrillation is V from this probability on, N and S being the others."""
ALIKE = 0.9
WIDER_S = 0.02
"""A complex as the dominant one, and hardly wider, is not ventricular however early it comes."""
V_BIAS = -4.6
V_UNLIKE = 3.5
V_WIDER_PER_S = 48.0
V_EARLY = 10.8
"""Weights of the rule's logistic score: 1 - likeness to the dominant complex, width over its
width, 1 - prematurity. Fitted on DS1 and svdb; figures by record in docs/rhythm.md."""


@dataclass(frozen=True, slots=True)
class NamedBeat:
    """A beat with what runs and rates need beside it."""

    beat: Beat
    shape: Shape
    timing: Timing
    follows_pvc: bool
    reliable: bool
    """False where the signal around it was not usable, or it is Q: no beat for all that is known.
    It counts in no run, rate or pattern and ends no standstill."""
    ventricular: float = 0.0
    """How likely it is V, whatever it was named."""


class BeatNamer:
    """Holds each QRS until its window is whole, then names it."""

    def __init__(self, network: BeatNetwork | None) -> None:
        self._network = network
        self._waiting: list[Qrs] = []
        self._context = BeatContext()
        self._last_s = 0.0
        self._unseen_until_s = 0.0
        self._after_pvc = False
        self._uncounted = 0
        self._p_af: float | None = None

    def stage2(self, probabilities: RhythmProbabilities, _judged_by: str) -> None:
        """Stage 2's word on the newest second."""
        self._p_af = probabilities.af

    def unseen(self, until_s: float) -> None:
        """The signal was missing or unusable: no RR interval reaches across."""
        self._unseen_until_s = until_s

    @property
    def waiting_since_s(self) -> float:
        """The R peak of the first complex not named yet; infinity without one."""
        return self._waiting[0].time_s if self._waiting else math.inf

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
        # A copy: the history's buffer moves on.
        window = np.nan_to_num(window) if np.isnan(window.sum()) else window.copy()
        if self._last_s < self._unseen_until_s <= qrs.time_s:
            self._context.gap()
        self._last_s = qrs.time_s
        shape, timing, vector = self._context.look(qrs.time_s, window, qrs.lead)
        if shape.known and shape.height < LOW and float(np.ptp(window)) < LOW_UV:
            kind, confidence, ventricular, judge = BeatClass.Q, 0.8, 0.0, "rules"
        elif self._network is None:
            kind, confidence = by_rule(shape, timing)
            ventricular = confidence if kind is BeatClass.V else 0.0
            judge = "rules"
            if kind is BeatClass.S and self._atria_fibrillate(timing):
                kind = BeatClass.N
        else:
            said = self._network.classify(window, vector)
            kind, confidence = by_network(said)
            ventricular, judge = said.v, str(self._network.model)
            if self._atria_fibrillate(timing):
                kind, confidence = in_fibrillation(said, kind, confidence)
        self._uncounted = (self._uncounted + 1) % UNCOUNTED if kind is BeatClass.Q else 0
        if not self._uncounted:
            self._context.count()
        beat = Beat(
            time_s=qrs.time_s,
            kind=kind,
            rr_s=timing.rr_s,
            confidence=confidence,
            judged_by=judge,
            amplitude_uv=qrs.amplitude_uv,
        )
        follows_pvc, self._after_pvc = self._after_pvc, kind is BeatClass.V
        reliable = reliable and kind is not BeatClass.Q
        return NamedBeat(beat, shape, timing, follows_pvc, reliable, ventricular)

    def _atria_fibrillate(self, timing: Timing) -> bool:
        if timing.irregularity is None:
            return False
        if self._p_af is None:
            return timing.irregularity >= AF_IRREGULAR_ALONE
        return timing.irregularity >= AF_IRREGULAR and self._p_af >= AF_P


def by_rule(shape: Shape, timing: Timing) -> tuple[BeatClass, float]:
    """A beat's class and how sure the rules are of it."""
    if not shape.known:
        fast = timing.rr_s is not None and timing.rr_s <= FAST_RR_S
        return (BeatClass.V if fast and shape.width_s >= VERY_WIDE_S else BeatClass.N), 0.6
    early = 1.0 - timing.prematurity
    wider = shape.width_s - shape.dominant_width_s
    score = (
        V_BIAS
        + V_UNLIKE * min(1.0 - shape.likeness, 1.2)
        + V_WIDER_PER_S * min(max(wider, -0.02), 0.08)
        + V_EARLY * min(max(early, -0.3), 0.5)
    )
    p_ventricular = 1.0 / (1.0 + math.exp(-score))
    other = shape.likeness < ALIKE or wider > WIDER_S
    if other and p_ventricular >= 0.5:
        return BeatClass.V, p_ventricular
    if timing.prematurity < PREMATURE:
        return BeatClass.S, 0.6
    return BeatClass.N, max(1.0 - p_ventricular, 0.5)


def by_network(probabilities: BeatProbabilities) -> tuple[BeatClass, float]:
    """The likeliest class and its probability."""
    p = probabilities
    values = (p.n, p.s, p.v, p.f, p.q)
    best = max(range(5), key=values.__getitem__)
    return _CLASSES[best], values[best]


def in_fibrillation(
    probabilities: BeatProbabilities, kind: BeatClass, confidence: float
) -> tuple[BeatClass, float]:
    """What the likeliest class and its probability become while the atria fibrillate."""
    p = probabilities
    conducted = p.n + p.s
    if kind is BeatClass.S or (kind is BeatClass.V and p.v < AF_SURE_V * (p.v + conducted)):
        return BeatClass.N, conducted
    return kind, confidence
